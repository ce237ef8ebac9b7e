/* The comparison table on an experiment's page. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "report/findings.h"
#include "report/html_parts.h"
#include "report/page.h"
#include "report/write.h"

/* What the dialog of a number shows about its interval. */
static void describe_interval(const column *c, const report_value *v, strbuf *text) {
  if (isnan(v->low)) return;
  strbuf_append(text, isnan(v->half_width) ? "[95 % interval" : "± half the 95 % interval");
  if (v->over) strbuf_format(text, " over %s", v->over);
  strbuf_append(text, isnan(v->half_width) ? "; " : " (");
  findings_name_basis(c, v->seeds, v->items, text);
  strbuf_append(text, isnan(v->half_width) ? "]" : ")");
  if (!isnan(v->difference.low))
    strbuf_format(text, "; from the baseline %+.3g, 95 %% interval over %s %+.3g to %+.3g",
                  v->difference.value, v->difference.over, v->difference.low, v->difference.high);
}

/* The number of each run with six significant digits; texts "–" where there is none. */
static void name_parts(const report_row *row, const report_value *v, const char **parts,
                       char (*texts)[TEXT_NUMBER_SIZE]) {
  for (size_t i = 0; i < row->cells; i++) {
    bool has_number = v->parts && !isnan(v->parts[i]);
    if (has_number) snprintf(texts[i], sizeof texts[i], "%.6g", v->parts[i]);
    parts[i] = has_number ? texts[i] : "–";
  }
}

static void write_number(page_table *p, const report_table *t, size_t r, size_t c) {
  const report_column *shown = &t->columns[c];
  const report_row *row = &t->rows[r];
  const report_value *v = &row->values[c];
  strbuf text = {0}, whole = {0}, published = {0}, interval = {0}, reference = {0};
  const char **parts = mem_zeroed(row->cells, sizeof *parts);
  char(*texts)[TEXT_NUMBER_SIZE] = mem_zeroed(row->cells, sizeof *texts);
  if (parts && texts)
    name_parts(row, v, parts, texts);
  else
    p->w->out->is_broken = true;
  report_format_bare(shown, v, &text);
  report_format_value(shown, v, &whole);
  report_format_reference(shown, v, &published);
  describe_interval(shown->known, v, &interval);
  if (published.length)
    strbuf_format(&reference, "%s (%s)%s", strbuf_string(&published),
                  v->reference_source ? v->reference_source : "published",
                  v->is_reference_verified ? "" : ", unverified");
  page_cell cell = {.text = strbuf_string(&text),
                    .published = strbuf_string(&published),
                    .interval = strbuf_string(&interval),
                    .reference = strbuf_string(&reference)};
  if (v->missing) {
    cell.order = PAGE_LAST;
    cell.style = "none";
    cell.help = v->missing;
  } else if (!v->text) {
    cell.order = PAGE_BY_NUMBER;
    cell.number = v->value;
    cell.style = v->is_best ? "best" : NULL;
    if (whole.length > text.length) cell.plus = whole.data + text.length;
    cell.leads_to_runs = true;
    cell.parts = parts;
    cell.run_ids = v->runs;
    cell.part_count = parts && texts ? row->cells : 0;
  }
  page_table_cell(p, &cell);
  strbuf *all[] = {&text, &whole, &published, &interval, &reference};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) strbuf_free(all[i]);
  free(parts);
  free(texts);
}

static void write_row(page_table *p, const report_table *t, size_t r) {
  const report_row *row = &t->rows[r];
  for (size_t k = 0; k < t->key_count; k++) {
    strbuf name = {0};
    page_cell cell = {0};
    report_format_key(row, k, &name);
    cell.text = strbuf_string(&name);
    if (yml_as_real(row->key_values[k], &cell.number)) cell.order = PAGE_BY_NUMBER;
    page_table_cell(p, &cell);
    strbuf_free(&name);
  }
  for (size_t c = 0; c < t->column_count; c++) write_number(p, t, r, c);
}

