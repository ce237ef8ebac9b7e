#include "cpu/tile.h"

enum { MOST_ROWS = 8, MOST_VECTORS = 4 };

#define INLINE static inline __attribute__((always_inline))

/* Inlined with constant rows and vectors, so that `sum` stays in registers. */
INLINE void tile(int rows, int vectors, int64_t k, const float *restrict a, int64_t a_row,
                 int64_t a_column, const float *restrict b, int64_t b_row, float *restrict c,
                 int64_t c_row, bool accumulate) {
  tile_vector sum[MOST_ROWS][MOST_VECTORS];
#pragma GCC unroll 8
  for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
    for (int j = 0; j < vectors; j++)
      sum[i][j] =
          accumulate ? *(const tile_vector *)(c + i * c_row + j * TILE_LANES) : (tile_vector){0};
  for (int64_t at = 0; at < k; at++) {
    tile_vector column[MOST_VECTORS];
#pragma GCC unroll 4
    for (int j = 0; j < vectors; j++)
      column[j] = *(const tile_vector *)(b + at * b_row + j * TILE_LANES);
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++) {
      float value = a[i * a_row + at * a_column];
#pragma GCC unroll 4
      for (int j = 0; j < vectors; j++) sum[i][j] += value * column[j];
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
    for (int j = 0; j < vectors; j++) *(tile_vector *)(c + i * c_row + j * TILE_LANES) = sum[i][j];
}

/* `vectors` vectors of columns, `rows` rows at a time, then the remaining rows. */
INLINE void stripe(int rows, int vectors, int64_t m, int64_t k, const float *a, int64_t a_row,
                   int64_t a_column, const float *b, int64_t b_row, float *c, int64_t c_row,
                   bool accumulate) {
  int64_t i = 0;
  for (; i + rows <= m; i += rows)
    tile(rows, vectors, k, a + i * a_row, a_row, a_column, b, b_row, c + i * c_row, c_row,
         accumulate);
  a += i * a_row;
  c += i * c_row;
#define LEFT(count)                                                                                \
  case count:                                                                                      \
    if (count < rows) tile(count, vectors, k, a, a_row, a_column, b, b_row, c, c_row, accumulate); \
    break;
  switch (m - i) {
    LEFT(7)
    LEFT(6)
    LEFT(5)
    LEFT(4)
    LEFT(3)
    LEFT(2)
    LEFT(1)
  default:
    break;
  }
}

#define STRIPE(rows, vectors)                                                                      \
  static void stripe_##vectors(int64_t m, int64_t k, const float *a, int64_t a_row,                \
                               int64_t a_column, const float *b, int64_t b_row, float *c,          \
                               int64_t c_row, bool accumulate) {                                   \
    stripe(rows, vectors, m, k, a, a_row, a_column, b, b_row, c, c_row, accumulate);               \
  }

enum { HAS_MANY = TILE_REGISTERS == 32 };
STRIPE(HAS_MANY ? 6 : 8, 1)
STRIPE(6, 2)
STRIPE(HAS_MANY ? 6 : 4, 3)
#if defined __AVX512F__ || defined __aarch64__
STRIPE(6, 4)
#endif

void tile_gemm(int64_t m, int64_t n, int64_t k, const float *a, int64_t a_row, int64_t a_column,
               const float *b, int64_t b_row, float *c, int64_t c_row, bool accumulate) {
  int64_t vectors = (n + TILE_LANES - 1) / TILE_LANES;
  while (vectors > 0) {
    /* with few registers an odd count ends with three: a single one would keep too few sums in
     * flight */
    int64_t now = !HAS_MANY && vectors == 3         ? 3
                  : vectors < (int64_t)TILE_VECTORS ? vectors
                                                    : TILE_VECTORS;
    switch (now) {
    case 1:
      stripe_1(m, k, a, a_row, a_column, b, b_row, c, c_row, accumulate);
      break;
    case 2:
      stripe_2(m, k, a, a_row, a_column, b, b_row, c, c_row, accumulate);
      break;
    case 3:
      stripe_3(m, k, a, a_row, a_column, b, b_row, c, c_row, accumulate);
      break;
#if defined __AVX512F__ || defined __aarch64__
    default:
      stripe_4(m, k, a, a_row, a_column, b, b_row, c, c_row, accumulate);
      break;
#endif
    }
    vectors -= now;
    b += now * TILE_LANES;
    c += now * TILE_LANES;
  }
}

/* ---- transposition: blocks of four by four, which every processor transposes in registers ---- */

enum { SIDE = 4 };
typedef float four __attribute__((vector_size(16), aligned(4), may_alias));
typedef int32_t four_places __attribute__((vector_size(16)));

#ifdef __clang__
#define SHUFFLE(a, b, i, j, k, l) __builtin_shufflevector(a, b, i, j, k, l)
#else
#define SHUFFLE(a, b, i, j, k, l) __builtin_shuffle(a, b, (four_places){i, j, k, l})
#endif

INLINE void turn_block(float scale, const float *restrict from, int64_t from_row,
                       float *restrict to, int64_t to_row) {
  four r0 = *(const four *)from, r1 = *(const four *)(from + from_row);
  four r2 = *(const four *)(from + 2 * from_row), r3 = *(const four *)(from + 3 * from_row);
  four low01 = SHUFFLE(r0, r1, 0, 4, 1, 5), high01 = SHUFFLE(r0, r1, 2, 6, 3, 7);
  four low23 = SHUFFLE(r2, r3, 0, 4, 1, 5), high23 = SHUFFLE(r2, r3, 2, 6, 3, 7);
  *(four *)to = scale * SHUFFLE(low01, low23, 0, 1, 4, 5);
  *(four *)(to + to_row) = scale * SHUFFLE(low01, low23, 2, 3, 6, 7);
  *(four *)(to + 2 * to_row) = scale * SHUFFLE(high01, high23, 0, 1, 4, 5);
  *(four *)(to + 3 * to_row) = scale * SHUFFLE(high01, high23, 2, 3, 6, 7);
}

void tile_transpose(int64_t rows, int64_t columns, float scale, const float *restrict from,
                    int64_t from_row, float *restrict to, int64_t to_row) {
  int64_t whole_rows = rows / SIDE * SIDE, whole_columns = columns / SIDE * SIDE;
  for (int64_t j = 0; j < whole_columns; j += SIDE)
    for (int64_t i = 0; i < whole_rows; i += SIDE)
      turn_block(scale, from + i * from_row + j, from_row, to + j * to_row + i, to_row);
  for (int64_t j = 0; j < columns; j++) {
    int64_t i = j < whole_columns ? whole_rows : 0;
    for (; i < rows; i++) to[j * to_row + i] = scale * from[i * from_row + j];
    for (; i < tile_padded(rows); i++) to[j * to_row + i] = 0;
  }
}
