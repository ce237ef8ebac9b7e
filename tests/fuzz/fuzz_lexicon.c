/* A list of words with their parts of speech, and a word to look up behind a NUL. */
#include <stdlib.h>

#include "text/lexicon.h"
#include "fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  fuzz_halves parts = fuzz_cut(data, size);
  fuzz_file file = fuzz_file_make(parts.first, parts.first_size);
  char *word = fuzz_text(parts.second, parts.second_size);
  lexicon *l = NULL;
  err error = lexicon_open(file.path, &l);
  if (!error) {
    part_of_speech part = lexicon_part(l, word);
    fuzz_require(part >= SPEECH_NOUN && part <= SPEECH_OTHER, "every word has a part of speech");
    lexicon_close(l);
  }
  err_free(error);
  free(word);
  fuzz_file_free(&file);
  return 0;
}
