#include "base/rng.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#if defined __x86_64__
#include <immintrin.h>
#endif

/* Counters in, blocks out, in place: word w of `lanes` blocks is in cw. Inlined, so that the number
 * of lanes is a constant to the compiler. */
static inline __attribute__((always_inline)) void philox_rounds(int lanes, uint32_t *c0,
                                                                uint32_t *c1, uint32_t *c2,
                                                                uint32_t *c3,
                                                                const uint32_t key[2]) {
  uint32_t k0 = key[0], k1 = key[1];
  for (int round = 0; round < 10; round++) {
    for (int i = 0; i < lanes; i++) {
      uint64_t p0 = (uint64_t)0xD2511F53u * c0[i], p1 = (uint64_t)0xCD9E8D57u * c2[i];
      uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1[i] ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c3[i] ^ k1;
      c1[i] = (uint32_t)p1;
      c3[i] = (uint32_t)p0;
      c0[i] = n0;
      c2[i] = n2;
    }
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
}

void rng_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]) {
  uint32_t c[4] = {counter[0], counter[1], counter[2], counter[3]};
  philox_rounds(1, &c[0], &c[1], &c[2], &c[3], key);
  memcpy(out, c, sizeof c);
}

rng rng_at(uint64_t seed, rng_stream stream, uint64_t step, uint64_t index) {
  /* The stream is folded into the key by one pass, which leaves 96 counter bits: word 0 counts
   * draws, words 1 to 3 hold index (56 bits) and step (40 bits). */
  rng r = {.used = 4};
  const uint32_t seed_key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
  const uint32_t stream_counter[4] = {(uint32_t)stream, 0x464C4950u, 0, 0};
  uint32_t mixed[4];
  rng_philox(stream_counter, seed_key, mixed);
  r.key[0] = mixed[0];
  r.key[1] = mixed[1];
  r.counter[1] = (uint32_t)index;
  r.counter[2] = (uint32_t)(index >> 32 & 0xFFFFFFu) | (uint32_t)(step >> 32 & 0xFFu) << 24;
  r.counter[3] = (uint32_t)step;
  return r;
}

uint32_t rng_u32(rng *r) {
  if (r->used == 4) {
    rng_philox(r->counter, r->key, r->block);
    r->counter[0]++;
    r->used = 0;
  }
  return r->block[r->used++];
}

/* Blocks counter[0] to counter[0] + LANES - 1. */
enum { LANES = 4 };
static void next_blocks(const rng *r, uint32_t out[4 * LANES]) {
  uint32_t c[4][LANES];
  for (uint32_t i = 0; i < LANES; i++) {
    c[0][i] = r->counter[0] + i;
    for (int word = 1; word < 4; word++) c[word][i] = r->counter[word];
  }
  philox_rounds(LANES, c[0], c[1], c[2], c[3], r->key);
  for (int i = 0; i < LANES; i++)
    for (int word = 0; word < 4; word++) out[4 * i + word] = c[word][i];
}

#if defined __x86_64__
#define AVX2 __attribute__((target("avx2")))

/* The products of eight words and a constant: their upper and lower halves. */
AVX2 static inline void multiply_eight(__m256i x, __m256i by, __m256i *high, __m256i *low) {
  __m256i even = _mm256_mul_epu32(x, by), odd = _mm256_mul_epu32(_mm256_srli_epi64(x, 32), by);
  *low = _mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xAA);
  *high = _mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xAA);
}

AVX2 static inline void store_halves(uint32_t *out, __m256i first, __m256i second, size_t apart) {
  _mm256_storeu_si256((__m256i *)(void *)out, _mm256_permute2x128_si256(first, second, 0x20));
  _mm256_storeu_si256((__m256i *)(void *)(out + apart),
                      _mm256_permute2x128_si256(first, second, 0x31));
}

/* philox_rounds of eight blocks, in registers. */
AVX2 static inline void eight_rounds(__m256i c[4], const uint32_t key[2]) {
  const __m256i m0 = _mm256_set1_epi32((int)0xD2511F53u), m1 = _mm256_set1_epi32((int)0xCD9E8D57u);
  uint32_t k0 = key[0], k1 = key[1];
  for (int round = 0; round < 10; round++, k0 += 0x9E3779B9u, k1 += 0xBB67AE85u) {
    __m256i high0, low0, high1, low1;
    multiply_eight(c[0], m0, &high0, &low0);
    multiply_eight(c[2], m1, &high1, &low1);
    c[0] = _mm256_xor_si256(_mm256_xor_si256(high1, c[1]), _mm256_set1_epi32((int)k0));
    c[2] = _mm256_xor_si256(_mm256_xor_si256(high0, c[3]), _mm256_set1_epi32((int)k1));
    c[1] = low1;
    c[3] = low0;
  }
}

enum { EIGHT = 8 };
#define COUNT_TO_SEVEN _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)

