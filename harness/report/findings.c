#include "report/findings.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "report/measure.h"

void findings_free(report_notes *notes) {
  free(notes->disturbed);
  free(notes->mixed);
  free(notes->iso);
  free(notes->accuracy);
  free(notes->basis);
  free(notes->recorded);
  free(notes->provenance);
}

finding findings_of(double low, double high, double neutral) {
  if (isnan(low) || isnan(high)) return FINDING_UNKNOWN;
  if (low > neutral) return FINDING_ABOVE;
  return high < neutral ? FINDING_BELOW : FINDING_EITHER;
}

/* 90,123 → "90,123"; an estimate is rounded to two digits first. */
static const char *group(size_t value, bool is_guess, char text[TEXT_NUMBER_SIZE]) {
  char digits[24];
  for (size_t unit = 10; is_guess && value >= 10 * unit; unit *= 10)
    if (value / unit < 100) value = (value + unit / 2) / unit * unit;
  int length = snprintf(digits, sizeof digits, "%zu", value);
  size_t used = 0;
  for (int i = 0; i < length && used + 2 < TEXT_NUMBER_SIZE; i++) {
    if (i && (length - i) % 3 == 0) text[used++] = ',';
    text[used++] = digits[i];
  }
  text[used] = '\0';
  return text;
}

void findings_name_basis(const column *c, size_t seeds, size_t items, strbuf *out) {
  char text[TEXT_NUMBER_SIZE];
  if (seeds == 1)
    strbuf_append(out, "one seed");
  else
    strbuf_format(out, "%zu seeds", seeds);
  if (items) strbuf_format(out, ", %s %s", group(items, false, text), measure_items(c));
}

void findings_name_pairing(const char *over, strbuf *out) {
  if (over && strstr(over, "unpaired")) strbuf_append(out, ", not paired by image");
}

static err keep(strbuf *text, char **field) {
  if (!text->length && !text->is_broken) {
    strbuf_free(text);
    return NULL;
  }
  *field = strbuf_take(text);
  return *field ? NULL : mem_error(0, "the report");
}

static void new_line(strbuf *out) {
  if (out->length) strbuf_append_char(out, '\n');
}

/* ---- disturbed runs ---- */

/* Is there a disturbed row in which no run had enough undisturbed steps? */
static bool is_without_pace(const report_data *d, size_t row) {
  for (size_t i = 0; i < d->rows[row].count; i++) {
    size_t cell = d->rows[row].cells[i];
    if (d->cells[cell].is_finished && !data_has_curve_pace(d, cell)) return true;
  }
  return false;
}

static err describe_disturbed(report_data *d, report_table *t) {
  strbuf text = {0};
  bool has_time = false;
  for (size_t c = 0; c < t->column_count; c++)
    has_time = has_time || (t->columns[c].known && measure_is_of_time(t->columns[c].known));
  for (size_t r = 0; r < t->row_count; r++) {
    if (!t->rows[r].disturbed) continue;
    strbuf_append(&text, text.length ? "; " : "† disturbed by other work on the machine: ");
    data_name_row(d, r, &text);
    if (t->rows[r].cells > 1)
      strbuf_format(&text, ", %zu of %zu runs", t->rows[r].disturbed, t->rows[r].finished);
    strbuf_format(&text, ", %s%.0f %% of its time lost", t->rows[r].cells > 1 ? "up to " : "",
                  100 * t->rows[r].lost_share);
    if (is_without_pace(d, r))
      strbuf_append(&text, ", too few undisturbed steps to estimate its undisturbed speed");
  }
  if (text.length && has_time)
    strbuf_append(&text,
                  ". Speeds, times and their ratios are at the steady pace (median undisturbed "
                  "step), not elapsed time");
  return keep(&text, &t->notes.disturbed);
}

/* ---- rows with different inputs ---- */

static void name_rows_of(const report_data *d, size_t group, strbuf *out) {
  size_t named = 0;
  for (size_t r = 0; r < d->row_count; r++) {
    if (d->rows[r].group != group) continue;
    if (named++) strbuf_append(out, "; ");
    data_name_row(d, r, out);
  }
}

static bool has_losses_of_other_batches(const report_data *d, const report_table *t) {
  bool has_loss = false;
  for (size_t c = 0; c < t->column_count; c++)
    has_loss = has_loss || (t->columns[c].known && measure_is_training_loss(t->columns[c].known));
  return has_loss && measure_has_other_batches(d, d->row_count);
}

