/* Pooling over tokens and its gradient. Bound: memory; each element once. */
#include "cuda/kernel.cuh"
#include "cuda/kernels.h"

enum { POOL_BLOCK = 256 };

typedef struct {
  ops_pool p;
  bool is_vector;
} pool_arguments;

DEVICE int64_t chosen_token(const ops_pool *p, int64_t image) {
  return p->index.data ? ((const int32_t *)p->index.data)[image] : 0;
}

/* Grid: [images, strips of 2048 columns]; a thread adds eight columns over the tokens in order. */
DEVICE void pool_body(pool_arguments a, const int type) {
  const ops_pool *p = &a.p;
  int64_t image = blockIdx.x;
  int64_t column = ((int64_t)blockIdx.y * block_threads() + thread_index()) * PACK;
  int64_t count = p->width - column;
  if (count <= 0) return;
  bool is_mean = p->pooling == OPS_POOL_MEAN;
  int64_t first = is_mean ? 0 : chosen_token(p, image), last = is_mean ? p->tokens : first + 1;
  pack sum = {{0}};
  for (int64_t token = first; token < last; token++) {
    pack x = pack_load(p->x.data, type, (image * p->tokens + token) * p->width + column, count,
                       a.is_vector);
    UNROLL for (int j = 0; j < PACK; j++) sum.v[j] += x.v[j];
  }
  float share = 1.0f / (float)(last - first);
  UNROLL for (int j = 0; j < PACK; j++) sum.v[j] *= share;
  pack_store(p->pooled.data, type, image * p->width + column, count, a.is_vector, sum);
}
KERNEL_PAIR(pool, pool_arguments, POOL_BLOCK)

/* Grid: one warp per row of dx, 8 rows per block; dpooled comes from the caches. */
DEVICE void pool_gradient_body(pool_arguments a, const int type) {
  const ops_pool *p = &a.p;
  int64_t row = grid_warp();
  if (row >= p->batch * p->tokens) return;
  int64_t image = row / p->tokens, token = row % p->tokens;
  float share = p->pooling == OPS_POOL_MEAN       ? 1.0f / (float)p->tokens
                : token == chosen_token(p, image) ? 1.0f
                                                  : 0.0f;
  for (int64_t column = lane_index() * PACK; column < p->width; column += LANES * PACK) {
    int64_t count = p->width - column;
    pack d = pack_load(p->dpooled.data, type, image * p->width + column, count, a.is_vector);
    UNROLL for (int j = 0; j < PACK; j++) d.v[j] *= share;
    pack_store(p->dx.data, type, row * p->width + column, count, a.is_vector, d);
  }
}
KERNEL_PAIR(pool_gradient, pool_arguments, POOL_BLOCK)

int kernel_pool(const ops_pool *p, void *stream) {
  pool_arguments a = {*p, is_row_vector(p->width, p->x.data) && is_row_vector(8, p->pooled.data)};
  int64_t threads = at_most(divided_up(divided_up(p->width, PACK), LANES) * LANES, POOL_BLOCK);
  return LAUNCH_PAIR(pool, p->x.type, GRID(p->batch, divided_up(p->width, threads * PACK)), threads,
                     0, stream, a);
}

int kernel_pool_gradient(const ops_pool *p, void *stream) {
  pool_arguments a = {*p, is_row_vector(p->width, p->dx.data) && is_row_vector(8, p->dpooled.data)};
  return LAUNCH_PAIR(pool_gradient, p->dx.type,
                     GRID(divided_up(p->batch * p->tokens, POOL_BLOCK / LANES), 1), POOL_BLOCK, 0,
                     stream, a);
}
