/* `flip bench step`: where a training step's time goes, and how near it is to the machine's own
 * matrix-product rate. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/rng.h"
#include "cli/bench.h"
#include "model/count.h"
#include "model/mask.h"
#include "ops/device.h"
#include "train/step.h"

enum { VOCABULARY = 4096, WARM_UP = 2 };

/* A model and one batch of random inputs. */
typedef struct {
  const settings *s;
  ops *o;
  clip_model *model;
  optimizer moments;
  train_step step;
  model_counts counts;
  uint8_t *images;
  int32_t *index, *ids, *id_counts;
  int precision;
} rig;

static err make_inputs(rig *r) {
  const settings *s = r->s;
  size_t pixels = (size_t)(s->batch_size * s->image_size * s->image_size * 3);
  size_t ids = (size_t)(s->batch_size * s->text_length);
  mask_config mask = {s->mask_mode, s->mask_ratio, s->image_size / s->image_patch};
  r->images = mem_aligned(pixels);
  r->index = mem_zeroed((size_t)(s->batch_size * r->counts.encoded_patches), sizeof *r->index);
  r->ids = mem_zeroed(ids, sizeof *r->ids);
  r->id_counts = mem_zeroed((size_t)s->batch_size, sizeof *r->id_counts);
  if (!r->images || !r->index || !r->ids || !r->id_counts) return mem_error(pixels, "inputs");
  rng random = rng_at(1, RNG_TEST, 0, 0);
  for (size_t i = 0; i < pixels; i++) r->images[i] = (uint8_t)rng_u32(&random);
  for (size_t i = 0; i < ids; i++) r->ids[i] = (int32_t)rng_below(&random, VOCABULARY);
  for (int64_t i = 0; i < s->batch_size; i++) r->id_counts[i] = (int32_t)s->text_length;
  return mask_draw(&mask, 1, 0, s->batch_size, r->index);
}

static err make_rig(const settings *s, rig *r) {
  ops_opened opened;
  *r = (rig){.s = s};
  err error = ops_open(s, &opened);
  if (error) return error;
  r->o = opened.o;
  r->precision = opened.precision;
  clip_config config;
  clip_config_from(s, VOCABULARY, &config);
  clip_limits limits = model_limits(s);
  TRY(model_count(s, VOCABULARY, r->o->compute, r->o->chunk_bytes, &r->counts));
  TRY(clip_create(r->o, &config, &limits, true, &r->model));
  TRY(clip_initialise(r->model, 0));
  TRY(optimizer_create(r->model, &r->moments));
  step_open(&r->step, s, r->model, &r->moments, r->counts.encoded_patches);
  TRY(make_inputs(r));
cleanup:
  return error;
}

static void free_rig(rig *r) {
  step_close(&r->step);
  optimizer_destroy(&r->moments);
  clip_destroy(r->model);
  ops_destroy(r->o);
  free(r->images);
  free(r->index);
  free(r->ids);
  free(r->id_counts);
}

static err run_step(rig *r, int64_t number) {
  const clip_inputs in = {r->s->batch_size, r->images, r->index, r->ids, r->id_counts};
  step_result result;
  err error = step_stage(&r->step, &in);
  if (!error) error = step_launch(&r->step, &in, number, 1e-4);
  return error ? error : step_finish(&r->step, &result);
}

/* One configuration's figures; seconds are medians a step. */
typedef struct {
  double mask_ratio, seconds, image, text, loss, rest;
  double samples_per_second, flops_per_second, image_flops;
  int precision;
} step_row;

enum { PARTS = 4 }; /* whole, image, text, loss */

