#include "model/rates.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/json_read.h"
#include "base/mem.h"
#include "base/shipped.h"

enum { MOST_ROWS = 256 };
/* A mean power above this multiple of the device's limit is a measurement error. */
static const double MOST_POWER = 1.1;

/* What was read from a run's event stream so far. */
typedef struct {
  rate_row row;
  double joules, energy_samples, samples_per_second, loss_flops;
  int64_t ranks, starts;             /* ranks: the most of any process */
  bool has_start, has_end, is_mixed; /* is_mixed: processes on different devices */
} run_so_far;

typedef struct {
  const char *path;
  device_rates *out;
  run_so_far run;
  char like[256];
  double factor;
} reading;

double forecast_loss_flops(int64_t classes, int64_t batch, int64_t own, int64_t embed, int ranks) {
  if (classes > 0) return 0;
  double product = 2 * (double)own * (double)batch * (double)embed;
  return ranks > 1 ? 6 * product : 4 * product;
}

static err too_many(const reading *r) {
  return err_new(ERR_INPUT, "%s: more than %d measured rows", r->path, MOST_ROWS);
}

static err add_row(reading *r, const rate_row *row) {
  device_rates *out = r->out;
  if (out->count == MOST_ROWS) return too_many(r);
  if (!out->rows) out->rows = mem_zeroed(MOST_ROWS, sizeof *out->rows);
  if (!out->rows) return mem_error(MOST_ROWS * sizeof *out->rows, "measured rates");
  out->rows[out->count++] = *row;
  return NULL;
}

/* 0 if it is missing. */
static double number_or_0(const json_t *object, const char *key) {
  double value = json_number_of(object, key);
  return isfinite(value) ? value : 0;
}

static err read_device(reading *r, const json_t *line) {
  device_rates *out = r->out;
  snprintf(out->device, sizeof out->device, "%s", json_text_of(line, "device"));
  snprintf(out->source, sizeof out->source, "%s", json_text_of(line, "source"));
  snprintf(out->assumption, sizeof out->assumption, "%s", json_text_of(line, "assumption"));
  snprintf(r->like, sizeof r->like, "%s", json_text_of(line, "like"));
  out->is_gpu = true;
  out->watts = number_or_0(line, "watts");
  r->factor = number_or_0(line, "rate_factor");
  if (*r->like && !(r->factor > 0))
    return err_new(ERR_INPUT, "%s: \"like\" needs a \"rate_factor\" above 0", r->path);
  return NULL;
}

/* Sets the values derived from samples_per_second and flops_per_sample. The seconds of the update
 * and the loss if they were measured, in turns with the step, so that they may be negative; else
 * 0, and the FLOPs of the loss. row->encoded_twice: the towers' forward pass, with or without a
 * cache; 0: not known, as of earlier versions, and a third of the training. */
static err complete(const reading *r, rate_row *row, double update, double loss,
                    double loss_flops) {
  if (!(row->samples_per_second > 0) || !(row->flops_per_sample > 0) || !(row->batch > 0))
    return err_new(ERR_INPUT,
                   "%s: a row without samples_per_second, flops_per_second and batch_size: give "
                   "the output of 'flip bench step --json'",
                   r->path);
  double step = row->batch / row->samples_per_second;
  double rest = step - fmax(update, 0) - fmax(loss, 0);
  row->update_seconds = rest > 0 ? fmax(update, 0) : 0;
  double towers = row->encoded_twice > 0 ? row->encoded_twice : row->flops_per_sample / 3;
  bool is_cached = row->micro_batch > 0 && row->micro_batch < row->batch;
  row->encoded_twice = is_cached ? towers : 0;
  double flops = row->flops_per_sample + row->encoded_twice + row->recomputed;
  row->flop_seconds = (rest > 0 ? rest : step) / (row->batch * flops + loss_flops);
  return NULL;
}

/* A line of `flip bench step --json`. */
static err read_bench(reading *r, const json_t *line) {
  rate_row row = {.mask_ratio = number_or_0(line, "mask_ratio"),
                  .batch = number_or_0(line, "batch_size"),
                  .micro_batch = number_or_0(line, "micro_batch_size"),
                  .samples_per_second = number_or_0(line, "samples_per_second"),
                  .parameters = number_or_0(line, "parameters"),
                  .encoded_twice = number_or_0(line, "encode_flops_per_sample"),
                  .recomputed = number_or_0(line, "recomputed_flops_per_sample"),
                  .precision = precision_from_name(json_text_of(line, "precision"))};
  double rate = row.samples_per_second;
  if (rate > 0) row.flops_per_sample = number_or_0(line, "flops_per_second") / rate;
  row.watts = number_or_0(line, "joules_per_sample") * rate;
  snprintf(row.model, sizeof row.model, "%s", json_text_of(line, "model"));
  if (*json_text_of(line, "device_name")) r->out->is_gpu = true;
  err error = complete(r, &row, number_or_0(line, "optimizer_seconds"),
                       number_or_0(line, "loss_seconds"), 0);
  return error ? error : add_row(r, &row);
}

