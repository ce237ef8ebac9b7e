/* Image tokens: class token first, then each kept patch with its position; and the gradient.
 *
 * Bound: memory. Grid: one warp per row, 8 rows per block. */
#include "cuda/kernel.cuh"
#include "cuda/kernels.h"
#include "cuda/scatter_rows.h"

enum { ASSEMBLE_BLOCK = 256 };

typedef struct {
  ops_assemble a;
  int64_t tokens, has_class;
  bool is_vector;
} assemble_arguments;

/* The row of `positions` that belongs to entry i of the index. */
DEVICE int64_t position_of(const ops_assemble *a, int64_t i) {
  int32_t which = ((const int32_t *)a->index.data)[i];
  return (which < 0 ? ~which : which) + (a->class_has_position ? 1 : 0);
}

/* One compute element in and out, and a position from the caches. */
DEVICE void assemble_body(assemble_arguments g, const int type) {
  const ops_assemble *a = &g.a;
  int64_t row = grid_warp(), width = a->width;
  if (row >= a->batch * g.tokens) return;
  int64_t token = row % g.tokens, i = row / g.tokens * a->keep + token - g.has_class;
  bool is_class = g.has_class && token == 0;
  int64_t position = is_class ? 0 : position_of(a, i);
  for (int64_t column = lane_index() * PACK; column < width; column += LANES * PACK) {
    int64_t count = width - column;
    pack x = is_class ? pack_load(a->class_token.data, OPS_F32, column, count, g.is_vector)
                      : pack_load(a->patches.data, type, i * width + column, count, g.is_vector);
    if (!is_class || a->class_has_position) {
      pack p = pack_load(a->positions.data, OPS_F32, position * width + column, count, g.is_vector);
      UNROLL for (int j = 0; j < PACK; j++) x.v[j] += p.v[j];
    }
    pack_store(a->tokens.data, type, row * width + column, count, g.is_vector, x);
  }
}
KERNEL_PAIR(assemble, assemble_arguments, ASSEMBLE_BLOCK)

/* dpatches: the rows of dtokens without the class token's. */
DEVICE void patch_rows_body(assemble_arguments g, const int type) {
  const ops_assemble *a = &g.a;
  int64_t row = grid_warp(), width = a->width;
  if (row >= a->batch * a->keep) return;
  int64_t from = row / a->keep * g.tokens + row % a->keep + g.has_class;
  for (int64_t column = lane_index() * PACK; column < width; column += LANES * PACK) {
    int64_t count = width - column;
    pack x = pack_load(a->dtokens.data, type, from * width + column, count, g.is_vector);
    pack_store(a->dpatches.data, type, row * width + column, count, g.is_vector, x);
  }
}
KERNEL_PAIR(patch_rows, assemble_arguments, ASSEMBLE_BLOCK)

static assemble_arguments arguments_of(const ops_assemble *a) {
  assemble_arguments g = {*a, 0, a->class_token.data != NULL, false};
  g.tokens = a->keep + g.has_class;
  return g;
}

int kernel_assemble(const ops_assemble *a, void *stream) {
  assemble_arguments g = arguments_of(a);
  g.is_vector = is_row_vector(a->width, a->patches.data) && is_row_vector(8, a->tokens.data) &&
                is_row_vector(8, a->positions.data) && is_row_vector(8, a->class_token.data);
  return LAUNCH_PAIR(assemble, a->tokens.type,
                     GRID(divided_up(a->batch * g.tokens, ASSEMBLE_BLOCK / LANES), 1),
                     ASSEMBLE_BLOCK, 0, stream, g);
}

size_t kernel_assemble_gradient_scratch(int64_t batch, int64_t keep, int64_t width) {
  size_t rows = kernel_scatter_rows_scratch(batch * keep, width);
  size_t sums = kernel_column_sums_scratch(batch, width);
  return rows > sums ? rows : sums;
}

int kernel_assemble_gradient(const ops_assemble *a, void *scratch, void *stream) {
  assemble_arguments g = arguments_of(a);
  int64_t stride = g.tokens * a->width;
  g.is_vector = is_row_vector(a->width, a->dtokens.data) && is_row_vector(8, a->dpatches.data);
  int failed = LAUNCH_PAIR(patch_rows, a->dtokens.type,
                           GRID(divided_up(a->batch * a->keep, ASSEMBLE_BLOCK / LANES), 1),
                           ASSEMBLE_BLOCK, 0, stream, g);
  if (!failed && g.has_class && a->dclass_token.data)
    failed = kernel_column_sums(a->batch, a->width, stride, a->dtokens, a->dclass_token, scratch,
                                stream);
  if (failed || !a->dpositions.data) return failed;
  if (g.has_class && a->class_has_position)
    failed =
        kernel_column_sums(a->batch, a->width, stride, a->dtokens, a->dpositions, scratch, stream);
  scatter_rows rows = {.count = a->batch * a->keep,
                       .width = a->width,
                       .ids = (const int32_t *)a->index.data,
                       .key_offset = a->class_has_position ? 1 : 0,
                       .group = a->keep,
                       .group_stride = g.tokens,
                       .group_first = g.has_class,
                       .x = a->dtokens,
                       .table = a->dpositions};
  return failed ? failed : kernel_scatter_rows(&rows, scratch, stream);
}
