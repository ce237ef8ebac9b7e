#include "stats/resampled.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "stats/summary.h"

static bool is_defined(const double *resampled, size_t seeds, size_t count, size_t k) {
  for (size_t s = 0; s < seeds; s++)
    if (isnan(resampled[s * count + k])) return false;
  return true;
}

/* means [count]: over the seeds, of the resamples that are defined for all of them. */
static size_t average(const double *resampled, size_t seeds, size_t count, double *means) {
  size_t used = 0;
  for (size_t k = 0; k < count; k++) {
    if (!is_defined(resampled, seeds, count, k)) continue;
    means[used] = 0;
    for (size_t s = 0; s < seeds; s++) means[used] += resampled[s * count + k] / (double)seeds;
    used++;
  }
  return used;
}

/* The variance over the resamples of what a seed does not share with the others. */
static double own_variance(const double *resampled, size_t seeds, size_t count, size_t seed,
                           const double *means, double *scratch) {
  size_t used = 0;
  for (size_t k = 0; k < count; k++) {
    if (!is_defined(resampled, seeds, count, k)) continue;
    scratch[used] = resampled[seed * count + k] - means[used];
    used++;
  }
  return pow(stats_deviation(scratch, used), 2);
}

err resampled_mean(const double *values, const double *resampled, size_t seeds, size_t count,
                   crossed_mean *m) {
  *m = (crossed_mean){stats_mean(values, seeds), NAN, NAN, NAN, NAN, NAN, NAN};
  double *means = mem_zeroed(count, sizeof *means), *scratch = mem_zeroed(count, sizeof *scratch);
  size_t used = means && scratch ? average(resampled, seeds, count, means) : 0;
  err error = means && scratch ? NULL : mem_error(count * sizeof *means, "an interval");
  if (!error && used > 1 && used >= count - count / 20) {
    crossed_squares v = {pow(stats_deviation(means, used), 2), NAN, 0};
    if (seeds > 1) v.seeds = pow(stats_deviation(values, seeds), 2) / (double)seeds;
    for (size_t s = 0; s < seeds && seeds > 1; s++)
      v.rest +=
          own_variance(resampled, seeds, count, s, means, scratch) / (double)((seeds - 1) * seeds);
    crossed_combine(&v, seeds, m);
    m->low = m->mean - 1.959964 * m->error;
    m->high = m->mean + 1.959964 * m->error;
  }
  free(means);
  free(scratch);
  return error;
}