/* A line of a run's events.jsonl. */
static void read_event(reading *r, const json_t *line) {
  run_so_far *run = &r->run;
  const char *event = json_text_of(line, "event");
  if (strcmp(event, "start") == 0) {
    const json_t *s = json_object_get(line, "settings");
    run->has_start = true;
    int64_t ranks = (int64_t)number_or_0(line, "ranks");
    if (ranks > run->ranks) run->ranks = ranks; /* the pace is of all processes */
    run->row.mask_ratio = number_or_0(s, "mask_ratio");
    run->row.batch = number_or_0(s, "batch_size");
    int64_t classes = (int64_t)number_or_0(s, "classification.classes");
    int64_t batch = (int64_t)run->row.batch, embed = (int64_t)number_or_0(s, "embed_dim");
    if (!classes) run->row.micro_batch = number_or_0(s, "micro_batch_size");
    run->loss_flops = forecast_loss_flops(classes, batch, batch, embed, 1);
    const json_t *flops = json_object_get(line, "flops_per_sample");
    run->row.flops_per_sample = number_or_0(flops, "total");
    run->row.encoded_twice = (number_or_0(flops, "image") + number_or_0(flops, "text")) / 3;
    run->row.recomputed = number_or_0(line, "recomputed_flops_per_sample");
    run->row.parameters = number_or_0(json_object_get(line, "parameters"), "total");
    run->row.precision = precision_from_name(json_text_of(line, "precision"));
    const char *device = json_text_of(line, "device_name");
    run->is_mixed = run->is_mixed || (run->starts && strcmp(device, r->out->device) != 0);
    snprintf(r->out->device, sizeof r->out->device, "%s", device);
    r->out->is_gpu = strcmp(json_text_of(line, "device"), "cuda") == 0;
    run->starts++;
  } else if (strcmp(event, "step") == 0) {
    double joules = json_number_of(line, "energy_joules");
    if (isfinite(joules)) {
      run->joules += joules;
      run->energy_samples += number_or_0(line, "steps") * run->row.batch;
    }
  } else if (strcmp(event, "end") == 0) {
    run->samples_per_second = number_or_0(line, "samples_per_second");
    run->has_end = run->samples_per_second > 0;
  }
}

static err finish_run(reading *r) {
  run_so_far *run = &r->run;
  if (!run->has_start) return NULL;
  if (!run->has_end)
    return err_new(ERR_INPUT, "%s: the run has not ended with a measured rate", r->path);
  if (run->ranks > 1)
    return err_new(ERR_INPUT,
                   "%s: a run on %ld ranks; the rate of one device is needed: give a run on one",
                   r->path, (long)run->ranks);
  if (run->is_mixed)
    return err_new(ERR_INPUT,
                   "%s: a run that went on with another device; the rate of one is needed: give a "
                   "run that was made on one",
                   r->path);
  run->row.samples_per_second = run->samples_per_second;
  if (run->energy_samples > 0)
    run->row.watts = run->joules / run->energy_samples * run->samples_per_second;
  err error = complete(r, &run->row, 0, 0, run->loss_flops);
  return error ? error : add_row(r, &run->row);
}

static err read_line(reading *r, const char *text, size_t length, int number) {
  json_error_t where;
  json_t *line = json_loadb(text, length, 0, &where);
  if (!line || !json_is_object(line)) {
    json_decref(line);
    return err_new(ERR_INPUT, "%s:%d: not a JSON object: %s", r->path, number, where.text);
  }
  err error = NULL;
  if (json_object_get(line, "event"))
    read_event(r, line);
  else if (json_object_get(line, "device"))
    error = read_device(r, line);
  else
    error = read_bench(r, line);
  json_decref(line);
  return error;
}

static err read_file(reading *r) {
  char *text = NULL;
  size_t length = 0;
  int number = 0;
  err error = fs_read(r->path, &text, &length);
  for (const char *at = text; !error && at && *at;) {
    size_t line = strcspn(at, "\n");
    number++;
    if (line) error = read_line(r, at, line, number);
    at += line + (at[line] == '\n');
  }
  free(text);
  return error ? error : finish_run(r);
}

