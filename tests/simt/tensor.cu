/* One product by a warp, its operands brought to the registers in each way that mma.cuh has. */
#include "simt/tensor.h"

#include "cuda/mma.cuh"

enum { SIDE = 16, PITCH = SIDE + 8 };

typedef struct {
  const uint16_t *a, *b;
  float *d;
  bool is_a_transposed, is_b_transposed;
} tensor_arguments;

KERNEL(tensor_product, tensor_arguments, LANES) {
  SHARED(uint4, words, 2 * SIDE * PITCH / PACK);
  uint16_t *a_tile = (uint16_t *)words, *b_tile = a_tile + SIDE * PITCH;
  uint32_t left[4], right[4];
  float d[2][4];
  for (int i = lane_index(); i < SIDE * SIDE; i += LANES) {
    a_tile[i / SIDE * PITCH + i % SIDE] = a.a[i];
    b_tile[i / SIDE * PITCH + i % SIDE] = a.b[i];
  }
  __syncwarp(FULL_WARP);
  if (a.is_a_transposed)
    load_a_transposed(left, a_tile, PITCH, 0, 0);
  else
    load_a(left, a_tile, PITCH, 0, 0);
  if (a.is_b_transposed)
    load_b_transposed(right, b_tile, PITCH, 0, 0);
  else
    load_b(right, b_tile, PITCH, 0, 0);
  for (int n = 0; n < 2; n++) {
    for (int i = 0; i < 4; i++) d[n][i] = 1;
    mma_bf16(d[n], left, right + 2 * n);
    for (int i = 0; i < 4; i++) {
      int row = lane_index() / 4 + i / 2 * 8, column = n * 8 + lane_index() % 4 * 2 + i % 2;
      a.d[row * SIDE + column] = d[n][i];
    }
  }
}

int tensor_launch(const uint16_t *a, const uint16_t *b, float *d, bool is_a_transposed,
                  bool is_b_transposed) {
  tensor_arguments t = {a, b, d, is_a_transposed, is_b_transposed};
  return CUDA_LAUNCH(tensor_product, GRID(1, 1), LANES, 0, NULL, t);
}
