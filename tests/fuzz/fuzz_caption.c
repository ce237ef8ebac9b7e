/* A caption as people and machines write them: cleaned, cut into words, made tokens of. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/settings.h"
#include "make/caption.h"
#include "text/clip_text.h"
#include "text/tokenizer.h"
#include "text/utf8.h"
#include "text/words.h"
#include "fuzz/fuzz.h"

enum { LENGTH = 77 };

static tokenizer *open_fixture(int kind, const char *name) {
  tokenizer *words = NULL;
  char path[512];
  snprintf(path, sizeof path, "%s/tests/parity/fixtures/%s", FLIP_SOURCE_DIR, name);
  fuzz_expect_ok(tokenizer_open(kind, SPECIAL_TOKENS_BOTH, path, &words));
  return words;
}

static void tokenize(const char *text) {
  static tokenizer *kinds[3]; /* opened once, for the life of the process */
  int32_t ids[LENGTH], count;
  if (!kinds[0]) {
    kinds[0] = open_fixture(TOKENIZER_WORDPIECE, "vocab.txt");
    kinds[1] = open_fixture(TOKENIZER_BPE, "merges.txt.gz");
    kinds[2] = open_fixture(TOKENIZER_BPE_HUGGINGFACE, "merges.txt.gz");
  }
  for (int k = 0; k < 3; k++) {
    fuzz_expect_ok(tokenizer_encode(kinds[k], text, LENGTH, ids, &count));
    for (int i = 0; i < LENGTH; i++)
      fuzz_require(ids[i] >= 0 && ids[i] < tokenizer_vocabulary_size(kinds[k]), "a known token");
  }
}

/* Cleaned text is UTF-8 (bytes that are not would be decoded as U+FFFD), and words end inside it.
 */
static void clean(const char *text) {
  strbuf out = {0}, again = {0};
  for (int k = 0; k < 3; k++) {
    strbuf_clear(&out);
    fuzz_expect_ok(k == 1 ? clip_text_clean_huggingface(text, &out)
                          : clip_text_clean(text, k == 0, &out));
    const char *at = strbuf_string(&out), *end = at + strlen(at);
    strbuf_clear(&again);
    for (int32_t c; (c = utf8_next(&at)) != 0;) utf8_append(&again, c);
    fuzz_require(strcmp(strbuf_string(&again), strbuf_string(&out)) == 0, "cleaned text is UTF-8");
    at = strbuf_string(&out);
    for (size_t length; (length = clip_text_next_word(&at, k == 1)) > 0; at += length)
      fuzz_require(length <= (size_t)(end - at), "a word ends inside its text");
  }
  strbuf_free(&out);
  strbuf_free(&again);
}

static void write_captions(const char *text) {
  strbuf out = {0};
  static void (*const cleaners[])(const char *, strbuf *) = {
      caption_tidy, caption_clean_title, caption_clean_description, caption_clean_keyword};
  for (size_t i = 0; i < sizeof cleaners / sizeof *cleaners; i++) {
    strbuf_clear(&out);
    cleaners[i](text, &out);
  }
  strbuf_clear(&out);
  caption_from_file(text, text, &out);
  const char *keywords[] = {text, "tree"};
  strbuf_clear(&out);
  caption_join(&(caption_parts){text, text, keywords, 2}, &out);
  strbuf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char *text = fuzz_text(data, size);
  tokenize(text);
  clean(text);
  write_captions(text);
  free(text);
  return 0;
}
