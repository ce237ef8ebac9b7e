#include "report/claims.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "report/explain.h"
#include "report/findings.h"
#include "report/measure.h"

claim_verdict claims_judge(const spec_claim *c, double low, double high) {
  if (isnan(low) || isnan(high)) return CLAIM_UNSURE;
  switch (c->relation) {
  case CLAIM_GREATER:
    return low > c->than ? CLAIM_HOLDS : high <= c->than ? CLAIM_FAILS : CLAIM_UNSURE;
  case CLAIM_SMALLER:
    return high < c->than ? CLAIM_HOLDS : low >= c->than ? CLAIM_FAILS : CLAIM_UNSURE;
  case CLAIM_EQUAL:
    break;
  }
  double least = c->than - c->within, most = c->than + c->within;
  if (low > least && high < most) return CLAIM_HOLDS;
  return high <= least || low >= most ? CLAIM_FAILS : CLAIM_UNSURE;
}

/* The matching row of the newest runs; -1: none. */
static ptrdiff_t find_row(const report_data *d, const spec_pairs *where) {
  for (size_t r = 0; r < d->row_count; r++)
    if (!d->rows[r].group && spec_cell_matches(&d->e->cells[d->rows[r].cells[0]], where))
      return (ptrdiff_t)r;
  return -1;
}

/* The row's disturbed runs, or those of its seeds whose whole curve has one. */
static size_t count_disturbed(const report_data *d, size_t row, bool is_of_curves) {
  size_t count = 0;
  for (size_t i = 0; i < d->rows[row].count; i++) {
    size_t cell = d->rows[row].cells[i];
    const data_cell *c = &d->cells[cell];
    count +=
        c->is_finished && (is_of_curves ? data_is_curve_disturbed(d, cell) : data_is_disturbed(c));
  }
  return count;
}

/* The published number of a row's column; NaN: none. */
static double reference(const report_data *d, size_t row, const column *c, claim_result *j) {
  for (size_t i = 0; i < d->e->report.reference_count; i++) {
    const spec_reference *one = &d->e->report.references[i];
    if (one->column != c || !spec_cell_matches(&d->e->cells[d->rows[row].cells[0]], &one->where))
      continue;
    j->is_unverified = j->is_unverified || !one->is_verified;
    return one->value;
  }
  return NAN;
}

static claim_result nothing_known(const spec_claim *c) {
  return (claim_result){.claim = c,
                        .verdict = CLAIM_NOT_RUN,
                        .value = NAN,
                        .low = NAN,
                        .high = NAN,
                        .published = c->published};
}

/* ---- data needed for a verdict ---- */

/* The bound nearest to the value. */
static double nearest_bound(const spec_claim *c, double value) {
  if (c->relation != CLAIM_EQUAL) return c->than;
  return value < c->than ? c->than - c->within : c->than + c->within;
}

/* For ratios and speed-ups, whose interval cannot be split into parts: the factor by which the data
 * must grow for the interval to exclude the bound with 80 % power, assuming its width shrinks with
 * the square root of their number; 0: no amount would do. */
static double times_needed(const spec_claim *c, const claim_result *j) {
  double bound = nearest_bound(c, j->value);
  bool is_log = j->low > 0 && bound > 0;
  double width = is_log ? log(j->high / j->low) : j->high - j->low;
  double off = is_log ? fabs(log(j->value / bound)) : fabs(j->value - bound);
  double times = pow(2.8 * width / 3.92 / off, 2);
  return isfinite(times) && times > 1 && times < 1e5 ? times : 0;
}

/* The interval of a single seed comes from its images, so more images are needed; otherwise more
 * seeds, or images where no number of seeds would suffice. Always more than present, since the
 * present number did not suffice. */
