/* Operands of 8-bit products: the largest absolute value, from which the factor follows that maps
 * it to the format's largest number, and the rounding, in one pass to both layouts. */
#include <assert.h>

#include "cuda/activation.cuh"
#include "cuda/fp8.cuh"
#include "cuda/kernels.h"

enum {
  FP8_BLOCK = 256,
  SPAN = 4 * FP8_BLOCK * PACK, /* elements of a block that finds a maximum */
  SQUARE = 64,                 /* the side of a block's tile that is rounded */
  PACKS = SQUARE / PACK,       /* of a tile's row */
  PITCH = SQUARE + 4,          /* bytes between the rows of a tile in shared memory */
  BYTES = 8,
  LIST = 32 /* matrices of one launch */
};

/* What is rounded: x, its activation, or x times the slope of the activation at `pre`. */
enum { ROUNDED_VALUES, ROUNDED_ACTIVATION, ROUNDED_GRADIENT };

typedef struct {
  ops_buffer x, pre;
  uint8_t *values, *turned;
  float *scale;
  float *parts; /* [row tiles, columns]: of the sums over the rows, or NULL */
  int64_t rows, columns;
  int64_t first_span, first_tile; /* of its blocks, in a list */
  ops_fp8 format;
  ops_activation activation;
  bool is_vector, is_flat_vector, is_vector_turned;
  bool is_delayed, has_maximum;
} narrow_item;

typedef struct {
  int count;
  narrow_item items[LIST];
} narrow_list;
static_assert(sizeof(narrow_list) <= 4096, "a kernel's arguments");

typedef struct {
  int64_t count;
  ops_buffer x;
  float *maximum;
  bool is_vector;
} maximum_arguments;

/* The maximum of non-negative floats is the maximum of their bits, in any order: an integer atomic
 * gives the same result in each run. NaN is smaller than everything. */
DEVICE void raise_maximum(float *maximum, float most) {
  SHARED(float, largest, FP8_BLOCK / LANES);
  most = warp_max(most);
  if (lane_index() == 0) largest[warp_index()] = most;
  __syncthreads();
  if (thread_index() > 0) return;
  for (int warp = 1; warp < FP8_BLOCK / LANES; warp++) most = fmaxf(most, largest[warp]);
  atomicMax((unsigned *)maximum, bits_of_float(most));
}

/* The values that are rounded, as they would be stored. */
DEVICE pack narrow_source(const narrow_item *n, int64_t at, int64_t count, bool is_vector,
                          const int type, const int source) {
  pack x = pack_load(n->x.data, type, at, count, is_vector && count >= PACK);
  if (source == ROUNDED_ACTIVATION) {
    UNROLL for (int j = 0; j < PACK; j++) {
      x.v[j] = rounded_to(type, activated(n->activation, x.v[j], type));
    }
  }
  if (source == ROUNDED_GRADIENT) {
    pack pre = pack_load(n->pre.data, type, at, count, is_vector && count >= PACK);
    UNROLL for (int j = 0; j < PACK; j++) {
      x.v[j] = rounded_to(type, x.v[j] * activation_slope(n->activation, pre.v[j], type));
    }
  }
  return x;
}

/* Block `span` of the item's. Bound: memory. Predictions for an H100 (3.0 TB/s) at 12,800 rows of
 * 4096 in bf16: 105 MB, 35 us; with the activation, about 30 instructions an element, 45 us. */
DEVICE void find_maximum(const narrow_item *n, int64_t span, const int type, const int source) {
  int64_t count = n->rows * n->columns, at = span * SPAN + thread_index() * PACK;
  float most = 0;
  UNROLL for (int i = 0; i < SPAN / (FP8_BLOCK * PACK); i++, at += FP8_BLOCK * PACK) {
    if (at >= count) break;
    pack x = narrow_source(n, at, count - at, n->is_flat_vector, type, source);
    UNROLL for (int j = 0; j < PACK; j++) most = fmaxf(most, fabsf(x.v[j]));
  }
  raise_maximum(n->scale + OPS_SCALE_MAXIMUM, most);
}

DEVICE float factor_for(ops_fp8 format, float most) {
  float factor = fp8_largest(format) / most;
  return most > 0 && factor > 0 && factor <= FLT_MAX ? factor : 1.0f;
}

