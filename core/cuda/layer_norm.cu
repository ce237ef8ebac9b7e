/* Layer norm with the preceding residual sum.
 *
 * A row is read once into registers: by one warp up to 1280 columns, by a block of 256 threads
 * above. Mean and variance are computed in two passes over the registers, which avoids
 * cancellation. */
#include "cuda/fp8.cuh"
#include "cuda/kernels.h"

enum {
  NORM_BLOCK = 128,                                        /* threads, one row per warp */
  NORM_WIDE_BLOCK = 256,                                   /* threads, all on one row */
  NORM_PACKS = KERNEL_WIDEST_NARROW_NORM / (PACK * LANES), /* a lane's share of a row: 5 */
  NORM_WIDE_PACKS = 4,                                     /* 4 * 8 * 256 = 8192 columns */
  NORM_NARROW = NORM_PACKS * PACK * LANES,
  EIGHT_BLOCK = 256, /* threads that write 8 bits */
  EIGHT_ROWS = 32    /* of a block: what it writes of a column turned is a sector of memory */
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

/* To x, the row's normalised values as floats; stores everything else. */
DEVICE void normalize_row(const norm_forward *a, int64_t row, const int type, const bool is_wide,
                          pack *x) {
  const ops_layer_norm *n = &a->n;
  const int packs = is_wide ? NORM_WIDE_PACKS : NORM_PACKS;
  int64_t width = n->width, at = row * width;
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
  }
  if (pack_column(0, is_wide) == 0) {
    ((float *)n->mean.data)[row] = mean;
    ((float *)n->rstd.data)[row] = rstd;
  }
}

DEVICE void norm_row(const norm_forward *a, int64_t row, const int type, const bool is_wide) {
  const ops_layer_norm *n = &a->n;
  const int packs = is_wide ? NORM_WIDE_PACKS : NORM_PACKS;
  float most = 0;
  pack x[NORM_PACKS];
  normalize_row(a, row, type, is_wide, x);
  UNROLL for (int i = 0; i < packs; i++) {
    int64_t column = pack_column(i, is_wide), count = n->width - column;
    if (count <= 0) continue;
    UNROLL for (int j = 0; j < PACK; j++) {
      if (j < count) most = fmaxf(most, fabsf(x[i].v[j]));
    }
    pack_store(n->y.data, type, row * n->width + column, count, a->is_vector, x[i]);
  }
  raise_by_warp((float *)n->y_maximum.data, rounded_to(type, most));
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

/* One warp's rows of the block's, rounded: to memory, and to `tile` [EIGHT_ROWS, NORM_NARROW]. */
DEVICE void round_rows(const norm_forward *a, int64_t top, uint32_t *tile) {
  const int type = OPS_BF16;
  const ops_narrow *to = &a->n.narrow;
  const int64_t width = a->n.width;
  uint8_t *values = (uint8_t *)to->values.data;
  float *scale = (float *)to->scale.data, factor = scale[OPS_SCALE_FACTOR];
  fp8_record record = {0, 0};
  NO_UNROLL for (int i = warp_index(); i < EIGHT_ROWS; i += EIGHT_BLOCK / LANES) {
    pack x[NORM_PACKS];
    if (top + i >= a->n.rows) break;
    normalize_row(a, top + i, type, false, x);
    UNROLL for (int k = 0; k < NORM_PACKS; k++) {
      int64_t column = pack_column(k, false);
      if (column >= width) continue;
      UNROLL for (int j = 0; j < PACK; j++) x[k].v[j] = rounded_to(type, x[k].v[j]);
      record_pack(&record, &x[k], factor, fp8_largest(to->format));
      uint2 words = rounded_pack(to->format, &x[k], factor);
      if (values) *(uint2 *)(values + (top + i) * width + column) = words;
      *(uint2 *)(tile + (i * NORM_NARROW + column) / 4) = words;
    }
  }
  store_record(scale, &record, false);
}

/* Grid: a block per 32 rows, four per warp. Moves, with a residual, 2 elements in, the sum out, and
 * 1 or 2 bytes per element. Bound: memory. Prediction for an H100 (2.7 TB/s) at 12,800 rows of 1024
 * in bf16, both layouts: 105 MB, 39 us; norm_narrow and the rounding after it move 157 MB. */
KERNEL(norm_eight_bf16, norm_forward, EIGHT_BLOCK) {
  enum { SECTOR = 16 }; /* bytes that a thread stores at once */
  SHARED(uint32_t, words, EIGHT_ROWS * NORM_NARROW / 4);
  const uint8_t *bytes = (const uint8_t *)words;
  uint8_t *turned = (uint8_t *)a.n.narrow.turned.data;
  int64_t top = (int64_t)blockIdx.x * EIGHT_ROWS;
  round_rows(&a, top, words);
  if (!turned) return;
  __syncthreads();
  for (int column = thread_index(); column < a.n.width; column += EIGHT_BLOCK) {
    UNROLL for (int half = 0; half < EIGHT_ROWS / SECTOR; half++) {
      const uint8_t *from = bytes + half * SECTOR * NORM_NARROW + column;
      int64_t row = top + half * SECTOR;
      uint8_t own[SECTOR];
      uint4 all;
      if (row >= a.n.rows) break;
      UNROLL for (int i = 0; i < SECTOR; i++) own[i] = from[i * NORM_NARROW];
      all.x = word_of(own);
      all.y = word_of(own + 4);
      all.z = word_of(own + 8);
      all.w = word_of(own + 12);
      *(uint4 *)(turned + column * a.n.rows + row) = all;
    }
  }
}

static int norm_eight(norm_forward a, void *stream) {
  const ops_layer_norm *n = &a.n;
  a.is_vector = a.is_vector && is_row_vector(8, n->narrow.values.data) &&
                is_row_vector(8, n->narrow.turned.data);
  if (n->x.type != OPS_BF16 || !a.is_vector || n->rows % OPS_NARROW_MULTIPLE ||
      n->width % OPS_NARROW_MULTIPLE || n->width > NORM_NARROW)
    return KERNEL_INVALID;
  return CUDA_LAUNCH(norm_eight_bf16, GRID(divided_up(n->rows, EIGHT_ROWS), 1), EIGHT_BLOCK, 0,
                     stream, a);
}

int kernel_layer_norm(const ops_layer_norm *n, void *stream) {
  if (n->width < 1 || n->width > KERNEL_WIDEST_NORM) return KERNEL_INVALID;
  norm_forward a = {*n, is_row_vector(n->width, n->x.data) && is_row_vector(8, n->residual.data) &&
                            is_row_vector(8, n->sum.data) && is_row_vector(8, n->y.data) &&
                            is_row_vector(8, n->gamma.data) && is_row_vector(8, n->beta.data)};
  if (n->narrow.scale.data) return norm_eight(a, stream);
  if (n->width > NORM_NARROW)
    return LAUNCH_PAIR(norm_wide, n->y.type, GRID(n->rows, 1), NORM_WIDE_BLOCK, 0, stream, a);
  return LAUNCH_PAIR(norm_narrow, n->y.type, GRID(divided_up(n->rows, NORM_BLOCK / LANES), 1),
                     NORM_BLOCK, 0, stream, a);
}
