/* Writes a comparison table in formats for people and programs. All of them contain the same:
 * measured values with their interval, the published value next to them (with "~" when it has not
 * been checked against the paper), what is missing and why, and the provenance. */
#ifndef FLIPBENCH_REPORT_WRITE_H
#define FLIPBENCH_REPORT_WRITE_H

#include "base/json.h"
#include "report/table.h"

typedef struct {
  bool has_colour; /* the best value of a column in bold */
  int columns;     /* wider tables are split into parts, one below the other; 0: never */
} report_style;

void report_write_text(const report_table *t, const report_style *style, strbuf *out);
void report_write_markdown(const report_table *t, strbuf *out);
void report_write_csv(const report_table *t, strbuf *out);
void report_write_latex(const report_table *t, strbuf *out);
void report_write_json(const report_table *t, strbuf *out);
/* Its keys only, into an object that the caller opens and closes. */
void report_write_json_members(const report_table *t, json_writer *w);

/* Values that rows with results lack, a line for each reason: "tuned top-1 of mask 0 %: …", and
 * values of fewer seeds than have finished. */
void report_gaps(const report_table *t, strbuf *out);

/* Escapes `text` for Markdown, or LaTeX. */
void report_markdown_text(const char *text, strbuf *out);
void report_latex_text(const char *text, strbuf *out);

/* "12.3 ± 0.4", "1.93 [1.80, 2.02]", "–" for none; without unit. */
void report_format_value(const report_column *c, const report_value *v, strbuf *out);
/* The same without the interval. */
void report_format_bare(const report_column *c, const report_value *v, strbuf *out);
/* A difference: "+0.25", "−0.25", "0.00". */
void report_format_signed(double value, int digits, strbuf *out);
/* A row's name under one of its keys; the first has the row's marks. */
void report_format_key(const report_row *row, size_t key, strbuf *out);
/* " †‡" after a name: † when one of its runs was disturbed, ‡ when they had other inputs. */
void report_add_marks(bool is_disturbed, bool has_other_inputs, strbuf *out);
/* The measured value minus the published one; NaN where nothing was measured, or the interval has
 * no end: nothing is known about the value then. */
double report_reference_difference(const report_value *v);
/* What follows the source of the published values and "the difference from it". */
const char *report_reference_note(const report_table *t);
/* "69.6, −0.7": the published value with its own digits, at least the column's, and the measured
 * value minus it; "~69.6" when not checked against the source; without the difference when nothing
 * was measured; empty when nothing was published. */
void report_format_reference(const report_column *c, const report_value *v, strbuf *out);

#endif
