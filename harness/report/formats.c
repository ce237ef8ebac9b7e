/* The table as Markdown, CSV, LaTeX and JSON. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "report/write.h"
#include "store/csv.h"

/* ---- Markdown ---- */

/* Escapes the characters that Markdown interprets. */
void report_markdown_text(const char *text, strbuf *out) {
  for (; *text; text++) {
    if (strchr("|*_`<[\\", *text)) strbuf_append_char(out, '\\');
    strbuf_append_char(out, *text == '\n' || *text == '\r' ? ' ' : *text);
  }
}

/* A sentence for each line. */
static void markdown_lines(const char *prefix, const char *text, strbuf *out) {
  for (const char *at = text; at && *at;) {
    size_t length = strcspn(at, "\n");
    char *line = strndup(at, length);
    strbuf_append(out, prefix);
    report_markdown_text(line ? line : "", out);
    out->is_broken = out->is_broken || !line;
    free(line);
    at += length + (at[length] == '\n');
    strbuf_append(out, *at ? ".\n" : ".\n\n");
  }
}

static void markdown_notes(const report_table *t, strbuf *out) {
  strbuf_append_char(out, '\n');
  for (size_t r = 0; r < t->row_count; r++) markdown_lines("Missing: ", t->rows[r].missing, out);
  if (t->source) {
    strbuf_append(out, "In brackets: ");
    report_markdown_text(t->source, out);
    strbuf_format(out, ", and the difference from it%s%s.\n\n", report_reference_note(t),
                  t->has_unverified ? "; ~ unverified" : "");
  }
  const report_notes *n = &t->notes;
  strbuf gaps = {0};
  report_gaps(t, &gaps);
  markdown_lines("", strbuf_string(&gaps), out);
  out->is_broken = out->is_broken || gaps.is_broken;
  strbuf_free(&gaps);
  const char *const notes[] = {n->mixed, n->disturbed, n->iso, n->accuracy, n->basis, n->recorded};
  for (size_t i = 0; i < sizeof notes / sizeof *notes; i++) markdown_lines("", notes[i], out);
  if (!n->provenance) return;
  strbuf_append(out, "<sub>");
  report_markdown_text(n->provenance, out);
  strbuf_append(out, "</sub>\n");
}

void report_write_markdown(const report_table *t, strbuf *out) {
  strbuf_append(out, "**");
  report_markdown_text(t->title, out);
  strbuf_append(out, "**\n\n|");
  for (size_t k = 0; k < t->key_count; k++) {
    strbuf_append_char(out, ' ');
    report_markdown_text(t->key_headings[k], out);
    strbuf_append(out, " |");
  }
  for (size_t c = 0; c < t->column_count; c++) {
    strbuf_append_char(out, ' ');
    report_markdown_text(t->columns[c].heading, out);
    strbuf_format(out, *t->columns[c].unit ? " (%s) |" : "%s |", t->columns[c].unit);
  }
  strbuf_append(out, "\n|");
  for (size_t i = 0; i < t->key_count + t->column_count; i++) strbuf_append(out, "---:|");
  for (size_t r = 0; r < t->row_count; r++) {
    strbuf_append(out, "\n|");
    for (size_t k = 0; k < t->key_count; k++) {
      strbuf name = {0};
      report_format_key(&t->rows[r], k, &name);
      strbuf_append_char(out, ' ');
      report_markdown_text(strbuf_string(&name), out);
      strbuf_append(out, " |");
      strbuf_free(&name);
    }
    for (size_t c = 0; c < t->column_count; c++) {
      const report_value *v = &t->rows[r].values[c];
      const char *mark = v->is_best ? "**" : "";
      strbuf_format(out, " %s", mark);
      if (v->text)
        report_markdown_text(v->text, out);
      else
        report_format_value(&t->columns[c], v, out);
      strbuf_append(out, mark);
      if (!isnan(v->reference)) {
        strbuf_append(out, " (");
        report_format_reference(&t->columns[c], v, out);
        strbuf_append_char(out, ')');
      }
      strbuf_append(out, " |");
    }
  }
  strbuf_append_char(out, '\n');
  markdown_notes(t, out);
}

