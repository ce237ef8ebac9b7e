/* The training step on every backend: the same losses and the same weights as the double-precision
 * reference, recorded or not, whole or in parts.  Run as `test_step cpu|simt|cuda`. */
#include "support/test.h"

#include <math.h>
#include <stdlib.h>

#include "base/rng.h"
#include "model/count.h"
#include "model/mask.h"
#include "support/open_cpu.h"
#include "support/open_cuda.h"
#include "support/ops_reference.h"
#include "support/ops_tape.h"
#include "train/step.h"
#ifdef FLIP_SIMT
#include "simt/backend.h"
#endif

enum { BATCH = 6, STEPS = 5, VOCABULARY = 13, SKIPPED = 77 /* as in CMakeLists.txt */ };

static err (*open_tested)(ops **out);
static bool reconstructs; /* dropped patches, in the runs from here on */
static bool has_noise;    /* dropout, and words with places of their own in their captions */

static err open_cpu(ops **out) {
  return open_on_cpu((ops_request){.compute = OPS_F32}, out);
}

#ifdef FLIP_SIMT
static err open_simt(ops **out) {
  return ops_create_simt(OPS_F32, out);
}
#endif

static err open_device(ops **out) {
  return open_cuda(PRECISION_FP32, out);
}

/* A model and its inputs, a batch a step. */
typedef struct {
  settings s;
  ops *o;
  clip_model *model;
  optimizer moments;
  train_step step;
  uint8_t *images;
  int32_t *index, *ids, *places, *counts;
  int64_t numbers[STEPS * BATCH]; /* of samples, given in every second step */
} rig;

static void make_inputs(rig *r, int64_t encoded) {
  const settings *s = &r->s;
  size_t pixels = (size_t)(BATCH * s->image_size * s->image_size * 3);
  mask_config mask = {s->mask_mode, s->mask_ratio, s->image_size / s->image_patch,
                      s->mask_replacement};
  int64_t words = settings_text_tokens(s);
  r->images = malloc(STEPS * pixels);
  r->index = malloc((size_t)(STEPS * BATCH * encoded) * 4);
  r->ids = malloc((size_t)(STEPS * BATCH * words) * 4);
  r->places = malloc((size_t)(STEPS * BATCH * words) * 4);
  r->counts = malloc(STEPS * BATCH * sizeof *r->counts);
  rng random = rng_at(5, RNG_TEST, 0, 0);
  for (size_t i = 0; i < STEPS * pixels; i++) r->images[i] = (uint8_t)rng_below(&random, 256);
  for (int64_t i = 0; i < STEPS * BATCH * words; i++)
    r->ids[i] = (int32_t)rng_below(&random, VOCABULARY);
  for (int i = 0; i < STEPS * BATCH; i++)
    r->counts[i] = 1 + (int32_t)rng_below(&random, (uint32_t)words);
  for (int64_t i = 0, first = 0; i < STEPS * BATCH * words; i++) {
    if (i % words == 0) first = rng_below(&random, (uint32_t)(s->text_length - words + 1));
    r->places[i] = (int32_t)(first + i % words);
  }
  for (int i = 0; i < STEPS * BATCH; i++) r->numbers[i] = rng_below(&random, 1000);
  for (int i = 0; i < STEPS; i++)
    assert_ok(mask_draw(&mask, 3, i * BATCH, BATCH, r->index + i * BATCH * encoded));
}

