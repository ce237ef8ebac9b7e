#include "stats/changes.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"

/* The divergence of values[0, split) from values[split, count), scaled by m n / (m + n), for every
 * allowed split; the greatest, and where. Sums of distances within and between the sides are
 * carried from split to split: O(count²) for all of them. */
static double best_split(const double *values, size_t count, size_t least, size_t *at) {
  double left = 0, right = 0, between = 0, best = -INFINITY;
  *at = 0;
  for (size_t i = 0; i < count; i++)
    for (size_t j = 0; j < i; j++) right += fabs(values[i] - values[j]);
  for (size_t split = 1; split < count; split++) {
    const double moved = values[split - 1];
    for (size_t i = 0; i + 1 < split; i++) {
      left += fabs(values[i] - moved);
      between -= fabs(values[i] - moved);
    }
    for (size_t i = split; i < count; i++) {
      right -= fabs(values[i] - moved);
      between += fabs(values[i] - moved);
    }
    if (split < least || count - split < least) continue;
    double m = (double)split, n = (double)(count - split);
    double divergence =
        2 * between / (m * n) - 2 * left / (m * (m - 1)) - 2 * right / (n * (n - 1));
    double scaled = divergence * m * n / (m + n);
    if (scaled <= best) continue;
    best = scaled;
    *at = split;
  }
  return best;
}

/* How often a shuffled segment has a split as good: the p-value. */
static double permuted_share(const double *values, size_t count, double found,
                             const change_options *options, uint64_t segment, double *shuffled) {
  size_t as_good = 0, at;
  for (size_t k = 0; k < options->permutations; k++) {
    rng r = rng_at(options->seed, RNG_BOOTSTRAP, k, segment);
    memcpy(shuffled, values, count * sizeof *values);
    for (size_t i = count - 1; i > 0; i--) {
      size_t j = rng_below(&r, (uint32_t)(i + 1));
      double kept = shuffled[i];
      shuffled[i] = shuffled[j];
      shuffled[j] = kept;
    }
    as_good += best_split(shuffled, count, options->least_segment, &at) >= found;
  }
  return (double)(as_good + 1) / (double)(options->permutations + 1);
}

typedef struct {
  const double *values;
  double *shuffled;
  const change_options *options;
  change_point *points; /* room for every value */
  size_t count;
} search;

/* The changes within [first, last), left to right. */
static void search_segment(search *s, size_t first, size_t last) {
  size_t count = last - first, at;
  if (count < 2 * s->options->least_segment) return;
  double found = best_split(s->values + first, count, s->options->least_segment, &at);
  if (!(found > 0)) return;
  double p = permuted_share(s->values + first, count, found, s->options,
                            (uint64_t)first << 32 | last, s->shuffled);
  if (p > s->options->level) return;
  search_segment(s, first, first + at);
  s->points[s->count++] = (change_point){first + at, p};
  search_segment(s, first + at, last);
}

err stats_changes(const double *values, size_t count, const change_options *options,
                  change_point **points, size_t *point_count) {
  search s = {values, mem_zeroed(count, sizeof *values), options,
              mem_zeroed(count, sizeof **points), 0};
  *points = NULL;
  *point_count = 0;
  if (!s.shuffled || !s.points) {
    free(s.shuffled);
    free(s.points);
    return mem_error(count * sizeof **points, "change points");
  }
  search_segment(&s, 0, count);
  free(s.shuffled);
  *points = s.points;
  *point_count = s.count;
  return NULL;
}
