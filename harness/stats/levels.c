#include "stats/levels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "stats/summary.h"

/* The standard deviation of a series from the median distance between neighbours, which steps do
 * not inflate. */
static err neighbour_noise(const double *values, size_t count, double *noise) {
  double *distances = mem_zeroed(count, sizeof *distances), median = 0;
  if (!distances) return mem_error(count * sizeof *distances, "a series");
  for (size_t i = 1; i < count; i++) distances[i - 1] = fabs(values[i] - values[i - 1]);
  err error = stats_median(distances, count - 1, &median);
  *noise = median / (0.6745 * sqrt(2)); /* of the difference of two normal numbers */
  free(distances);
  return error;
}

/* Far from its neighbours on either side, which agree with each other: an outlier, neither the
 * start of a level nor a step of one point. The newest value is never one: its successor is not
 * known yet. */
static bool is_alone(const series_levels *l, size_t at, double noise) {
  enum { REACH = 2 };
  const double far = 6, least = 0.0005; /* in deviations; of a deviation, as a share */
  double nearest = INFINITY, low = INFINITY, high = -INFINITY;
  if (at + 1 == l->count) return false;
  for (size_t j = at > REACH ? at - REACH : 0; j <= at + REACH && j < l->count; j++) {
    if (j == at) continue;
    nearest = fmin(nearest, fabs(l->values[at] - l->values[j]));
    low = fmin(low, l->values[j]);
    high = fmax(high, l->values[j]);
  }
  return nearest > far * fmax(noise, least * fabs(l->values[at])) && high - low < nearest / 2;
}

static err set_aside(series_levels *l) {
  double noise = 0;
  if (l->count < LEVELS_LEAST_POINTS) return NULL;
  err error = neighbour_noise(l->values, l->count, &noise);
  for (size_t i = 0; i < l->count && !error; i++) {
    l->is_aside[i] = is_alone(l, i, noise);
    l->aside += l->is_aside[i];
  }
  return error;
}

series_level levels_stretch(const series_levels *l, size_t first, size_t last) {
  series_level one = {first, last, 0, 0, NAN, NAN};
  double squares = 0;
  for (size_t i = first; i < last; i++) {
    if (l->is_aside[i]) continue;
    one.used++;
    one.mean += (l->values[i] - one.mean) / (double)one.used;
  }
  for (size_t i = first; i < last; i++)
    if (!l->is_aside[i]) squares += pow(l->values[i] - one.mean, 2);
  if (one.used > 1) one.deviation = sqrt(squares / (double)(one.used - 1));
  return one;
}

/* The changes among the values that are not outliers, as levels of all values. */
static err part(series_levels *l, double level) {
  const change_options how = {LEVELS_LEAST_SEGMENT, 999, level, 0};
  double *kept = mem_zeroed(l->count, sizeof *kept);
  size_t *places = mem_zeroed(l->count, sizeof *places), used = 0, points = 0;
  change_point *changes = NULL;
  err error = NULL;
  if (!kept || !places) FAIL(ERR_MEMORY, "out of memory: a series");
  for (size_t i = 0; i < l->count; i++) {
    if (l->is_aside[i]) continue;
    places[used] = i;
    kept[used++] = l->values[i];
  }
  TRY(stats_changes(kept, used, &how, &changes, &points));
  l->levels = mem_zeroed(points + 1, sizeof *l->levels);
  if (!l->levels) FAIL(ERR_MEMORY, "out of memory: a series");
  l->level_count = points + 1;
  for (size_t k = 0; k <= points; k++) {
    size_t first = k ? places[changes[k - 1].at] : 0;
    size_t last = k < points ? places[changes[k].at] : l->count;
    l->levels[k] = levels_stretch(l, first, last);
    if (k) l->levels[k].p = changes[k - 1].p;
  }
cleanup:
  free(changes);
  free(kept);
  free(places);
  return error;
}

err levels_find(const double *values, size_t count, double level, series_levels *result) {
  err error = NULL;
  *result = (series_levels){.values = mem_zeroed(count + 1, sizeof *values),
                            .count = count,
                            .is_aside = mem_zeroed(count + 1, sizeof *result->is_aside)};
  if (!result->values || !result->is_aside) FAIL(ERR_MEMORY, "out of memory: a series");
  if (count) memcpy(result->values, values, count * sizeof *values);
  TRY(set_aside(result));
  if (count) TRY(part(result, level));
cleanup:
  if (error) levels_free(result);
  return error;
}

void levels_free(series_levels *l) {
  free(l->values);
  free(l->is_aside);
  free(l->levels);
  *l = (series_levels){0};
}

size_t levels_of(const series_levels *l, size_t at) {
  size_t k = 0;
  while (k + 1 < l->level_count && l->levels[k + 1].first <= at) k++;
  return k;
}