/* Tunings of which several runs of their parent may be the origin. */
static void name_unsure_origins(const report_data *d, strbuf *out) {
  for (size_t i = 0; i < d->e->cell_count; i++) {
    const data_cell *c = &d->cells[i];
    if (!c->is_origin_unsure) continue;
    new_line(out);
    strbuf_format(
        out,
        "%s: the record does not say which of several runs of its parent run %lld started "
        "from; taken to be run %lld",
        c->cell->label, (long long)c->run_id, (long long)c->origin);
  }
}

/* "‡ trained on other data than the other rows, and compared with none of them: mask 0 %". */
static err describe_mixed(report_data *d, report_table *t) {
  strbuf text = {0};
  for (size_t group = 1; group <= d->group_count; group++) {
    strbuf rows = {0};
    name_rows_of(d, group, &rows);
    if (rows.length) {
      new_line(&text);
      strbuf_format(&text,
                    "‡ other %s than the newest run with the same settings, so compared only "
                    "with rows that share it: %s",
                    d->group_names[group - 1], strbuf_string(&rows));
    }
    strbuf_free(&rows);
  }
  if (has_losses_of_other_batches(d, t)) {
    new_line(&text);
    strbuf_append(&text, "the training loss depends on the batch size, which differs: losses of "
                         "different batch sizes are not compared");
  }
  for (input_kind k = 0; k < INPUT_KINDS; k++) {
    if (store_input_decides(k) || !d->is_mixed[k]) continue;
    new_line(&text);
    strbuf_format(&text, "the runs of this table differ in their %s%s", store_input_name(k),
                  k == INPUT_MACHINE   ? ": times of different machines are not compared"
                  : k == INPUT_RANKS   ? ": times on different numbers of ranks are not compared"
                  : k == INPUT_THREADS ? ": times on different numbers of threads are not compared"
                  : k == INPUT_PRECISION
                      ? " (precision: auto): times in different precisions are not compared"
                  : k == INPUT_PROGRAM ? " (several commits or builds)"
                                       : "");
  }
  name_unsure_origins(d, &text);
  return keep(&text, &t->notes.mixed);
}

/* ---- the iso-accuracy speed-up ---- */

void findings_name_range(double low, double high, strbuf *out) {
  if (isinf(high) && !(low > 0))
    strbuf_append(out, "unbounded");
  else if (isinf(high))
    strbuf_format(out, "%.2f or more", low);
  else
    strbuf_format(out, "%.2f to %.2f", low, high);
}

/* The factor by which the data must grow to distinguish the ratio from one with 80 % power; 0: no
 * amount would. */
static double times_needed(const data_iso *iso) {
  double width = log(iso->high) - log(iso->low), off = fabs(log(iso->at.speedup));
  double times = pow(2.8 * width / 3.92 / off, 2);
  return isfinite(times) && times > 1 && times < 1e5 ? times : 0;
}

/* Beyond these the difference, if any, is too small for its number to mean anything. */
enum { MOST_ITEMS = 1000000, MOST_SEEDS = 1000 };

void findings_write_needed(const column *c, size_t seeds, size_t items, strbuf *out) {
  char text[TEXT_NUMBER_SIZE];
  if (items > MOST_ITEMS)
    strbuf_format(out, "a million %s would not decide it", measure_items(c));
  else if (!items && seeds > MOST_SEEDS)
    strbuf_append(out, "a thousand seeds would not decide it");
  else if (items)
    strbuf_format(out, "it would take about %s %s", group(items, true, text), measure_items(c));
  else if (seeds)
    strbuf_format(out, "it would take about %s seeds", group(seeds, true, text));
}

static void write_needed(const column *c, size_t seeds, size_t items, strbuf *out) {
  if (seeds || items) strbuf_append(out, "; ");
  findings_write_needed(c, seeds, items, out);
}