/* Eight bytes of a row, the first `count` of them. */
DEVICE void store_bytes(uint8_t *to, int64_t count, bool is_vector, const uint8_t *bytes) {
  if (is_vector && count >= BYTES) {
    uint2 words;
    words.x = word_of(bytes);
    words.y = word_of(bytes + 4);
    *(uint2 *)to = words;
  } else {
    UNROLL for (int j = 0; j < BYTES; j++) {
      if (j < count) to[j] = bytes[j];
    }
  }
}

/* The sums over the tile's rows, of which each thread has eight columns of a few: the warp's four
 * lanes, then the warps in order. Neighbouring lanes have neighbouring columns. */
DEVICE void store_tile_sums(const narrow_item *n, int64_t top, int64_t left, pack sum) {
  SHARED(float, sums, FP8_BLOCK / LANES * SQUARE);
  UNROLL for (int flip = PACKS; flip < LANES; flip *= 2) {
    UNROLL for (int j = 0; j < PACK; j++) sum.v[j] += __shfl_xor_sync(FULL_WARP, sum.v[j], flip);
  }
  if (lane_index() < PACKS) {
    UNROLL for (int j = 0; j < PACK; j++) {
      sums[warp_index() * SQUARE + lane_index() * PACK + j] = sum.v[j];
    }
  }
  __syncthreads();
  int64_t column = left + thread_index();
  if (thread_index() >= SQUARE || column >= n->columns) return;
  float total = 0;
  for (int warp = 0; warp < FP8_BLOCK / LANES; warp++)
    total += sums[warp * SQUARE + thread_index()];
  n->parts[top / SQUARE * n->columns + column] = total;
}

/* The tile whose bytes are in `words`, turned: a thread writes eight bytes of a column. */
DEVICE void store_turned(const narrow_item *n, int64_t top, int64_t left, const uint32_t *words) {
  const uint8_t *bytes_of_tile = (const uint8_t *)words;
  __syncthreads();
  for (int i = thread_index(); i < SQUARE * PACKS; i += FP8_BLOCK) {
    int64_t column = left + i / PACKS, row = top + i % PACKS * BYTES, count = n->rows - row;
    uint8_t bytes[BYTES] = {0};
    if (column >= n->columns || count <= 0) continue;
    UNROLL for (int j = 0; j < BYTES; j++) {
      if (j < count) bytes[j] = bytes_of_tile[(i % PACKS * BYTES + j) * PITCH + i / PACKS];
    }
    store_bytes(n->turned + column * n->rows + row, count, n->is_vector_turned, bytes);
  }
}

/* Tile `tile` of the item's, 64 x 64, the tiles of a column of tiles one after another: what they
 * write turned is adjacent. The tile passes through shared memory; its rows are 68 bytes apart, so
 * that a column's bytes are in different banks.
 *
 * Moves 2 bytes in, and 1 or 2 out. Bound: memory; measured on an H100 with one output: 2.8 TB/s.
 * Predictions at 12,800 rows of 4096, both outputs: 210 MB, 75 us; of a gradient, which reads `pre`
 * too, with its sums: 320 MB, 115 us. */
