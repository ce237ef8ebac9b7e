/* Change-point detection in a series of measurements.
 *
 * Circular binary segmentation (Olshen et al., Biostatistics 2004): of all sections that differ
 * from the rest in their mean the clearest one is tested, then what lies before, in and after it.
 * The p-value refers to the maximum t over all sections, by simulation of normal noise; noise is
 * estimated around the two means, so a change does not mask itself. Unlike a permutation test it
 * can decide from six points on. */
#ifndef FLIPBENCH_STATS_CHANGES_H
#define FLIPBENCH_STATS_CHANGES_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

typedef struct {
  size_t least_segment; /* points on either side of a change: at least 2 */
  size_t simulations;   /* of noise */
  double level;         /* a change is kept when its p-value is at most this */
  uint64_t seed;
} change_options;

typedef struct {
  size_t at; /* the first point of the new level */
  double p;
} change_point;

/* All changes in order of position; the caller frees. None for fewer than 2 least_segment points.
 * Values must be finite. */
err stats_changes(const double *values, size_t count, const change_options *options,
                  change_point **points, size_t *point_count) ERR_MUST_CHECK;

#endif
