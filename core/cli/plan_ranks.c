#include "cli/plan_ranks.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

enum { MOST_DEVICES = 65536 };

/* "1,8,64" */
static err read_ranks(const char *text, int ranks[PLAN_RANKS_MOST], size_t *count) {
  *count = 0;
  for (const char *at = text;;) {
    int64_t value;
    const char *after = text_read_whole(at, &value);
    if (!after || (*after && *after != ',') || value < 1 || value > MOST_DEVICES)
      return err_new(ERR_INPUT, "--ranks: '%s': give whole numbers from 1 to %d: 1,8,64", text,
                     MOST_DEVICES);
    if (*count == PLAN_RANKS_MOST)
      return err_new(ERR_INPUT, "--ranks: more than %d numbers", PLAN_RANKS_MOST);
    ranks[(*count)++] = (int)value;
    if (!*after) return NULL;
    at = after + 1;
  }
}

static err check(const plan_ranks_options *o, const int *ranks, size_t count) {
  bool has_several = false;
  for (size_t i = 0; i < count; i++) has_several = has_several || ranks[i] > 1;
  if (!o->rate)
    return err_new(ERR_INPUT,
                   "--ranks needs --rate: the measured rate of one device, in samples/s, "
                   "as a device (h100, a100) or a file of 'flip bench step --json'");
  if (has_several && isnan(o->link))
    return err_new(ERR_INPUT, "--ranks needs --link: the bandwidth of a device's link in GB/s");
  if (o->link <= 0) return err_new(ERR_INPUT, "--link: %g GB/s is not above 0", o->link);
  if (!(o->latency >= 0)) return err_new(ERR_INPUT, "--latency: %g us is below 0", o->latency);
  if (!(o->overlap >= 0 && o->overlap <= 1))
    return err_new(ERR_INPUT, "--overlap: %g is outside [0, 1]", o->overlap);
  return NULL;
}

int64_t plan_chunk_bytes(const settings *s, const device_rates *rates) {
  return s->device == DEVICE_CUDA || rates->is_gpu ? 0 : OPS_CPU_CHUNK_BYTES;
}

err plan_ranks_make(const plan_ranks_options *asked, const settings *s, int64_t vocabulary,
                    const model_counts *counts, plan_ranks *p) {
  int ranks[PLAN_RANKS_MOST];
  size_t count;
  err error = NULL;
  plan_ranks_options all = *asked, *o = &all;
  if (!o->ranks) {
    if (o->rate || o->wire || !isnan(o->link) || !isnan(o->latency) || !isnan(o->overlap))
      return err_new(ERR_INPUT, "--rate, --link, --latency, --overlap and --wire apply to a "
                                "prediction: give --ranks too");
    return NULL;
  }
  if (isnan(o->latency)) o->latency = 10;
  if (isnan(o->overlap)) o->overlap = 0;
  TRY(read_ranks(o->ranks, ranks, &count));
  TRY(check(o, ranks, count));
  TRY(rates_open(o->rate, s, counts, &p->rates));
  bool is_bf16 = o->wire ? strcmp(o->wire, "bf16") == 0 : s->comm_reduce == COMM_REDUCE_BF16;
  p->machine = (forecast_machine){.rates = &p->rates,
                                  .link_bytes_per_second = isnan(o->link) ? 0 : o->link * 1e9,
                                  .latency_seconds = o->latency * 1e-6,
                                  .overlap = o->overlap,
                                  .has_wire = true,
                                  .wire = is_bf16 ? OPS_BF16 : OPS_F32};
  p->updates = settings_length_of(s, 0).updates;
  for (size_t i = 0; i < count; i++)
    TRY(forecast_make(s, vocabulary, plan_chunk_bytes(s, &p->rates), &p->machine, ranks[i],
                      &p->rows[i]));
  p->count = count;
cleanup:
  return error;
}

static bool has_several(const plan_ranks *p) {
  for (size_t i = 0; i < p->count; i++)
    if (p->rows[i].ranks > 1) return true;
  return false;
}

static void add_lines(const strbuf *lines, strbuf *out) {
  for (const char *at = strbuf_string(lines); *at;) {
    int length = (int)strcspn(at, "\n");
    strbuf_format(out, "  - %.*s\n", length, at);
    at += length + (at[length] == '\n');
  }
}

