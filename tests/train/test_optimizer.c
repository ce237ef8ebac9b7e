/* The learning-rate schedule and AdamW over a model's parameters. */
#include "support/test.h"

#include <math.h>
#include <stdlib.h>

#include "model/count.h"
#include "ops/ops.h"
#include "train/optimizer.h"

static void assert_near(double value, double wanted, double tolerance) {
  if (!(fabs(value - wanted) <= tolerance)) fail_msg("%.12g is not %.12g", value, wanted);
}

static void the_rate_rises_to_its_peak_and_falls_by_half_a_cosine(void **state) {
  (void)state;
  enum { WARM_UP = 10, TOTAL = 110 };
  for (int step = 1; step <= WARM_UP; step++)
    assert_near(schedule_rate(2, step, WARM_UP, TOTAL), 2.0 * step / WARM_UP, 1e-12);
  double before = schedule_rate(2, WARM_UP, WARM_UP, TOTAL);
  for (int step = WARM_UP + 1; step <= TOTAL; step++) {
    double rate = schedule_rate(2, step, WARM_UP, TOTAL);
    assert_true(rate <= before && rate >= 0);
    before = rate;
  }
  /* half way down the cosine is half the peak, up to where a step is taken to lie */
  assert_near(schedule_rate(2, 60, WARM_UP, TOTAL), 1, 0.02);
  assert_true(schedule_rate(2, TOTAL, WARM_UP, TOTAL) > 0);
  assert_true(schedule_rate(2, TOTAL, WARM_UP, TOTAL) < 0.002);
  assert_near(schedule_rate(2, 1, 0, 1000), 2, 1e-4); /* no warm-up: at once */
}

static void the_peak_scales_with_the_batch_as_in_the_paper(void **state) {
  (void)state;
  settings s;
  assert_ok(settings_init(&s));
  assert_ok(settings_set(&s, "batch_size=65536"));
  assert_near(schedule_peak(&s), 4e-6 * 256, 1e-15); /* 4e-6 a 256 samples */
  assert_ok(settings_set(&s, "learning_rate=0.5"));
  assert_near(schedule_peak(&s), 0.5, 0);
  settings_free(&s);
}

/* A small model, one update by hand for every parameter: decay where PAPER says, none on biases,
 * norms, class token, positions and logit_scale. */
static void one_update_is_adamw_with_the_papers_exclusions(void **state) {
  (void)state;
  static const char *const changes[] = {
      "image.size=16", "image.patch=8",     "image.width=8",   "image.heads=2", "image.layers=1",
      "text.width=8",  "text.heads=2",      "text.layers=1",   "text.length=4", "embed_dim=4",
      "batch_size=4",  "eval.batch_size=4", "weight_decay=0.5"};
  settings s;
  assert_ok(settings_init(&s));
  for (size_t i = 0; i < sizeof changes / sizeof *changes; i++)
    assert_ok(settings_set(&s, changes[i]));
  ops *o;
  clip_model *model;
  clip_config config;
  optimizer moments;
  assert_ok(ops_create_cpu(OPS_F32, 1, &o));
  clip_config_from(&s, 20, &config);
  clip_limits limits = model_limits(&s);
  assert_ok(clip_create(o, &config, &limits, true, &model));
  assert_ok(clip_initialise(model, 1));
  assert_ok(optimizer_create(model, &moments));
  const param_table *table = clip_params(model);
  const tower_weights *w = clip_weights(model);
  int64_t count = table->total;
  float *before = malloc(sizeof(float) * (size_t)count),
        *after = malloc(sizeof(float) * (size_t)count);
  float *slopes = malloc(sizeof(float) * (size_t)count);
  for (int64_t i = 0; i < count; i++) slopes[i] = (float)((double)(i % 7 - 3) * 0.01 + 0.001);
  float *values = w->master.data, *gradients = w->gradients.data;
  memcpy(before, values, sizeof(float) * (size_t)count);
  memcpy(gradients, slopes, sizeof(float) * (size_t)count);
  double norm, sum = 0, rate = 1e-2, scale = 0.25;
  for (int64_t i = 0; i < count; i++) sum += (double)slopes[i] * (double)slopes[i];
  s.clip_norm = scale * sqrt(sum);
  assert_ok(optimizer_stage(&moments, &s, 1, rate));
  assert_ok(o->call->join(o));
  assert_ok(optimizer_update(&moments, &s));
  assert_ok(optimizer_read_norm(&moments, &norm));
  assert_near(norm, sqrt(sum), 1e-6 * sqrt(sum));
  memcpy(after, values, sizeof(float) * (size_t)count);
  int decayed = 0, spared = 0;
  for (size_t p = 0; p < table->count; p++) {
    const param *t = &table->items[p];

    for (int64_t i = t->offset; i < t->offset + param_elements(t); i++) {
      /* the first step: mhat = g, vhat = g² */
      double g = (double)slopes[i] * scale, x = (double)before[i];
      double plain = x - rate * g / (fabs(g) + s.epsilon), decay = plain - rate * 0.5 * x;
      double wanted = t->is_decayed ? decay : plain;
      if (strcmp(t->name, "logit_scale") == 0) continue; /* clipped as well */
      assert_near((double)after[i], wanted, 1e-6);
    }
    decayed += t->is_decayed;
    spared += !t->is_decayed;
    if (strstr(t->name, "bias") || strstr(t->name, "norm") || strstr(t->name, "class_token") ||
        strstr(t->name, "position") || strcmp(t->name, "logit_scale") == 0)
      assert_false(t->is_decayed);
    else
      assert_true(t->is_decayed);
  }
  assert_true(decayed > 8 && spared > 8);
  free(before);
  free(after);
  free(slopes);
  optimizer_destroy(&moments);
  clip_destroy(model);
  ops_destroy(o);
  settings_free(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_rate_rises_to_its_peak_and_falls_by_half_a_cosine),
      cmocka_unit_test(the_peak_scales_with_the_batch_as_in_the_paper),
      cmocka_unit_test(one_update_is_adamw_with_the_papers_exclusions),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
