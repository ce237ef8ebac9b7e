/* Small models in double precision, their inputs, and all of their gradients against central finite
 * differences. For the tests of tests/model/. */
#ifndef FLIP_TESTS_MODEL_FIXTURE_H
#define FLIP_TESTS_MODEL_FIXTURE_H

#include "support/test.h"

#include <math.h>
#include <stdlib.h>

#include "base/rng.h"
#include "model/clip.h"
#include "model/count.h"
#include "model/mask.h"
#include "support/ops_reference.h"

enum { BATCH = 5, VOCABULARY = 11 };

typedef struct {
  ops *o;
  clip_model *model;
  clip_inputs inputs;
  uint8_t *images;
  int32_t *index, *ids, *places, *counts;
} fixture;

/* Small and odd sizes; the seed is fixed, the values are not special. */
static inline settings small_settings(bool is_openai) {
  settings s;
  assert_ok(settings_init(&s));
  s.image_size = 12, s.image_patch = 4, s.image_width = 12, s.image_layers = 2, s.image_heads = 3;
  s.text_length = 5, s.text_width = 8, s.text_layers = 2, s.text_heads = 2, s.embed_dim = 6;
  s.image_mlp_ratio = 2, s.text_mlp_ratio = 3, s.batch_size = BATCH, s.eval_batch_size = 3;
  s.mask_ratio = 0.5;
  if (is_openai) {
    s.image_position = POSITION_LEARNED, s.image_pool = IMAGE_POOL_CLASS, s.image_pre_norm = true;
    s.image_activation = s.text_activation = ACTIVATION_QUICK_GELU;
    s.text_causal = true, s.text_pool = TEXT_POOL_EOT;
  }
  return s;
}

static inline void make_inputs(fixture *f, const settings *s) {
  int64_t side = s->image_size / s->image_patch;
  mask_config mask = {s->mask_mode, s->mask_ratio, side, s->mask_replacement};
  size_t pixels = (size_t)(BATCH * s->image_size * s->image_size * 3);
  f->images = malloc(pixels);
  f->index = malloc((size_t)(BATCH * mask_encoded_count(&mask)) * 4);
  f->ids = malloc((size_t)(BATCH * s->text_length) * 4);
  f->counts = malloc(BATCH * sizeof *f->counts);
  rng r = rng_at(5, RNG_TEST, 0, 0);
  for (size_t i = 0; i < pixels; i++) f->images[i] = (uint8_t)rng_below(&r, 256);
  for (int64_t i = 0; i < BATCH * s->text_length; i++)
    f->ids[i] = (int32_t)rng_below(&r, VOCABULARY);
  for (int i = 0; i < BATCH; i++)
    f->counts[i] = 1 + (int32_t)rng_below(&r, (uint32_t)settings_text_tokens(s));
  assert_ok(mask_draw(&mask, 3, 100, BATCH, f->index));
  f->inputs = (clip_inputs){.count = BATCH,
                            .images = f->images,
                            .index = f->index,
                            .ids = f->ids,
                            .id_counts = f->counts,
                            .first_sample = 1000};
  if (s->text_mask_positions != TEXT_POSITIONS_ORIGINAL) return;
  const int64_t kept = settings_text_tokens(s), spare = s->text_length - kept;
  f->places = malloc((size_t)(BATCH * kept) * 4);
  for (int64_t i = 0; i < BATCH * kept; i++) { /* the first, spread ones, the last */
    const int64_t shifts[] = {0, spare * (i % kept) / (kept - 1), spare};
    f->places[i] = (int32_t)(i % kept + shifts[i / kept % 3]);
  }
  f->inputs.places = f->places;
}

/* Initial weights plus noise, so that no gain is one, no bias zero, and nothing is symmetric. */
static inline void roughen(clip_model *m) {
  for (size_t i = 0; i < clip_params(m)->count; i++) {
    const param *p = &clip_params(m)->items[i];
    double *values = malloc((size_t)param_elements(p) * sizeof *values);
    assert_ok(clip_get(m, p, values));
    for (int64_t j = 0; j < param_elements(p); j++) {
      rng r = rng_at(9, RNG_TEST, i, (uint64_t)j);
      values[j] += 0.1 * rng_normal(&r);
    }
    assert_ok(clip_set(m, p, values));
    free(values);
  }
}

/* chunk_bytes: as the backend's; 0: it keeps what the gradients of norms and activations would
 * otherwise give again. */
