/* `flipbench cost`: what the cells of experiments would cost on given devices, predicted from
 * measured rates. Runs nothing, records nothing. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/shipped.h"
#include "cli/cli.h"
#include "model/forecast.h"
#include "sweep/vocabulary.h"

static const char details[] =
    "Predicts device hours and energy of every cell, tuning included, from the measured rate of "
    "one\n"
    "device: a shipped one (h100, measured; a100, scaled from it) or a file of 'flip bench step\n"
    "--json'. The exchange between the ranks of a cell is counted as in 'flip plan --ranks', with "
    "the\n"
    "bandwidth of --link. --ranks predicts other numbers of ranks than a file requires; those that "
    "its\n"
    "matrix sets cannot be changed. Cells that several experiments share are counted once in the "
    "total.\n"
    "Nothing is run, and every assumption is printed.\n"
    "\n"
    "examples:\n"
    "  flipbench cost experiments/paper/table1a.yaml --profile paper --rate h100\n"
    "  flipbench cost experiments/paper/*.yaml --profile paper --rate h100 --rate a100 \\\n"
    "            --ranks 256 --link 25";

enum { MOST_RATES = 8 };
static const int64_t of_each_cell = INT64_MIN; /* --ranks is not given */
enum { LEAST_OWN = 64 };                       /* samples per device: the paper's 16,384 over 256 */

typedef struct {
  const char *profile, *wire;
  option_list rates;
  double link, latency, overlap;
  int64_t ranks; /* or of_each_cell */
  int64_t data_samples;
  bool as_json, lists_cells;
} cost_words;

/* Sums over some cells on one device. */
typedef struct {
  double hours, kwh, samples, flops;
  /* numbers of cells: unknown: of unknown length; of the others: no_energy, far (forecast.is_far)
   */
  size_t cells, unknown, no_energy, far;
} cost_sum;

typedef struct {
  const cost_words *words;
  device_rates rates[MOST_RATES];
  forecast_machine machines[MOST_RATES];
  size_t rate_count;
  cost_sum total[MOST_RATES];
  char (*seen)[HASH_SIZE]; /* cells of earlier experiments */
  size_t seen_count;
  vocabulary_read vocabulary;
  bool is_published;  /* somewhere the published vocabulary was counted instead */
  int64_t most_ranks; /* of a cell */
  strbuf out;
  json_writer w;
} costing;

/* The largest number of devices, up to `most`, among which the batch can be divided with at least
 * LEAST_OWN samples on each. */
static int divide_among(int64_t most, const settings *s) {
  for (int64_t ranks = most; ranks > 1; ranks--)
    if (settings_suit_ranks(s, ranks) && s->batch_size / ranks >= LEAST_OWN) return (int)ranks;
  return 1;
}

/* Ranks of the matrix are the cell's; those that are only required may be others. */
static err ranks_for(costing *c, const spec_cell *cell, int *ranks) {
  const cost_words *words = c->words;
  const bool is_given = words->ranks != of_each_cell;
  if (is_given && cell->ranks.is_axis)
    return err_new(ERR_INPUT, "the matrix sets the ranks of each cell: leave out --ranks");
  *ranks = is_given ? divide_among(words->ranks, &cell->settings) : (int)cell->ranks.ranks;
  if (*ranks > c->most_ranks) c->most_ranks = *ranks;
  if (*ranks == 1 || words->link > 0) return NULL;
  return err_new(ERR_INPUT, "%d ranks need --link: the bandwidth of a device's link in GB/s",
                 *ranks);
}

/* Samples that were encoded at once when the row was measured. */
static double measured_at_once(const rate_row *row) {
  return row->micro_batch > 0 ? row->micro_batch : row->batch;
}

