/* A batch that is distributed over ranks has the loss and the gradient of the whole batch: in
 * double precision, on threads as ranks, for 1, 2, 4 and 8 of them, with and without the gradient
 * cache.
 */
#include "support/test.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "model/clip.h"
#include "model/count.h"
#include "model/mask.h"
#include "support/comm_threads.h"
#include "support/ops_reference.h"

enum { BATCH = 8, VOCABULARY = 11 };

typedef struct {
  uint8_t *images;
  int32_t *index, *ids, counts[BATCH];
  int64_t pixels, kept, words;
} samples;

typedef struct {
  const settings *s;
  const samples *in;
  comm *ranks; /* NULL: alone */
  err error;
  double loss, *gradients; /* of the whole batch */
  double pixels;           /* its reconstruction, NaN without one */
  int64_t total;
} job;

static settings small_settings(void) {
  settings s;
  assert_ok(settings_init(&s));
  s.image_size = 12, s.image_patch = 4, s.image_width = 12, s.image_layers = 2, s.image_heads = 3;
  s.text_length = 5, s.text_width = 8, s.text_layers = 2, s.text_heads = 2, s.embed_dim = 6;
  s.image_mlp_ratio = 2, s.text_mlp_ratio = 3, s.batch_size = BATCH, s.eval_batch_size = 3;
  s.mask_ratio = 0.5;
  return s;
}

static samples make_samples(const settings *s) {
  mask_config mask = {s->mask_mode, s->mask_ratio, s->image_size / s->image_patch,
                      s->mask_replacement};
  samples in = {.pixels = s->image_size * s->image_size * 3,
                .kept = mask_encoded_count(&mask),
                .words = settings_text_tokens(s)};
  rng r = rng_at(5, RNG_TEST, 0, 0);
  in.images = malloc((size_t)(BATCH * in.pixels));
  in.index = malloc((size_t)(BATCH * in.kept) * sizeof *in.index);
  in.ids = malloc((size_t)(BATCH * in.words) * sizeof *in.ids);
  for (int64_t i = 0; i < BATCH * in.pixels; i++) in.images[i] = (uint8_t)rng_below(&r, 256);
  for (int64_t i = 0; i < BATCH * in.words; i++) in.ids[i] = (int32_t)rng_below(&r, VOCABULARY);
  for (int i = 0; i < BATCH; i++) in.counts[i] = 1 + (int32_t)rng_below(&r, (uint32_t)in.words);
  assert_ok(mask_draw(&mask, 3, 100, BATCH, in.index));
  return in;
}

static void free_samples(samples *in) {
  free(in->images);
  free(in->index);
  free(in->ids);
}

/* The batch's samples from `first` on. */
static clip_inputs part(const samples *in, int64_t first, int64_t count) {
  return (clip_inputs){.count = count,
                       .images = in->images + first * in->pixels,
                       .index = in->index + first * in->kept,
                       .ids = in->ids + first * in->words,
                       .id_counts = in->counts + first,
                       .first_sample = 1000 + first};
}

/* Fresh weights plus noise: the same on every rank. */
static err roughen(clip_model *m) {
  for (size_t i = 0; i < clip_params(m)->count; i++) {
    const param *p = &clip_params(m)->items[i];
    double *values = malloc((size_t)param_elements(p) * sizeof *values);
    err error = clip_get(m, p, values);
    for (int64_t j = 0; j < param_elements(p) && !error; j++) {
      rng r = rng_at(9, RNG_TEST, i, (uint64_t)j);
      values[j] += 0.1 * rng_normal(&r);
    }
    if (!error) error = clip_set(m, p, values);
    free(values);
    if (error) return error;
  }
  return NULL;
}

static err compute(job *j, clip_model *m, int64_t first, int64_t own, int64_t micro) {
  err error = NULL;
  TRY(clip_clear_gradients(m));
  for (int64_t at = 0; at < own; at += micro) {
    clip_inputs in = part(j->in, first + at, micro);
    TRY(clip_forward(m, &in, at, micro == own));
  }
  TRY(clip_loss(m, own, &j->loss));
  for (int64_t at = 0; at < own; at += micro) {
    clip_inputs in = part(j->in, first + at, micro);
    if (micro < own) TRY(clip_forward(m, &in, at, true));
    TRY(clip_backward(m, at, micro));
  }
  if (j->ranks) TRY(comm_sum(j->ranks, j->total, clip_weights(m)->gradients));
  TRY(clip_share_reconstruction(m));
  TRY(clip_read_reconstruction(m, &j->pixels));
cleanup:
  return error;
}

