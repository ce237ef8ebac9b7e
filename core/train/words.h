/* Which words the rows of a token embedding stand for. Another vocabulary of as many entries has
 * the same shape and gives no error, only other embeddings: checkpoints record their words. */
#ifndef FLIP_TRAIN_WORDS_H
#define FLIP_TRAIN_WORDS_H

#include "base/err.h"
#include "base/hash.h"
#include "config/settings.h"
#include "text/tokenizer.h"

typedef struct {
  char tokens[HASH_SIZE]; /* of the tokens in the order of their rows, whatever file lists them; ""
                           * if they are not known */
  char file[HASH_SIZE];   /* of the vocabulary file, which is all that earlier versions recorded; ""
                           * if it is not known, or `tokens` are */
} words_record;

/* `words`: the tokenizer of `s`. */
err words_describe(const settings *s, const tokenizer *words,
                   char tokens[HASH_SIZE]) ERR_MUST_CHECK;
/* What the checkpoint `path` records; `tokens`: from its metadata, or NULL, which leaves the digest
 * in its state file. */
err words_read(const char *path, const char *tokens, words_record *out) ERR_MUST_CHECK;
/* ERR_INPUT with both fingerprints and the remedy if the tokenizer of `s` has other words than the
 * recorded ones. Unknown ones match any. */
err words_check(const words_record *record, const settings *s,
                const tokenizer *words) ERR_MUST_CHECK;

#endif
