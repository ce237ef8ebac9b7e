#include "stats/changes.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "stats/student.h"

/* Relative differences below this are rounding, not measurement. */
static const double rounding = 1e-9;

/* The maximum statistics of simulated series of normal noise, of one length; made when needed. */
typedef struct {
  double *found; /* room for all simulations */
  size_t count;
} noise_maxima;

typedef struct {
  const double *values;
  const change_options *options;
  double *sums;         /* running sums of a segment, or of simulated noise */
  noise_maxima *noise;  /* [length] */
  change_point *points; /* room for every value */
  size_t count;
} search;

/* The section of a segment that differs most from the rest of it. */
typedef struct {
  size_t first, last; /* [first, last) */
  double statistic;   /* between-group over within-group variance; infinite without noise */
  double t;
  size_t candidates; /* number of sections compared */
} stretch;

/* Sums of `values` minus their mean: sums[i] of the first i. Returns their sum of squares, 0 when
 * they are equal up to rounding. */
static double sum_up(const double *values, size_t count, double *sums) {
  double mean = 0, squares = 0;
  for (size_t i = 0; i < count; i++) mean += values[i] / (double)count;
  sums[0] = 0;
  for (size_t i = 0; i < count; i++) {
    double off = values[i] - mean;
    sums[i + 1] = sums[i] + off;
    squares += off * off;
  }
  return squares > (double)count * pow(rounding * mean, 2) ? squares : 0;
}

/* With the mean subtracted, a section of m points whose sum is A explains A² n / (m (n - m)). */
static stretch best_stretch(const double *values, size_t n, size_t least, double *sums) {
  stretch best = {0, 0, 0, 0, 0};
  double squares = sum_up(values, n, sums), most = -1;
  for (size_t i = 0; i + least <= n; i = i ? i + 1 : least) {
    for (size_t j = i + least; j <= n; j++) {
      size_t m = j - i;
      if (n - m < least || (j < n && n - j < least)) continue;
      if (i > 0 && j == n) continue; /* the same two parts as [0, i) */
      double sum = sums[j] - sums[i];
      double explained = sum * sum * (double)n / ((double)m * (double)(n - m));
      best.candidates++;
      if (explained <= most) continue;
      most = explained;
      best.first = i;
      best.last = j;
    }
  }
  if (squares > 0 && most > 0) {
    double left = squares - most;
    best.statistic = left > squares * 1e-13 ? most / left : INFINITY;
    best.t = sqrt(best.statistic * (double)(n - 2));
  }
  return best;
}

/* The statistic of simulation k of n points, each of which is the same whenever it is made. */
static err simulate(search *s, size_t n, size_t k, double *statistic) {
  noise_maxima *made = &s->noise[n];
  if (!made->found) made->found = mem_zeroed(s->options->simulations, sizeof *made->found);
  double *drawn = k < made->count ? NULL : mem_zeroed(n, sizeof *drawn);
  if (!made->found || (k >= made->count && !drawn)) {
    free(drawn);
    return mem_error((n + s->options->simulations) * sizeof *drawn, "change points");
  }
  for (; made->count <= k; made->count++) {
    rng r = rng_at(s->options->seed, RNG_BOOTSTRAP, made->count, n);
    for (size_t i = 0; i < n; i++) drawn[i] = rng_normal(&r);
    made->found[made->count] = best_stretch(drawn, n, s->options->least_segment, s->sums).statistic;
  }
  free(drawn);
  *statistic = made->found[k];
  return NULL;
}

/* The p-value of a section among n points. The simulated p-value lies between the tail of a single
 * t, which is too small, and that times the number of candidates, which is too large; it is
 * computed only when these bounds do not decide. Of a section that is none, simulation ends where p
 * exceeds the level; *p is then only known to do so. */
static err test_stretch(search *s, const stretch *found, size_t n, double *p) {
  const double level = s->options->level;
  double one = student_tail(found->t, n - 2), bound = one * (double)found->candidates;
  double simulated = 1.0 / (double)(s->options->simulations + 1);
  size_t as_good = 0;
  *p = bound;
  if (bound <= level || one > level) return NULL;
  for (size_t k = 0; k < s->options->simulations && simulated <= level; k++) {
    double statistic = 0;
    err error = simulate(s, n, k, &statistic);
    if (error) return error;
    as_good += statistic >= found->statistic;
    simulated = (double)(as_good + 1) / (double)(s->options->simulations + 1);
  }
  *p = as_good == 0 ? fmin(bound, simulated) : simulated;
  return NULL;
}

static double mean_of(const double *values, size_t count) {
  double mean = 0;
  for (size_t i = 0; i < count; i++) mean += values[i] / (double)count;
  return mean;
}

/* Is there a change at `at` between [first, at) and [at, last)? Noise is estimated from both
 * sides. */
static double edge_tail(const double *values, size_t first, size_t at, size_t last) {
  double a = mean_of(values + first, at - first), b = mean_of(values + at, last - at), left = 0;
  double m = (double)(at - first), n = (double)(last - at);
  for (size_t i = first; i < last; i++) left += pow(values[i] - (i < at ? a : b), 2);
  if (left <= pow(rounding * a, 2)) return fabs(a - b) > rounding * fabs(a) ? 0 : 1;
  return student_tail((a - b) / sqrt(left / (m + n - 2) * (1 / m + 1 / n)), last - first - 2);
}

/* The changes within [first, last), left to right. */
static err search_segment(search *s, size_t first, size_t last) {
  size_t count = last - first, least = s->options->least_segment;
  double p, level = s->options->level;
  if (count < 2 * least) return NULL;
  stretch found = best_stretch(s->values + first, count, least, s->sums);
  if (!(found.statistic > 0)) return NULL;
  err error = test_stretch(s, &found, count, &p);
  if (error || p > level) return error;
  size_t left = first + found.first, right = first + found.last;
  /* a section in the middle has two edges, of which possibly only one is a change */
  bool has_left =
      left > first && (right == last || edge_tail(s->values, first, left, right) <= level);
  bool has_right =
      right < last && (left == first || edge_tail(s->values, left, right, last) <= level);
  if (!has_left && !has_right) return NULL;
  size_t start = has_left ? left : first, end = has_right ? right : last;
  if (has_left) {
    error = search_segment(s, first, left);
    s->points[s->count++] = (change_point){left, p};
  }
  if (!error) error = search_segment(s, start, end);
  if (!error && has_right) {
    s->points[s->count++] = (change_point){right, p};
    error = search_segment(s, right, last);
  }
  return error;
}

err stats_changes(const double *values, size_t count, const change_options *options,
                  change_point **points, size_t *point_count) {
  search s = {values,
              options,
              mem_zeroed(count + 1, sizeof *values),
              mem_zeroed(count + 1, sizeof *s.noise),
              mem_zeroed(count + 1, sizeof **points),
              0};
  err error = NULL;
  *points = NULL;
  *point_count = 0;
  if (!s.sums || !s.noise || !s.points) FAIL(ERR_MEMORY, "out of memory: change points");
  TRY(search_segment(&s, 0, count));
  *points = s.points;
  *point_count = s.count;
cleanup:
  for (size_t i = 0; s.noise && i <= count; i++) free(s.noise[i].found);
  free(s.noise);
  free(s.sums);
  if (error) free(s.points);
  return error;
}
