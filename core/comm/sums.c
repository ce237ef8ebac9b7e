#include "comm/sums.h"

#include <string.h>

#include "base/bf16.h"

/* sums [count] += elements [at, at + count) of x. */
static void add_strip(const void *x, ops_type type, int64_t at, int64_t count, double *sums) {
  const uint16_t *rounded = x;
  const double *wide = x;
  const float *narrow = x;
  if (type == OPS_BF16)
    for (int64_t i = 0; i < count; i++) sums[i] += (double)bf16_to_float(rounded[at + i]);
  else if (type == OPS_F64)
    for (int64_t i = 0; i < count; i++) sums[i] += wide[at + i];
  else
    for (int64_t i = 0; i < count; i++) sums[i] += (double)narrow[at + i];
}

void sums_of_ranks(const void *const *from, int ranks, ops_type wire, int64_t count,
                   ops_buffer to) {
  enum { STRIP = 512 };
  for (int64_t at = 0; at < count; at += STRIP) {
    int64_t n = count - at < STRIP ? count - at : STRIP;
    double sums[STRIP] = {0};
    for (int r = 0; r < ranks; r++) add_strip(from[r], wire, at, n, sums);
    if (to.type == OPS_F64)
      memcpy((double *)to.data + at, sums, (size_t)n * sizeof *sums);
    else
      for (int64_t i = 0; i < n; i++) ((float *)to.data)[at + i] = (float)sums[i];
  }
}

void sums_round(ops_buffer x, int64_t count, uint16_t *to) {
  for (int64_t i = 0; i < count; i++)
    to[i] = bf16_of_float(x.type == OPS_F64 ? (float)((const double *)x.data)[i]
                                            : ((const float *)x.data)[i]);
}
