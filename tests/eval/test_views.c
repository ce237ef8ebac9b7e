/* Complementary masked views: which patches they show, and what becomes of their embeddings. */
#include "support/test.h"

#include <math.h>
#include <stdlib.h>

#include "base/rng.h"
#include "config/settings.h"
#include "eval/views.h"
#include "model/mask.h"
#include "ops/device.h"

enum { IMAGES = 5, SIDE = 8, PATCHES = 16 };

static clip_config config_of(double ratio, bool normalizes, settings *s) {
  clip_config config;
  assert_ok(settings_init(s));
  s->image_size = SIDE;
  s->image_patch = 2;
  s->image_width = s->text_width = 16;
  s->image_layers = s->text_layers = 1;
  s->image_heads = s->text_heads = 2;
  s->embed_dim = 8;
  s->text_length = 4;
  s->eval_mask_ratio = ratio;
  s->normalize = normalizes;
  clip_config_from(s, 50, &config);
  return config;
}

static void each_patch_is_in_exactly_one_view(void **state) {
  (void)state;
  settings s;
  clip_config config = config_of(0.75, true, &s);
  const eval_how how = {.mask_ratio = 0.75, .is_ensemble = true, .seed = 3};
  eval_views views;
  int32_t index[4 * IMAGES * 4], single[IMAGES * 4];
  assert_ok(views_plan(&config, &how, &views));
  assert_int_equal(views.count, 4);
  assert_int_equal(views.keep, 4);
  assert_ok(views_draw(&views, 7, IMAGES, index));
  for (int i = 0; i < IMAGES; i++) {
    int seen[PATCHES] = {0};
    for (int v = 0; v < 4; v++)
      for (int k = 0; k < 4; k++) {
        int32_t patch = index[(v * IMAGES + i) * 4 + k];
        assert_in_range(patch, 0, PATCHES - 1);
        assert_true(k == 0 || patch > index[(v * IMAGES + i) * 4 + k - 1]);
        seen[patch]++;
      }
    for (int p = 0; p < PATCHES; p++) assert_int_equal(seen[p], 1);
  }
  /* the patches that the first view leaves out are shared out in an order of the image's own */
  for (int i = 0; i < IMAGES; i++) {
    int32_t rest[12];
    int left = 0;
    for (int32_t p = 0; p < PATCHES; p++) {
      bool is_first = false;
      for (int k = 0; k < 4; k++) is_first = is_first || index[i * 4 + k] == p;
      if (!is_first) rest[left++] = p;
    }
    assert_int_equal(left, 12);
    rng random = rng_at(3, RNG_MASK, 1, (uint64_t)(7 + i));
    for (int64_t at = 11; at > 0; at--) {
      int64_t other = rng_below(&random, (uint32_t)at + 1);
      int32_t kept = rest[at];
      rest[at] = rest[other];
      rest[other] = kept;
    }
    for (int k = 0; k < 12; k++) {
      const int32_t *view = index + ((1 + k / 4) * IMAGES + i) * 4;
      bool is_there = false;
      for (int j = 0; j < 4; j++) is_there = is_there || view[j] == rest[k];
      assert_true(is_there);
    }
  }
  /* the first view is what a single masked view shows */
  const mask_config mask = {MASK_RANDOM, 0.75, 4, false};
  assert_ok(mask_draw(&mask, 3, 7, IMAGES, single));
  assert_memory_equal(index, single, sizeof single);
  /* an image's views do not depend on where its batch begins, and differ between images */
  int32_t alone[4 * 4];
  assert_ok(views_draw(&views, 9, 1, alone));
  for (int v = 0; v < 4; v++)
    assert_memory_equal(alone + v * 4, index + (v * IMAGES + 2) * 4, 4 * sizeof *alone);
  assert_memory_not_equal(index + IMAGES * 4, index + (IMAGES + 1) * 4, 4 * sizeof *index);
  settings_free(&s);
}

static void ratios_that_leave_unequal_views_are_refused(void **state) {
  (void)state;
  settings s;
  clip_config config = config_of(0, true, &s);
  eval_views views;
  const eval_how whole = {.is_ensemble = true}, odd = {.mask_ratio = 0.6, .is_ensemble = true};
  assert_fails_with(views_plan(&config, &whole, &views), "need eval.mask_ratio above 0");
  assert_fails_with(views_plan(&config, &odd, &views), "16 patches do not divide into views of 6");
  settings_free(&s);
}

static void unit_rows_are_averaged_and_brought_to_unit_length(void **state) {
  (void)state;
  /* (1, 0) and (0.6, 0.8): mean (0.8, 0.4), length sqrt(0.8) */
  const float rows[] = {1, 0, 9, 9, 0.6f, 0.8f};
  float row[2];
  views_join(rows, 2, 4, 2, true, row);
  assert_true(fabs((double)row[0] - 0.8 / sqrt(0.8)) < 1e-7);
  assert_true(fabs((double)row[1] - 0.4 / sqrt(0.8)) < 1e-7);
  views_join(rows, 2, 4, 2, false, row);
  assert_true(fabs((double)row[0] - 0.8) < 1e-7 && fabs((double)row[1] - 0.4) < 1e-7);
}

