/* Attention in bf16 for short sequences: masked images (50 tokens of 197) and captions.
 *
 * A block handles one head of one sample: q, k and v are copied to shared memory at once, without
 * passing through registers; each warp computes 16 queries (above 128 tokens two times 16), keeps
 * the scores in registers, and writes its rows 16 bytes per lane. No other block reads its tokens,
 * and after the copies no warp waits for another.
 *
 * Grid: samples times heads. Block: a warp for each 16 tokens, at most 8. Shared memory: k, v and a
 * warp's q, in rows of head + 8. Up to 64 tokens all keys are one tile, of 64 or 32, whose size is
 * a compile-time constant: there is no branch between its products.
 *
 * Operations: 4 tokens² head per head (at tokens rounded up to 16); bytes: 8 tokens head + 4
 * tokens. Predictions for an H100 (3.0 TB/s, about 500 TFLOP/s by mma.sync), batch 256, at 80 % of
 * the bandwidth:
 * - 50 tokens, 16 heads of 64: 4.3 GFLOP (9 us), 106 MB (35 us): 44 us (x 24: 1.1 ms)
 * - 32 tokens, 12 heads of 64: 0.8 GFLOP (2 us), 51 MB (17 us): 21 us (x 12: 0.25 ms)
 *
 * Bound: memory. A multiprocessor has 62,000 cycles for 31 heads of the first; a head takes about
 * 900 cycles of shared memory, 930 instructions per warp and 420 cycles of the tensor cores, which
 * its concurrent blocks (docs/performance.md) overlap with the copies. */
#include "cuda/attention_short.cuh"

enum { WALK_WARPS = 8 };

/* A warp's running outputs for its 16 queries. */
typedef struct {
  float o[16][4], most[2], sum[2];
} attended;

/* Adds `count` keys from `start` on, which a tile of TILE_KEYS holds at most; q: the warp's rows of
 * shared memory, k and v: the tile's. `own`: the first of the lane's two queries. is_only: there is
 * no other tile. */
DEVICE void attend_tile(const attention_arguments *a, const short_head *h, attended *w, int own,
                        const uint16_t *q, const uint16_t *k, const uint16_t *v, int start,
                        int count, const int tile, const int head, const bool is_only) {
  float s[TILE_KEYS / 8][4], shrink[2];
  uint32_t left[TILE_KEYS / 16][4];
  int seen[2];
  UNROLL for (int half = 0; half < 2; half++) {
    seen[half] = h->keys - start;
    if (a->a.is_causal && own + 8 * half + 1 - start < seen[half])
      seen[half] = own + 8 * half + 1 - start;
  }
  multiply_rows(q, k, count, tile, head, s);
  soften(s, rounded_up(count, 16), tile, seen, a->scale * LOG2_E, w->most, w->sum, shrink);
  UNROLL for (int i = 0; i < head / 8 && !is_only; i++) {
    UNROLL for (int j = 0; j < 4; j++) w->o[i][j] *= shrink[j / 2];
  }
  pack_operands(left, s, tile);
  add_rows(left, v, count, tile, head, w->o);
}

/* The outputs are written through q's buffer. */
DEVICE void store_attended(const attention_arguments *a, const short_head *h, const attended *w,
                           int first, uint16_t *q, const int head) {
  int own = first + lane_index() / 4;
  float inverse[2];
  UNROLL for (int half = 0; half < 2; half++) {
    float total = row_total(w->sum[half]);
    inverse[half] = total == 0 ? 0.0f : 1.0f / total;
    if (lane_index() % 4 == 0 && own + 8 * half < h->tokens)
      ((float *)a->a.lse.data)[statistic_at(a, h, own + 8 * half)] =
          (w->most[half] * a->scale * LOG2_E + log2f(total)) * LN_2;
  }
  stage_product(q, head + PACK, w->o, inverse, head);
  uint32_t most = store_staged(q, head + PACK, head, out_at(a, h, a->a.out, first, head),
                               out_stride(a, head), h->tokens - first, 0);
  raise_by_warp((float *)a->a.out_maximum.data, float_of_bits(most << 16));
}