static err forecast_cell(costing *c, size_t which, const settings *s, int ranks, forecast *f,
                         double *flops) {
  const forecast_machine *m = &c->machines[which];
  forecast_machine own = *m;
  model_counts counts;
  int64_t vocabulary;
  bool is_published;
  err error = vocabulary_count_of(&c->vocabulary, s, &vocabulary, &is_published);
  c->is_published = c->is_published || is_published;
  if (!error) error = model_count(s, vocabulary, forecast_compute_type(s, m->rates), 0, &counts);
  if (error) return error;
  *flops = counts.train_sample;
  /* the rate is for micro-batches of that size */
  const rate_row *row = rates_nearest(m->rates, s->precision, *flops, s->mask_ratio);
  if (row) own.most_micro_batch = (int64_t)measured_at_once(row);
  return forecast_make(s, vocabulary, 0, &own, ranks, f);
}

static void add(cost_sum *sum, int64_t data_samples, const settings *s, const forecast *f,
                double flops) {
  sum->cells++;
  if (!isfinite(f->device_hours)) {
    sum->unknown++;
    return;
  }
  double samples = (double)settings_length_of(s, data_samples).updates * (double)s->batch_size;
  sum->samples += samples;
  sum->flops += samples * flops;
  sum->hours += f->device_hours;
  sum->far += f->is_far;
  if (isfinite(f->kwh))
    sum->kwh += f->kwh;
  else
    sum->no_energy++;
}

static void write_sum(json_writer *w, const char *device, const cost_sum *sum) {
  jsonw_object(w, NULL);
  jsonw_string(w, "device", device);
  jsonw_integer(w, "cells", (int64_t)sum->cells);
  jsonw_integer(w, "cells_of_unknown_length", (int64_t)sum->unknown);
  jsonw_integer(w, "cells_extrapolated", (int64_t)sum->far);
  jsonw_number(w, "samples", sum->samples);
  jsonw_number(w, "flops", sum->flops);
  jsonw_number(w, "device_hours", sum->hours);
  jsonw_number(w, "kwh", sum->no_energy ? NAN : sum->kwh);
  jsonw_end(w);
}

static void print_name(strbuf *out, const char *name) {
  size_t start = out->length;
  strbuf_append(out, name);
  text_cut(out, start, 46);
  while (text_columns(strbuf_string(out) + start) < 46) strbuf_append_char(out, ' ');
}

static void print_sum(costing *c, const cost_sum *sums) {
  strbuf *out = &c->out;
  const size_t count = c->rate_count;
  char samples[TEXT_NUMBER_SIZE], flops[TEXT_NUMBER_SIZE];
  bool is_known = sums->cells > sums->unknown;
  strbuf_format(out, " %6zu %10s %12s", sums->cells,
                is_known ? text_count(sums->samples, samples) : "-",
                is_known ? text_si(sums->flops, "FLOP", flops) : "-");
  for (size_t i = 0; i < count; i++) {
    if (is_known)
      strbuf_format(out, sums[i].hours < 1 ? " %13.3f" : " %13.1f", sums[i].hours);
    else
      strbuf_format(out, " %13s", "-");
    if (is_known && !sums[i].no_energy)
      strbuf_format(out, " %10.1f", sums[i].kwh);
    else
      strbuf_format(out, " %10s", "-");
  }
  for (size_t i = 0; i < count; i++)
    if (sums[i].far)
      strbuf_format(out, "  (%zu extrapolated%s%s)", sums[i].far, count > 1 ? " for " : "",
                    count > 1 ? fs_name(c->words->rates.items[i]) : "");
  if (sums->unknown) strbuf_format(out, "  (%zu of unknown length not counted)", sums->unknown);
  strbuf_append_char(out, '\n');
}

static void write_sums(costing *c, const char *key, const cost_sum *sums) {
  jsonw_array(&c->w, key);
  for (size_t i = 0; i < c->rate_count; i++) write_sum(&c->w, c->words->rates.items[i], &sums[i]);
  jsonw_end(&c->w);
}

/* One cell on every device, added to the experiment's sums and, unless an earlier experiment had
 * it, to the total. */
