#include "data/tokenizer.h"

#include <stdlib.h>

#include "base/mem.h"
#include "config/settings.h"
#include "data/tokenizer_kinds.h"

struct tokenizer {
  wordpiece *pieces; /* one of the two */
  bpe *pairs;
  tokenizer_specials special;
};

err tokenizer_open(int kind, const char *path, tokenizer **out) {
  tokenizer *t = mem_zeroed(1, sizeof *t);
  if (!t) return mem_error(sizeof *t, path);
  err error = kind == TOKENIZER_WORDPIECE
                  ? wordpiece_open(path, &t->pieces)
                  : bpe_open(path, kind == TOKENIZER_BPE_HUGGINGFACE, &t->pairs);
  if (error) {
    free(t);
    return err_context(error, "text.vocabulary");
  }
  t->special = t->pieces ? wordpiece_specials(t->pieces) : bpe_specials(t->pairs);
  *out = t;
  return NULL;
}

void tokenizer_close(tokenizer *t) {
  if (!t) return;
  wordpiece_close(t->pieces);
  bpe_close(t->pairs);
  free(t);
}

int64_t tokenizer_vocabulary_size(const tokenizer *t) {
  return t->special.table->count;
}

const char *tokenizer_token(const tokenizer *t, int32_t id) {
  return id >= 0 && id < t->special.table->count ? t->special.table->tokens[id] : "";
}

int32_t tokenizer_padding(const tokenizer *t) {
  return t->special.padding;
}

int32_t tokenizer_end(const tokenizer *t) {
  return t->special.end;
}

err tokenizer_encode(const tokenizer *t, const char *text, int64_t length, int32_t *ids,
                     int32_t *count) {
  int64_t used = 0;
  err error = t->pieces ? wordpiece_encode(t->pieces, text, length - 2, ids + 1, &used)
                        : bpe_encode(t->pairs, text, length - 2, ids + 1, &used);
  if (error) return error;
  ids[0] = t->special.start;
  ids[used + 1] = t->special.end;
  *count = (int32_t)(used + 2);
  for (int64_t i = used + 2; i < length; i++) ids[i] = t->special.padding;
  return NULL;
}
