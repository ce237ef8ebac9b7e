/* Layer norm with the preceding residual sum.
 *
 * A row is read once into registers: by one warp up to 1280 columns, by a block of 256 threads
 * above. Mean and variance are computed in two passes over the registers, which avoids
 * cancellation. */
#include "cuda/kernel.cuh"
#include "cuda/kernels.h"

enum {
  NORM_BLOCK = 128,      /* threads, one row per warp */
  NORM_WIDE_BLOCK = 256, /* threads, all on one row */
  NORM_PACKS = 5,        /* a lane's share of a row: 5 * 8 * 32 = 1280 columns */
  NORM_WIDE_PACKS = 4,   /* 4 * 8 * 256 = 8192 columns */
  NORM_NARROW = NORM_PACKS * PACK * LANES
};

typedef struct {
  ops_layer_norm n;
  bool is_vector;
} norm_forward;

/* Over the threads that share a row. */
DEVICE float row_sum(float value, bool is_wide) {
  if (!is_wide) return warp_sum(value);
  SHARED(float, sums, NORM_WIDE_BLOCK / LANES);
  float total = 0;
  value = warp_sum(value);
  __syncthreads();
  if (lane_index() == 0) sums[warp_index()] = value;
  __syncthreads();
  for (int warp = 0; warp < NORM_WIDE_BLOCK / LANES; warp++) total += sums[warp];
  return total;
}

/* First column of a thread's pack. */
DEVICE int64_t pack_column(int which, bool is_wide) {
  return ((int64_t)which * (is_wide ? NORM_WIDE_BLOCK : LANES) +
          (is_wide ? thread_index() : lane_index())) *
         PACK;
}

DEVICE void norm_row(const norm_forward *a, int64_t row, const int type, const bool is_wide) {
  const ops_layer_norm *n = &a->n;
  const int packs = is_wide ? NORM_WIDE_PACKS : NORM_PACKS;
  int64_t width = n->width, at = row * width;
  pack x[NORM_PACKS];
  float sum = 0, square = 0;
  UNROLL for (int i = 0; i < packs; i++) {
    int64_t column = pack_column(i, is_wide), count = width - column;
    if (count <= 0) continue;
    x[i] = pack_load(n->x.data, type, at + column, count, a->is_vector);
    if (n->residual.data) {
      pack r = pack_load(n->residual.data, type, at + column, count, a->is_vector);
      UNROLL for (int j = 0; j < PACK; j++) x[i].v[j] = rounded_to(type, x[i].v[j] + r.v[j]);
      pack_store(n->sum.data, type, at + column, count, a->is_vector, x[i]);
    }
    UNROLL for (int j = 0; j < PACK; j++) sum += x[i].v[j]; /* beyond the row: 0 */
  }
  float mean = row_sum(sum, is_wide) / (float)width;
  UNROLL for (int i = 0; i < packs; i++) {
    int64_t count = width - pack_column(i, is_wide);
    UNROLL for (int j = 0; j < PACK; j++) {
      if (j < count) square += (x[i].v[j] - mean) * (x[i].v[j] - mean);
    }
  }
  float most = 0, rstd = 1.0f / sqrtf(row_sum(square, is_wide) / (float)width + (float)n->eps);
  UNROLL for (int i = 0; i < packs; i++) {
    int64_t column = pack_column(i, is_wide), count = width - column;
    if (count <= 0) continue;
    pack gamma = pack_load(n->gamma.data, OPS_F32, column, count, a->is_vector);
    pack beta = pack_load(n->beta.data, OPS_F32, column, count, a->is_vector);
    UNROLL for (int j = 0; j < PACK; j++) {
      x[i].v[j] = (x[i].v[j] - mean) * rstd * gamma.v[j] + beta.v[j];
      if (j < count) most = fmaxf(most, fabsf(x[i].v[j]));
    }
    pack_store(n->y.data, type, at + column, count, a->is_vector, x[i]);
  }
  raise_by_warp((float *)n->y_maximum.data, rounded_to(type, most));
  if (pack_column(0, is_wide) == 0) {
    ((float *)n->mean.data)[row] = mean;
    ((float *)n->rstd.data)[row] = rstd;
  }
}

/* Grid: one warp per row, 4 rows per block. Moves 2 elements each way with a residual, 1 without;
 * the sum is reused from registers. Bound: memory. */
DEVICE void norm_narrow_body(norm_forward a, const int type) {
  if (grid_warp() < a.n.rows) norm_row(&a, grid_warp(), type, false);
}
KERNEL_PAIR(norm_narrow, norm_forward, NORM_BLOCK)

/* Grid: one block per row. */
DEVICE void norm_wide_body(norm_forward a, const int type) {
  norm_row(&a, blockIdx.x, type, true);
}
KERNEL_PAIR(norm_wide, norm_forward, NORM_WIDE_BLOCK)

int kernel_layer_norm(const ops_layer_norm *n, void *stream) {
  if (n->width < 1 || n->width > KERNEL_WIDEST_NORM) return KERNEL_INVALID;
  norm_forward a = {*n, is_row_vector(n->width, n->x.data) && is_row_vector(8, n->residual.data) &&
                            is_row_vector(8, n->sum.data) && is_row_vector(8, n->y.data) &&
                            is_row_vector(8, n->gamma.data) && is_row_vector(8, n->beta.data)};
  if (n->width > NORM_NARROW)
    return LAUNCH_PAIR(norm_wide, n->y.type, GRID(n->rows, 1), NORM_WIDE_BLOCK, 0, stream, a);
  return LAUNCH_PAIR(norm_narrow, n->y.type, GRID(divided_up(n->rows, NORM_BLOCK / LANES), 1),
                     NORM_BLOCK, 0, stream, a);
}
