#include "report/agreement.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "report/measure.h"
#include "report/write.h"
#include "stats/student.h"

/* Depends on the machine rather than on the method. */
static bool is_of_machine(const column *c) {
  static const char *const names[] = {"lost_share", "peak_bytes", "data_wait_share",
                                      "planned_bytes", "peak_rank"};
  if (measure_is_timed(c)) return true;
  if (c->kind == COLUMN_RATIO || c->kind == COLUMN_INVERSE)
    return is_of_machine(columns_find(c->argument));
  for (size_t i = 0; c->kind == COLUMN_SUMMARY && i < sizeof names / sizeof *names; i++)
    if (strcmp(c->argument, names[i]) == 0) return true;
  return false;
}

/* The interval that applies to a repeated measurement. An accuracy is measured on the same images,
 * so only the spread over seeds counts. */
static void interval_of(const report_column *c, const report_row *row, const report_value *v,
                        double *low, double *high) {
  *low = isnan(v->low) ? v->value : v->low;
  *high = isnan(v->low) ? v->value : v->high;
  if (!measure_is_accuracy(c->known) || !v->parts) return;
  double squares = 0, count = 0;
  for (size_t i = 0; i < row->cells; i++) {
    if (isnan(v->parts[i])) continue;
    squares += (v->parts[i] - v->value) * (v->parts[i] - v->value);
    count++;
  }
  double half = 0;
  if (count > 1)
    half = student_quantile(0.05, (size_t)count - 1) * sqrt(squares / (count - 1) / count);
  *low = v->value - half;
  *high = v->value + half;
}

static bool do_overlap(const report_column *c, const report_row *first, const report_value *a,
                       const report_row *again, const report_value *b) {
  double a_low, a_high, b_low, b_high;
  interval_of(c, first, a, &a_low, &a_high);
  interval_of(c, again, b, &b_low, &b_high);
  return a_low <= b_high && b_low <= a_high;
}

/* With the column's digits, whatever their intervals. */
static bool is_printed_alike(const report_column *c, const report_value *a, const report_value *b) {
  char one[64], other[64];
  snprintf(one, sizeof one, "%.*f", c->digits, a->value);
  snprintf(other, sizeof other, "%.*f", c->digits, b->value);
  return strcmp(one, other) == 0;
}

static void write_pair(const report_table *t, size_t row, const report_column *c,
                       const report_value *a, const report_value *b, const char *verdict,
                       strbuf *out) {
  for (size_t k = 0; k < t->key_count; k++)
    strbuf_format(out, "%s%s %s", k ? ", " : "  ", t->key_headings[k], t->rows[row].keys[k]);
  strbuf_format(out, " · %s: ", c->heading);
  report_format_value(c, a, out);
  strbuf_append(out, " → ");
  report_format_value(c, b, out);
  strbuf_format(out, "%s%s (%s)\n", *c->unit ? " " : "", c->unit, verdict);
}

static bool is_alike(const report_table *t, const report_row *a, const report_row *b) {
  bool is_same = a->has_other_inputs == b->has_other_inputs;
  for (size_t k = 0; k < t->key_count && is_same; k++)
    is_same = strcmp(a->key_values[k], b->key_values[k]) == 0;
  return is_same;
}

const report_row *agreement_find_row(const report_table *first, size_t row,
                                     const report_table *again) {
  size_t before = 0;
  for (size_t r = 0; r < row; r++) before += is_alike(first, &first->rows[r], &first->rows[row]);
  for (size_t r = 0; r < again->row_count; r++)
    if (is_alike(first, &first->rows[row], &again->rows[r]) && before-- == 0)
      return &again->rows[r];
  return NULL;
}

const report_value *agreement_value(const report_row *row, size_t index) {
  static const report_value none = {
      .value = NAN, .half_width = NAN, .low = NAN, .high = NAN, .reference = NAN};
  return row ? &row->values[index] : &none;
}

agreement agreement_judge(const report_column *c, const report_row *first, const report_row *again,
                          size_t index) {
  const report_value *a = &first->values[index], *b = agreement_value(again, index);
  if (!c->known || a->text || isnan(a->value)) return AGREEMENT_NONE;
  if (is_of_machine(c->known)) return AGREEMENT_MACHINE;
  if (isnan(b->value)) return AGREEMENT_MISSING;
  if (fabs(a->value - b->value) <= 1e-12 * fabs(a->value)) return AGREEMENT_SAME;
  if (is_printed_alike(c, a, b)) return AGREEMENT_PRINTED;
  return do_overlap(c, first, a, again, b) ? AGREEMENT_WITHIN : AGREEMENT_DIFFERS;
}

void agreement_add(agreement kind, agreement_count *count) {
  count->same += kind == AGREEMENT_SAME;
  count->printed += kind == AGREEMENT_PRINTED;
  count->within += kind == AGREEMENT_WITHIN;
  count->differing += kind == AGREEMENT_DIFFERS;
  count->missing += kind == AGREEMENT_MISSING;
  count->machine += kind == AGREEMENT_MACHINE;
}

static void compare_value(const report_table *first, size_t row, const report_row *y, size_t index,
                          strbuf *out, agreement_count *count) {
  const report_column *c = &first->columns[index];
  const report_row *x = &first->rows[row];
  const report_value *a = &x->values[index], *b = agreement_value(y, index);
  agreement kind = agreement_judge(c, x, y, index);
  agreement_add(kind, count);
  if (kind == AGREEMENT_MACHINE && !isnan(b->value) && !do_overlap(c, x, a, y, b) &&
      !is_printed_alike(c, a, b))
    write_pair(first, row, c, a, b, "depends on the machine", out);
  if (kind == AGREEMENT_MISSING) write_pair(first, row, c, a, b, "missing", out);
  if (kind == AGREEMENT_DIFFERS) write_pair(first, row, c, a, b, "differs", out);
}

void agreement_write(const report_table *first, const report_table *again, strbuf *out,
                     agreement_count *count) {
  *count = (agreement_count){0};
  for (size_t r = 0; r < first->row_count; r++) {
    const report_row *row = agreement_find_row(first, r, again);
    for (size_t c = 0; c < first->column_count && c < again->column_count; c++)
      compare_value(first, r, row, c, out, count);
  }
}