static void judge_iso(const column *c, const data_iso *iso, strbuf *out) {
  double speedup = iso->at.speedup;
  strbuf basis = {0}, range = {0};
  findings_name_basis(c, iso->seeds, iso->items, &basis);
  if (isinf(iso->high) && !(iso->low > 0)) {
    strbuf_format(out, "the data do not determine the speed-up (95 %% interval unbounded; %s)",
                  strbuf_string(&basis));
    strbuf_free(&basis);
    return;
  }
  switch (findings_of(iso->low, iso->high, 1)) {
  case FINDING_ABOVE:
    findings_name_range(iso->low, iso->high, &range);
    strbuf_format(out, "%.2f times sooner (95 %% interval %s; %s)", speedup, strbuf_string(&range),
                  strbuf_string(&basis));
    break;
  case FINDING_BELOW: /* inverts the value and both ends */
    findings_name_range(1 / iso->high, 1 / iso->low, &range);
    strbuf_format(out, "%.2f times later (95 %% interval %s; %s)", 1 / speedup,
                  strbuf_string(&range), strbuf_string(&basis));
    break;
  case FINDING_EITHER:
    findings_name_range(iso->low, iso->high, &range);
    strbuf_format(out,
                  "a speed-up of %.2f (95 %% interval %s; %s), not significantly "
                  "different from 1",
                  speedup, strbuf_string(&range), strbuf_string(&basis));
    double times = times_needed(iso);
    bool is_by_items = iso->seeds < 2 && iso->items;
    if (times > 0)
      write_needed(c, is_by_items ? 0 : (size_t)ceil(times * (double)iso->seeds),
                   is_by_items ? (size_t)ceil(times * (double)iso->items) : 0, out);
    break;
  case FINDING_UNKNOWN:
    strbuf_format(out,
                  "a speed-up of %.2f (%s; no interval: there are no per-image outcomes of this "
                  "metric, and one seed has no spread)",
                  speedup, strbuf_string(&basis));
  }
  strbuf_free(&basis);
  strbuf_free(&range);
}

/* "mask 75 % reaches zero-shot per class 12.1 %, the best that both reach, in 41 s, mask 0 % in
 * 2 m 30 s: 3.66 times sooner (95 % interval …)". */
static err describe_iso(report_data *d, report_table *t) {
  const column *c = d->e->report.iso;
  strbuf text = {0};
  err error = NULL;
  for (size_t row = 0; row < d->row_count && !error; row++) {
    data_iso iso;
    char own[TEXT_NUMBER_SIZE], base[TEXT_NUMBER_SIZE];
    error = curves_iso(d, row, &iso);
    if (error || isnan(iso.at.speedup)) continue;
    new_line(&text);
    data_name_row(d, row, &text);
    if (t->rows[row].disturbed) strbuf_append(&text, " †");
    strbuf_format(&text, " reaches %s %.*f %s in %s, ", c->heading, c->digits, iso.at.accuracy,
                  c->unit, text_duration(iso.at.seconds, own));
    data_name_row(d, (size_t)d->baseline, &text);
    if (t->rows[d->baseline].disturbed) strbuf_append(&text, " †");
    strbuf_format(&text, " in %s: ", text_duration(iso.at.baseline_seconds, base));
    judge_iso(c, &iso, &text);
  }
  if (!error) return keep(&text, &t->notes.iso);
  strbuf_free(&text);
  return error;
}

/* ---- accuracies against the baseline ---- */

/* "+0.25", "−0.25", "0.00". */
static void write_signed(double value, int digits, strbuf *out) {
  double shown = round(fabs(value) * pow(10, digits));
  strbuf_format(out, "%s%.*f", shown > 0 ? (value < 0 ? "−" : "+") : "", digits, fabs(value));
}

static void judge_difference(const column *c, const data_difference *x, strbuf *out) {
  strbuf basis = {0};
  int digits = c->digits + 1;
  findings_name_basis(c, x->seeds, x->items, &basis);
  findings_name_pairing(x->over, &basis);
  write_signed(x->value, digits, out);
  strbuf_append(out, " (");
  if (!isnan(x->low)) {
    strbuf_append(out, "95 % interval ");
    write_signed(x->low, digits, out);
    strbuf_append(out, " to ");
    write_signed(x->high, digits, out);
    strbuf_append(out, "; ");
  }
  strbuf_format(out, "%s)", strbuf_string(&basis));
  switch (findings_of(x->low, x->high, 0)) {
  case FINDING_ABOVE:
    strbuf_append(out, ": higher");
    break;
  case FINDING_BELOW:
    strbuf_append(out, ": lower");
    break;
  case FINDING_EITHER:
    strbuf_append(out, ": no significant difference");
    write_needed(c, x->seeds_needed, x->seeds < 2 ? x->items_needed : 0, out);
    break;
  case FINDING_UNKNOWN:
    strbuf_append(out, ": no interval, so valid only for these runs");
  }
  strbuf_free(&basis);
}

