#include "stats/iso.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/numbers.h"

/* A position on a curve: between point `at` - 1 (or the start, where nothing is known) and `at`. */
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
  double first = p.at ? hits[p.at - 1][item / 8] >> (item % 8) & 1 : 0;
  return first + p.share * (last - first);
}

static double seed_value(const iso_rows *rows, size_t seed, place p) {
  const double *accuracy = &rows->accuracy[seed * rows->points];
  double first = p.at ? accuracy[p.at - 1] : 0;
  return first + p.share * (accuracy[p.at] - first);
}

typedef struct {
  const iso_rows *base, *own;
  double *values; /* [seeds][items] */
  double base_end, own_end;
} search;

/* Is a speed-up of `ratio` refuted? */
static err refute(const search *s, double ratio, bool *is_refuted) {
  const iso_rows *base = s->base, *own = s->own;
  double seconds = fmin(s->own_end, s->base_end / ratio);
  place mine = place_at(own, seconds), theirs = place_at(base, seconds * ratio);
  size_t items = own->items ? own->items : 1;
  for (size_t seed = 0; seed < own->seeds; seed++)
    for (size_t i = 0; i < items; i++)
      s->values[seed * items + i] =
          own->items ? item_value(own, seed, mine, i) - item_value(base, seed, theirs, i)
                     : seed_value(own, seed, mine) - seed_value(base, seed, theirs);
  crossed_mean m;
  err error = crossed_of(&(crossed_table){s->values, own->strata, own->seeds, items}, &m);
  *is_refuted = m.low > 0 || m.high < 0;
  return error;
}

/* Bisects between a refuted speed-up and one that is not. */
static err close_in(const search *s, double refuted, double possible, double *edge) {
  enum { HALVINGS = 7 };
  err error = NULL;
  for (int i = 0; i < HALVINGS && !error; i++) {
    double middle = sqrt(refuted * possible);
    bool is_refuted;
    error = refute(s, middle, &is_refuted);
    if (is_refuted)
      refuted = middle;
    else
      possible = middle;
  }
  *edge = possible;
  return error;
}

enum { STRIDES = 3 }; /* candidates between two points of a curve */

/* Candidate speed-ups, ascending: at every point of both curves and in between. */
static double *make_tries(const search *s, size_t *count) {
  const iso_rows *base = s->base, *own = s->own;
  double *tries = mem_zeroed((base->points + own->points) * STRIDES, sizeof *tries);
  *count = 0;
  if (!tries) return NULL;
  for (size_t side = 0; side < 2; side++) {
    const iso_rows *rows = side ? own : base;
    double before = 0;
    for (size_t i = 0; i < rows->points; i++) {
      for (int k = 1; k <= STRIDES; k++) {
        double at = before + (rows->seconds[i] - before) * k / STRIDES;
        if (at > 0) tries[(*count)++] = side ? s->base_end / at : at / s->own_end;
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
 * all that is known) at the last: this gives coverage of 94 to 97 % there (the alternative 98 to
 * 99), and with one seed 92 to 93 and 96 to 97 (tests/stats/test_intervals.c). */
static err find_edge(const search *s, const double *tries, size_t count, double estimate,
                     bool is_upward, double *edge) {
  double possible = estimate, refuted = NAN;
  bool has_islands = s->own->seeds == 1;
  for (size_t k = 0; k < count; k++) {
    double ratio = tries[is_upward ? k : count - 1 - k];
    bool is_refuted;
    if (is_upward ? ratio <= estimate : ratio >= estimate) continue;
    err error = refute(s, ratio, &is_refuted);
    if (error) return error;
    if (!is_refuted) {
      possible = ratio;
      refuted = NAN;
    } else if (isnan(refuted)) {
      refuted = ratio;
      if (!has_islands) break;
    }
  }
  return isnan(refuted) ? NULL : close_in(s, refuted, possible, edge);
}

static err scan(const search *s, const double *tries, size_t count, double estimate, double *low,
                double *high) {
  *low = 0;
  *high = INFINITY;
  err error = find_edge(s, tries, count, estimate, false, low);
  return error ? error : find_edge(s, tries, count, estimate, true, high);
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
  search s = {&plain_base, &plain_own,
              mem_zeroed(own->seeds * (has_items ? own->items : 1), sizeof *s.values),
              baseline->seconds[baseline->points - 1], own->seconds[own->points - 1]};
  size_t count = 0;
  double *tries = make_tries(&s, &count);
  err error = s.values && tries ? NULL : mem_error(0, "an interval");
  if (!error) error = scan(&s, tries, count, estimate, low, high);
  free(s.values);
  free(tries);
  if (error) return error;
  *low = fmin(*low, estimate);
  *high = fmax(*high, estimate);
  if (!isnan(pace->low)) {
    *low = widen(estimate, *low, pace->value, pace->low, -1);
    *high = widen(estimate, *high, pace->value, pace->high, 1);
  }
  return NULL;
}
