#include "sweep/vocabulary.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/count.h"
#include "text/tokenizer.h"

static err read_vocabulary(vocabulary_read *last, const settings *s) {
  bool is_known = last->path && strcmp(last->path, s->text_vocabulary) == 0 &&
                  last->tokenizer == s->text_tokenizer;
  if (is_known) return NULL;
  last->size = 0;
  err error = *s->text_vocabulary ? tokenizer_count_for(s, &last->size) : NULL;
  if (error && err_kind_of(error) == ERR_MEMORY) return error;
  if (error) last->size = 0;
  err_free(error);
  free(last->path);
  last->path = mem_copy_string(s->text_vocabulary);
  last->tokenizer = s->text_tokenizer;
  return last->path ? NULL : mem_error(0, "a path");
}

err vocabulary_count_of(vocabulary_read *last, const settings *s, int64_t *count,
                        bool *is_published) {
  *is_published = false;
  *count = s->text_vocabulary_rows > 0 ? s->text_vocabulary_rows : model_published_vocabulary(s);
  if (s->classification_classes > 0 || s->text_vocabulary_rows > 0) return NULL;
  err error = read_vocabulary(last, s);
  if (error) return error;
  *is_published = last->size == 0;
  if (last->size) *count = last->size;
  return NULL;
}

void vocabulary_free(vocabulary_read *last) {
  free(last->path);
  *last = (vocabulary_read){0};
}
