/* A and B measured in turn: how much faster is B, how sure is that, and what would have been
 * seen. Rounds are the unit of resampling: what disturbs a machine disturbs both sides of a round.
 */
#ifndef FLIPBENCH_STATS_RATIO_H
#define FLIPBENCH_STATS_RATIO_H

#include <stddef.h>

#include "base/err.h"

typedef struct {
  double ratio, low, high; /* median of B over median of A, 95 % bootstrap interval over rounds */
  double detectable;       /* relative difference that 80 % of such measurements would find */
} stats_ratio_result;

/* `a`, `b`: one value each round. NaN for fewer than three rounds. */
err stats_ratio(const double *a, const double *b, size_t rounds,
                stats_ratio_result *result) ERR_MUST_CHECK;

#endif
