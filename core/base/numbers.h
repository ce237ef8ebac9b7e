/* Order statistics: sorting, quantiles, the median. */
#ifndef FLIP_BASE_NUMBERS_H
#define FLIP_BASE_NUMBERS_H

#include <stddef.h>

/* Ascending; must not contain NaN. */
void numbers_sort(double *values, size_t count);
/* The q-quantile of ascending values, interpolated between neighbours; NaN for none. */
double numbers_quantile(const double *sorted, size_t count, double q);
/* Sorts `values` and returns their median; NaN for none. */
double numbers_median(double *values, size_t count);

#endif
