/* The curves of an experiment's page: points of (samples, seconds, value). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "report/curves.h"
#include "report/html_parts.h"
#include "report/write.h"

enum { LOSS_BINS = 160, MOST_CURVES = 4 };

typedef struct {
  json_writer *w;
  report_data *d;
  const report_table *t; /* for the marks of rows */
} curve_page;

/* A line of a chart. is_mean: of several finished runs, which are drawn as well (has_mean). */
typedef struct {
  size_t row;
  const char *name;
  bool is_mean, has_mean, is_unfinished;
} line_place;

/* A point without a time is not drawn against time. */
static void write_point(json_writer *w, const store_point *p) {
  char text[96], seconds[32] = "null";
  if (isnan(p->value)) return;
  if (!isnan(p->seconds)) snprintf(seconds, sizeof seconds, "%.6g", p->seconds);
  snprintf(text, sizeof text, "[%.7g,%s,%.6g]", p->samples, seconds, p->value);
  jsonw_raw(w, NULL, text);
}

static void write_line(json_writer *w, const store_point *points, size_t count,
                       const line_place *at, bool is_tuning) {
  if (!count) return;
  jsonw_object(w, NULL);
  jsonw_integer(w, "row", (int64_t)at->row);
  jsonw_string(w, "name", at->name);
  jsonw_bool(w, "is_mean", at->is_mean);
  jsonw_bool(w, "has_mean", at->has_mean);
  jsonw_bool(w, "is_unfinished", at->is_unfinished);
  jsonw_bool(w, "tuning", is_tuning);
  jsonw_array(w, "points");
  for (size_t i = 0; i < count; i++) write_point(w, &points[i]);
  jsonw_end(w);
  jsonw_end(w);
}

/* The mean of a metric over some cells; fine-tuned cells are a separate line that starts at the end
 * of their parents'. */
static err write_metric(json_writer *w, report_data *d, const column *c, const size_t *cells,
                        size_t count, const line_place *at) {
  data_curve curve;
  err error = curves_of_cells(d, c, cells, count, &curve);
  if (!error && at->is_mean && data_differing_pace(d, at->row)) curves_drop_times(&curve);
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
  for (size_t i = 0; i < count; i++) points[i].seconds *= slack; /* NaN without a pace */
  if (!error) write_line(w, points, count, at, false);
  return error;
}

static void name_row(const curve_page *p, size_t row, strbuf *name) {
  const report_row *r = &p->t->rows[row];
  data_name_row(p->d, row, name);
  report_add_marks(r->disturbed > 0, r->has_other_inputs, name);
}

/* "mask_ratio=0.5 seed=1 †", "mask 50 % (failed)". A row of one run has the row's name. */
static void name_line(const curve_page *p, size_t row, size_t cell, bool is_alone, strbuf *name) {
  const data_cell *c = &p->d->cells[cell];
  if (is_alone) {
    name_row(p, row, name);
  } else {
    strbuf_append(name, c->cell->label);
    report_add_marks(data_is_curve_disturbed(p->d, cell), c->group > 0, name);
  }
  if (!c->is_finished) strbuf_format(name, " (%s)", c->status);
}

/* One run's line. A run that has not finished is named as such, and is no part of the mean. Losses
 * (c is NULL) have no mean. */
static err write_run_line(const curve_page *p, size_t row, size_t cell, const column *c,
                          size_t runs, size_t finished) {
  bool is_finished = p->d->cells[cell].is_finished;
  strbuf name = {0};
  name_line(p, row, cell, runs < 2, &name);
  line_place at = {row, strbuf_string(&name), false, c && finished > 1 && is_finished,
                   !is_finished};
  err error = c ? write_metric(p->w, p->d, c, &cell, 1, &at) : write_loss(p->w, p->d, cell, &at);
  strbuf_free(&name);
  return error;
}

/* The mean is of the finished runs, as in the table and the figures. */
static err write_row_lines(const curve_page *p, size_t row, const column *c) {
  const report_data *d = p->d;
  const data_row *all = &d->rows[row];
  size_t *cells = mem_zeroed(all->count, sizeof *cells), runs = 0;
  if (!cells) return mem_error(0, "a curve");
  err error = NULL;
  size_t finished = data_finished(d, row, cells);
  for (size_t i = 0; i < all->count; i++) runs += d->cells[all->cells[i]].run_id != 0;
  for (size_t i = 0; i < all->count && !error; i++)
    if (d->cells[all->cells[i]].run_id)
      error = write_run_line(p, row, all->cells[i], c, runs, finished);
  if (!error && c && finished > 1) {
    strbuf name = {0};
    name_row(p, row, &name);
    line_place mean = {row, strbuf_string(&name), true, true, false};
    error = write_metric(p->w, p->d, c, cells, finished, &mean);
    strbuf_free(&name);
  }
  free(cells);
  return error;
}

static err write_curve(const curve_page *p, const column *c) {
  json_writer *w = p->w;
  err error = NULL;
  jsonw_object(w, NULL);
  jsonw_string(w, "name", c ? c->heading : "training loss");
  jsonw_string(w, "unit", c && strcmp(c->unit, "%") == 0 ? " %" : "");
  jsonw_bool(w, "zero", c != NULL);
  jsonw_array(w, "series");
  for (size_t row = 0; row < p->d->row_count && !error; row++) error = write_row_lines(p, row, c);
  jsonw_end(w);
  jsonw_end(w);
  return error;
}

err html_write_curves(json_writer *w, report_data *d, const report_table *t) {
  const curve_page page = {w, d, t};
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
  for (size_t i = 0; i < count && !error; i++) error = write_curve(&page, shown[i]);
  if (!error) error = write_curve(&page, NULL);
  jsonw_end(w);
  return error;
}
