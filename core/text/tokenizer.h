/* Tokenizers: captions to token numbers. WordPiece equals BERT's uncased one for any vocab.txt,
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
 * vocabulary has one token a line and holds [PAD], [UNK], [CLS] and [SEP]. A byte-pair vocabulary
 * is a list of merges, plain or gzipped: a line with '#version', then two symbols a line, of which
 * the first 48,894 count, as in CLIP. */
err tokenizer_open(int kind, int special_tokens, const char *vocabulary_path,
                   tokenizer **out) ERR_MUST_CHECK;
/* That of a run: kind, special tokens, vocabulary and text.repair, without which TOKENIZER_BPE
 * leaves wrongly decoded text as it is. */
err tokenizer_open_for(const settings *s, tokenizer **out) ERR_MUST_CHECK;
void tokenizer_close(tokenizer *t);
int64_t tokenizer_vocabulary_size(const tokenizer *t);
/* How a token is spelled ("##ing", "cat</w>"); "" for an invalid number. */
const char *tokenizer_token(const tokenizer *t, int32_t id);

/* ids [length]: with special tokens [CLS] words [SEP], or start words end of text, truncated so
 * that the last one is kept (length >= 2); without special tokens the words' pieces alone; then
 * [PAD] or, for byte-pair, 0. *count: tokens before the padding. Safe from many threads. */
err tokenizer_encode(const tokenizer *t, const char *text, int64_t length, int32_t *ids,
                     int32_t *count) ERR_MUST_CHECK;
/* The word that begins with token ids[0], as it is written: its text into `word`, which is cleared
 * first. Returns of how many of the `count` tokens it consists, at least 1. */
int32_t tokenizer_word(const tokenizer *t, const int32_t *ids, int32_t count, strbuf *word);
/* Special tokens on each side of a text: 0 or 1. */
int64_t tokenizer_ends(const tokenizer *t);
/* What tokenizer_encode pads with. */
/* The token that ends every text. */
int32_t tokenizer_end(const tokenizer *t);
int32_t tokenizer_padding(const tokenizer *t);

/* A WordPiece vocabulary of at most `size` entries from `count` texts: special tokens, every
 * character seen at least `min_count` times, then the pieces that merging the most frequent pair
 * of pieces makes, ties by spelling. The same texts give the same vocabulary. */
err tokenizer_train(const char *const *texts, size_t count, int64_t size, int64_t min_count,
                    const char *path) ERR_MUST_CHECK;

#endif
