/* The learning-rate schedule and AdamW over a model's parameters. */
#include "support/test.h"

#include <math.h>
#include <stdlib.h>

#include "model/count.h"
#include "support/open_cpu.h"
#include "train/optimizer.h"

/* A model on the CPU, of settings that differ from the defaults in `changes`. */
static void open_model(const char *const *changes, size_t count, int64_t vocabulary, settings *s,
                       ops **o, clip_model **model) {
  clip_config config;
  assert_ok(settings_init(s));
  for (size_t i = 0; i < count; i++) assert_ok(settings_set(s, changes[i]));
  assert_ok(open_on_cpu((ops_request){.compute = OPS_F32, .threads = 1}, o));
  clip_config_from(s, vocabulary, &config);
  clip_limits limits = model_limits(s);
  assert_ok(clip_create(*o, &config, &limits, true, model));
  assert_ok(clip_initialise(*model, 1));
}

static void assert_near(double value, double wanted, double tolerance) {
  if (!(fabs(value - wanted) <= tolerance)) fail_msg("%.12g is not %.12g", value, wanted);
}

/* FLIP's released code: update k, from 0, has peak * k / W in the warm-up, then half a cosine of
 * (k - W) / (T - W). By hand for peak 2, W = 4, T = 12: cos(pi / 8 * j) for j = 0 to 7. */
static void the_rate_is_the_released_codes(void **state) {
  (void)state;
  static const double wanted[] = {0,
                                  0.5,
                                  1,
                                  1.5,
                                  2,
                                  1.9238795325,
                                  1.7071067812,
                                  1.3826834324,
                                  1,
                                  0.6173165676,
                                  0.2928932188,
                                  0.0761204675};
  for (int update = 0; update < 12; update++)
    assert_near(schedule_rate(2, update, 4, 12), wanted[update], 1e-9);
}

/* 190,000 updates of 65,536 samples at 4e-6 a 256, 760 of them warm-up: optax gives these. */
static void the_rates_of_the_released_recipe(void **state) {
  (void)state;
  const double peak = 4e-6 * 256;
  assert_near(schedule_rate(peak, 0, 760, 190000), 0, 0);
  assert_near(schedule_rate(peak, 1, 760, 190000), 1.3473684210526e-6, 1e-15);
  assert_near(schedule_rate(peak, 759, 760, 190000), 1.0226526315789e-3, 1e-15);
  assert_near(schedule_rate(peak, 760, 760, 190000), 1.024e-3, 1e-15);
  assert_near(schedule_rate(peak, 95380, 760, 190000), 5.12e-4, 1e-15); /* half way down */
  /* the last: 0.5 peak (1 - cos(pi / 189240)) = peak (pi / 189240)² / 4 */
  assert_near(schedule_rate(peak, 189999, 760, 190000), 7.055e-14, 1e-17);
}

/* As BEiT's and MAE's layer-wise rates: the head and the last norm 0, the last block 1, the front
 * one more than the first block. */
static void depths_are_counted_from_the_head(void **state) {
  (void)state;
  static const struct {
    const char *name;
    int depth;
  } wanted[] = {{"head.weight", 0},
                {"image.norm.weight", 0},
                {"image.blocks.11.norm1.weight", 1},
                {"image.blocks.0.mlp.fc2.bias", 12},
                {"image.pre_norm.weight", 13},
                {"image.pre_norm.bias", 13},
                {"image.class_token", 13},
                {"image.positions", 13},
                {"image.patch.weight", 13}};
  for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
    assert_int_equal(optimizer_depth_of(wanted[i].name, 12), wanted[i].depth);
}

