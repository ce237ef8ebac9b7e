#include "report/curves.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "report/accuracy.h"
#include "report/measure.h"
#include "stats/iso.h"

void curves_free(data_curve *curve) {
  free(curve->samples);
  free(curve->seconds);
  free(curve->mean);
  free(curve->low);
  free(curve->high);
  free(curve->accuracy);
  free(curve->hits);
  *curve = (data_curve){0};
}

/* ---- one run ---- */

typedef struct {
  int64_t depth, step; /* depth: 0 the cell, 1 the run fine-tuned from it, … */
  size_t cell;
  const data_evaluation *evaluation;
  double samples, seconds;
} point;

typedef struct {
  point *items;
  size_t count;
} points;

/* The time of a step at the run's steady pace; NaN when it has none: elapsed time is another
 * measure. */
static double steady_time(const data_cell *c, const data_evaluation *e) {
  double pace = data_number_of(c, "steady_step_seconds");
  return pace > 0 ? pace * (double)e->step : (double)NAN;
}

/* The cell's evaluations of the metric and set of `like`. */
static err add_points(const report_data *d, size_t cell, const data_evaluation *like, int64_t depth,
                      double samples, double seconds, points *out) {
  const data_cell *own = &d->cells[cell];
  point *grown = mem_resize(out->items, out->count + own->evaluation_count, sizeof *grown);
  if (!grown) return mem_error(own->evaluation_count * sizeof *grown, "a curve");
  out->items = grown;
  for (size_t i = 0; i < own->evaluation_count; i++) {
    const data_evaluation *e = &own->evaluations[i];
    if (strcmp(e->set, like->set) != 0 || strcmp(e->task, like->task) != 0 ||
        strcmp(e->metric, like->metric) != 0 || isnan(e->value))
      continue;
    out->items[out->count++] =
        (point){depth, e->step, cell, e, samples + e->samples, seconds + steady_time(own, e)};
  }
  return NULL;
}

/* A tuning continues the curve on the set that it began on, whatever else the tuning measured. */
static err run_points(const report_data *d, size_t cell, const column *c, points *out) {
  const data_evaluation *like = NULL;
  double samples = 0, seconds = 0;
  *out = (points){0};
  for (int64_t depth = 0;; depth++) {
    const data_cell *own = &d->cells[cell];
    if (!like) like = data_find_evaluation(d, cell, c);
    err error = like ? add_points(d, cell, like, depth, samples, seconds, out) : NULL;
    if (error) return error;
    ptrdiff_t next = data_continued_by(d, cell);
    if (next < 0) return NULL;
    samples += data_number_of(own, "samples");
    seconds += data_number_of(own, "steady_seconds");
    cell = (size_t)next;
  }
}

/* ---- several seeds ---- */

static const point *find_point(const points *p, const point *like) {
  for (size_t i = 0; i < p->count; i++)
    if (p->items[i].depth == like->depth && p->items[i].step == like->step) return &p->items[i];
  return NULL;
}

static bool have_all(const points *runs, size_t count, const point *like) {
  for (size_t s = 0; s < count; s++)
    if (!find_point(&runs[s], like)) return false;
  return true;
}

/* Per-item outcomes of all points; the curve has none when a point lacks them or has other
 * items. */
static err find_hits(report_data *d, const points *runs, const size_t *kept, data_curve *curve) {
  curve->hits = mem_zeroed(curve->seeds * curve->points, sizeof *curve->hits);
  if (!curve->hits) return mem_error(0, "a curve");
  bool has_all = curve->points > 0;
  for (size_t s = 0; s < curve->seeds && has_all; s++)
    for (size_t p = 0; p < curve->points && has_all; p++) {
      const point *at = find_point(&runs[s], &runs[0].items[kept[p]]);
      const store_outcome *o;
      err error = data_find_outcome(d, at->cell, at->evaluation, &o);
      if (error) return error;
      if (s == 0 && p == 0) curve->items = o->items;
      has_all = o->items > 0 && o->items == curve->items;
      curve->hits[s * curve->points + p] = o->hits;
      if (data_is_per_class(at->evaluation)) curve->strata = o->labels;
    }
  if (has_all) return NULL;
  free(curve->hits);
  curve->hits = NULL;
  curve->strata = NULL;
  curve->items = 0;
  return NULL;
}

