#include <math.h>

#include "stats/levels.h"
#include "stats/student.h"

/* Comparison of two groups of values, with the noise around both. */
typedef struct {
  double change; /* relative, of the second against the first */
  double error;  /* its standard error */
  size_t degrees;
} contrast;

static contrast compare_levels(const series_level *a, const series_level *b) {
  double m = (double)a->used, n = (double)b->used;
  contrast c = {b->mean / a->mean - 1, 0, a->used + b->used - 2};
  double squares = 0;
  if (a->used > 1) squares += pow(a->deviation, 2) * (m - 1);
  if (b->used > 1) squares += pow(b->deviation, 2) * (n - 1);
  c.error = sqrt(squares / (double)c.degrees * (1 / m + 1 / n)) / a->mean;
  return c;
}

static double tail_of(const contrast *c) {
  return c->error > 1e-9          ? student_tail(c->change / c->error, c->degrees)
         : fabs(c->change) > 1e-9 ? 0
                                  : 1;
}

static double loss_of(double change, const verdict_options *how) {
  return how->is_lower_better ? change : -change;
}

static void widen_bound(series_verdict *v, const contrast *c, const verdict_options *how) {
  double t = student_quantile(0.10, c->degrees); /* 95 %, one-sided */
  v->bound = fmax(v->bound, loss_of(c->change, how) + t * c->error);
}

/* The reference level: the requested one, or the best of the earlier ones. */
static size_t choose_reference(const series_levels *l, const verdict_options *how) {
  size_t newest = l->level_count - 1, best = newest;
  if (how->has_reference) return levels_of(l, how->reference);
  for (size_t k = 0; k < newest; k++)
    if (l->levels[k].used >= LEVELS_LEAST_SEGMENT &&
        loss_of(l->levels[best].mean / l->levels[k].mean - 1, how) > 0)
      best = k;
  return best;
}

/* A slope within the newest level: a gradual change too slow for a step to be detected. */
static bool judge_trend(const series_levels *l, const verdict_options *how, series_verdict *v) {
  const series_level *newest = &l->levels[l->level_count - 1];
  double n = (double)newest->used, middle = (n - 1) / 2, xx = 0, xy = 0, x = 0, left = 0;
  if (newest->used < LEVELS_LEAST_POINTS) return false;
  for (size_t i = newest->first; i < newest->last; i++) {
    if (l->is_aside[i]) continue;
    xx += pow(x - middle, 2);
    xy += (x - middle) * (l->values[i] - newest->mean);
    x++;
  }
  double slope = xy / xx;
  x = 0;
  for (size_t i = newest->first; i < newest->last; i++) {
    if (l->is_aside[i]) continue;
    left += pow(l->values[i] - newest->mean - slope * (x - middle), 2);
    x++;
  }
  double start = newest->mean - slope * middle;
  contrast c = {slope * (n - 1) / start, sqrt(left / (n - 2) / xx) * (n - 1) / start,
                newest->used - 2};
  double p = tail_of(&c);
  if (p > how->level / 2 || loss_of(c.change, how) < how->least) return false;
  v->kind = VERDICT_WORSE;
  v->reason = VERDICT_BY_TREND;
  v->change = c.change;
  v->p = p;
  v->since = newest->first;
  return true;
}

/* Where the `count` newest values of a level begin, outliers not counted; false: it has no more. */
static bool find_newest(const series_levels *l, size_t first, size_t count, size_t *at) {
  for (*at = l->count; *at > first && count > 0;) count -= !l->is_aside[--*at];
  return count == 0 && *at > first;
}

/* One or two values at the end that are worse than the preceding level: not a level yet, but the
 * series cannot be called fine either. */
