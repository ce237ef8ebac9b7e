#include "base/numbers.h"

#include <math.h>
#include <stdlib.h>

static int compare(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

void numbers_sort(double *values, size_t count) {
  if (count) qsort(values, count, sizeof *values, compare);
}

double numbers_quantile(const double *sorted, size_t count, double q) {
  if (!count) return NAN;
  double position = (double)(count - 1) * q;
  size_t below = (size_t)position;
  if (below + 1 >= count) return sorted[count - 1];
  return sorted[below] + (position - (double)below) * (sorted[below + 1] - sorted[below]);
}

double numbers_median(double *values, size_t count) {
  numbers_sort(values, count);
  return numbers_quantile(values, count, 0.5);
}

void numbers_wilson(double p, double error, double items, double bounds[2]) {
  const double z = 1.959964, z2 = z * z;
  double n = items;
  if (p > 0 && p < 1 && error > 0) n = p * (1 - p) / (error * error);
  double centre = (p + z2 / (2 * n)) / (1 + z2 / n);
  double half = z * sqrt(p * (1 - p) / n + z2 / (4 * n * n)) / (1 + z2 / n);
  bounds[0] = p > 0 ? fmax(centre - half, 0) : 0; /* at an end exactly, not but for rounding */
  bounds[1] = p < 1 ? fmin(centre + half, 1) : 1;
}
