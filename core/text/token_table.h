/* Internal to the tokenizers: token ids by spelling. */
#ifndef FLIP_TEXT_TOKEN_TABLE_H
#define FLIP_TEXT_TOKEN_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

typedef struct {
  const char **tokens; /* [count], borrowed */
  int64_t count;
  int32_t *slots; /* hash table of token ids, -1: free */
  uint64_t mask;
} token_table;

/* Allocates space for `count` tokens; empty at first. */
err token_table_create(int64_t count, const char *path, token_table *t) ERR_MUST_CHECK;
void token_table_free(token_table *t);
/* Enters token `id`, spelled t->tokens[id]; the slot of an equal earlier one is replaced if
 * `is_replacing`, else left unchanged. */
void token_table_enter(token_table *t, int32_t id, int is_replacing);
/* Number of the token spelled `bytes`, or -1. */
int32_t token_table_find(const token_table *t, const char *bytes, size_t length);

#endif
