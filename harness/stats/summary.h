/* Descriptive statistics of small samples. Pure functions; values are never changed. */
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

/* Half width of the 95 % t-interval of the mean: t s / sqrt(n), with n - 1 degrees of freedom. NaN
 * for fewer than two. */
double stats_half_width(const double *values, size_t count);

#endif
