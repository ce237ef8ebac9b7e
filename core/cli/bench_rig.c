#include "cli/bench_rig.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/machine.h"
#include "base/mem.h"
#include "base/rng.h"
#include "model/mask.h"
#include "ops/device.h"
#include "train/fit.h"

static err make_inputs(bench_rig *r, int64_t vocabulary) {
  const settings *s = r->s;
  size_t pixels = (size_t)(s->batch_size * s->image_size * s->image_size * 3);
  size_t ids = (size_t)(s->batch_size * settings_text_tokens(s));
  mask_config mask = {s->mask_mode, s->mask_ratio, s->image_size / s->image_patch,
                      s->mask_replacement};
  r->images = mem_aligned(pixels);
  r->index = mem_zeroed((size_t)(s->batch_size * r->counts.encoded_patches), sizeof *r->index);
  r->ids = mem_zeroed(ids, sizeof *r->ids);
  r->id_counts = mem_zeroed((size_t)s->batch_size, sizeof *r->id_counts);
  if (!r->images || !r->index || !r->ids || !r->id_counts) return mem_error(pixels, "inputs");
  rng random = rng_at(1, RNG_TEST, 0, 0);
  for (size_t i = 0; i < pixels; i++) r->images[i] = (uint8_t)rng_u32(&random);
  for (size_t i = 0; i < ids; i++) r->ids[i] = (int32_t)rng_below(&random, (uint32_t)vocabulary);
  for (int64_t i = 0; i < s->batch_size; i++) r->id_counts[i] = (int32_t)settings_text_tokens(s);
  if (r->o->call->pin) {
    err error = r->o->call->pin(r->o, r->images, pixels);
    if (error) return error;
  }
  if (!clip_is_attentive(r->model)) return mask_draw(&mask, 1, 0, s->batch_size, r->index);
  err error = clip_average_begin(r->model);
  return error ? error : attentive_make(&r->chooser, s, r->model, s->batch_size);
}

err bench_rig_make(const settings *s, int64_t vocabulary, bench_rig *r) {
  *r = (bench_rig){.s = s};
  if (s->classification_classes > 0)
    return err_new(ERR_UNSUPPORTED, "classification.classes: the benchmark is of contrastive "
                                    "training; set it to 0");
  r->precision = s->precision;
  if (s->precision == PRECISION_AUTO) {
    ops_opened opened;
    err error = ops_open(s, &opened); /* measures which is faster */
    if (error) return error;
    r->o = opened.o;
    r->precision = opened.precision;
    if (*opened.note) log_info("%s", opened.note);
  } else {
    err error = ops_open_as(s, s->precision, &r->o);
    if (error) return error;
  }
  clip_config config;
  clip_config_from(s, vocabulary, &config);
  clip_limits limits = model_limits(s);
  fit_memory host = {.ranks = 1};
  host.bytes = machine_free_memory("", &host.is_group);
  err error = NULL;
  TRY(ops_check_training(r->o, s, vocabulary));
  TRY(model_count(s, vocabulary, r->o->compute, r->o->chunk_bytes, &r->counts));
  TRY(fit_check(s, vocabulary, 1, r->o, host));
  TRY(clip_create(r->o, &config, &limits, true, &r->model));
  TRY(clip_initialise(r->model, 0));
  TRY(optimizer_create_for(r->model, s, NULL, &r->moments));
  step_open(&r->step, s, r->model, &r->moments, r->counts.encoded_patches, NULL);
  r->step.wants_norm = false; /* as in most steps of a run */
  TRY(make_inputs(r, vocabulary));
cleanup:
  return error;
}

void bench_rig_free(bench_rig *r) {
  step_close(&r->step);
  optimizer_destroy(&r->moments);
  clip_destroy(r->model);
  if (r->images && r->o->call->unpin) r->o->call->unpin(r->o, r->images);
  ops_destroy(r->o);
  free(r->images);
  free(r->index);
  attentive_free(&r->chooser);
  free(r->ids);
  free(r->id_counts);
  *r = (bench_rig){0};
}

err bench_rig_step(bench_rig *r, int64_t number) {
  const clip_inputs in = {.count = r->s->batch_size,
                          .images = r->images,
                          .index = r->index,
                          .ids = r->ids,
                          .id_counts = r->id_counts};
  step_result result;
  err error = NULL;
  /* as in training: the next batch is copied while this one is computed, unless its patches are
   * chosen with the weights of this update */
  bool is_chosen = r->chooser.model;
  double start = clock_seconds();
  if (is_chosen)
    TRY(attentive_choose(&r->chooser, in.count, in.images, r->s->attentive_momentum, r->index));
  r->scoring_seconds = is_chosen ? clock_seconds() - start : 0; /* it has read the scores */
  if (is_chosen || number == 1) TRY(step_stage(&r->step, &in));
  TRY(step_launch(&r->step, &in, number, 1e-4));
  if (!is_chosen) TRY(step_stage(&r->step, &in));
  TRY(step_finish(&r->step, &result));
cleanup:
  return error;
}

static err open_for_counting(const settings *s, ops **o) {
  return ops_open_as(s, s->precision == PRECISION_AUTO ? PRECISION_BF16 : s->precision, o);
}

err bench_can_hold(const settings *runs, int count, int64_t vocabulary, bool *is_held) {
  ops *o = NULL;
  bool is_group;
  ops_memory memory = {.free = machine_free_memory("", &is_group)};
  model_counts counts;
  double wanted = 0;
  err error = open_for_counting(&runs[0], &o);
  if (error) goto cleanup;
  if (o->call->memory) TRY(o->call->memory(o, &memory));
  for (int i = 0; i < count; i++) {
    TRY(model_count(&runs[i], vocabulary, o->compute, o->chunk_bytes, &counts));
    wanted += (double)counts.planned_bytes;
  }
  *is_held = wanted <= 0.9 * (double)memory.free;
cleanup:
  ops_destroy(o);
  return error;
}

err bench_largest_batch(const settings *s, int64_t vocabulary, int64_t *batch) {
  enum { MOST = 1 << 17 };
  settings tried = *s; /* shallow: only numbers are changed */
  ops *o = NULL;
  ops_memory memory;
  model_counts counts;
  *batch = s->batch_size;
  err error = open_for_counting(s, &o);
  if (error) goto cleanup;
  if (!o->call->memory)
    FAIL(ERR_UNSUPPORTED, "--fit needs a GPU, whose memory is to be filled: give batch_size");
  TRY(o->call->memory(o, &memory));
  *batch = 0;
  for (tried.batch_size = 2; tried.batch_size <= MOST; tried.batch_size *= 2) {
    TRY(model_count(&tried, vocabulary, o->compute, o->chunk_bytes, &counts));
    if (counts.planned_bytes <= fit_share(memory.free)) *batch = tried.batch_size;
  }
  if (!*batch) FAIL(ERR_MEMORY, "even a batch of 2 does not fit into the device's free memory");
cleanup:
  ops_destroy(o);
  return error;
}
