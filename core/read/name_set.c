#include "read/name_set.h"

#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "base/mem.h"

enum { LEAST_SLOTS = 1024 };

/* The slot that holds the name, or the empty one where it belongs. */
static size_t find(const name_set *s, const char *name) {
  size_t at = XXH3_64bits(name, strlen(name)) & (s->capacity - 1);
  while (s->slots[at] && strcmp(s->names.data + s->slots[at] - 1, name) != 0)
    at = (at + 1) & (s->capacity - 1);
  return at;
}

static err grow(name_set *s) {
  name_set larger = *s;
  larger.capacity = s->capacity ? 2 * s->capacity : LEAST_SLOTS;
  larger.slots = mem_zeroed(larger.capacity, sizeof *larger.slots);
  if (!larger.slots) return mem_error(larger.capacity * sizeof *larger.slots, "names");
  for (size_t i = 0; i < s->capacity; i++)
    if (s->slots[i]) larger.slots[find(&larger, s->names.data + s->slots[i] - 1)] = s->slots[i];
  free(s->slots);
  *s = larger;
  return NULL;
}

err name_set_add(name_set *s, const char *name, bool *is_new) {
  if (3 * (s->count + 1) > 2 * s->capacity) { /* at most two thirds full */
    err error = grow(s);
    if (error) return error;
  }
  const size_t at = find(s, name), place = s->names.length;
  *is_new = !s->slots[at];
  if (!*is_new) return NULL;
  strbuf_append_bytes(&s->names, name, strlen(name) + 1);
  if (s->names.is_broken) return mem_error(strlen(name), "names");
  s->slots[at] = place + 1;
  s->count++;
  return NULL;
}

void name_set_clear(name_set *s) {
  if (s->capacity > LEAST_SLOTS) {
    name_set_free(s);
  } else if (s->count) {
    memset(s->slots, 0, s->capacity * sizeof *s->slots);
    strbuf_clear(&s->names);
    s->count = 0;
  }
}

void name_set_free(name_set *s) {
  strbuf_free(&s->names);
  free(s->slots);
  *s = (name_set){0};
}
