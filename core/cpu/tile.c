#include "cpu/tile.h"

/* Inlined with constant rows and vectors, so that `sum` lives in registers. */
static inline __attribute__((always_inline)) void
tile(int rows, int vectors, int64_t k, const float *restrict a, int64_t a_row, int64_t a_column,
     const float *restrict b, int64_t b_row, float *restrict c, int64_t c_row, bool accumulate) {
  tile_vector sum[TILE_ROWS][4];
#pragma GCC unroll 6
  for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
    for (int j = 0; j < vectors; j++)
      sum[i][j] =
          accumulate ? *(const tile_vector *)(c + i * c_row + j * TILE_LANES) : (tile_vector){0};
  for (int64_t at = 0; at < k; at++) {
    tile_vector column[4];
#pragma GCC unroll 4
    for (int j = 0; j < vectors; j++)
      column[j] = *(const tile_vector *)(b + at * b_row + j * TILE_LANES);
#pragma GCC unroll 6
    for (int i = 0; i < rows; i++) {
      float value = a[i * a_row + at * a_column];
#pragma GCC unroll 4
      for (int j = 0; j < vectors; j++) sum[i][j] += value * column[j];
    }
  }
#pragma GCC unroll 6
  for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
    for (int j = 0; j < vectors; j++) *(tile_vector *)(c + i * c_row + j * TILE_LANES) = sum[i][j];
}

#define STRIPE(vectors)                                                                            \
  static void stripe_##vectors(int64_t m, int64_t k, const float *a, int64_t a_row,                \
                               int64_t a_column, const float *b, int64_t b_row, float *c,          \
                               int64_t c_row, bool accumulate) {                                   \
    int64_t i = 0;                                                                                 \
    for (; i + TILE_ROWS <= m; i += TILE_ROWS)                                                     \
      tile(TILE_ROWS, vectors, k, a + i * a_row, a_row, a_column, b, b_row, c + i * c_row, c_row,  \
           accumulate);                                                                            \
    a += i * a_row;                                                                                \
    c += i * c_row;                                                                                \
    switch (m - i) {                                                                               \
    case 5:                                                                                        \
      tile(5, vectors, k, a, a_row, a_column, b, b_row, c, c_row, accumulate);                     \
      break;                                                                                       \
    case 4:                                                                                        \
      tile(4, vectors, k, a, a_row, a_column, b, b_row, c, c_row, accumulate);                     \
      break;                                                                                       \
    case 3:                                                                                        \
      tile(3, vectors, k, a, a_row, a_column, b, b_row, c, c_row, accumulate);                     \
      break;                                                                                       \
    case 2:                                                                                        \
      tile(2, vectors, k, a, a_row, a_column, b, b_row, c, c_row, accumulate);                     \
      break;                                                                                       \
    case 1:                                                                                        \
      tile(1, vectors, k, a, a_row, a_column, b, b_row, c, c_row, accumulate);                     \
      break;                                                                                       \
    default:                                                                                       \
      break;                                                                                       \
    }                                                                                              \
  }

STRIPE(1)
STRIPE(2)
STRIPE(3)
STRIPE(4)

void tile_gemm(int64_t m, int64_t n, int64_t k, const float *a, int64_t a_row, int64_t a_column,
               const float *b, int64_t b_row, float *c, int64_t c_row, bool accumulate) {
  for (int64_t j = 0; j < n; j += 4 * TILE_LANES) {
    switch ((n - j + TILE_LANES - 1) / TILE_LANES) {
    case 1:
      stripe_1(m, k, a, a_row, a_column, b + j, b_row, c + j, c_row, accumulate);
      break;
    case 2:
      stripe_2(m, k, a, a_row, a_column, b + j, b_row, c + j, c_row, accumulate);
      break;
    case 3:
      stripe_3(m, k, a, a_row, a_column, b + j, b_row, c + j, c_row, accumulate);
      break;
    default:
      stripe_4(m, k, a, a_row, a_column, b + j, b_row, c + j, c_row, accumulate);
      break;
    }
  }
}
