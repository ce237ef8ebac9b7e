/* Internal to tokenizer.c: the two kinds of tokenizer behind one table of functions. */
#ifndef FLIP_TEXT_TOKENIZER_KINDS_H
#define FLIP_TEXT_TOKENIZER_KINDS_H

#include <stdbool.h>

#include "base/text.h"
#include "text/token_table.h"

/* Writes the words of a text to ids [most], without special tokens; *used: number written. */
typedef struct wordpiece wordpiece;
err wordpiece_open(const char *path, wordpiece **out) ERR_MUST_CHECK;
void wordpiece_close(wordpiece *w);
err wordpiece_encode(const wordpiece *w, const char *text, int64_t most, int32_t *ids,
                     int64_t *used) ERR_MUST_CHECK;

typedef struct bpe bpe;
/* is_huggingface: cleans texts as CLIPTokenizer does, else as OpenAI and open_clip do, with repair
 * of wrongly decoded ones unless bpe_leave_encoding is called. */
err bpe_open(const char *path, bool is_huggingface, bpe **out) ERR_MUST_CHECK;
void bpe_leave_encoding(bpe *b);
/* Appends the bytes that a token represents; true when a word ends with it. */
bool bpe_append_spelled(const char *spelling, strbuf *out);
void bpe_close(bpe *b);
err bpe_encode(const bpe *b, const char *text, int64_t most, int32_t *ids,
               int64_t *used) ERR_MUST_CHECK;

/* Spellings, and the special tokens: start, end and padding of a text. */
typedef struct {
  const token_table *table;
  int32_t start, end, padding;
} tokenizer_specials;
tokenizer_specials wordpiece_specials(const wordpiece *w);
tokenizer_specials bpe_specials(const bpe *b);

#endif
