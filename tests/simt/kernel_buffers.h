/* Buffers of the simulated device for the tests of launchers. */
#ifndef FLIP_SIMT_KERNEL_BUFFERS_H
#define FLIP_SIMT_KERNEL_BUFFERS_H

#include <math.h>

#include "base/rng.h"
#include "simt/simt.h"
#include "support/ops_reference.h"
#include "support/test.h"

static inline ops_buffer buffer_of(ops_type type, int64_t count) {
  ops_buffer b = {simt_allocate((size_t)count * ops_size_of(type)), type};
  assert_non_null(b.data);
  return b;
}

static inline ops_buffer random_buffer(ops_type type, int64_t count, uint64_t stream) {
  ops_buffer b = buffer_of(type, count);
  rng r = rng_at(7, RNG_TEST, 0, stream);
  for (int64_t i = 0; i < count; i++) reference_set(b, i, rng_normal(&r));
  return b;
}

static inline void assert_launched(int failed) {
  if (failed) fail_msg("%s", simt_message());
}

/* Largest |x|, NaN counting as nothing. */
static inline float largest_of(ops_buffer x, int64_t count) {
  double most = 0;
  for (int64_t i = 0; i < count; i++) most = fmax(most, fabs(reference_get(x, i)));
  return (float)most;
}

#endif