static void find_needed(const spec_claim *c, const data_difference *x, claim_result *j) {
  if (j->verdict != CLAIM_UNSURE || isnan(j->low)) return;
  if (x) {
    measure_needed(x, nearest_bound(c, j->value), &j->seeds_needed, &j->items_needed);
  } else {
    double times = times_needed(c, j);
    j->seeds_needed = (size_t)ceil(times * (double)j->seeds);
    j->items_needed = (size_t)ceil(times * (double)j->items);
  }
  if (j->seeds < 2 && j->items) j->seeds_needed = 0;
  if (j->seeds_needed) j->items_needed = 0;
  if (j->seeds_needed && j->seeds_needed <= j->seeds) j->seeds_needed = j->seeds + 1;
  if (j->items_needed && j->items_needed <= j->items) j->items_needed = j->items + 1;
}

/* ---- comparing ---- */

/* Ratios and speed-ups are relative to the report's baseline, here replaced by the claim's row. */
static err measure_against(report_data *d, const spec_claim *c, size_t row, size_t other,
                           claim_result *j) {
  column ratio = {.kind = COLUMN_RATIO, .scale = 1};
  ptrdiff_t baseline = d->baseline;
  data_measure m;
  if (c->metric) ratio.argument = c->metric->name;
  d->baseline = (ptrdiff_t)other;
  err error =
      measure_row(d, row, c->compare == CLAIM_RATIO ? &ratio : columns_find("iso_speedup"), &m);
  d->baseline = baseline;
  if (error) return error;
  bool is_exact = c->metric && measure_is_exact(c->metric);
  j->value = m.value;
  j->low = is_exact ? m.value : m.low;
  j->high = is_exact ? m.value : m.high;
  j->seeds = m.seeds;
  j->items = m.items;
  j->over = m.over;
  return NULL;
}

static err compare_rows(report_data *d, const spec_claim *c, size_t row, size_t other,
                        claim_result *j) {
  data_difference x;
  err error = NULL;
  bool is_of_curves = c->compare == CLAIM_SPEEDUP;
  *j = nothing_known(c);
  j->disturbed = count_disturbed(d, row, is_of_curves);
  if (row != other) j->disturbed += count_disturbed(d, other, is_of_curves);
  if (c->compare == CLAIM_DIFFERENCE) {
    const column *of = c->against_metric ? c->against_metric : c->metric;
    error = measure_columns_difference(d, row, c->metric, other, of, &x);
    if (error) return error;
    j->value = x.value;
    j->low = x.low;
    j->high = x.high;
    j->seeds = x.seeds;
    j->items = x.items;
    j->over = x.over;
    if (isnan(j->published))
      j->published = reference(d, row, c->metric, j) - reference(d, other, of, j);
  } else {
    error = measure_against(d, c, row, other, j);
    if (!error && isnan(j->published) && c->metric)
      j->published = reference(d, row, c->metric, j) / reference(d, other, c->metric, j);
  }
  bool is_absent = false;
  if (!error && isnan(j->value)) j->why = explain_claim(d, c, row, other, &is_absent);
  j->verdict = is_absent ? CLAIM_NOT_RUN : claims_judge(c, j->low, j->high);
  find_needed(c, c->compare == CLAIM_DIFFERENCE ? &x : NULL, j);
  return error;
}

/* Which of two comparisons is worse for the claim: failures first, then undecided ones. */
static bool is_weaker(const claim_result *a, const claim_result *b, const spec_claim *c) {
  static const int rank[CLAIM_VERDICTS] = {
      [CLAIM_NOT_RUN] = 0, [CLAIM_FAILS] = 1, [CLAIM_UNSURE] = 2, [CLAIM_HOLDS] = 3};
  if (rank[a->verdict] != rank[b->verdict]) return rank[a->verdict] < rank[b->verdict];
  if (c->relation == CLAIM_EQUAL) return fabs(a->value - c->than) > fabs(b->value - c->than);
  return c->relation == CLAIM_SMALLER ? a->value > b->value : a->value < b->value;
}

