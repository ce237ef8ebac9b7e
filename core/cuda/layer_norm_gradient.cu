/* The gradient of layer norm, plus the residual's, and the sums over rows: those for gain and
 * offset and, if requested, of dx itself, which is the bias gradient of the dense layer whose
 * output was added before the norm.
 *
 * A group of whole warps handles a row, a thread eight of its columns: the sums over rows stay in
 * 24 registers. A block processes tiles of rows, loaded into registers in their stored format, 128
 * bits per load, a whole tile at once: at width 1024 in bf16 8 rows, 12 loads per thread, 98 KiB in
 * flight on a multiprocessor with two such blocks (3 TB/s at a latency of 800 ns need 18 KiB).
 * While one block computes or waits at the tile's only barrier, the other's loads are in flight.
 * Above 2048 columns a block of 512 threads handles one row, a thread two times eight columns.
 *
 * Grid: at most NORM_PARTS blocks of neighbouring rows. Each writes its sums as a part; a second
 * kernel adds the parts in order.
 *
 * Operations: about 14 per element; bytes: 8 per element in bf16 (x, dy, the residual's gradient
 * and dx), 4 per column and part for each sum, written and read (in the cache). Bound: memory.
 * Predictions for an H100 (3.0 TB/s, 88 % of it used), with 3 us for the second kernel, batch 256:
 * - 12,800 rows of 1024 (50 tokens): 0.18 G, 105 MB (35 us), 6.5 MB of parts: 43 us (x 49: 2.1 ms)
 * - 8,192 rows of 768 (32 tokens): 0.09 G, 50 MB (17 us), 4.9 MB of parts: 23 us (x 25: 0.6 ms)
 *
 * Tried and slower (measured on an H100): one warp per row, the sums of all its columns in 80
 * registers of each lane, 8 warps per multiprocessor: 44 % of the memory bandwidth. */
#include "cuda/kernel.cuh"
#include "cuda/kernels.h"

enum {
  NORM_BLOCK = 256,
  NORM_WIDE_BLOCK = 512,
  NORM_PARTS = 264,    /* two blocks for each multiprocessor of an H100 */
  NORM_WIDE_PACKS = 2, /* 2 * 8 * 512 = 8192 columns */
  NORM_NARROW = NORM_BLOCK * PACK,
  NORM_ROWS_BF16 = 4, /* of a tile, per thread; in the same number of registers as */
  NORM_ROWS_F32 = 2,
  NORM_KINDS = 3,                                          /* of sums over rows */
  NORM_OTHERS = NORM_KINDS * (NORM_BLOCK - LANES) * PACK,  /* the sums of all groups but one */
  NORM_TILE_SUMS = NORM_BLOCK / LANES * 2 * NORM_ROWS_BF16 /* and of a wide block's warps, 2 */
};

typedef struct {
  ops_layer_norm_gradient n;
  float *parts; /* [parts, kinds, width]: dgamma, dbeta and, if requested, dx_sums of each block */
  int parts_count;
  int kinds; /* 2, or 3 with dx_sums */
  int group; /* threads of a row */
} norm_arguments;

/* Eight elements in their stored format: four words of bf16, eight of fp32. */
typedef struct {
  uint32_t word[PACK];
} stored_pack;

DEVICE stored_pack stored_load(const void *base, const int type, int64_t at, int64_t count,
                               bool is_vector) {
  stored_pack p = {{0}};
  if (!is_vector) {
    UNROLL for (int i = 0; i < PACK; i++) {
      if (i >= count) continue;
      if (type == OPS_BF16)
        p.word[i / 2] |= (uint32_t)((const uint16_t *)base)[at + i] << i % 2 * 16;
      else
        p.word[i] = ((const uint32_t *)base)[at + i];
    }
    return p;
  }
  UNROLL for (int i = 0; i < (type == OPS_BF16 ? 1 : 2); i++) {
    uint4 words = type == OPS_BF16 ? *(const uint4 *)((const uint16_t *)base + at)
                                   : ((const uint4 *)((const float *)base + at))[i];
    p.word[i * 4] = words.x;
    p.word[i * 4 + 1] = words.y;
    p.word[i * 4 + 2] = words.z;
    p.word[i * 4 + 3] = words.w;
  }
  return p;
}

DEVICE float stored_value(const stored_pack *p, const int type, const int i) {
  if (type != OPS_BF16) return float_of_bits(p->word[i]);
  return float_of_bits(i % 2 ? p->word[i / 2] & 0xFFFF0000u : p->word[i / 2] << 16);
}