static void write_note(json_writer *w, bool is_warning, const char *before, const char *text,
                       const char *after) {
  strbuf note = {0};
  strbuf_format(&note, "%s%s%s", before, text, after);
  jsonw_object(w, NULL);
  jsonw_bool(w, "is_warning", is_warning);
  jsonw_string(w, "text", strbuf_string(&note));
  jsonw_end(w);
  strbuf_free(&note);
}

static void write_gaps(json_writer *w, const report_table *t) {
  strbuf gaps = {0};
  report_gaps(t, &gaps);
  char *rest = gaps.data, *line;
  while ((line = strsep(&rest, "\n")))
    if (*line) write_note(w, false, "", line, ".");
  w->out->is_broken = w->out->is_broken || gaps.is_broken;
  strbuf_free(&gaps);
}

/* Sentences below the table; those about the whole page are at its top (html.c). */
static void write_notes(json_writer *w, const report_table *t) {
  jsonw_array(w, "notes");
  for (size_t r = 0; r < t->row_count; r++)
    if (t->rows[r].missing) write_note(w, true, "Missing: ", t->rows[r].missing, "");
  if (t->source) {
    char end[192];
    snprintf(end, sizeof end, ", and the difference from it%s%s.", report_reference_note(t),
             t->has_unverified ? "; ~ unverified" : "");
    write_note(w, false, "In brackets: ", t->source, end);
  }
  write_gaps(w, t);
  if (t->notes.basis) write_note(w, false, "", t->notes.basis, ".");
  if (t->notes.recorded) write_note(w, false, "", t->notes.recorded, ".");
  write_note(w, false, "",
             "● better than every other row by more than its interval. Select a number to see the "
             "runs it comes from.",
             "");
  jsonw_end(w);
}

/* The runs of each row, in the same order as the parts of its numbers. */
static void write_row_runs(json_writer *w, const report_data *d, const report_table *t) {
  jsonw_array(w, "made_from");
  for (size_t r = 0; r < t->row_count; r++) {
    const report_row *row = &t->rows[r];
    strbuf name = {0};
    data_name_row(d, r, &name);
    report_add_marks(row->disturbed > 0, row->has_other_inputs, &name);
    jsonw_object(w, NULL);
    jsonw_string(w, "name", strbuf_string(&name));
    jsonw_array(w, "runs");
    for (size_t i = 0; i < row->cells; i++) jsonw_integer(w, NULL, row->runs[i]);
    jsonw_end(w);
    jsonw_array(w, "labels");
    for (size_t i = 0; i < row->cells; i++) jsonw_string(w, NULL, row->labels[i]);
    jsonw_end(w);
    jsonw_end(w);
    strbuf_free(&name);
  }
  jsonw_end(w);
}

void html_write_table(json_writer *w, const report_data *d, const report_table *t) {
  page_table p;
  size_t count = t->key_count + t->column_count;
  page_column *columns = mem_zeroed(count, sizeof *columns);
  if (!columns) {
    w->out->is_broken = true;
    return;
  }
  for (size_t k = 0; k < t->key_count; k++)
    columns[k] = (page_column){k ? PAGE_TEXT : PAGE_KEY, t->key_headings[k], NULL, NULL};
  for (size_t c = 0; c < t->column_count; c++)
    columns[t->key_count + c] =
        (page_column){PAGE_NUMBER, t->columns[c].heading, t->columns[c].unit,
                      t->columns[c].known ? t->columns[c].known->help : "a setting"};
  page_table_begin(&p, w, "table", "table", "filter the rows", columns, count);
  for (size_t r = 0; r < t->row_count; r++) write_row(&p, t, r);
  page_table_end_rows(&p);
  write_row_runs(w, d, t);
  write_notes(w, t);
  jsonw_end(w);
  page_table_end(&p, NULL);
  free(columns);
}
