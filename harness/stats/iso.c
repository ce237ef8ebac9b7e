#include "stats/iso.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/numbers.h"

/* A position on a curve: between point `at` - 1 (or the start) and `at`. */
typedef struct {
  size_t at;
  double share;
} place;

static place place_at(const iso_rows *rows, double seconds) {
  size_t at = 0;
  double before = 0;
  while (at + 1 < rows->points && rows->seconds[at] < seconds) before = rows->seconds[at++];
  double span = rows->seconds[at] - before;
  return (place){at, span > 0 ? fmin((seconds - before) / span, 1) : 1};
}

static double item_value(const iso_rows *rows, size_t seed, place p, size_t item) {
  const uint8_t *const *hits = &rows->hits[seed * rows->points];
  double last = hits[p.at][item / 8] >> (item % 8) & 1;
  double first = p.at ? hits[p.at - 1][item / 8] >> (item % 8) & 1 : rows->start;
  return first + p.share * (last - first);
}

static double seed_value(const iso_rows *rows, size_t seed, place p) {
  const double *accuracy = &rows->accuracy[seed * rows->points];
  double first = p.at ? accuracy[p.at - 1] : rows->start;
  return first + p.share * (accuracy[p.at] - first);
}

/* An evaluation at which the curve that ends lower may be highest. */
typedef struct {
  double seconds;
  double
      distance; /* from the highest: the squared difference over the half width of its interval */
} top;

typedef struct {
  const iso_rows *base, *own;
  double *values; /* [seeds][items] */
  accuracy_curve base_mean, own_mean;
  bool is_own_lower;
  top *tops; /* of the lower curve */
  size_t top_count;
  double lower_end, other_end; /* when each is highest */
} search;

/* ---- differences ---- */

/* The accuracy of one curve at a place less that of another, or of the same, elsewhere. */
static err subtract(double *values, const iso_rows *own, place mine, const iso_rows *base,
                    place theirs, crossed_mean *m) {
  const size_t items = own->items ? own->items : 1;
  for (size_t seed = 0; seed < own->seeds; seed++)
    for (size_t i = 0; i < items; i++)
      values[seed * items + i] =
          own->items ? item_value(own, seed, mine, i) - item_value(base, seed, theirs, i)
                     : seed_value(own, seed, mine) - seed_value(base, seed, theirs);
  return crossed_of(&(crossed_table){values, own->strata, own->seeds, items}, m);
}

/* Squared, in half widths of its interval: more than 1 is significant. */
static double distance_of(const crossed_mean *m) {
  double width = (m->high - m->low) / 2;
  if (isnan(width)) return 0;
  return width > 0 ? pow(m->mean / width, 2) : fabs(m->mean) > 0 ? (double)INFINITY : 0;
}

/* ---- where a curve is highest ---- */

/* The same of an evaluation from the highest of its curve, by the normal distribution: with the
 * Student's t of three seeds hardly any rise would be one. The end is a nuisance here, not the
 * quantity itself; the coverage is simulated. */
static double distance_from_top(const crossed_mean *m) {
  double variance = isnan(m->seeds) ? m->error * m->error : m->items + m->seeds + m->rest;
  if (isnan(variance)) return 0;
  return variance > 0        ? m->mean * m->mean / (1.96 * 1.96 * variance)
         : fabs(m->mean) > 0 ? (double)INFINITY
                             : 0;
}

static err make_mean(const iso_rows *rows, accuracy_curve *mean) {
  *mean =
      (accuracy_curve){mem_zeroed(rows->points, sizeof *mean->points), rows->points, rows->start};
  if (!mean->points) return mem_error(rows->points * sizeof *mean->points, "a mean curve");
  for (size_t p = 0; p < rows->points; p++) {
    mean->points[p].seconds = rows->seconds[p];
    for (size_t seed = 0; seed < rows->seeds; seed++)
      mean->points[p].accuracy += rows->accuracy[seed * rows->points + p] / (double)rows->seeds;
  }
  return NULL;
}

/* The first of equal ones. */
static size_t highest(const accuracy_curve *mean) {
  size_t best = 0;
  for (size_t p = 1; p < mean->count; p++)
    if (curve_is_above(mean->points[p].accuracy, mean->points[best].accuracy)) best = p;
  return best;
}

