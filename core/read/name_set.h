/* A set of names, for lists of millions: each costs its own length, and 12 to 24 bytes. */
#ifndef FLIP_READ_NAME_SET_H
#define FLIP_READ_NAME_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/text.h"

/* Start from {0}. */
typedef struct {
  strbuf names;    /* each with its NUL */
  uint64_t *slots; /* [capacity] place in `names` + 1; 0: empty */
  size_t count, capacity;
} name_set;

/* *is_new: the set did not contain `name`, which is copied. */
err name_set_add(name_set *s, const char *name, bool *is_new) ERR_MUST_CHECK;
/* Empties it, at a cost that does not depend on how full it once was. */
void name_set_clear(name_set *s);
void name_set_free(name_set *s);

#endif
