#include "text/token_table.h"

#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "base/mem.h"

err token_table_create(int64_t count, const char *path, token_table *t) {
  uint64_t size = 16;
  while (size < 2 * (uint64_t)count) size *= 2;
  t->tokens = mem_zeroed((size_t)count + 1, sizeof *t->tokens);
  t->slots = mem_zeroed(size, sizeof *t->slots);
  if (!t->tokens || !t->slots) return mem_error(size * sizeof *t->slots, path);
  memset(t->slots, 0xFF, size * sizeof *t->slots);
  t->mask = size - 1;
  t->count = count;
  return NULL;
}

void token_table_free(token_table *t) {
  free((void *)t->tokens);
  free(t->slots);
  *t = (token_table){0};
}

/* The slot of the token spelled `bytes`: its own, or the free one for inserting it. */
static uint64_t slot_of(const token_table *t, const char *bytes, size_t length) {
  uint64_t at = XXH3_64bits(bytes, length) & t->mask;
  for (; t->slots[at] >= 0; at = (at + 1) & t->mask) {
    const char *token = t->tokens[t->slots[at]];
    if (strncmp(token, bytes, length) == 0 && token[length] == '\0') break;
  }
  return at;
}

void token_table_enter(token_table *t, int32_t id, int is_replacing) {
  uint64_t at = slot_of(t, t->tokens[id], strlen(t->tokens[id]));
  if (t->slots[at] < 0 || is_replacing) t->slots[at] = id;
}

int32_t token_table_find(const token_table *t, const char *bytes, size_t length) {
  return t->slots[slot_of(t, bytes, length)];
}