/* tile: size of the one tile of all keys, or 0 for successive tiles of TILE_KEYS. */
DEVICE void attend_rows(const attention_arguments *a, const short_head *h, int first, uint16_t *q,
                        const uint16_t *k, const uint16_t *v, const int head, const int tile) {
  const int pitch = head + PACK;
  int own = first + lane_index() / 4, limit = h->keys;
  attended w = {.most = {-FLT_MAX, -FLT_MAX}, .sum = {0, 0}};
  clear_sums(w.o, head / 16);
  if (tile > 0) {
    attend_tile(a, h, &w, own, q, k, v, 0, tile, tile, head, true);
  } else {
    if (a->a.is_causal && first + WARP_ROWS < limit) limit = first + WARP_ROWS;
    NO_UNROLL for (int start = 0; start < limit; start += TILE_KEYS) {
      int at = start * pitch;
      if (limit - start >= TILE_KEYS)
        attend_tile(a, h, &w, own, q, k + at, v + at, start, TILE_KEYS, TILE_KEYS, head, false);
      else
        attend_tile(a, h, &w, own, q, k + at, v + at, start, limit - start, TILE_KEYS, head, false);
    }
  }
  store_attended(a, h, &w, first, q, head);
}

/* The warp's q from query `first` on. Each lane overwrites the 16 bytes that it read itself when
 * the previous outputs were written through them (store_attended). */
DEVICE void copy_own(const attention_arguments *a, const short_head *h, int first, uint16_t *q,
                     const int head) {
  copy_rows(q, WARP_ROWS, part_at(a, h, a->a.qkv, first, 0, head), qkv_stride(a, head),
            h->tokens - first, lane_index(), LANES, head);
}

DEVICE void attend_head(const attention_arguments *a, const int head, const int tile) {
  SHARED_DYNAMIC(uint16_t, shared);
  const int pitch = head + PACK;
  short_head h = short_head_of(a);
  int rows = tile > 0 ? tile : h.rows;
  uint16_t *k = shared, *v = k + rows * pitch;
  uint16_t *q = v + (rows + warp_index() * WARP_ROWS) * pitch;
  int first = warp_index() * WARP_ROWS, rows_at_once = block_threads() / LANES * WARP_ROWS;
  copy_head(a, &h, 1, k, rows, head);
  copy_own(a, &h, first, q, head);
  copy_head(a, &h, 2, v, rows, head);
  copies_wait();
  __syncthreads();
  for (;;) {
    attend_rows(a, &h, first, q, k, v, head, tile);
    first += rows_at_once;
    if (tile > 0 || first >= h.rows) return;
    copy_own(a, &h, first, q, head);
    copies_wait();
    __syncwarp(FULL_WARP);
  }
}

DEVICE void short_forward_half_body(attention_arguments a, const int head) {
  attend_head(&a, head, HALF_TILE);
}
SHORT_KERNELS(short_forward_half, HALF_TILE / WARP_ROWS * LANES, 10)

DEVICE void short_forward_body(attention_arguments a, const int head) {
  attend_head(&a, head, ONE_TILE);
}
SHORT_KERNELS(short_forward, ONE_TILE / WARP_ROWS * LANES, 5)

DEVICE void walk_forward_body(attention_arguments a, const int head) {
  attend_head(&a, head, 0);
}
SHORT_KERNEL(walk_forward, WALK_WARPS *LANES, 2, 32)
SHORT_KERNEL(walk_forward, WALK_WARPS *LANES, 1, 48) /* would spill with half the registers */
SHORT_KERNEL(walk_forward, WALK_WARPS *LANES, 2, 64)
SHORT_KERNEL(walk_forward, WALK_WARPS *LANES, 1, 80)
SHORT_KERNEL(walk_forward, WALK_WARPS *LANES, 1, 96)
SHORT_KERNEL(walk_forward, WALK_WARPS *LANES, 1, 112)
SHORT_KERNEL(walk_forward, WALK_WARPS *LANES, 1, 128)

int attention_is_short(const attention_arguments *a) {
  const ops_attention *p = &a->a;
  return a->is_vector && short_can_read(p->qkv, p->tokens, p->head_width);
}

int kernel_attention_short(const attention_arguments *a, void *stream) {
  int64_t rows = short_rows(a), tiles = rows / WARP_ROWS;
  int64_t warps = tiles <= WALK_WARPS ? tiles : divided_up(tiles, 2), threads = warps * LANES;
  int64_t keys = rows <= ONE_TILE ? short_tile(rows) : rows;
  size_t bytes = (size_t)((2 * keys + warps * WARP_ROWS) * (a->a.head_width + PACK)) * 2;
  if (keys == HALF_TILE) RETURN_LAUNCH_SHORT(short_forward_half, *a, threads, bytes, stream);
  if (keys == ONE_TILE) RETURN_LAUNCH_SHORT(short_forward, *a, threads, bytes, stream);
  RETURN_LAUNCH_SHORT(walk_forward, *a, threads, bytes, stream);
}
