/* The curves of an experiment's page: points of (samples, seconds, value). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "report/curves.h"
#include "report/html_parts.h"

enum { LOSS_BINS = 160, MOST_CURVES = 4 };

/* A line of a chart. is_mean: of several finished runs, which are drawn as well (has_mean). */
typedef struct {
  size_t row;
  const char *name;
  bool is_mean, has_mean;
} line_place;

static void write_line(json_writer *w, const store_point *points, size_t count,
                       const line_place *at, bool is_tuning) {
  if (!count) return;
  jsonw_object(w, NULL);
  jsonw_integer(w, "row", (int64_t)at->row);
  jsonw_string(w, "name", at->name);
  jsonw_bool(w, "is_mean", at->is_mean);
  jsonw_bool(w, "has_mean", at->has_mean);
  jsonw_bool(w, "tuning", is_tuning);
  jsonw_array(w, "points");
  for (size_t i = 0; i < count; i++) {
    char text[96];
    const store_point *p = &points[i];
    snprintf(text, sizeof text, "[%.7g,%.6g,%.6g]", p->samples, p->seconds, p->value);
    if (!isnan(p->value) && !isnan(p->seconds)) jsonw_raw(w, NULL, text);
  }
  jsonw_end(w);
  jsonw_end(w);
}

/* The mean of a metric over some cells; fine-tuned cells are a separate line that starts at the end
 * of their parents'. */
static err write_metric(json_writer *w, report_data *d, const column *c, const size_t *cells,
                        size_t count, const line_place *at) {
  data_curve curve;
  err error = curves_of_cells(d, c, cells, count, &curve);
  store_point *points = mem_zeroed(curve.points, sizeof *points);
  if (!error && !points) error = mem_error(0, "a curve");
  for (size_t i = 0; i < curve.points && points; i++)
    points[i] = (store_point){i, curve.samples[i], curve.seconds[i], curve.mean[i]};
  if (!error && curve.points) {
    size_t tuned = curve.tuned_from, before = tuned ? tuned - 1 : 0;
    write_line(w, points, tuned, at, false);
    if (tuned < curve.points) write_line(w, points + before, curve.points - before, at, true);
  }
  free(points);
  curves_free(&curve);
  return error;
}

/* The training loss of one run; its times at the run's steady pace. */
static err write_loss(json_writer *w, report_data *d, size_t cell, const line_place *at) {
  store_point points[LOSS_BINS];
  size_t count;
  const data_cell *c = &d->cells[cell];
  double slack = data_number_of(c, "steady_seconds") / data_number_of(c, "train_seconds");
  err error = store_load_loss(d->s, c->run_id, LOSS_BINS, points, &count);
  for (size_t i = 0; i < count && slack > 0; i++) points[i].seconds *= slack;
  if (!error) write_line(w, points, count, at, false);
  return error;
}

/* "mask_ratio=0.5 seed=1", "mask 50 % (failed)". A row of one run has the row's name. */
static void name_line(const report_data *d, size_t row, size_t cell, bool is_alone, strbuf *name) {
  const data_cell *c = &d->cells[cell];
  strbuf_clear(name);
  if (is_alone)
    data_name_row(d, row, name);
  else
    strbuf_append(name, c->cell->label);
  if (!c->is_finished) strbuf_format(name, " (%s)", c->status);
}

/* One run's line. A run that has not finished is named as such, and is no part of the mean. */
static err write_run_line(json_writer *w, report_data *d, size_t row, size_t cell, const column *c,
                          size_t runs, size_t finished) {
  strbuf name = {0};
  name_line(d, row, cell, runs < 2, &name);
  line_place at = {row, strbuf_string(&name), false, finished > 1 && d->cells[cell].is_finished};
  err error = c ? write_metric(w, d, c, &cell, 1, &at) : write_loss(w, d, cell, &at);
  strbuf_free(&name);
  return error;
}

/* The mean is of the finished runs, as in the table and the figures. */
static err write_row_lines(json_writer *w, report_data *d, size_t row, const column *c) {
  const data_row *all = &d->rows[row];
  size_t *cells = mem_zeroed(all->count, sizeof *cells), runs = 0;
  if (!cells) return mem_error(0, "a curve");
  err error = NULL;
  size_t finished = data_finished(d, row, cells);
  for (size_t i = 0; i < all->count; i++) runs += d->cells[all->cells[i]].run_id != 0;
  for (size_t i = 0; i < all->count && !error; i++)
    if (d->cells[all->cells[i]].run_id)
      error = write_run_line(w, d, row, all->cells[i], c, runs, finished);
  if (!error && c && finished > 1) {
    strbuf name = {0};
    data_name_row(d, row, &name);
    line_place mean = {row, strbuf_string(&name), true, true};
    error = write_metric(w, d, c, cells, finished, &mean);
    strbuf_free(&name);
  }
  free(cells);
  return error;
}

static err write_curve(json_writer *w, report_data *d, const column *c) {
  err error = NULL;
  jsonw_object(w, NULL);
  jsonw_string(w, "name", c ? c->heading : "training loss");
  jsonw_string(w, "unit", c && strcmp(c->unit, "%") == 0 ? " %" : "");
  jsonw_bool(w, "zero", c != NULL);
  jsonw_array(w, "series");
  for (size_t row = 0; row < d->row_count && !error; row++) error = write_row_lines(w, d, row, c);
  jsonw_end(w);
  jsonw_end(w);
  return error;
}

err html_write_curves(json_writer *w, report_data *d) {
  const column *shown[MOST_CURVES];
  size_t count = 0;
  err error = NULL;
  const spec_report *r = &d->e->report;
  if (r->iso && r->iso->kind == COLUMN_EVAL) shown[count++] = r->iso;
  for (size_t i = 0; i < r->columns.count && count < MOST_CURVES; i++) {
    const column *c = columns_find(r->columns.items[i]);
    bool is_new = c && c->kind == COLUMN_EVAL;
    for (size_t k = 0; k < count && is_new; k++) is_new = c != shown[k];
    if (is_new) shown[count++] = c;
  }
  jsonw_array(w, "curves");
  for (size_t i = 0; i < count && !error; i++) error = write_curve(w, d, shown[i]);
  if (!error) error = write_curve(w, d, NULL);
  jsonw_end(w);
  return error;
}
