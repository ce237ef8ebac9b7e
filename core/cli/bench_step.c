/* `flip bench step`: the time of a training step by part, relative to the machine's own
 * matrix-product rate. */
#include <stdio.h>

#include "base/json.h"
#include "base/options.h"
#include "base/text.h"
#include "cli/bench.h"
#include "cli/bench_rig.h"
#include "cli/bench_rows.h"

/* What is printed: as JSON, each row when it is done. */
typedef struct {
  const bench_request *request;
  bench_row rows[BENCH_MOST_MASKS];
  int count;
  double fp32, bf16; /* FLOP/s of matrix products */
} step_table;

err bench_step_rate(const bench_request *request, double *samples_per_second) {
  bench_row row = {0};
  bool is_in_turns;
  err error = bench_measure_rows(&request->s, 1, request->vocabulary, request->steps, &row,
                                 &is_in_turns, NULL);
  *samples_per_second = row.samples_per_second;
  return error;
}

static err print_json(void *context, int i, bool is_in_turns) {
  const step_table *t = context;
  const bench_row *row = &t->rows[i], *whole = &t->rows[0];
  strbuf out = {0};
  if (!t->request->as_json) return NULL;
  json_writer w = jsonw_start(&out);
  jsonw_object(&w, NULL);
  jsonw_number(&w, "mask_ratio", row->mask_ratio);
  jsonw_integer(&w, "batch_size", row->batch);
  jsonw_string(&w, "precision", precision_name(row->precision));
  if (*row->device) jsonw_string(&w, "device_name", row->device);
  if (row->micro_batch) jsonw_integer(&w, "micro_batch_size", row->micro_batch);
  if (row->precision == PRECISION_FP8)
    jsonw_string(&w, "fp8_scaling", row->delays_scales ? "delayed" : "current");
  jsonw_number(&w, "samples_per_second", row->samples_per_second);
  jsonw_number(&w, "time_ratio", row->time_ratio);
  jsonw_bool(&w, "in_turns", is_in_turns);
  jsonw_number(&w, "step_seconds", row->seconds);
  jsonw_number(&w, "image_seconds", row->image);
  jsonw_number(&w, "text_seconds", row->text);
  jsonw_number(&w, "loss_seconds", row->loss);
  if (row->reconstruction > 0) jsonw_number(&w, "reconstruction_seconds", row->reconstruction);
  if (row->scoring > 0) jsonw_number(&w, "scoring_seconds", row->scoring);
  jsonw_number(&w, "optimizer_seconds", row->rest);
  jsonw_integer(&w, "parameters", row->parameters);
  jsonw_number(&w, "flops_per_second", row->flops_per_second);
  jsonw_number(&w, "encode_flops_per_sample", row->encode_flops);
  if (row->recomputed > 0) jsonw_number(&w, "recomputed_flops_per_sample", row->recomputed);
  jsonw_number(&w, "gemm_fp32_flops_per_second", t->fp32);
  jsonw_number(&w, "gemm_bf16_flops_per_second", t->bf16);
  jsonw_number(&w, "mfu", row->flops_per_second / bench_rate_of(row->precision, t->fp32, t->bf16));
  jsonw_integer(&w, "peak_bytes", (int64_t)row->peak_bytes);
  jsonw_integer(&w, "planned_bytes", (int64_t)row->planned_bytes);
  if (row->joules_per_sample >= 0) jsonw_number(&w, "joules_per_sample", row->joules_per_sample);
  jsonw_number(&w, "image_speedup",
               whole->image / (double)whole->batch * (double)row->batch / row->image);
  jsonw_number(&w, "image_flops_ratio",
               whole->image_flops / (double)whole->batch * (double)row->batch / row->image_flops);
  jsonw_end(&w);
  strbuf_append_char(&out, '\n');
  return options_print(&out);
}

/* Columns that not every model has: at mask 0 nothing is reconstructed and nothing is scored. */
typedef struct {
  bool decoder, scoring, energy;
} table_parts;

static table_parts parts_of(const step_table *t) {
  table_parts has = {.energy = t->rows[0].joules_per_sample >= 0};
  for (int i = 0; i < t->count; i++) {
    has.decoder = has.decoder || t->rows[i].reconstruction > 0;
    has.scoring = has.scoring || t->rows[i].scoring > 0;
  }
  return has;
}

