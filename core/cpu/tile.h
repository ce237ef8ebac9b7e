/* A small matrix product in registers for attention, where each head's matrices fit the caches.
 *
 * c [m,n] (+)= a b, fp32. a(i,k) = a[i * a_row + k * a_column], so that a transpose costs nothing;
 * b and c have their columns padded to a multiple of 16 floats, which are computed too.
 * Bound: the multiply-add rate; six rows by four vectors keep 24 sums in flight. */
#ifndef FLIP_CPU_TILE_H
#define FLIP_CPU_TILE_H

#include <stdbool.h>
#include <stdint.h>

enum { TILE_LANES = 16, TILE_ROWS = 6 };

typedef float tile_vector __attribute__((vector_size(64), aligned(4), may_alias));

static inline int64_t tile_padded(int64_t n) {
  return (n + TILE_LANES - 1) / TILE_LANES * TILE_LANES;
}

void tile_gemm(int64_t m, int64_t n, int64_t k, const float *a, int64_t a_row, int64_t a_column,
               const float *b, int64_t b_row, float *c, int64_t c_row, bool accumulate);

#endif
