#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "report/data.h"
#include "report/html_parts.h"
#include "report/write.h"
#include "store/sql.h"

enum { LOSS_BINS = 160, MOST_CURVES = 4, MOST_POINTS = 4096 };

/* ---- the table ---- */

static void write_interval(json_writer *w, const report_value *v, size_t count) {
  char text[96];
  if (!isnan(v->half_width))
    snprintf(text, sizeof text, "± half the 95 %% t-interval of the mean over %zu runs", count);
  else if (!isnan(v->low))
    snprintf(text, sizeof text, "[95 %% bootstrap interval over %zu runs]", count);
  else
    return;
  jsonw_string(w, "interval", text);
}

static void write_value(json_writer *w, const report_table *t, const report_column *c,
                        const report_row *row, const report_value *v) {
  strbuf reference = {0};
  jsonw_object(w, NULL);
  write_interval(w, v, row->finished);
  report_format_reference(c, v, &reference);
  if (reference.length) {
    strbuf_format(&reference, " (%s)%s", t->source ? t->source : "published",
                  v->is_reference_verified ? "" : ", unverified");
    jsonw_string(w, "reference", strbuf_string(&reference));
  }
  strbuf_free(&reference);
  if (v->parts) {
    jsonw_array(w, "runs");
    for (size_t i = 0; i < row->cells; i++) jsonw_number(w, NULL, v->parts[i]);
    jsonw_end(w);
  }
  jsonw_end(w);
}

static void write_row(json_writer *w, const report_data *d, const report_table *t, size_t r) {
  const report_row *row = &t->rows[r];
  strbuf name = {0};
  data_name_row(d, r, &name);
  jsonw_object(w, NULL);
  jsonw_string(w, "name", strbuf_string(&name));
  strbuf_free(&name);
  jsonw_array(w, "runs");
  for (size_t i = 0; i < row->cells; i++) jsonw_integer(w, NULL, row->runs[i]);
  jsonw_end(w);
  jsonw_array(w, "labels");
  for (size_t i = 0; i < row->cells; i++) jsonw_string(w, NULL, row->labels[i]);
  jsonw_end(w);
  jsonw_array(w, "values");
  for (size_t c = 0; c < t->column_count; c++)
    write_value(w, t, &t->columns[c], row, &row->values[c]);
  jsonw_end(w);
  jsonw_end(w);
}

static void write_columns(json_writer *w, const report_table *t) {
  jsonw_array(w, "columns");
  for (size_t c = 0; c < t->column_count; c++) {
    jsonw_object(w, NULL);
    jsonw_string(w, "heading", t->columns[c].heading);
    jsonw_string(w, "unit", t->columns[c].unit);
    jsonw_string(w, "help", t->columns[c].known ? t->columns[c].known->help : "a setting");
    jsonw_end(w);
  }
  jsonw_end(w);
}

static err write_runs(json_writer *w, const report_data *d) {
  err error = NULL;
  jsonw_object(w, "runs");
  for (size_t i = 0; i < d->e->cell_count && !error; i++) {
    sqlite3_stmt *rows;
    bool has_row;
    char id[32];
    if (!d->cells[i].run_id) continue;
    error = sql_query(d->s, &rows,
                      "SELECT substr(commit_id, 1, 10) || CASE WHEN dirty = '' THEN '' ELSE '+'"
                      " END, CASE WHEN device = 'cpu' THEN cpu ELSE device_name END,"
                      " replace(substr(ended, 1, 16), 'T', ' ') FROM run LEFT JOIN environment"
                      " ON environment.id = run.environment_id WHERE run.id = ?",
                      "i", d->cells[i].run_id);
    if (!error) error = sql_next(d->s, rows, &has_row);
    if (error || !has_row) continue;
    snprintf(id, sizeof id, "%lld", (long long)d->cells[i].run_id);
    jsonw_object(w, id);
    jsonw_string(w, "commit", sql_text(rows, 0));
    jsonw_string(w, "machine", sql_text(rows, 1));
    jsonw_string(w, "ended", sql_text(rows, 2));
    jsonw_end(w);
    sql_stop(rows);
  }
  jsonw_end(w);
  return error;
}

/* ---- curves ---- */

typedef struct {
  double samples, seconds, value;
} curve_sample;

typedef struct {
  curve_sample *points; /* MOST_POINTS of room */
  size_t count;
} curve_line;

static const char loss_sql[] =
    "SELECT avg(samples), avg(train_seconds), avg(loss) FROM step WHERE run_id = ?1"
    " GROUP BY (step - 1) * ?2 / (SELECT max(step) FROM step WHERE run_id = ?1)"
    " HAVING avg(loss) IS NOT NULL ORDER BY 1";
static const char evaluation_sql[] =
    "SELECT samples, train_seconds, value FROM evaluation WHERE run_id = ?1 AND task = ?2"
    " AND metric = ?3 AND set_name = coalesce(?4, (SELECT set_name FROM evaluation"
    "  WHERE run_id = ?1 AND task = ?2 ORDER BY ordinal LIMIT 1)) ORDER BY step";

/* The curve of one run; c is NULL for the loss. */
static err read_line(const report_data *d, int64_t run_id, const column *c, curve_line *line) {
  sqlite3_stmt *rows;
  bool more = false;
  err error;
  line->count = 0;
  if (c) {
    data_metric m = data_parse_metric(c->argument);
    error = sql_query(d->s, &rows, evaluation_sql, "ittt", run_id, m.task, m.metric,
                      d->e->report.main_set);
  } else {
    error = sql_query(d->s, &rows, loss_sql, "ii", run_id, (int64_t)LOSS_BINS);
  }
  while (!error && line->count < MOST_POINTS && !(error = sql_next(d->s, rows, &more)) && more)
    line->points[line->count++] = (curve_sample){sql_real(rows, 0), sql_real(rows, 1),
                                                 sql_real(rows, 2) * (c ? c->scale : 1)};
  if (!error && more) sql_stop(rows);
  return error;
}

