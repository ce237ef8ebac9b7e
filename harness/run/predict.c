/* What can be said about a run before it runs. The only place that knows the model's counts. */
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "model/count.h"
#include "run/run.h"

static int64_t count_vocabulary(const char *path) {
  char *text = NULL;
  size_t length = 0;
  int64_t lines = 0;
  err error = fs_read(path, &text, &length);
  if (error) {
    err_free(error);
    return BERT_VOCABULARY;
  }
  for (size_t i = 0; i < length; i++) lines += text[i] == '\n';
  free(text);
  return lines;
}

double run_predict_flops(const settings *s) {
  model_counts counts;
  err error = model_count(s, count_vocabulary(s->text_vocabulary), OPS_F32, 0, &counts);
  if (error) {
    err_free(error);
    return 0;
  }
  return counts.train_sample;
}

int64_t run_predict_samples(const settings *s) {
  return s->samples;
}
