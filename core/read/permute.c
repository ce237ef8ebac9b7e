#include "read/permute.h"

#include "base/rng.h"

enum { ROUNDS = 6 }; /* of Philox: far more than shuffling needs */

int64_t permute(uint64_t seed, int64_t number, int64_t count, int64_t place) {
  int half = 1;
  while ((int64_t)1 << (2 * half) < count) half++;
  uint32_t mask = ((uint32_t)1 << half) - 1;
  rng keys = rng_at(seed, RNG_SHUFFLE, (uint64_t)number, 0);
  uint64_t value = (uint64_t)place;
  do {
    uint32_t left = (uint32_t)(value >> half), right = (uint32_t)value & mask;
    for (uint32_t round = 0; round < ROUNDS; round++) {
      const uint32_t counter[4] = {right, round, (uint32_t)number,
                                   (uint32_t)((uint64_t)number >> 32)};
      uint32_t mixed[4], old = right;
      rng_philox(counter, keys.key, mixed);
      right = (left ^ mixed[0]) & mask;
      left = old;
    }
    value = (uint64_t)left << half | right;
  } while (value >= (uint64_t)count);
  return (int64_t)value;
}

int64_t permute_weighted(uint64_t seed, bool is_shuffled, int64_t epoch, int64_t rows,
                         int64_t places, int64_t place) {
  if (places == rows) return place;
  int64_t seen = epoch * places + place;
  return is_shuffled ? permute(seed, seen / rows, rows, seen % rows) : seen % rows;
}

/* These permutations differ from those of epochs and of a stream's blocks (stream.c). */
int64_t permute_spare(uint64_t seed, uint64_t number, int64_t count, int64_t attempt) {
  uint64_t round = UINT64_C(1) << 61 | (number & ((UINT64_C(1) << 61) - 1));
  return permute(seed, (int64_t)round, count, attempt);
}
