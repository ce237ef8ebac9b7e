#include "text/tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/shipped.h"
#include "text/tokenizer_kinds.h"

struct tokenizer {
  wordpiece *pieces; /* one of the two */
  bpe *pairs;
  tokenizer_specials special;
  int64_t ends; /* special tokens on each side */
};

err tokenizer_open(int kind, int special_tokens, const char *path, tokenizer **out) {
  tokenizer *t = mem_zeroed(1, sizeof *t);
  if (!t) return mem_error(sizeof *t, path);
  char *found = shipped_or_given(path); /* experiments/vocabularies is shipped with the programs */
  err error = !found ? mem_error(strlen(path), path)
              : kind == TOKENIZER_WORDPIECE
                  ? wordpiece_open(found, &t->pieces)
                  : bpe_open(found, kind == TOKENIZER_BPE_HUGGINGFACE, &t->pairs);
  free(found);
  if (error) {
    free(t);
    return err_context(error, "text.vocabulary");
  }
  t->special = t->pieces ? wordpiece_specials(t->pieces) : bpe_specials(t->pairs);
  t->ends = special_tokens == SPECIAL_TOKENS_BOTH ? 1 : 0;
  *out = t;
  return NULL;
}

err tokenizer_open_for(const settings *s, tokenizer **out) {
  err error = tokenizer_open(s->text_tokenizer, s->text_special_tokens, s->text_vocabulary, out);
  if (!error && !s->text_repair && (*out)->pairs) bpe_leave_encoding((*out)->pairs);
  return error;
}

err tokenizer_count_for(const settings *s, int64_t *count) {
  tokenizer *t;
  err error = tokenizer_open_for(s, &t);
  if (error) return error;
  *count = tokenizer_vocabulary_size(t);
  tokenizer_close(t);
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

int32_t tokenizer_word(const tokenizer *t, const int32_t *ids, int32_t count, strbuf *word) {
  int32_t used = 0;
  bool ends = false;
  strbuf_clear(word);
  while (used < count && !ends) {
    const char *spelling = tokenizer_token(t, ids[used]);
    if (t->pairs) {
      ends = bpe_append_spelled(spelling, word);
    } else {
      bool is_inside = strncmp(spelling, "##", 2) == 0 && spelling[2];
      if (used && !is_inside) break;
      strbuf_append(word, spelling + (is_inside ? 2 : 0));
    }
    used++;
  }
  return used;
}

int32_t tokenizer_padding(const tokenizer *t) {
  return t->special.padding;
}

int64_t tokenizer_ends(const tokenizer *t) {
  return t->ends;
}

int32_t tokenizer_end(const tokenizer *t) {
  return t->special.end;
}

err tokenizer_encode(const tokenizer *t, const char *text, int64_t length, int32_t *ids,
                     int32_t *count) {
  int64_t used = 0, most = length - 2 * t->ends;
  int32_t *words = ids + t->ends;
  err error = t->pieces ? wordpiece_encode(t->pieces, text, most, words, &used)
                        : bpe_encode(t->pairs, text, most, words, &used);
  if (error) return error;
  if (t->ends) {
    ids[0] = t->special.start;
    ids[used + 1] = t->special.end;
    used += 2;
  }
  *count = (int32_t)used;
  for (; used < length; used++) ids[used] = t->special.padding;
  return NULL;
}
