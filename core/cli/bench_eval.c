/* `flip bench eval`: images and prompts encoded per second, as `flip embed` and zero-shot
 * classification do, and the time that a data set with as many images as ImageNet's validation set
 * would take from decoded images. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/numbers.h"
#include "base/options.h"
#include "base/rng.h"
#include "base/text.h"
#include "cli/bench.h"
#include "eval/eval.h"
#include "eval/feed.h"
#include "eval/views.h"
#include "model/count.h"
#include "ops/device.h"

enum { WARM_UP = 4, ROUNDS = 3, SCORED_IMAGES = 50000, MOST_SCORED = 4096 };

typedef struct {
  const bench_request *request;
  ops *o;
  clip_model *model;
  model_counts counts; /* of images at the evaluation's mask ratio */
  int precision;
  int64_t batch, text_batch;
  eval_views views; /* of each image */
  uint64_t peak_bytes,
      planned_bytes; /* so far: of the device where it has memory, else of the process */
  double images_per_second;
} eval_rig;

/* Results for one number of templates. */
typedef struct {
  int64_t templates, prompts, measured; /* prompts: of all classes; those that were encoded */
  double prompts_per_second, scored_per_second;
  double prompt_seconds, total_seconds; /* of all prompts; of them and SCORED_IMAGES images */
} eval_row;

static err open_rig(const bench_request *request, eval_rig *r) {
  const settings *s = &request->s;
  settings own = *s; /* shallow: only numbers are changed */
  clip_config config;
  *r = (eval_rig){.request = request, .precision = s->precision};
  err error = NULL;
  if (s->classification_classes > 0)
    return err_new(ERR_UNSUPPORTED, "classification.classes: the benchmark is of zero-shot "
                                    "classification; set it to 0");
  if (s->precision == PRECISION_AUTO) {
    ops_opened opened;
    TRY(ops_open(s, &opened)); /* measures which is faster */
    r->o = opened.o;
    r->precision = opened.precision;
    if (*opened.note) log_info("%s", opened.note);
  } else {
    TRY(ops_open_as(s, s->precision, &r->o));
  }
  clip_config_from(s, request->vocabulary, &config);
  clip_limits limits = model_limits(s);
  const eval_how how = eval_how_of(s);
  TRY(views_plan(&config, &how, &r->views));
  own.mask_ratio = s->eval_mask_ratio; /* evaluation drops patches, whatever training does */
  own.mask_mode = MASK_RANDOM;
  own.text_mask_mode = TEXT_MASK_NONE;
  own.text_mask_ratio = 0;
  TRY(model_count(&own, request->vocabulary, r->o->compute, r->o->chunk_bytes, &r->counts));
  TRY(clip_create(r->o, &config, &limits, false, &r->model));
  TRY(clip_initialise(r->model, 0));
  r->batch = clip_eval_batch(r->model);
  r->text_batch = clip_text_batch(r->model);
cleanup:
  return error;
}

static void close_rig(eval_rig *r) {
  clip_destroy(r->model);
  ops_destroy(r->o);
}

static err encode_batches(const eval_rig *r, feed *images, int64_t batches, float *embeddings) {
  err error = NULL;
  for (int64_t i = 0; i < batches && !error; i++)
    error = views_queue(&r->views, r->model, i * r->batch, r->batch, feed_next(images), embeddings);
  return clip_queue_finish(r->model, error);
}

/* Random pixels: batches from pinned memory, each copied while the one before is encoded. */
static err measure_images(eval_rig *r) {
  const clip_config *c = clip_get_config(r->model);
  const size_t bytes = (size_t)(r->batch * c->image_size * c->image_size * 3);
  const int64_t steps = r->request->steps;
  double seconds[ROUNDS];
  rng random = rng_at(1, RNG_TEST, 0, 0);
  feed images = {0};
  float *embeddings = mem_aligned((size_t)(r->batch * c->image.embed) * sizeof *embeddings);
  err error = NULL;
  if (!embeddings) FAIL(ERR_MEMORY, "out of memory: embeddings");
  TRY(feed_open(&images, r->model, bytes));
  for (int i = 0; i < images.count; i++)
    for (size_t at = 0; at < bytes; at++) images.buffers[i][at] = (uint8_t)rng_u32(&random);
  TRY(encode_batches(r, &images, WARM_UP, embeddings));
  for (int round = 0; round < ROUNDS; round++) {
    double start = clock_seconds();
    TRY(encode_batches(r, &images, steps, embeddings));
    seconds[round] = clock_seconds() - start;
  }
  r->images_per_second = (double)(steps * r->batch) / numbers_median(seconds, ROUNDS);
cleanup:
  error = feed_close(&images, error);
  free(embeddings);
  return error;
}