/* Is it the tuning that continues its parent's curve? A speed-up is of whole curves. */
static bool continues_curve(const report_data *d, size_t cell) {
  ptrdiff_t parent = d->e->cells[cell].parent;
  return parent != SPEC_NO_PARENT && d->cells[parent].tuned == (ptrdiff_t)cell;
}

static bool needs_evaluations(const spec_claim *c) {
  return c->compare == CLAIM_SPEEDUP || (c->metric && measure_is_accuracy(c->metric)) ||
         (c->against_metric && measure_is_accuracy(c->against_metric));
}

/* Has the cell's record lost what the claim is of? The other seeds' alone would be another number.
 */
static bool has_lost_it(const report_data *d, size_t cell, const spec_claim *c) {
  const column *const columns[] = {c->metric, c->against_metric};
  bool is_lost = needs_evaluations(c);
  for (int k = 0; k < 2; k++)
    is_lost = is_lost || (columns[k] && columns[k]->kind == COLUMN_SUMMARY &&
                          isnan(data_value(d, cell, columns[k])));
  return d->cells[cell].lost && is_lost;
}

/* The cells that the claim needs and that have no result, one of other inputs than the newest, or
 * one that has lost what the claim is of, or may have. */
static void name_missing(const report_data *d, const spec_claim *c, bool is_of_all, strbuf *out) {
  enum { MOST_NAMED = 3 };
  size_t count = 0;
  bool is_fine = (c->metric && c->metric->kind == COLUMN_FINE_TUNED) ||
                 (c->against_metric && c->against_metric->kind == COLUMN_FINE_TUNED);
  bool is_tuned = (c->metric && column_is_of_tuning(c->metric->kind)) ||
                  (c->against_metric && column_is_of_tuning(c->against_metric->kind));
  bool is_of_probe = column_is_of_probe(c->metric) || column_is_of_probe(c->against_metric);
  for (size_t i = 0; i < d->e->cell_count; i++) {
    const spec_cell *cell = &d->e->cells[i];
    const spec_cell *at = cell;
    while (at->parent != SPEC_NO_PARENT) at = &d->e->cells[at->parent];
    bool is_classifier = cell->settings.classification_classes > 0;
    bool is_unused_probe = data_is_measurement(cell) && !is_of_probe;
    bool is_used = is_of_all || spec_cell_matches(at, &c->of) ||
                   (c->against.count && spec_cell_matches(at, &c->against));
    bool is_unused_tuning =
        cell->tuning && !is_tuned && !(c->compare == CLAIM_SPEEDUP && continues_curve(d, i));
    /* its row is compared with none of the newest inputs, so the comparison would be left out */
    bool is_other = d->cells[i].is_finished && d->cells[i].group;
    bool is_lost = has_lost_it(d, i, c);
    if ((d->cells[i].is_finished && !is_other && !is_lost) || !is_used || is_unused_tuning ||
        (is_classifier && !is_fine) || is_unused_probe)
      continue;
    if (++count <= MOST_NAMED)
      strbuf_format(out, "%s%s%s", count > 1 ? "; " : "", cell->label,
                    is_other ? " had other inputs than the newest run with the same settings "
                               "('flipbench run --retry data')"
                    : is_lost
                        ? " has lost events, maybe of its last evaluation ('flipbench show RUN')"
                        : "");
  }
  if (count > MOST_NAMED)
    strbuf_format(out, "; and %zu more cell%s", count - MOST_NAMED,
                  count > MOST_NAMED + 1 ? "s" : "");
}

