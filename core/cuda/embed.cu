/* Word embedding with positions, and its gradient.
 *
 * Bound: memory. Grid: one warp per row, 8 rows per block. Four bytes of the table and one compute
 * element out; positions come from the caches. */
#include "cuda/kernel.cuh"
#include "cuda/kernels.h"
#include "cuda/scatter_rows.h"

enum { EMBED_BLOCK = 256 };

typedef struct {
  ops_embed e;
  bool is_vector;
} embed_arguments;

DEVICE void embed_body(embed_arguments a, const int type) {
  const ops_embed *e = &a.e;
  int64_t row = grid_warp(), width = e->width;
  if (row >= e->batch * e->length) return;
  int64_t word = ((const int32_t *)e->ids.data)[row];
  int64_t place = e->places.data ? ((const int32_t *)e->places.data)[row] : row % e->length;
  for (int64_t column = lane_index() * PACK; column < width; column += LANES * PACK) {
    int64_t count = width - column;
    pack x = pack_load(e->table.data, OPS_F32, word * width + column, count, a.is_vector);
    pack p = pack_load(e->positions.data, OPS_F32, place * width + column, count, a.is_vector);
    UNROLL for (int j = 0; j < PACK; j++) x.v[j] += p.v[j];
    pack_store(e->tokens.data, type, row * width + column, count, a.is_vector, x);
  }
}
KERNEL_PAIR(embed, embed_arguments, EMBED_BLOCK)

int kernel_embed(const ops_embed *e, void *stream) {
  embed_arguments a = {*e, is_row_vector(e->width, e->table.data) &&
                               is_row_vector(8, e->positions.data) &&
                               is_row_vector(8, e->tokens.data)};
  return LAUNCH_PAIR(embed, e->tokens.type,
                     GRID(divided_up(e->batch * e->length, EMBED_BLOCK / LANES), 1), EMBED_BLOCK, 0,
                     stream, a);
}

size_t kernel_embed_gradient_scratch(int64_t batch, int64_t length, int64_t width) {
  size_t rows = kernel_scatter_rows_scratch(batch * length, width);
  size_t sums = kernel_column_sums_scratch(batch, length * width);
  return rows > sums ? rows : sums;
}

static int add_to_rows(const ops_embed *e, ops_buffer ids, ops_buffer table, void *scratch,
                       void *stream) {
  scatter_rows rows = {.count = e->batch * e->length,
                       .width = e->width,
                       .ids = (const int32_t *)ids.data,
                       .x = e->dtokens,
                       .table = table};
  return kernel_scatter_rows(&rows, scratch, stream);
}

/* Without places a column sum of dtokens viewed as [batch, length * width]. */
static int position_gradient(const ops_embed *e, void *scratch, void *stream) {
  if (!e->dpositions.data) return 0;
  if (e->places.data) return add_to_rows(e, e->places, e->dpositions, scratch, stream);
  return kernel_column_sums(e->batch, e->length * e->width, e->length * e->width, e->dtokens,
                            e->dpositions, scratch, stream);
}

int kernel_embed_gradient(const ops_embed *e, void *scratch, void *stream) {
  if (e->vocabulary > KERNEL_LONGEST_TABLE) return KERNEL_INVALID;
  int failed = position_gradient(e, scratch, stream);
  return failed || !e->dtable.data ? failed : add_to_rows(e, e->ids, e->dtable, scratch, stream);
}
