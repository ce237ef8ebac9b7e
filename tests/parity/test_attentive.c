/* Attentive masking against towers and a moving average in torch (make_attentive_fixture.py, in
 * double): the scores of patches, the kept patches before each of three updates, the average after
 * them. In double on the reference backend, and in fp32 on the CPU, which keeps the same patches:
 * no two scores of the fixture are closer than 2e-7. */
#include "support/test.h"

#include <math.h>
#include <stdlib.h>

#include "model/count.h"
#include "support/open_cpu.h"
#include "support/ops_reference.h"
#include "train/attentive.h"
#include "train/safetensors.h"

enum { COUNT = 5, SIZE = 24, KEEP = 18, UPDATES = 3, TOTAL = 7, VOCABULARY = 7 };

static settings tower_settings(bool is_class, int64_t size, int64_t cell) {
  settings s;
  assert_ok(settings_init(&s));
  s.image_size = SIZE, s.image_patch = 4, s.image_width = 8, s.image_layers = 3, s.image_heads = 2;
  s.image_mlp_ratio = 2, s.embed_dim = 6;
  s.text_length = 3, s.text_width = 8, s.text_layers = 1, s.text_heads = 2;
  if (is_class) {
    s.image_position = POSITION_LEARNED, s.image_pool = IMAGE_POOL_CLASS, s.image_pre_norm = true;
    s.image_activation = ACTIVATION_QUICK_GELU;
  }
  s.batch_size = COUNT, s.eval_batch_size = 2; /* the images are scored in three parts */
  s.mask_ratio = 0.5, s.mask_mode = MASK_ATTENTIVE, s.attentive_momentum = 0.6;
  s.attentive_size = size == SIZE ? 0 : size;
  s.attentive_cell = cell;
  return s;
}

typedef struct {
  const safetensors_file *file;
  const char *name; /* of the tower */
  ops *o;
  clip_model *model;
  double tolerance;
} tested;

static const safetensor *found(const tested *t, const char *what) {
  char name[96];
  snprintf(name, sizeof name, "%s.%s", t->name, what);
  const safetensor *tensor = safetensors_find(t->file, name);
  if (!tensor) fail_msg("%s is missing", name);
  return tensor;
}

static void set_weights(const tested *t, int update) {
  const param_table *table = clip_params(t->model);
  bool is_wide = t->o->master == OPS_F64;
  int set = 0;
  for (size_t i = 0; i < table->count; i++) {
    const param *p = &table->items[i];
    char name[96];
    snprintf(name, sizeof name, "%s.%d.%s", t->name, update, p->name);
    const safetensor *weights = safetensors_find(t->file, name);
    if (!weights) continue; /* the text tower's and the scale */
    int64_t count = param_elements(p);
    assert_int_equal(weights->bytes, (size_t)count * sizeof(float));
    double *wide = calloc((size_t)count, sizeof *wide);
    for (int64_t j = 0; j < count; j++) wide[j] = (double)((const float *)weights->data)[j];
    assert_ok(clip_set(t->model, p, is_wide ? (const void *)wide : weights->data));
    free(wide);
    set++;
  }
  assert_int_equal(set, clip_average_params(t->model)->count); /* all of the image tower */
  assert_ok(clip_refresh(t->model));
}

static void check_near(const tested *t, double ours, double torch, const char *what, int64_t at) {
  if (!(fabs(ours - torch) <= t->tolerance * (1 + fabs(torch))))
    fail_msg("%s, tower %s: %s[%ld] is %.15g, torch has %.15g", t->o->call->name, t->name, what,
             (long)at, ours, torch);
}

static void check_average(const tested *t) {
  const param_table *table = clip_average_params(t->model);
  for (size_t i = 0; i < table->count; i++) {
    const param *p = &table->items[i];
    char name[PARAM_NAME_SIZE + 16];
    snprintf(name, sizeof name, "average.%s", p->name);
    const double *wanted = found(t, name)->data;
    ops_buffer at = ops_at(clip_average(t->model), p->offset);
    for (int64_t j = 0; j < param_elements(p); j++)
      check_near(t,
                 t->o->master == OPS_F64 ? ((double *)at.data)[j] : (double)((float *)at.data)[j],
                 wanted[j], p->name, j);
  }
}

