/* GELU in its three forms and their derivatives, for products whose library epilogue lacks the
 * requested form.
 *
 * Grid: one thread per eight elements. Moves one element each way forward, two in and one out
 * backward. Bound: memory; exp and erf are hidden behind it in bf16. */
#include "cuda/activation.cuh"
#include "cuda/columns.cuh"
#include "cuda/kernels.h"

enum { ACTIVATION_BLOCK = 256 };

typedef struct {
  int64_t count;
  ops_activation activation;
  ops_buffer pre, c;
  bool is_vector;
} activation_arguments;

DEVICE void activate_body(activation_arguments a, const int type) {
  int64_t at = grid_thread() * PACK, count = a.count - at;
  bool is_vector = a.is_vector && count >= PACK;
  if (count <= 0) return;
  pack x = pack_load(a.pre.data, type, at, count, is_vector);
  UNROLL for (int j = 0; j < PACK; j++) x.v[j] = activated(a.activation, x.v[j], type);
  pack_store(a.c.data, type, at, count, is_vector, x);
}
KERNEL_PAIR(activate, activation_arguments, ACTIVATION_BLOCK)

DEVICE void activate_gradient_body(activation_arguments a, const int type) {
  int64_t at = grid_thread() * PACK, count = a.count - at;
  bool is_vector = a.is_vector && count >= PACK;
  if (count <= 0) return;
  pack x = pack_load(a.pre.data, type, at, count, is_vector);
  pack c = pack_load(a.c.data, type, at, count, is_vector);
  UNROLL for (int j = 0; j < PACK; j++) c.v[j] *= activation_slope(a.activation, x.v[j], type);
  pack_store(a.c.data, type, at, count, is_vector, c);
}
KERNEL_PAIR(activate_gradient, activation_arguments, ACTIVATION_BLOCK)

typedef struct {
  int64_t rows, columns;
  ops_activation activation;
  ops_buffer pre, c;
  float *parts; /* [parts_count, columns] */
  int64_t parts_count;
  float *maximum; /* of the result, or NULL */
  bool is_vector;
} slope_arguments;

/* The same with the sums over the rows of the result, the bias gradient of the layer that computed
 * `pre`; otherwise another kernel would have to read c again.
 *
 * Grid: [strips of 256 columns, parts of the rows], as in column_sums.cu. Moves 3 elements, and 4
 * bytes per column and part. Bound: memory. Prediction for an H100 at 3.0 TB/s, 12,800 rows of 4096
 * in bf16: 315 MB, 105 us, and 4 us to add the parts. */
DEVICE void slope_sums_body(slope_arguments a, const int type) {
  int64_t column = strip_column(), count = a.columns - column;
  int64_t start = a.rows * blockIdx.y / a.parts_count;
  int64_t end = a.rows * (blockIdx.y + 1) / a.parts_count;
  pack sum = {{0}};
  float most = 0;
  for (int64_t row = start + warp_index(); row < end && count > 0; row += COLUMNS_WARPS) {
    int64_t at = row * a.columns + column;
    pack x = pack_load(a.pre.data, type, at, count, a.is_vector);
    pack c = pack_load(a.c.data, type, at, count, a.is_vector);
    UNROLL for (int j = 0; j < PACK; j++) {
      c.v[j] = rounded_to(type, c.v[j] * activation_slope(a.activation, x.v[j], type));
      if (j < count) sum.v[j] += c.v[j];
      if (j < count) most = fmaxf(most, fabsf(c.v[j]));
    }
    pack_store(a.c.data, type, at, count, a.is_vector, c);
  }
  raise_by_warp(a.maximum, most);
  store_strip(sum, a.parts, a.columns);
}
KERNEL_PAIR(slope_sums, slope_arguments, COLUMNS_BLOCK)

static activation_arguments arguments_of(ops_activation activation, int64_t count, ops_buffer pre,
                                         ops_buffer c) {
  activation_arguments a = {count, activation, pre, c,
                            is_row_vector(PACK, pre.data) && is_row_vector(PACK, c.data)};
  return a;
}

int kernel_activation(ops_activation activation, int64_t count, ops_buffer pre, ops_buffer c,
                      void *stream) {
  activation_arguments a = arguments_of(activation, count, pre, c);
  if (count <= 0) return 0;
  return LAUNCH_PAIR(activate, c.type, GRID(divided_up(count, ACTIVATION_BLOCK * PACK), 1),
                     ACTIVATION_BLOCK, 0, stream, a);
}

int kernel_activation_gradient(ops_activation activation, int64_t count, ops_buffer pre,
                               ops_buffer c, void *stream) {
  activation_arguments a = arguments_of(activation, count, pre, c);
  if (count <= 0) return 0;
  return LAUNCH_PAIR(activate_gradient, c.type, GRID(divided_up(count, ACTIVATION_BLOCK * PACK), 1),
                     ACTIVATION_BLOCK, 0, stream, a);
}

size_t kernel_activation_gradient_sums_scratch(int64_t rows, int64_t columns) {
  return (size_t)(column_parts_of(rows, columns) * columns) * sizeof(float);
}

int kernel_activation_gradient_sums(ops_activation activation, int64_t rows, int64_t columns,
                                    ops_buffer pre, ops_buffer c, ops_buffer sums,
                                    ops_buffer maximum, void *scratch, void *stream) {
  slope_arguments a = {rows,
                       columns,
                       activation,
                       pre,
                       c,
                       (float *)scratch,
                       column_parts_of(rows, columns),
                       (float *)maximum.data,
                       is_row_vector(columns, pre.data) && is_row_vector(PACK, c.data)};
  if (rows <= 0 || columns <= 0) return 0;
  int failed =
      LAUNCH_PAIR(slope_sums, c.type, GRID(divided_up(columns, COLUMNS_STRIP), a.parts_count),
                  COLUMNS_BLOCK, 0, stream, a);
  return failed ? failed : kernel_add_parts(a.parts_count, columns, a.parts, sums, stream);
}
