#include "image/resize_passes.h"

static void across_row(const uint8_t *restrict in, const resize_kernel *k, bool is_flipped,
                       uint8_t *restrict out) {
  for (int32_t i = 0; i < k->count; i++) {
    const uint8_t *from = in + (size_t)k->starts[i] * 3;
    const int32_t *weights = k->weights + (size_t)i * (size_t)k->taps;
    int32_t r = 1 << (RESIZE_PRECISION_BITS - 1), g = r, b = r;
    for (int32_t x = 0; x < k->lengths[i]; x++) {
      r += from[3 * x] * weights[x];
      g += from[3 * x + 1] * weights[x];
      b += from[3 * x + 2] * weights[x];
    }
    uint8_t *to = out + 3 * (is_flipped ? k->count - 1 - i : i);
    to[0] = resize_to_byte(r);
    to[1] = resize_to_byte(g);
    to[2] = resize_to_byte(b);
  }
}

static void across(const uint8_t *in, size_t in_stride, int32_t rows, size_t readable,
                   const resize_kernel *k, bool is_flipped, uint8_t *out, size_t out_stride) {
  (void)readable;
  for (int32_t y = 0; y < rows; y++)
    across_row(in + (size_t)y * in_stride, k, is_flipped, out + (size_t)y * out_stride);
}

static void down(const uint8_t *in, size_t stride, const int32_t *weights, int32_t rows,
                 uint8_t *out) {
  enum { BLOCK = 64 };
  for (size_t start = 0; start < stride; start += BLOCK) {
    size_t width = stride - start < BLOCK ? stride - start : BLOCK;
    int32_t sums[BLOCK];
    for (size_t i = 0; i < width; i++) sums[i] = 1 << (RESIZE_PRECISION_BITS - 1);
    for (int32_t y = 0; y < rows; y++) {
      const uint8_t *restrict row = in + (size_t)y * stride + start;
      for (size_t i = 0; i < width; i++) sums[i] += row[i] * weights[y];
    }
    for (size_t i = 0; i < width; i++) out[start + i] = resize_to_byte(sums[i]);
  }
}

const resize_passes *resize_portable_passes(void) {
  static const resize_passes passes = {across, down};
  return &passes;
}
