#include "train/words.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/shipped.h"
#include "base/text.h"
#include "train/state_file.h"

/* Two byte-pair tokenizers spell the ends of a text differently, in the same two last rows. */
enum { BYTE_PAIR_ENDS = 2 };

err words_describe(const settings *s, const tokenizer *words, char tokens[HASH_SIZE]) {
  strbuf text = {0};
  int64_t count = tokenizer_vocabulary_size(words);
  if (s->text_tokenizer != TOKENIZER_WORDPIECE) count -= BYTE_PAIR_ENDS;
  for (int64_t i = 0; i < count; i++) {
    strbuf_append(&text, tokenizer_token(words, (int32_t)i));
    strbuf_append_char(&text, '\n');
  }
  err error = text.is_broken ? mem_error(text.length, "the vocabulary's fingerprint") : NULL;
  if (!error) hash_bytes(text.data, text.length, tokens);
  strbuf_free(&text);
  return error;
}

err words_read(const char *path, const char *tokens, words_record *out) {
  state_file state;
  bool is_there;
  *out = (words_record){0};
  if (tokens) {
    snprintf(out->tokens, sizeof out->tokens, "%s", tokens);
    return NULL;
  }
  err error = state_file_load(path, &state, &is_there);
  if (error) return error;
  memcpy(out->file, state.inputs.vocabulary, HASH_SIZE);
  state_file_free(&state);
  return NULL;
}

/* The digest to compare with the recorded one. */
static err describe_as(const words_record *record, const settings *s, const tokenizer *words,
                       char digest[HASH_SIZE]) {
  if (*record->tokens) return words_describe(s, words, digest);
  char *path = shipped_or_given(s->text_vocabulary);
  err error = path ? hash_file(path, digest) : mem_error(0, "a path");
  free(path);
  return error;
}

err words_check(const words_record *record, const settings *s, const tokenizer *words) {
  enum { DIGITS = 12 };
  const char *recorded = *record->tokens ? record->tokens : record->file;
  char own[HASH_SIZE];
  if (!*recorded) return NULL;
  err error = describe_as(record, s, words, own);
  if (error || strcmp(own, recorded) == 0) return error;
  return err_new(ERR_INPUT,
                 "the model was trained with another vocabulary (%.*s) than %s (%.*s): its token "
                 "embedding is of other words; set text.vocabulary to the file that it was trained "
                 "with",
                 DIGITS, recorded, s->text_vocabulary, DIGITS, own);
}
