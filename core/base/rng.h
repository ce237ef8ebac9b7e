/* Counter-based random numbers: Philox4x32-10 (Salmon et al., SC 2011).
 *
 * A number is a pure function of (seed, stream, step, index, draw). No state is kept between calls,
 * so results do not depend on thread count, rank count or order of arrival. */
#ifndef FLIP_BASE_RNG_H
#define FLIP_BASE_RNG_H

#include <stddef.h>
#include <stdint.h>

/* One stream per purpose, so that additional draws in one never shift another. */
typedef enum {
  RNG_MASK = 1,
  RNG_TEXT_MASK,
  RNG_CROP,
  RNG_SHUFFLE,
  RNG_INIT,
  RNG_DROPOUT,
  RNG_SCENE,
  RNG_CAPTION,
  RNG_BOOTSTRAP,
  RNG_TEST,
  RNG_CORRUPTION,
  RNG_AUGMENT,
  RNG_MIX,
  RNG_MOMENTS,
  RNG_PACE
} rng_stream;

/* The raw block cipher: counter and key in, four words out. Known-answer tested. */
void rng_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

/* A cursor over the draws of one (seed, stream, step, index). A value type: copy it freely. */
typedef struct {
  uint32_t key[2], counter[4], block[4];
  uint32_t used; /* words of `block` already used; 4 = refill */
} rng;

rng rng_at(uint64_t seed, rng_stream stream, uint64_t step, uint64_t index);
/* The first four words of neighbouring places: words[w][i] is what the w-th rng_u32 of
 * rng_at(seed, stream, step, first + i) gives. Several times faster than one place after another.
 */
enum { RNG_PLACES = 64 };
void rng_first_words(uint64_t seed, rng_stream stream, uint64_t step, uint64_t first,
                     uint32_t words[4][RNG_PLACES]);
uint32_t rng_u32(rng *r);
/* The next `count` words, as that many calls of rng_u32 give them, in less time. */
void rng_fill(rng *r, uint32_t *out, size_t count);
uint64_t rng_u64(rng *r);
/* Uniform in [0, 1): 24 bits as float, 53 bits as double. */
float rng_float(rng *r);
double rng_double(rng *r);
/* What rng_double makes of two words. */
static inline double rng_double_of(uint32_t high, uint32_t low) {
  return (double)(((uint64_t)high << 32 | low) >> 11) * 0x1p-53;
}
/* Uniform in [0, bound), without modulo bias; bound > 0. */
uint32_t rng_below(rng *r, uint32_t bound);
/* Standard normal (Box-Muller, one of the pair), and what it makes of two doubles. */
double rng_normal(rng *r);
double rng_normal_of(double first, double second);

#endif
