/* Ranks that score and fit together get the bits of a single rank: threads as ranks, 2 to 4 of
 * them. An error of one is an error of all. */
#include "support/test.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "eval/eval.h"
#include "eval/interval.h"
#include "eval/lars.h"
#include "eval/logistic.h"
#include "eval/share.h"
#include "support/comm_threads.h"

/* Classes and width at which ranks divide a tile (logistic.c) and a batch (lars.c). */
enum { IMAGES = 701, TEXTS = 1100, CLASSES = 70, WIDTH = 64, BATCH = 256, STEPS = 3 };
enum { PARAMETERS = CLASSES * (WIDTH + 1) };

typedef struct {
  float images[IMAGES * WIDTH], texts[TEXTS * WIDTH], classes[CLASSES * WIDTH];
  int32_t labels[IMAGES], owners[TEXTS], halves[IMAGES];
  int8_t truths[IMAGES * CLASSES];
} samples;

/* Everything that is computed. */
typedef struct {
  eval_zeroshot zeroshot, several;
  eval_retrieval retrieval;
  uint8_t top1[(IMAGES + 7) / 8];
  double auc, auc_bounds[2], hit_bounds[2], class_bounds[2];
  float resampled[EVAL_RESAMPLES];
  double fitted[PARAMETERS], c, validation;
  double losses[STEPS], weights[CLASSES * WIDTH];
} results;

typedef struct {
  const samples *in;
  comm *ranks; /* NULL: alone */
  results *out;
  err error, shared;
} job;

static samples *make_samples(void) {
  samples *s = calloc(1, sizeof *s);
  rng r = rng_at(11, RNG_TEST, 0, 0);
  for (int i = 0; i < CLASSES * WIDTH; i++) s->classes[i] = (float)rng_normal(&r);
  for (int i = 0; i < IMAGES; i++) {
    s->labels[i] = (int32_t)rng_below(&r, CLASSES);
    s->halves[i] = s->labels[i] % 2;
    for (int k = 0; k < WIDTH; k++)
      s->images[i * WIDTH + k] = (float)(4 * rng_normal(&r)) + s->classes[s->labels[i] * WIDTH + k];
    for (int c = 0; c < CLASSES; c++)
      s->truths[i * CLASSES + c] = c == s->labels[i] || rng_below(&r, 9) == 0 ? 1 : -1;
  }
  for (int t = 0; t < TEXTS; t++) {
    s->owners[t] = t * IMAGES / TEXTS;
    for (int k = 0; k < WIDTH; k++)
      s->texts[t * WIDTH + k] = s->images[s->owners[t] * WIDTH + k] + (float)(4 * rng_normal(&r));
  }
  return s;
}

static err score(const job *j) {
  const samples *in = j->in;
  results *out = j->out;
  eval_outcomes items = {0};
  float margins[IMAGES];
  err error = NULL;
  for (int i = 0; i < IMAGES; i++) margins[i] = in->images[i * WIDTH];
  TRY(eval_score_zeroshot_items(j->ranks, in->images, in->labels, IMAGES, in->classes, CLASSES,
                                WIDTH, &out->zeroshot, &items));
  TRY(eval_score_retrieval_items(j->ranks, in->images, IMAGES, in->texts, in->owners, TEXTS, WIDTH,
                                 &out->retrieval, &items));
  memcpy(out->top1, items.top[0], sizeof out->top1);
  TRY(interval_of_hits(j->ranks, &items, "image_to_text_r5", out->hit_bounds));
  TRY(interval_of_hits(j->ranks, &items, "mean_per_class", out->class_bounds));
  TRY(eval_score_auc(j->ranks, margins, in->halves, IMAGES, &out->auc, out->auc_bounds, NULL));
  TRY(eval_score_multilabel(j->ranks, in->images, in->truths, 90, in->classes, CLASSES, WIDTH,
                            &out->several, &items));
  memcpy(out->resampled, items.resampled, sizeof out->resampled);
cleanup:
  eval_outcomes_free(&items);
  return error;
}