static void make(rig *r, ops *o, int64_t micro_batch, int64_t recompute) {
  static const char *const changes[] = {
      "image.size=24",  "image.patch=8",     "image.width=24",   "image.heads=3", "image.layers=2",
      "text.width=16",  "text.heads=2",      "text.layers=2",    "text.length=7", "embed_dim=8",
      "mask_ratio=0.5", "eval.batch_size=2", "weight_decay=0.3", "clip_norm=0.5", "text.pool=eot"};
  static const char *const noise[] = {"image.dropout=0.2", "text.dropout=0.3",
                                      "text_mask_mode=random", "text_mask_ratio=0.4",
                                      "text_mask_positions=original"};
  *r = (rig){.o = o};
  assert_ok(settings_init(&r->s));
  for (size_t i = 0; has_noise && i < sizeof noise / sizeof *noise; i++)
    assert_ok(settings_set(&r->s, noise[i]));
  if (reconstructs) {
    assert_ok(settings_set(&r->s, "reconstruction.weight=0.5"));
    assert_ok(settings_set(&r->s, "reconstruction.width=16"));
  }
  for (size_t i = 0; i < sizeof changes / sizeof *changes; i++)
    assert_ok(settings_set(&r->s, changes[i]));
  r->s.batch_size = BATCH;
  r->s.micro_batch_size = micro_batch;
  r->s.image_recompute = r->s.text_recompute = recompute;
  clip_config config;
  clip_config_from(&r->s, VOCABULARY, &config);
  clip_limits limits = model_limits(&r->s);
  assert_ok(clip_create(o, &config, &limits, true, &r->model));
  assert_ok(clip_initialise(r->model, 1));
  assert_ok(optimizer_create(r->model, NULL, &r->moments));
  step_open(&r->step, &r->s, r->model, &r->moments, limits.train_patches, NULL);
  make_inputs(r, limits.train_patches);
}

static void unmake(rig *r) {
  step_close(&r->step);
  optimizer_destroy(&r->moments);
  clip_destroy(r->model);
  ops_destroy(r->o);
  free(r->images);
  free(r->index);
  free(r->ids);
  free(r->places);
  free(r->counts);
  settings_free(&r->s);
}

static clip_inputs batch_of(const rig *r, int number) {
  int64_t first = (int64_t)number * BATCH, size = r->s.image_size;
  int64_t words = settings_text_tokens(&r->s);
  return (clip_inputs){.count = BATCH,
                       .images = r->images + first * size * size * 3,
                       .index = r->index + first * r->step.encoded_patches,
                       .ids = r->ids + first * words,
                       .places = has_noise ? r->places + first * words : NULL,
                       .id_counts = r->counts + first,
                       .first_sample = first,
                       .numbers = number % 2 ? r->numbers + first : NULL};
}

/* All steps in the trainer's order; losses [STEPS] and, at the end, weights [params.total]. */
static void run_steps(rig *r, step_result results[STEPS], double *weights) {
  clip_inputs batch = batch_of(r, 0);
  assert_ok(step_stage(&r->step, &batch));
  for (int i = 0; i < STEPS; i++) {
    batch = batch_of(r, i);
    assert_ok(step_launch(&r->step, &batch, i + 1, 0.01 / (i + 1)));
    if (i + 1 < STEPS) {
      batch = batch_of(r, i + 1);
      assert_ok(step_stage(&r->step, &batch));
    }
    assert_ok(step_finish(&r->step, &results[i]));
  }
  const param_table *table = clip_params(r->model);
  for (size_t p = 0; p < table->count; p++) {
    const param *item = &table->items[p];
    double values[8192]; /* double, or floats in its first half */
    assert_true(param_elements(item) <= 8192);
    assert_ok(clip_get(r->model, item, values));
    ops_buffer read = {values, r->o->master};
    for (int64_t i = 0; i < param_elements(item); i++)
      weights[item->offset + i] = reference_get(read, i);
  }
}

/* One run of a backend from fresh weights. */
static int64_t learn(ops *o, int64_t micro_batch, int64_t recompute, step_result results[STEPS],
                     double **weights) {
  rig r;
  make(&r, o, micro_batch, recompute);
  int64_t total = clip_params(r.model)->total;
  *weights = calloc((size_t)total, sizeof **weights);
  run_steps(&r, results, *weights);
  unmake(&r);
  return total;
}

/* The weights' difference over how far they can have moved: Adam moves a weight by the rate. */
static double distance(const double *a, const double *b, int64_t count) {
  double most = 0;
  for (int64_t i = 0; i < count; i++) {
    if (isnan(a[i]) || isnan(b[i])) return INFINITY;
    most = fmax(most, fabs(a[i] - b[i]));
  }
  return most / 0.01;
}

