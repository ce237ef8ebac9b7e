#include "base/rng.h"

#include <math.h>
#include <string.h>

void rng_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]) {
  uint32_t c[4] = {counter[0], counter[1], counter[2], counter[3]};
  uint32_t k0 = key[0], k1 = key[1];
  for (int round = 0; round < 10; round++) {
    uint64_t p0 = (uint64_t)0xD2511F53u * c[0];
    uint64_t p1 = (uint64_t)0xCD9E8D57u * c[2];
    uint32_t n0 = (uint32_t)(p1 >> 32) ^ c[1] ^ k0;
    uint32_t n2 = (uint32_t)(p0 >> 32) ^ c[3] ^ k1;
    c[1] = (uint32_t)p1;
    c[3] = (uint32_t)p0;
    c[0] = n0;
    c[2] = n2;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
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

void rng_first_words(uint64_t seed, rng_stream stream, uint64_t step, uint64_t first,
                     uint32_t words[4][RNG_PLACES]) {
  const rng start = rng_at(seed, stream, step, 0);
  uint32_t key[2] = {start.key[0], start.key[1]};
  for (uint64_t i = 0; i < RNG_PLACES; i++) {
    const uint64_t index = first + i;
    words[0][i] = 0;
    words[1][i] = (uint32_t)index;
    words[2][i] = (uint32_t)(index >> 32 & 0xFFFFFFu) | start.counter[2];
    words[3][i] = start.counter[3];
  }
  for (int round = 0; round < 10; round++) { /* of rng_philox, each over all places */
    for (int i = 0; i < RNG_PLACES; i++) {
      uint64_t p0 = (uint64_t)0xD2511F53u * words[0][i];
      uint64_t p1 = (uint64_t)0xCD9E8D57u * words[2][i];
      uint32_t n0 = (uint32_t)(p1 >> 32) ^ words[1][i] ^ key[0];
      uint32_t n2 = (uint32_t)(p0 >> 32) ^ words[3][i] ^ key[1];
      words[1][i] = (uint32_t)p1;
      words[3][i] = (uint32_t)p0;
      words[0][i] = n0;
      words[2][i] = n2;
    }
    key[0] += 0x9E3779B9u;
    key[1] += 0xBB67AE85u;
  }
}

uint32_t rng_u32(rng *r) {
  if (r->used == 4) {
    rng_philox(r->counter, r->key, r->block);
    r->counter[0]++;
    r->used = 0;
  }
  return r->block[r->used++];
}

/* Blocks counter[0] to counter[0] + LANES - 1 together, which compilers turn into vectors. */
enum { LANES = 4 };
static void philox_lanes(const uint32_t counter[4], const uint32_t key[2],
                         uint32_t out[4 * LANES]) {
  uint32_t c[4][LANES], k0 = key[0], k1 = key[1];
  for (uint32_t i = 0; i < LANES; i++) {
    c[0][i] = counter[0] + i;
    for (int word = 1; word < 4; word++) c[word][i] = counter[word];
  }
  for (int round = 0; round < 10; round++) {
    for (int i = 0; i < LANES; i++) {
      uint64_t p0 = (uint64_t)0xD2511F53u * c[0][i], p1 = (uint64_t)0xCD9E8D57u * c[2][i];
      c[0][i] = (uint32_t)(p1 >> 32) ^ c[1][i] ^ k0;
      c[2][i] = (uint32_t)(p0 >> 32) ^ c[3][i] ^ k1;
      c[1][i] = (uint32_t)p1;
      c[3][i] = (uint32_t)p0;
    }
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  for (int i = 0; i < LANES; i++)
    for (int word = 0; word < 4; word++) out[4 * i + word] = c[word][i];
}

void rng_fill(rng *r, uint32_t *out, size_t count) {
  while (count > 0 && r->used < 4) {
    *out++ = r->block[r->used++];
    count--;
  }
  for (; count >= 4 * LANES; count -= 4 * LANES, out += 4 * LANES) {
    philox_lanes(r->counter, r->key, out);
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
