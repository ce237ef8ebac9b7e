#include "report/findings.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "report/explain.h"
#include "report/measure.h"
#include "report/write.h"

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

const char *findings_group(size_t value, bool is_guess, char text[TEXT_NUMBER_SIZE]) {
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
  if (items) strbuf_format(out, ", %s %s", findings_group(items, false, text), measure_items(c));
}

void findings_name_pairing(const char *over, strbuf *out) {
  if (over && strstr(over, "unpaired")) strbuf_append(out, ", not paired by image");
}

err findings_keep(strbuf *text, char **field) {
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

/* Is there a run with a pace of which nothing was read that would show a disturbance? */
static bool is_unmeasured(const report_data *d, size_t row) {
  for (size_t i = 0; i < d->rows[row].count; i++) {
    const data_cell *c = &d->cells[d->rows[row].cells[i]];
    if (c->is_finished && !isnan(data_number_of(c, "steady_step_seconds")) &&
        isnan(data_number_of(c, "disturbed")))
      return true;
  }
  return false;
}

/* A row without † is not for that reason one that nothing disturbed. */
static void describe_unmeasured(const report_data *d, const report_table *t, strbuf *text) {
  size_t named = 0;
  for (size_t r = 0; r < t->row_count; r++) {
    if (!is_unmeasured(d, r)) continue;
    if (named++)
      strbuf_append(text, "; ");
    else
      strbuf_format(text,
                    "%sdisturbance by other work was not measured: ", text->length ? "; " : "");
    data_name_row(d, r, text);
  }
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
  if (has_time) describe_unmeasured(d, t, &text);
  return findings_keep(&text, &t->notes.disturbed);
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
  return findings_keep(&text, &t->notes.mixed);
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
    strbuf_format(out, "it would take about %s %s", findings_group(items, true, text),
                  measure_items(c));
  else if (seeds)
    strbuf_format(out, "it would take about %s seeds", findings_group(seeds, true, text));
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
  if (!error) return findings_keep(&text, &t->notes.iso);
  strbuf_free(&text);
  return error;
}

/* ---- accuracies against the baseline ---- */

static void judge_difference(const column *c, const data_difference *x, strbuf *out) {
  strbuf basis = {0};
  int digits = c->digits + 1;
  findings_name_basis(c, x->seeds, x->items, &basis);
  findings_name_pairing(x->over, &basis);
  report_format_signed(x->value, digits, out);
  strbuf_append(out, " (");
  if (!isnan(x->low)) {
    strbuf_append(out, "95 % interval ");
    report_format_signed(x->low, digits, out);
    strbuf_append(out, " to ");
    report_format_signed(x->high, digits, out);
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

/* "image→text R@1 (%) of mask 50 %, mask 75 % minus that of mask 0 %: " */
static void name_difference(const report_data *d, const column *c, const strbuf *rows,
                            strbuf *out) {
  new_line(out);
  strbuf_format(out, "%s%s%s%s of %s minus that of ", c->heading, *c->unit ? " (" : "", c->unit,
                *c->unit ? ")" : "", strbuf_string(rows));
  data_name_row(d, (size_t)d->baseline, out);
  strbuf_append(out, ": ");
  if (rows->is_broken) out->is_broken = true;
}

/* Rows whose runs have the accuracy, without a difference from the baseline: a line for each
 * reason. Reasons are static texts (report/explain.h). */
static void write_undone(const report_data *d, const column *c, const char **why, strbuf *out) {
  for (size_t row = 0; row < d->row_count; row++) {
    const char *reason = why[row];
    strbuf rows = {0};
    for (size_t k = row; reason && k < d->row_count; k++) {
      if (why[k] != reason) continue;
      if (k > row) strbuf_append(&rows, "; ");
      data_name_row(d, k, &rows);
      why[k] = NULL;
    }
    if (reason) name_difference(d, c, &rows, out);
    if (reason) strbuf_append(out, reason);
    strbuf_free(&rows);
  }
}

static err describe_accuracy(report_data *d, report_table *t) {
  const column *c = d->e->report.iso;
  strbuf text = {0};
  const char **why = mem_zeroed(d->row_count, sizeof *why);
  err error = why ? NULL : mem_error(d->row_count * sizeof *why, "the report");
  for (size_t row = 0; d->baseline >= 0 && row < d->row_count && !error; row++) {
    data_difference x;
    if ((ptrdiff_t)row == d->baseline) continue;
    error = measure_difference(d, row, (size_t)d->baseline, c, &x);
    if (error) break;
    if (isnan(x.value)) {
      why[row] = explain_difference(d, row, (size_t)d->baseline, c);
      continue;
    }
    strbuf name = {0};
    data_name_row(d, row, &name);
    name_difference(d, c, &name, &text);
    strbuf_free(&name);
    judge_difference(c, &x, &text);
  }
  if (!error) write_undone(d, c, why, &text);
  free(why);
  if (!error) return findings_keep(&text, &t->notes.accuracy);
  strbuf_free(&text);
  return error;
}

/* ---- provenance ---- */

static void name_commit(const data_cell *c, strbuf *out) {
  if (*c->environment.programs) { /* commas separate runs */
    for (const char *at = c->environment.programs; *at; at++)
      if (*at != ',') strbuf_append_char(out, *at);
    return;
  }
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
  return findings_keep(&text, &t->notes.provenance);
}

err findings_write(report_data *d, report_table *t) {
  err error = describe_disturbed(d, t);
  if (!error) error = describe_mixed(d, t);
  if (!error) error = describe_iso(d, t);
  if (!error) error = describe_accuracy(d, t);
  if (!error) error = findings_write_basis(d, t);
  return error ? error : describe_provenance(d, t);
}
