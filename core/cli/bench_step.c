/* `flip bench step`: where a training step's time goes, and how near it is to the machine's own
 * matrix-product rate. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "cli/bench.h"
#include "cli/bench_rig.h"

enum { WARM_UP = 4, PARTS_STEPS = 3 }; /* steps that are not timed; steps timed part by part */

/* One configuration's figures; seconds are medians a step. */
typedef struct {
  double mask_ratio, seconds, image, text, loss, rest;
  double samples_per_second, flops_per_second, image_flops;
  double joules_per_sample; /* negative: the device has no meter */
  uint64_t peak_bytes;      /* of the device, or as planned */
  int64_t batch;
  int precision;
} step_row;

/* Where the time goes: step by step through its parts, waiting at the end of each. */
static err measure_parts(bench_rig *r, int64_t first, step_row *row) {
  enum { PARTS = 4 };
  double times[PARTS][PARTS_STEPS];
  clip_profile profile;
  err error = NULL;
  r->step.may_record = false;
  clip_set_profile(r->model, &profile);
  for (int i = 0; i < PARTS_STEPS && !error; i++) {
    profile = (clip_profile){0};
    double start = clock_seconds();
    error = bench_rig_step(r, first + i);
    times[0][i] = clock_seconds() - start;
    times[1][i] = profile.image_forward + profile.image_backward;
    times[2][i] = profile.text_forward + profile.text_backward;
    times[3][i] = profile.loss;
  }
  row->image = bench_median(times[1], PARTS_STEPS);
  row->text = bench_median(times[2], PARTS_STEPS);
  row->loss = bench_median(times[3], PARTS_STEPS);
  row->rest = bench_median(times[0], PARTS_STEPS) - row->image - row->text - row->loss;
  return error;
}

static err measure(const settings *s, int64_t vocabulary, int64_t steps, step_row *row) {
  bench_rig r;
  ops_memory memory = {0};
  double *times = mem_zeroed((size_t)steps, sizeof *times), joules = 0;
  err error = bench_rig_make(s, vocabulary, &r);
  if (!error && !times) error = mem_error((size_t)steps * sizeof *times, "timings");
  for (int64_t i = -WARM_UP; i < steps && !error; i++) {
    if (i == 0) joules = ops_read_usage(r.o).energy_joules;
    double start = clock_seconds();
    error = bench_rig_step(&r, i + WARM_UP + 1);
    if (i >= 0) times[i] = clock_seconds() - start;
  }
  if (error) goto cleanup;
  double samples = (double)s->batch_size, spent = ops_read_usage(r.o).energy_joules - joules;
  *row = (step_row){.mask_ratio = s->mask_ratio,
                    .seconds = bench_median(times, steps),
                    .batch = s->batch_size,
                    .joules_per_sample = joules < 0 ? -1 : spent / (samples * (double)steps),
                    .image_flops = 3 * r.counts.forward_image * samples,
                    .peak_bytes = r.counts.planned_bytes,
                    .precision = r.precision};
  row->samples_per_second = samples / row->seconds;
  row->flops_per_second = r.counts.train_sample * samples / row->seconds;
  if (r.o->call->memory) {
    TRY(r.o->call->memory(r.o, &memory));
    row->peak_bytes = memory.peak;
  }
  error = measure_parts(&r, steps + WARM_UP + 1, row);
cleanup:
  free(times);
  bench_rig_free(&r);
  return error;
}

err bench_step_rate(const bench_request *request, double *samples_per_second) {
  step_row row;
  err error = measure(&request->s, request->vocabulary, request->steps, &row);
  *samples_per_second = row.samples_per_second;
  return error;
}

