/* Shared by the attention kernels for short sequences, where one block handles a whole head of one
 * sample, with the head width a compile-time constant. */
#ifndef FLIP_CUDA_ATTENTION_SHORT_CUH
#define FLIP_CUDA_ATTENTION_SHORT_CUH

#include "cuda/async.cuh"
#include "cuda/attention_tiles.cuh"

enum {
  SHORT_TOKENS = 256, /* at most */
  ONE_TILE = 64,      /* up to this many are one tile, whose size is a compile-time constant */
  HALF_TILE = 32
};

/* The block's head. */
typedef struct {
  int image, head, tokens, keys;
  int rows; /* tokens, rounded up to a warp's */
} short_head;

DEVICE short_head short_head_of(const attention_arguments *a) {
  const ops_attention *p = &a->a;
  unsigned heads = (unsigned)p->heads;
  short_head h = {(int)(blockIdx.x / heads), (int)(blockIdx.x % heads), (int)p->tokens,
                  (int)p->tokens, rounded_up(p->tokens, WARP_ROWS)};
  if (p->key_counts.data) h.keys = ((const int32_t *)p->key_counts.data)[h.image];
  if (h.keys > h.tokens) h.keys = h.tokens;
  return h;
}

/* Elements between two tokens of out, and of qkv; a third of the latter between q, k and v. */
DEVICE int out_stride(const attention_arguments *a, const int head_width) {
  return (int)a->a.heads * head_width;
}

DEVICE int qkv_stride(const attention_arguments *a, const int head_width) {
  return 3 * out_stride(a, head_width);
}

/* The head's part (0, 1, 2: q, k, v) of token `token` in qkv or dqkv; its out or dout. */
DEVICE int64_t part_offset(const attention_arguments *a, const short_head *h, int token, int part,
                           const int head_width) {
  return ((int64_t)h->image * h->tokens + token) * qkv_stride(a, head_width) +
         part * out_stride(a, head_width) + h->head * head_width;
}

DEVICE uint16_t *part_at(const attention_arguments *a, const short_head *h, ops_buffer buffer,
                         int token, int part, const int head_width) {
  return (uint16_t *)buffer.data + part_offset(a, h, token, part, head_width);
}

DEVICE uint16_t *out_at(const attention_arguments *a, const short_head *h, ops_buffer buffer,
                        int token, const int head_width) {
  return (uint16_t *)buffer.data +
         ((int64_t)h->image * h->tokens + token) * out_stride(a, head_width) + h->head * head_width;
}

DEVICE int64_t statistic_at(const attention_arguments *a, const short_head *h, int token) {
  return (h->image * a->a.heads + h->head) * h->tokens + token;
}

/* tile [rows, head] = rows of `from`, by `threads` threads of which this is number `thread`; zeros
 * beyond the `left` rows that exist. Rows of a tile are PACK elements apart, so that the eight rows
 * of a matrix lie in different banks. */
DEVICE void copy_rows(uint16_t *tile, int rows, const uint16_t *from, int stride, int left,
                      int thread, int threads, const int head) {
  const int pieces = head / PACK;
  for (int i = thread; i < rows * pieces; i += threads) {
    int row = i / pieces, column = i % pieces * PACK;
    bool is_there = row < left;
    copy_async(tile + row * (head + PACK) + column,
               from + (int64_t)(is_there ? row : 0) * stride + column, is_there);
  }
}

/* A part of the whole head, by the whole block, and zeros up to `rows`. */
DEVICE void copy_head(const attention_arguments *a, const short_head *h, int part, uint16_t *tile,
                      int rows, const int head) {
  copy_rows(tile, rows, part_at(a, h, a->a.qkv, 0, part, head), qkv_stride(a, head), h->tokens,
            thread_index(), block_threads(), head);
}

/* s [16, others] = 16 rows of `left` times the first `count` rows of `right`, transposed. */
DEVICE void multiply_rows(const uint16_t *left, const uint16_t *right, int count, const int others,
                          const int head, float (*s)[4]) {
  const int pitch = head + PACK;
  UNROLL for (int n = 0; n < others / 8; n++) {
    UNROLL for (int j = 0; j < 4; j++) s[n][j] = 0;
  }
  UNROLL for (int i = 0; i < head / 16; i++) {
    uint32_t a[4], b[4];
    load_a(a, left, pitch, 0, i * 16);
    UNROLL for (int n = 0; n < others / 16; n++) {
      if (n * 16 >= count) continue;
      load_b(b, right, pitch, n * 16, i * 16);
      mma_bf16(s[2 * n], a, b);
      mma_bf16(s[2 * n + 1], a, b + 2);
    }
  }
}

/* What a product left in registers [16, others], as the left operands of the next. */
DEVICE void pack_operands(uint32_t (*left)[4], const float (*s)[4], const int others) {
  UNROLL for (int n = 0; n < others / 16; n++) a_of_scores(left[n], s + 2 * n);
}

/* sum [16, head] += left [16, others] times the first `count` rows of `right`. */
DEVICE void add_rows(const uint32_t (*left)[4], const uint16_t *right, int count, const int others,
                     const int head, float (*sum)[4]) {
  UNROLL for (int n = 0; n < others / 16; n++) {
    if (n * 16 >= count) continue;
    UNROLL for (int i = 0; i < head / 16; i++) {
      uint32_t b[4];
      load_b_transposed(b, right, head + PACK, n * 16, i * 16);
      mma_bf16(sum[2 * i], left[n], b);
      mma_bf16(sum[2 * i + 1], left[n], b + 2);
    }
  }
}