/* ---- CSV: RFC 4180, plain numbers, one column per part of a value ---- */

/* "NAME_PART" as a column name. */
static void csv_part(const char *name, const char *part, strbuf *out) {
  strbuf text = {0};
  strbuf_format(&text, "%s_%s", name, part);
  csv_field(strbuf_string(&text), false, out);
  strbuf_free(&text);
}

static bool has_difference(const report_table *t, size_t c) {
  for (size_t r = 0; r < t->row_count; r++)
    if (!isnan(t->rows[r].values[c].difference.value)) return true;
  return false;
}

/* Is the column in a row of fewer seeds than have finished? */
static bool has_fewer_seeds(const report_table *t, size_t c) {
  for (size_t r = 0; r < t->row_count; r++) {
    size_t seeds = t->rows[r].values[c].seeds;
    if (seeds && seeds < t->rows[r].finished) return true;
  }
  return false;
}

/* Is there a column, or an axis, of this name? */
static bool is_column(const report_table *t, const char *name) {
  for (size_t k = 0; k < t->key_count; k++)
    if (strcmp(t->key_names[k], name) == 0) return true;
  for (size_t c = 0; c < t->column_count; c++)
    if (strcmp(t->columns[c].name, name) == 0) return true;
  return false;
}

static void csv_head(const report_table *t, strbuf *out) {
  for (size_t k = 0; k < t->key_count; k++) csv_field(t->key_names[k], k == 0, out);
  for (size_t c = 0; c < t->column_count; c++) {
    const report_column *shown = &t->columns[c];
    csv_field(shown->name, t->key_count == 0 && c == 0, out);
    if (shown->has_interval) csv_part(shown->name, "low", out);
    if (shown->has_interval) csv_part(shown->name, "high", out);
    if (shown->has_interval) csv_part(shown->name, "interval_over", out);
    if (has_difference(t, c)) csv_part(shown->name, "from_baseline", out);
    if (has_difference(t, c)) csv_part(shown->name, "from_baseline_low", out);
    if (has_difference(t, c)) csv_part(shown->name, "from_baseline_high", out);
    if (has_difference(t, c)) csv_part(shown->name, "from_baseline_interval_over", out);
    if (has_fewer_seeds(t, c)) csv_part(shown->name, "seeds", out);
    if (shown->has_reference) csv_part(shown->name, "reference", out);
    if (shown->has_reference) csv_part(shown->name, "difference", out);
  }
  static const char *const own[] = {"seeds", "disturbed_runs", "row_lost_share", "given_other",
                                    "missing"};
  for (size_t i = 0; i < sizeof own / sizeof *own; i++)
    if (is_column(t, own[i]))
      csv_part("row", own[i], out);
    else
      csv_field(own[i], false, out);
  strbuf_append(out, "\r\n");
}

void report_write_csv(const report_table *t, strbuf *out) {
  csv_head(t, out);
  for (size_t r = 0; r < t->row_count; r++) {
    const report_row *row = &t->rows[r];
    for (size_t k = 0; k < t->key_count; k++) csv_field(row->key_values[k], k == 0, out);
    for (size_t c = 0; c < t->column_count; c++) {
      const report_value *v = &row->values[c];
      if (v->text)
        csv_field(v->text, t->key_count == 0 && c == 0, out);
      else
        csv_number(v->value, t->key_count == 0 && c == 0, out);
      if (t->columns[c].has_interval) csv_number(v->low, false, out);
      if (t->columns[c].has_interval) csv_number(v->high, false, out);
      if (t->columns[c].has_interval) csv_field(v->over ? v->over : "", false, out);
      if (has_difference(t, c)) csv_number(v->difference.value, false, out);
      if (has_difference(t, c)) csv_number(v->difference.low, false, out);
      if (has_difference(t, c)) csv_number(v->difference.high, false, out);
      if (has_difference(t, c)) csv_field(v->difference.over ? v->difference.over : "", false, out);
      if (has_fewer_seeds(t, c)) csv_number((double)v->seeds, false, out);
      if (t->columns[c].has_reference) csv_number(v->reference, false, out);
      if (t->columns[c].has_reference) csv_number(report_reference_difference(v), false, out);
    }
    csv_number((double)row->finished, false, out);
    csv_number((double)row->disturbed, false, out);
    csv_number(row->lost_share, false, out);
    csv_number(row->has_other_inputs, false, out);
    csv_field(row->missing ? row->missing : "", false, out);
    strbuf_append(out, "\r\n");
  }
}

