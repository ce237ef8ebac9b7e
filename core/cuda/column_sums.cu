/* Sums over the rows or the columns of a matrix, added to the output: bias gradients, and the
 * gradients of the class token and of the word positions. */
#include "cuda/columns.cuh"
#include "cuda/kernels.h"

typedef struct {
  int64_t rows, columns, stride;
  ops_buffer x, sums;
  const float *parts; /* [parts_count, columns] */
  int64_t parts_count;
  bool is_vector;
} sums_arguments;

/* Grid: [strips of 256 columns, parts of the rows]. Reads each element once. Bound: memory. */
DEVICE void column_parts_body(sums_arguments a, const int type) {
  int64_t column = strip_column(), count = a.columns - column;
  int64_t start = a.rows * blockIdx.y / a.parts_count;
  int64_t end = a.rows * (blockIdx.y + 1) / a.parts_count;
  pack sum = {{0}};
  if (count > 0) {
    for (int64_t row = start + warp_index(); row < end; row += COLUMNS_WARPS) {
      pack x = pack_load(a.x.data, type, row * a.stride + column, count, a.is_vector);
      UNROLL for (int j = 0; j < PACK; j++) sum.v[j] += x.v[j];
    }
  }
  store_strip(sum, (float *)a.parts, a.columns);
}
KERNEL_PAIR(column_parts, sums_arguments, COLUMNS_BLOCK)

/* Grid: one block per 32 columns. */
KERNEL(add_parts, sums_arguments, PARTS_BLOCK) {
  int64_t column = (int64_t)blockIdx.x * LANES + thread_index();
  float sum = sum_of_parts(a.parts, a.parts_count, a.columns);
  if (warp_index() == 0 && column < a.columns) ((float *)a.sums.data)[column] += sum;
}

/* Grid: one warp per row, 8 rows per block. */
DEVICE void row_sums_body(sums_arguments a, const int type) {
  int64_t row = grid_warp();
  if (row >= a.rows) return;
  float sum = 0;
  for (int64_t column = lane_index() * PACK; column < a.columns; column += LANES * PACK) {
    pack x = pack_load(a.x.data, type, row * a.columns + column, a.columns - column, a.is_vector);
    UNROLL for (int j = 0; j < PACK; j++) sum += x.v[j];
  }
  sum = warp_sum(sum);
  if (lane_index() == 0) ((float *)a.sums.data)[row] += sum;
}
KERNEL_PAIR(row_sums, sums_arguments, COLUMNS_BLOCK)

size_t kernel_column_sums_scratch(int64_t rows, int64_t columns) {
  return (size_t)(column_parts_of(rows, columns) * columns) * sizeof(float);
}

int kernel_column_sums(int64_t rows, int64_t columns, int64_t stride, ops_buffer x, ops_buffer sums,
                       void *scratch, void *stream) {
  sums_arguments a = {rows,
                      columns,
                      stride,
                      x,
                      sums,
                      (float *)scratch,
                      column_parts_of(rows, columns),
                      is_row_vector(columns, x.data) && stride % PACK == 0};
  if (rows <= 0 || columns <= 0) return 0;
  int failed =
      LAUNCH_PAIR(column_parts, x.type, GRID(divided_up(columns, COLUMNS_STRIP), a.parts_count),
                  COLUMNS_BLOCK, 0, stream, a);
  if (failed) return failed;
  return CUDA_LAUNCH(add_parts, GRID(divided_up(columns, LANES), 1), PARTS_BLOCK, 0, stream, a);
}

int kernel_add_parts(int64_t count, int64_t columns, const float *parts, ops_buffer sums,
                     void *stream) {
  sums_arguments a = {count, columns, columns, {NULL, OPS_F32}, sums, parts, count, false};
  if (count <= 0 || columns <= 0) return 0;
  return CUDA_LAUNCH(add_parts, GRID(divided_up(columns, LANES), 1), PARTS_BLOCK, 0, stream, a);
}

int kernel_row_sums(int64_t rows, int64_t columns, ops_buffer x, ops_buffer sums, void *stream) {
  sums_arguments a = {rows, columns, columns, x, sums, NULL, 0, is_row_vector(columns, x.data)};
  if (rows <= 0) return 0;
  return LAUNCH_PAIR(row_sums, x.type, GRID(divided_up(rows, COLUMNS_WARPS), 1), COLUMNS_BLOCK, 0,
                     stream, a);
}
