/* The contrastive loss on one tile of the cosine matrix: running log-sum-exp over rows and columns,
 * then the gradients, then the final sums.
 *
 * Bound: memory at 4 bytes per cosine (three exps per element stay below it on an H100). The
 * statistics read the tile once for both directions: a block owns a strip of columns over all rows
 * of the tile, so its columns are complete, and writes each row's partial result for a second
 * kernel. */
#include "cuda/kernel.cuh"
#include "cuda/kernels.h"

enum {
  TILE_BLOCK = 256,
  TILE_WARPS = TILE_BLOCK / LANES,
  TILE_STRIP = LANES * QUAD, /* columns per block */
  GRADIENT_GRID = 1024,
  FINISH_BLOCK = 1024
};

typedef struct {
  ops_contrastive c;
  float *row_parts; /* [rows, strips, 2]: max, sum of a strip of each row */
  double *totals;   /* [blocks] of dscale_log */
  int64_t strips, blocks;
  bool is_vector;
} tile_arguments;

/* A running log-sum-exp: the logarithm of the sum is max + log(sum). */
typedef struct {
  float max, sum;
} running;

DEVICE running joined(running a, running b) {
  running r;
  r.max = fmaxf(a.max, b.max);
  r.sum = a.sum * expf(a.max - r.max) + b.sum * expf(b.max - r.max);
  return r;
}

/* The logit scale, its logarithm clipped; comparisons with NaN are false. */
DEVICE float scale_of(const ops_contrastive *c) {
  float own = ((const float *)c->scale_log.data)[0];
  float least = (float)c->scale_log_least, most = (float)c->scale_log_most;
  return expf(own < least ? least : own > most ? most : own);
}

/* The lowest finite number, so that infinity minus infinity does not occur. */
DEVICE running nothing_yet(void) {
  running r = {-FLT_MAX, 0};
  return r;
}

/* The part of one row that a warp processes, given its lane's four logits. */
DEVICE running row_part(quad logits, int count) {
  running r = nothing_yet();
  UNROLL for (int j = 0; j < QUAD; j++) {
    if (j < count) r.max = fmaxf(r.max, logits.v[j]);
  }
  r.max = warp_max(r.max);
  UNROLL for (int j = 0; j < QUAD; j++) {
    if (j < count) r.sum += expf(logits.v[j] - r.max);
  }
  r.sum = warp_sum(r.sum);
  return r;
}

/* Merges the warps' columns in order, then the results of earlier tiles. */
DEVICE void finish_columns(const tile_arguments *a, const running *own) {
  SHARED(running, columns, TILE_WARPS * TILE_STRIP);
  UNROLL for (int j = 0; j < QUAD; j++) {
    columns[warp_index() * TILE_STRIP + j * LANES + lane_index()] = own[j];
  }
  __syncthreads();
  int64_t column = (int64_t)blockIdx.x * TILE_STRIP + lane_index() * QUAD + warp_index();
  if (warp_index() >= QUAD || column >= a->c.columns) return;
  float *most = (float *)a->c.column_max.data, *sum = (float *)a->c.column_sum.data;
  running r = {most[column], sum[column]};
  for (int warp = 0; warp < TILE_WARPS; warp++)
    r = joined(r, columns[warp * TILE_STRIP + warp_index() * LANES + lane_index()]);
  most[column] = r.max;
  sum[column] = r.sum;
}

/* Grid: strips of 128 columns; each warp processes every eighth row. */
KERNEL(tile_statistics, tile_arguments, TILE_BLOCK) {
  const ops_contrastive *c = &a.c;
  float scale = scale_of(c);
  int64_t column = (int64_t)blockIdx.x * TILE_STRIP + lane_index() * QUAD;
  int64_t left = c->columns - column;
  int count = left < 0 ? 0 : left < QUAD ? (int)left : QUAD;
  running own[QUAD];
  UNROLL for (int j = 0; j < QUAD; j++) own[j] = nothing_yet();
  for (int64_t row = warp_index(); row < c->rows; row += TILE_WARPS) {
    quad logits =
        quad_load((const float *)c->cosines.data, row * c->columns + column, count, a.is_vector);
    UNROLL for (int j = 0; j < QUAD; j++) {
      logits.v[j] *= scale;
      if (j >= count) continue;
      running one = {logits.v[j], 1};
      own[j] = joined(own[j], one);
      if (column + j == c->first_row + row) ((float *)c->positive.data)[row] = logits.v[j];
    }
    running r = row_part(logits, count);
    if (lane_index() == 0) {
      float *part = a.row_parts + (row * a.strips + blockIdx.x) * 2;
      part[0] = r.max;
      part[1] = r.sum;
    }
  }
  finish_columns(&a, own);
}

