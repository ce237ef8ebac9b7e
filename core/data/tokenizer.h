/* Tokenizers: captions to token numbers. WordPiece equals BERT's uncased one for any vocab.txt. */
#ifndef FLIP_DATA_TOKENIZER_H
#define FLIP_DATA_TOKENIZER_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

typedef struct tokenizer tokenizer;

/* kind: TOKENIZER_WORDPIECE or TOKENIZER_BPE of config/settings.h. The vocabulary has one token a
 * line and holds [PAD], [UNK], [CLS] and [SEP]. */
err tokenizer_open(int kind, const char *vocabulary_path, tokenizer **out) ERR_MUST_CHECK;
void tokenizer_close(tokenizer *t);
int64_t tokenizer_vocabulary_size(const tokenizer *t);
const char *tokenizer_token(const tokenizer *t, int32_t id);

/* ids [length]: [CLS] words [SEP], cut so that [SEP] stays, then [PAD]. *count: tokens before the
 * padding. Safe from many threads. */
err tokenizer_encode(const tokenizer *t, const char *text, int64_t length, int32_t *ids,
                     int32_t *count) ERR_MUST_CHECK;

/* A WordPiece vocabulary of at most `size` entries from `count` texts: special tokens, every
 * character seen at least `min_count` times, then the pieces that merging the most frequent pair
 * of pieces makes, ties by spelling. The same texts give the same vocabulary. */
err tokenizer_train(const char *const *texts, size_t count, int64_t size, int64_t min_count,
                    const char *path) ERR_MUST_CHECK;

#endif