DEVICE void round_tile(const narrow_item *n, int64_t tile, const int type, const int source) {
  SHARED(uint32_t, words, SQUARE * PITCH / 4);
  int64_t row_tiles = (n->rows + SQUARE - 1) / SQUARE;
  int64_t top = tile % row_tiles * SQUARE, left = tile / row_tiles * SQUARE;
  float factor = n->is_delayed ? n->scale[OPS_SCALE_FACTOR]
                               : factor_for(n->format, n->scale[OPS_SCALE_MAXIMUM]);
  fp8_record record = {0, 0};
  pack sum = {{0}};
  if (tile == 0 && thread_index() == 0 && !n->is_delayed) {
    n->scale[OPS_SCALE_FACTOR] = factor;
    n->scale[OPS_SCALE_INVERSE] = 1.0f / factor;
  }
  for (int i = thread_index(); i < SQUARE * PACKS; i += FP8_BLOCK) {
    int64_t row = top + i / PACKS, column = left + i % PACKS * PACK;
    int64_t count = row < n->rows ? n->columns - column : 0;
    uint8_t bytes[BYTES];
    if (count <= 0) continue;
    pack x = narrow_source(n, row * n->columns + column, count, n->is_vector, type, source);
    if (n->is_delayed) record_pack(&record, &x, factor, fp8_largest(n->format));
    if (source == ROUNDED_GRADIENT) {
      UNROLL for (int j = 0; j < PACK; j++) sum.v[j] += j < count ? x.v[j] : 0.0f;
    }
    UNROLL for (int j = 0; j < PACK; j++) {
      bytes[j] = fp8_of_float(n->format, x.v[j] * factor);
    }
    if (n->turned) {
      int at = (i / PACKS * PITCH + i % PACKS * PACK) / 4;
      words[at] = word_of(bytes);
      words[at + 1] = word_of(bytes + 4);
    }
    if (n->values) store_bytes(n->values + row * n->columns + column, count, n->is_vector, bytes);
  }
  if (n->is_delayed) store_record(n->scale, &record, n->has_maximum);
  if (source == ROUNDED_GRADIENT && n->parts) store_tile_sums(n, top, left, sum);
  if (n->turned) store_turned(n, top, left, words);
}

/* One matrix. Grid: a block per span; per tile. */
DEVICE void narrow_maximum_body(narrow_item a, const int type) {
  find_maximum(&a, blockIdx.x, type, ROUNDED_VALUES);
}
KERNEL_PAIR(narrow_maximum, narrow_item, FP8_BLOCK)

DEVICE void narrow_activated_maximum_body(narrow_item a, const int type) {
  find_maximum(&a, blockIdx.x, type, ROUNDED_ACTIVATION);
}
KERNEL_PAIR(narrow_activated_maximum, narrow_item, FP8_BLOCK)

DEVICE void narrow_values_body(narrow_item a, const int type) {
  round_tile(&a, blockIdx.x, type, ROUNDED_VALUES);
}
KERNEL_PAIR(narrow_values, narrow_item, FP8_BLOCK)

DEVICE void narrow_activated_body(narrow_item a, const int type) {
  round_tile(&a, blockIdx.x, type, ROUNDED_ACTIVATION);
}
KERNEL_PAIR(narrow_activated, narrow_item, FP8_BLOCK)

DEVICE void narrow_gradient_body(narrow_item a, const int type) {
  round_tile(&a, blockIdx.x, type, ROUNDED_GRADIENT);
}
KERNEL_PAIR(narrow_gradient, narrow_item, FP8_BLOCK)

/* What another kernel has rounded: x holds bytes. Grid: a block per tile. Moves 1 byte each way.
 * Bound: memory. Prediction for an H100 (2.7 TB/s) at 12,800 rows of 3072: 79 MB, 29 us. */
KERNEL(turn_bytes, narrow_item, FP8_BLOCK) {
  SHARED(uint32_t, words, SQUARE * PITCH / 4);
  const uint8_t *from = (const uint8_t *)a.x.data;
  int64_t row_tiles = (a.rows + SQUARE - 1) / SQUARE;
  int64_t top = blockIdx.x % row_tiles * SQUARE, left = blockIdx.x / row_tiles * SQUARE;
  for (int i = thread_index(); i < SQUARE * PACKS; i += FP8_BLOCK) {
    int64_t row = top + i / PACKS, column = left + i % PACKS * BYTES;
    if (row >= a.rows || column >= a.columns) continue;
    uint2 eight = *(const uint2 *)(from + row * a.columns + column);
    int at = (i / PACKS * PITCH + i % PACKS * BYTES) / 4;
    words[at] = eight.x;
    words[at + 1] = eight.y;
  }
  store_turned(&a, top, left, words);
}

/* The same of a list: the weights, once a step. Predictions for the 405 million of ViT-L/16 and its
 * text tower: 0.8 GB, 0.3 ms, and 1.6 GB, 0.6 ms. */
KERNEL(narrow_list_maxima, narrow_list, FP8_BLOCK) {
  int i = 0;
  while (i + 1 < a.count && (int64_t)blockIdx.x >= a.items[i + 1].first_span) i++;
  find_maximum(&a.items[i], blockIdx.x - a.items[i].first_span, OPS_BF16, ROUNDED_VALUES);
}