static void *run(void *argument) {
  job *j = argument;
  ops *o = NULL;
  clip_model *m = NULL;
  clip_config config;
  clip_limits limits = model_limits(j->s);
  int size = comm_size(j->ranks);
  int64_t own = BATCH / size, first = comm_rank(j->ranks) * own, micro = limits.micro_batch;
  limits.batch = own;
  limits.ranks = size;
  limits.micro_batch = micro = micro < own ? micro : own;
  clip_config_from(j->s, VOCABULARY, &config);
  err error = NULL;
  TRY(ops_create_reference(&o));
  TRY(clip_create(o, &config, &limits, true, &m));
  clip_set_ranks(m, j->ranks);
  TRY(clip_initialise(m, 1));
  TRY(roughen(m));
  j->total = clip_params(m)->total;
  TRY(compute(j, m, first, own, micro));
  j->gradients = malloc((size_t)j->total * sizeof *j->gradients);
  memcpy(j->gradients, clip_weights(m)->gradients.data, (size_t)j->total * sizeof *j->gradients);
cleanup:
  j->error = error;
  clip_destroy(m);
  ops_destroy(o);
  return NULL;
}

static void assert_same(const job *got, const job *wanted) {
  assert_ok(got->error);
  assert_int_equal(got->total, wanted->total);
  if (!(fabs(got->loss - wanted->loss) <= 1e-12))
    fail_msg("rank %d of %d: loss %.17g, whole %.17g", comm_rank(got->ranks), comm_size(got->ranks),
             got->loss, wanted->loss);
  assert_true(isnan(got->pixels) == isnan(wanted->pixels));
  if (!isnan(wanted->pixels) && !(fabs(got->pixels - wanted->pixels) <= 1e-12))
    fail_msg("rank %d of %d: reconstruction %.17g, whole %.17g", comm_rank(got->ranks),
             comm_size(got->ranks), got->pixels, wanted->pixels);
  double greatest = 0;
  for (int64_t i = 0; i < wanted->total; i++) greatest = fmax(greatest, fabs(wanted->gradients[i]));
  for (int64_t i = 0; i < wanted->total; i++)
    if (!(fabs(got->gradients[i] - wanted->gradients[i]) <= 1e-13 * greatest))
      fail_msg("rank %d of %d: gradient %lld is %.17g, whole %.17g", comm_rank(got->ranks),
               comm_size(got->ranks), (long long)i, got->gradients[i], wanted->gradients[i]);
}

static void check(const settings *s) {
  samples in = make_samples(s);
  job whole = {.s = s, .in = &in};
  run(&whole);
  assert_ok(whole.error);
  for (int size = 1; size <= BATCH; size *= 2) {
    comm_threads *group = comm_threads_create(size);
    job jobs[COMM_THREADS_MOST];
    pthread_t threads[COMM_THREADS_MOST];
    for (int r = 0; r < size; r++) {
      jobs[r] = (job){.s = s, .in = &in, .ranks = comm_threads_of(group, r)};
      assert_int_equal(pthread_create(&threads[r], NULL, run, &jobs[r]), 0);
    }
    for (int r = 0; r < size; r++) pthread_join(threads[r], NULL);
    for (int r = 0; r < size; r++) {
      assert_same(&jobs[r], &whole);
      assert_memory_equal(jobs[r].gradients, jobs[0].gradients, (size_t)whole.total * 8);
    }
    for (int r = 0; r < size; r++) free(jobs[r].gradients);
    comm_threads_destroy(group);
  }
  free(whole.gradients);
  free_samples(&in);
}

static void the_gradient_is_that_of_the_whole_batch(void **state) {
  (void)state;
  settings s = small_settings();
  check(&s);
  settings_free(&s);
}

static void so_it_is_with_the_gradient_cache(void **state) {
  (void)state;
  settings s = small_settings();
  s.micro_batch_size = 1;
  check(&s);
  settings_free(&s);
}

static void and_with_other_losses(void **state) {
  (void)state;
  settings s = small_settings();
  s.normalize = false, s.temperature = 1;
  check(&s);
  s.normalize = true, s.loss_direction = LOSS_IMAGE_TO_TEXT;
  check(&s);
  s.loss_direction = LOSS_BOTH, s.temperature_learned = false;
  check(&s);
  settings_free(&s);
}

static void and_with_a_reconstruction(void **state) {
  (void)state;
  settings s = small_settings();
  s.reconstruction_weight = 0.7, s.reconstruction_width = 12, s.reconstruction_heads = 2;
  check(&s);
  s.micro_batch_size = 1;
  check(&s);
  settings_free(&s);
}

static void slices_cover_everything_once(void **state) {
  (void)state;
  for (int64_t total = 0; total < 300; total += 7)
    for (int size = 1; size < 9; size++) {
      int64_t next = 0;
      for (int r = 0; r < size; r++) {
        comm_slice s = comm_slice_of(total, size, r);
        assert_int_equal(s.first, next);
        assert_true(s.count >= 0);
        next += s.count;
      }
      assert_int_equal(next, total);
    }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_gradient_is_that_of_the_whole_batch),
      cmocka_unit_test(so_it_is_with_the_gradient_cache),
      cmocka_unit_test(and_with_other_losses),
      cmocka_unit_test(and_with_a_reconstruction),
      cmocka_unit_test(slices_cover_everything_once),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