static err cost_cell(costing *c, const spec_cell *cell, bool is_new, cost_sum *sums) {
  cost_sum own[MOST_RATES] = {{0}};
  const settings *s = &cell->settings;
  int ranks = 1;
  err error = ranks_for(c, cell, &ranks);
  for (size_t i = 0; i < c->rate_count; i++) {
    forecast f;
    double flops;
    if (!error) error = forecast_cell(c, i, s, ranks, &f, &flops);
    if (error) return err_context(error, "%s", cell->label);
    add(&own[i], c->words->data_samples, s, &f, flops);
    add(&sums[i], c->words->data_samples, s, &f, flops);
    if (is_new) add(&c->total[i], c->words->data_samples, s, &f, flops);
  }
  if (!c->words->lists_cells) return NULL;
  if (c->words->as_json) {
    jsonw_object(&c->w, NULL);
    jsonw_string(&c->w, "label", cell->label);
    jsonw_string(&c->w, "id", cell->id);
    jsonw_integer(&c->w, "ranks", ranks);
    write_sums(c, "devices", own);
    jsonw_end(&c->w);
    return NULL;
  }
  strbuf name = {0};
  strbuf_format(&name, "  %s", cell->label);
  print_name(&c->out, strbuf_string(&name));
  print_sum(c, own);
  c->out.is_broken = c->out.is_broken || name.is_broken;
  strbuf_free(&name);
  return NULL;
}

static bool was_seen(const costing *c, const char *id) {
  for (size_t i = 0; i < c->seen_count; i++)
    if (strcmp(c->seen[i], id) == 0) return true;
  return false;
}

/* Ids are remembered after the whole experiment: its own cells all differ. */
static err remember(costing *c, const spec_experiment *e) {
  size_t bytes = (c->seen_count + e->cell_count) * sizeof *c->seen;
  void *larger = bytes ? realloc(c->seen, bytes) : NULL;
  if (!larger) return bytes ? mem_error(bytes, "cells") : NULL;
  c->seen = larger;
  for (size_t i = 0; i < e->cell_count; i++)
    memcpy(c->seen[c->seen_count++], e->cells[i].id, HASH_SIZE);
  return NULL;
}

static err cost_experiment(costing *c, const char *path) {
  spec_experiment *e = NULL;
  cost_sum sums[MOST_RATES] = {{0}};
  spec_options options = {.profile = c->words->profile, .trains = true};
  err error = cli_load_experiment(NULL, NULL, path, &options, &e);
  if (error) return error;
  if (c->words->as_json) {
    jsonw_object(&c->w, NULL);
    jsonw_string(&c->w, "experiment", e->name);
    jsonw_string(&c->w, "title", e->title);
    if (c->words->lists_cells) jsonw_array(&c->w, "cells");
  }
  for (size_t i = 0; i < e->cell_count; i++)
    TRY(cost_cell(c, &e->cells[i], !was_seen(c, e->cells[i].id), sums));
  TRY(remember(c, e));
  if (c->words->as_json) {
    if (c->words->lists_cells) jsonw_end(&c->w);
    write_sums(c, "devices", sums);
    jsonw_end(&c->w);
  } else {
    print_name(&c->out, e->title ? e->title : e->name);
    print_sum(c, sums);
  }
cleanup:
  spec_free(e);
  return err_context(error, "%s", path);
}

static void print_head(const costing *c, strbuf *out) {
  const cost_words *words = c->words;
  char hours[64];
  strbuf_append(out, "prediction, not measured: on ");
  if (words->ranks == of_each_cell && c->most_ranks > 1)
    strbuf_format(out, "the ranks that each cell has, up to %ld devices", (long)c->most_ranks);
  else if (words->ranks > 1)
    strbuf_format(out, "up to %ld devices", (long)words->ranks);
  else
    strbuf_append(out, "1 device");
  if (words->profile) strbuf_format(out, ", profile %s", words->profile);
  strbuf_append_char(out, '\n');
  print_name(out, "");
  strbuf_format(out, " %6s %10s %12s", "cells", "samples", "computation");
  for (size_t i = 0; i < c->rate_count; i++) {
    snprintf(hours, sizeof hours, "%.7s hours", fs_name(words->rates.items[i]));
    strbuf_format(out, " %13s %10s", hours, "kWh");
  }
  strbuf_append_char(out, '\n');
}

