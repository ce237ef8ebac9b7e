#include "stats/summary.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/numbers.h"
#include "stats/student.h"

double stats_mean(const double *values, size_t count) {
  double sum = 0;
  for (size_t i = 0; i < count; i++) sum += values[i];
  return count ? sum / (double)count : (double)NAN;
}

double stats_deviation(const double *values, size_t count) {
  if (count < 2) return NAN;
  double mean = stats_mean(values, count), sum = 0;
  for (size_t i = 0; i < count; i++) sum += (values[i] - mean) * (values[i] - mean);
  return sqrt(sum / (double)(count - 1));
}

err stats_quantile(const double *values, size_t count, double q, double *result) {
  double *sorted = mem_zeroed(count, sizeof *sorted);
  if (!sorted) return mem_error(count * sizeof *sorted, "a quantile");
  if (count) memcpy(sorted, values, count * sizeof *sorted);
  numbers_sort(sorted, count);
  *result = numbers_quantile(sorted, count, q);
  free(sorted);
  return NULL;
}

err stats_median(const double *values, size_t count, double *result) {
  return stats_quantile(values, count, 0.5, result);
}

double stats_half_width(const double *values, size_t count) {
  if (count < 2) return NAN;
  return student_quantile(0.05, count - 1) * stats_deviation(values, count) / sqrt((double)count);
}
