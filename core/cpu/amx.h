/* Products of small bf16 matrices in AMX's tiles, with fp32 sums, and the layouts that they need.
 *
 * A tile has 16 rows of 64 bytes: 16 x 32 bf16 as left operand, 16 x 16 fp32 as sums, and as right
 * operand 32 x 16 bf16 whose rows are interleaved in pairs: row i has b(2i, j), b(2i + 1, j) for j
 * from 0 to 15. amx_pack_rows makes right operands from a matrix stored [k, n], amx_pack_columns
 * from one stored [n, k]; both zero-pad to whole tiles. Bound: one product of tiles per 16 cycles,
 * if the vector units do not take longer to prepare operands. */
#ifndef FLIP_CPU_AMX_H
#define FLIP_CPU_AMX_H

#include <immintrin.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { AMX_SIDE = 16, AMX_DEPTH = 32, AMX_TILE_BYTES = 1024, AMX_ROW_BYTES = 64 };

static inline int64_t amx_tiles(int64_t count, int64_t of) {
  return (count + of - 1) / of;
}

/* All tiles of the calling thread: 16 full rows. Until amx_end, and not across a call of a library
 * that uses tiles itself. */
static inline void amx_begin(void) {
  struct {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
  } layout = {.palette = 1};
  for (int i = 0; i < 8; i++) layout.row_bytes[i] = AMX_ROW_BYTES, layout.rows[i] = AMX_SIDE;
  __asm__ volatile("ldtilecfg %0" ::"m"(layout));
}

static inline void amx_end(void) {
  __asm__ volatile("tilerelease" ::: "memory");
}