/* Grid: one warp per row, 8 rows per block. */
KERNEL(finish_rows, tile_arguments, TILE_BLOCK) {
  int64_t row = grid_warp();
  if (row >= a.c.rows) return;
  running r = nothing_yet();
  for (int64_t strip = lane_index(); strip < a.strips; strip += LANES) {
    const float *part = a.row_parts + (row * a.strips + strip) * 2;
    running other = {part[0], part[1]};
    r = joined(r, other);
  }
  float most = warp_max(r.max);
  float sum = warp_sum(r.sum * expf(r.max - most));
  if (lane_index() == 0) ((float *)a.c.row_lse.data)[row] = most + logf(sum);
}

/* Grid: at most GRADIENT_GRID blocks, each processing every grid-th row. Reads and writes the tile
 * once. */
KERNEL(tile_gradient, tile_arguments, TILE_BLOCK) {
  const ops_contrastive *c = &a.c;
  const float *column_lse = (const float *)c->column_lse.data;
  float scale = scale_of(c);
  float row_weight = (float)c->row_weight, column_weight = (float)c->column_weight;
  double total = 0;
  for (int64_t row = blockIdx.x; row < c->rows; row += gridDim.x) {
    float *cosines = (float *)c->cosines.data + row * c->columns, part = 0;
    float row_lse = ((const float *)c->row_lse.data)[row];
    for (int64_t column = thread_index(); column < c->columns; column += TILE_BLOCK) {
      float logit = scale * cosines[column];
      float gradient =
          row_weight * expf(logit - row_lse) + column_weight * expf(logit - column_lse[column]);
      if (column == c->first_row + row) gradient -= row_weight + column_weight;
      part += gradient * logit;
      cosines[column] = gradient * scale;
    }
    total += (double)part;
  }
  total = block_sum_double(total);
  if (thread_index() == 0) a.totals[blockIdx.x] = total;
}

/* Grid: one block. */
KERNEL(finish_scale, tile_arguments, TILE_BLOCK) {
  double total = 0;
  for (int64_t i = thread_index(); i < a.blocks; i += TILE_BLOCK) total += a.totals[i];
  total = block_sum_double(total);
  float own = ((const float *)a.c.scale_log.data)[0];
  bool is_clipped = own < (float)a.c.scale_log_least || own > (float)a.c.scale_log_most;
  if (thread_index() == 0 && !is_clipped) ((float *)a.c.dscale_log.data)[0] += (float)total;
}

/* Grid: one block; the batch is at most some tens of thousands. */
KERNEL(finish_loss, ops_contrastive_end, FINISH_BLOCK) {
  double loss = 0;
  const float *row_lse = (const float *)a.row_lse.data, *positive = (const float *)a.positive.data;
  for (int64_t i = thread_index(); i < a.count; i += FINISH_BLOCK) {
    float lse = ((const float *)a.column_max.data)[i] + logf(((const float *)a.column_sum.data)[i]);
    ((float *)a.column_lse.data)[i] = lse;
    loss += a.row_weight * ((double)row_lse[i] - (double)positive[i]) +
            a.column_weight * ((double)lse - (double)positive[i]);
  }
  loss = block_sum_double(loss);
  if (thread_index() == 0) ((float *)a.loss.data)[0] = (float)loss;
}

static tile_arguments arguments_of(const ops_contrastive *c, void *scratch) {
  tile_arguments a = {*c,
                      (float *)scratch,
                      (double *)scratch,
                      divided_up(c->columns, TILE_STRIP),
                      at_most(c->rows, GRADIENT_GRID),
                      c->columns % QUAD == 0 && (uintptr_t)c->cosines.data % 16 == 0};
  return a;
}

size_t kernel_contrastive_scratch(int64_t rows, int64_t columns) {
  size_t parts = (size_t)(rows * divided_up(columns, TILE_STRIP)) * 2 * sizeof(float);
  size_t totals = GRADIENT_GRID * sizeof(double);
  return parts > totals ? parts : totals;
}

int kernel_contrastive_statistics(const ops_contrastive *c, void *scratch, void *stream) {
  tile_arguments a = arguments_of(c, scratch);
  int failed = CUDA_LAUNCH(tile_statistics, GRID(a.strips, 1), TILE_BLOCK, 0, stream, a);
  return failed ? failed
                : CUDA_LAUNCH(finish_rows, GRID(divided_up(c->rows, TILE_WARPS), 1), TILE_BLOCK, 0,
                              stream, a);
}

int kernel_contrastive_gradient(const ops_contrastive *c, void *scratch, void *stream) {
  tile_arguments a = arguments_of(c, scratch);
  int failed = CUDA_LAUNCH(tile_gradient, GRID(a.blocks, 1), TILE_BLOCK, 0, stream, a);
  return failed ? failed : CUDA_LAUNCH(finish_scale, GRID(1, 1), TILE_BLOCK, 0, stream, a);
}

int kernel_contrastive_finish(const ops_contrastive_end *c, void *stream) {
  ops_contrastive_end a = *c;
  return CUDA_LAUNCH(finish_loss, GRID(1, 1), FINISH_BLOCK, 0, stream, a);
}
