#include "report/agreement.h"

#include <math.h>
#include <string.h>

#include "report/write.h"

/* Of the machine rather than of the method. */
static bool is_of_machine(const column *c) {
  static const char *const names[] = {"samples_per_second",
                                      "samples_per_second_median",
                                      "samples_per_second_run",
                                      "steady_seconds",
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

static void interval_of(const report_value *v, double *low, double *high) {
  *low = isnan(v->low) ? v->value : v->low;
  *high = isnan(v->low) ? v->value : v->high;
}

static bool do_overlap(const report_value *a, const report_value *b) {
  double a_low, a_high, b_low, b_high;
  interval_of(a, &a_low, &a_high);
  interval_of(b, &b_low, &b_high);
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
  const report_value *a = &first->rows[row].values[index], *b = &again->rows[row].values[index];
  if (!c->known || a->text || isnan(a->value)) return;
  if (is_of_machine(c->known)) {
    count->machine++;
    if (!isnan(b->value) && !do_overlap(a, b) && !is_printed_alike(c, a, b))
      write_pair(first, row, c, a, b, "of the machine", out);
  } else if (isnan(b->value)) {
    count->missing++;
    write_pair(first, row, c, a, b, "missing", out);
  } else if (fabs(a->value - b->value) <= 1e-12 * fabs(a->value)) {
    count->same++;
  } else if (is_printed_alike(c, a, b)) {
    count->printed++;
  } else if (do_overlap(a, b)) {
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
