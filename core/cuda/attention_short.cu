/* Attention in bf16 for short sequences: masked images (50 tokens of 197) and captions.
 *
 * A block has one head of one sample: q, k and v come into shared memory at once, by copies that
 * pass no register; each warp attends for 16 queries (above 128 tokens for two times 16), keeps the
 * scores in registers, and writes its rows 16 bytes a lane. No other block reads its tokens, and
 * after the copies no warp waits for another.
 *
 * Grid: samples times heads. Block: a warp for each 16 tokens, at most 8. Shared memory: k, v and a
 * warp's q, in rows of head + 8.
 *
 * Operations: 4 tokens² head a head (counted at tokens rounded up to 16); bytes: 8 tokens head + 4
 * tokens. Predicted on an H100 (3.0 TB/s, about 500 TFLOP/s by mma.sync) at the bound, and at 80 %
 * of the bandwidth:
 *   50 tokens, 16 heads of 64, batch 256:  4.3 GFLOP  9 us, 106 MB 35 us: 44 us (x 24: 1.1 ms)
 *   32 tokens, 12 heads of 64, batch 256:  0.8 GFLOP  2 us,  51 MB 17 us: 21 us (x 12: 0.25 ms)
 * Bound: memory. A multiprocessor has 31 heads of the first to do in 62,000 cycles; a head takes
 * about 900 of shared memory's and 420 of the tensor cores', which the blocks that it holds at a
 * time (docs/performance.md) overlap with the copies. */
#include "cuda/attention_short.cuh"

enum { WALK_WARPS = 8 };

/* The outputs of a warp's 16 queries from `first` on; q: its rows of shared memory. */
DEVICE void attend_rows(const attention_arguments *a, const short_head *h, int first, uint16_t *q,
                        const uint16_t *k, const uint16_t *v, const int head,
                        const bool is_one_tile) {
  const ops_attention *p = &a->a;
  const int pitch = head + PACK;
  const float scale = a->scale * LOG2_E;
  int own = first + lane_index() / 4, last = first + WARP_ROWS, limit = h->keys;
  float o[16][4], most[2] = {-FLT_MAX, -FLT_MAX}, sum[2] = {0, 0}, inverse[2];
  if (p->is_causal && last < limit) limit = last;
  clear_sums(o, head / 16);
  for (int start = 0; is_one_tile ? start == 0 : start < limit; start += TILE_KEYS) {
    int count = limit - start < TILE_KEYS ? limit - start : TILE_KEYS, seen[2];
    float s[TILE_KEYS / 8][4], shrink[2];
    UNROLL for (int half = 0; half < 2; half++) {
      seen[half] = h->keys - start;
      if (p->is_causal && own + 8 * half + 1 - start < seen[half])
        seen[half] = own + 8 * half + 1 - start;
    }
    multiply_rows(q, k + start * pitch, count, TILE_KEYS, head, s);
    soften(s, rounded_up(count, 16), seen, scale, most, sum, shrink);
    if (!is_one_tile && start > 0) {
      UNROLL for (int i = 0; i < head / 8; i++) {
        UNROLL for (int j = 0; j < 4; j++) o[i][j] *= shrink[j / 2];
      }
    }
    add_product(head, v + start * pitch, count, TILE_KEYS, head / 16, s, o);
  }
  UNROLL for (int half = 0; half < 2; half++) {
    float total = row_total(sum[half]);
    inverse[half] = total > 0 ? 1.0f / total : total == 0 ? 0.0f : NAN;
    if (lane_index() % 4 == 0 && own + 8 * half < h->tokens)
      ((float *)p->lse.data)[statistic_at(a, h, own + 8 * half)] =
          (most[half] * scale + log2f(total)) * LN_2;
  }
  store_product(q, pitch, o, inverse, head, out_at(a, h, p->out, first, head), out_stride(a, head),
                h->tokens - first);
}

/* The warp's q from query `first` on. */
DEVICE void copy_own(const attention_arguments *a, const short_head *h, int first, uint16_t *q,
                     const int head) {
  copy_rows(q, WARP_ROWS, part_at(a, h, a->a.qkv, first, 0, head), qkv_stride(a, head),
            h->tokens - first, lane_index(), LANES, head);
}

DEVICE void attend_head(const attention_arguments *a, const int head, const bool is_one_tile) {
  SHARED_DYNAMIC(uint16_t, shared);
  const int pitch = head + PACK;
  short_head h = short_head_of(a);
  uint16_t *k = shared, *v = k + h.rows * pitch;
  uint16_t *q = v + (h.rows + warp_index() * WARP_ROWS) * pitch;
  int first = warp_index() * WARP_ROWS, rows_at_once = block_threads() / LANES * WARP_ROWS;
  copy_head(a, &h, 1, k, head);
  copy_own(a, &h, first, q, head);
  copy_head(a, &h, 2, v, head);
  copies_wait();
  __syncthreads();
  for (;;) {
    attend_rows(a, &h, first, q, k, v, head, is_one_tile);
    first += rows_at_once;
    if (is_one_tile || first >= h.rows) return;
    __syncwarp(FULL_WARP); /* the rows before have left */
    copy_own(a, &h, first, q, head);
    copies_wait();
    __syncwarp(FULL_WARP);
  }
}

DEVICE void short_forward_body(attention_arguments a, const int head) {
  attend_head(&a, head, true);
}
SHORT_KERNELS(short_forward, ONE_TILE / WARP_ROWS * LANES, 5)

DEVICE void walk_forward_body(attention_arguments a, const int head) {
  attend_head(&a, head, false);
}
SHORT_KERNELS(walk_forward, WALK_WARPS *LANES, 2)

int attention_is_short(const attention_arguments *a) {
  const ops_attention *p = &a->a;
  return p->qkv.type == OPS_BF16 && p->tokens <= SHORT_TOKENS && p->head_width % 16 == 0 &&
         p->head_width >= 32 && p->head_width <= KERNEL_WIDEST_HEAD && a->is_vector;
}

int kernel_attention_short(const attention_arguments *a, void *stream) {
  int64_t rows = short_rows(a), tiles = rows / WARP_ROWS;
  int64_t warps = tiles <= WALK_WARPS ? tiles : divided_up(tiles, 2), threads = warps * LANES;
  size_t bytes = (size_t)((2 * rows + warps * WARP_ROWS) * (a->a.head_width + PACK)) * 2;
  if (rows <= ONE_TILE) RETURN_LAUNCH_SHORT(short_forward, *a, threads, bytes, stream);
  RETURN_LAUNCH_SHORT(walk_forward, *a, threads, bytes, stream);
}
