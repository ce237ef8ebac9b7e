/* Normalises rows to unit length, and the gradient.
 *
 * Grid: one warp per row, 8 rows per block; the second pass over a row hits the first-level cache.
 * Moves one element each way forward, two in and one out backward. Bound: memory. */
#include "cuda/kernel.cuh"
#include "cuda/kernels.h"

enum { UNIT_BLOCK = 256 };

typedef struct {
  ops_normalize n;
  bool is_vector;
} unit_arguments;

DEVICE void unit_rows_body(unit_arguments a, const int type) {
  const ops_normalize *n = &a.n;
  int64_t row = grid_warp(), at = row * n->width;
  if (row >= n->rows) return;
  float square = 0;
  for (int64_t column = lane_index() * PACK; column < n->width; column += LANES * PACK) {
    pack x = pack_load(n->x.data, type, at + column, n->width - column, a.is_vector);
    UNROLL for (int j = 0; j < PACK; j++) square += x.v[j] * x.v[j];
  }
  float norm = sqrtf(warp_sum(square)), inverse = 1.0f / (norm + (float)n->eps);
  for (int64_t column = lane_index() * PACK; column < n->width; column += LANES * PACK) {
    pack x = pack_load(n->x.data, type, at + column, n->width - column, a.is_vector);
    UNROLL for (int j = 0; j < PACK; j++) x.v[j] *= inverse;
    pack_store(n->y.data, type, at + column, n->width - column, a.is_vector, x);
  }
  if (lane_index() == 0) ((float *)n->norms.data)[row] = norm;
}
KERNEL_PAIR(unit_rows, unit_arguments, UNIT_BLOCK)

/* y = x / s, s = |x| + eps: dx = (dy - x (x·dy) / (|x| s)) / s. */
DEVICE void unit_rows_gradient_body(unit_arguments a, const int type) {
  const ops_normalize *n = &a.n;
  int64_t row = grid_warp(), at = row * n->width;
  if (row >= n->rows) return;
  float product = 0;
  for (int64_t column = lane_index() * PACK; column < n->width; column += LANES * PACK) {
    pack x = pack_load(n->x.data, type, at + column, n->width - column, a.is_vector);
    pack dy = pack_load(n->dy.data, type, at + column, n->width - column, a.is_vector);
    UNROLL for (int j = 0; j < PACK; j++) product += x.v[j] * dy.v[j];
  }
  product = warp_sum(product);
  float norm = ((const float *)n->norms.data)[row], size = norm + (float)n->eps;
  float along = norm > 0 ? product / (norm * size) : 0, inverse = 1.0f / size;
  for (int64_t column = lane_index() * PACK; column < n->width; column += LANES * PACK) {
    pack x = pack_load(n->x.data, type, at + column, n->width - column, a.is_vector);
    pack dy = pack_load(n->dy.data, type, at + column, n->width - column, a.is_vector);
    UNROLL for (int j = 0; j < PACK; j++) x.v[j] = (dy.v[j] - x.v[j] * along) * inverse;
    pack_store(n->dx.data, type, at + column, n->width - column, a.is_vector, x);
  }
}
KERNEL_PAIR(unit_rows_gradient, unit_arguments, UNIT_BLOCK)

int kernel_normalize(const ops_normalize *n, void *stream) {
  unit_arguments a = {*n, is_row_vector(n->width, n->x.data) && is_row_vector(8, n->y.data)};
  return LAUNCH_PAIR(unit_rows, n->y.type, GRID(divided_up(n->rows, UNIT_BLOCK / LANES), 1),
                     UNIT_BLOCK, 0, stream, a);
}

int kernel_normalize_gradient(const ops_normalize *n, void *stream) {
  unit_arguments a = {*n, is_row_vector(n->width, n->x.data) && is_row_vector(8, n->dy.data) &&
                              is_row_vector(8, n->dx.data)};
  return LAUNCH_PAIR(unit_rows_gradient, n->dx.type,
                     GRID(divided_up(n->rows, UNIT_BLOCK / LANES), 1), UNIT_BLOCK, 0, stream, a);
}