/* A thread's share of a tile; rows that do not exist are zeros, whose sums are 0. */
typedef struct {
  stored_pack x[NORM_ROWS_BF16], dy[NORM_ROWS_BF16], dresidual[NORM_ROWS_BF16];
} tile_rows; /* [rows], or of a wide row [packs] */

/* The sums over rows of a thread's columns. */
typedef struct {
  pack dgamma[NORM_WIDE_PACKS], dbeta[NORM_WIDE_PACKS], dx_sums[NORM_WIDE_PACKS];
  uint32_t most; /* the bits of the largest |dx|, in its type */
} column_share;

/* The position of a thread: its group, and its place in the group. */
typedef struct {
  int group, groups, own, threads;
} norm_place;

DEVICE norm_place place_of(const norm_arguments *a) {
  norm_place p;
  p.threads = a->group;
  p.group = (int)(threadIdx.x / (unsigned)a->group);
  p.groups = (int)(blockDim.x / (unsigned)a->group);
  p.own = (int)(threadIdx.x % (unsigned)a->group);
  return p;
}

DEVICE int group_column(const norm_place *at, int pack_index) {
  return (pack_index * at->threads + at->own) * PACK;
}

/* As pack_store stores it. */
DEVICE stored_pack stored_of(const pack *p, const int type) {
  stored_pack s;
  UNROLL for (int i = 0; i < PACK; i++) s.word[i] = 0;
  UNROLL for (int i = 0; i < PACK; i++) {
    if (type != OPS_BF16)
      s.word[i] = bits_of_float(p->v[i]);
    else if (i < PACK / 2)
      s.word[i] = bf16_pair(p->v[2 * i], p->v[2 * i + 1]);
  }
  return s;
}

DEVICE void stored_store(void *base, const int type, int64_t at, int64_t count,
                         const bool is_vector, const stored_pack *p) {
  UNROLL for (int i = 0; i < PACK && !is_vector; i++) {
    if (i < count) store_element(base, type, at + i, stored_value(p, type, i));
  }
  UNROLL for (int i = 0; i < (type == OPS_BF16 ? 1 : 2) && is_vector; i++) {
    uint4 words;
    words.x = p->word[i * 4];
    words.y = p->word[i * 4 + 1];
    words.z = p->word[i * 4 + 2];
    words.w = p->word[i * 4 + 3];
    ((uint4 *)((char *)base + at * (type == OPS_BF16 ? 2 : 4)))[i] = words;
  }
}

DEVICE void load_tile(const norm_arguments *a, const norm_place *at, int64_t first, int64_t end,
                      tile_rows *t, const int type, const int rows, const int packs,
                      const bool is_vector) {
  const ops_layer_norm_gradient *n = &a->n;
  UNROLL for (int i = 0; i < rows * packs; i++) {
    const int column = group_column(at, i % packs);
    int64_t from = first * n->width + (i / packs * (int)n->width + column);
    int count = i / packs < end - first ? (int)n->width - column : 0;
    const stored_pack none = {{0}};
    t->x[i] = t->dy[i] = t->dresidual[i] = none;
    if (count <= 0) continue;
    t->x[i] = stored_load(n->x.data, type, from, count, is_vector);
    t->dy[i] = stored_load(n->dy.data, type, from, count, is_vector);
    if (n->dresidual.data)
      t->dresidual[i] = stored_load(n->dresidual.data, type, from, count, is_vector);
  }
}

/* Sums `count` values of each lane (a power of two) over the warp. Every exchange halves the number
 * of values of a lane; it ends with the sum of value lane * count / 32. */
DEVICE float warp_sums(float *v, const int count) {
  int flip = LANES / 2;
  UNROLL for (int half = 2 * NORM_ROWS_BF16 / 2; half > 0; half /= 2) {
    if (half >= count) continue;
    bool is_upper = lane_index() & flip;
    UNROLL for (int i = 0; i < half; i++) {
      float own = is_upper ? v[half + i] : v[i], other = is_upper ? v[i] : v[half + i];
      v[i] = own + __shfl_xor_sync(FULL_WARP, other, flip);
    }
    flip /= 2;
  }
  UNROLL for (int left = LANES / 2; left > 0; left /= 2) {
    if (left < LANES / count) v[0] += __shfl_xor_sync(FULL_WARP, v[0], left);
  }
  return v[0];
}

/* Read again, from the cache, in each pass over a tile: keeping it would take 8 registers too many.
 */
