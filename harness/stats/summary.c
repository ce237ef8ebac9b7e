#include "stats/summary.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/numbers.h"
#include "base/rng.h"

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

double stats_t95(size_t degrees) {
  static const double table[] = {NAN,    12.7062, 4.3027, 3.1824, 2.7764, 2.5706,
                                 2.4469, 2.3646,  2.3060, 2.2622, 2.2281};
  if (degrees < sizeof table / sizeof *table) return table[degrees];
  /* Cornish-Fisher around the normal's 97.5 % point; 4 digits right from 11 degrees on */
  const double z = 1.959964, n = (double)degrees;
  double first = (pow(z, 3) + z) / 4;
  double second = (5 * pow(z, 5) + 16 * pow(z, 3) + 3 * z) / 96;
  double third = (3 * pow(z, 7) + 19 * pow(z, 5) + 17 * pow(z, 3) - 15 * z) / 384;
  return z + first / n + second / (n * n) + third / (n * n * n);
}

double stats_half_width(const double *values, size_t count) {
  if (count < 2) return NAN;
  return stats_t95(count - 1) * stats_deviation(values, count) / sqrt((double)count);
}

err stats_bootstrap(size_t count, size_t resamples, uint64_t seed, stats_statistic statistic,
                    void *context, double *low, double *high) {
  size_t *chosen = mem_zeroed(count, sizeof *chosen), kept = 0;
  double *results = mem_zeroed(resamples, sizeof *results);
  *low = *high = NAN;
  err error = NULL;
  if (!chosen || !results) {
    error = mem_error(resamples * sizeof *results, "a bootstrap");
    goto cleanup;
  }
  for (size_t i = 0; i < resamples; i++) {
    rng r = rng_at(seed, RNG_BOOTSTRAP, i, 0);
    for (size_t j = 0; j < count; j++) chosen[j] = rng_below(&r, (uint32_t)count);
    double value = statistic(chosen, count, context);
    if (!isnan(value)) results[kept++] = value;
  }
  numbers_sort(results, kept);
  *low = numbers_quantile(results, kept, 0.025);
  *high = numbers_quantile(results, kept, 0.975);
cleanup:
  free(chosen);
  free(results);
  return error;
}
