/* Comparing a tokenizer with rows of a fixture. */
#ifndef FLIP_TEST_TOKENS_H
#define FLIP_TEST_TOKENS_H

#include <stdbool.h>

#include "text/tokenizer.h"

/* json: the text as a JSON string; expected: its token numbers, spaces between, without padding.
 * False, with a line that says where, when `t` makes other tokens of it. */
bool tokens_are_same(const tokenizer *t, const char *json, int64_t length, const char *expected);

#endif