static err describe_accuracy(report_data *d, report_table *t) {
  const column *c = d->e->report.iso;
  strbuf text = {0};
  err error = NULL;
  for (size_t row = 0; d->baseline >= 0 && row < d->row_count && !error; row++) {
    data_difference x;
    if ((ptrdiff_t)row == d->baseline) continue;
    error = measure_difference(d, row, (size_t)d->baseline, c, &x);
    if (error || isnan(x.value)) continue;
    new_line(&text);
    strbuf_format(&text, "%s%s%s%s of ", c->heading, *c->unit ? " (" : "", c->unit,
                  *c->unit ? ")" : "");
    data_name_row(d, row, &text);
    strbuf_append(&text, " minus that of ");
    data_name_row(d, (size_t)d->baseline, &text);
    strbuf_append(&text, ": ");
    judge_difference(c, &x, &text);
  }
  if (!error) return keep(&text, &t->notes.accuracy);
  strbuf_free(&text);
  return error;
}

/* ---- what the intervals are based on ---- */

typedef struct {
  size_t least, most; /* over the table's values; least > most: none */
} span;

static void count_in(span *s, size_t value) {
  if (value < s->least) s->least = value;
  if (value > s->most) s->most = value;
}

/* Columns of accuracies by how their set is chosen. */
typedef enum { ON_MAIN_SET, ON_SHIFTED_SET, ON_NAMED_SET, SET_CHOICES } set_choice;

static bool is_on(const column *c, set_choice choice) {
  set_choice own = c && c->set                      ? ON_NAMED_SET
                   : c && c->kind == COLUMN_SHIFTED ? ON_SHIFTED_SET
                                                    : ON_MAIN_SET;
  return c && measure_is_accuracy(c) && own == choice;
}

/* The sets that a column's numbers are of, each once. */
static void name_sets(const report_data *d, const report_table *t, set_choice choice, strbuf *out) {
  for (size_t c = 0; c < t->column_count; c++) {
    const column *known = t->columns[c].known;
    if (!is_on(known, choice)) continue;
    for (size_t i = 0; i < d->e->cell_count; i++) {
      const data_evaluation *e = d->e->cells[i].tuning ? NULL : data_find_evaluation(d, i, known);
      if (!e || !data_has_result(d, i, known)) continue;
      strbuf quoted = {0};
      strbuf_format(&quoted, " '%s'", e->set);
      bool is_new = !out->length || !strstr(strbuf_string(out), strbuf_string(&quoted));
      if (is_new) strbuf_format(out, "%s%s", out->length ? "," : "", strbuf_string(&quoted));
      strbuf_free(&quoted);
    }
  }
}

/* "2,000 evaluation images of 'scenes'", in the columns of one kind. */
static void describe_items(const report_data *d, const report_table *t, set_choice choice,
                           strbuf *out) {
  static const char *const starts[SET_CHOICES] = {[ON_MAIN_SET] = ", ",
                                                  [ON_SHIFTED_SET] = "; shifted columns: ",
                                                  [ON_NAMED_SET] = "; columns that name a set: "};
  span items = {SIZE_MAX, 0};
  bool has_captions = false;
  char number[TEXT_NUMBER_SIZE];
  strbuf names = {0};
  for (size_t c = 0; c < t->column_count; c++) {
    const column *known = t->columns[c].known;
    if (!is_on(known, choice)) continue;
    for (size_t r = 0; r < t->row_count; r++) {
      const report_value *v = &t->rows[r].values[c];
      if (isnan(v->value) || !v->seeds) continue;
      has_captions = has_captions || strcmp(measure_items(known), "captions") == 0;
      count_in(&items, v->items);
    }
  }
  name_sets(d, t, choice, &names);
  bool has_any = items.most || names.length;
  if (has_any) strbuf_append(out, starts[choice]);
  if (items.most)
    strbuf_format(out, "%s%s evaluation images%s", items.least < items.most ? "up to " : "",
                  group(items.most, false, number), has_captions ? " or captions" : "");
  if (names.length) strbuf_format(out, "%s%s", items.most ? " of" : "", strbuf_string(&names));
  strbuf_free(&names);
}

