#include "report/claims.h"

#include <math.h>
#include <string.h>

#include "report/findings.h"
#include "report/measure.h"

/* One comparison: of two rows, or of a row with each other one the weakest. */
typedef struct {
  double value, low, high;
  size_t seeds, items, disturbed;
  double published;
  claim_verdict verdict;
} judged;

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

/* The row of the newest runs that matches; -1: none. */
static ptrdiff_t find_row(const report_data *d, const spec_pairs *where) {
  for (size_t r = 0; r < d->row_count; r++)
    if (!d->rows[r].group && spec_cell_matches(&d->e->cells[d->rows[r].cells[0]], where))
      return (ptrdiff_t)r;
  return -1;
}

static size_t count_disturbed(const report_data *d, size_t row) {
  size_t count = 0;
  for (size_t i = 0; i < d->rows[row].count; i++) {
    const data_cell *c = &d->cells[d->rows[row].cells[i]];
    count += c->is_finished && data_is_disturbed(c);
  }
  return count;
}

/* The published number of a row's column; NaN: none. */
static double reference(const report_data *d, size_t row, const column *c) {
  for (size_t i = 0; i < d->e->report.reference_count; i++) {
    const spec_reference *one = &d->e->report.references[i];
    if (one->column == c && spec_cell_matches(&d->e->cells[d->rows[row].cells[0]], &one->where))
      return one->value;
  }
  return NAN;
}

/* Ratios and speed-ups are taken to the baseline of the report: here, to the claim's row. */
static err measure_against(report_data *d, const spec_claim *c, size_t row, size_t other,
                           judged *j) {
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
  return NULL;
}

static err compare_rows(report_data *d, const spec_claim *c, size_t row, size_t other, judged *j) {
  data_difference x;
  err error = NULL;
  *j = (judged){.value = NAN, .low = NAN, .high = NAN, .published = c->published};
  j->disturbed = count_disturbed(d, row) + (row == other ? 0 : count_disturbed(d, other));
  if (c->compare == CLAIM_DIFFERENCE) {
    const column *of = c->against_metric ? c->against_metric : c->metric;
    error = measure_columns_difference(d, row, c->metric, other, of, &x);
    if (error) return error;
    j->value = x.value;
    j->low = x.low;
    j->high = x.high;
    j->seeds = x.seeds;
    j->items = x.items;
    if (isnan(j->published)) j->published = reference(d, row, c->metric) - reference(d, other, of);
  } else {
    error = measure_against(d, c, row, other, j);
    if (!error && isnan(j->published) && c->metric)
      j->published = reference(d, row, c->metric) / reference(d, other, c->metric);
  }
  j->verdict = isnan(j->value) ? CLAIM_NOT_RUN : claims_judge(c, j->low, j->high);
  return error;
}

/* Which of two comparisons tells against the claim more: what fails, then what cannot tell. */
static bool is_weaker(const judged *a, const judged *b, claim_relation relation) {
  static const int rank[CLAIM_VERDICTS] = {
      [CLAIM_NOT_RUN] = 0, [CLAIM_FAILS] = 1, [CLAIM_UNSURE] = 2, [CLAIM_HOLDS] = 3};
  if (rank[a->verdict] != rank[b->verdict]) return rank[a->verdict] < rank[b->verdict];
  return relation == CLAIM_SMALLER ? a->value > b->value : a->value < b->value;
}

static void name_missing(const report_data *d, const spec_claim *c, bool is_of_all, strbuf *out) {
  bool is_tuned = (c->metric && c->metric->kind == COLUMN_TUNED) ||
                  (c->against_metric && c->against_metric->kind == COLUMN_TUNED);
  for (size_t i = 0; i < d->e->cell_count; i++) {
    const spec_cell *cell = &d->e->cells[i];
    const spec_cell *at = cell->tuning ? &d->e->cells[cell->parent] : cell;
    bool is_used = is_of_all || spec_cell_matches(at, &c->of) ||
                   (c->against.count && spec_cell_matches(at, &c->against));
    if (d->cells[i].is_finished || !is_used || (cell->tuning && !is_tuned)) continue;
    strbuf_format(out, "%s%s", out->length ? "; " : "", cell->label);
  }
}

static err judge(report_data *d, const spec_claim *c, judged *j, strbuf *missing) {
  ptrdiff_t row = find_row(d, &c->of), other = c->against.count ? find_row(d, &c->against) : row;
  bool is_of_all = !c->against.count && !c->against_metric;
  *j = (judged){NAN, NAN, NAN, 0, 0, 0, c->published, CLAIM_NOT_RUN};
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
    for (size_t r = 0; r < d->row_count && !error; r++) {
      judged one;
      if ((ptrdiff_t)r == row || d->rows[r].group) continue;
      error = compare_rows(d, c, (size_t)row, r, &one);
      if (!error && (is_first || is_weaker(&one, j, c->relation))) *j = one;
      is_first = false;
    }
  }
  if (missing->length) j->verdict = CLAIM_NOT_RUN;
  return error;
}

static void write_number(const spec_claim *c, double value, strbuf *out) {
  int digits = c->metric && c->compare == CLAIM_DIFFERENCE ? c->metric->digits + 1 : 2;
  const char *sign = c->compare == CLAIM_DIFFERENCE && value > 0 ? "+" : "";
  if (isinf(value))
    strbuf_append(out, "∞");
  else
    strbuf_format(out, "%s%s%.*f", value < 0 ? "−" : sign, "", digits, fabs(value));
}

