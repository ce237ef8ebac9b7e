#include "cli/vocabulary.h"

#include "base/log.h"
#include "model/count.h"
#include "text/tokenizer.h"

err vocabulary_count(const settings *s, int64_t *count) {
  *count = 0;
  if (s->classification_classes > 0) return NULL; /* it reads no text */
  *count = model_published_vocabulary(s);
  err error = *s->text_vocabulary ? tokenizer_count_for(s, count)
                                  : err_new(ERR_INPUT, "text.vocabulary is not set");
  if (error && err_kind_of(error) == ERR_MEMORY) return error;
  if (error)
    log_warning("%s; counting with %ld entries, as in the published vocabulary", err_message(error),
                (long)*count);
  err_free(error);
  return settings_check_vocabulary(s, *count);
}