KERNEL(narrow_list_values, narrow_list, FP8_BLOCK) {
  int i = 0;
  while (i + 1 < a.count && (int64_t)blockIdx.x >= a.items[i + 1].first_tile) i++;
  round_tile(&a.items[i], blockIdx.x - a.items[i].first_tile, OPS_BF16, ROUNDED_VALUES);
}

/* Of a matrix that another library has made. Grid: a block per span. */
DEVICE void largest_of_body(maximum_arguments a, const int type) {
  float most = 0;
  int64_t at = (int64_t)blockIdx.x * SPAN + thread_index() * PACK;
  for (int i = 0; i < SPAN / (FP8_BLOCK * PACK) && at < a.count; i++, at += FP8_BLOCK * PACK) {
    int64_t count = a.count - at;
    pack x = pack_load(a.x.data, type, at, count, a.is_vector && count >= PACK);
    UNROLL for (int j = 0; j < PACK; j++) most = fmaxf(most, fabsf(x.v[j]));
  }
  raise_maximum(a.maximum, most);
}
KERNEL_PAIR(largest_of, maximum_arguments, FP8_BLOCK)

int kernel_maximum(int64_t count, ops_buffer x, ops_buffer maximum, void *stream) {
  maximum_arguments a = {count, x, (float *)maximum.data, is_row_vector(PACK, x.data)};
  if (count <= 0) return 0;
  return LAUNCH_PAIR(largest_of, x.type, GRID(divided_up(count, SPAN), 1), FP8_BLOCK, 0, stream, a);
}

/* Grid: one block, a thread per operand: some hundreds, 150 bytes each, and 8 of each rank. */
KERNEL(narrow_advance, ops_scales, FP8_BLOCK) {
  double saturated = 0;
  for (int64_t i = thread_index(); i < a.count; i += FP8_BLOCK) {
    float *scale = (float *)a.scales.data + i * OPS_SCALE_FLOATS;
    float *history = (float *)a.history.data + i * OPS_SCALE_HISTORY, most = 0;
    const float *of = (const float *)a.gathered.data + i * OPS_SCALE_FLOATS;
    for (int64_t rank = 0; rank < a.ranks; rank++, of += a.stride) {
      most = fmaxf(most, of[OPS_SCALE_MAXIMUM]);
      saturated += (double)((const int *)of)[OPS_SCALE_SATURATED];
    }
    for (int step = 0; step + 1 < OPS_SCALE_HISTORY; step++) history[step] = history[step + 1];
    history[OPS_SCALE_HISTORY - 1] = most;
    for (int step = 0; step + 1 < OPS_SCALE_HISTORY; step++) most = fmaxf(most, history[step]);
    float factor = factor_for(i < a.gradients ? OPS_E4M3 : OPS_E5M2, most);
    scale[OPS_SCALE_MAXIMUM] = 0;
    scale[OPS_SCALE_FACTOR] = factor;
    scale[OPS_SCALE_INVERSE] = 1.0f / factor;
    ((int *)scale)[OPS_SCALE_SATURATED] = 0;
  }
  saturated = block_sum_double(saturated);
  float *total = (float *)a.saturated.data;
  if (thread_index() == 0) total[0] = (a.adds ? total[0] : 0.0f) + (float)saturated;
}

int kernel_advance_scales(const ops_scales *s, void *stream) {
  return CUDA_LAUNCH(narrow_advance, GRID(1, 1), FP8_BLOCK, 0, stream, *s);
}

static int64_t spans_of(const narrow_item *n) {
  return divided_up(n->rows * n->columns, SPAN);
}

static int64_t tiles_of(const narrow_item *n) {
  return divided_up(n->rows, SQUARE) * divided_up(n->columns, SQUARE);
}

static narrow_item item_of(const ops_rounding *r) {
  narrow_item n = {r->x,
                   r->pre,
                   (uint8_t *)r->to.values.data,
                   (uint8_t *)r->to.turned.data,
                   (float *)r->to.scale.data,
                   NULL,
                   r->rows,
                   r->columns,
                   0,
                   0,
                   r->to.format,
                   r->activation,
                   false,
                   is_row_vector(PACK, r->x.data),
                   false,
                   r->is_delayed,
                   r->has_maximum};
  n.is_vector = is_row_vector(r->columns, r->x.data) && (uintptr_t)n.values % BYTES == 0;
  n.is_vector_turned = r->rows % BYTES == 0 && (uintptr_t)n.turned % BYTES == 0;
  return n;
}