static void a_run_of_one_step_gets_the_peak(void **state) {
  (void)state;
  assert_near(schedule_rate(2, 0, 0, 1), 2, 0);
  assert_near(schedule_rate(2, 0, 1, 1), 0, 0); /* all of it warm-up */
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

/* The first update moves by ±rate whatever the gradients' scale: what is clipped, and the momenta,
 * are seen in the moments only. */
static void assert_moments(const optimizer *moments, const param *p, const float *slopes,
                           double scale, const settings *s) {
  ops_buffer m, v;
  assert_ok(optimizer_collect(moments, OPTIMIZER_M, &m));
  assert_ok(optimizer_collect(moments, OPTIMIZER_V, &v));
  for (int64_t i = p->offset; i < p->offset + param_elements(p); i++) {
    double g = (double)slopes[i] * scale;
    assert_near((double)((const float *)m.data)[i], (1 - s->beta1) * g, 1e-6 * fabs(g));
    assert_near((double)((const float *)v.data)[i], (1 - s->beta2) * g * g, 1e-6 * g * g);
  }
}

/* A small model, one update by hand for every parameter: decay on all but biases, norms and
 * positions, the class token and logit_scale included. */
static void one_update_is_adamw_with_the_papers_exclusions(void **state) {
  (void)state;
  static const char *const changes[] = {
      "image.size=16", "image.patch=8",     "image.width=8",   "image.heads=2", "image.layers=1",
      "text.width=8",  "text.heads=2",      "text.layers=1",   "text.length=4", "embed_dim=4",
      "batch_size=4",  "eval.batch_size=4", "weight_decay=0.5"};
  settings s;
  ops *o;
  clip_model *model;
  optimizer moments;
  open_model(changes, sizeof changes / sizeof *changes, 20, &s, &o, &model);
  assert_ok(optimizer_create(model, NULL, &moments));
  const param_table *table = clip_params(model);
  assert_true(param_table_find(table, "image.class_token")->is_decayed);
  assert_true(param_table_find(table, "logit_scale")->is_decayed);
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
      assert_near((double)after[i], wanted, 1e-6);
    }
    assert_moments(&moments, t, slopes, scale, &s);
    decayed += t->is_decayed;
    spared += !t->is_decayed;
    if (strstr(t->name, "bias") || strstr(t->name, "norm") || strstr(t->name, "position"))
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

/* Layer-wise rates as MAE's and BEiT's: of two blocks, decay 0.5, the head and the last norm have
 * the rate, the second block a half, the first a quarter, and what is in front of it an eighth. */
static void a_layer_decay_halves_the_rate_block_by_block(void **state) {
  (void)state;
  static const char *const changes[] = {"image.size=16",    "image.patch=8",
                                        "image.width=8",    "image.heads=2",
                                        "image.layers=2",   "batch_size=4",
                                        "text.length=4",    "eval.batch_size=4",
                                        "weight_decay=0.5", "classification.classes=3"};
  static const struct {
    const char *prefix;
    double share;
  } rates[] = {{"head.", 1},
               {"image.norm.", 1},
               {"image.blocks.1.", 0.5},
               {"image.blocks.0.", 0.25},
               {"image.patch.", 0.125},
               {"image.class_token", 0.125}};
  settings s;
  ops *o;
  clip_model *model;
  optimizer moments;
  open_model(changes, sizeof changes / sizeof *changes, 0, &s, &o, &model);
  assert_ok(optimizer_create_layered(model, 0.5, NULL, &moments));
  const param_table *table = clip_params(model);
  const tower_weights *w = clip_weights(model);
  size_t bytes = sizeof(float) * (size_t)table->total;
  float *before = malloc(bytes), *values = w->master.data, *gradients = w->gradients.data;
  memcpy(before, values, bytes);
  for (int64_t i = 0; i < table->total; i++) gradients[i] = 0.01f;
  const double rate = 1e-2;
  assert_ok(optimizer_stage(&moments, &s, 1, rate));
  assert_ok(o->call->join(o));
  assert_ok(optimizer_update(&moments, &s));
  size_t seen = 0;
  for (size_t p = 0; p < table->count; p++) {
    const param *t = &table->items[p];
    double share = 0;
    for (size_t k = 0; k < sizeof rates / sizeof *rates; k++)
      if (strncmp(t->name, rates[k].prefix, strlen(rates[k].prefix)) == 0) share = rates[k].share;
    if (share == 0) fail_msg("%s has no rate in this test", t->name);
    for (int64_t i = t->offset; i < t->offset + param_elements(t); i++, seen++) {
      double x = (double)before[i], decay = t->is_decayed ? 0.5 * x : 0;
      assert_near((double)values[i], x - share * rate * (0.01 / (0.01 + s.epsilon) + decay), 1e-6);
    }
  }
  assert_true(seen > 100);
  free(before);
  optimizer_destroy(&moments);
  clip_destroy(model);
  ops_destroy(o);
  settings_free(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_rate_is_the_released_codes),
      cmocka_unit_test(the_rates_of_the_released_recipe),
      cmocka_unit_test(depths_are_counted_from_the_head),
      cmocka_unit_test(a_run_of_one_step_gets_the_peak),
      cmocka_unit_test(the_peak_scales_with_the_batch_as_in_the_paper),
      cmocka_unit_test(one_update_is_adamw_with_the_papers_exclusions),
      cmocka_unit_test(a_layer_decay_halves_the_rate_block_by_block),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