static err measure(const settings *s, int64_t steps, step_row *row) {
  rig r;
  clip_profile profile;
  double *times[PARTS] = {0};
  err error = make_rig(s, &r);
  if (error) goto cleanup;
  for (int i = 0; i < PARTS; i++) {
    times[i] = mem_zeroed((size_t)steps, sizeof(double));
    if (!times[i]) FAIL(ERR_MEMORY, "out of memory: timings");
  }
  clip_set_profile(r.model, &profile);
  for (int64_t i = -WARM_UP; i < steps; i++) {
    profile = (clip_profile){0};
    double start = clock_seconds();
    TRY(run_step(&r, i + WARM_UP + 1));
    if (i < 0) continue;
    times[0][i] = clock_seconds() - start;
    times[1][i] = profile.image_forward + profile.image_backward;
    times[2][i] = profile.text_forward + profile.text_backward;
    times[3][i] = profile.loss;
  }
  *row = (step_row){.mask_ratio = s->mask_ratio,
                    .seconds = bench_median(times[0], steps),
                    .image = bench_median(times[1], steps),
                    .text = bench_median(times[2], steps),
                    .loss = bench_median(times[3], steps),
                    .image_flops = 3 * r.counts.forward_image * (double)s->batch_size,
                    .precision = r.precision};
  row->rest = row->seconds - row->image - row->text - row->loss;
  row->samples_per_second = (double)s->batch_size / row->seconds;
  row->flops_per_second = (r.counts.train_sample * (double)s->batch_size) / row->seconds;
cleanup:
  for (int i = 0; i < PARTS; i++) free(times[i]);
  free_rig(&r);
  return error;
}

err bench_step_rate(const bench_request *request, double *samples_per_second) {
  step_row row;
  err error = measure(&request->s, request->steps, &row);
  *samples_per_second = row.samples_per_second;
  return error;
}

static void print_json(const step_row *row, const step_row *whole, double fp32, double bf16) {
  strbuf out = {0};
  json_writer w = jsonw_start(&out);
  jsonw_object(&w, NULL);
  jsonw_number(&w, "mask_ratio", row->mask_ratio);
  jsonw_string(&w, "precision", precision_name(row->precision));
  jsonw_number(&w, "samples_per_second", row->samples_per_second);
  jsonw_number(&w, "step_seconds", row->seconds);
  jsonw_number(&w, "image_seconds", row->image);
  jsonw_number(&w, "text_seconds", row->text);
  jsonw_number(&w, "loss_seconds", row->loss);
  jsonw_number(&w, "optimizer_seconds", row->rest);
  jsonw_number(&w, "flops_per_second", row->flops_per_second);
  jsonw_number(&w, "gemm_fp32_flops_per_second", fp32);
  jsonw_number(&w, "gemm_bf16_flops_per_second", bf16);
  jsonw_number(&w, "image_speedup", whole->image / row->image);
  jsonw_number(&w, "image_flops_ratio", whole->image_flops / row->image_flops);
  jsonw_end(&w);
  puts(strbuf_string(&out));
  strbuf_free(&out);
}

static void print_row(const step_row *row, const step_row *whole, double fp32, double bf16) {
  printf("%6.2f  %9.1f  %8.1f  %8.1f  %8.1f  %8.1f  %8.1f  %8.1f  %7.1f %%", row->mask_ratio,
         row->samples_per_second, 1e3 * row->seconds, 1e3 * row->image, 1e3 * row->text,
         1e3 * row->loss, 1e3 * row->rest, row->flops_per_second / 1e9,
         100 * row->flops_per_second / fp32);
  if (bf16 > 0)
    printf("  %7.1f %%", 100 * row->flops_per_second / bf16);
  else
    printf("  %9s", "-");
  printf("  %6.2f of %.2f\n", whole->image / row->image, whole->image_flops / row->image_flops);
}

err bench_step(const bench_request *request) {
  static const double ratios[] = {0.0, 0.5, 0.75};
  settings s = request->s; /* shallow: only numbers are changed */
  step_row rows[3];
  double fp32, bf16;
  err error = bench_gemm_rates(&s, &fp32, &bf16);
  for (int i = 0; i < 3 && !error; i++) {
    s.mask_ratio = ratios[i];
    error = measure(&s, request->steps, &rows[i]);
  }
  if (error) return error;
  if (request->as_json) {
    for (int i = 0; i < 3; i++) print_json(&rows[i], &rows[0], fp32, bf16);
    return NULL;
  }
  printf("matrix products on this machine, now: fp32 %.0f GFLOP/s, bf16 %.0f GFLOP/s; the step "
         "computes in %s\n\n",
         fp32 / 1e9, bf16 / 1e9, precision_name(rows[0].precision));
  printf("  mask  samples/s   step ms  image ms   text ms   loss ms   rest ms   GFLOP/s  of fp32  "
         "   of bf16  image speed-up of FLOPs ratio\n");
  for (int i = 0; i < 3; i++) print_row(&rows[i], &rows[0], fp32, bf16);
  return NULL;
}
