/* Order statistics (sorting, quantiles, the median), and an interval. */
#ifndef FLIP_BASE_NUMBERS_H
#define FLIP_BASE_NUMBERS_H

#include <stddef.h>

/* Ascending; must not contain NaN. */
void numbers_sort(double *values, size_t count);
/* The q-quantile of ascending values, interpolated between neighbours; NaN for none. */
double numbers_quantile(const double *sorted, size_t count, double q);
/* Sorts `values` and returns their median; NaN for none. */
double numbers_median(double *values, size_t count);

/* Wilson's 95 % interval of the share p of hits, inside [0, 1], at the number of independent items
 * that would give the standard error `error`; where there is none to go by, since all of `items`
 * are hits or none is, at that number. */
void numbers_wilson(double p, double error, double items, double bounds[2]);

#endif
