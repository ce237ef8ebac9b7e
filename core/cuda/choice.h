/* A store of choices made by timing, kept in a file from run to run: choosing takes seconds, and a
 * second run must choose the same to give the same bits. */
#ifndef FLIP_CUDA_CHOICE_H
#define FLIP_CUDA_CHOICE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum { CHOICE_KEY_PARTS = 16, CHOICE_VALUE_PARTS = 9 };

/* What the choice is for: shapes, types, modes; parts not used are 0. */
typedef struct {
  int64_t part[CHOICE_KEY_PARTS];
} choice_key;

typedef struct {
  int64_t part[CHOICE_VALUE_PARTS];
} choice_value;

typedef struct choice_store choice_store;

/* `name`: device and library versions, the file's name in $XDG_CACHE_HOME/flip or ~/.cache/flip. A
 * folder that cannot be written is no error: then a choice lives as long as the process. */
err choice_store_open(const char *name, choice_store **out) ERR_MUST_CHECK;
/* Writes what is new, merged with what other processes wrote meanwhile, and frees. */
void choice_store_close(choice_store *store);
bool choice_store_find(const choice_store *store, const choice_key *key, choice_value *value);
/* In place of an earlier choice for the key, if there is one: here, and in the file. */
void choice_store_add(choice_store *store, const choice_key *key, const choice_value *value);
/* False when a choice made now will be forgotten with the process. */
bool choice_store_is_lasting(const choice_store *store);

#endif