/* The compiler's own intrinsics do not say that a load reads memory. */
#define AMX_LOAD(tile, at, row)                                                                    \
  __asm__ volatile("tileloadd (%0,%1,1), %%tmm" #tile ::"r"(at), "r"(row) : "memory")
#define AMX_STORE(tile, at, row)                                                                   \
  __asm__ volatile("tilestored %%tmm" #tile ", (%0,%1,1)" ::"r"(at), "r"(row) : "memory")
#define AMX_ZERO(tile) __asm__ volatile("tilezero %%tmm" #tile ::)
#define AMX_MULTIPLY(sum, left, right)                                                             \
  __asm__ volatile("tdpbf16ps %%tmm" #right ", %%tmm" #left ", %%tmm" #sum ::)

/* A left operand: rows are `row` bytes apart, tiles `down` and `right`. */
typedef struct {
  const char *at;
  int64_t row, down, right;
} amx_left;

/* A right operand, packed: a tile's rows follow each other, tiles are `deeper` and `beside` bytes
 * apart. */
typedef struct {
  char *at;
  int64_t deeper, beside;
} amx_right;

static inline amx_left amx_left_of_rows(const uint16_t *at, int64_t width) {
  return (amx_left){(const char *)at, width * 2, width * 2 * AMX_SIDE, AMX_ROW_BYTES};
}

/* Tiles of all columns, one after another, then those that are deeper. */
static inline amx_right amx_right_across(void *at, int64_t columns) {
  return (amx_right){at, amx_tiles(columns, AMX_SIDE) * AMX_TILE_BYTES, AMX_TILE_BYTES};
}

static inline amx_right amx_beside(amx_right b, int64_t tiles) {
  b.at += tiles * b.beside;
  return b;
}

#define AMX_INLINE static inline __attribute__((always_inline))

/* Adds one step of depth to up to 2 x 2 tiles of sums: 0 and 1 above, 2 and 3 below. */
AMX_INLINE void amx_step(const char *upper, const char *lower, int64_t row, const char *left,
                         const char *right) {
  const int64_t packed = AMX_ROW_BYTES;
  AMX_LOAD(4, upper, row);
  AMX_LOAD(6, left, packed);
  AMX_MULTIPLY(0, 4, 6);
  if (right) {
    AMX_LOAD(7, right, packed);
    AMX_MULTIPLY(1, 4, 7);
  }
  if (lower) {
    AMX_LOAD(5, lower, row);
    AMX_MULTIPLY(2, 5, 6);
    if (right) AMX_MULTIPLY(3, 5, 7);
  }
}

AMX_INLINE void amx_zero(void) {
  AMX_ZERO(0);
  AMX_ZERO(1);
  AMX_ZERO(2);
  AMX_ZERO(3);
}

AMX_INLINE void amx_store(float *c, int64_t c_row, bool has_lower, bool has_right) {
  const int64_t bytes = c_row * 4;
  float *lower = c + AMX_SIDE * c_row;
  AMX_STORE(0, c, bytes);
  if (has_right) AMX_STORE(1, c + AMX_SIDE, bytes);
  if (has_lower) AMX_STORE(2, lower, bytes);
  if (has_lower && has_right) AMX_STORE(3, lower + AMX_SIDE, bytes);
}

AMX_INLINE void amx_load(const float *c, int64_t c_row, bool has_lower, bool has_right) {
  const int64_t bytes = c_row * 4;
  const float *lower = c + AMX_SIDE * c_row;
  AMX_LOAD(0, c, bytes);
  if (has_right) AMX_LOAD(1, c + AMX_SIDE, bytes);
  if (has_lower) AMX_LOAD(2, lower, bytes);
  if (has_lower && has_right) AMX_LOAD(3, lower + AMX_SIDE, bytes);
}

/* `depth` steps. */
AMX_INLINE void amx_block(int64_t depth, amx_left a, amx_right b, bool has_lower, bool has_right) {
  const char *upper = a.at, *lower = a.at + a.down, *left = b.at, *right = b.at + b.beside;
  if (has_lower && has_right)
    for (int64_t k = 0; k < depth; k++)
      amx_step(upper + k * a.right, lower + k * a.right, a.row, left + k * b.deeper,
               right + k * b.deeper);
  else
    for (int64_t k = 0; k < depth; k++)
      amx_step(upper + k * a.right, has_lower ? lower + k * a.right : NULL, a.row,
               left + k * b.deeper, has_right ? right + k * b.deeper : NULL);
}

/* c [16 m, 16 n] = a b: m x n tiles, `depth` deep; rows of c are `c_row` floats apart. */
static inline void amx_product(int64_t m, int64_t n, int64_t depth, amx_left a, amx_right b,
                               float *c, int64_t c_row) {
  for (int64_t i = 0; i < m; i += 2, a.at += 2 * a.down) {
    amx_right right = b;
    for (int64_t j = 0; j < n; j += 2, right.at += 2 * b.beside) {
      amx_zero();
      amx_block(depth, a, right, i + 1 < m, j + 1 < n);
      amx_store(c + i * AMX_SIDE * c_row + j * AMX_SIDE, c_row, i + 1 < m, j + 1 < n);
    }
  }
}

/* Lane l of the result: 16 bytes at `at` + l * `step`. */
AMX_INLINE __m512i amx_lanes(const char *at, int64_t step) {
  __m512i r = _mm512_castsi128_si512(_mm_loadu_si128((const __m128i *)at));
  r = _mm512_inserti32x4(r, _mm_loadu_si128((const __m128i *)(at + step)), 1);
  r = _mm512_inserti32x4(r, _mm_loadu_si128((const __m128i *)(at + 2 * step)), 2);
  return _mm512_inserti32x4(r, _mm_loadu_si128((const __m128i *)(at + 3 * step)), 3);
}

/* to [16, 16] = from [16, 16] transposed, 32-bit numbers; rows `row` and 64 bytes apart. Of each
 * four rows that are four apart lanes are loaded, so that what is left is a transpose of four by
 * four within each lane. */
AMX_INLINE void amx_transpose(const void *from, int64_t row, void *to) {
#pragma GCC unroll 4
  for (int h = 0; h < 4; h++) {
    const char *at = (const char *)from + 16 * h;
    __m512i a = amx_lanes(at, 4 * row), b = amx_lanes(at + row, 4 * row);
    __m512i c = amx_lanes(at + 2 * row, 4 * row), d = amx_lanes(at + 3 * row, 4 * row);
    __m512i ab = _mm512_unpacklo_epi32(a, b), cd = _mm512_unpacklo_epi32(c, d);
    __m512i ab2 = _mm512_unpackhi_epi32(a, b), cd2 = _mm512_unpackhi_epi32(c, d);
    char *out = (char *)to + 4 * h * AMX_ROW_BYTES;
    _mm512_store_si512(out, _mm512_unpacklo_epi64(ab, cd));
    _mm512_store_si512(out + AMX_ROW_BYTES, _mm512_unpackhi_epi64(ab, cd));
    _mm512_store_si512(out + 2 * AMX_ROW_BYTES, _mm512_unpacklo_epi64(ab2, cd2));
    _mm512_store_si512(out + 3 * AMX_ROW_BYTES, _mm512_unpackhi_epi64(ab2, cd2));
  }
}

/* A left operand: to [16, 32] = from [32, 16] transposed, bf16, likewise with eight by eight. */
AMX_INLINE void amx_transpose_left(const uint16_t *from, int64_t row, char *to) {
#pragma GCC unroll 2
  for (int h = 0; h < 2; h++) {
    const char *at = (const char *)from + 16 * h;
    const int64_t bytes = 2 * row;
    __m512i r[8], t[8];
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++) r[i] = amx_lanes(at + i * bytes, 8 * bytes);
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) { /* pairs of rows */
      t[2 * i] = _mm512_unpacklo_epi16(r[2 * i], r[2 * i + 1]);
      t[2 * i + 1] = _mm512_unpackhi_epi16(r[2 * i], r[2 * i + 1]);
    }
#pragma GCC unroll 2
    for (int i = 0; i < 2; i++) { /* fours: r[4 i + j] has columns 2 j and 2 j + 1 */
      r[4 * i] = _mm512_unpacklo_epi32(t[4 * i], t[4 * i + 2]);
      r[4 * i + 1] = _mm512_unpackhi_epi32(t[4 * i], t[4 * i + 2]);
      r[4 * i + 2] = _mm512_unpacklo_epi32(t[4 * i + 1], t[4 * i + 3]);
      r[4 * i + 3] = _mm512_unpackhi_epi32(t[4 * i + 1], t[4 * i + 3]);
    }
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) {
      char *out = to + (8 * h + 2 * j) * AMX_ROW_BYTES;
      _mm512_store_si512(out, _mm512_unpacklo_epi64(r[j], r[4 + j]));
      _mm512_store_si512(out + AMX_ROW_BYTES, _mm512_unpackhi_epi64(r[j], r[4 + j]));
    }
  }
}

