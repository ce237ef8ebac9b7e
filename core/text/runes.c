#include "text/runes.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "text/utf8.h"

/* Room for `count` more. */
static bool reserve(runes *r, size_t count) {
  if (r->is_broken || count <= r->capacity - r->length) return !r->is_broken;
  size_t capacity = r->length + count < 2 * r->capacity ? 2 * r->capacity : r->length + count + 64;
  int32_t *larger = mem_resize(r->c, capacity, sizeof *larger);
  r->is_broken = !larger;
  if (!larger) return false;
  r->c = larger;
  r->capacity = capacity;
  return true;
}

void runes_append(runes *r, int32_t c) {
  if (reserve(r, 1)) r->c[r->length++] = c;
}

void runes_append_all(runes *r, const int32_t *c, size_t count) {
  if (!count || !reserve(r, count)) return;
  memcpy(r->c + r->length, c, count * sizeof *c);
  r->length += count;
}

void runes_append_text(runes *r, const char *text) {
  if (!reserve(r, strlen(text))) return;
  while (*text) r->c[r->length++] = utf8_next(&text);
}

void runes_write(const runes *r, strbuf *out) {
  for (size_t i = 0; i < r->length; i++) {
    if (r->c[i] > 0 && r->c[i] < 0x80)
      strbuf_append_char(out, (char)r->c[i]);
    else if (r->c[i])
      utf8_append(out, r->c[i]);
  }
}

void runes_clear(runes *r) {
  r->length = 0;
}

void runes_swap(runes *a, runes *b) {
  runes other = *a;
  *a = *b;
  *b = other;
}

void runes_free(runes *r) {
  free(r->c);
  *r = (runes){0};
}
