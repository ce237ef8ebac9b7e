/* Philox4x32-10 (Salmon et al., SC 2011), the same as in base/rng.c. */
#ifndef FLIP_CUDA_PHILOX_CUH
#define FLIP_CUDA_PHILOX_CUH

#include "cuda/kernel.cuh"

enum { PHILOX_WORDS = 4, PHILOX_ROUNDS = 10 };

typedef struct {
  uint32_t v[PHILOX_WORDS];
} draws;

DEVICE draws philox(draws c, uint32_t k0, uint32_t k1) {
  for (int round = 0; round < PHILOX_ROUNDS; round++) {
    uint64_t p0 = (uint64_t)0xD2511F53u * c.v[0], p1 = (uint64_t)0xCD9E8D57u * c.v[2];
    uint32_t n0 = (uint32_t)(p1 >> 32) ^ c.v[1] ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c.v[3] ^ k1;
    c.v[1] = (uint32_t)p1;
    c.v[3] = (uint32_t)p0;
    c.v[0] = n0;
    c.v[2] = n2;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return c;
}

/* The position of rng_at(seed, stream, step, index); the host computes the key. */
DEVICE draws philox_counter(uint64_t step, uint64_t index) {
  draws counter;
  counter.v[0] = 0;
  counter.v[1] = (uint32_t)index;
  counter.v[2] = (uint32_t)(index >> 32 & 0xFFFFFFu) | (uint32_t)(step >> 32 & 0xFFu) << 24;
  counter.v[3] = (uint32_t)step;
  return counter;
}

#endif