/* The mean and interval of a point over seeds and items. */
static err measure_point(report_data *d, const points *runs, const point *like, double scale,
                         data_curve *curve, size_t p) {
  accuracy_place *places = mem_zeroed(curve->seeds, sizeof *places);
  accuracy found;
  if (!places) return mem_error(0, "a curve");
  for (size_t s = 0; s < curve->seeds; s++) {
    const point *at = find_point(&runs[s], like);
    places[s] = (accuracy_place){at->cell, at->evaluation};
  }
  err error = accuracy_mean(d, places, curve->seeds, &found);
  free(places);
  if (error) return error;
  curve->mean[p] = found.mean.mean * scale; /* as in the table, to the last bit */
  curve->low[p] = found.mean.low * scale;
  curve->high[p] = found.mean.high * scale;
  return NULL;
}

static err make_curve(report_data *d, const column *c, const points *runs, const size_t *kept,
                      data_curve *curve) {
  size_t n = curve->points, seeds = curve->seeds;
  double **arrays[] = {&curve->samples, &curve->seconds, &curve->mean, &curve->low, &curve->high};
  err error = NULL;
  for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
    if (!(*arrays[i] = mem_zeroed(n, sizeof **arrays[i])))
      FAIL(ERR_MEMORY, "out of memory: a curve");
  curve->accuracy = mem_zeroed(n * seeds, sizeof *curve->accuracy);
  if (!curve->accuracy) FAIL(ERR_MEMORY, "out of memory: a curve");
  for (size_t p = 0; p < n; p++)
    for (size_t s = 0; s < seeds; s++) {
      const point *at = find_point(&runs[s], &runs[0].items[kept[p]]);
      curve->samples[p] += at->samples / (double)seeds;
      curve->seconds[p] += at->seconds / (double)seeds;
      curve->accuracy[s * n + p] = at->evaluation->value;
      if (at->depth > 0 && p < curve->tuned_from) curve->tuned_from = p;
    }
  TRY(find_hits(d, runs, kept, curve));
  const point *first = &runs[0].items[kept[0]];
  curve->start = data_start(&d->cells[first->cell], first->evaluation);
  curve->scale = c->scale / data_chance(&d->cells[first->cell], first->evaluation, c);
  for (size_t p = 0; p < n; p++)
    TRY(measure_point(d, runs, &runs[0].items[kept[p]], curve->scale, curve, p));
cleanup:
  return error;
}

err curves_of_cells(report_data *d, const column *c, const size_t *cells, size_t count,
                    data_curve *curve) {
  err error = NULL;
  *curve = (data_curve){0};
  points *runs = mem_zeroed(count, sizeof *runs);
  size_t *kept = NULL, seeds = 0;
  if (!runs) return mem_error(0, "a curve");
  for (size_t i = 0; i < count; i++) { /* a run without evaluations has no curve */
    TRY(run_points(d, cells[i], c, &runs[seeds]));
    seeds += runs[seeds].count > 0;
  }
  curve->seeds = seeds;
  if (!seeds) goto cleanup;
  kept = mem_zeroed(runs[0].count, sizeof *kept);
  if (!kept) FAIL(ERR_MEMORY, "out of memory: a curve");
  for (size_t i = 0; i < runs[0].count; i++)
    if (have_all(runs, seeds, &runs[0].items[i])) kept[curve->points++] = i;
  curve->tuned_from = curve->points;
  if (curve->points) TRY(make_curve(d, c, runs, kept, curve));
cleanup:
  for (size_t i = 0; i < count; i++) free(runs[i].items);
  free(runs);
  free(kept);
  if (error) curves_free(curve);
  return error;
}

void curves_drop_times(data_curve *curve) {
  for (size_t p = 0; p < curve->points; p++) curve->seconds[p] = NAN;
}

