/* Sums over the rows of a matrix by strips of 256 columns: shared by the kernels that compute them.
 * A block handles a strip and a part of the rows, a warp every eighth row of the part, a lane eight
 * columns. */
#ifndef FLIP_CUDA_COLUMNS_CUH
#define FLIP_CUDA_COLUMNS_CUH

#include "cuda/kernel.cuh"

enum {
  COLUMNS_BLOCK = 256,
  COLUMNS_WARPS = COLUMNS_BLOCK / LANES,
  COLUMNS_STRIP = LANES * PACK,
  COLUMNS_ROWS = 128, /* minimum rows per part */
  COLUMNS_GRID = 1024 /* maximum blocks, many per multiprocessor */
};

DEVICE int64_t strip_column(void) {
  return (int64_t)blockIdx.x * COLUMNS_STRIP + lane_index() * PACK;
}

/* The lanes' sums, added in the order of the warps, become the strip's part of parts [parts,
 * columns]. */
DEVICE void store_strip(pack sum, float *parts, int64_t columns) {
  SHARED(float, sums, COLUMNS_WARPS *COLUMNS_STRIP);
  /* column j of a lane's pack is stored at j * LANES + lane: no bank conflicts */
  UNROLL for (int j = 0; j < PACK; j++) {
    sums[warp_index() * COLUMNS_STRIP + j * LANES + lane_index()] = sum.v[j];
  }
  __syncthreads();
  float total = 0;
  for (int warp = 0; warp < COLUMNS_WARPS; warp++)
    total += sums[warp * COLUMNS_STRIP + thread_index()];
  int64_t own =
      (int64_t)blockIdx.x * COLUMNS_STRIP + thread_index() % LANES * PACK + thread_index() / LANES;
  if (own < columns) parts[blockIdx.y * columns + own] = total;
}

/* Parts of the rows. Depends only on the shape: the order of the sum must not depend on the device.
 */
static inline int64_t column_parts_of(int64_t rows, int64_t columns) {
  int64_t most = COLUMNS_GRID / at_most(divided_up(columns, COLUMNS_STRIP), COLUMNS_GRID / 16);
  int64_t parts = at_most(divided_up(rows, COLUMNS_ROWS), most);
  return parts > 0 ? parts : 1;
}

#endif
