/* Tables of a page: as JSON that page.js renders, and as text. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "report/page.h"

static void write_columns(const page_table *t) {
  static const char *const kinds[] = {
      [PAGE_KEY] = "key", [PAGE_TEXT] = "text", [PAGE_NUMBER] = "number"};
  json_writer *w = t->w;
  jsonw_array(w, "columns");
  for (size_t i = 0; i < t->column_count; i++) {
    jsonw_object(w, NULL);
    jsonw_string(w, "kind", kinds[t->columns[i].kind]);
    jsonw_string(w, "heading", t->columns[i].heading);
    if (t->columns[i].unit) jsonw_string(w, "unit", t->columns[i].unit);
    if (t->columns[i].help) jsonw_string(w, "help", t->columns[i].help);
    jsonw_end(w);
  }
  jsonw_end(w);
}

void page_table_begin(page_table *t, json_writer *w, const char *key, const char *id,
                      const char *filter, const page_column *columns, size_t column_count) {
  *t = (page_table){.w = w, .columns = columns, .column_count = column_count};
  jsonw_object(w, key);
  jsonw_string(w, "id", id);
  jsonw_string(w, "filter", filter);
  write_columns(t);
  jsonw_array(w, "rows");
}

static void write_order(json_writer *w, const page_cell *cell) {
  switch (cell->order) {
  case PAGE_BY_NUMBER:
    jsonw_number(w, "sort", cell->number);
    break;
  case PAGE_BY_STAMP:
    jsonw_string(w, "sort", cell->stamp);
    break;
  case PAGE_LAST:
    jsonw_null(w, "sort");
    break;
  case PAGE_BY_TEXT:
    break;
  }
}

static void write_cell(json_writer *w, const page_cell *cell) {
  const struct {
    const char *key, *text;
  } texts[] = {
      {"text", cell->text},   {"href", cell->href},         {"style", cell->style},
      {"help", cell->help},   {"plus", cell->plus},         {"published", cell->published},
      {"small", cell->small}, {"interval", cell->interval}, {"reference", cell->reference}};
  jsonw_object(w, NULL);
  write_order(w, cell);
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
    if (texts[i].text && *texts[i].text) jsonw_string(w, texts[i].key, texts[i].text);
  if (cell->is_state) jsonw_bool(w, "is_state", true);
  if (cell->leads_to_runs) {
    jsonw_array(w, "runs");
    for (size_t i = 0; i < cell->part_count; i++) jsonw_string(w, NULL, cell->parts[i]);
    jsonw_end(w);
  }
  if (cell->leads_to_runs && cell->run_ids) {
    jsonw_array(w, "run_ids");
    for (size_t i = 0; i < cell->part_count; i++) jsonw_integer(w, NULL, cell->run_ids[i]);
    jsonw_end(w);
  }
  jsonw_end(w);
}

void page_table_cell(page_table *t, const page_cell *cell) {
  if (t->cells % t->column_count == 0) jsonw_array(t->w, NULL);
  write_cell(t->w, cell);
  if (cell->text) strbuf_append(&t->texts, cell->text);
  if (cell->plus) strbuf_append(&t->texts, cell->plus);
  strbuf_append_char(&t->texts, '\0');
  if (++t->cells % t->column_count == 0) jsonw_end(t->w);
}

void page_table_end_rows(page_table *t) {
  jsonw_end(t->w);
}

/* ---- as text ---- */

static void append_aligned(const char *cell, bool is_right, size_t width, strbuf *out) {
  size_t own = text_columns(cell), pad = width > own ? width - own : 0;
  if (!is_right) strbuf_append(out, cell);
  while (pad-- > 0) strbuf_append_char(out, ' ');
  if (is_right) strbuf_append(out, cell);
}

static void append_rows(const page_table *t, const size_t *widths, strbuf *out) {
  const char *at = strbuf_string(&t->texts);
  for (size_t c = 0; c < t->column_count; c++) {
    if (c) strbuf_append(out, "  ");
    append_aligned(t->columns[c].heading, t->columns[c].kind == PAGE_NUMBER, widths[c], out);
  }
  for (size_t i = 0; i < t->cells; i++, at += strlen(at) + 1) {
    size_t c = i % t->column_count;
    strbuf_append(out, c ? "  " : "\n");
    append_aligned(at, t->columns[c].kind == PAGE_NUMBER, widths[c], out);
  }
  strbuf_append_char(out, '\n');
}

void page_table_end(page_table *t, strbuf *text) {
  size_t *widths = text ? mem_zeroed(t->column_count, sizeof *widths) : NULL;
  if (text && (!widths || t->texts.is_broken)) text->is_broken = true;
  if (text && !text->is_broken) {
    const char *at = strbuf_string(&t->texts);
    for (size_t c = 0; c < t->column_count; c++) widths[c] = text_columns(t->columns[c].heading);
    for (size_t i = 0; i < t->cells; i++, at += strlen(at) + 1) {
      size_t c = i % t->column_count, width = text_columns(at);
      if (width > widths[c]) widths[c] = width;
    }
    append_rows(t, widths, text);
  }
  free(widths);
  strbuf_free(&t->texts);
}