DEVICE void load_gain(const norm_arguments *a, const norm_place *at, pack *gamma, const int packs,
                      const bool is_vector) {
  UNROLL for (int p = 0; p < packs; p++) {
    int64_t column = group_column(at, p), count = a->n.width - column;
    UNROLL for (int j = 0; j < PACK; j++) gamma[p].v[j] = 0;
    if (count > 0) gamma[p] = pack_load(a->n.gamma.data, OPS_F32, column, count, is_vector);
  }
}

/* Adds the tile to the sums over rows. For each of the thread's rows, means[2 * row] becomes the
 * mean of g = dy gamma, the next one that of g x̂. sums: the block's, of this tile. */
DEVICE void sum_tile(const norm_arguments *a, const norm_place *at, const tile_rows *t,
                     const float (*statistics)[2], column_share *c, float *sums, float *means,
                     const int type, const int rows, const int packs, const bool is_vector) {
  pack gamma[NORM_WIDE_PACKS];
  load_gain(a, at, gamma, packs, is_vector);
  UNROLL for (int i = 0; i < 2 * rows; i++) means[i] = 0;
  UNROLL for (int i = 0; i < rows * packs; i++) {
    const int row = i / packs, p = i % packs;
    UNROLL for (int j = 0; j < PACK; j++) {
      float dy = stored_value(&t->dy[i], type, j);
      float normed = (stored_value(&t->x[i], type, j) - statistics[row][0]) * statistics[row][1];
      float g = dy * gamma[p].v[j];
      c->dgamma[p].v[j] += dy * normed; /* where nothing is dy is 0 */
      c->dbeta[p].v[j] += dy;
      means[2 * row] += g;
      means[2 * row + 1] += g * normed;
    }
  }
  float sum = warp_sums(means, 2 * rows);
  if (lane_index() % (LANES / (2 * rows)) == 0)
    sums[warp_index() * 2 * rows + lane_index() / (LANES / (2 * rows))] = sum;
  __syncthreads();
  UNROLL for (int i = 0; i < 2 * rows; i++) means[i] = 0;
  const float share = 1.0f / (float)a->n.width;
  int warps = at->threads / LANES, first = at->group * warps;
  NO_UNROLL for (int warp = first; warp < first + warps; warp++) {
    UNROLL for (int i = 0; i < 2 * rows; i++) means[i] += sums[warp * 2 * rows + i];
  }
  UNROLL for (int i = 0; i < 2 * rows; i++) means[i] *= share;
}

/* Between the passes over a tile only its elements stay in registers; the second pass recomputes g
 * and x̂ from them, which would take twice as many registers to keep. */
DEVICE void keep_elements(tile_rows *t, const int type, const int count) {
  UNROLL for (int i = 0; i < count; i++) {
    UNROLL for (int j = 0; j < (type == OPS_BF16 ? PACK / 2 : PACK); j++) {
      MADE_ANEW(t->x[i].word[j]);
      MADE_ANEW(t->dy[i].word[j]);
      MADE_ANEW(t->dresidual[i].word[j]);
    }
  }
}

/* As larger_of_pair, of `count` elements; elements beyond the row are not counted. */
DEVICE uint32_t larger_of_stored(uint32_t most, const stored_pack *p, const int type, int count) {
  UNROLL for (int j = 0; j < (type == OPS_BF16 ? PACK / 2 : PACK); j++) {
    if (type == OPS_BF16 && 2 * j < count)
      most = larger_of_pair(most, 2 * j + 1 < count ? p->word[j] : p->word[j] & 0xFFFFu);
    if (type != OPS_BF16 && j < count)
      most = bits_of_float(fmaxf(float_of_bits(most), fabsf(float_of_bits(p->word[j]))));
  }
  return most;
}

