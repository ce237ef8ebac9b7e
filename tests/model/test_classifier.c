/* A classifier of images: its gradients against finite differences in double, its loss by hand, and
 * drop path. */
#include "model/fixture.h"

static settings classifier_settings(bool is_openai) {
  settings s = small_settings(is_openai);
  s.mask_ratio = 0;
  s.classification_classes = 4;
  return s;
}

/* A classifier has the image tower and a head; drop path and dropout together. */
static void a_classifiers_gradients_match_finite_differences(void **state) {
  (void)state;
  for (int variant = 0; variant < 4; variant++) {
    settings s = classifier_settings(variant == 1);
    if (variant >= 2) s.image_layers = 3, s.classification_drop_path = 0.5;
    if (variant == 3) s.image_dropout = 0.2, s.image_recompute = RECOMPUTE_BLOCKS;
    check_all_gradients(&s);
    settings_free(&s);
  }
}

/* Computed from the logits, which evaluation returns as floats: log-sum-exp minus the target's mean
 * logit. */
static void a_classifiers_loss_is_the_smoothed_cross_entropy(void **state) {
  (void)state;
  enum { CLASSES = 4 };
  settings s = classifier_settings(false);
  fixture f = make(&s);
  float logits[BATCH * CLASSES];
  double loss, wanted = 0;
  assert_null(param_table_find(clip_params(f.model), "text.words"));
  assert_null(param_table_find(clip_params(f.model), "logit_scale"));
  assert_ok(clip_embed_images(f.model, BATCH, f.images, NULL, logits));
  for (int i = 0; i < BATCH; i++) {
    const float *z = logits + i * CLASSES;
    double sum = 0, mean = 0;
    for (int c = 0; c < CLASSES; c++) {
      sum += exp((double)z[c]);
      double share = shares_of[i];
      double target = 0.1 / CLASSES + 0.9 * (share * (classes_of[i] == c) +
                                             (1 - share) * (classes_of[BATCH - 1 - i] == c));
      mean += target * (double)z[c];
    }
    wanted += (log(sum) - mean) / BATCH;
  }
  assert_ok(clip_forward(f.model, &f.inputs, 0, true));
  compute_loss(&f, &loss);
  assert_true(fabs(loss - wanted) < 1e-5);
  /* in two parts it is the same */
  clip_inputs part = f.inputs;
  part.count = 3;
  assert_ok(clip_forward(f.model, &part, 0, true));
  assert_ok(clip_class_loss(f.model, 0, 3, &mixed_targets));
  part.count = 2;
  part.images += 3 * s.image_size * s.image_size * 3;
  assert_ok(clip_forward(f.model, &part, 3, true));
  assert_ok(clip_class_loss(f.model, 3, 2, &mixed_targets));
  assert_ok(clip_read_loss(f.model, &wanted));
  assert_true(fabs(loss - wanted) < 1e-12);
  unmake(&f);
  settings_free(&s);
}

/* Drop path is off in evaluation, on in training; the first block is never dropped, so that with
 * one block there is none. */
static void drop_path_rises_from_nothing_in_the_first_block(void **state) {
  (void)state;
  for (int layers = 1; layers <= 2; layers++) {
    settings s = classifier_settings(false), none = classifier_settings(false);
    s.image_layers = none.image_layers = layers;
    s.classification_drop_path = 0.8;
    fixture with = make(&s), without = make(&none);
    float a[BATCH * 4], b[BATCH * 4];
    double dropped, whole;
    assert_ok(clip_embed_images(with.model, BATCH, with.images, NULL, a));
    assert_ok(clip_embed_images(without.model, BATCH, with.images, NULL, b));
    assert_memory_equal(a, b, sizeof a);
    dropped = loss_of(&with), whole = loss_of(&without);
    assert_true(layers == 1 ? dropped == whole : dropped != whole);
    unmake(&with), unmake(&without);
    settings_free(&s), settings_free(&none);
  }
}

/* What the block adds becomes 0. */
static void silence(const clip_model *m, int64_t block) {
  static const char *const last[] = {"out.weight", "out.bias", "fc2.weight", "fc2.bias"};
  for (size_t i = 0; i < 4; i++) {
    char name[PARAM_NAME_SIZE];
    snprintf(name, sizeof name, "image.blocks.%d.%s", (int)block, last[i]);
    const param *p = param_table_find(clip_params(m), name);
    assert_non_null(p);
    memset((double *)clip_weights(m)->master.data + p->offset, 0,
           (size_t)param_elements(p) * sizeof(double));
  }
}

/* Of three blocks only one adds something: dropped is what the second and the third add. */
static void each_block_but_the_first_is_dropped(void **state) {
  (void)state;
  enum { LAYERS = 3 };
  for (int64_t heard = 0; heard < LAYERS; heard++) {
    settings s = classifier_settings(false), none = classifier_settings(false);
    s.image_layers = none.image_layers = LAYERS;
    s.classification_drop_path = 0.8;
    fixture with = make(&s), without = make(&none);
    for (int64_t block = 0; block < LAYERS; block++) {
      if (block == heard) continue;
      silence(with.model, block);
      silence(without.model, block);
    }
    double dropped = loss_of(&with), whole = loss_of(&without);
    assert_true(heard ? dropped != whole : dropped == whole);
    unmake(&with), unmake(&without);
    settings_free(&s), settings_free(&none);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_classifiers_gradients_match_finite_differences),
      cmocka_unit_test(a_classifiers_loss_is_the_smoothed_cross_entropy),
      cmocka_unit_test(drop_path_rises_from_nothing_in_the_first_block),
      cmocka_unit_test(each_block_but_the_first_is_dropped),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
