#include "report/explain.h"

#include <math.h>

#include "report/measure.h"
#include "report/table.h"

static bool has_mixed_paces(const report_data *d, size_t row) {
  bool is_mixed = false;
  for (size_t i = 0; i < d->rows[row].count; i++)
    is_mixed = is_mixed || data_has_mixed_paces(&d->cells[d->rows[row].cells[i]]);
  return is_mixed;
}

/* Does a run of the row lack the number because its record was damaged? */
static bool has_lost(const report_data *d, size_t row, const column *c) {
  bool is_lost = false;
  for (size_t i = 0; i < d->rows[row].count && c->kind == COLUMN_SUMMARY; i++) {
    size_t cell = d->rows[row].cells[i];
    is_lost = is_lost || (d->cells[cell].lost && isnan(data_value(d, cell, c)));
  }
  return is_lost;
}

/* Whether a finished run has the accuracy of which the curves are. */
static bool has_curve(const report_data *d, size_t row) {
  for (size_t i = 0; i < d->rows[row].count; i++) {
    size_t cell = d->rows[row].cells[i];
    if (d->cells[cell].is_finished && data_find_evaluation(d, cell, d->e->report.iso)) return true;
  }
  return false;
}

const char report_is_baseline[] = "this is the baseline";

/* Why a row with finished runs is not compared with the baseline; NULL: it can be. */
static const char *explain_baseline(const report_data *d, size_t row, const column *c) {
  const data_row *mine = &d->rows[row];
  if (d->baseline < 0) return "the experiment names no baseline";
  const size_t baseline = (size_t)d->baseline;
  const data_row *base = &d->rows[baseline];
  size_t finished = 0, paired = 0;
  if (c->kind == COLUMN_ISO && baseline == row) return report_is_baseline;
  for (size_t i = 0; i < base->count; i++) finished += d->cells[base->cells[i]].is_finished;
  for (size_t i = 0; i < mine->count; i++) paired += data_partner(d, mine->cells[i], baseline) >= 0;
  if (!finished) return "the baseline has no finished run";
  if (!paired) return "no seed of this row has finished in the baseline too";
  if (!measure_is_comparable(d, row, baseline, c))
    return "the baseline had other inputs, or ran on another machine, in another precision, or on "
           "another number of ranks or threads";
  return NULL;
}

const char *explain_empty(const report_data *d, size_t row, const column *c) {
  const data_row *cells = &d->rows[row];
  size_t finished = 0, tuned = 0;
  for (size_t i = 0; i < cells->count; i++) {
    finished += d->cells[cells->cells[i]].is_finished;
    tuned += data_shown_cell(d, cells->cells[i], c) >= 0;
  }
  if (!finished) return "no finished run";
  bool needs_baseline =
      c->kind == COLUMN_RATIO || c->kind == COLUMN_INVERSE || c->kind == COLUMN_ISO;
  const char *why = needs_baseline ? explain_baseline(d, row, c) : NULL;
  if (why) return why;
  static const column pace = {.kind = COLUMN_SUMMARY, .argument = "steady_seconds"};
  const column *of = c->kind == COLUMN_ISO ? &pace : needs_baseline ? columns_find(c->argument) : c;
  if (needs_baseline && (has_lost(d, row, of) || has_lost(d, (size_t)d->baseline, of)))
    return "the record of the baseline, or of this row, has lost what it is computed from";
  if (c->kind == COLUMN_ISO)
    return has_curve(d, row) && has_curve(d, (size_t)d->baseline)
               ? "no accuracy above chance that both reach"
               : "the runs have no evaluation of the accuracy that iso names";
  if (needs_baseline) return "the baseline, or this row, did not record it";
  for (size_t i = 0; i < cells->count; i++) {
    const data_evaluation *e = data_find_evaluation(d, cells->cells[i], c);
    if (e && isnan(e->value)) return "the measured value was not a number";
    if (e && !data_final_evaluation(d, cells->cells[i], c))
      return "its last evaluation of it is not in the record";
  }
  if (has_lost(d, row, c)) return "its record has lost what it is computed from";
  if (c->kind == COLUMN_FINE_TUNED && !tuned) return "no classifier is trained from this row";
  if (c->kind == COLUMN_FINE_TUNED) return "the classifier has no such evaluation yet";
  if (measure_is_timed(c) && data_differing_pace(d, row) && !has_mixed_paces(d, row))
    return data_differing_pace(d, row);
  if (measure_is_label(c) && data_has_several_ranks(d, row)) return "its runs differ in it";
  if (measure_is_label(c)) return "its runs did not record it, or differ in it";
  if (measure_is_of_time(c) && has_mixed_paces(d, row))
    return "its steps were trained on different numbers of ranks or threads, or different "
           "machines, so it has no single steady pace";
  if (c->kind == COLUMN_TUNED && !tuned) return "no tuning starts from this row";
  if (c->kind == COLUMN_TUNED)
    return c->set ? "the tuned run has no such evaluation on that set yet"
                  : "the tuned run has no such evaluation yet";
  if (c->kind == COLUMN_FINAL)
    return c->set ? "the run, or the one tuned from it, has no such evaluation on that set yet"
                  : "the run, or the one tuned from it, has no such evaluation yet";
  if (c->kind == COLUMN_SUMMARY) return "the run did not record it";
  return c->set ? "the run has no evaluation of it on that set"
                : "the run has no evaluation set for it";
}