/* What the intervals of accuracies and of other numbers cover, if several seeds were run. */
static void describe_coverage(const report_table *t, strbuf *out) {
  bool has_accuracy = false, has_other = false;
  for (size_t c = 0; c < t->column_count; c++) {
    const column *known = t->columns[c].known;
    if (!known || !t->columns[c].has_interval) continue;
    has_accuracy = has_accuracy || measure_is_accuracy(known);
    has_other = has_other || !measure_is_accuracy(known);
  }
  strbuf_append(out, has_accuracy && has_other ? ": accuracies over other seeds and images, other "
                                                 "numbers over other seeds"
                     : has_accuracy            ? " over other seeds and images"
                                               : " over other seeds");
}

static err describe_basis(const report_data *d, report_table *t) {
  span seeds = {SIZE_MAX, 0};
  bool has_time = false;
  strbuf text = {0};
  for (size_t c = 0; c < t->column_count; c++) {
    const column *known = t->columns[c].known;
    if (!known) continue;
    has_time = has_time || measure_is_of_time(known);
    for (size_t r = 0; r < t->row_count; r++) {
      const report_value *v = &t->rows[r].values[c];
      if (isnan(v->value) || !v->seeds) continue;
      count_in(&seeds, v->seeds);
    }
  }
  if (seeds.least > seeds.most) return NULL;
  if (seeds.most == 1)
    strbuf_append(&text, "one seed");
  else if (seeds.least == seeds.most)
    strbuf_format(&text, "%zu seeds", seeds.most);
  else
    strbuf_format(&text, "%zu to %zu seeds", seeds.least, seeds.most);
  for (set_choice choice = ON_MAIN_SET; choice < SET_CHOICES; choice++)
    describe_items(d, t, choice, &text);
  bool has_interval = false;
  for (size_t c = 0; c < t->column_count; c++)
    has_interval = has_interval || t->columns[c].has_interval;
  if (has_interval) strbuf_append(&text, " · 95 % intervals");
  if (has_interval && seeds.most == 1)
    strbuf_append(&text, " cover these runs only: the spread over seeds is not included");
  else if (has_interval)
    describe_coverage(t, &text);
  else
    strbuf_append(&text, " · no intervals");
  if (has_time)
    strbuf_append(&text, " · speeds and times at the steady pace (median undisturbed step)");
  return keep(&text, &t->notes.basis);
}

/* Whether the metric is not computed from hits; its interval over images is then the recorded one.
 */
static bool is_recorded(const column *c) {
  static const char *const metrics[] = {"zeroshot.roc_auc", "zeroshot.map_11point"};
  for (size_t i = 0; c && i < sizeof metrics / sizeof *metrics; i++)
    if (strcmp(c->argument, metrics[i]) == 0) return true;
  return false;
}

/* "; differences are paired by image"; nothing where there are none. */
static void name_recorded_pairing(size_t paired, size_t unpaired, strbuf *out) {
  if (paired || unpaired)
    strbuf_format(out, "; %sdifferences are %spaired by image", paired && unpaired ? "some " : "",
                  unpaired ? "not " : "");
  if (unpaired) strbuf_append(out, ": the runs recorded no values on resampled images");
}

/* "ROC AUC: 95 % interval over images as recorded by each run (bootstrap), …". */
static err describe_recorded(report_table *t) {
  strbuf text = {0};
  size_t seeds = 0, paired = 0, unpaired = 0;
  for (size_t c = 0; c < t->column_count; c++) {
    bool is_shown = false;
    for (size_t r = 0; r < t->row_count && is_recorded(t->columns[c].known); r++) {
      const report_value *v = &t->rows[r].values[c];
      if (!v->over || !strstr(v->over, "images")) continue;
      is_shown = true;
      if (v->seeds > seeds) seeds = v->seeds;
      const char *over = v->difference.over;
      bool is_unpaired = over && strstr(over, "unpaired");
      unpaired += is_unpaired;
      paired += over && !is_unpaired && strstr(over, "paired");
    }
    if (is_shown) strbuf_format(&text, "%s%s", text.length ? ", " : "", t->columns[c].heading);
  }
  if (text.length)
    strbuf_format(&text, ": 95 %% intervals over images by each run's bootstrap%s",
                  seeds > 1 ? ", widened by the spread over seeds" : "");
  if (text.length) name_recorded_pairing(paired, unpaired, &text);
  return keep(&text, &t->notes.recorded);
}

/* ---- provenance ---- */