static void add_row(const forecast *f, strbuf *out) {
  char memory[TEXT_NUMBER_SIZE], sent[TEXT_NUMBER_SIZE];
  strbuf_format(out,
                "%7" PRId64 " %9" PRId64 " %7" PRId64 "  %10s %10.1f %10s %10.2f %10.2f %10.1f "
                "%11.0f %9.1f %%",
                f->ranks, f->own, f->micro, text_bytes(f->rank_bytes, memory),
                1e3 * (f->encode + f->loss + f->update),
                text_bytes((uint64_t)traffic_total(&f->moved), sent), 1e3 * f->exchange,
                1e3 * f->exposed, 1e3 * f->step, f->samples_per_second, 100 * f->efficiency);
  if (isfinite(f->device_hours))
    strbuf_format(out, f->device_hours < 1 ? " %12.3g" : " %12.1f", f->device_hours);
  else
    strbuf_format(out, " %12s", "-");
  if (isfinite(f->kwh))
    strbuf_format(out, " %10.2f\n", f->kwh);
  else
    strbuf_format(out, " %10s\n", "-");
}

err plan_ranks_print(const plan_ranks *p) {
  strbuf out = {0}, lines = {0};
  if (!p->count) return NULL;
  strbuf_append(&out, "\nprediction, not measured: one step, and the whole run\n");
  strbuf_format(&out, "%7s %9s %7s  %10s %10s %10s %10s %10s %10s %11s %11s %12s %10s\n", "ranks",
                "per rank", "micro", "memory", "compute ms", "sent", "exchange", "not hidden",
                "step ms", "samples/s", "efficiency", "device hours", "kWh");
  for (size_t i = 0; i < p->count; i++) add_row(&p->rows[i], &out);
  strbuf_append(
      &out, "sent: bytes per step by rank 0; exchange, not hidden: ms per step; memory: planned, "
            "per rank;\nefficiency: samples/s divided by ranks times the measured rate of "
            "one device, as of samples that are encoded once\nassumptions\n");
  forecast_assumptions(&p->machine, has_several(p), &lines);
  if (p->rows[0].is_far)
    strbuf_append(&lines,
                  "extrapolated: a sample has less than a third of the FLOPs of every measured "
                  "row, or more than three times as many; measure this model with 'flip bench "
                  "step --json'\n");
  if (p->updates == 0)
    strbuf_append(&lines,
                  "no device hours: the run's length is in epochs of data whose size is unknown; "
                  "set epoch_samples or samples\n");
  add_lines(&lines, &out);
  out.is_broken = out.is_broken || lines.is_broken;
  strbuf_free(&lines);
  return options_print(&out);
}

static void write_row(const forecast *f, json_writer *w) {
  jsonw_object(w, NULL);
  jsonw_integer(w, "ranks", f->ranks);
  jsonw_integer(w, "samples_per_rank", f->own);
  jsonw_integer(w, "micro_batch_size", f->micro);
  jsonw_integer(w, "planned_bytes", (int64_t)f->rank_bytes);
  jsonw_object(w, "sent_bytes");
  jsonw_integer(w, "features", f->moved.features);
  jsonw_integer(w, "statistics", f->moved.statistics);
  jsonw_integer(w, "reconstruction", f->moved.reconstruction);
  jsonw_integer(w, "scales", f->moved.scales);
  jsonw_integer(w, "gradients", f->moved.gradients);
  jsonw_integer(w, "sums", f->moved.sums);
  jsonw_integer(w, "norm", f->moved.norm);
  jsonw_integer(w, "total", traffic_total(&f->moved));
  jsonw_end(w);
  jsonw_bool(w, "extrapolated", f->is_far);
  jsonw_number(w, "encode_seconds", f->encode);
  jsonw_number(w, "loss_seconds", f->loss);
  jsonw_number(w, "update_seconds", f->update);
  jsonw_number(w, "exchange_seconds", f->exchange);
  jsonw_number(w, "exposed_seconds", f->exposed);
  jsonw_number(w, "step_seconds", f->step);
  jsonw_number(w, "samples_per_second", f->samples_per_second);
  jsonw_number(w, "efficiency", f->efficiency);
  jsonw_number(w, "device_hours", f->device_hours);
  jsonw_number(w, "kwh", f->kwh);
  jsonw_end(w);
}

void plan_ranks_write(const plan_ranks *p, json_writer *w) {
  strbuf lines = {0};
  if (!p->count) return;
  jsonw_object(w, "prediction");
  jsonw_array(w, "assumptions");
  forecast_assumptions(&p->machine, has_several(p), &lines);
  for (char *at = lines.data, *end; at && *at; at = end + 1) {
    end = at + strcspn(at, "\n");
    *end = '\0';
    jsonw_string(w, NULL, at);
  }
  jsonw_end(w);
  jsonw_array(w, "rows");
  for (size_t i = 0; i < p->count; i++) write_row(&p->rows[i], w);
  jsonw_end(w);
  jsonw_end(w);
  w->out->is_broken = w->out->is_broken || lines.is_broken;
  strbuf_free(&lines);
}

void plan_ranks_free(plan_ranks *p) {
  rates_free(&p->rates);
  *p = (plan_ranks){0};
}
