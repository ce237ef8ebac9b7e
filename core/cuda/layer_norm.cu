/* Layer norm with the preceding residual sum, and its gradient.
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
  NORM_NARROW = NORM_PACKS * PACK * LANES,
  NORM_PARTS = 256 /* of the sums over rows: two blocks per multiprocessor of an H100 */
};

typedef struct {
  ops_layer_norm n;
  bool is_vector;
} norm_forward;

typedef struct {
  ops_layer_norm_gradient n;
  float *parts; /* [parts, 2, width]: dgamma, dbeta of each block */
  int parts_count;
  bool is_vector;
} norm_backward;

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
  float rstd = 1.0f / sqrtf(row_sum(square, is_wide) / (float)width + (float)n->eps);
  UNROLL for (int i = 0; i < packs; i++) {
    int64_t column = pack_column(i, is_wide), count = width - column;
    if (count <= 0) continue;
    pack gamma = pack_load(n->gamma.data, OPS_F32, column, count, a->is_vector);
    pack beta = pack_load(n->beta.data, OPS_F32, column, count, a->is_vector);
    UNROLL for (int j = 0; j < PACK; j++) {
      x[i].v[j] = (x[i].v[j] - mean) * rstd * gamma.v[j] + beta.v[j];
    }
    pack_store(n->y.data, type, at + column, count, a->is_vector, x[i]);
  }
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

/* dx = rstd (g - mean(g) - x̂ mean(g x̂)) + dresidual with g = dy gamma; adds the row's part of
 * dgamma and dbeta to the thread's own. */
DEVICE void gradient_row(const norm_backward *a, int64_t row, pack *dgamma, pack *dbeta,
                         const int type, const bool is_wide) {
  const ops_layer_norm_gradient *n = &a->n;
  const int packs = is_wide ? NORM_WIDE_PACKS : NORM_PACKS;
  int64_t width = n->width, at = row * width;
  float mean = ((const float *)n->mean.data)[row], rstd = ((const float *)n->rstd.data)[row];
  pack x[NORM_PACKS], g[NORM_PACKS];
  float sum = 0, product = 0;
  UNROLL for (int i = 0; i < packs; i++) {
    int64_t column = pack_column(i, is_wide), count = width - column;
    if (count <= 0) continue;
    x[i] = pack_load(n->x.data, type, at + column, count, a->is_vector);
    g[i] = pack_load(n->dy.data, type, at + column, count, a->is_vector);
    pack gamma = pack_load(n->gamma.data, OPS_F32, column, count, a->is_vector);
    UNROLL for (int j = 0; j < PACK; j++) {
      x[i].v[j] = (x[i].v[j] - mean) * rstd;
      dgamma[i].v[j] += g[i].v[j] * x[i].v[j]; /* beyond the row g is 0 */
      dbeta[i].v[j] += g[i].v[j];
      g[i].v[j] *= gamma.v[j];
      sum += g[i].v[j];
      product += g[i].v[j] * x[i].v[j];
    }
  }
  sum = row_sum(sum, is_wide) / (float)width;
  product = row_sum(product, is_wide) / (float)width;
  UNROLL for (int i = 0; i < packs; i++) {
    int64_t column = pack_column(i, is_wide), count = width - column;
    if (count <= 0) continue;
    pack dx;
    UNROLL for (int j = 0; j < PACK; j++) {
      dx.v[j] = rstd * (g[i].v[j] - sum - x[i].v[j] * product);
    }
    if (n->dresidual.data) {
      pack r = pack_load(n->dresidual.data, type, at + column, count, a->is_vector);
      UNROLL for (int j = 0; j < PACK; j++) dx.v[j] += r.v[j];
    }
    pack_store(n->dx.data, type, at + column, count, a->is_vector, dx);
  }
}

/* The warps' sums of one parameter gradient, added in warp order, become a row of `parts`. The
 * warps write their columns one after the other: shared memory for one row only. */
DEVICE void add_warps(float *sums, const pack *own, float *part, int64_t width) {
  for (int warp = 0; warp < NORM_BLOCK / LANES; warp++) {
    if (warp == warp_index()) {
      UNROLL for (int i = 0; i < NORM_PACKS; i++) {
        UNROLL for (int j = 0; j < PACK; j++) {
          int64_t column = pack_column(i, false) + j;
          if (column < width) sums[column] = (warp > 0 ? sums[column] : 0) + own[i].v[j];
        }
      }
    }
    __syncthreads();
  }
  for (int64_t column = thread_index(); column < width; column += NORM_BLOCK)
    part[column] = sums[column];
  __syncthreads();
}

