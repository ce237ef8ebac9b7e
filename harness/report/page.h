/* The template of every page that flipbench writes (page/page.html, with its style and script), and
 * what it is filled with: one JSON object that page.js renders, and, for readers without a script,
 * a plain text and the figures. Internal to report/.
 *
 * The JSON names the page's `kind`; page.js lists the sections of each kind and the function that
 * renders each. A new section is an array in the JSON and an entry in that list.
 *
 * A page needs no network and says so to the browser (Content-Security-Policy). */
#ifndef FLIPBENCH_REPORT_PAGE_H
#define FLIPBENCH_REPORT_PAGE_H

#include "base/err.h"
#include "base/json.h"
#include "base/text.h"

typedef struct {
  const char *title;
  const char *text;    /* what the page says, for a browser without scripts */
  const char *figures; /* made by page_figure */
  const char *json;
} page_content;

void page_write(const page_content *content, strbuf *out);

/* Adds the drawing FOLDER/NAME.svg. Its colours become the page's, which differ in light and dark.
 * `number` keeps its element ids apart from those of the page's other drawings; the script finds it
 * as "drawing-NUMBER". */
err page_figure(const char *folder, const char *name, size_t number, strbuf *out) ERR_MUST_CHECK;
/* In the place of a drawing, why it is missing. */
void page_figure_missing(const char *name, const char *why, strbuf *out);

/* ---- tables ---- */

typedef enum { PAGE_KEY, PAGE_TEXT, PAGE_NUMBER } page_column_kind;
typedef struct {
  page_column_kind kind;             /* KEY: a row's name, which stays in view */
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
  bool is_state;         /* the text names the state of a run */
  bool leads_to_runs; /* a click shows the runs that the number is made from, and the next three */
  const char *interval, *reference; /* in words */
  const char *const *parts;         /* the number of each run of the row */
  size_t part_count;
} page_cell;

/* A table in the JSON, cell by cell, row by row; and the same as aligned text. */
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
