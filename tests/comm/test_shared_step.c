/* Updates on several ranks are those of one: in double precision, on threads as ranks, with
 * gradients in buckets of several sizes, with and without a sharded optimizer, with gradients
 * sent in bf16. */
#include "support/test.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "model/count.h"
#include "model/mask.h"
#include "support/comm_threads.h"
#include "support/ops_reference.h"
#include "train/step.h"

enum { BATCH = 24, VOCABULARY = 40, UPDATES = 3 };

typedef struct {
  const settings *s;
  comm *ranks;    /* NULL: alone */
  int64_t bucket; /* bytes */
  err error;
  int64_t total, own;            /* elements; of moments here */
  double *weights, *m, *v;       /* [total]: after the updates */
  double *summed, *held, *local; /* sums in bf16, begun early or late, and what they are of */
  step_result result;
  size_t started[3]; /* buckets begun before the backward pass ended */
} job;

static settings small_settings(void) {
  settings s;
  assert_ok(settings_init(&s));
  s.image_size = 12, s.image_patch = 4, s.image_width = 24, s.image_layers = 2, s.image_heads = 3;
  s.text_length = 5, s.text_width = 16, s.text_layers = 3, s.text_heads = 2, s.embed_dim = 12;
  s.batch_size = BATCH, s.eval_batch_size = 3, s.mask_ratio = 0.5;
  s.learning_rate = 1e-3, s.clip_norm = 0.05;
  return s;
}

typedef struct {
  uint8_t *images;
  int32_t *index, *ids, counts[BATCH];
} samples;

/* Of an update, the same on every rank; this rank's are [first, first + count). */
static clip_inputs draw(const settings *s, int64_t update, int64_t first, int64_t count,
                        samples *in) {
  mask_config mask = {s->mask_mode, s->mask_ratio, s->image_size / s->image_patch,
                      s->mask_replacement};
  int64_t pixels = s->image_size * s->image_size * 3, words = settings_text_tokens(s);
  int64_t kept = mask_encoded_count(&mask);
  rng r = rng_at(5, RNG_TEST, (uint64_t)update, 0);
  in->images = malloc((size_t)(BATCH * pixels));
  in->index = malloc((size_t)(BATCH * kept) * sizeof *in->index);
  in->ids = malloc((size_t)(BATCH * words) * sizeof *in->ids);
  for (int64_t i = 0; i < BATCH * pixels; i++) in->images[i] = (uint8_t)rng_below(&r, 256);
  for (int64_t i = 0; i < BATCH * words; i++) in->ids[i] = (int32_t)rng_below(&r, VOCABULARY);
  for (int i = 0; i < BATCH; i++) in->counts[i] = 1 + (int32_t)rng_below(&r, (uint32_t)words);
  err_free(mask_draw(&mask, 3, BATCH * update, BATCH, in->index));
  return (clip_inputs){.count = count,
                       .images = in->images + first * pixels,
                       .index = in->index + first * kept,
                       .ids = in->ids + first * words,
                       .id_counts = in->counts + first,
                       .first_sample = BATCH * update + first};
}

static void free_samples(samples *in) {
  free(in->images);
  free(in->index);
  free(in->ids);
}

static double *copy_of(ops_buffer x, int64_t count) {
  double *copy = malloc((size_t)count * sizeof *copy);
  memcpy(copy, x.data, (size_t)count * sizeof *copy);
  return copy;
}

/* The gradient of this rank's samples alone, then the buckets' sums of the same, and sums that are
 * held until the pass is over. */
static err sum_rounded(job *j, clip_model *m, buckets *b, int64_t first, int64_t own) {
  samples in = {0};
  err error = NULL;
  clip_inputs inputs = draw(j->s, 0, first, own, &in);
  for (int round = 0; round < 3; round++) {
    TRY(clip_clear_gradients(m));
    TRY(clip_forward(m, &inputs, 0, true));
    TRY(clip_loss(m, own, NULL));
    buckets_begin(b, round == 2);
    clip_set_watch(m, round ? &b->watch : NULL);
    TRY(clip_backward(m, 0, own));
    for (size_t i = 0; i < b->count; i++) j->started[round] += b->items[i].is_started;
    if (round) TRY(buckets_finish(b));
    double **copies[] = {&j->local, &j->summed, &j->held};
    *copies[round] = copy_of(clip_weights(m)->gradients, j->total);
  }
cleanup:
  clip_set_watch(m, NULL);
  free_samples(&in);
  return error;
}

static err update(job *j, clip_model *m, optimizer *moments, train_step *step, int64_t first,
                  int64_t own) {
  ops_buffer whole;
  err error = NULL;
  for (int64_t i = 0; i < UPDATES && !error; i++) {
    samples in = {0};
    clip_inputs inputs = draw(j->s, i, first, own, &in);
    TRY(step_stage(step, &inputs));
    TRY(step_launch(step, &inputs, i + 1, 1e-3));
    TRY(step_finish(step, &j->result));
    free_samples(&in);
  }
  TRY(optimizer_settle(moments));
  j->own = moments->own;
  j->weights = copy_of(clip_weights(m)->master, j->total);
  TRY(optimizer_collect(moments, OPTIMIZER_M, &whole));
  j->m = copy_of(whole, j->total);
  TRY(optimizer_collect(moments, OPTIMIZER_V, &whole));
  j->v = copy_of(whole, j->total);
cleanup:
  return error;
}