static void name_commit(const data_cell *c, strbuf *out) {
  strbuf_format(out, "%.10s", c->environment.commit);
  if (*c->environment.dirty) strbuf_format(out, "+%s", c->environment.dirty);
}

static void name_machine(const data_cell *c, strbuf *out) {
  bool is_cpu = strcmp(c->environment.device, "cpu") == 0;
  strbuf_append(out, is_cpu ? c->environment.cpu : c->environment.device_name);
}

static void name_precision(const data_cell *c, strbuf *out) {
  strbuf_append(out, c->environment.precision);
}

static void name_threads(const data_cell *c, strbuf *out) {
  strbuf_format(out, "%lld", (long long)c->environment.threads);
}

static bool has_provenance(const data_cell *c) {
  return c->is_finished && c->environment.is_known;
}

/* The values of `name` over the finished runs, each once, separated by commas. */
static void join(const report_data *d, void (*name)(const data_cell *, strbuf *), strbuf *out) {
  size_t start = out->length;
  for (size_t i = 0; i < d->e->cell_count; i++) {
    strbuf own = {0};
    bool is_new = has_provenance(&d->cells[i]);
    if (is_new) name(&d->cells[i], &own);
    for (size_t k = 0; k < i && is_new; k++) {
      strbuf other = {0};
      if (!has_provenance(&d->cells[k])) continue;
      name(&d->cells[k], &other);
      is_new = strcmp(strbuf_string(&own), strbuf_string(&other)) != 0;
      strbuf_free(&other);
    }
    if (is_new) strbuf_format(out, "%s%s", out->length > start ? ", " : "", strbuf_string(&own));
    strbuf_free(&own);
  }
}

/* " · --set samples=2k": the file alone does not say what ran. */
static void name_changes(const spec_experiment *e, strbuf *out) {
  const spec_names *lists[] = {&e->set, &e->set_cell};
  static const char *const options[] = {"--set", "--set-cell"};
  for (int k = 0; k < 2; k++)
    for (size_t i = 0; i < lists[k]->count; i++)
      strbuf_format(out, "%s%s %s", i || (k && e->set.count) ? " " : " · ", options[k],
                    lists[k]->items[i]);
}

static err describe_provenance(const report_data *d, report_table *t) {
  strbuf text = {0}, threads = {0};
  char least[TEXT_NUMBER_SIZE], most[TEXT_NUMBER_SIZE], first[11] = "", last[11] = "";
  double fewest = NAN, samples = NAN;
  for (size_t i = 0; i < d->e->cell_count; i++) {
    const data_cell *c = &d->cells[i];
    char day[11];
    if (!has_provenance(c)) continue;
    snprintf(day, sizeof day, "%.10s", c->ended);
    if (!*first || strcmp(day, first) < 0) memcpy(first, day, sizeof first);
    if (strcmp(day, last) > 0) memcpy(last, day, sizeof last);
    samples = fmax(samples, data_number_of(c, "samples"));
    if (!c->cell->tuning) fewest = fmin(fewest, data_number_of(c, "samples"));
  }
  join(d, name_threads, &threads);
  if (!threads.length) return NULL;
  strbuf_append(&text, "commit ");
  join(d, name_commit, &text);
  strbuf_append(&text, " · ");
  join(d, name_machine, &text);
  strbuf_append(&text, " · ");
  join(d, name_precision, &text);
  text_count(isnan(fewest) ? samples : fewest, least);
  text_count(samples, most);
  bool is_range = strcmp(least, most) != 0;
  strbuf_format(&text, " · %s thread%s · %s%s%s samples · %s", strbuf_string(&threads),
                strcmp(strbuf_string(&threads), "1") == 0 ? "" : "s", is_range ? least : "",
                is_range ? " to " : "", most, first);
  if (strcmp(first, last) != 0) strbuf_format(&text, " to %s", last);
  name_changes(d->e, &text);
  strbuf_free(&threads);
  return keep(&text, &t->notes.provenance);
}

err findings_write(report_data *d, report_table *t) {
  err error = describe_disturbed(d, t);
  if (!error) error = describe_mixed(d, t);
  if (!error) error = describe_iso(d, t);
  if (!error) error = describe_accuracy(d, t);
  if (!error) error = describe_basis(d, t);
  if (!error) error = describe_recorded(t);
  return error ? error : describe_provenance(d, t);
}
