#include "report/data.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "report/table.h"
#include "stats/summary.h"
#include "store/sql.h"

void data_free(report_data *d) {
  for (size_t i = 0; d->cells && i < d->e->cell_count; i++) {
    free(d->cells[i].status);
    free(d->cells[i].message);
  }
  for (size_t i = 0; i < d->row_count; i++) free(d->rows[i].cells);
  free(d->cells);
  free(d->rows);
  *d = (report_data){0};
}

static err load_cell(report_data *d, size_t i) {
  store_run run;
  data_cell *c = &d->cells[i];
  c->cell = &d->e->cells[i];
  c->tuned = -1;
  err error = store_find_run(d->s, c->cell->id, &run);
  if (error) return error;
  c->run_id = run.run_id;
  c->is_finished = strcmp(run.status, "finished") == 0;
  c->status = mem_copy_string(run.run_id ? run.status : "not run");
  c->message = mem_copy_string(run.message);
  store_free_run(&run);
  if (!c->status || !c->message) return mem_error(0, "the report");
  if (c->cell->parent != SPEC_NO_PARENT && d->cells[c->cell->parent].tuned < 0)
    d->cells[c->cell->parent].tuned = (ptrdiff_t)i;
  return NULL;
}

static bool is_same_row(const report_data *d, size_t a, size_t b) {
  const spec_names *rows = &d->e->report.rows;
  strbuf one = {0}, other = {0};
  bool is_same = true;
  for (size_t k = 0; k < rows->count && is_same; k++) {
    const char *x = spec_cell_value(&d->e->cells[a], rows->items[k], &one);
    const char *y = spec_cell_value(&d->e->cells[b], rows->items[k], &other);
    is_same = x && y ? strcmp(x, y) == 0 : x == y;
  }
  strbuf_free(&one);
  strbuf_free(&other);
  return is_same;
}

static err put_into_row(report_data *d, size_t cell) {
  size_t at = 0;
  while (at < d->row_count && !is_same_row(d, d->rows[at].cells[0], cell)) at++;
  if (at == d->row_count) d->rows[d->row_count++] = (data_row){0};
  data_row *row = &d->rows[at];
  size_t *grown = mem_resize(row->cells, row->count + 1, sizeof *grown);
  if (!grown) {
    if (!row->count) d->row_count--;
    return mem_error(sizeof *grown, "the report");
  }
  row->cells = grown;
  row->cells[row->count++] = cell;
  return NULL;
}

err data_load(const spec_experiment *e, store *s, report_data *d) {
  *d = (report_data){.e = e, .s = s, .baseline = -1};
  err error = NULL;
  d->cells = mem_zeroed(e->cell_count, sizeof *d->cells);
  d->rows = mem_zeroed(e->cell_count, sizeof *d->rows);
  if (!d->cells || !d->rows) FAIL(ERR_MEMORY, "out of memory: the report");
  for (size_t i = 0; i < e->cell_count; i++) TRY(load_cell(d, i));
  for (size_t i = 0; i < e->cell_count; i++)
    if (!e->cells[i].tuning) TRY(put_into_row(d, i));
  for (size_t i = 0; i < d->row_count && e->report.baseline.count; i++)
    if (d->baseline < 0 && spec_cell_matches(&e->cells[d->rows[i].cells[0]], &e->report.baseline))
      d->baseline = (ptrdiff_t)i;
cleanup:
  if (error) data_free(d);
  return error;
}

void data_name_row(const report_data *d, size_t row, strbuf *out) {
  const spec_names *keys = &d->e->report.rows;
  strbuf scratch = {0};
  for (size_t k = 0; k < keys->count; k++) {
    const char *value =
        spec_cell_value(&d->e->cells[d->rows[row].cells[0]], keys->items[k], &scratch);
    if (k) strbuf_append(out, ", ");
    if (settings_find(keys->items[k])) {
      report_name_key(keys->items[k], out);
      strbuf_append_char(out, ' ');
    }
    report_name_value(keys->items[k], value ? value : "", out);
  }
  if (!keys->count) strbuf_append(out, d->e->name);
  strbuf_free(&scratch);
}