static void *run(void *argument) {
  job *j = argument;
  ops *o = NULL;
  clip_model *m = NULL;
  buckets shared = {0};
  optimizer moments = {0};
  train_step step = {0};
  clip_config config;
  clip_limits limits = model_limits(j->s);
  int size = comm_size(j->ranks);
  int64_t own = BATCH / size, first = comm_rank(j->ranks) * own;
  bool is_rounded = j->s->comm_reduce == COMM_REDUCE_BF16;
  buckets *b = j->ranks ? &shared : NULL;
  limits.batch = own;
  limits.ranks = size;
  if (limits.micro_batch > own) limits.micro_batch = own;
  clip_config_from(j->s, VOCABULARY, &config);
  err error = NULL;
  TRY(ops_create_reference(&o));
  TRY(clip_create(o, &config, &limits, true, &m));
  clip_set_ranks(m, j->ranks);
  TRY(clip_initialise(m, 1));
  j->total = clip_params(m)->total;
  if (b)
    TRY(buckets_open(b, m, j->ranks, j->bucket, is_rounded ? OPS_BF16 : OPS_F64,
                     j->s->optimizer_shard));
  TRY(optimizer_create(m, b, &moments));
  step_open(&step, j->s, m, &moments, limits.train_patches, b);
  if (is_rounded) TRY(sum_rounded(j, m, b, first, own));
  TRY(update(j, m, &moments, &step, first, own));
cleanup:
  j->error = error;
  step_close(&step);
  optimizer_destroy(&moments);
  buckets_close(&shared);
  clip_destroy(m);
  ops_destroy(o);
  return NULL;
}

