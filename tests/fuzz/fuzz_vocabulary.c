/* A vocabulary and a text to cut with it. The first byte chooses the kind; a NUL ends the
 * vocabulary. What comes out are tokens of the vocabulary, begun, ended and padded. */
#include <stdlib.h>

#include "config/settings.h"
#include "text/tokenizer.h"
#include "fuzz/fuzz.h"

enum { LENGTH = 24 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  int32_t ids[LENGTH], count = 0;
  if (!size) return 0;
  fuzz_halves parts = fuzz_cut(data + 1, size - 1);
  fuzz_file file = fuzz_file_make(parts.first, parts.first_size);
  char *text = fuzz_text(parts.second, parts.second_size);
  tokenizer *words = NULL;
  int special_tokens = size % 2 ? SPECIAL_TOKENS_BOTH : SPECIAL_TOKENS_NONE;
  err error = tokenizer_open((data[0] - '0' + 256) % 3, special_tokens, file.path, &words);
  if (!error) {
    int64_t vocabulary = tokenizer_vocabulary_size(words);
    fuzz_expect_ok(tokenizer_encode(words, text, LENGTH, ids, &count));
    fuzz_require(count >= 2 * tokenizer_ends(words) && count <= LENGTH,
                 "a text has the begin and the end that were asked for, and fits");
    for (int i = 0; i < LENGTH; i++) {
      fuzz_require(ids[i] >= 0 && ids[i] < vocabulary, "a token is one of the vocabulary's");
      fuzz_require(tokenizer_token(words, ids[i]) != NULL, "every token has a spelling");
    }
    tokenizer_close(words);
  }
  err_free(error);
  free(text);
  fuzz_file_free(&file);
  return 0;
}
