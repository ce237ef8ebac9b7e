#include "stats/ratio.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "stats/summary.h"

typedef struct {
  const double *a, *b;
  double *chosen_a, *chosen_b;
} sides;

static double ratio_of_medians(const size_t *chosen, size_t count, void *context) {
  sides *s = context;
  double a = NAN, b = NAN;
  for (size_t i = 0; i < count; i++) {
    s->chosen_a[i] = s->a[chosen[i]];
    s->chosen_b[i] = s->b[chosen[i]];
  }
  err_free(stats_median(s->chosen_a, count, &a)); /* NaN when memory is short: left out */
  err_free(stats_median(s->chosen_b, count, &b));
  return b / a;
}

err stats_ratio(const double *a, const double *b, size_t rounds, stats_ratio_result *result) {
  enum { RESAMPLES = 2000, LEAST_ROUNDS = 3 };
  /* a difference is found when its interval leaves 1; 80 % of them are when it is
   * (1.960 + 0.842) / 1.960 of the half width away */
  const double power = (1.960 + 0.842) / 1.960;
  sides s = {a, b, mem_zeroed(rounds, sizeof *a), mem_zeroed(rounds, sizeof *b)};
  double median_a, median_b;
  err error = NULL;
  *result = (stats_ratio_result){NAN, NAN, NAN, NAN};
  if (!s.chosen_a || !s.chosen_b) FAIL(ERR_MEMORY, "out of memory: a comparison");
  if (rounds < LEAST_ROUNDS) goto cleanup;
  TRY(stats_median(a, rounds, &median_a));
  TRY(stats_median(b, rounds, &median_b));
  result->ratio = median_b / median_a;
  TRY(stats_bootstrap(rounds, RESAMPLES, 0, ratio_of_medians, &s, &result->low, &result->high));
  result->detectable = power * (result->high - result->low) / 2 / result->ratio;
cleanup:
  free(s.chosen_a);
  free(s.chosen_b);
  return error;
}