/* How many times the data with which the interval would leave the nearest bound in four of five
 * cases, its width falling with the root of their number; 0: none would. */
static double times_needed(const spec_claim *c, const judged *j) {
  double bound = c->than, off;
  if (c->relation == CLAIM_EQUAL) bound += j->value < c->than ? -c->within : c->within;
  bool is_log = c->compare != CLAIM_DIFFERENCE && j->low > 0 && bound > 0;
  double width = is_log ? log(j->high / j->low) : j->high - j->low;
  off = is_log ? fabs(log(j->value / bound)) : fabs(j->value - bound);
  double times = pow(2.8 * width / 3.92 / off, 2);
  return isfinite(times) && times > 1 && times < 1e5 ? times : 0;
}

static const char *const verdict_names[CLAIM_VERDICTS] = {"holds", "does not hold", "cannot tell",
                                                          "not run", "not judged in this profile"};

static void write_verdict(const spec_claim *c, const judged *j, const char *missing, strbuf *out) {
  strbuf_append(out, verdict_names[j->verdict]);
  if (j->verdict == CLAIM_NOT_RUN)
    strbuf_format(out, ": %s",
                  *missing ? missing : "the runs did not record it, or cannot be compared");
  if (j->verdict != CLAIM_UNSURE) return;
  double times = times_needed(c, j);
  bool is_by_items = j->seeds < 2 && j->items;
  if (isnan(j->low))
    strbuf_append(out, ": no interval; it takes two seeds, or the outcomes of single images");
  else if (times > 0)
    strbuf_format(out, "; it would take about %.0f %s",
                  ceil(times * (double)(is_by_items ? j->items : j->seeds)),
                  is_by_items ? "images" : "seeds");
}

/* "+1.2 (95 % interval +0.3 to +2.1), one seed; published 2.50; holds". */
static void write_evidence(const spec_claim *c, const judged *j, const char *missing, strbuf *out) {
  strbuf basis = {0};
  if (!isnan(j->value)) {
    write_number(c, j->value, out);
    if (!isnan(j->low) && j->low < j->high) {
      strbuf_append(out, " (95 % interval ");
      write_number(c, j->low, out);
      strbuf_append(out, " to ");
      write_number(c, j->high, out);
      strbuf_append(out, ")");
    }
    findings_name_basis(j->seeds, j->items, &basis);
    strbuf_format(out, ", %s%s; ", strbuf_string(&basis), j->disturbed ? " †" : "");
  }
  if (!isnan(j->published)) {
    strbuf_append(out, "published ");
    write_number(c, j->published, out);
    strbuf_append(out, "; ");
  }
  write_verdict(c, j, missing, out);
  strbuf_free(&basis);
}

static void write_counts(const size_t counts[CLAIM_VERDICTS], strbuf *out) {
  strbuf_format(out, "%zu hold, %zu do not hold, %zu cannot tell, %zu not run, %zu not judged",
                counts[CLAIM_HOLDS], counts[CLAIM_FAILS], counts[CLAIM_UNSURE],
                counts[CLAIM_NOT_RUN], counts[CLAIM_NOT_JUDGED]);
}

/* Judges each claim and gives it, with its evidence in words, to `write`. */
typedef void claim_writer(const spec_claim *c, const judged *j, const char *evidence, void *to);
static err judge_all(const spec_experiment *e, store *s, claim_writer *write, void *to,
                     size_t counts[CLAIM_VERDICTS]) {
  report_data d = {0};
  err error = data_load(e, s, &d);
  for (size_t i = 0; i < e->claim_count && !error; i++) {
    strbuf missing = {0}, evidence = {0};
    judged j;
    error = judge(&d, &e->claims[i], &j, &missing);
    if (!error) {
      counts[j.verdict]++;
      write_evidence(&e->claims[i], &j, strbuf_string(&missing), &evidence);
      write(&e->claims[i], &j, strbuf_string(&evidence), to);
    }
    strbuf_free(&missing);
    strbuf_free(&evidence);
  }
  data_free(&d);
  return error;
}

static void write_line(const spec_claim *c, const judged *j, const char *evidence, void *to) {
  (void)j;
  strbuf_format(to, "- %s%s%s%s: %s\n", c->from ? "[" : "", c->from ? c->from : "",
                c->from ? "] " : "", c->sentence, evidence);
}

err claims_write(const spec_experiment *e, store *s, strbuf *out) {
  size_t counts[CLAIM_VERDICTS] = {0};
  if (!e->claim_count) return NULL;
  strbuf_append(out, "\nClaims\n\n");
  err error = judge_all(e, s, write_line, out, counts);
  strbuf_append_char(out, '\n');
  write_counts(counts, out);
  strbuf_append_char(out, '\n');
  return error;
}

static void write_object(const spec_claim *c, const judged *j, const char *evidence, void *to) {
  jsonw_object(to, NULL);
  jsonw_string(to, "claim", c->sentence);
  jsonw_string(to, "from", c->from);
  jsonw_string(to, "verdict", verdict_names[j->verdict]);
  jsonw_string(to, "evidence", evidence);
  jsonw_end(to);
}

err claims_write_json(const spec_experiment *e, store *s, json_writer *w) {
  size_t counts[CLAIM_VERDICTS] = {0};
  strbuf said = {0};
  if (!e->claim_count) return NULL;
  jsonw_array(w, "claims");
  err error = judge_all(e, s, write_object, w, counts);
  jsonw_end(w);
  write_counts(counts, &said);
  jsonw_string(w, "claim_counts", strbuf_string(&said));
  strbuf_free(&said);
  return error;
}
