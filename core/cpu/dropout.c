/* Dropout with counter-based noise, and the plain sum of two buffers (rate 0). Bound: the rounds of
 * Philox, ten multiplications for four elements; memory at rate 0. */
#include "base/rng.h"
#include "cpu/kernel.h"

enum { STRIP = 256, WORDS = 4 };

/* factors [count] of the elements from `first` (a multiple of WORDS) of one sample. */
static void draw_factors(const ops_dropout *d, const rng *start, int64_t first, int64_t count,
                         float *factors) {
  double limit = d->rate * 0x1p32;
  uint32_t threshold = limit < 4294967295.0 ? (uint32_t)limit : UINT32_MAX;
  float kept = (float)(1 / (1 - d->rate));
  if (d->is_whole) {
    rng r = *start;
    float factor = rng_u32(&r) < threshold ? 0 : kept;
    for (int64_t i = 0; i < count; i++) factors[i] = factor;
    return;
  }
  for (int64_t i = 0; i < count; i += WORDS) {
    uint32_t counter[4] = {(uint32_t)((first + i) / WORDS), start->counter[1], start->counter[2],
                           start->counter[3]};
    uint32_t words[WORDS];
    rng_philox(counter, start->key, words);
    for (int w = 0; w < WORDS; w++) factors[i + w] = words[w] < threshold ? 0 : kept;
  }
}

/* Elements [first, first + count) of sample `sample`. */
static void drop_strip(const ops_dropout *d, int64_t sample, const rng *start, int64_t first,
                       int64_t count) {
  float own_x[STRIP], own_residual[STRIP], own_y[STRIP], factors[STRIP + WORDS];
  int64_t at = sample * d->elements + first;
  const float *x = cpu_read(d->x, at, count, own_x);
  const float *residual = d->residual.data ? cpu_read(d->residual, at, count, own_residual) : NULL;
  float *y = cpu_write(d->y, at, own_y);
  if (d->rate > 0) {
    draw_factors(d, start, first, count, factors);
    for (int64_t i = 0; i < count; i++) y[i] = x[i] * factors[i] + (residual ? residual[i] : 0);
  } else {
    for (int64_t i = 0; i < count; i++) y[i] = x[i] + (residual ? residual[i] : 0);
  }
  cpu_written(d->y, at, count, y);
}

err CPU_KERNEL(dropout)(ops *o, const ops_dropout *d) {
  (void)o;
  CPU_ASSERT(d->rate >= 0 && d->rate < 1 && (d->rate == 0 || d->numbers.data));
  int64_t strips = (d->elements + STRIP - 1) / STRIP;
  const int32_t *numbers = d->numbers.data;
#pragma omp parallel for schedule(static)
  for (int64_t i = 0; i < d->samples * strips; i++) {
    int64_t sample = i / strips, first = i % strips * STRIP;
    rng start = {0};
    if (d->rate > 0) {
      uint64_t number =
          (uint64_t)(uint32_t)numbers[2 * sample + 1] << 32 | (uint32_t)numbers[2 * sample];
      start = rng_at(d->seed, RNG_DROPOUT, d->site, number);
    }
    drop_strip(d, sample, &start, first, d->elements - first < STRIP ? d->elements - first : STRIP);
  }
  return NULL;
}
