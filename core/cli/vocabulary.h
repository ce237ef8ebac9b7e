/* The entries of the vocabulary that a run would have, for commands that build or count its model
 * without training it. */
#ifndef FLIP_CLI_VOCABULARY_H
#define FLIP_CLI_VOCABULARY_H

#include "config/settings.h"

/* Those of text.vocabulary. If it is not set or cannot be read, of the tokenizer's published
 * vocabulary, with a warning; 0 for a classifier. ERR_INPUT: text.vocabulary_rows are fewer. */
err vocabulary_count(const settings *s, int64_t *count) ERR_MUST_CHECK;

#endif
