/* Sums over the rows or the columns of a matrix, added to the output: bias gradients, and the
 * gradients of the class token and of the word positions. */
#include "cuda/kernel.cuh"
#include "cuda/kernels.h"

enum {
  SUMS_BLOCK = 256,
  SUMS_WARPS = SUMS_BLOCK / LANES,
  SUMS_STRIP = LANES * PACK, /* columns of a block */
  SUMS_ROWS = 128,           /* minimum rows per part */
  SUMS_GRID = 1024           /* maximum blocks, many per multiprocessor */
};

typedef struct {
  int64_t rows, columns, stride;
  ops_buffer x, sums;
  const float *parts; /* [parts_count, columns] */
  int64_t parts_count;
  bool is_vector;
} sums_arguments;

/* Grid: [strips of 256 columns, parts of the rows]. Each warp adds every eighth row of the part, a
 * lane eight columns; then the warps' sums are added in order. Reads each element once. Bound:
 * memory. */
DEVICE void column_parts_body(sums_arguments a, const int type) {
  SHARED(float, sums, SUMS_WARPS *SUMS_STRIP);
  int64_t column = (int64_t)blockIdx.x * SUMS_STRIP + lane_index() * PACK;
  int64_t count = a.columns - column;
  int64_t start = a.rows * blockIdx.y / a.parts_count;
  int64_t end = a.rows * (blockIdx.y + 1) / a.parts_count;
  pack sum = {{0}};
  if (count > 0) {
    for (int64_t row = start + warp_index(); row < end; row += SUMS_WARPS) {
      pack x = pack_load(a.x.data, type, row * a.stride + column, count, a.is_vector);
      UNROLL for (int j = 0; j < PACK; j++) sum.v[j] += x.v[j];
    }
  }
  /* column j of a lane's pack is stored at j * LANES + lane: no bank conflicts */
  UNROLL for (int j = 0; j < PACK; j++) {
    sums[warp_index() * SUMS_STRIP + j * LANES + lane_index()] = sum.v[j];
  }
  __syncthreads();
  float total = 0;
  for (int warp = 0; warp < SUMS_WARPS; warp++) total += sums[warp * SUMS_STRIP + thread_index()];
  int64_t own =
      (int64_t)blockIdx.x * SUMS_STRIP + thread_index() % LANES * PACK + thread_index() / LANES;
  if (own < a.columns) ((float *)a.parts)[blockIdx.y * a.columns + own] = total;
}
KERNEL_PAIR(column_parts, sums_arguments, SUMS_BLOCK)

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
KERNEL_PAIR(row_sums, sums_arguments, SUMS_BLOCK)

/* Depends only on the shape: the order of the sum must not depend on the device. */
static int64_t parts_of(int64_t rows, int64_t columns) {
  int64_t most = SUMS_GRID / at_most(divided_up(columns, SUMS_STRIP), SUMS_GRID / 16);
  int64_t parts = at_most(divided_up(rows, SUMS_ROWS), most);
  return parts > 0 ? parts : 1;
}

size_t kernel_column_sums_scratch(int64_t rows, int64_t columns) {
  return (size_t)(parts_of(rows, columns) * columns) * sizeof(float);
}

int kernel_column_sums(int64_t rows, int64_t columns, int64_t stride, ops_buffer x, ops_buffer sums,
                       void *scratch, void *stream) {
  sums_arguments a = {rows,
                      columns,
                      stride,
                      x,
                      sums,
                      (float *)scratch,
                      parts_of(rows, columns),
                      is_row_vector(columns, x.data) && stride % PACK == 0};
  if (rows <= 0 || columns <= 0) return 0;
  int failed =
      LAUNCH_PAIR(column_parts, x.type, GRID(divided_up(columns, SUMS_STRIP), a.parts_count),
                  SUMS_BLOCK, 0, stream, a);
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
  return LAUNCH_PAIR(row_sums, x.type, GRID(divided_up(rows, SUMS_WARPS), 1), SUMS_BLOCK, 0, stream,
                     a);
}
