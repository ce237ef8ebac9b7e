/* A and B measured alternately: the speed ratio of B to A, its interval, and the detectable
 * difference. A round is one pair: a disturbance of the machine affects both sides of a round. */
#ifndef FLIPBENCH_STATS_RATIO_H
#define FLIPBENCH_STATS_RATIO_H

#include <stddef.h>

#include "base/err.h"

/* Fewer pairs give no result: with three, one comparison in four of a program with itself showed a
 * difference. */
enum { RATIO_LEAST_ROUNDS = 5 };
/* Confidence of the interval, so that two of 100 comparisons of a program with itself show a
 * difference. */
#define RATIO_CONFIDENCE 0.98

typedef struct {
  double ratio, low, high; /* of B over A, with its interval */
  double detectable;       /* relative difference detectable with 80 % power */
  size_t rounds;           /* pairs that were used */
  size_t left_out;         /* pairs without two positive numbers */
} stats_ratio_result;

/* `a`, `b`: one value per round, NaN where there is none. The ratio is the mean over the rounds on
 * a logarithmic scale; from eight rounds on the highest and lowest fifth of the rounds are trimmed,
 * so that a disturbed round does not count; the interval is Student's (Yuen's for a trimmed mean).
 * Ratio and interval are NaN for fewer than RATIO_LEAST_ROUNDS pairs. */
err stats_ratio(const double *a, const double *b, size_t rounds,
                stats_ratio_result *result) ERR_MUST_CHECK;

#endif
