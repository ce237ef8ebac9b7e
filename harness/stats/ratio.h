/* A and B measured in turn: how much faster is B, its interval, and the detectable
 * difference. A round is one pair: what disturbs a machine disturbs both sides of a round. */
#ifndef FLIPBENCH_STATS_RATIO_H
#define FLIPBENCH_STATS_RATIO_H

#include <stddef.h>

#include "base/err.h"

/* Fewer pairs give no result: with three, one comparison in four of a program with itself
 * showed a difference. */
enum { RATIO_LEAST_ROUNDS = 5 };
/* Confidence of the interval, so that of 100 comparisons of a program with itself two differ. */
#define RATIO_CONFIDENCE 0.98

typedef struct {
  double ratio, low, high; /* of B over A, with its interval */
  double detectable;       /* relative difference that 80 % of such measurements would find */
  size_t rounds;           /* pairs that were used */
  size_t left_out;         /* pairs without two positive numbers */
} stats_ratio_result;

/* `a`, `b`: one value each round, NaN where there is none. The ratio is the mean over the rounds on
 * a logarithmic scale, from eight rounds on without the fifth of the rounds at either end, so that
 * a disturbed round does not count; the interval is Student's (Yuen's for a trimmed mean). Ratio
 * and interval are NaN for fewer than RATIO_LEAST_ROUNDS pairs. */
err stats_ratio(const double *a, const double *b, size_t rounds,
                stats_ratio_result *result) ERR_MUST_CHECK;

#endif