err curves_of_row(report_data *d, size_t row, data_curve *curve) {
  size_t *cells = mem_zeroed(d->rows[row].count, sizeof *cells);
  *curve = (data_curve){0};
  if (!cells) return mem_error(0, "a curve");
  size_t count = data_finished(d, row, cells);
  err error = curves_of_cells(d, d->e->report.iso, cells, count, curve);
  if (!error && data_differing_pace(d, row)) curves_drop_times(curve);
  free(cells);
  return error;
}

/* ---- the iso-accuracy speed-up ---- */

static err plain_curve(const data_curve *from, accuracy_curve *to) {
  to->points = mem_zeroed(from->points, sizeof *to->points);
  to->count = to->points ? from->points : 0;
  to->start = from->start * from->scale;
  for (size_t i = 0; i < to->count; i++)
    to->points[i] = (curve_point){from->seconds[i], from->mean[i]};
  return to->points ? NULL : mem_error(from->points * sizeof *to->points, "a curve");
}

static iso_rows rows_of(const data_curve *c) {
  return (iso_rows){c->points, c->seeds,  c->seconds, c->accuracy,
                    c->hits,   c->strata, c->items,   c->start};
}

static err compare(report_data *d, const size_t *own_cells, const size_t *base_cells, size_t count,
                   data_iso *iso) {
  data_curve own = {0}, base = {0};
  accuracy_curve own_plain = {0}, base_plain = {0};
  paired_result pace;
  err error = NULL;
  TRY(curves_of_cells(d, d->e->report.iso, own_cells, count, &own));
  TRY(curves_of_cells(d, d->e->report.iso, base_cells, count, &base));
  TRY(plain_curve(&own, &own_plain));
  TRY(plain_curve(&base, &base_plain));
  iso->at = curve_compare(&base_plain, &own_plain);
  iso->seeds = own.seeds < base.seeds ? own.seeds : base.seeds;
  iso->items = own.items == base.items ? own.items : 0;
  TRY(measure_pace_ratio(d, base_cells, own_cells, count, &pace));
  iso_rows base_rows = rows_of(&base), own_rows = rows_of(&own);
  if (!isnan(iso->at.speedup))
    TRY(iso_interval(&base_rows, &own_rows, iso->at.speedup, &pace, &iso->low, &iso->high));
cleanup:
  free(own_plain.points);
  free(base_plain.points);
  curves_free(&own);
  curves_free(&base);
  return error;
}

/* A pair of seeds of which one has no curve would leave a seed to the other row alone. */
static err have_curves(const report_data *d, size_t own, size_t base, const column *c, bool *have) {
  points mine = {0}, theirs = {0};
  err error = run_points(d, own, c, &mine);
  if (!error) error = run_points(d, base, c, &theirs);
  *have = mine.count && theirs.count;
  free(mine.items);
  free(theirs.items);
  return error;
}

err curves_iso(report_data *d, size_t row, data_iso *iso) {
  *iso = (data_iso){{NAN, NAN, NAN, NAN}, NAN, NAN, 0, 0};
  const column *c = d->e->report.iso;
  if (d->baseline < 0 || (size_t)d->baseline == row) return NULL;
  if (!data_has_comparable_curves(d, row, (size_t)d->baseline)) return NULL;
  size_t room = d->rows[row].count, *own = mem_zeroed(room, sizeof *own);
  size_t *base = mem_zeroed(room, sizeof *base);
  err error = own && base ? NULL : mem_error(0, "a comparison");
  size_t paired = error ? 0 : data_pair_seeds(d, row, (size_t)d->baseline, own, base), count = 0;
  for (size_t i = 0; i < paired && !error; i++) {
    bool have = true;
    if (measure_is_of_two_sets(d, own[i], c, base[i], c)) continue;
    error = have_curves(d, own[i], base[i], c, &have);
    if (!have) continue;
    own[count] = own[i];
    base[count++] = base[i];
  }
  if (!error && count) error = compare(d, own, base, count, iso);
  free(own);
  free(base);
  return error;
}
