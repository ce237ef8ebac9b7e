/* The ratio of two means over the same seeds, and its interval: how much faster, how much smaller.
 *
 * It is the ratio of the means, not the mean of the ratios. Its interval is Student's t on the
 * logarithm, over the seeds as pairs (delta method), and never narrower than the uncertainty of the
 * measurements: each may come with the interval of its own run. */
#ifndef FLIPBENCH_STATS_PAIRED_H
#define FLIPBENCH_STATS_PAIRED_H

#include <stddef.h>

/* A positive quantity of one run; low and high: its own 95 % interval, NaN: unknown. Low 0 and high
 * infinite: unbounded in that direction. */
typedef struct {
  double value, low, high;
} paired_value;

typedef struct {
  double value, low, high; /* NaN: none */
} paired_result;

/* own[i] and base[i] belong to one seed. */
paired_result paired_ratio(const paired_value *own, const paired_value *base, size_t count);
/* The mean of one quantity over seeds, by the same rule. */
paired_result paired_mean(const paired_value *own, size_t count);

#endif
