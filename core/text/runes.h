/* A text as an array of code points, for code that looks at neighbouring characters. */
#ifndef FLIP_TEXT_RUNES_H
#define FLIP_TEXT_RUNES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"

/* Initialise with `{0}`. May contain U+0000. After a failed allocation `is_broken` is set and
 * further writes are ignored; the owner checks once at the end. */
typedef struct {
  int32_t *c;
  size_t length, capacity;
  bool is_broken;
} runes;

void runes_append(runes *r, int32_t c);
void runes_append_all(runes *r, const int32_t *c, size_t count);
/* Appends the characters of UTF-8 `text`, as utf8_next reads them. */
void runes_append_text(runes *r, const char *text);
/* Appends to `out` as UTF-8, without U+0000. */
void runes_write(const runes *r, strbuf *out);
void runes_clear(runes *r);
void runes_swap(runes *a, runes *b);
void runes_free(runes *r);

#endif