/* "zero-shot top-1 (%) of mask 50 % minus that of mask 0 %". */
static void name_quantity(const report_data *d, const spec_claim *c, size_t row, size_t other,
                          strbuf *out) {
  const column *of = c->against_metric ? c->against_metric : c->metric;
  strbuf own = {0}, theirs = {0};
  data_name_row(d, row, &own);
  data_name_row(d, other, &theirs);
  const char *mine = strbuf_string(&own), *base = strbuf_string(&theirs);
  if (c->compare == CLAIM_SPEEDUP) {
    strbuf_format(out, "time of %s over that of %s, to the same %s", base, mine,
                  d->e->report.iso ? d->e->report.iso->heading : "accuracy");
  } else if (c->compare == CLAIM_RATIO) {
    strbuf_format(out, "%s of %s over that of %s", c->metric->heading, mine, base);
  } else {
    strbuf_append(out, c->metric->heading);
    if (*c->metric->unit) strbuf_format(out, " (%s)", c->metric->unit);
    strbuf_format(out, " of %s minus ", mine);
    if (of == c->metric)
      strbuf_format(out, "that of %s", base);
    else if (row == other)
      strbuf_format(out, "its %s", of->heading);
    else
      strbuf_format(out, "%s of %s", of->heading, base);
  }
  if (!c->against.count && !c->against_metric)
    strbuf_append(out, " (the row least favourable to the claim)");
  strbuf_free(&own);
  strbuf_free(&theirs);
}

static err judge(report_data *d, const spec_claim *c, claim_result *j, strbuf *missing,
                 strbuf *quantity) {
  ptrdiff_t row = find_row(d, &c->of), other = c->against.count ? find_row(d, &c->against) : row;
  bool is_of_all = !c->against.count && !c->against_metric;
  *j = nothing_known(c);
  if (!spec_claim_is_judged(d->e, c)) {
    j->verdict = CLAIM_NOT_JUDGED;
    return NULL;
  }
  name_missing(d, c, is_of_all, missing);
  err error = NULL;
  if (row < 0 || other < 0) return NULL;
  if (!is_of_all) {
    error = compare_rows(d, c, (size_t)row, (size_t)other, j);
  } else {
    bool is_first = true;
    other = -1;
    for (size_t r = 0; r < d->row_count && !error; r++) {
      claim_result one;
      if ((ptrdiff_t)r == row || d->rows[r].group) continue;
      error = compare_rows(d, c, (size_t)row, r, &one);
      if (error || (!is_first && !is_weaker(&one, j, c))) continue;
      *j = one;
      other = (ptrdiff_t)r;
      is_first = false;
    }
  }
  if (missing->length) j->verdict = CLAIM_NOT_RUN;
  j->is_of_time =
      c->compare == CLAIM_SPEEDUP || (c->compare == CLAIM_RATIO && measure_is_timed(c->metric));
  if (!error && other >= 0) name_quantity(d, c, (size_t)row, (size_t)other, quantity);
  return error;
}

err claims_judge_all(const spec_experiment *e, store *s, claim_results *all) {
  report_data d = {0};
  *all = (claim_results){0};
  if (!e->claim_count) return NULL;
  err error = data_load(e, s, &d);
  if (error) goto cleanup;
  all->items = mem_zeroed(e->claim_count, sizeof *all->items);
  if (!all->items) FAIL(ERR_MEMORY, "out of memory: the claims");
  for (size_t i = 0; i < e->claim_count; i++) {
    strbuf missing = {0}, quantity = {0};
    claim_result *j = &all->items[i];
    error = judge(&d, &e->claims[i], j, &missing, &quantity);
    all->count = i + 1;
    all->counts[j->verdict]++;
    j->missing = missing.is_broken ? NULL : mem_copy_string(strbuf_string(&missing));
    j->quantity = quantity.is_broken ? NULL : mem_copy_string(strbuf_string(&quantity));
    strbuf_free(&missing);
    strbuf_free(&quantity);
    if (error) goto cleanup;
    if (!j->missing || !j->quantity) FAIL(ERR_MEMORY, "out of memory: the claims");
  }
cleanup:
  data_free(&d);
  if (error) claims_free(all);
  return error;
}

void claims_free(claim_results *all) {
  for (size_t i = 0; i < all->count; i++) {
    free(all->items[i].missing);
    free(all->items[i].quantity);
  }
  free(all->items);
  *all = (claim_results){0};
}
