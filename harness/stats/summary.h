/* Small statistics of small samples. Pure functions; values are never changed. */
#ifndef FLIPBENCH_STATS_SUMMARY_H
#define FLIPBENCH_STATS_SUMMARY_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

double stats_mean(const double *values, size_t count); /* NaN for none */
/* Sample standard deviation (n - 1); NaN for fewer than two. */
double stats_deviation(const double *values, size_t count);

/* Linear interpolation between order statistics (R's type 7): position (n - 1) q. NaN for none. */
err stats_quantile(const double *values, size_t count, double q, double *result) ERR_MUST_CHECK;
err stats_median(const double *values, size_t count, double *result) ERR_MUST_CHECK;

/* The two-sided 95 % point of Student's t: 12.706 for 1 degree of freedom, 1.960 for many. */
double stats_t95(size_t degrees);
/* Half width of the 95 % t-interval of the mean: t95(n - 1) s / sqrt(n). NaN for fewer than two. */
double stats_half_width(const double *values, size_t count);

/* A statistic of resampled indices: `chosen` holds `count` indices in [0, count). */
typedef double (*stats_statistic)(const size_t *chosen, size_t count, void *context);

/* 95 % percentile interval of a statistic under resampling with replacement, `resamples` times,
 * drawn from (seed, RNG_BOOTSTRAP). Resamples whose statistic is NaN are left out; both ends are
 * NaN when none is left. */
err stats_bootstrap(size_t count, size_t resamples, uint64_t seed, stats_statistic statistic,
                    void *context, double *low, double *high) ERR_MUST_CHECK;

#endif
