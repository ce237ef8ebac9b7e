#include "cli/data_score.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/progress.h"
#include "cli/trained.h"
#include "eval/finite.h"
#include "eval/pictures.h"

enum { SLOTS = 2 };

/* A batch of samples as the model takes them, and their embeddings. */
typedef struct {
  int64_t first, count; /* rows; count 0: nothing to score */
  uint8_t *pixels;
  int32_t *ids, *counts;
  float *images, *texts;
  bool *is_bad;
} score_slot;

/* While the device encodes the samples of one slot, the other is filled. */
typedef struct {
  trained t;
  int64_t batch;
  image_preparation how;
  score_slot slots[SLOTS];
} scorer;

static err open_slot(const scorer *s, score_slot *slot) {
  const settings *c = &s->t.s;
  size_t batch = (size_t)c->eval_batch_size;
  size_t bytes = batch * (size_t)(c->image_size * c->image_size * 3);
  slot->pixels = mem_zeroed(1, bytes);
  slot->ids = mem_zeroed(batch * (size_t)c->text_length, sizeof *slot->ids);
  slot->counts = mem_zeroed(batch, sizeof *slot->counts);
  slot->images = mem_zeroed(batch * (size_t)c->embed_dim, sizeof *slot->images);
  slot->texts = mem_zeroed(batch * (size_t)c->embed_dim, sizeof *slot->texts);
  slot->is_bad = mem_zeroed(batch, sizeof *slot->is_bad);
  if (!slot->pixels || !slot->ids || !slot->counts || !slot->images || !slot->texts ||
      !slot->is_bad)
    return mem_error(bytes, "a batch to score");
  return s->t.o->call->pin ? s->t.o->call->pin(s->t.o, slot->pixels, bytes) : NULL;
}

static err open_scorer(scorer *s, const char *model, const option_list *sets) {
  err error = trained_open(model, sets, true, &s->t);
  s->batch = s->t.s.eval_batch_size;
  if (error) return error;
  s->how = image_preparation_of(&s->t.s);
  for (int i = 0; i < SLOTS && !error; i++) error = open_slot(s, &s->slots[i]);
  return error;
}

static void close_scorer(scorer *s) {
  for (int i = 0; i < SLOTS; i++) {
    const score_slot *slot = &s->slots[i];
    if (slot->pixels && s->t.o->call->unpin) s->t.o->call->unpin(s->t.o, slot->pixels);
    free(slot->pixels);
    free(slot->ids);
    free(slot->counts);
    free(slot->images);
    free(slot->texts);
    free(slot->is_bad);
  }
  trained_close(&s->t);
}

/* Prepares sample `row` in position i. If it cannot be read or decoded, the position is unchanged
 * and marked. */
static err prepare(const scorer *s, score_slot *to, const dataset *data, int64_t row, int64_t i) {
  const settings *c = &s->t.s;
  int64_t length = c->text_length, size = c->image_size;
  dataset_sample sample = {0};
  err error = dataset_read(data, row, &sample);
  if (!error)
    error = pictures_prepare(sample.image, sample.image_bytes, &s->how,
                             to->pixels + i * size * size * 3);
  if (!error)
    error =
        tokenizer_encode(s->t.words, sample.caption, length, to->ids + i * length, &to->counts[i]);
  to->is_bad[i] = error != NULL;
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

static err fill(const scorer *s, score_slot *slot, const dataset *data, int64_t first,
                int64_t count) {
  err error = NULL;
  slot->first = first;
  slot->count = count;
#pragma omp parallel for schedule(dynamic, 4)
  for (int64_t i = 0; i < count; i++) {
    err fault = prepare(s, slot, data, first + i, i);
#pragma omp critical
    {
      if (!error)
        error = fault;
      else
        err_free(fault);
    }
  }
  return error;
}

/* Of samples whose embeddings are there. A score of NaN means a sample that cannot be read. */
static err score(const scorer *s, score_slot *slot, float *scores) {
  int64_t width = s->t.s.embed_dim;
  err error = finite_check("--min-score", "images", slot->images, slot->count, width, slot->is_bad);
  if (!error)
    error = finite_check("--min-score", "texts", slot->texts, slot->count, width, slot->is_bad);
  if (error) return error;
  for (int64_t i = 0; i < slot->count; i++)
    scores[slot->first + i] =
        slot->is_bad[i] ? NAN : cosine(slot->images + i * width, slot->texts + i * width, width);
  slot->count = 0;
  return NULL;
}

/* Queues two batches, so that those of the other slot are done when it returns
 * (clip_queue_depth). */
static err encode(const scorer *s, const score_slot *slot) {
  static_assert((int)SLOTS == 2, "a slot is filled while the other is encoded");
  err error = clip_queue_images(s->t.model, slot->count, slot->pixels, NULL, slot->images);
  if (error) return error;
  return clip_queue_texts(s->t.model, slot->count, slot->ids, slot->counts, slot->texts);
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
  int now = 0;
  for (int64_t at = 0; at < rows && !error; at += s.batch) {
    int64_t count = rows - at < s.batch ? rows - at : s.batch;
    error = fill(&s, &s.slots[now], data, at, count);
    if (!error) error = encode(&s, &s.slots[now]);
    now = (now + 1) % SLOTS;
    if (!error) error = score(&s, &s.slots[now], *scores);
    progress_update(&bar, (double)(at + count), "");
  }
  if (s.t.model) error = clip_queue_finish(s.t.model, error);
  for (int i = 0; i < SLOTS && !error; i++) error = score(&s, &s.slots[i], *scores);
  progress_finish(&bar, NULL);
  close_scorer(&s);
  return error;
}