static bool has_pair(const report_data *d, size_t row, size_t other) {
  for (size_t i = 0; i < d->rows[row].count; i++)
    if (data_partner(d, d->rows[row].cells[i], other) >= 0) return true;
  return false;
}

/* As measure_is_comparable. */
static const char *explain_unlike(const report_data *d, size_t row, size_t other, const column *c) {
  if (!data_is_comparable(d, row, other, false)) return "the rows had different inputs";
  if (measure_is_training_loss(c)) return "losses of different batch sizes are not compared";
  if (measure_is_timed(c))
    return "the rows ran on different machines, in different precisions, or on different numbers "
           "of ranks or threads, or changed these while they ran";
  return "the rows ran on different devices or numbers of ranks";
}

static const char no_seed[] = "no seed has finished in both rows";

static const char *explain_pairs(const report_data *d, size_t row, size_t other) {
  return has_pair(d, row, other) ? "no seed of both rows was evaluated on the same set" : no_seed;
}

const char *explain_claim(report_data *d, const spec_claim *c, size_t row, size_t other,
                          bool *is_absent) {
  const column *of = c->against_metric ? c->against_metric : c->metric;
  const ptrdiff_t baseline = d->baseline;
  const column *columns[] = {c->metric, of};
  const size_t rows[] = {row, other};
  data_measure m = {.value = NAN};
  *is_absent = false;
  if (c->compare == CLAIM_SPEEDUP) {
    d->baseline = (ptrdiff_t)other;
    const char *why = explain_empty(d, row, columns_find("iso_speedup"));
    d->baseline = baseline;
    return why;
  }
  for (int k = 0; k < 2; k++) {
    err error = measure_row(d, rows[k], columns[k], &m);
    bool is_empty = !error && isnan(m.value);
    err_free(error);
    *is_absent = is_empty;
    if (is_empty) return explain_empty(d, rows[k], columns[k]);
  }
  if (!measure_is_comparable(d, row, other, c->metric))
    return explain_unlike(d, row, other, c->metric);
  if (c->compare == CLAIM_RATIO && !(fabs(m.value) > 0)) return "the other row's value is 0";
  return c->compare == CLAIM_RATIO ? no_seed : explain_pairs(d, row, other);
}

const char *explain_difference(report_data *d, size_t row, size_t other, const column *c) {
  const spec_claim difference = {.metric = c, .compare = CLAIM_DIFFERENCE};
  bool is_absent;
  const char *why = explain_claim(d, &difference, row, other, &is_absent);
  return is_absent || !measure_is_comparable(d, row, other, c) ? NULL : why;
}