static err find_tops(search *s) {
  err error = make_mean(s->own, &s->own_mean);
  if (!error) error = make_mean(s->base, &s->base_mean);
  if (error) return error;
  const size_t own = highest(&s->own_mean), base = highest(&s->base_mean);
  s->is_own_lower =
      !curve_is_above(s->own_mean.points[own].accuracy, s->base_mean.points[base].accuracy);
  s->lower_end = s->is_own_lower ? s->own->seconds[own] : s->base->seconds[base];
  s->other_end = s->is_own_lower ? s->base->seconds[base] : s->own->seconds[own];
  const iso_rows *lower = s->is_own_lower ? s->own : s->base;
  const place best = {s->is_own_lower ? own : base, 1};
  s->tops = mem_zeroed(lower->points, sizeof *s->tops);
  if (!s->tops) return mem_error(lower->points * sizeof *s->tops, "an interval");
  for (size_t p = 0; p < lower->points; p++) {
    top t = {lower->seconds[p], 0};
    crossed_mean m;
    if (p != best.at) {
      error = subtract(s->values, lower, (place){p, 1}, lower, best, &m);
      if (error) return error;
      t.distance = distance_from_top(&m);
    }
    if (t.distance < 1) s->tops[s->top_count++] = t;
  }
  return NULL;
}

/* ---- what is possible ---- */

static bool is_open(place p) {
  return p.at == 0 && p.share < 1;
}

/* How far the accuracies are apart with these ends of the curves. Before its first evaluation a
 * curve may have any accuracy between its start and that one, which may be the lower of the two. */
static err compare_at(const search *s, double ratio, double own_end, double base_end,
                      double *distance) {
  const place start = {0, 0}, first = {0, 1};
  double seconds = fmin(own_end, base_end / ratio);
  place mine = place_at(s->own, seconds), theirs = place_at(s->base, seconds * ratio);
  bool is_mine = is_open(mine), is_theirs = is_open(theirs);
  crossed_mean one, other; /* of the difference, at either end of what is open */
  *distance = 0;
  if (is_mine && is_theirs) return NULL;
  err error = subtract(s->values, s->own, is_mine ? start : mine, s->base,
                       is_theirs ? first : theirs, &one);
  if (error) return error;
  if (!is_mine && !is_theirs) {
    *distance = distance_of(&one);
    return NULL;
  }
  error = subtract(s->values, s->own, is_mine ? first : mine, s->base, is_theirs ? start : theirs,
                   &other);
  if (error) return error;
  const crossed_mean *least = one.mean <= other.mean ? &one : &other;
  const crossed_mean *most = least == &one ? &other : &one;
  if (least->mean > 0) *distance = distance_of(least);
  if (most->mean < 0) *distance = distance_of(most);
  return error;
}

/* Is a speed-up of `ratio` refuted, with whatever end of the lower curve it is most possible?
 * Upwards, to higher ratios, the row may have been highest earlier, or the baseline later. */
static err refute(const search *s, double ratio, bool is_upward, bool *is_refuted) {
  *is_refuted = true;
  for (size_t i = 0; i < s->top_count && *is_refuted; i++) {
    const top *t = &s->tops[i];
    double distance;
    if (is_upward == s->is_own_lower ? t->seconds > s->lower_end : t->seconds < s->lower_end)
      continue;
    err error = compare_at(s, ratio, s->is_own_lower ? t->seconds : s->other_end,
                           s->is_own_lower ? s->other_end : t->seconds, &distance);
    if (error) return error;
    *is_refuted = t->distance + distance > 1;
  }
  return NULL;
}

/* Bisects between a refuted speed-up and one that is not. */
static err close_in(const search *s, double refuted, double possible, bool is_upward,
                    double *edge) {
  enum { HALVINGS = 7 };
  err error = NULL;
  for (int i = 0; i < HALVINGS && !error; i++) {
    double middle = sqrt(refuted * possible);
    bool is_refuted;
    error = refute(s, middle, is_upward, &is_refuted);
    if (is_refuted)
      refuted = middle;
    else
      possible = middle;
  }
  *edge = possible;
  return error;
}

enum { STRIDES = 3 }; /* candidates between two points of a curve */