/* Random words up to text.length. At most `steps` batches are encoded. */
static err measure_prompts(const eval_rig *r, eval_row *row) {
  const clip_config *c = clip_get_config(r->model);
  const int64_t most = r->request->steps * r->text_batch, length = c->text_length;
  row->measured = row->prompts < most ? row->prompts : most;
  rng random = rng_at(1, RNG_TEST, 0, 1);
  int32_t *ids = mem_zeroed((size_t)(row->measured * length), sizeof *ids);
  int32_t *counts = mem_zeroed((size_t)row->measured, sizeof *counts);
  float *prompts = mem_aligned((size_t)(row->measured * c->text.embed) * sizeof *prompts);
  err error = NULL;
  if (!ids || !counts || !prompts) FAIL(ERR_MEMORY, "out of memory: prompts");
  for (int64_t i = 0; i < row->measured * length; i++)
    ids[i] = (int32_t)rng_below(&random, (uint32_t)c->vocabulary);
  for (int64_t i = 0; i < row->measured; i++) counts[i] = (int32_t)length;
  const int64_t warm_up = WARM_UP * r->text_batch;
  TRY(clip_embed_texts(r->model, warm_up < row->measured ? warm_up : row->measured, ids, counts,
                       prompts));
  double start = clock_seconds();
  TRY(clip_embed_texts(r->model, row->measured, ids, counts, prompts));
  row->prompts_per_second = (double)row->measured / (clock_seconds() - start);
cleanup:
  free(ids);
  free(counts);
  free(prompts);
  return error;
}

/* The host's part: each image compared with each class. */
static err measure_scores(const eval_rig *r, eval_row *row) {
  const int64_t width = clip_get_config(r->model)->image.embed, classes = r->request->classes;
  rng random = rng_at(1, RNG_TEST, 0, 2);
  eval_zeroshot unused;
  err error = NULL;
  const size_t values = (size_t)((MOST_SCORED + classes) * width);
  float *rows = mem_aligned(values * sizeof *rows);
  int32_t *labels = mem_zeroed(MOST_SCORED, sizeof *labels);
  if (!rows || !labels) FAIL(ERR_MEMORY, "out of memory: embeddings");
  for (size_t i = 0; i < values; i++) rows[i] = (float)rng_below(&random, 1000) / 1000 - 0.5f;
  double seconds[ROUNDS];
  for (int round = -1; round < ROUNDS; round++) { /* the first is not timed */
    double start = clock_seconds();
    TRY(eval_score_zeroshot(rows, labels, MOST_SCORED, rows + MOST_SCORED * width, classes, width,
                            &unused));
    if (round >= 0) seconds[round] = clock_seconds() - start;
  }
  row->scored_per_second = MOST_SCORED / numbers_median(seconds, ROUNDS);
cleanup:
  free(rows);
  free(labels);
  return error;
}

static err measure_row(const eval_rig *r, int64_t templates, eval_row *row) {
  err error = NULL;
  *row = (eval_row){.templates = templates, .prompts = r->request->classes * templates};
  TRY(measure_prompts(r, row));
  TRY(measure_scores(r, row));
  row->prompt_seconds = (double)row->prompts / row->prompts_per_second;
  row->total_seconds = row->prompt_seconds + SCORED_IMAGES / r->images_per_second +
                       SCORED_IMAGES / row->scored_per_second;
cleanup:
  return error;
}

static double flops_of_image(const eval_rig *r) {
  return (double)r->views.count * r->counts.forward_image;
}