static void assume_micro_batch(const device_rates *rates, strbuf *out) {
  double least = INFINITY, most = 0;
  for (size_t i = 0; i < rates->count; i++) {
    least = fmin(least, measured_at_once(&rates->rows[i]));
    most = fmax(most, measured_at_once(&rates->rows[i]));
  }
  if (least < most)
    strbuf_format(out,
                  "micro-batches of at most the batch of the nearest measured row, %g to %g "
                  "samples\n",
                  least, most);
  else
    strbuf_format(out, "micro-batches of at most %g samples, the measured batch\n", most);
}

/* Numbered, one line each; those of a device under its name. */
static void finish(costing *c) {
  strbuf *out = &c->out;
  bool as_json = c->words->as_json;
  if (as_json) {
    jsonw_end(&c->w);
    write_sums(c, "total", c->total);
    jsonw_object(&c->w, "assumptions");
  } else {
    print_name(out, "total, shared cells once");
    print_sum(c, c->total);
  }
  for (size_t i = 0; i < c->rate_count; i++) {
    strbuf lines = {0};
    forecast_assumptions(&c->machines[i], c->most_ranks > 1, &lines);
    if (c->words->data_samples > 0)
      strbuf_format(&lines,
                    "an epoch of the data is %ld samples, for runs whose length is in epochs\n",
                    (long)c->words->data_samples);
    if (c->is_published)
      strbuf_append(&lines, "a vocabulary that is not here has the entries of its tokenizer's "
                            "published one\n");
    assume_micro_batch(&c->rates[i], &lines);
    if (c->words->ranks == of_each_cell && c->most_ranks > 1)
      strbuf_append(&lines, "a cell uses as many devices as the file gives it ranks\n");
    if (c->words->ranks > 1)
      strbuf_format(&lines,
                    "a cell uses the largest number of devices, up to %ld, that divides its batch "
                    "(with mixup or CutMix into whole pairs) with at least %d samples on each\n",
                    (long)c->words->ranks, LEAST_OWN);
    if (as_json) jsonw_array(&c->w, c->words->rates.items[i]);
    if (!as_json) strbuf_format(out, "assumptions for %s\n", c->words->rates.items[i]);
    for (char *at = lines.data, *end; at && *at; at = end + 1) {
      end = at + strcspn(at, "\n");
      *end = '\0';
      if (as_json)
        jsonw_string(&c->w, NULL, at);
      else
        strbuf_format(out, "  - %s\n", at);
    }
    if (as_json) jsonw_end(&c->w);
    out->is_broken = out->is_broken || lines.is_broken;
    strbuf_free(&lines);
  }
  if (!as_json) return;
  jsonw_end(&c->w);
  jsonw_end(&c->w);
  strbuf_append_char(out, '\n');
}

static err open_rates(costing *c) {
  const cost_words *words = c->words;
  if (!words->rates.count)
    return err_new(ERR_INPUT, "--rate is missing: a device (h100, a100) or a file of 'flip bench "
                              "step --json'");
  if (words->rates.count > MOST_RATES)
    return err_new(ERR_INPUT, "--rate: more than %d devices", MOST_RATES);
  if (words->ranks != of_each_cell && (words->ranks < 1 || words->ranks > 65536))
    return err_new(ERR_INPUT, "--ranks: %ld is outside [1, 65536]", (long)words->ranks);
  if (words->ranks > 1 && !(words->link > 0))
    return err_new(ERR_INPUT, "--ranks needs --link: the bandwidth of a device's link in GB/s");
  if (words->data_samples < 0)
    return err_new(ERR_INPUT, "--data-samples: %ld is not a number of samples",
                   (long)words->data_samples);
  if (!(words->latency >= 0) || !(words->overlap >= 0 && words->overlap <= 1))
    return err_new(ERR_INPUT, "--latency must be at least 0 us, --overlap between 0 and 1");
  for (; c->rate_count < words->rates.count; c->rate_count++) {
    device_rates *rates = &c->rates[c->rate_count];
    err error = rates_open(words->rates.items[c->rate_count], NULL, NULL, rates);
    if (error) return error;
    c->machines[c->rate_count] = (forecast_machine){
        .rates = rates,
        .link_bytes_per_second = words->link * 1e9,
        .latency_seconds = words->latency * 1e-6,
        .overlap = words->overlap,
        .data_samples = words->data_samples,
        .has_wire = words->wire != NULL,
        .wire = words->wire && strcmp(words->wire, "bf16") == 0 ? OPS_BF16 : OPS_F32};
  }
  return NULL;
}

