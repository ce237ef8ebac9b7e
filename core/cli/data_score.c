#include "cli/data_score.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/progress.h"
#include "cli/trained.h"
#include "eval/pictures.h"

/* A batch of samples as the model takes them. */
typedef struct {
  trained t;
  int64_t batch;
  image_preparation how;
  uint8_t *pixels;
  int32_t *ids, *counts;
  float *images, *texts;
  bool *is_there;
} scorer;

static err open_scorer(scorer *s, const char *model, const option_list *sets) {
  err error = trained_open(model, sets, true, &s->t);
  if (error) return error;
  const settings *c = &s->t.s;
  size_t batch = (size_t)c->eval_batch_size;
  s->batch = c->eval_batch_size;
  s->how = image_preparation_of(c);
  s->pixels = mem_zeroed(batch, (size_t)(c->image_size * c->image_size * 3));
  s->ids = mem_zeroed(batch * (size_t)c->text_length, sizeof *s->ids);
  s->counts = mem_zeroed(batch, sizeof *s->counts);
  s->images = mem_zeroed(batch * (size_t)c->embed_dim, sizeof *s->images);
  s->texts = mem_zeroed(batch * (size_t)c->embed_dim, sizeof *s->texts);
  s->is_there = mem_zeroed(batch, sizeof *s->is_there);
  return s->pixels && s->ids && s->counts && s->images && s->texts && s->is_there
             ? NULL
             : mem_error(batch, "a batch to score");
}

static void close_scorer(scorer *s) {
  trained_close(&s->t);
  free(s->pixels);
  free(s->ids);
  free(s->counts);
  free(s->images);
  free(s->texts);
  free(s->is_there);
}

/* Prepares sample `row` in position i. If it cannot be read or decoded, the position is unchanged
 * and marked. */
static err prepare(scorer *s, const dataset *data, int64_t row, int64_t i) {
  const settings *c = &s->t.s;
  int64_t length = c->text_length, size = c->image_size;
  dataset_sample sample = {0};
  err error = dataset_read(data, row, &sample);
  if (!error)
    error = pictures_prepare(sample.image, sample.image_bytes, &s->how,
                             s->pixels + i * size * size * 3);
  if (!error)
    error =
        tokenizer_encode(s->t.words, sample.caption, length, s->ids + i * length, &s->counts[i]);
  s->is_there[i] = !error;
  if (error && err_kind_of(error) == ERR_INPUT) {
    err_free(error);
    error = NULL;
  }
  dataset_sample_free(&sample);
  return error;
}

static float cosine(const float *a, const float *b, int64_t width) {
  double sum = 0, of_a = 0, of_b = 0;
  for (int64_t j = 0; j < width; j++) {
    sum += (double)a[j] * (double)b[j];
    of_a += (double)a[j] * (double)a[j];
    of_b += (double)b[j] * (double)b[j];
  }
  return (float)(sum / sqrt(of_a * of_b));
}

static err score_batch(scorer *s, const dataset *data, int64_t first, int64_t count,
                       float *scores) {
  int64_t width = s->t.s.embed_dim;
  err error = NULL;
#pragma omp parallel for schedule(dynamic, 4)
  for (int64_t i = 0; i < count; i++) {
    err fault = prepare(s, data, first + i, i);
#pragma omp critical
    {
      if (!error)
        error = fault;
      else
        err_free(fault);
    }
  }
  if (error) return error;
  TRY(clip_embed_images(s->t.model, count, s->pixels, NULL, s->images));
  TRY(clip_embed_texts(s->t.model, count, s->ids, s->counts, s->texts));
  for (int64_t i = 0; i < count; i++)
    scores[first + i] =
        s->is_there[i] ? cosine(s->images + i * width, s->texts + i * width, width) : NAN;
cleanup:
  return error;
}

err data_scores(const dataset *data, const char *model, const option_list *sets, bool has_progress,
                float **scores) {
  int64_t rows = dataset_count(data);
  scorer s = {0};
  err error = open_scorer(&s, model, sets);
  if (!error) {
    *scores = mem_zeroed((size_t)rows, sizeof **scores);
    if (!*scores) error = mem_error((size_t)rows * sizeof **scores, "scores");
  }
  progress bar = progress_start("scoring", (double)rows, 0, has_progress);
  for (int64_t at = 0; at < rows && !error; at += s.batch) {
    int64_t count = rows - at < s.batch ? rows - at : s.batch;
    error = score_batch(&s, data, at, count, *scores);
    progress_update(&bar, (double)(at + count), "");
  }
  progress_clear(&bar);
  close_scorer(&s);
  return error;
}