/* ---- single values ---- */

data_metric data_parse_metric(const char *argument) {
  data_metric m = {0};
  const char *dot = strchr(argument, '.'), *slash = strchr(argument, '/');
  if (!dot) return m;
  snprintf(m.task, sizeof m.task, "%.*s", (int)(dot - argument), argument);
  size_t length = slash ? (size_t)(slash - dot - 1) : strlen(dot + 1);
  snprintf(m.metric, sizeof m.metric, "%.*s", (int)length, dot + 1);
  if (slash && strchr(slash, '.'))
    snprintf(m.chance, sizeof m.chance, "%s", strchr(slash, '.') + 1);
  return m;
}

static err take_one(store *s, sqlite3_stmt *rows, double *value) {
  bool has_row;
  err error = sql_next(s, rows, &has_row);
  *value = NAN;
  if (error || !has_row) return error;
  *value = sql_real(rows, 0);
  sql_stop(rows);
  return NULL;
}

static err find_summary(const report_data *d, int64_t run_id, const char *name, double *value) {
  sqlite3_stmt *rows;
  err error = sql_query(d->s, &rows, "SELECT value FROM summary WHERE run_id = ? AND name = ?",
                        "it", run_id, name);
  return error ? error : take_one(d->s, rows, value);
}

/* The last value on the main set: the one named, else the run's first. */
static err find_main(const report_data *d, int64_t run_id, const char *task, const char *metric,
                     double *value) {
  sqlite3_stmt *rows;
  err error = sql_query(d->s, &rows,
                        "SELECT value FROM evaluation WHERE run_id = ?1 AND task = ?2"
                        " AND metric = ?3 AND set_name = coalesce(?4, set_name)"
                        " ORDER BY ordinal, step DESC LIMIT 1",
                        "ittt", run_id, task, metric, d->e->report.main_set);
  return error ? error : take_one(d->s, rows, value);
}

static err find_shifted(const report_data *d, int64_t run_id, const char *task, const char *metric,
                        double *value) {
  sqlite3_stmt *rows;
  err error = sql_query(d->s, &rows,
                        "SELECT value FROM evaluation WHERE run_id = ?1 AND task = ?2"
                        " AND metric = ?3 AND CASE WHEN ?4 IS NULL THEN set_name <>"
                        "  (SELECT set_name FROM evaluation WHERE run_id = ?1"
                        "   ORDER BY ordinal LIMIT 1) ELSE set_name = ?4 END"
                        " ORDER BY ordinal, step DESC LIMIT 1",
                        "ittt", run_id, task, metric, d->e->report.shifted_set);
  return error ? error : take_one(d->s, rows, value);
}

static err find_eval(const report_data *d, int64_t run_id, const column *c, double *value) {
  data_metric m = data_parse_metric(c->argument);
  double chance = 1;
  err error = c->kind == COLUMN_SHIFTED ? find_shifted(d, run_id, m.task, m.metric, value)
                                        : find_main(d, run_id, m.task, m.metric, value);
  if (!error && *m.chance) error = find_main(d, run_id, m.task, m.chance, &chance);
  *value /= chance;
  return error;
}

/* The cell of the baseline's row that agrees in all that rows leave out (the seed), else its
 * first. */
static size_t find_partner(const report_data *d, size_t cell) {
  const data_row *row = &d->rows[d->baseline];
  const spec_pairs *own = &d->e->cells[cell].axes;
  for (size_t i = 0; i < row->count; i++) {
    bool agrees = true;
    for (size_t k = 0; k < own->count && agrees; k++) {
      bool is_row_key = false;
      for (size_t j = 0; j < d->e->report.rows.count; j++)
        is_row_key = is_row_key || strcmp(d->e->report.rows.items[j], own->items[k].key) == 0;
      const char *other = spec_pairs_get(&d->e->cells[row->cells[i]].axes, own->items[k].key);
      bool is_seed = strcmp(own->items[k].key, "seed") == 0;
      agrees = is_row_key || !is_seed || !other || strcmp(other, own->items[k].value) == 0;
    }
    if (agrees) return row->cells[i];
  }
  return row->cells[0];
}