static void write_line(json_writer *w, const curve_line *line, size_t row, const char *name,
                       bool is_mean, bool has_mean, bool is_tuning) {
  if (!line->count) return;
  jsonw_object(w, NULL);
  jsonw_integer(w, "row", (int64_t)row);
  jsonw_string(w, "name", name);
  jsonw_bool(w, "is_mean", is_mean);
  jsonw_bool(w, "has_mean", has_mean);
  jsonw_bool(w, "tuning", is_tuning);
  jsonw_array(w, "points");
  for (size_t i = 0; i < line->count; i++) {
    char text[96];
    const curve_sample *p = &line->points[i];
    snprintf(text, sizeof text, "[%.7g,%.6g,%.6g]", p->samples, p->seconds, p->value);
    if (!isnan(p->value) && !isnan(p->seconds)) jsonw_raw(w, NULL, text);
  }
  jsonw_end(w);
  jsonw_end(w);
}

/* Sums by position; a curve of another length cuts the sum. */
static void add_line(curve_line *sum, const curve_line *one, bool is_first) {
  if (is_first || one->count < sum->count) sum->count = one->count;
  for (size_t i = 0; i < sum->count; i++) {
    const curve_sample *p = &one->points[i];
    curve_sample *q = &sum->points[i];
    *q = is_first ? *p
                  : (curve_sample){q->samples + p->samples, q->seconds + p->seconds,
                                   q->value + p->value};
  }
}

static err behind_parent(const report_data *d, size_t cell, curve_line *line) {
  ptrdiff_t parent = d->e->cells[cell].parent;
  err error = NULL;
  while (parent != SPEC_NO_PARENT && !error) {
    double samples = 0, seconds = 0;
    const column *c = columns_find("samples"), *time = columns_find("train_seconds");
    error = data_value(d, (size_t)parent, c, &samples);
    if (!error) error = data_value(d, (size_t)parent, time, &seconds);
    for (size_t i = 0; i < line->count; i++) {
      line->points[i].samples += samples;
      line->points[i].seconds += seconds;
    }
    parent = d->e->cells[parent].parent;
  }
  return error;
}

static err write_row_lines(json_writer *w, const report_data *d, size_t row, const column *c,
                           curve_line *line, curve_line *sum) {
  const data_row *cells = &d->rows[row];
  size_t finished = 0, added = 0;
  strbuf name = {0};
  err error = NULL;
  data_name_row(d, row, &name);
  for (size_t i = 0; i < cells->count; i++) finished += d->cells[cells->cells[i]].run_id > 0;
  for (size_t i = 0; i < cells->count && !error; i++) {
    const data_cell *own = &d->cells[cells->cells[i]];
    if (!own->run_id) continue;
    error = read_line(d, own->run_id, c, line);
    if (error || !line->count) continue;
    add_line(sum, line, added++ == 0);
    write_line(w, line, row, finished > 1 ? own->cell->label : strbuf_string(&name), false,
               finished > 1, false);
    if (own->tuned < 0 || !d->cells[own->tuned].run_id || !c) continue;
    const curve_sample end = line->points[line->count - 1]; /* the tuning goes on from there */
    error = read_line(d, d->cells[own->tuned].run_id, c, line);
    if (!error) error = behind_parent(d, (size_t)own->tuned, line);
    if (!error && line->count && line->count < MOST_POINTS) {
      memmove(line->points + 1, line->points, line->count++ * sizeof *line->points);
      line->points[0] = end;
    }
    if (!error)
      write_line(w, line, row, d->cells[own->tuned].cell->label, false, finished > 1, true);
  }
  for (size_t i = 0; i < sum->count && added; i++) {
    sum->points[i].samples /= (double)added;
    sum->points[i].seconds /= (double)added;
    sum->points[i].value /= (double)added;
  }
  if (finished > 1 && added) write_line(w, sum, row, strbuf_string(&name), true, true, false);
  strbuf_free(&name);
  return error;
}

static err write_curve(json_writer *w, const report_data *d, const column *c) {
  curve_line line = {mem_zeroed(MOST_POINTS, sizeof *line.points), 0};
  curve_line sum = {mem_zeroed(MOST_POINTS, sizeof *sum.points), 0};
  err error = line.points && sum.points ? NULL : mem_error(0, "a curve");
  jsonw_object(w, NULL);
  jsonw_string(w, "name", c ? c->heading : "training loss");
  jsonw_string(w, "unit", c && strcmp(c->unit, "%") == 0 ? " %" : "");
  jsonw_bool(w, "zero", c != NULL);
  jsonw_array(w, "series");
  for (size_t row = 0; row < d->row_count && !error; row++)
    error = write_row_lines(w, d, row, c, &line, &sum);
  jsonw_end(w);
  jsonw_end(w);
  free(line.points);
  free(sum.points);
  return error;
}

/* The metric of the headline, then the evaluations that the table shows, then the loss. */
static err write_curves(json_writer *w, const report_data *d) {
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

err html_write_data(const spec_experiment *e, store *s, const report_table *t, strbuf *json) {
  report_data d = {0};
  json_writer w = jsonw_start(json);
  err error = data_load(e, s, &d);
  if (error) return error;
  jsonw_object(&w, NULL);
  write_columns(&w, t);
  jsonw_array(&w, "rows");
  for (size_t r = 0; r < t->row_count; r++) write_row(&w, &d, t, r);
  jsonw_end(&w);
  error = write_runs(&w, &d);
  if (!error) error = write_curves(&w, &d);
  jsonw_end(&w);
  data_free(&d);
  return error;
}
