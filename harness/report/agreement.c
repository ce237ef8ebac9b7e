#include "report/agreement.h"

#include <math.h>
#include <string.h>

#include "report/measure.h"
#include "report/write.h"
#include "stats/summary.h"

/* Of the machine rather than of the method. */
static bool is_of_machine(const column *c) {
  static const char *const names[] = {"samples_per_second",
                                      "samples_per_second_median",
                                      "samples_per_second_run",
                                      "steady_seconds",
                                      "lost_share",
                                      "train_seconds",
                                      "peak_bytes",
                                      "data_wait_share",
                                      "flops_per_second",
                                      "mfu"};
  if (c->kind == COLUMN_ISO) return true;
  if (c->kind == COLUMN_RATIO || c->kind == COLUMN_INVERSE)
    return is_of_machine(columns_find(c->argument));
  for (size_t i = 0; c->kind == COLUMN_SUMMARY && i < sizeof names / sizeof *names; i++)
    if (strcmp(c->argument, names[i]) == 0) return true;
  return false;
}

/* What chance explains of a number that is measured again: for an accuracy, which is measured on
 * the same images, the scatter of the seeds alone. */
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
  if (count > 1) half = stats_t95((size_t)count - 1) * sqrt(squares / (count - 1) / count);
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

static bool is_printed_alike(const report_column *c, const report_value *a, const report_value *b) {
  strbuf one = {0}, other = {0};
  report_format_bare(c, a, &one);
  report_format_bare(c, b, &other);
  bool is_alike = strcmp(strbuf_string(&one), strbuf_string(&other)) == 0;
  strbuf_free(&one);
  strbuf_free(&other);
  return is_alike;
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

static void compare_value(const report_table *first, const report_table *again, size_t row,
                          size_t index, strbuf *out, agreement_count *count) {
  const report_column *c = &first->columns[index];
  const report_row *x = &first->rows[row], *y = &again->rows[row];
  const report_value *a = &x->values[index], *b = &y->values[index];
  if (!c->known || a->text || isnan(a->value)) return;
  if (is_of_machine(c->known)) {
    count->machine++;
    if (!isnan(b->value) && !do_overlap(c, x, a, y, b) && !is_printed_alike(c, a, b))
      write_pair(first, row, c, a, b, "of the machine", out);
  } else if (isnan(b->value)) {
    count->missing++;
    write_pair(first, row, c, a, b, "missing", out);
  } else if (fabs(a->value - b->value) <= 1e-12 * fabs(a->value)) {
    count->same++;
  } else if (is_printed_alike(c, a, b)) {
    count->printed++;
  } else if (do_overlap(c, x, a, y, b)) {
    count->within++;
  } else {
    count->differing++;
    write_pair(first, row, c, a, b, "differs", out);
  }
}

void agreement_write(const report_table *first, const report_table *again, strbuf *out,
                     agreement_count *count) {
  *count = (agreement_count){0};
  for (size_t r = 0; r < first->row_count && r < again->row_count; r++)
    for (size_t c = 0; c < first->column_count && c < again->column_count; c++)
      compare_value(first, again, r, c, out, count);
}
