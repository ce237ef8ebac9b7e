/* Quantisation to 8-bit floats for the products of dense layers: the absolute maximum, the scale
 * that maps it to the format's maximum, and the cast with or without a transposed copy.
 *
 * Bound: memory. 2 bytes in (bf16) and 1 or 2 out. */
#include "cuda/fp8.cuh"

enum { AMAX_BLOCK = 256, AMAX_GRID = 1024, SQUARE = 64, SQUARE_BLOCK = 256, BYTES = 8 };

typedef struct {
  int64_t count;
  ops_buffer x;
  float *amax;
  bool is_vector;
} amax_arguments;

typedef struct {
  kernel_fp8 format;
  int64_t rows, columns;
  ops_buffer x;
  const float *scale;
  uint8_t *to, *transposed;
  bool is_vector, is_vector_transposed;
} quantize_arguments;

typedef struct {
  kernel_fp8 format;
  const float *amax;
  float *scale, *inverse;
} scale_arguments;

/* Grid: at most AMAX_GRID blocks. The maximum of non-negative floats is the maximum of their bits,
 * in any order: an integer atomic gives the same result in each run. */
KERNEL(amax_clear, amax_arguments, LANES) {
  if (thread_index() == 0) a.amax[0] = 0;
}

DEVICE void amax_body(amax_arguments a, const int type) {
  float most = 0;
  for (int64_t at = grid_thread() * PACK; at < a.count; at += grid_threads() * PACK) {
    pack x = pack_load(a.x.data, type, at, a.count - at, a.is_vector && a.count - at >= PACK);
    UNROLL for (int j = 0; j < PACK; j++) most = fmaxf(most, fabsf(x.v[j]));
  }
  most = warp_max(most);
  if (lane_index() == 0) atomicMax((unsigned *)a.amax, bits_of_float(most));
}
KERNEL_PAIR(amax, amax_arguments, AMAX_BLOCK)

KERNEL(fp8_scale, scale_arguments, LANES) {
  if (thread_index() > 0) return;
  float most = a.amax[0], scale = fp8_largest(a.format) / most;
  if (!(most > 0) || !(scale > 0) || scale > FLT_MAX) scale = 1;
  a.scale[0] = scale;
  a.inverse[0] = 1.0f / scale;
}

/* Four bytes as a word. */
DEVICE uint32_t word_of(const uint8_t *bytes) {
  uint32_t word = 0;
  UNROLL for (int j = 0; j < 4; j++) word |= (uint32_t)bytes[j] << (8 * j);
  return word;
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

/* Grid: [row tiles, column tiles] of 64 x 64; at most 65,535 column tiles. The tile passes through
 * shared memory for the transposed copy; its rows are 68 bytes apart, so that a column's bytes are
 * in different banks. */
DEVICE void quantize_body(quantize_arguments a, const int type) {
  enum { PITCH = SQUARE + 4, PACKS = SQUARE / PACK };
  SHARED(uint32_t, words, SQUARE * PITCH / 4);
  const uint8_t *tile = (const uint8_t *)words;
  float scale = a.scale[0];
  int64_t left = (int64_t)blockIdx.y * SQUARE, top = (int64_t)blockIdx.x * SQUARE;
  for (int i = thread_index(); i < SQUARE * PACKS; i += SQUARE_BLOCK) {
    int64_t row = top + i / PACKS, column = left + i % PACKS * PACK;
    int64_t count = row < a.rows ? a.columns - column : 0;
    uint8_t bytes[BYTES];
    if (count <= 0) continue;
    pack x =
        pack_load(a.x.data, type, row * a.columns + column, count, a.is_vector && count >= PACK);
    UNROLL for (int j = 0; j < PACK; j++) {
      bytes[j] = fp8_of_float(a.format, x.v[j] * scale);
    }
    if (a.transposed) {
      int at = (i / PACKS * PITCH + i % PACKS * PACK) / 4;
      words[at] = word_of(bytes);
      words[at + 1] = word_of(bytes + 4);
    }
    if (a.to) store_bytes(a.to + row * a.columns + column, count, a.is_vector, bytes);
  }
  if (!a.transposed) return;
  __syncthreads();
  for (int i = thread_index(); i < SQUARE * PACKS; i += SQUARE_BLOCK) {
    int64_t column = left + i / PACKS, row = top + i % PACKS * BYTES, count = a.rows - row;
    uint8_t bytes[BYTES] = {0};
    if (column >= a.columns || count <= 0) continue;
    UNROLL for (int j = 0; j < BYTES; j++) {
      if (j < count) bytes[j] = tile[(i % PACKS * BYTES + j) * PITCH + i / PACKS];
    }
    store_bytes(a.transposed + column * a.rows + row, count, a.is_vector_transposed, bytes);
  }
}
KERNEL_PAIR(quantize, quantize_arguments, SQUARE_BLOCK)

int kernel_amax(int64_t count, ops_buffer x, float *amax_out, void *stream) {
  amax_arguments a = {count, x, amax_out, is_row_vector(PACK, x.data)};
  int failed = CUDA_LAUNCH(amax_clear, GRID(1, 1), LANES, 0, stream, a);
  if (failed || count <= 0) return failed;
  return LAUNCH_PAIR(amax, x.type,
                     GRID(at_most(divided_up(count, AMAX_BLOCK * PACK), AMAX_GRID), 1), AMAX_BLOCK,
                     0, stream, a);
}

int kernel_fp8_scale(kernel_fp8 format, const float *amax_in, float *scale, float *inverse,
                     void *stream) {
  scale_arguments a = {format, amax_in, scale, inverse};
  return CUDA_LAUNCH(fp8_scale, GRID(1, 1), LANES, 0, stream, a);
}

int kernel_quantize(kernel_fp8 format, int64_t rows, int64_t columns, ops_buffer x,
                    const float *scale, uint8_t *to, uint8_t *transposed, void *stream) {
  quantize_arguments a = {format,
                          rows,
                          columns,
                          x,
                          scale,
                          to,
                          transposed,
                          is_row_vector(columns, x.data) && (uintptr_t)to % BYTES == 0,
                          rows % BYTES == 0 && (uintptr_t)transposed % BYTES == 0};
  if (rows <= 0 || columns <= 0) return 0;
  /* rows along the grid's x: a large batch has millions, and y is limited to 65,535 */
  return LAUNCH_PAIR(quantize, x.type, GRID(divided_up(rows, SQUARE), divided_up(columns, SQUARE)),
                     SQUARE_BLOCK, 0, stream, a);
}
