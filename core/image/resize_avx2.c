/* The passes with AVX2. Bound: instructions issued.
 *
 * Horizontally, four taps of a row are processed at once: vpmaddwd multiplies pairs of 16-bit
 * numbers, so a 22-bit weight is split into two parts, and the sums of both are combined at the
 * end, exactly. Six instructions for twelve multiply-adds. Tried and slower: 32-bit lanes of four
 * rows (vpmulld, and more loads than products); six times slower. */
#include "image/resize_passes.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define AVX2 __attribute__((target("avx2")))
enum { ROWS = 4, LOADED = 16 }; /* rows at once; bytes read for a group */

/* Combines low parts, high parts and the two halves' taps into one [r, g, b, -] of whole sums. */
AVX2 static inline __m128i add_up(__m256i high, __m256i low) {
  __m256i sums = _mm256_add_epi32(_mm256_slli_epi32(high, RESIZE_LOW_BITS), low);
  __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
  sum = _mm_add_epi32(sum, _mm_set1_epi32(1 << (RESIZE_PRECISION_BITS - 1)));
  sum = _mm_srai_epi32(sum, RESIZE_PRECISION_BITS);
  return _mm_packus_epi16(_mm_packs_epi32(sum, sum), _mm_setzero_si128());
}

/* `rows` is a constant wherever this is inlined. */
AVX2 static inline __attribute__((always_inline)) void
across_rows(const uint8_t *in, size_t in_stride, int32_t rows, const resize_kernel *k,
            bool is_flipped, uint8_t *out, size_t out_stride) {
  /* pixels 0 and 1 to words r0 r1 g0 g1 b0 b1 - -, pixels 2 and 3 to the upper half */
  const __m256i spread =
      _mm256_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1, 6, -1, 9, -1, 7,
                       -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1);
  for (int32_t i = 0; i < k->count; i++) {
    const int16_t *parts = k->parts + (size_t)i * (size_t)k->groups * RESIZE_GROUP_WORDS;
    const uint8_t *from = in + (size_t)k->starts[i] * 3;
    __m256i high[ROWS], low[ROWS];
    for (int32_t y = 0; y < rows; y++) high[y] = low[y] = _mm256_setzero_si256();
    for (int32_t taps = 0; taps < k->lengths[i]; taps += RESIZE_GROUP) {
      __m256i high_part = _mm256_loadu_si256((const __m256i *)(const void *)parts);
      __m256i low_part = _mm256_loadu_si256((const __m256i *)(const void *)(parts + 16));
      for (int32_t y = 0; y < rows; y++) {
        const void *at = from + (size_t)y * in_stride;
        __m256i pixels = _mm256_shuffle_epi8(
            _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)at)), spread);
        high[y] = _mm256_add_epi32(high[y], _mm256_madd_epi16(pixels, high_part));
        low[y] = _mm256_add_epi32(low[y], _mm256_madd_epi16(pixels, low_part));
      }
      from += 3 * RESIZE_GROUP;
      parts += RESIZE_GROUP_WORDS;
    }
    uint8_t *to = out + 3 * (is_flipped ? k->count - 1 - i : i);
    for (int32_t y = 0; y < rows; y++) {
      uint32_t pixel = (uint32_t)_mm_cvtsi128_si32(add_up(high[y], low[y]));
      uint8_t *place = to + (size_t)y * out_stride;
      place[0] = (uint8_t)pixel;
      place[1] = (uint8_t)(pixel >> 8);
      place[2] = (uint8_t)(pixel >> 16);
    }
  }
}

/* Bytes from the start of a row that its groups read. */
static size_t reach_of(const resize_kernel *k) {
  size_t reach = 0;
  for (int32_t i = 0; i < k->count; i++) {
    size_t groups = ((size_t)k->lengths[i] + RESIZE_GROUP - 1) / RESIZE_GROUP;
    size_t end = (size_t)k->starts[i] * 3 + groups * 3 * RESIZE_GROUP + LOADED;
    reach = end > reach ? end : reach;
  }
  return reach;
}

AVX2 static void across(const uint8_t *in, size_t in_stride, int32_t rows, size_t readable,
                        const resize_kernel *k, bool is_flipped, uint8_t *out, size_t out_stride) {
  size_t reach = reach_of(k);
  int32_t safe = rows, y = 0; /* rows after which enough bytes are readable */
  while (safe > 0 && readable + (size_t)(rows - safe) * in_stride < reach) safe--;
  for (; y + ROWS <= safe; y += ROWS)
    across_rows(in + (size_t)y * in_stride, in_stride, ROWS, k, is_flipped,
                out + (size_t)y * out_stride, out_stride);
  for (; y < safe; y++)
    across_rows(in + (size_t)y * in_stride, in_stride, 1, k, is_flipped,
                out + (size_t)y * out_stride, out_stride);
  resize_portable_passes()->across(in + (size_t)y * in_stride, in_stride, rows - y, readable, k,
                                   is_flipped, out + (size_t)y * out_stride, out_stride);
}

AVX2 static void down(const uint8_t *in, size_t stride, const int32_t *weights, int32_t rows,
                      uint8_t *out) {
  enum { BLOCK = 32, LANES = 8 };
  size_t start = 0;
  for (; start + BLOCK <= stride; start += BLOCK) {
    __m256i sums[BLOCK / LANES];
    for (size_t i = 0; i < BLOCK / LANES; i++)
      sums[i] = _mm256_set1_epi32(1 << (RESIZE_PRECISION_BITS - 1));
    for (int32_t y = 0; y < rows; y++) {
      const uint8_t *row = in + (size_t)y * stride + start;
      __m256i weight = _mm256_set1_epi32(weights[y]);
      for (size_t i = 0; i < BLOCK / LANES; i++) {
        __m128i bytes = _mm_loadl_epi64((const __m128i *)(const void *)(row + LANES * i));
        sums[i] =
            _mm256_add_epi32(sums[i], _mm256_mullo_epi32(_mm256_cvtepu8_epi32(bytes), weight));
      }
    }
    for (size_t i = 0; i < BLOCK / LANES; i++)
      sums[i] = _mm256_srai_epi32(sums[i], RESIZE_PRECISION_BITS);
    /* packing works within 128-bit lanes: restores the order at the end */
    __m256i bytes = _mm256_packus_epi16(_mm256_packs_epi32(sums[0], sums[1]),
                                        _mm256_packs_epi32(sums[2], sums[3]));
    bytes = _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    _mm256_storeu_si256((__m256i *)(void *)(out + start), bytes);
  }
  for (; start < stride; start++) {
    int32_t sum = 1 << (RESIZE_PRECISION_BITS - 1);
    for (int32_t y = 0; y < rows; y++) sum += in[(size_t)y * stride + start] * weights[y];
    out[start] = resize_to_byte(sum);
  }
}

const resize_passes *resize_avx2_passes(void) {
  static const resize_passes passes = {across, down};
  return __builtin_cpu_supports("avx2") ? &passes : NULL;
}
#else
const resize_passes *resize_avx2_passes(void) {
  return NULL;
}
#endif