/* Blocks counter[0] to counter[0] + 7, with AVX2: a third of the time of next_blocks. */
AVX2 static void next_eight(const rng *r, uint32_t out[4 * EIGHT]) {
  __m256i c[4];
  for (int word = 0; word < 4; word++) c[word] = _mm256_set1_epi32((int)r->counter[word]);
  c[0] = _mm256_add_epi32(c[0], COUNT_TO_SEVEN);
  eight_rounds(c, r->key);
  /* from a word of each block to blocks of four words */
  __m256i a = _mm256_unpacklo_epi32(c[0], c[1]), b = _mm256_unpackhi_epi32(c[0], c[1]),
          d = _mm256_unpacklo_epi32(c[2], c[3]), e = _mm256_unpackhi_epi32(c[2], c[3]);
  store_halves(out, _mm256_unpacklo_epi64(a, d), _mm256_unpackhi_epi64(a, d), 16);
  store_halves(out + 8, _mm256_unpacklo_epi64(b, e), _mm256_unpackhi_epi64(b, e), 16);
}

/* The first blocks of eight places whose numbers differ only in their low words. */
AVX2 static void first_eight(const rng *at, uint32_t *words) {
  __m256i c[4];
  for (int word = 1; word < 4; word++) c[word] = _mm256_set1_epi32((int)at->counter[word]);
  c[0] = _mm256_setzero_si256();
  c[1] = _mm256_add_epi32(c[1], COUNT_TO_SEVEN);
  eight_rounds(c, at->key);
  for (int word = 0; word < 4; word++)
    _mm256_storeu_si256((__m256i *)(void *)(words + word * RNG_PLACES), c[word]);
}

/* The number of words written: a multiple of eight blocks. */
static size_t fill_eights(rng *r, uint32_t *out, size_t count) {
  if (!__builtin_cpu_supports("avx2")) return 0;
  size_t done = 0;
  for (; count - done >= 4 * EIGHT; done += 4 * EIGHT) {
    next_eight(r, out + done);
    r->counter[0] += EIGHT;
  }
  return done;
}

/* False where it cannot, or where the numbers pass a low word's end. */
static bool first_eights(rng at, uint32_t words[4][RNG_PLACES]) {
  if (!__builtin_cpu_supports("avx2") || at.counter[1] > UINT32_MAX - RNG_PLACES) return false;
  for (int i = 0; i < RNG_PLACES; i += EIGHT, at.counter[1] += EIGHT)
    first_eight(&at, words[0] + i);
  return true;
}
#else
static bool first_eights(rng at, uint32_t words[4][RNG_PLACES]) {
  (void)at, (void)words;
  return false;
}

static size_t fill_eights(rng *r, uint32_t *out, size_t count) {
  (void)r, (void)out, (void)count;
  return 0;
}
#endif

void rng_first_words(uint64_t seed, rng_stream stream, uint64_t step, uint64_t first,
                     uint32_t words[4][RNG_PLACES]) {
  const rng start = rng_at(seed, stream, step, first);
  if (first_eights(start, words)) return;
  for (uint64_t i = 0; i < RNG_PLACES; i++) {
    const uint64_t index = first + i;
    words[0][i] = 0;
    words[1][i] = (uint32_t)index;
    words[2][i] = (uint32_t)(index >> 32 & 0xFFFFFFu) | (start.counter[2] & 0xFF000000u);
    words[3][i] = start.counter[3];
  }
  philox_rounds(RNG_PLACES, words[0], words[1], words[2], words[3], start.key);
}

void rng_fill(rng *r, uint32_t *out, size_t count) {
  while (count > 0 && r->used < 4) {
    *out++ = r->block[r->used++];
    count--;
  }
  size_t done = fill_eights(r, out, count);
  out += done;
  count -= done;
  for (; count >= 4 * LANES; count -= 4 * LANES, out += 4 * LANES) {
    next_blocks(r, out);
    r->counter[0] += LANES;
  }
  for (size_t i = 0; i < count; i++) out[i] = rng_u32(r);
}

uint64_t rng_u64(rng *r) {
  uint64_t high = rng_u32(r);
  return high << 32 | rng_u32(r);
}

float rng_float(rng *r) {
  return (float)(rng_u32(r) >> 8) * 0x1p-24f;
}

double rng_double(rng *r) {
  uint32_t high = rng_u32(r);
  return rng_double_of(high, rng_u32(r));
}

uint32_t rng_below(rng *r, uint32_t bound) {
  /* Lemire's multiply-and-reject. */
  uint64_t product = (uint64_t)rng_u32(r) * bound;
  if ((uint32_t)product < bound) {
    uint32_t threshold = -bound % bound;
    while ((uint32_t)product < threshold) product = (uint64_t)rng_u32(r) * bound;
  }
  return (uint32_t)(product >> 32);
}

double rng_normal_of(double first, double second) {
  double radius = sqrt(-2.0 * log(1.0 - first));
  return radius * cos(6.283185307179586 * second);
}

double rng_normal(rng *r) {
  double first = rng_double(r);
  return rng_normal_of(first, rng_double(r));
}
