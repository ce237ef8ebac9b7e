/* A small matrix product in registers for attention, where each head's matrices fit the caches.
 *
 * c [m,n] (+)= a b, fp32. a(i,k) = a[i * a_row + k * a_column], so that a transpose costs nothing;
 * b and c have their columns padded to a multiple of TILE_LANES floats, which are computed too.
 * Bound: the multiply-add rate. How many sums stay in registers is the variant's:
 *
 *   registers         rows x vectors at once    sums in flight
 *   32 of 16 lanes    6 x 4                     24   AVX-512
 *   32 of 4 lanes     6 x 4                     24   NEON
 *   16 of 8 lanes     6 x 2, 4 x 3              12   AVX2
 *   16 of 4 lanes     6 x 2, 4 x 3              12   SSE, and elsewhere */
#ifndef FLIP_CPU_TILE_H
#define FLIP_CPU_TILE_H

#include <stdbool.h>
#include <stdint.h>

#include "cpu/kernel.h"

#if defined __AVX512F__
enum { TILE_LANES = 16, TILE_VECTORS = 4, TILE_REGISTERS = 32 };
#elif defined __AVX2__
enum { TILE_LANES = 8, TILE_VECTORS = 2, TILE_REGISTERS = 16 };
#elif defined __aarch64__
enum { TILE_LANES = 4, TILE_VECTORS = 4, TILE_REGISTERS = 32 };
#else
enum { TILE_LANES = 4, TILE_VECTORS = 2, TILE_REGISTERS = 16 };
#endif

typedef float tile_vector
    __attribute__((vector_size(TILE_LANES * sizeof(float)), aligned(4), may_alias));

static inline int64_t tile_padded(int64_t n) {
  return (n + TILE_LANES - 1) / TILE_LANES * TILE_LANES;
}

#define tile_gemm CPU_KERNEL(tile_gemm)
void tile_gemm(int64_t m, int64_t n, int64_t k, const float *a, int64_t a_row, int64_t a_column,
               const float *b, int64_t b_row, float *c, int64_t c_row, bool accumulate);

/* to [columns, to_row] = scale * from [rows, from_row] transposed; the columns of `to` from `rows`
 * up to the next multiple of TILE_LANES become zeros. */
#define tile_transpose CPU_KERNEL(tile_transpose)
void tile_transpose(int64_t rows, int64_t columns, float scale, const float *from, int64_t from_row,
                    float *to, int64_t to_row);

#endif