static err cost_all(costing *c, const option_list *files) {
  err error = open_rates(c);
  if (error) return error;
  if (!files->count) return err_new(ERR_INPUT, "EXPERIMENT.yaml is missing (see --help)");
  c->w = jsonw_start(&c->out);
  if (c->words->as_json) {
    jsonw_object(&c->w, NULL);
    jsonw_number(&c->w, "ranks",
                 c->words->ranks == of_each_cell ? (double)NAN : (double)c->words->ranks);
    jsonw_array(&c->w, "experiments");
  }
  for (size_t i = 0; i < files->count && !error; i++) error = cost_experiment(c, files->items[i]);
  if (error) return error;
  finish(c);
  strbuf head = {0}; /* it tells the most ranks of all cells */
  if (!c->words->as_json) print_head(c, &head);
  strbuf_append(&head, strbuf_string(&c->out));
  head.is_broken = head.is_broken || c->out.is_broken;
  error = cli_print(&head);
  strbuf_free(&head);
  return error;
}

int cli_cost(int argc, char **argv) {
  cost_words words = {.latency = 10, .ranks = of_each_cell};
  option options[] = {
      {"profile", 'p', OPTION_STRING, &words.profile, "NAME", "a profile of the files", false},
      {"rate", 0, OPTION_LIST, &words.rates, "DEVICE|FILE",
       "measured rates of one device; may be repeated", false},
      {"ranks", 0, OPTION_INTEGER, &words.ranks, "N",
       "devices of a run, at most [the ranks of each cell]", false},
      {"link", 0, OPTION_NUMBER, &words.link, "GB/S", "bandwidth of a device's link, each way",
       false},
      {"latency", 0, OPTION_NUMBER, &words.latency, "US", "latency of a message in us [10]", false},
      {"overlap", 0, OPTION_NUMBER, &words.overlap, "SHARE",
       "share of the backward pass that hides the exchange of gradients, 0 to 1 [0]", false},
      {"wire", 0, OPTION_CHOICE, &words.wire, "fp32|bf16",
       "type in which gradients are sent to be summed [comm.reduce]", false},
      {"data-samples", 0, OPTION_INTEGER, &words.data_samples, "N",
       "samples of the training data, for runs whose length is in epochs", false},
      {"cells", 'c', OPTION_FLAG, &words.lists_cells, NULL, "a line for every cell", false},
      {"json", 0, OPTION_FLAG, &words.as_json, NULL, "print JSON for scripts", false},
      {0}};
  command c = {"flipbench cost", "predict what experiments cost on given devices",
               "EXPERIMENT.yaml… --rate DEVICE [OPTIONS]", options, details};
  option_list rest = {0};
  bool is_help_wanted;
  costing sum = {.words = &words};
  err error = options_parse(&c, argc, argv, &rest, &is_help_wanted);
  if (!error && !is_help_wanted) error = cost_all(&sum, &rest);
  for (size_t i = 0; i < MOST_RATES; i++) rates_free(&sum.rates[i]);
  free(sum.seen);
  vocabulary_free(&sum.vocabulary);
  strbuf_free(&sum.out);
  options_free_list(&rest);
  options_free(options);
  return options_exit_status(error);
}