static void print_json(const step_row *row, const step_row *whole, double fp32, double bf16) {
  strbuf out = {0};
  json_writer w = jsonw_start(&out);
  jsonw_object(&w, NULL);
  jsonw_number(&w, "mask_ratio", row->mask_ratio);
  jsonw_integer(&w, "batch_size", row->batch);
  jsonw_string(&w, "precision", precision_name(row->precision));
  jsonw_number(&w, "samples_per_second", row->samples_per_second);
  jsonw_number(&w, "time_ratio", whole->samples_per_second / row->samples_per_second);
  jsonw_number(&w, "step_seconds", row->seconds);
  jsonw_number(&w, "image_seconds", row->image);
  jsonw_number(&w, "text_seconds", row->text);
  jsonw_number(&w, "loss_seconds", row->loss);
  jsonw_number(&w, "optimizer_seconds", row->rest);
  jsonw_number(&w, "flops_per_second", row->flops_per_second);
  jsonw_number(&w, "gemm_fp32_flops_per_second", fp32);
  jsonw_number(&w, "gemm_bf16_flops_per_second", bf16);
  jsonw_number(&w, "mfu", row->flops_per_second / (row->precision == PRECISION_FP32 ? fp32 : bf16));
  jsonw_integer(&w, "peak_bytes", (int64_t)row->peak_bytes);
  if (row->joules_per_sample >= 0) jsonw_number(&w, "joules_per_sample", row->joules_per_sample);
  jsonw_number(&w, "image_speedup",
               whole->image / (double)whole->batch * (double)row->batch / row->image);
  jsonw_number(&w, "image_flops_ratio",
               whole->image_flops / (double)whole->batch * (double)row->batch / row->image_flops);
  jsonw_end(&w);
  puts(strbuf_string(&out));
  strbuf_free(&out);
}

static void print_row(const step_row *row, const step_row *whole, double fp32, double bf16) {
  char memory[TEXT_NUMBER_SIZE];
  double per_sample = whole->image / (double)whole->batch * (double)row->batch;
  double flops = whole->image_flops / (double)whole->batch * (double)row->batch;
  printf("%6.2f  %6ld  %9.1f  %6.3f  %8.1f  %8.1f  %8.1f  %8.1f  %8.1f  %8.1f  %7.1f %%",
         row->mask_ratio, (long)row->batch, row->samples_per_second,
         whole->samples_per_second / row->samples_per_second, 1e3 * row->seconds, 1e3 * row->image,
         1e3 * row->text, 1e3 * row->loss, 1e3 * row->rest, row->flops_per_second / 1e9,
         100 * row->flops_per_second / fp32);
  if (bf16 > 0)
    printf("  %7.1f %%", 100 * row->flops_per_second / bf16);
  else
    printf("  %9s", "-");
  printf("  %6.2f of %4.2f  %9s", per_sample / row->image, flops / row->image_flops,
         text_bytes(row->peak_bytes, memory));
  if (row->joules_per_sample >= 0) printf("  %8.3f", row->joules_per_sample);
  putchar('\n');
}

static void print_table(const step_row rows[], int count, double fp32, double bf16) {
  printf("matrix products on this machine, now: fp32 %.0f GFLOP/s, bf16 %.0f GFLOP/s; the step "
         "computes in %s\n\n",
         fp32 / 1e9, bf16 / 1e9, precision_name(rows[0].precision));
  printf("  mask   batch  samples/s    time   step ms  image ms   text ms   loss ms   rest ms   "
         "GFLOP/s  of fp32     of bf16  image × of FLOPs     memory%s\n",
         rows[0].joules_per_sample >= 0 ? "  J/sample" : "");
  for (int i = 0; i < count; i++) print_row(&rows[i], &rows[0], fp32, bf16);
}

err bench_step(const bench_request *request) {
  static const double ratios[] = {0.0, 0.5, 0.75};
  settings s = request->s; /* shallow: only numbers are changed */
  step_row rows[3];
  double fp32, bf16;
  err error = bench_gemm_rates(&s, &fp32, &bf16);
  for (int i = 0; i < 3 && !error; i++) {
    s.mask_ratio = ratios[i];
    if (request->is_fitted) error = bench_largest_batch(&s, request->vocabulary, &s.batch_size);
    if (!error) error = measure(&s, request->vocabulary, request->steps, &rows[i]);
  }
  if (error) return error;
  if (!request->as_json) print_table(rows, 3, fp32, bf16);
  for (int i = 0; i < 3 && request->as_json; i++) print_json(&rows[i], &rows[0], fp32, bf16);
  return NULL;
}