static void check_kept(const tested *t, const settings *s, int64_t size, int update,
                       const int32_t *index) {
  char name[48];
  snprintf(name, sizeof name, "kept.%d.%d.%d", (int)size, (int)s->attentive_cell, update);
  const int32_t *wanted = found(t, name)->data;
  for (int i = 0; i < COUNT * KEEP; i++)
    if (index[i] != wanted[i])
      fail_msg("%s, tower %s, size %d, cell %d, update %d: kept patch %d of image %d is %d, torch "
               "has %d",
               t->o->call->name, t->name, (int)size, (int)s->attentive_cell, update, i % KEEP,
               i / KEEP, index[i], wanted[i]);
}

static void check_scores(const tested *t, int64_t size) {
  int64_t patches = clip_scored_patches(t->model);
  double *scores = calloc((size_t)(COUNT * patches), sizeof *scores);
  const uint8_t *images = safetensors_find(t->file, size == SIZE ? "images" : "small")->data;
  assert_ok(clip_score_patches(t->model, COUNT, images, scores));
  const double *wanted = found(t, size == SIZE ? "scores.24" : "scores.12")->data;
  for (int64_t i = 0; i < COUNT * patches; i++) check_near(t, scores[i], wanted[i], "score", i);
  free(scores);
}

static void check_run(tested *t, bool is_class, int64_t size, int64_t cell) {
  settings s = tower_settings(is_class, size, cell);
  clip_config config;
  clip_limits limits = model_limits(&s);
  attentive chooser;
  int32_t index[COUNT * KEEP];
  const uint8_t *images = safetensors_find(t->file, "images")->data;
  t->name = is_class ? "class" : "mean";
  assert_ok(settings_check_model(&s));
  clip_config_from(&s, VOCABULARY, &config);
  assert_int_equal(limits.train_patches, KEEP);
  assert_ok(clip_create(t->o, &config, &limits, true, &t->model));
  assert_ok(clip_initialise(t->model, 1));
  assert_ok(attentive_make(&chooser, &s, t->model, COUNT));
  for (int update = 0; update < UPDATES; update++) {
    set_weights(t, update);
    if (update == 0) assert_ok(clip_average_begin(t->model));
    assert_ok(
        attentive_choose(&chooser, COUNT, images, attentive_momentum(0.6, update, TOTAL), index));
    check_kept(t, &s, size, update, index);
  }
  check_average(t);
  check_scores(t, size);
  attentive_free(&chooser);
  clip_destroy(t->model);
  settings_free(&s);
}

static void check_backend(ops *o, double tolerance) {
  safetensors_file *file;
  assert_ok(
      safetensors_open(FLIP_SOURCE_DIR "/tests/parity/fixtures/attentive.safetensors", &file));
  tested t = {.file = file, .o = o, .tolerance = tolerance};
  for (int is_class = 0; is_class < 2; is_class++)
    for (int64_t size = SIZE; size >= SIZE / 2; size -= SIZE / 2)
      for (int64_t cell = 1; cell <= 2; cell++) check_run(&t, is_class, size, cell);
  safetensors_close(file);
  ops_destroy(o);
}

static void patches_are_chosen_as_in_torch(void **state) {
  (void)state;
  ops *o;
  assert_ok(ops_create_reference(&o));
  check_backend(o, 1e-12);
}

static void the_cpu_chooses_the_same_patches(void **state) {
  (void)state;
  ops *o;
  assert_ok(open_on_cpu((ops_request){.compute = OPS_F32}, &o));
  check_backend(o, 1e-6); /* three blocks in fp32 */
}

/* A-CLIP's released code: from the base value at the first update towards 1. */
static void the_momentum_rises_to_one(void **state) {
  (void)state;
  assert_true(fabs(attentive_momentum(0.996, 0, 100) - 0.996) < 1e-15);
  assert_true(fabs(attentive_momentum(0.996, 50, 100) - 0.998) < 1e-15);
  assert_true(attentive_momentum(0.996, 99, 100) < 1);
  assert_true(fabs(attentive_momentum(0.996, 100, 100) - 1) < 1e-15);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(patches_are_chosen_as_in_torch),
      cmocka_unit_test(the_cpu_chooses_the_same_patches),
      cmocka_unit_test(the_momentum_rises_to_one),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