static void check_against_reference(int64_t micro_batch, int64_t recompute) {
  step_result wanted[STEPS], got[STEPS];
  double *right, *tested;
  ops *o;
  assert_ok(ops_create_reference(&o));
  int64_t total = learn(o, 0, 0, wanted, &right);
  assert_ok(open_tested(&o));
  learn(o, micro_batch, recompute, got, &tested);
  assert_true(wanted[STEPS - 1].loss < wanted[0].loss + 1); /* finite, and no explosion */
  for (int i = 0; i < STEPS; i++) {
    /* fp32 sums of some hundred terms, and what Adam makes of them in a step or two */
    assert_true(fabs(got[i].loss - wanted[i].loss) < 2e-5 * wanted[i].loss);
    assert_true(fabs(got[i].grad_norm - wanted[i].grad_norm) < 1e-3 * wanted[i].grad_norm);
    double pixels = wanted[i].reconstruction_loss;
    assert_true(reconstructs ? fabs(got[i].reconstruction_loss - pixels) < 2e-5 * pixels
                             : isnan(pixels) && isnan(got[i].reconstruction_loss));
    assert_true(fabs(got[i].logit_scale - wanted[i].logit_scale) < 1e-4 * wanted[i].logit_scale);
  }
  /* a gradient near zero has a sign that rounding decides, and Adam moves by signs */
  assert_true(distance(right, tested, total) < 0.5);
  free(right);
  free(tested);
}

static void steps_agree_with_the_reference(void **state) {
  (void)state;
  check_against_reference(0, 0);
}

static void steps_in_parts_agree_with_the_reference(void **state) {
  (void)state;
  check_against_reference(2, 0);
  check_against_reference(3, 1);
}

/* The same ops in the same order: the same bits. On a device the third step and later ones are its
 * own recording, here those of a tape around the backend. */
static void recorded_steps_give_the_same_bits(void **state) {
  (void)state;
  step_result plain[STEPS], recorded[STEPS];
  double *right, *tested;
  int replays = 0, count = 0;
  ops *o;
  rig r;
  assert_ok(open_tested(&o));
  bool records_itself = o->call->record != NULL;
  make(&r, o, 0, 0);
  r.step.may_record = false;
  int64_t total = clip_params(r.model)->total;
  right = calloc((size_t)total, sizeof *right);
  run_steps(&r, plain, right);
  unmake(&r);
  assert_ok(open_tested(&o));
  if (!records_itself) assert_ok(ops_create_tape(o, &replays, &count, &o));
  learn(o, 0, 0, recorded, &tested);
  assert_true(records_itself || (replays == STEPS - 2 && count > 2 * 50)); /* two input sets */
  for (int i = 0; i < STEPS; i++) {
    assert_true(recorded[i].loss == plain[i].loss);
    assert_true(!reconstructs || recorded[i].reconstruction_loss == plain[i].reconstruction_loss);
  }
  assert_memory_equal(right, tested, (size_t)total * sizeof *right);
  free(right);
  free(tested);
}

/* The decoder's lists are stored next to the inputs, in both sets. */
static void steps_that_reconstruct_agree_and_are_recorded(void **state) {
  reconstructs = true;
  check_against_reference(0, 0);
  check_against_reference(2, 0);
  recorded_steps_give_the_same_bits(state);
  reconstructs = false;
}

/* Noise and places are the sample's own: a micro-batch has those of its samples. */
static void samples_keep_their_noise_and_places_in_parts(void **state) {
  (void)state;
  has_noise = true;
  check_against_reference(2, 0);
  has_noise = false;
}

int main(int argc, char **argv) {
  const char *name = argc > 1 ? argv[1] : "cpu";
  ops *o = NULL;
  open_tested = strcmp(name, "cuda") == 0 ? open_device : open_cpu;
#ifdef FLIP_SIMT
  if (strcmp(name, "simt") == 0) open_tested = open_simt;
#endif
  err error = open_tested(&o);
  if (error) {
    printf("skipped: %s\n", err_message(error));
    err_free(error);
    return SKIPPED;
  }
  ops_destroy(o);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(steps_agree_with_the_reference),
      cmocka_unit_test(steps_in_parts_agree_with_the_reference),
      cmocka_unit_test(recorded_steps_give_the_same_bits),
      cmocka_unit_test(steps_that_reconstruct_agree_and_are_recorded),
      cmocka_unit_test(samples_keep_their_noise_and_places_in_parts),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
