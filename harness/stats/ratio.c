#include "stats/ratio.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/numbers.h"
#include "stats/student.h"
#include "stats/summary.h"

static bool is_comparable(double value) {
  return isfinite(value) && value > 0;
}

/* Mean of sorted values without `trim` at either end, and its standard error from the winsorised
 * deviation (Yuen, 1974). */
static double trimmed_mean(double *sorted, size_t count, size_t trim, double *error) {
  double kept = (double)(count - 2 * trim);
  double mean = stats_mean(sorted + trim, count - 2 * trim);
  for (size_t i = 0; i < trim; i++) {
    sorted[i] = sorted[trim];
    sorted[count - 1 - i] = sorted[count - 1 - trim];
  }
  *error = stats_deviation(sorted, count) * sqrt((double)count) / kept;
  return mean;
}

err stats_ratio(const double *a, const double *b, size_t rounds, stats_ratio_result *result) {
  enum { TRIMMED_FROM = 8, TRIMMED_PART = 5 };
  double *logs = mem_zeroed(rounds + 1, sizeof *logs), error;
  size_t count = 0;
  *result = (stats_ratio_result){NAN, NAN, NAN, NAN, 0, 0};
  if (!logs) return mem_error(rounds * sizeof *logs, "a comparison");
  for (size_t i = 0; i < rounds; i++)
    if (is_comparable(a[i]) && is_comparable(b[i])) logs[count++] = log(b[i]) - log(a[i]);
  result->rounds = count;
  result->left_out = rounds - count;
  if (count >= RATIO_LEAST_ROUNDS) {
    size_t trim = count >= TRIMMED_FROM ? count / TRIMMED_PART : 0;
    /* trimming costs one more degree than Yuen's: then 2.0 to 2.3 % of 60,000 simulated
     * comparisons of equals differ, for 8 to 20 rounds; with his, up to 2.9 % */
    size_t degrees = count - 2 * trim - (trim ? 2 : 1);
    numbers_sort(logs, count);
    double mean = trimmed_mean(logs, count, trim, &error);
    double t = student_quantile(1 - RATIO_CONFIDENCE, degrees);
    result->ratio = exp(mean);
    result->low = exp(mean - t * error);
    result->high = exp(mean + t * error);
    result->detectable = expm1((t + student_quantile(0.4, degrees)) * error);
  }
  free(logs);
  return NULL;
}
