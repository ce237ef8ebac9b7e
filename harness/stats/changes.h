/* Where a series of measurements changed its level: E-divisive (Matteson and James, JASA 2014),
 * as performance testing of databases uses it (Daly et al., ICPE 2020). It asks of whole
 * distributions, not of the last point against a threshold, so that one outlier is no change. */
#ifndef FLIPBENCH_STATS_CHANGES_H
#define FLIPBENCH_STATS_CHANGES_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

typedef struct {
  size_t least_segment; /* points on either side of a change: at least 2 */
  size_t permutations;  /* of the test: p is at least 1 / (permutations + 1) */
  double level;         /* a change is kept when its p is at most this */
  uint64_t seed;
} change_options;

typedef struct {
  size_t at; /* the first point of the new level */
  double p;
} change_point;

/* All changes in order of place; the caller frees. None for fewer than 2 least_segment points. */
err stats_changes(const double *values, size_t count, const change_options *options,
                  change_point **points, size_t *point_count) ERR_MUST_CHECK;

#endif