/* dx = rstd (g - mean(g) - x̂ mean(g x̂)) + dresidual; its sums are of the stored values. */
DEVICE void store_tile(const norm_arguments *a, const norm_place *at, int64_t first, int64_t end,
                       const tile_rows *t, const float (*statistics)[2], const float *means,
                       column_share *c, const int type, const int rows, const int packs,
                       const bool is_vector) {
  pack gamma[NORM_WIDE_PACKS];
  load_gain(a, at, gamma, packs, is_vector);
  UNROLL for (int i = 0; i < rows * packs; i++) {
    const int p = i % packs;
    const int column = group_column(at, p);
    int64_t to = first * a->n.width + (i / packs * (int)a->n.width + column);
    int count = i / packs < end - first ? (int)a->n.width - column : 0;
    float mean = statistics[i / packs][0], rstd = statistics[i / packs][1];
    pack dx;
    if (count <= 0) continue;
    UNROLL for (int j = 0; j < PACK; j++) {
      float g = stored_value(&t->dy[i], type, j) * gamma[p].v[j];
      float normed = (stored_value(&t->x[i], type, j) - mean) * rstd;
      dx.v[j] = rstd * (g - means[i / packs * 2] - normed * means[i / packs * 2 + 1]) +
                stored_value(&t->dresidual[i], type, j);
    }
    const stored_pack stored = stored_of(&dx, type);
    UNROLL for (int j = 0; j < PACK; j++) c->dx_sums[p].v[j] += stored_value(&stored, type, j);
    if (a->n.dx_maximum.data) c->most = larger_of_stored(c->most, &stored, type, count);
    stored_store(a->n.dx.data, type, to, count, is_vector, &stored);
  }
}

DEVICE void clear_columns(column_share *c, const int packs) {
  c->most = 0;
  UNROLL for (int p = 0; p < packs; p++) {
    UNROLL for (int j = 0; j < PACK; j++) c->dgamma[p].v[j] = c->dbeta[p].v[j] =
        c->dx_sums[p].v[j] = 0;
  }
}

/* The groups' sums, added in their order, become the block's part. With several groups, a thread
 * has one pack. */
DEVICE void store_columns(const norm_arguments *a, const norm_place *at, column_share *c,
                          float *others, const int packs, const bool is_vector) {
  float *part = a->parts + (int64_t)blockIdx.x * a->kinds * a->n.width;
  const int group = at->group, groups = at->groups;
  int own = at->own * PACK, row = at->threads * PACK;
  if (group > 0) { /* others [groups - 1, kinds, row] */
    float *to = others + (group - 1) * NORM_KINDS * row + own;
    pack_store(to, OPS_F32, 0, PACK, true, c->dgamma[0]);
    pack_store(to, OPS_F32, row, PACK, true, c->dbeta[0]);
    pack_store(to, OPS_F32, 2 * row, PACK, true, c->dx_sums[0]);
  }
  if (groups > 1) __syncthreads();
  if (group > 0) return;
  UNROLL for (int p = 0; p < packs; p++) {
    int64_t column = group_column(at, p), count = a->n.width - column;
    pack *sums[NORM_KINDS] = {&c->dgamma[p], &c->dbeta[p], &c->dx_sums[p]};
    if (count <= 0) continue;
    UNROLL for (int kind = 0; kind < NORM_KINDS; kind++) {
      if (kind >= a->kinds) continue;
      NO_UNROLL for (int other = 0; other < groups - 1; other++) {
        pack more = pack_load(others + (other * NORM_KINDS + kind) * row, OPS_F32, own, PACK, true);
        UNROLL for (int j = 0; j < PACK; j++) sums[kind]->v[j] += more.v[j];
      }
      pack_store(part + kind * a->n.width, OPS_F32, column, count, is_vector, *sums[kind]);
    }
  }
}

DEVICE void gradient_tiles(const norm_arguments *a, const int type, const int rows, const int packs,
                           const bool is_vector) {
  SHARED(float, tile_sums, 2 * NORM_TILE_SUMS); /* of one tile, and of the next */
  SHARED(float, others, NORM_OTHERS);
  const norm_place at = place_of(a);
  int turn = 0;
  int64_t start = a->n.rows * blockIdx.x / a->parts_count;
  int64_t end = a->n.rows * (blockIdx.x + 1) / a->parts_count;
  column_share c;
  clear_columns(&c, packs);
  for (int64_t tile = start; tile < end; tile += at.groups * rows, turn = 1 - turn) {
    int64_t first = tile + at.group * rows;
    tile_rows t;
    float statistics[NORM_ROWS_BF16][2], means[2 * NORM_ROWS_BF16];
    load_tile(a, &at, first, end, &t, type, rows, packs, is_vector);
    UNROLL for (int i = 0; i < rows; i++) {
      bool is_there = first + i < end;
      statistics[i][0] = is_there ? ((const float *)a->n.mean.data)[first + i] : 0;
      statistics[i][1] = is_there ? ((const float *)a->n.rstd.data)[first + i] : 0;
    }
    sum_tile(a, &at, &t, statistics, &c, tile_sums + turn * NORM_TILE_SUMS, means, type, rows,
             packs, is_vector);
    keep_elements(&t, type, rows * packs);
    store_tile(a, &at, first, end, &t, statistics, means, &c, type, rows, packs, is_vector);
  }
  raise_by_warp((float *)a->n.dx_maximum.data,
                float_of_bits(type == OPS_BF16 ? c.most << 16 : c.most));
  store_columns(a, &at, &c, others, packs, is_vector);
}