static err fit(const job *j) {
  const samples *in = j->in;
  const logistic_data data = {in->images, in->labels, IMAGES, WIDTH, CLASSES, j->ranks};
  logistic fitted = {0};
  logistic_sweep sweep;
  lars_probe probe = {0};
  err error = NULL;
  TRY(logistic_fit_swept(&data, 7, 2, &fitted, &sweep));
  memcpy(j->out->fitted, fitted.weights, sizeof j->out->fitted);
  j->out->c = sweep.c;
  j->out->validation = sweep.validation;
  TRY(lars_begin(CLASSES, WIDTH, BATCH, 3, &probe));
  probe.ranks = j->ranks;
  for (int u = 0; u < STEPS; u++)
    TRY(lars_step(&probe, in->images + u * 100 * WIDTH, in->labels + u * 100, BATCH, 0.5,
                  &j->out->losses[u]));
  memcpy(j->out->weights, probe.weights, sizeof j->out->weights);
cleanup:
  logistic_free(&fitted);
  lars_end(&probe);
  return error;
}

static void *work(void *argument) {
  job *j = argument;
  j->error = score(j);
  if (!j->error) j->error = fit(j);
  /* then the last rank alone fails */
  int32_t parts[CLASSES] = {0};
  bool is_last = j->ranks && j->ranks->rank == j->ranks->size - 1;
  if (j->ranks)
    j->shared = share_gather(j->ranks, is_last ? err_new(ERR_IO, "a broken disk") : NULL, CLASSES,
                             1, sizeof *parts, parts);
  return NULL;
}

static void ranks_have_the_bits_of_one(void **state) {
  (void)state;
  samples *in = make_samples();
  results *alone = calloc(1, sizeof *alone);
  job single = {.in = in, .out = alone};
  work(&single);
  assert_ok(single.error);
  assert_true(alone->zeroshot.top1 > 0.05 && alone->zeroshot.top1 < 0.95);
  assert_true(alone->retrieval.text_to_image[1] > 0.05);
  for (int size = 2; size <= 4; size++) {
    comm_threads *group = comm_threads_create(size);
    pthread_t threads[4];
    job jobs[4];
    for (int r = 0; r < size; r++) {
      jobs[r] = (job){in, comm_threads_of(group, r), calloc(1, sizeof(results)), NULL, NULL};
      assert_int_equal(pthread_create(&threads[r], NULL, work, &jobs[r]), 0);
    }
    for (int r = 0; r < size; r++) pthread_join(threads[r], NULL);
    for (int r = 0; r < size; r++) {
      assert_ok(jobs[r].error);
      if (memcmp(jobs[r].out, alone, sizeof *alone) != 0)
        fail_msg("rank %d of %d: the numbers differ from those of a single rank", r, size);
      assert_non_null(jobs[r].shared);
      assert_int_equal(err_kind_of(jobs[r].shared), ERR_IO);
      assert_non_null(strstr(err_message(jobs[r].shared), "a broken disk"));
      err_free(jobs[r].shared);
      free(jobs[r].out);
    }
    comm_threads_destroy(group);
  }
  free(alone);
  free(in);
}

/* A rank needs nothing of the images that others score. */
static void *score_own(void *argument) {
  job *j = argument;
  samples *own = malloc(sizeof *own);
  memcpy(own, j->in, sizeof *own);
  const comm_slice part = share_of(IMAGES, 1, j->ranks->size, j->ranks->rank);
  for (int64_t i = 0; i < IMAGES; i++)
    if (i < part.first || i >= part.first + part.count)
      for (int k = 0; k < WIDTH; k++) own->images[i * WIDTH + k] = NAN;
  j->error = eval_score_zeroshot_items(j->ranks, own->images, own->labels, IMAGES, own->classes,
                                       CLASSES, WIDTH, &j->out->zeroshot, NULL);
  free(own);
  return NULL;
}

static void every_rank_scores_its_part_alone(void **state) {
  (void)state;
  samples *in = make_samples();
  eval_zeroshot wanted;
  assert_ok(
      eval_score_zeroshot(in->images, in->labels, IMAGES, in->classes, CLASSES, WIDTH, &wanted));
  comm_threads *group = comm_threads_create(3);
  pthread_t threads[3];
  job jobs[3];
  for (int r = 0; r < 3; r++) {
    jobs[r] = (job){in, comm_threads_of(group, r), calloc(1, sizeof(results)), NULL, NULL};
    assert_int_equal(pthread_create(&threads[r], NULL, score_own, &jobs[r]), 0);
  }
  for (int r = 0; r < 3; r++) {
    pthread_join(threads[r], NULL);
    assert_ok(jobs[r].error);
    assert_true(jobs[r].out->zeroshot.top1 == wanted.top1);
    assert_true(jobs[r].out->zeroshot.top5 == wanted.top5);
    free(jobs[r].out);
  }
  comm_threads_destroy(group);
  free(in);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(ranks_have_the_bits_of_one),
      cmocka_unit_test(every_rank_scores_its_part_alone),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