static inline fixture make_chunked(const settings *s, int64_t chunk_bytes) {
  fixture f = {0};
  clip_config config;
  clip_limits limits = model_limits(s);
  clip_config_from(s, VOCABULARY, &config);
  assert_ok(ops_create_reference(&f.o));
  f.o->chunk_bytes = chunk_bytes;
  assert_ok(clip_create(f.o, &config, &limits, true, &f.model));
  assert_ok(clip_initialise(f.model, 1));
  roughen(f.model);
  make_inputs(&f, s);
  return f;
}

enum { SEVERAL_CHUNKS = 2000, ONE_CHUNK = 1 << 30, KEPT = 0 };

static inline fixture make(const settings *s) {
  return make_chunked(s, SEVERAL_CHUNKS);
}

static inline void unmake(fixture *f) {
  clip_destroy(f->model);
  ops_destroy(f->o);
  free(f->images);
  free(f->index);
  free(f->ids);
  free(f->places);
  free(f->counts);
}

/* A classifier's targets: mixed with the reversed batch, and smoothed. */
static const int32_t classes_of[BATCH] = {2, 0, 3, 3, 1};
static const double shares_of[BATCH] = {0.7, 0.45, 1, 0.45, 0.7};
static const clip_targets mixed_targets = {BATCH, classes_of, shares_of, 0.1};

static inline void compute_loss(fixture *f, double *loss) {
  if (clip_get_config(f->model)->classes)
    assert_ok(clip_class_loss(f->model, 0, BATCH, &mixed_targets));
  else
    assert_ok(clip_loss(f->model, BATCH, NULL));
  assert_ok(clip_read_loss(f->model, loss));
}

/* With reconstruction the whole loss, whose second part is computed by backward. */
static inline double loss_of(fixture *f) {
  double loss, pixels, weight = clip_get_config(f->model)->reconstruction_weight;
  assert_ok(clip_forward(f->model, &f->inputs, 0, weight > 0));
  compute_loss(f, &loss);
  if (weight == 0) return loss;
  assert_ok(clip_backward(f->model, 0, BATCH));
  assert_ok(clip_read_reconstruction(f->model, &pixels));
  return loss + weight * pixels;
}

/* Every tensor: three of its elements, nudged both ways. The error of central differences is
 * h² f''' / 6 plus rounding 1e-16 / h: with h = 1e-5 both are near 1e-10. */
static inline void check_gradients_chunked(const settings *s, int64_t chunk_bytes) {
  fixture f = make_chunked(s, chunk_bytes);
  double loss;
  assert_ok(clip_clear_gradients(f.model));
  assert_ok(clip_forward(f.model, &f.inputs, 0, true));
  compute_loss(&f, &loss);
  assert_ok(clip_backward(f.model, 0, BATCH));
  const param_table *table = clip_params(f.model);
  double *gradients = malloc((size_t)table->total * sizeof *gradients);
  memcpy(gradients, clip_weights(f.model)->gradients.data,
         (size_t)table->total * sizeof *gradients);
  int moved = 0;
  for (size_t i = 0; i < table->count; i++) {
    const param *p = &table->items[i];
    double *weights = (double *)clip_weights(f.model)->master.data + p->offset;
    if (!s->temperature_learned && strcmp(p->name, "logit_scale") == 0) continue;
    for (int probe = 0; probe < 3; probe++) {
      rng r = rng_at(77, RNG_TEST, i, (uint64_t)probe);
      int64_t at = rng_below(&r, (uint32_t)param_elements(p));
      const double h = 1e-5, before = weights[at];
      weights[at] = before + h;
      double up = loss_of(&f);
      weights[at] = before - h;
      double down = loss_of(&f);
      weights[at] = before;
      double numeric = (up - down) / (2 * h), analytic = gradients[p->offset + at];
      if (!(fabs(numeric - analytic) <= 1e-7 * (1 + fabs(numeric))))
        fail_msg("%s[%ld]: analytic %.12g, numeric %.12g", p->name, (long)at, analytic, numeric);
      moved += fabs(analytic) > 1e-6;
    }
  }
  /* a test that compares zeros would pass: most gradients must be far from zero */
  assert_true(moved > (int)table->count);
  free(gradients);
  unmake(&f);
}

static inline void check_all_gradients(const settings *s) {
  check_gradients_chunked(s, SEVERAL_CHUNKS);
}

#endif