/* Where the words of two rows of 16 go: one of each in turn. */
static inline __m512i amx_pairs(void) {
  return _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22,
                          6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
}

/* Where the words of the first and second halves of two rows of 32 go, as amx_pairs. */
static inline __m512i amx_first_pairs(void) {
  return _mm512_set_epi16(47, 15, 46, 14, 45, 13, 44, 12, 43, 11, 42, 10, 41, 9, 40, 8, 39, 7, 38,
                          6, 37, 5, 36, 4, 35, 3, 34, 2, 33, 1, 32, 0);
}

static inline __m512i amx_second_pairs(void) {
  return _mm512_add_epi16(amx_first_pairs(), _mm512_set1_epi16(AMX_SIDE));
}

/* from [rows, width], rows `row` elements apart, to right operands of depth `rows`. width is a
 * multiple of 16. */
static inline void amx_pack_rows(int64_t rows, int64_t width, const uint16_t *from, int64_t row,
                                 amx_right to) {
  const int64_t pairs = amx_tiles(rows, AMX_DEPTH) * AMX_SIDE;
  const __m512i first = amx_first_pairs(), second = amx_second_pairs();
  for (int64_t i = 0; i < pairs; i++) {
    const uint16_t *upper = from + 2 * i * row, *lower = upper + row;
    const __mmask32 has_upper = 2 * i < rows ? ~0u : 0, has_lower = 2 * i + 1 < rows ? ~0u : 0;
    char *tile = to.at + i / AMX_SIDE * to.deeper + i % AMX_SIDE * AMX_ROW_BYTES;
    for (int64_t j = 0; j < width; j += AMX_DEPTH, tile += 2 * to.beside) {
      const bool is_whole = j + AMX_DEPTH <= width;
      const __mmask32 columns = is_whole ? ~0u : 0xffff;
      __m512i u = _mm512_maskz_loadu_epi16(has_upper & columns, upper + j);
      __m512i l = _mm512_maskz_loadu_epi16(has_lower & columns, lower + j);
      _mm512_store_si512(tile, _mm512_permutex2var_epi16(u, first, l));
      if (is_whole) _mm512_store_si512(tile + to.beside, _mm512_permutex2var_epi16(u, second, l));
    }
  }
}

/* from [rows, width] to right operands of depth `width`, a multiple of 32. */
static inline void amx_pack_columns(int64_t rows, int64_t width, const uint16_t *from, int64_t row,
                                    amx_right to) {
  for (int64_t j = 0; j < rows; j += AMX_SIDE, to.at += to.beside)
    for (int64_t k = 0; k < width / AMX_DEPTH; k++) {
      const uint16_t *at = from + j * row + k * AMX_DEPTH;
      char last[AMX_TILE_BYTES] __attribute__((aligned(64)));
      if (rows - j >= AMX_SIDE) {
        amx_transpose(at, 2 * row, to.at + k * to.deeper);
        continue;
      }
      for (int64_t i = 0; i < AMX_SIDE; i++)
        _mm512_store_si512(last + i * AMX_ROW_BYTES, j + i < rows ? _mm512_loadu_si512(at + i * row)
                                                                  : _mm512_setzero_si512());
      amx_transpose(last, AMX_ROW_BYTES, to.at + k * to.deeper);
    }
}

#endif