static err find_ratio(const report_data *d, size_t cell, const column *c, double *value) {
  const column *of = columns_find(c->argument);
  double own, base;
  *value = NAN;
  if (d->baseline < 0) return NULL;
  err error = data_value(d, cell, of, &own);
  if (!error) error = data_value(d, find_partner(d, cell), of, &base);
  if (!error) *value = c->kind == COLUMN_RATIO ? own / base : base / own;
  return error;
}

err data_value(const report_data *d, size_t cell, const column *c, double *value) {
  const data_cell *own = &d->cells[cell];
  *value = NAN;
  if (!own->run_id || !own->is_finished) return NULL;
  switch (c->kind) {
  case COLUMN_SUMMARY:
    return find_summary(d, own->run_id, c->argument, value);
  case COLUMN_EVAL:
  case COLUMN_CHANCE:
  case COLUMN_SHIFTED:
    return find_eval(d, own->run_id, c, value);
  case COLUMN_TUNED:
    if (own->tuned < 0 || !d->cells[own->tuned].is_finished) return NULL;
    return find_eval(d, d->cells[own->tuned].run_id, c, value);
  case COLUMN_RATIO:
  case COLUMN_INVERSE:
    return find_ratio(d, cell, c, value);
  case COLUMN_SETTING:
  case COLUMN_ISO: /* of whole rows: data_row_iso */
    return NULL;
  }
  return NULL;
}

/* ---- curves ---- */

static err add_point(data_curve *curve, const data_point *point) {
  data_point *grown = mem_resize(curve->points, curve->count + 1, sizeof *grown);
  if (!grown) return mem_error(sizeof *grown, "a curve");
  curve->points = grown;
  curve->points[curve->count++] = *point;
  return NULL;
}

/* The points of one run, behind `before` samples and seconds (a parent's). */
static err add_run_points(const report_data *d, int64_t run_id, double samples, double seconds,
                          bool is_tuning, data_curve *curve) {
  data_metric m = data_parse_metric(d->e->report.iso->argument);
  sqlite3_stmt *rows;
  bool more;
  double chance = 1;
  if (*m.chance) {
    err error = find_main(d, run_id, m.task, m.chance, &chance);
    if (error) return error;
  }
  err error = sql_query(d->s, &rows,
                        "SELECT samples, train_seconds, value FROM evaluation WHERE run_id = ?1"
                        " AND task = ?2 AND metric = ?3 AND set_name = coalesce(?4,"
                        "  (SELECT set_name FROM evaluation WHERE run_id = ?1 AND task = ?2"
                        "   ORDER BY ordinal LIMIT 1)) ORDER BY step",
                        "ittt", run_id, m.task, m.metric, d->e->report.main_set);
  while (!error && !(error = sql_next(d->s, rows, &more)) && more) {
    double accuracy = sql_real(rows, 2) / chance * d->e->report.iso->scale;
    data_point point = {samples + sql_real(rows, 0),
                        seconds + sql_real(rows, 1),
                        accuracy,
                        accuracy,
                        accuracy,
                        is_tuning};
    error = add_point(curve, &point);
  }
  return error;
}

static err cell_curve(const report_data *d, size_t cell, data_curve *curve) {
  const data_cell *own = &d->cells[cell];
  double samples = 0, seconds = 0;
  *curve = (data_curve){0};
  if (!own->is_finished) return NULL;
  err error = add_run_points(d, own->run_id, 0, 0, false, curve);
  curve->tuned_from = curve->count;
  while (!error && own->tuned >= 0 && d->cells[own->tuned].is_finished) {
    double more_samples = 0, more_seconds = 0;
    error = find_summary(d, own->run_id, "samples", &more_samples);
    if (!error) error = find_summary(d, own->run_id, "train_seconds", &more_seconds);
    samples += more_samples;
    seconds += more_seconds;
    own = &d->cells[own->tuned];
    if (!error) error = add_run_points(d, own->run_id, samples, seconds, true, curve);
  }
  return error;
}