/* ---- LaTeX, for \usepackage{booktabs} ---- */

static const struct {
  const char *from, *to;
} latex_names[] = {{"%", "\\%"},        {"_", "\\_"},          {"&", "\\&"},
                   {"#", "\\#"},        {"$", "\\$"},          {"→", "$\\to$"},
                   {"×", "$\\times$"},  {"±", "$\\pm$"},       {"–", "--"},
                   {"~", "$\\sim$"},    {"·", "$\\cdot$"},     {"{", "\\{"},
                   {"}", "\\}"},        {"^", "\\^{}"},        {"\\", "\\textbackslash{}"},
                   {"−", "$-$"},        {"†", "$^\\dagger$"},  {"‡", "$^\\ddagger$"},
                   {"∞", "$\\infty$"},  {"<", "\\textless{}"}, {">", "\\textgreater{}"},
                   {"|", "\\textbar{}"}}; /* the default font has other characters there */

void report_latex_text(const char *text, strbuf *out) {
  while (*text) {
    bool is_done = false;
    for (size_t i = 0; i < sizeof latex_names / sizeof *latex_names && !is_done; i++) {
      size_t length = strlen(latex_names[i].from);
      if (strncmp(text, latex_names[i].from, length) != 0) continue;
      strbuf_append(out, latex_names[i].to);
      text += length;
      is_done = true;
    }
    if (!is_done) strbuf_append_char(out, *text++);
  }
}

static void latex_value(const report_column *c, const report_value *v, strbuf *out) {
  strbuf text = {0};
  report_format_value(c, v, &text);
  if (v->is_best) strbuf_append(out, "\\textbf{");
  report_latex_text(strbuf_string(&text), out);
  if (v->is_best) strbuf_append_char(out, '}');
  strbuf_clear(&text);
  report_format_reference(c, v, &text);
  if (text.length) {
    strbuf_append(out, " (");
    report_latex_text(strbuf_string(&text), out);
    strbuf_append_char(out, ')');
  }
  strbuf_free(&text);
}

/* One line under the table per line of `text`. */
static void latex_lines(const char *prefix, const char *text, strbuf *out) {
  while (text && *text) {
    size_t length = strcspn(text, "\n");
    char *line = strndup(text, length);
    strbuf_format(out, "\\par{\\footnotesize %s", prefix);
    report_latex_text(line ? line : "", out);
    strbuf_append(out, ".}\n");
    free(line);
    text += length + (text[length] == '\n');
  }
}

static void latex_notes(const report_table *t, strbuf *out) {
  if (t->source) {
    strbuf_append(out, "\\par\\smallskip{\\footnotesize In brackets: ");
    report_latex_text(t->source, out);
    strbuf_append(out, ", and the difference from it");
    strbuf_append(out, report_reference_note(t));
    strbuf_append(out, t->has_unverified ? "; $\\sim$ unverified.}\n" : ".}\n");
  }
  for (size_t r = 0; r < t->row_count; r++) latex_lines("Missing: ", t->rows[r].missing, out);
  strbuf gaps = {0};
  report_gaps(t, &gaps);
  latex_lines("", strbuf_string(&gaps), out);
  out->is_broken = out->is_broken || gaps.is_broken;
  strbuf_free(&gaps);
  latex_lines("", t->notes.mixed, out);
  latex_lines("", t->notes.disturbed, out);
  latex_lines("", t->notes.iso, out);
  latex_lines("", t->notes.accuracy, out);
  latex_lines("", t->notes.basis, out);
  latex_lines("", t->notes.recorded, out);
}

