/* For the tests of stats/: numbers that are near, and series that are drawn. */
#ifndef FLIP_TESTS_STATS_NUMBERS_H
#define FLIP_TESTS_STATS_NUMBERS_H

#include "support/test.h"

#include <math.h>

#include "base/rng.h"

static inline void assert_near(double value, double wanted, double tolerance) {
  if (!(fabs(value - wanted) <= tolerance)) fail_msg("%.10g is not %.10g", value, wanted);
}

/* `count` values around 100 with a deviation of 1; from `change` on, `shift` more. */
static inline void make_series(double *values, size_t count, size_t change, double shift,
                               uint64_t seed) {
  for (size_t i = 0; i < count; i++) {
    rng r = rng_at(seed, RNG_TEST, i, 0);
    values[i] = 100 + rng_normal(&r) + (i >= change ? shift : 0);
  }
}

#endif
