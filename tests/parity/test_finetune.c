/* Two whole updates of a classifier against PyTorch's in double (make_finetune_fixture.py): loss,
 * gradients, and the weights after AdamW with layer-wise rates. */
#include "support/test.h"

#include <math.h>
#include <stdlib.h>

#include "model/count.h"
#include "model/mask.h"
#include "support/ops_reference.h"
#include "train/safetensors.h"
#include "train/step.h"

enum { BATCH = 6, SIZE = 12, PATCHES = 9, UPDATES = 2 };

static safetensors_file *file;

static int open_file(void **state) {
  (void)state;
  err error =
      safetensors_open(FLIP_SOURCE_DIR "/tests/parity/fixtures/finetune.safetensors", &file);
  return error != NULL;
}

static int close_file(void **state) {
  (void)state;
  safetensors_close(file);
  return 0;
}

static const void *data_of(const char *group, const char *name) {
  char whole[128];
  snprintf(whole, sizeof whole, "%s%s", group, name);
  const safetensor *t = safetensors_find(file, whole);
  if (!t) fail_msg("the fixture has no %s", whole);
  return t->data;
}

static settings classifier_settings(int64_t micro_batch) {
  settings s;
  assert_ok(settings_init(&s));
  s.image_size = SIZE, s.image_patch = 4, s.image_width = 12, s.image_layers = 2, s.image_heads = 3;
  s.image_mlp_ratio = 2, s.classification_classes = 5, s.classification_label_smoothing = 0.1;
  s.batch_size = BATCH, s.micro_batch_size = micro_batch, s.eval_batch_size = 3;
  s.beta2 = 0.999, s.weight_decay = 0.05, s.classification_layer_decay = 0.75;
  return s;
}

/* Double on both sides, sums in another order: within 1e-10. */
static void check_tensors(const clip_model *m, const double *flat, const char *group) {
  const param_table *table = clip_params(m);
  for (size_t i = 0; i < table->count; i++) {
    const param *p = &table->items[i];
    const double *wanted = data_of(group, p->name), *ours = flat + p->offset;
    for (int64_t j = 0; j < param_elements(p); j++)
      if (!(fabs(ours[j] - wanted[j]) <= 1e-10 * (1 + fabs(wanted[j]))))
        fail_msg("%s%s[%ld]: %.15g, torch has %.15g", group, p->name, (long)j, ours[j], wanted[j]);
  }
}

static void check_updates(int64_t micro_batch) {
  settings s = classifier_settings(micro_batch);
  clip_config config;
  clip_model *m;
  ops *o;
  optimizer moments;
  train_step step;
  int32_t index[BATCH * PATCHES];
  double shares[BATCH];
  const double *losses = data_of("", "losses"), *rates = data_of("", "rates");
  const uint8_t *images = data_of("", "images");
  const int32_t *labels = data_of("", "labels");
  clip_limits limits = model_limits(&s);
  clip_config_from(&s, 0, &config);
  assert_ok(ops_create_reference(&o));
  assert_ok(clip_create(o, &config, &limits, true, &m));
  for (size_t i = 0; i < clip_params(m)->count; i++)
    assert_ok(
        clip_set(m, &clip_params(m)->items[i], data_of("before/", clip_params(m)->items[i].name)));
  assert_ok(clip_refresh(m));
  assert_ok(optimizer_create_layered(m, s.classification_layer_decay, NULL, &moments));
  step_open(&step, &s, m, &moments, PATCHES, NULL);
  for (int i = 0; i < BATCH * PATCHES; i++) index[i] = i % PATCHES;
  for (int i = 0; i < BATCH; i++) shares[i] = 0.7; /* of the fixture */
  for (int u = 0; u < UPDATES; u++) {
    const clip_inputs inputs = {.count = BATCH,
                                .images = images + u * BATCH * SIZE * SIZE * 3,
                                .index = index,
                                .first_sample = u * BATCH};
    const clip_targets targets = {BATCH, labels + u * BATCH, shares, 0.1};
    step_result result;
    step.targets = &targets;
    assert_ok(step_stage(&step, &inputs));
    assert_ok(step_launch(&step, &inputs, u + 1, rates[u]));
    assert_ok(step_finish(&step, &result));
    assert_true(fabs(result.loss - losses[u]) < 1e-12);
    assert_true(isnan(result.logit_scale));
    if (u == 0) check_tensors(m, clip_weights(m)->gradients.data, "gradient/");
    check_tensors(m, clip_weights(m)->master.data, u ? "after2/" : "after1/");
  }
  step_close(&step);
  optimizer_destroy(&moments);
  clip_destroy(m);
  ops_destroy(o);
  settings_free(&s);
}

static void two_updates_are_pytorchs(void **state) {
  (void)state;
  check_updates(0);
}

static void in_micro_batches_they_are_the_same(void **state) {
  (void)state;
  check_updates(2);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(two_updates_are_pytorchs),
      cmocka_unit_test(in_micro_batches_they_are_the_same),
  };
  return cmocka_run_group_tests(tests, open_file, close_file);
}