/* The gradient through an activation, and its sums. */
static int narrow_gradient(const ops_rounding *r, narrow_item a, void *scratch, void *stream) {
  const int64_t tiles = divided_up(r->rows, SQUARE);
  if (!r->is_delayed) return KERNEL_INVALID;
  a.is_vector = a.is_vector && is_row_vector(PACK, r->pre.data);
  if (r->sums.data) a.parts = (float *)scratch;
  int failed =
      LAUNCH_PAIR(narrow_gradient, r->x.type, GRID(tiles_of(&a), 1), FP8_BLOCK, 0, stream, a);
  return failed || !a.parts ? failed
                            : kernel_add_parts(tiles, r->columns, a.parts, r->sums, stream);
}

static int narrow_one(const ops_rounding *r, void *scratch, void *stream) {
  narrow_item a = item_of(r);
  const int type = r->x.type;
  int failed = 0;
  if (r->rows <= 0 || r->columns <= 0) return 0;
  if (r->pre.data) return narrow_gradient(r, a, scratch, stream);
  if (!r->has_maximum && !r->is_delayed)
    failed = r->is_activated ? LAUNCH_PAIR(narrow_activated_maximum, type, GRID(spans_of(&a), 1),
                                           FP8_BLOCK, 0, stream, a)
                             : LAUNCH_PAIR(narrow_maximum, type, GRID(spans_of(&a), 1), FP8_BLOCK,
                                           0, stream, a);
  if (failed) return failed;
  return r->is_activated
             ? LAUNCH_PAIR(narrow_activated, type, GRID(tiles_of(&a), 1), FP8_BLOCK, 0, stream, a)
             : LAUNCH_PAIR(narrow_values, type, GRID(tiles_of(&a), 1), FP8_BLOCK, 0, stream, a);
}

int kernel_turn(int64_t rows, int64_t columns, ops_buffer values, ops_buffer turned, void *stream) {
  narrow_item a = {};
  if (rows <= 0 || columns <= 0) return 0;
  a.x = values;
  a.turned = (uint8_t *)turned.data;
  a.rows = rows;
  a.columns = columns;
  a.is_vector_turned = rows % BYTES == 0 && (uintptr_t)a.turned % BYTES == 0;
  if (columns % BYTES || (uintptr_t)values.data % BYTES) return KERNEL_INVALID;
  return CUDA_LAUNCH(turn_bytes, GRID(tiles_of(&a), 1), FP8_BLOCK, 0, stream, a);
}

size_t kernel_narrow_scratch(const ops_rounding *list, size_t count) {
  if (count != 1 || !list->sums.data) return 0;
  return (size_t)(divided_up(list->rows, SQUARE) * list->columns) * sizeof(float);
}

int kernel_narrow(const ops_rounding *list, size_t count, void *scratch, void *stream) {
  int failed = 0;
  if (count == 1) return narrow_one(list, scratch, stream);
  for (size_t first = 0; first < count && !failed; first += LIST) {
    narrow_list a;
    int64_t spans = 0, tiles = 0;
    a.count = 0;
    for (size_t i = first; i < count && i < first + LIST; i++) {
      narrow_item n = item_of(&list[i]);
      if (list[i].is_activated || list[i].has_maximum || list[i].is_delayed || list[i].pre.data ||
          n.x.type != OPS_BF16 || n.rows <= 0 || n.columns <= 0)
        return KERNEL_INVALID;
      n.first_span = spans;
      n.first_tile = tiles;
      spans += spans_of(&n);
      tiles += tiles_of(&n);
      a.items[a.count++] = n;
    }
    for (int i = a.count; i < LIST; i++) a.items[i] = a.items[0];
    failed = CUDA_LAUNCH(narrow_list_maxima, GRID(spans, 1), FP8_BLOCK, 0, stream, a);
    if (!failed) failed = CUDA_LAUNCH(narrow_list_values, GRID(tiles, 1), FP8_BLOCK, 0, stream, a);
  }
  return failed;
}
