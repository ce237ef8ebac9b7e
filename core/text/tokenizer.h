/* Tokenizers: captions to token ids. WordPiece equals BERT's uncased tokenizer for any vocab.txt,
 * byte-pair equals CLIP's for any bpe_simple_vocab_16e6.txt.gz. */
#ifndef FLIP_TEXT_TOKENIZER_H
#define FLIP_TEXT_TOKENIZER_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/text.h"
#include "config/settings.h"

typedef struct tokenizer tokenizer;

/* kind: a TOKENIZER_*, special_tokens: a SPECIAL_TOKENS_* of config/settings.h. A WordPiece
 * vocabulary has one token per line, including [PAD], [UNK], [CLS] and [SEP]. A byte-pair
 * vocabulary is a list of merges, plain or gzipped: a line with '#version', then two symbols per
 * line, of which the first 48,894 lines are used, as in CLIP. */
err tokenizer_open(int kind, int special_tokens, const char *vocabulary_path,
                   tokenizer **out) ERR_MUST_CHECK;
/* The tokenizer of a run: kind, special tokens, vocabulary and text.repair, without which
 * TOKENIZER_BPE does not repair wrongly decoded text. */
err tokenizer_open_for(const settings *s, tokenizer **out) ERR_MUST_CHECK;
/* The entries of that vocabulary, which is read for it. */
err tokenizer_count_for(const settings *s, int64_t *count) ERR_MUST_CHECK;
void tokenizer_close(tokenizer *t);
int64_t tokenizer_vocabulary_size(const tokenizer *t);
/* How a token is spelled ("##ing", "cat</w>"); "" for an invalid number. */
const char *tokenizer_token(const tokenizer *t, int32_t id);

/* ids [length]: with special tokens [CLS] words [SEP], or start words end of text, truncated so
 * that the last one is kept (length >= 2); without special tokens only the words' pieces; then
 * [PAD] or, for byte-pair, 0. *count: tokens before the padding. Thread-safe. */
err tokenizer_encode(const tokenizer *t, const char *text, int64_t length, int32_t *ids,
                     int32_t *count) ERR_MUST_CHECK;
/* The word that begins with token ids[0], decoded into `word`, which is cleared first. Returns its
 * number of tokens among the `count` given, at least 1. */
int32_t tokenizer_word(const tokenizer *t, const int32_t *ids, int32_t count, strbuf *word);
/* Special tokens on each side of a text: 0 or 1. */
int64_t tokenizer_ends(const tokenizer *t);
/* The token that ends every text. */
int32_t tokenizer_end(const tokenizer *t);
int32_t tokenizer_padding(const tokenizer *t);

/* Trains a WordPiece vocabulary of at most `size` entries on `count` texts: special tokens, every
 * character that occurs at least `min_count` times, then the pieces formed by merging the most
 * frequent pair of pieces, ties by spelling. Deterministic. *entries: how many were written. */
err tokenizer_train(const char *const *texts, size_t count, int64_t size, int64_t min_count,
                    const char *path, int64_t *entries) ERR_MUST_CHECK;

#endif