static void free_job(job *j) {
  double *all[] = {j->weights, j->m, j->v, j->summed, j->held, j->local};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

static void run_ranks(const settings *s, int size, int64_t bucket_bytes, job *jobs) {
  comm_threads *group = comm_threads_create(size);
  pthread_t threads[COMM_THREADS_MOST];
  for (int r = 0; r < size; r++) {
    jobs[r] = (job){.s = s, .ranks = comm_threads_of(group, r), .bucket = bucket_bytes};
    assert_int_equal(pthread_create(&threads[r], NULL, run, &jobs[r]), 0);
  }
  for (int r = 0; r < size; r++) pthread_join(threads[r], NULL);
  for (int r = 0; r < size; r++) assert_ok(jobs[r].error);
  for (int r = 0; r < size; r++) jobs[r].ranks = NULL;
  comm_threads_destroy(group);
}

static void assert_near(const char *what, const double *got, const double *wanted, int64_t total,
                        int size, double most) {
  for (int64_t i = 0; i < total; i++)
    if (!(fabs(got[i] - wanted[i]) <= most))
      fail_msg("%d ranks: %s %lld is %.17g, of one %.17g", size, what, (long long)i, got[i],
               wanted[i]);
}

static void assert_same_bits(const job *a, const job *b) {
  size_t bytes = (size_t)a->total * sizeof(double);
  assert_memory_equal(a->weights, b->weights, bytes);
  assert_memory_equal(a->m, b->m, bytes);
  assert_memory_equal(a->v, b->v, bytes);
  assert_memory_equal(&a->result.loss, &b->result.loss, sizeof(double));
  assert_memory_equal(&a->result.grad_norm, &b->result.grad_norm, sizeof(double));
  assert_memory_equal(&a->result.logit_scale, &b->result.logit_scale, sizeof(double));
}

/* 1024 elements, one slice unit; several; one bucket of all. */
static const int64_t bucket_sizes[] = {8192, 70000, 1 << 24};
static const int rank_counts[] = {1, 2, 3, 4, 8};

/* An update divides by the root of a moment near 0, which makes rounding errors larger: within
 * 1e-9 of a learning rate of 1e-3. every: all numbers of ranks, or every second one. */
static void check(settings *s, size_t every) {
  job whole = {.s = s};
  run(&whole);
  assert_ok(whole.error);
  assert_true(whole.result.grad_norm > s->clip_norm); /* else clipping is not tested */
  for (size_t n = 0; n < sizeof rank_counts / sizeof *rank_counts; n += every) {
    int size = rank_counts[n];
    job first = {0};
    for (int c = 0; c < 6; c++) {
      job jobs[COMM_THREADS_MOST];
      s->optimizer_shard = c >= 3;
      run_ranks(s, size, bucket_sizes[c % 3], jobs);
      int64_t own = 0;
      for (int r = 0; r < size; r++) {
        assert_same_bits(&jobs[r], c || r ? (c ? &first : &jobs[0]) : &jobs[0]);
        own += jobs[r].own;
      }
      assert_int_equal(own, whole.total * (s->optimizer_shard ? 1 : size));
      assert_near("weight", jobs[0].weights, whole.weights, whole.total, size, 1e-12);
      assert_near("first moment", jobs[0].m, whole.m, whole.total, size, 1e-12);
      assert_near("norm", &jobs[0].result.grad_norm, &whole.result.grad_norm, 1, size, 1e-11);
      assert_near("scale", &jobs[0].result.logit_scale, &whole.result.logit_scale, 1, size, 1e-10);
      for (int r = c ? 0 : 1; r < size; r++) free_job(&jobs[r]);
      if (!c) first = jobs[0];
    }
    free_job(&first);
  }
  s->optimizer_shard = false;
  free_job(&whole);
}

static void updates_are_those_of_one_rank(void **state) {
  (void)state;
  settings s = small_settings();
  check(&s, 1);
  settings_free(&s);
}

static void with_the_gradient_cache_and_a_reconstruction(void **state) {
  (void)state;
  settings s = small_settings();
  s.micro_batch_size = 2;
  check(&s, 2);
  s.reconstruction_weight = 0.7, s.reconstruction_width = 12, s.reconstruction_heads = 2;
  check(&s, 2);
  settings_free(&s);
}

static void with_other_towers(void **state) {
  (void)state;
  settings s = small_settings();
  s.text_post_norm = true, s.temperature_learned = false;
  s.image_position = POSITION_LEARNED, s.image_pre_norm = true, s.image_class_token = false;
  check(&s, 2);
  settings_free(&s);
}

/* To 8 significant bits by arithmetic alone. */
static double rounded(double value) {
  int exponent;
  double fraction = frexp((double)(float)value, &exponent);
  return ldexp(nearbyint(ldexp(fraction, 8)), exponent - 8);
}

static void what_travels_in_bf16_is_rounded_and_no_more(void **state) {
  (void)state;
  settings s = small_settings();
  s.comm_reduce = COMM_REDUCE_BF16;
  for (size_t n = 0; n < sizeof rank_counts / sizeof *rank_counts; n++) {
    int size = rank_counts[n];
    job jobs[COMM_THREADS_MOST];
    run_ranks(&s, size, 70000, jobs);
    for (int64_t i = 0; i < jobs[0].total; i++) {
      double sum = 0;
      for (int r = 0; r < size; r++) sum += rounded(jobs[r].local[i]);
      for (int r = 0; r < size; r++)
        if (memcmp(&jobs[r].summed[i], &sum, sizeof sum) != 0 && sum != jobs[r].summed[i])
          fail_msg("%d ranks: sum %lld is %.17g, not %.17g", size, (long long)i, jobs[r].summed[i],
                   sum);
    }
    for (int r = 0; r < size; r++)
      assert_memory_equal(jobs[r].held, jobs[r].summed, (size_t)jobs[r].total * sizeof(double));
    for (int r = 0; r < size; r++) free_job(&jobs[r]);
  }
  settings_free(&s);
}

static void buckets_start_during_the_backward_pass(void **state) {
  (void)state;
  settings s = small_settings();
  s.comm_reduce = COMM_REDUCE_BF16; /* the job that counts */
  job jobs[COMM_THREADS_MOST];
  run_ranks(&s, 2, 8192, jobs);
  /* all but those of biases and norms, and one between the towers */
  int64_t buckets_of_weights = jobs[0].total / 1024 - 4;
  assert_int_equal(jobs[0].started[2], 0);
  if ((int64_t)jobs[0].started[1] < buckets_of_weights * 3 / 4)
    fail_msg("%zu of %lld buckets began before the backward pass ended", jobs[0].started[1],
             (long long)buckets_of_weights);
  for (int r = 0; r < 2; r++) free_job(&jobs[r]);
  settings_free(&s);
}

static void buckets_cover_everything_once(void **state) {
  (void)state;
  const int64_t totals[] = {1, 1023, 1024, 5000, 100000}, most[] = {1, 1024, 3000, 1 << 20};
  for (size_t t = 0; t < 5; t++)
    for (size_t k = 0; k < 4; k++)
      for (int64_t border = 0; border <= totals[t]; border += totals[t] / 3 + 1) {
        comm_slice parts[256];
        size_t count = comm_cut(totals[t], border, most[k], parts);
        int64_t sum = 0;
        assert_true(count <= 256);
        for (size_t i = 0; i < count; i++) {
          assert_int_equal(parts[i].first % COMM_SLICE_UNIT, 0);
          assert_true(parts[i].count > 0);
          for (size_t j = 0; j < i; j++)
            assert_true(parts[i].first + parts[i].count <= parts[j].first ||
                        parts[j].first + parts[j].count <= parts[i].first);
          sum += parts[i].count;
        }
        assert_int_equal(sum, totals[t]);
      }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(updates_are_those_of_one_rank),
      cmocka_unit_test(with_the_gradient_cache_and_a_reconstruction),
      cmocka_unit_test(with_other_towers),
      cmocka_unit_test(what_travels_in_bf16_is_rounded_and_no_more),
      cmocka_unit_test(buckets_start_during_the_backward_pass),
      cmocka_unit_test(buckets_cover_everything_once),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