static err read_all(const char *path, device_rates *out);

/* The rows of the other file, slower or faster by the factor; its energy is not this device's. */
static err read_like(const reading *r) {
  device_rates other = {0};
  char *folder = mem_copy_string(r->path), *path = NULL;
  if (!folder) return mem_error(0, "a path");
  char *slash = strrchr(folder, '/');
  if (slash) *slash = '\0';
  path = slash ? fs_join(folder, r->like) : mem_copy_string(r->like);
  err error = path ? read_all(path, &other) : mem_error(0, "a path");
  if (!error && other.is_scaled)
    error =
        err_new(ERR_INPUT, "%s: \"like\": %s uses \"like\" itself: name a file with measured rows",
                r->path, r->like);
  for (size_t i = 0; i < other.count && !error; i++) {
    rate_row row = other.rows[i];
    row.samples_per_second *= r->factor;
    row.flop_seconds /= r->factor;
    row.update_seconds /= r->factor;
    row.watts = 0;
    reading mine = *r;
    error = add_row(&mine, &row);
  }
  rates_free(&other);
  free(path);
  free(folder);
  return error;
}

static err read_all(const char *path, device_rates *out) {
  reading r = {.path = path, .out = out};
  err error = read_file(&r);
  if (!error && *r.like) {
    out->is_scaled = true;
    error = read_like(&r);
  }
  for (size_t i = 0; i < out->count && out->watts > 0; i++)
    if (out->rows[i].watts > MOST_POWER * out->watts) {
      out->rows[i].watts = 0;
      out->impossible++;
    }
  if (!error && !out->count)
    error = err_new(ERR_INPUT, "%s: no measured rates: give the output of 'flip bench step --json'",
                    path);
  return error;
}

static err from_number(double rate, const settings *s, const model_counts *counts,
                       device_rates *out) {
  if (!(rate > 0)) return err_new(ERR_INPUT, "--rate: %g samples/s is not above 0", rate);
  reading r = {.path = "--rate", .out = out};
  rate_row row = {.mask_ratio = s->mask_ratio,
                  .batch = (double)s->batch_size,
                  .samples_per_second = rate,
                  .flops_per_sample = counts->train_sample,
                  .recomputed = counts->recomputed,
                  .parameters = (double)counts->parameters_total,
                  .precision = s->precision};
  double loss =
      forecast_loss_flops(s->classification_classes, s->batch_size, s->batch_size, s->embed_dim, 1);
  err error = complete(&r, &row, 0, 0, loss);
  return error ? error : add_row(&r, &row);
}

err rates_open(const char *given, const settings *s, const model_counts *counts,
               device_rates *out) {
  double rate;
  *out = (device_rates){0};
  if (text_parse_real(given, &rate)) {
    if (s && counts) return from_number(rate, s, counts, out);
    return err_new(ERR_INPUT,
                   "--rate: '%s': give a device or a file; a rate in samples/s is of one "
                   "model alone",
                   given);
  }
  strbuf name = {0};
  strbuf_format(&name, "experiments/devices/%s.jsonl", given);
  bool is_name = !strchr(given, '/') && !strchr(given, '.');
  char *path = name.is_broken ? NULL : is_name ? shipped_find(name.data) : mem_copy_string(given);
  strbuf_free(&name);
  err error = path      ? read_all(path, out)
              : is_name ? err_new(ERR_INPUT,
                                  "--rate: '%s' is neither a number nor a device that is known "
                                  "(h100, a100); a file needs its path",
                                  given)
                        : mem_error(0, "a path");
  free(path);
  if (error) rates_free(out);
  return error;
}

void rates_free(device_rates *r) {
  free(r->rows);
  *r = (device_rates){0};
}

const rate_row *rates_nearest(const device_rates *r, int precision, double flops_per_sample,
                              double mask_ratio) {
  const rate_row *best = NULL;
  double least = INFINITY;
  for (size_t i = 0; i < r->count; i++) {
    const rate_row *row = &r->rows[i];
    if (row->precision != (precision == PRECISION_AUTO ? r->rows[0].precision : precision))
      continue;
    double distance =
        fabs(log(row->flops_per_sample / flops_per_sample)) + fabs(row->mask_ratio - mask_ratio);
    if (distance < least) least = distance, best = row;
  }
  return best;
}