void report_write_latex(const report_table *t, strbuf *out) {
  enum { NARROW_COLUMNS = 6 }; /* more do not fit in one column of a two-column paper */
  const char *star = t->key_count + t->column_count > NARROW_COLUMNS ? "*" : "";
  strbuf_format(out, "\\begin{table%s}\n\\centering\n\\caption{", star);
  report_latex_text(t->title, out);
  strbuf_append(out, "}\n\\begin{tabular}{");
  for (size_t i = 0; i < t->key_count + t->column_count; i++) strbuf_append_char(out, 'r');
  strbuf_append(out, "}\n\\toprule\n");
  for (size_t k = 0; k < t->key_count; k++) {
    if (k) strbuf_append(out, " & ");
    report_latex_text(t->key_headings[k], out);
  }
  for (size_t c = 0; c < t->column_count; c++) {
    if (c || t->key_count) strbuf_append(out, " & ");
    strbuf_append(out, *t->columns[c].unit ? "\\shortstack[r]{" : "");
    report_latex_text(t->columns[c].heading, out);
    if (!*t->columns[c].unit) continue;
    strbuf_append(out, "\\\\");
    report_latex_text(t->columns[c].unit, out);
    strbuf_append_char(out, '}');
  }
  strbuf_append(out, " \\\\\n\\midrule\n");
  for (size_t r = 0; r < t->row_count; r++) {
    for (size_t k = 0; k < t->key_count; k++) {
      strbuf name = {0};
      report_format_key(&t->rows[r], k, &name);
      if (k) strbuf_append(out, " & ");
      /* after \\ and \midrule it would be their argument */
      if (!k && strchr("[*", *strbuf_string(&name))) strbuf_append(out, "{}");
      report_latex_text(strbuf_string(&name), out);
      strbuf_free(&name);
    }
    for (size_t c = 0; c < t->column_count; c++) {
      if (c || t->key_count) strbuf_append(out, " & ");
      latex_value(&t->columns[c], &t->rows[r].values[c], out);
    }
    strbuf_append(out, " \\\\\n");
  }
  strbuf_append(out, "\\bottomrule\n\\end{tabular}\n");
  latex_notes(t, out);
  strbuf_format(out, "\\end{table%s}\n", star);
  if (t->notes.provenance) strbuf_format(out, "%% %s\n", t->notes.provenance);
}

/* ---- JSON ---- */

/* Ends of an interval; an unbounded one is null and flagged. */
static void json_ends(json_writer *w, double low, double high, const char *over) {
  if (isnan(low)) return;
  jsonw_number(w, "low", low);
  jsonw_number(w, "high", isinf(high) ? (double)NAN : high);
  if (isinf(high)) jsonw_bool(w, "unbounded", true);
  if (over) jsonw_string(w, "interval_over", over);
}

static void json_difference(json_writer *w, const report_difference *x) {
  if (isnan(x->value)) return;
  jsonw_object(w, "from_baseline");
  jsonw_number(w, "value", x->value);
  json_ends(w, x->low, x->high, x->over);
  if (!isnan(x->low)) jsonw_bool(w, "told_from_zero", x->low > 0 || x->high < 0);
  if (x->seeds_needed) jsonw_integer(w, "seeds_needed", (int64_t)x->seeds_needed);
  if (x->items_needed) jsonw_integer(w, "images_needed", (int64_t)x->items_needed);
  jsonw_end(w);
}

/* null: the cell has no run. */
static void json_run(json_writer *w, int64_t run_id) {
  if (run_id)
    jsonw_integer(w, NULL, run_id);
  else
    jsonw_null(w, NULL);
}

