#include "comm/sums.h"

#include "base/bf16.h"

static void add_floats(const float *from, int ranks, int64_t stride, int64_t count, float *to) {
  for (int64_t i = 0; i < count; i++) {
    double sum = 0;
    for (int r = 0; r < ranks; r++) sum += (double)from[r * stride + i];
    to[i] = (float)sum;
  }
}

static void add_doubles(const double *from, int ranks, int64_t stride, int64_t count, double *to) {
  for (int64_t i = 0; i < count; i++) {
    double sum = 0;
    for (int r = 0; r < ranks; r++) sum += from[r * stride + i];
    to[i] = sum;
  }
}

static void add_rounded(const uint16_t *from, int ranks, int64_t stride, int64_t count,
                        ops_buffer to) {
  for (int64_t i = 0; i < count; i++) {
    double sum = 0;
    for (int r = 0; r < ranks; r++) sum += (double)bf16_to_float(from[r * stride + i]);
    if (to.type == OPS_F64)
      ((double *)to.data)[i] = sum;
    else
      ((float *)to.data)[i] = (float)sum;
  }
}

void sums_of_ranks(const void *received, int ranks, int64_t stride, ops_type wire, int64_t count,
                   ops_buffer to) {
  if (wire == OPS_BF16)
    add_rounded(received, ranks, stride, count, to);
  else if (wire == OPS_F64)
    add_doubles(received, ranks, stride, count, to.data);
  else
    add_floats(received, ranks, stride, count, to.data);
}

void sums_round(ops_buffer x, int64_t count, uint16_t *to) {
  for (int64_t i = 0; i < count; i++)
    to[i] = bf16_of_float(x.type == OPS_F64 ? (float)((const double *)x.data)[i]
                                            : ((const float *)x.data)[i]);
}