static bool judge_newest(const series_levels *l, const verdict_options *how, series_verdict *v) {
  const size_t first = l->levels[l->level_count - 1].first;
  size_t at;
  for (size_t count = 1; count < LEVELS_LEAST_SEGMENT && find_newest(l, first, count, &at);
       count++) {
    series_level before = levels_stretch(l, first, at), end = levels_stretch(l, at, l->count);
    if (before.used < LEVELS_LEAST_SEGMENT) continue;
    contrast c = compare_levels(&before, &end);
    double p = tail_of(&c);
    if (p > how->level || loss_of(c.change, how) < how->least) continue;
    v->kind = VERDICT_UNSURE;
    v->reason = VERDICT_BY_NEWEST;
    v->change = c.change;
    v->p = p;
    v->since = at;
    return true;
  }
  return false;
}

/* The two parts of a level. A level of less than six values cannot be divided into parts of three,
 * so the noise within its parts is hardly known; the deviation of the whole level is used instead,
 * an overestimate, as it contains the difference of the parts. */
static contrast compare_parts(const series_level *whole, const series_level *before,
                              const series_level *after) {
  contrast c = compare_levels(before, after);
  if (whole->used >= LEVELS_LEAST_POINTS) return c;
  c.degrees = whole->used - 1;
  c.error =
      whole->deviation * sqrt(1 / (double)before->used + 1 / (double)after->used) / before->mean;
  return c;
}

/* The change that the data do not rule out: anywhere within the newest level, and relative to the
 * reference. A level too short for parts of three is divided as evenly as possible, so that there
 * is always a bound. */
static void find_bound(const series_levels *l, const verdict_options *how, const contrast *whole,
                       series_verdict *v) {
  const series_level *newest = &l->levels[l->level_count - 1];
  size_t least = newest->used < LEVELS_LEAST_POINTS ? newest->used / 2 : LEVELS_LEAST_SEGMENT;
  v->bound = -INFINITY;
  if (whole) widen_bound(v, whole, how);
  for (size_t at = newest->first; at < newest->last; at++) {
    series_level before = levels_stretch(l, newest->first, at),
                 after = levels_stretch(l, at, newest->last);
    if (before.used < least || after.used < least) continue;
    contrast c = compare_parts(newest, &before, &after);
    widen_bound(v, &c, how);
  }
}

/* What judge_newest would see. */
static void find_unseen(const series_levels *l, const verdict_options *how, series_verdict *v) {
  const size_t first = l->levels[l->level_count - 1].first;
  size_t at;
  for (size_t count = 1; count < LEVELS_LEAST_SEGMENT && find_newest(l, first, count, &at);
       count++) {
    series_level before = levels_stretch(l, first, at), end = before;
    if (before.used < LEVELS_LEAST_SEGMENT) continue;
    end.used = count;
    contrast c = compare_levels(&before, &end);
    double seen = fmax(student_quantile(how->level, c.degrees) * c.error, how->least);
    v->unseen = isnan(v->unseen) ? seen : fmax(v->unseen, seen);
  }
}

series_verdict levels_judge(const series_levels *l, const verdict_options *how) {
  series_verdict v = {VERDICT_UNSURE, VERDICT_BY_COUNT, NAN, NAN, INFINITY, NAN, 0, 0, 0};
  if (l->count - l->aside < LEVELS_LEAST_POINTS) return v;
  find_unseen(l, how, &v);
  size_t newest = l->level_count - 1;
  v.reference = choose_reference(l, how);
  bool is_compared = v.reference != newest;
  contrast whole = {0, 0, 1};
  if (is_compared) whole = compare_levels(&l->levels[v.reference], &l->levels[newest]);
  if (is_compared && tail_of(&whole) <= how->level && loss_of(whole.change, how) >= how->least) {
    v.kind = VERDICT_WORSE;
    v.reason = VERDICT_BY_LEVEL;
    v.change = whole.change;
    v.p = tail_of(&whole);
    v.since = l->levels[v.reference < newest ? v.reference + 1 : newest].first;
    v.steps = newest > v.reference ? newest - v.reference : 1;
    return v;
  }
  if (judge_trend(l, how, &v) || judge_newest(l, how, &v)) return v;
  find_bound(l, how, is_compared ? &whole : NULL, &v);
  v.change = whole.change;
  v.reason = VERDICT_BY_BOUND;
  v.kind = v.bound < how->least ? VERDICT_FINE : VERDICT_UNSURE;
  return v;
}