static void json_value(json_writer *w, const report_column *c, const report_value *v,
                       size_t count) {
  jsonw_object(w, c->name);
  if (v->text)
    jsonw_string(w, "value", v->text);
  else
    jsonw_number(w, "value", v->value);
  json_ends(w, v->low, v->high, v->over);
  if (!isnan(v->half_width)) jsonw_number(w, "half_width", v->half_width);
  if (v->seeds) jsonw_integer(w, "seeds", (int64_t)v->seeds);
  if (v->items) jsonw_integer(w, "images", (int64_t)v->items);
  json_difference(w, &v->difference);
  if (!isnan(v->reference)) {
    jsonw_number(w, "reference", v->reference);
    jsonw_number(w, "difference", report_reference_difference(v));
    jsonw_bool(w, "reference_verified", v->is_reference_verified);
    if (v->reference_source) jsonw_string(w, "reference_source", v->reference_source);
  }
  if (v->missing) jsonw_string(w, "missing", v->missing);
  jsonw_bool(w, "best", v->is_best);
  if (v->parts) {
    jsonw_array(w, "runs");
    for (size_t i = 0; i < count; i++) jsonw_number(w, NULL, v->parts[i]);
    jsonw_end(w);
  }
  if (v->runs) {
    jsonw_array(w, "run_ids");
    for (size_t i = 0; i < count; i++) json_run(w, v->runs[i]);
    jsonw_end(w);
  }
  jsonw_end(w);
}

static void json_columns(json_writer *w, const report_table *t) {
  jsonw_array(w, "columns");
  for (size_t c = 0; c < t->column_count; c++) {
    jsonw_object(w, NULL);
    jsonw_string(w, "name", t->columns[c].name);
    jsonw_string(w, "heading", t->columns[c].heading);
    jsonw_string(w, "unit", t->columns[c].unit);
    jsonw_end(w);
  }
  jsonw_end(w);
}

static void json_row(json_writer *w, const report_table *t, const report_row *row) {
  jsonw_object(w, NULL);
  jsonw_object(w, "row");
  for (size_t k = 0; k < t->key_count; k++) jsonw_string(w, t->key_names[k], row->key_values[k]);
  jsonw_end(w);
  jsonw_integer(w, "cells", (int64_t)row->cells);
  jsonw_integer(w, "finished", (int64_t)row->finished);
  jsonw_integer(w, "disturbed", (int64_t)row->disturbed);
  jsonw_number(w, "lost_share", row->lost_share);
  jsonw_bool(w, "given_other", row->has_other_inputs);
  if (row->missing) jsonw_string(w, "missing", row->missing);
  jsonw_array(w, "runs");
  for (size_t i = 0; i < row->cells; i++) json_run(w, row->runs[i]);
  jsonw_end(w);
  jsonw_object(w, "values");
  for (size_t c = 0; c < t->column_count; c++)
    json_value(w, &t->columns[c], &row->values[c], row->cells);
  jsonw_end(w);
  jsonw_end(w);
}

void report_write_json_members(const report_table *t, json_writer *w) {
  const char *note = report_reference_note(t);
  jsonw_string(w, "experiment", t->name);
  jsonw_string(w, "title", t->title);
  json_columns(w, t);
  jsonw_array(w, "rows");
  for (size_t r = 0; r < t->row_count; r++) json_row(w, t, &t->rows[r]);
  jsonw_end(w);
  jsonw_string(w, "source", t->source);
  if (t->source && *note) jsonw_string(w, "reference_note", note + strspn(note, "; "));
  jsonw_string(w, "mixed", t->notes.mixed);
  jsonw_string(w, "disturbed", t->notes.disturbed);
  jsonw_string(w, "iso_accuracy", t->notes.iso);
  jsonw_string(w, "accuracy", t->notes.accuracy);
  jsonw_string(w, "basis", t->notes.basis);
  jsonw_string(w, "recorded", t->notes.recorded);
  jsonw_string(w, "provenance", t->notes.provenance);
}

void report_write_json(const report_table *t, strbuf *out) {
  json_writer w = jsonw_start(out);
  jsonw_object(&w, NULL);
  report_write_json_members(t, &w);
  jsonw_end(&w);
  strbuf_append_char(out, '\n');
}
