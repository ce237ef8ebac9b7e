/* The attention that a layer's queries pay to each key (ops_attended), in bf16 by the tensor cores,
 * for images of at most SHORT_TOKENS tokens.
 *
 * Grid: one block per image, which takes one head after another: k is copied to shared memory, each
 * warp takes 16 queries at a time. Pass 1 over tiles of keys gives a query's maximum and sum, pass
 * 2 its weights, whose sums over the queries stay with the warp. (One tile: its weights are those
 * of pass 1.) Shared memory: a row of sums for each warp, k, and a warp's q.
 *
 * Operations: 4 queries tokens head for each head (2 with one tile); bytes: q and k, 4 tokens
 * width. Prediction for an H100, 256 images of 65 tokens, 6 heads of 64, all of them queries: 2.5
 * GFLOP, 26 MB (9 us), 26 us. Not measured on a GPU.
 *
 * Bound: latency, of the copies of k, which the other blocks of a multiprocessor hide. */
#include "cuda/attended.cuh"
#include "cuda/attention_short.cuh"

enum { SCORE_WARPS = 8 };

/* Token `token` of the block's image, part 0 or 1 (q, k) of one head. */
DEVICE const uint16_t *scored_part(const attended_arguments *a, int token, int part, int64_t which,
                                   const int head) {
  const ops_attended *op = &a->op;
  int64_t row = ((int64_t)blockIdx.x * op->tokens + token) * 3 + part;
  return (const uint16_t *)op->qkv.data + (row * op->heads + which) * head;
}

/* sums [from `start` on] += the weights of a tile [16, count], each row times its `inverse`. */
DEVICE void add_columns(float *sums, const float (*s)[4], int start, int count,
                        const float *inverse) {
  UNROLL for (int n = 0; n < TILE_KEYS / 8; n++) {
    if (n * 8 >= count) continue;
    UNROLL for (int i = 0; i < 2; i++) {
      float total = s[n][i] * inverse[0] + s[n][2 + i] * inverse[1];
      /* over the eight lanes that have the same columns */
      UNROLL for (int flip = 4; flip < LANES; flip *= 2) total +=
          __shfl_xor_sync(FULL_WARP, total, flip);
      if (lane_index() < 4) sums[start + n * 8 + lane_index() * 2 + i] += total;
    }
  }
}

/* The warp's queries from `first` on, whose q it has copied. */
DEVICE void score_rows(const attended_arguments *a, int first, const uint16_t *q, const uint16_t *k,
                       float *sums, const int head) {
  const int tokens = (int)a->op.tokens, rows = rounded_up(tokens, WARP_ROWS);
  const float scale = a->scale * LOG2_E;
  float s[TILE_KEYS / 8][4], most[2] = {-FLT_MAX, -FLT_MAX}, sum[2] = {0, 0}, shrink[2], inverse[2];
  NO_UNROLL for (int start = 0; start < rows; start += TILE_KEYS) {
    int count = rows - start < TILE_KEYS ? rows - start : TILE_KEYS;
    int seen[2] = {tokens - start, tokens - start};
    multiply_rows(q, k + start * (head + PACK), count, TILE_KEYS, head, s);
    soften(s, count, TILE_KEYS, seen, scale, most, sum, shrink);
  }
  UNROLL for (int half = 0; half < 2; half++) {
    float total = row_total(sum[half]);
    bool is_query = first + lane_index() / 4 + 8 * half < (int)a->op.queries;
    inverse[half] = is_query ? 1.0f / total : 0.0f;
  }
  if (rows <= TILE_KEYS) {
    add_columns(sums, s, 0, rows, inverse);
    return;
  }
  NO_UNROLL for (int start = 0; start < rows; start += TILE_KEYS) {
    int count = rows - start < TILE_KEYS ? rows - start : TILE_KEYS;
    WARP_CONVERGES; /* add_columns diverged */
    multiply_rows(q, k + start * (head + PACK), count, TILE_KEYS, head, s);
    UNROLL for (int n = 0; n < TILE_KEYS / 8; n++) {
      UNROLL for (int i = 0; i < 4; i++) {
        int key = start + n * 8 + lane_index() % 4 * 2 + i % 2;
        s[n][i] = key < tokens ? power_of_two(s[n][i] * scale - most[i / 2] * scale) : 0.0f;
      }
    }
    add_columns(sums, s, start, count, inverse);
  }
}

DEVICE void attended_short_body(attended_arguments a, const int head) {
  SHARED_DYNAMIC(float, room);
  const ops_attended *op = &a.op;
  const int tokens = (int)op->tokens, rows = rounded_up(tokens, WARP_ROWS), pitch = head + PACK;
  const int stride = 3 * (int)op->heads * head;
  float *sums = room + warp_index() * rows;
  uint16_t *k = (uint16_t *)(room + SCORE_WARPS * rows);
  uint16_t *q = k + (rows + warp_index() * WARP_ROWS) * pitch;
  for (int j = lane_index(); j < rows; j += LANES) sums[j] = 0;
  NO_UNROLL for (int64_t which = 0; which < op->heads; which++) {
    __syncthreads(); /* all have read the k before */
    copy_rows(k, rows, scored_part(&a, 0, 1, which, head), stride, tokens, thread_index(),
              block_threads(), head);
    copies_wait();
    __syncthreads();
    NO_UNROLL for (int first = warp_index() * WARP_ROWS; first < (int)op->queries;
                   first += SCORE_WARPS * WARP_ROWS) {
      __syncwarp(FULL_WARP); /* all lanes have read the q before */
      copy_rows(q, WARP_ROWS, scored_part(&a, first, 0, which, head), stride, tokens - first,
                lane_index(), LANES, head);
      copies_wait();
      __syncwarp(FULL_WARP);
      score_rows(&a, first, q, k, sums, head);
    }
  }
  __syncthreads();
  add_scores(&a, room, rows, SCORE_WARPS);
}

#define SCORE_KERNEL(width)                                                                        \
  KERNEL(attended_short_##width, attended_arguments, SCORE_WARPS *LANES) {                         \
    attended_short_body(a, width);                                                                 \
  }
SCORE_KERNEL(32)
SCORE_KERNEL(48)
SCORE_KERNEL(64)
SCORE_KERNEL(80)
SCORE_KERNEL(96)
SCORE_KERNEL(112)
SCORE_KERNEL(128)

int attended_is_short(const ops_attended *op) {
  return op->queries >= WARP_ROWS && (uintptr_t)op->qkv.data % 16 == 0 &&
         short_can_read(op->qkv, op->tokens, op->head_width);
}

int kernel_attended_short(const attended_arguments *a, void *stream) {
  int64_t rows = divided_up(a->op.tokens, WARP_ROWS) * WARP_ROWS;
  size_t bytes = (size_t)(SCORE_WARPS * rows) * sizeof(float) +
                 (size_t)((rows + SCORE_WARPS * WARP_ROWS) * (a->op.head_width + PACK)) * 2;
  RETURN_LAUNCH_WIDTHS(attended_short, a->op.head_width, a->op.batch, *a, SCORE_WARPS * LANES,
                       bytes, stream);
}