/* Adds one cell's curve to the sums; curves of another length (a changed schedule) are cut. */
static void add_curve(data_curve *sum, const data_curve *one) {
  if (one->count < sum->count) sum->count = one->count;
  for (size_t i = 0; i < sum->count; i++) {
    sum->points[i].samples += one->points[i].samples;
    sum->points[i].seconds += one->points[i].seconds;
    sum->points[i].accuracy += one->points[i].accuracy;
    sum->points[i].low = fmin(sum->points[i].low, one->points[i].low);
    sum->points[i].high = fmax(sum->points[i].high, one->points[i].high);
  }
}

err data_row_curve(const report_data *d, size_t row, const size_t *chosen, size_t chosen_count,
                   data_curve *curve) {
  size_t added = 0, total = chosen ? chosen_count : d->rows[row].count;
  err error = NULL;
  *curve = (data_curve){0};
  for (size_t i = 0; i < total && !error; i++) {
    data_curve one;
    error = cell_curve(d, d->rows[row].cells[chosen ? chosen[i] : i], &one);
    if (!error && one.count && added++ == 0) {
      *curve = one;
      continue;
    }
    if (!error && one.count) add_curve(curve, &one);
    data_free_curve(&one);
  }
  for (size_t i = 0; i < curve->count; i++) {
    curve->points[i].samples /= (double)added;
    curve->points[i].seconds /= (double)added;
    curve->points[i].accuracy /= (double)added;
  }
  if (curve->tuned_from > curve->count) curve->tuned_from = curve->count;
  return error;
}

void data_free_curve(data_curve *curve) {
  free(curve->points);
  *curve = (data_curve){0};
}

static err plain_curve(const data_curve *from, accuracy_curve *to) {
  to->points = mem_zeroed(from->count, sizeof *to->points);
  to->count = to->points ? from->count : 0;
  for (size_t i = 0; i < to->count; i++)
    to->points[i] = (curve_point){from->points[i].seconds, from->points[i].accuracy};
  return to->points ? NULL : mem_error(from->count * sizeof *to->points, "a curve");
}

static err compare_rows(const report_data *d, size_t row, const size_t *chosen, size_t count,
                        curve_iso *iso) {
  data_curve own = {0}, base = {0};
  accuracy_curve own_plain = {0}, base_plain = {0};
  err error = NULL;
  bool is_paired = chosen && count == d->rows[d->baseline].count;
  TRY(data_row_curve(d, row, chosen, count, &own));
  TRY(data_row_curve(d, (size_t)d->baseline, is_paired ? chosen : NULL, count, &base));
  TRY(plain_curve(&own, &own_plain));
  TRY(plain_curve(&base, &base_plain));
  *iso = curve_compare(&base_plain, &own_plain);
cleanup:
  free(own_plain.points);
  free(base_plain.points);
  data_free_curve(&own);
  data_free_curve(&base);
  return error;
}

typedef struct {
  const report_data *d;
  size_t row;
  err error;
} resampled;

static double resampled_speedup(const size_t *chosen, size_t count, void *context) {
  resampled *r = context;
  curve_iso iso = {NAN, NAN, NAN, NAN};
  if (!r->error) r->error = compare_rows(r->d, r->row, chosen, count, &iso);
  return iso.speedup;
}

err data_row_iso(const report_data *d, size_t row, curve_iso *iso, double *low, double *high) {
  enum { RESAMPLES = 200 };
  *iso = (curve_iso){NAN, NAN, NAN, NAN};
  *low = *high = NAN;
  if (d->baseline < 0 || (size_t)d->baseline == row) return NULL;
  err error = compare_rows(d, row, NULL, 0, iso);
  if (error || d->rows[row].count < 2) return error;
  resampled r = {d, row, NULL};
  error = stats_bootstrap(d->rows[row].count, RESAMPLES, 0, resampled_speedup, &r, low, high);
  if (r.error) {
    err_free(error);
    error = r.error;
  }
  return error;
}