/* A warp's product [16, columns], times `scale`, into `tile` in shared memory, which only this warp
 * uses by then, so that a lane can write 16 bytes of a row to global memory. */
DEVICE void stage_product(uint16_t *tile, const int pitch, const float (*sum)[4],
                          const float *scale, const int columns) {
  __syncwarp(FULL_WARP); /* all lanes have read it */
  UNROLL for (int n = 0; n < columns / 8; n++) {
    UNROLL for (int half = 0; half < 2; half++) {
      int at = (lane_index() / 4 + half * 8) * pitch + n * 8 + lane_index() % 4 * 2;
      *(uint32_t *)(tile + at) =
          bf16_pair(sum[n][2 * half] * scale[half], sum[n][2 * half + 1] * scale[half]);
    }
  }
  __syncwarp(FULL_WARP);
}

/* Stores `left` rows of what was staged to global memory at `to`. Returns larger_of_pair of `most`
 * and what the lane wrote. */
DEVICE uint32_t store_staged(const uint16_t *tile, const int pitch, const int columns, uint16_t *to,
                             int64_t stride, int left, uint32_t most) {
  const int pieces = columns / PACK;
  UNROLL for (int i = lane_index(); i < WARP_ROWS * pieces; i += LANES) {
    int row = i / pieces, column = i % pieces * PACK;
    if (row >= left) continue;
    uint4 words = *(const uint4 *)(tile + row * pitch + column);
    store_16(to + (int64_t)row * stride + column, words);
    most = larger_of_pair(larger_of_pair(most, words.x), words.y);
    most = larger_of_pair(larger_of_pair(most, words.z), words.w);
  }
  return most;
}

/* The kernels for each width of heads; `blocks`, as KERNEL_BLOCKS has it, for heads up to 64. */
#define SHORT_KERNEL(name, threads, blocks, width)                                                 \
  KERNEL_BLOCKS(name##_##width, attention_arguments, threads, blocks) {                            \
    name##_body(a, width);                                                                         \
  }
#define SHORT_KERNELS(name, threads, blocks)                                                       \
  SHORT_KERNEL(name, threads, blocks, 32)                                                          \
  SHORT_KERNEL(name, threads, blocks, 48)                                                          \
  SHORT_KERNEL(name, threads, blocks, 64)                                                          \
  SHORT_KERNEL(name, threads, 1, 80)                                                               \
  SHORT_KERNEL(name, threads, 1, 96)                                                               \
  SHORT_KERNEL(name, threads, 1, 112)                                                              \
  SHORT_KERNEL(name, threads, 1, 128)
#define LAUNCH_WIDTH(name, width, blocks, arguments, threads, shared_bytes, stream)                \
  case width:                                                                                      \
    return CUDA_ALLOW_SHARED(name##_##width, shared_bytes)                                         \
               ? (CUDA_FORGET_ERROR, KERNEL_REFUSED)                                               \
               : CUDA_LAUNCH(name##_##width, GRID(blocks, 1), threads, shared_bytes, stream,       \
                             arguments)
#define LAUNCH_SHORT_WIDTH(name, width, arguments, threads, shared_bytes, stream)                  \
  LAUNCH_WIDTH(name, width, (arguments).a.batch *(arguments).a.heads, arguments, threads,          \
               shared_bytes, stream)
/* Launches the kernel for the head width and returns the result. */
#define RETURN_LAUNCH_WIDTHS(name, head_width, blocks, arguments, threads, shared_bytes, stream)   \
  switch (head_width) {                                                                            \
    LAUNCH_WIDTH(name, 32, blocks, arguments, threads, shared_bytes, stream);                      \
    LAUNCH_WIDTH(name, 48, blocks, arguments, threads, shared_bytes, stream);                      \
    LAUNCH_WIDTH(name, 64, blocks, arguments, threads, shared_bytes, stream);                      \
    LAUNCH_WIDTH(name, 80, blocks, arguments, threads, shared_bytes, stream);                      \
    LAUNCH_WIDTH(name, 96, blocks, arguments, threads, shared_bytes, stream);                      \
    LAUNCH_WIDTH(name, 112, blocks, arguments, threads, shared_bytes, stream);                     \
    LAUNCH_WIDTH(name, 128, blocks, arguments, threads, shared_bytes, stream);                     \
  default:                                                                                         \
    return KERNEL_INVALID;                                                                         \
  }
/* The same with a block for each head. */
#define RETURN_LAUNCH_SHORT(name, arguments, threads, shared_bytes, stream)                        \
  RETURN_LAUNCH_WIDTHS(name, (arguments).a.head_width, (arguments).a.batch *(arguments).a.heads,   \
                       arguments, threads, shared_bytes, stream)

/* What these kernels can read, in rows aligned to 16 bytes. */
static inline bool short_can_read(ops_buffer qkv, int64_t tokens, int64_t head_width) {
  return qkv.type == OPS_BF16 && tokens <= SHORT_TOKENS && head_width % 16 == 0 &&
         head_width >= 32 && head_width <= KERNEL_WIDEST_HEAD;
}

/* The tile for that many rows, ONE_TILE at most. */
static inline int64_t short_tile(int64_t rows) {
  return rows <= HALF_TILE ? HALF_TILE : ONE_TILE;
}

static inline int64_t short_rows(const attention_arguments *a) {
  return divided_up(a->a.tokens, WARP_ROWS) * WARP_ROWS;
}

#endif