/* Candidate speed-ups, ascending: at every point of both curves and in between, with each end of
 * the lower one. */
static double *make_tries(const search *s, size_t *count) {
  size_t room = (s->base->points + s->own->points) * STRIDES * s->top_count;
  double *tries = mem_zeroed(room, sizeof *tries);
  *count = 0;
  if (!tries) return NULL;
  for (size_t k = 0; k < 2 * s->top_count; k++) {
    const bool is_own = k % 2;
    const iso_rows *rows = is_own ? s->own : s->base;
    double before = 0, end = s->other_end;
    if (is_own != s->is_own_lower) end = s->tops[k / 2].seconds;
    for (size_t i = 0; i < rows->points; i++) {
      for (int j = 1; j <= STRIDES; j++) {
        double at = before + (rows->seconds[i] - before) * j / STRIDES;
        if (at > 0) tries[(*count)++] = is_own ? end / at : at / end;
      }
      before = rows->seconds[i];
    }
  }
  numbers_sort(tries, *count);
  return tries;
}

/* The end of the possible range, from the estimate outwards; `edge` is unchanged when nothing out
 * there is refuted.
 *
 * Curves that dip create islands: possible, refuted, possible again. With several seeds the
 * interval ends at the first refuted value next to the estimate, with one seed (whose own dips are
 * all that is known) at the last (tests/stats/test_intervals.c has the coverage of both). */
static err find_edge(const search *s, const double *tries, size_t count, double estimate,
                     bool is_upward, double *edge) {
  double possible = estimate, refuted = NAN;
  bool has_islands = s->own->seeds == 1;
  for (size_t k = 0; k < count; k++) {
    double ratio = tries[is_upward ? k : count - 1 - k];
    bool is_refuted;
    if (is_upward ? ratio <= estimate : ratio >= estimate) continue;
    err error = refute(s, ratio, is_upward, &is_refuted);
    if (error) return error;
    if (!is_refuted) {
      possible = ratio;
      refuted = NAN;
    } else if (isnan(refuted)) {
      refuted = ratio;
      if (!has_islands) break;
    }
  }
  return isnan(refuted) ? NULL : close_in(s, refuted, possible, is_upward, edge);
}

static err scan(search *s, double estimate, double *low, double *high) {
  size_t count = 0;
  *low = 0;
  *high = INFINITY;
  err error = find_tops(s);
  if (error) return error;
  double *tries = make_tries(s, &count);
  if (!tries) return mem_error(0, "an interval");
  error = find_edge(s, tries, count, estimate, false, low);
  if (!error) error = find_edge(s, tries, count, estimate, true, high);
  free(tries);
  return error;
}

/* Combines two independent uncertainties of a logarithm by adding their squares; `sign` selects the
 * end. */
static double widen(double estimate, double edge, double pace, double pace_edge, double sign) {
  double own = fabs(log(edge / estimate)), other = fabs(log(pace_edge / pace));
  return estimate * exp(sign * hypot(own, other)); /* infinite: 0, or unbounded */
}

err iso_interval(const iso_rows *baseline, const iso_rows *own, double estimate,
                 const paired_result *pace, double *low, double *high) {
  *low = *high = NAN;
  bool has_items = own->items > 1 && own->items == baseline->items;
  if (!own->points || !baseline->points || own->seeds != baseline->seeds || isnan(estimate))
    return NULL;
  if (!has_items && own->seeds < 2) return NULL;
  iso_rows plain_own = *own, plain_base = *baseline;
  if (!has_items) plain_own.items = plain_base.items = 0;
  search s = {.base = &plain_base, .own = &plain_own};
  s.values = mem_zeroed(own->seeds * (has_items ? own->items : 1), sizeof *s.values);
  err error = s.values ? scan(&s, estimate, low, high) : mem_error(0, "an interval");
  free(s.values);
  free(s.tops);
  free(s.own_mean.points);
  free(s.base_mean.points);
  if (error) return error;
  *low = fmin(*low, estimate);
  *high = fmax(*high, estimate);
  if (!isnan(pace->low)) {
    *low = widen(estimate, *low, pace->value, pace->low, -1);
    *high = widen(estimate, *high, pace->value, pace->high, 1);
  }
  return NULL;
}
