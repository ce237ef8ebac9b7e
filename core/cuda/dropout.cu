/* Dropout with counter-based noise, and the sum of two buffers (rate 0).
 *
 * Grid: at most 4096 blocks, each thread at every grid-th pack of eight elements of one sample: two
 * calls of Philox4x32-10 (Salmon et al., SC 2011; base/rng.c is its twin) give four draws each.
 * Bound: memory, 16 bytes at a time; eighty multiplications for eight elements hide behind it. */
#include "cuda/kernel.cuh"
#include "cuda/kernels.h"
#include "cuda/philox.cuh"

enum { DROPOUT_BLOCK = 256, DROPOUT_GRID = 4096 };

typedef struct {
  ops_dropout d;
  uint32_t key[2], threshold;
  float kept;     /* 1 / (1 - rate) */
  bool is_vector; /* every sample's packs are whole and can be read 16 bytes at a time */
} dropout_arguments;

/* The draws of elements [4 group, 4 group + 4): rng_at(seed, RNG_DROPOUT, site, number). */
DEVICE draws draw(const dropout_arguments *a, int64_t sample, int64_t group) {
  const uint32_t *number = (const uint32_t *)a->d.numbers.data + 2 * sample;
  draws counter;
  counter = philox_counter(a->d.site, (uint64_t)number[1] << 32 | number[0]);
  counter.v[0] = (uint32_t)group;
  return philox(counter, a->key[0], a->key[1]);
}

/* The pack that begins at element 4 group of a sample, some of it dropped and the rest scaled. */
DEVICE void drop(const dropout_arguments *a, int64_t sample, int64_t group, pack *x) {
  if (a->d.is_whole) {
    float factor = draw(a, sample, 0).v[0] < a->threshold ? 0 : a->kept;
    UNROLL for (int i = 0; i < PACK; i++) x->v[i] = factor > 0 ? x->v[i] * factor : 0;
    return;
  }
  UNROLL for (int half = 0; half < PACK / PHILOX_WORDS; half++) {
    draws words = draw(a, sample, group + half);
    UNROLL for (int w = 0; w < PHILOX_WORDS; w++) {
      float *one = &x->v[half * PHILOX_WORDS + w];
      *one = words.v[w] < a->threshold ? 0 : *one * a->kept;
    }
  }
}

DEVICE void dropout_body(const dropout_arguments a, int type) {
  int64_t packs = (a.d.elements + PACK - 1) / PACK;
  for (int64_t i = grid_thread(); i < a.d.samples * packs; i += grid_threads()) {
    int64_t sample = i / packs, first = i % packs * PACK, left = a.d.elements - first;
    int64_t at = sample * a.d.elements + first;
    pack y = pack_load(a.d.x.data, type, at, left, a.is_vector);
    if (a.d.rate > 0) drop(&a, sample, first / PHILOX_WORDS, &y);
    if (a.d.residual.data) {
      pack residual = pack_load(a.d.residual.data, type, at, left, a.is_vector);
      UNROLL for (int j = 0; j < PACK; j++) y.v[j] += residual.v[j];
    }
    pack_store(a.d.y.data, type, at, left, a.is_vector, y);
  }
}

KERNEL_PAIR(dropout, dropout_arguments, DROPOUT_BLOCK)

int kernel_dropout(const ops_dropout *d, const uint32_t key[2], void *stream) {
  dropout_arguments a = {*d,
                         {key[0], key[1]},
                         (uint32_t)(d->rate * 4294967296.0),
                         (float)(1 / (1 - d->rate)),
                         is_row_vector(d->elements, d->x.data) &&
                             is_row_vector(d->elements, d->y.data) &&
                             is_row_vector(d->elements, d->residual.data)};
  int64_t packs = d->samples * divided_up(d->elements, PACK);
  if (packs <= 0) return 0;
  return LAUNCH_PAIR(dropout, d->x.type,
                     GRID(at_most(divided_up(packs, DROPOUT_BLOCK), DROPOUT_GRID), 1),
                     DROPOUT_BLOCK, 0, stream, a);
}
