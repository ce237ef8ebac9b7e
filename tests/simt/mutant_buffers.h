/* Buffers of the simulated device for the tests of mutants: the same numbers in every run. */
#ifndef FLIP_SIMT_MUTANT_BUFFERS_H
#define FLIP_SIMT_MUTANT_BUFFERS_H

#include "base/rng.h"
#include "simt/simt.h"
#include "support/ops_reference.h"
#include "support/test.h"

static ops_buffer random_buffer(ops_type type, int64_t count, uint64_t stream) {
  ops_buffer b = {simt_allocate((size_t)count * ops_size_of(type)), type};
  rng r = rng_at(7, RNG_TEST, 0, stream);
  assert_non_null(b.data);
  for (int64_t i = 0; i < count; i++) reference_set(b, i, rng_normal(&r));
  return b;
}

static void keep(float *to, ops_buffer from, int64_t count) {
  for (int64_t i = 0; i < count; i++) to[i] = (float)reference_get(from, i);
}

#endif