/* The ensemble of a model is the joined embeddings of its views, each embedded by itself. */
static void an_ensemble_is_made_of_its_views_embeddings(void **state) {
  (void)state;
  settings s;
  clip_config config = config_of(0.5, true, &s);
  const clip_limits limits = {.batch = 4,
                              .micro_batch = 4,
                              .train_patches = PATCHES,
                              .train_words = 4,
                              .eval_batch = 3,
                              .eval_patches = 8};
  const eval_how how = {.mask_ratio = 0.5, .is_ensemble = true, .seed = 5};
  ops *o = NULL;
  clip_model *model = NULL;
  eval_views views;
  uint8_t pixels[IMAGES * SIDE * SIDE * 3];
  int32_t index[2 * IMAGES * 8];
  float ensemble[IMAGES * 8], parts[2][IMAGES * 8];
  for (size_t i = 0; i < sizeof pixels; i++) pixels[i] = (uint8_t)(i * 37 % 251);
  assert_ok(ops_open_as(&s, PRECISION_FP32, &o));
  assert_ok(clip_create(o, &config, &limits, false, &model));
  assert_ok(clip_initialise(model, 1));
  assert_ok(views_plan(&config, &how, &views));
  assert_ok(views_embed(&views, model, 0, IMAGES, pixels, ensemble));
  assert_ok(views_draw(&views, 0, IMAGES, index));
  for (int v = 0; v < 2; v++)
    assert_ok(clip_embed_images(model, IMAGES, pixels, index + v * IMAGES * 8, parts[v]));
  assert_memory_not_equal(parts[0], parts[1], sizeof parts[0]);
  for (int i = 0; i < IMAGES; i++) {
    double mean[8], square = 0;
    for (int k = 0; k < 8; k++) {
      mean[k] = ((double)parts[0][i * 8 + k] + (double)parts[1][i * 8 + k]) / 2;
      square += mean[k] * mean[k];
    }
    for (int k = 0; k < 8; k++) /* a rounding of fp32 */
      assert_true(fabs((double)ensemble[i * 8 + k] - mean[k] / sqrt(square)) < 2e-7);
  }
  clip_destroy(model);
  ops_destroy(o);
  settings_free(&s);
}

/* Rounded to 16 bits a row would be up to 0.3 % longer or shorter than 1. */
static void embeddings_in_bf16_are_of_unit_length(void **state) {
  (void)state;
  settings s;
  clip_config config = config_of(0.5, true, &s);
  const clip_limits limits = {.batch = 4,
                              .micro_batch = 4,
                              .train_patches = PATCHES,
                              .train_words = 4,
                              .eval_batch = 3,
                              .eval_patches = PATCHES};
  ops *o = NULL;
  clip_model *model = NULL;
  uint8_t pixels[IMAGES * SIDE * SIDE * 3];
  int32_t ids[IMAGES * 4], counts[IMAGES];
  float embeddings[2][IMAGES * 8];
  for (size_t i = 0; i < sizeof pixels; i++) pixels[i] = (uint8_t)(i * 37 % 251);
  for (int i = 0; i < IMAGES * 4; i++) ids[i] = i % 7;
  for (int i = 0; i < IMAGES; i++) counts[i] = 1 + i % 4;
  assert_ok(ops_open_as(&s, PRECISION_BF16, &o));
  assert_ok(clip_create(o, &config, &limits, false, &model));
  assert_ok(clip_initialise(model, 1));
  assert_ok(clip_embed_images(model, IMAGES, pixels, NULL, embeddings[0]));
  assert_ok(clip_embed_texts(model, IMAGES, ids, counts, embeddings[1]));
  for (int i = 0; i < 2 * IMAGES; i++) {
    const float *row = embeddings[i / IMAGES] + i % IMAGES * 8;
    double square = 0;
    for (int k = 0; k < 8; k++) square += (double)row[k] * (double)row[k];
    assert_true(fabs(square - 1) < 1e-6); /* a rounding of fp32 each */
  }
  clip_destroy(model);
  ops_destroy(o);
  settings_free(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(each_patch_is_in_exactly_one_view),
      cmocka_unit_test(ratios_that_leave_unequal_views_are_refused),
      cmocka_unit_test(unit_rows_are_averaged_and_brought_to_unit_length),
      cmocka_unit_test(an_ensemble_is_made_of_its_views_embeddings),
      cmocka_unit_test(embeddings_in_bf16_are_of_unit_length),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