static err print_json(const eval_rig *r, const eval_row *row, double fp32, double bf16) {
  const double rate = bench_rate_of(r->precision, fp32, bf16);
  strbuf out = {0};
  json_writer w = jsonw_start(&out);
  jsonw_object(&w, NULL);
  jsonw_integer(&w, "classes", r->request->classes);
  jsonw_integer(&w, "templates", row->templates);
  jsonw_integer(&w, "prompts", row->prompts);
  jsonw_integer(&w, "prompts_measured", row->measured);
  jsonw_string(&w, "precision", precision_name(r->precision));
  if (*r->o->device) jsonw_string(&w, "device_name", r->o->device);
  jsonw_number(&w, "mask_ratio", r->request->s.eval_mask_ratio);
  jsonw_integer(&w, "views", r->views.count);
  jsonw_integer(&w, "image_batch", r->batch);
  jsonw_integer(&w, "text_batch", r->text_batch);
  jsonw_number(&w, "images_per_second", r->images_per_second);
  jsonw_number(&w, "prompts_per_second", row->prompts_per_second);
  jsonw_number(&w, "images_scored_per_second", row->scored_per_second);
  jsonw_number(&w, "prompt_seconds", row->prompt_seconds);
  jsonw_number(&w, "seconds_of_50000_images", row->total_seconds);
  jsonw_number(&w, "image_mfu", r->images_per_second * flops_of_image(r) / rate);
  jsonw_number(&w, "text_mfu", row->prompts_per_second * r->counts.forward_text / rate);
  jsonw_number(&w, "gemm_fp32_flops_per_second", fp32);
  jsonw_number(&w, "gemm_bf16_flops_per_second", bf16);
  jsonw_integer(&w, "peak_bytes", (int64_t)r->peak_bytes);
  jsonw_integer(&w, "planned_bytes", (int64_t)r->planned_bytes);
  jsonw_end(&w);
  strbuf_append_char(&out, '\n');
  return options_print(&out);
}

static void print_header(const eval_rig *r, double fp32, double bf16) {
  const double rate = bench_rate_of(r->precision, fp32, bf16);
  char memory[TEXT_NUMBER_SIZE];
  printf("matrix products on this machine, measured now: fp32 %.0f GFLOP/s, bf16 %.0f GFLOP/s; the "
         "model computes in %s, %s of memory\n\n",
         fp32 / 1e9, bf16 / 1e9, precision_name(r->precision),
         text_bytes(r->o->call->memory ? r->peak_bytes : r->planned_bytes, memory));
  printf("images/s %.1f in batches of %ld", r->images_per_second, (long)r->batch);
  if (r->views.count > 1) printf(", %ld views of each", (long)r->views.count);
  printf(" (%.1f %% of the rate)\n\n", 100 * r->images_per_second * flops_of_image(r) / rate);
  printf("classes  templates  prompts/s  of the rate  prompts take  scored images/s  %d images "
         "take\n",
         SCORED_IMAGES);
}

static void print_row(const eval_rig *r, const eval_row *row, double fp32, double bf16) {
  const double rate = bench_rate_of(r->precision, fp32, bf16);
  printf("%7ld  %9ld  %9.1f  %9.1f %%  %10.2f s  %15.0f  %15.1f s%s\n", (long)r->request->classes,
         (long)row->templates, row->prompts_per_second,
         100 * row->prompts_per_second * r->counts.forward_text / rate, row->prompt_seconds,
         row->scored_per_second, row->total_seconds,
         row->measured < row->prompts ? "  (from a part of the prompts: --steps)" : "");
}

static err measure_and_print(eval_rig *r, double fp32, double bf16) {
  const bench_request *q = r->request;
  ops_memory memory = {0};
  eval_row row;
  err error = measure_images(r);
  r->planned_bytes = clip_planned_bytes(r->model);
  for (int i = 0; i < q->template_count && !error; i++) {
    TRY(measure_row(r, q->templates[i], &row));
    r->peak_bytes = mem_peak_bytes();
    if (r->o->call->memory) {
      TRY(r->o->call->memory(r->o, &memory));
      r->peak_bytes = memory.peak;
    }
    if (q->as_json) TRY(print_json(r, &row, fp32, bf16));
    if (!q->as_json && i == 0) print_header(r, fp32, bf16);
    if (!q->as_json) print_row(r, &row, fp32, bf16);
  }
  if (!error && !q->as_json)
    printf(
        "\nfrom decoded images on the host; the last column adds the three parts for %d images\n",
        SCORED_IMAGES);
cleanup:
  return error;
}

err bench_eval(const bench_request *request) {
  eval_rig r = {0};
  double fp32, bf16;
  err error = bench_gemm_rates(&request->s, &fp32, &bf16);
  if (error) return error;
  TRY(open_rig(request, &r));
  TRY(measure_and_print(&r, fp32, bf16));
cleanup:
  close_rig(&r);
  return error;
}
