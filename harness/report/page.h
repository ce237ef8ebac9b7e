/* The template of every page that flipbench writes (page/page.html, with its style and script) and
 * its contents: one JSON object that page.js renders, plus plain text and the figures for browsers
 * without JavaScript. Internal to report/.
 *
 * The JSON names the page's `kind`; page.js lists the sections of each kind and the function that
 * renders each. A new section is an array in the JSON and an entry in that list.
 *
 * A page needs no network and enforces that with a Content-Security-Policy. */
#ifndef FLIPBENCH_REPORT_PAGE_H
#define FLIPBENCH_REPORT_PAGE_H

#include "base/err.h"
#include "base/json.h"
#include "base/text.h"

typedef struct {
  const char *title;
  const char *text;    /* the page as text, for browsers without JavaScript */
  const char *figures; /* made by page_figure */
  const char *json;
} page_content;

void page_write(const page_content *content, strbuf *out);

/* Adds the SVG FOLDER/NAME.svg. Its colours become the page's, which differ between light and dark
 * mode. `number` keeps its element ids distinct from those of the page's other figures; the script
 * finds it as "drawing-NUMBER". */
err page_figure(const char *folder, const char *name, size_t number, strbuf *out) ERR_MUST_CHECK;
/* Instead of a figure: why it is missing. */
void page_figure_missing(const char *name, const char *why, strbuf *out);

/* "record up to 2026-11-29T14:11:41Z", in the JSON and in the text: what is still running goes on
 * after it. `stamp`: of the last event that the page shows, not of a clock, so that a page of the
 * same record is the same page; "": none. */
void page_recorded(json_writer *w, const char *stamp, strbuf *text);

/* ---- tables ---- */

typedef enum { PAGE_KEY, PAGE_TEXT, PAGE_NUMBER } page_column_kind;
typedef struct {
  page_column_kind kind;             /* KEY: a row's name, which stays visible when scrolling */
  const char *heading, *unit, *help; /* unit, help: NULL for none */
} page_column;

/* How a cell is sorted. */
typedef enum { PAGE_BY_TEXT, PAGE_BY_NUMBER, PAGE_BY_STAMP, PAGE_LAST } page_order;

/* NULL: none. */
typedef struct {
  const char *text;
  page_order order;
  double number;
  const char *stamp;
  const char *href;      /* the text is a link */
  const char *style;     /* CSS classes */
  const char *help;      /* shown on hover */
  const char *plus;      /* after the text: an interval */
  const char *published; /* in brackets after it */
  const char *small;     /* a second line */
  bool is_state;         /* the text is the status of a run */
  bool leads_to_runs;    /* a click shows the runs behind the number, and the next three fields */
  const char *interval, *reference; /* as text */
  const char *const *parts;         /* the value of each run of the row */
  const int64_t *run_ids;           /* of the parts; NULL: those of the row */
  size_t part_count;
} page_cell;

/* A table in the JSON, filled cell by cell, row by row, and the same as aligned text. */
typedef struct {
  json_writer *w;
  const page_column *columns;
  size_t column_count, cells;
  strbuf texts; /* of all cells, each ended by a NUL */
} page_table;

/* `key`: of the object, NULL in an array; `id`: of the element; `filter`: what its filter does, for
 * screen readers. */
void page_table_begin(page_table *t, json_writer *w, const char *key, const char *id,
                      const char *filter, const page_column *columns, size_t column_count);
void page_table_cell(page_table *t, const page_cell *cell);
/* Closes the rows; more keys may be written into the table's object, which jsonw_end closes. */
void page_table_end_rows(page_table *t);
/* Adds the table as text, if `text` is not NULL, and frees it. */
void page_table_end(page_table *t, strbuf *text);

#endif