#define NORM_KERNELS(name, threads, rows_f32, rows_bf16, packs, is_vector, blocks)                 \
  KERNEL_BLOCKS(name##_f32, norm_arguments, threads, blocks) {                                     \
    gradient_tiles(&a, OPS_F32, rows_f32, packs, is_vector);                                       \
  }                                                                                                \
  KERNEL_BLOCKS(name##_bf16, norm_arguments, threads, blocks) {                                    \
    gradient_tiles(&a, OPS_BF16, rows_bf16, packs, is_vector);                                     \
  }
NORM_KERNELS(norm_gradient, NORM_BLOCK, NORM_ROWS_F32, NORM_ROWS_BF16, 1, true, 2)
NORM_KERNELS(norm_gradient_wide, NORM_WIDE_BLOCK, 1, 1, NORM_WIDE_PACKS, true, 1)
/* For every width, and for rows that cannot be read 16 bytes at a time. */
NORM_KERNELS(norm_gradient_any, NORM_WIDE_BLOCK, 1, 1, NORM_WIDE_PACKS, false, 1)

/* Grid: one block per 32 columns of the sums. */
KERNEL(norm_parts, norm_arguments, PARTS_BLOCK) {
  int64_t width = a.n.width, column = (int64_t)blockIdx.x * LANES + thread_index();
  float sum = sum_of_parts(a.parts, a.parts_count, a.kinds * width);
  if (warp_index() > 0 || column >= a.kinds * width) return;
  const ops_buffer *to = column < width       ? &a.n.dgamma
                         : column < 2 * width ? &a.n.dbeta
                                              : &a.n.dx_sums;
  ((float *)to->data)[column % width] += sum;
}

/* Threads of a row: whole warps. */
static int64_t group_of(int64_t width) {
  if (width > NORM_NARROW) return NORM_WIDE_BLOCK;
  return divided_up(divided_up(width, PACK), LANES) * LANES;
}

static int64_t groups_of(int64_t width) {
  return width > NORM_NARROW ? 1 : NORM_BLOCK / group_of(width);
}

/* Depends only on the shape, and not on the type. */
static int64_t parts_of(int64_t rows, int64_t width) {
  int64_t tile = width > NORM_NARROW ? 1 : groups_of(width) * NORM_ROWS_BF16;
  return at_most(divided_up(rows, tile), NORM_PARTS);
}

size_t kernel_layer_norm_gradient_scratch(int64_t rows, int64_t width) {
  return (size_t)(parts_of(rows, width) * NORM_KINDS * width) * sizeof(float);
}

int kernel_layer_norm_gradient(const ops_layer_norm_gradient *n, void *scratch, void *stream) {
  if (n->width < 1 || n->width > KERNEL_WIDEST_NORM) return KERNEL_INVALID;
  int64_t parts = parts_of(n->rows, n->width), threads = groups_of(n->width) * group_of(n->width);
  norm_arguments a = {*n, (float *)scratch, (int)parts, n->dx_sums.data ? 3 : 2,
                      (int)group_of(n->width)};
  bool is_vector = is_row_vector(n->width, n->x.data) && is_row_vector(8, n->dy.data) &&
                   is_row_vector(8, n->dresidual.data) && is_row_vector(8, n->dx.data) &&
                   is_row_vector(8, n->gamma.data);
  int failed;
  if (n->rows <= 0) return 0;
  if (!is_vector)
    failed = LAUNCH_PAIR(norm_gradient_any, n->dx.type, GRID(parts, 1), threads, 0, stream, a);
  else if (n->width > NORM_NARROW)
    failed = LAUNCH_PAIR(norm_gradient_wide, n->dx.type, GRID(parts, 1), threads, 0, stream, a);
  else
    failed = LAUNCH_PAIR(norm_gradient, n->dx.type, GRID(parts, 1), threads, 0, stream, a);
  if (failed) return failed;
  return CUDA_LAUNCH(norm_parts, GRID(divided_up(a.kinds * n->width, LANES), 1), PARTS_BLOCK, 0,
                     stream, a);
}