static void print_row(const bench_row *row, const bench_row *whole, table_parts has, double fp32,
                      double bf16) {
  char memory[TEXT_NUMBER_SIZE];
  double per_sample = whole->image / (double)whole->batch * (double)row->batch;
  double flops = whole->image_flops / (double)whole->batch * (double)row->batch;
  printf("%6.2f  %6ld  %9.1f  %6.3f  %8.1f  %8.1f  %8.1f  %8.1f", row->mask_ratio, (long)row->batch,
         row->samples_per_second, row->time_ratio, 1e3 * row->seconds, 1e3 * row->image,
         1e3 * row->text, 1e3 * row->loss);
  if (has.decoder) printf("  %10.1f", 1e3 * row->reconstruction);
  if (has.scoring) printf("  %10.1f", 1e3 * row->scoring);
  printf("  %8.1f  %8.1f  %7.1f %%", 1e3 * row->rest, row->flops_per_second / 1e9,
         100 * row->flops_per_second / fp32);
  if (bf16 > 0)
    printf("  %7.1f %%", 100 * row->flops_per_second / bf16);
  else
    printf("  %9s", "-");
  printf("  %6.2f of %4.2f  %9s", per_sample / row->image, flops / row->image_flops,
         text_bytes(*row->device ? row->peak_bytes : row->planned_bytes, memory));
  if (has.energy) printf("  %8.3f", row->joules_per_sample);
  putchar('\n');
}

static void print_table(const step_table *t, bool is_in_turns) {
  const table_parts has = parts_of(t);
  printf("matrix products on this machine, measured now: fp32 %.0f GFLOP/s, bf16 %.0f GFLOP/s; the "
         "step computes in %s%s\n\n",
         t->fp32 / 1e9, t->bf16 / 1e9, precision_name(t->rows[0].precision),
         t->rows[0].delays_scales ? ", factors from earlier steps" : "");
  printf(
      "  mask   batch  samples/s    time   step ms  image ms   text ms   loss ms%s%s   rest ms   "
      "GFLOP/s  of fp32     of bf16  image × of FLOPs     memory%s\n",
      has.decoder ? "  decoder ms" : "", has.scoring ? "  scoring ms" : "",
      has.energy ? "  J/sample" : "");
  for (int i = 0; i < t->count; i++) print_row(&t->rows[i], &t->rows[0], has, t->fp32, t->bf16);
  if (t->count > 1)
    puts(is_in_turns
             ? "\nmeasured alternately: drift of the machine does not bias the rows' ratios"
             : "\nmeasured one after another, because the models do not fit into memory at once: "
               "drift of the machine biases the ratios");
}

/* --fit: each row fills the device, so there is no room for another. */
static err measure_fitted(settings *runs, step_table *t) {
  const bench_request *request = t->request;
  bool is_in_turns;
  err error = NULL;
  for (int i = 0; i < t->count; i++) {
    TRY(bench_largest_batch(&runs[i], request->vocabulary, &runs[i].batch_size));
    TRY(bench_measure_rows(&runs[i], 1, request->vocabulary, request->steps, &t->rows[i],
                           &is_in_turns, NULL));
    t->rows[i].time_ratio = t->rows[0].samples_per_second / t->rows[i].samples_per_second;
    TRY(print_json(t, i, false));
  }
cleanup:
  return error;
}

err bench_step(const bench_request *request) {
  settings runs[BENCH_MOST_MASKS]; /* shallow: only numbers are changed */
  step_table table = {.request = request, .count = request->mask_count};
  const bench_taker taker = {print_json, &table};
  bool is_in_turns = false;
  for (int i = 0; i < table.count; i++) {
    runs[i] = request->s;
    runs[i].mask_ratio = request->masks[i];
    if (!(runs[i].mask_ratio > 0)) runs[i].reconstruction_weight = 0; /* the row to compare with */
    err wrong = settings_check_step(&runs[i]);
    if (wrong) return err_context(wrong, "--mask %g", request->masks[i]);
  }
  err error = bench_gemm_rates(&request->s, &table.fp32, &table.bf16);
  if (!error)
    error = request->is_fitted
                ? measure_fitted(runs, &table)
                : bench_measure_rows(runs, table.count, request->vocabulary, request->steps,
                                     table.rows, &is_in_turns, &taker);
  if (!error && !request->as_json) print_table(&table, is_in_turns);
  return error;
}