DEVICE void clear_packs(pack *p) {
  UNROLL for (int i = 0; i < NORM_PACKS; i++) {
    UNROLL for (int j = 0; j < PACK; j++) p[i].v[j] = 0;
  }
}

/* Grid: at most NORM_PARTS blocks, each warp processing every (4 * grid)-th row. Reads x, dy (and
 * dresidual), writes dx. Bound: memory; the sums over rows stay in registers, so x and dy are read
 * once for all four gradients. */
DEVICE void gradient_narrow_body(norm_backward a, const int type) {
  SHARED(float, sums, NORM_NARROW);
  pack dgamma[NORM_PACKS], dbeta[NORM_PACKS];
  float *part = a.parts + (int64_t)blockIdx.x * 2 * a.n.width;
  clear_packs(dgamma);
  clear_packs(dbeta);
  for (int64_t row = grid_warp(); row < a.n.rows; row += grid_warps())
    gradient_row(&a, row, dgamma, dbeta, type, false);
  add_warps(sums, dgamma, part, a.n.width);
  add_warps(sums, dbeta, part + a.n.width, a.n.width);
}
KERNEL_PAIR(gradient_narrow, norm_backward, NORM_BLOCK)

/* Grid: at most NORM_PARTS blocks, each processing every grid-th row. */
DEVICE void gradient_wide_body(norm_backward a, const int type) {
  pack dgamma[NORM_PACKS], dbeta[NORM_PACKS];
  float *part = a.parts + (int64_t)blockIdx.x * 2 * a.n.width;
  clear_packs(dgamma);
  clear_packs(dbeta);
  for (int64_t row = blockIdx.x; row < a.n.rows; row += gridDim.x)
    gradient_row(&a, row, dgamma, dbeta, type, true);
  UNROLL for (int i = 0; i < NORM_WIDE_PACKS; i++) {
    int64_t column = pack_column(i, true), count = a.n.width - column;
    if (count <= 0) continue;
    pack_store(part, OPS_F32, column, count, a.is_vector, dgamma[i]);
    pack_store(part + a.n.width, OPS_F32, column, count, a.is_vector, dbeta[i]);
  }
}
KERNEL_PAIR(gradient_wide, norm_backward, NORM_WIDE_BLOCK)

/* Grid: one block per 32 columns of [dgamma, dbeta]. */
KERNEL(gradient_parts, norm_backward, PARTS_BLOCK) {
  int64_t width = a.n.width, column = (int64_t)blockIdx.x * LANES + thread_index();
  float sum = sum_of_parts(a.parts, a.parts_count, 2 * width);
  if (warp_index() > 0 || column >= 2 * width) return;
  if (column < width)
    ((float *)a.n.dgamma.data)[column] += sum;
  else
    ((float *)a.n.dbeta.data)[column - width] += sum;
}

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

static int64_t gradient_parts_of(int64_t rows, int64_t width) {
  return at_most(width > NORM_NARROW ? rows : divided_up(rows, NORM_BLOCK / LANES), NORM_PARTS);
}

size_t kernel_layer_norm_gradient_scratch(int64_t rows, int64_t width) {
  return (size_t)(gradient_parts_of(rows, width) * 2 * width) * sizeof(float);
}

int kernel_layer_norm_gradient(const ops_layer_norm_gradient *n, void *scratch, void *stream) {
  if (n->width < 1 || n->width > KERNEL_WIDEST_NORM) return KERNEL_INVALID;
  int64_t parts = gradient_parts_of(n->rows, n->width);
  norm_backward a = {*n, (float *)scratch, (int)parts,
                     is_row_vector(n->width, n->x.data) && is_row_vector(8, n->dy.data) &&
                         is_row_vector(8, n->dresidual.data) && is_row_vector(8, n->dx.data) &&
                         is_row_vector(8, n->gamma.data)};
  int failed =
      n->width > NORM_NARROW
          ? LAUNCH_PAIR(gradient_wide, n->dx.type, GRID(parts, 1), NORM_WIDE_BLOCK, 0, stream, a)
          : LAUNCH_PAIR(gradient_narrow, n->dx.type, GRID(parts, 1), NORM_BLOCK, 0, stream, a);
  if (failed) return failed;
  return CUDA_LAUNCH(gradient_parts, GRID(divided_up(2 * n->width, LANES), 1), PARTS_BLOCK, 0,
                     stream, a);
}
