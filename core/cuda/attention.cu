/* Attention in bf16 on tensor cores, after FlashAttention 2 (Dao 2023), for every length and width:
 * the scores never leave the registers. The gradients are in attention_gradient.cu. Short sequences
 * have separate kernels (attention_short.cu and the gradients named there), which this file's
 * launcher prefers.
 *
 * A block handles up to 64 queries of one head of one image, 16 per warp; short sequences use fewer
 * warps, so that 32 tokens keep two warps busy and no lane idles on missing rows. It iterates over
 * the keys in tiles that all warps share. Bound: shared-memory loads and exp for heads of 64;
 * blocks of a few warps hide each other's latency. */
#include "cuda/attention_tiles.cuh"

enum { HEAD_BLOCK = 128 };

/* s [16, TILE_KEYS] = q [16, head] times the tile's keys. */
DEVICE void score_keys(const attention_arguments *a, const uint16_t *k_tile, int count,
                       const int steps, const uint32_t (*q)[4], float (*s)[4]) {
  UNROLL for (int n = 0; n < TILE_KEYS / 16; n++) {
    UNROLL for (int j = 0; j < 4; j++) s[2 * n][j] = s[2 * n + 1][j] = 0;
    UNROLL for (int i = 0; i < steps; i++) {
      uint32_t b[4];
      if (n * 16 >= count || i * 16 >= a->deep) continue;
      load_b(b, k_tile, pitch_of(a), n * 16, i * 16);
      mma_bf16(s[2 * n], q[i], b);
      mma_bf16(s[2 * n + 1], q[i], b + 2);
    }
  }
}

/* The final step: divides out by the row's sum, and stores the sum's logarithm. */
DEVICE void store_outputs(const attention_arguments *a, head_tile t, int64_t own, const int steps,
                          const float (*o)[4], const float *most, const float *sum) {
  const ops_attention *p = &a->a;
  const float scale = a->scale * LOG2_E;
  UNROLL for (int half = 0; half < 2; half++) {
    int64_t query = own + 8 * half;
    float total = row_total(sum[half]), inverse = total > 0 ? 1.0f / total : 0.0f;
    if (query >= p->tokens) continue;
    uint16_t *out = (uint16_t *)p->out.data + out_offset(p, t, query);
    UNROLL for (int i = 0; i < 2 * steps; i++) {
      store_two(a, out, i * 8 + lane_index() % 4 * 2, o[i][2 * half] * inverse,
                o[i][2 * half + 1] * inverse);
    }
    if (lane_index() % 4 == 0)
      ((float *)p->lse.data)[row_offset(p, t, query)] = (most[half] * scale + log2f(total)) * LN_2;
  }
}

/* Grid: image and head, times tiles of queries. Reads q once, k and v once for each tile of
 * queries; writes out. Dynamic shared memory: k and v of TILE_KEYS keys. */
DEVICE void forward_body(attention_arguments a, const int head) {
  SHARED_DYNAMIC(uint16_t, tiles);
  const ops_attention *p = &a.a;
  const int steps = head / 16;
  int rows = block_threads() / LANES * WARP_ROWS, pitch = pitch_of(&a);
  head_tile t = tile_of(&a, rows);
  uint16_t *k_tile = tiles, *v_tile = tiles + TILE_KEYS * pitch;
  int64_t stride = 3 * p->heads * p->head_width, keys = keys_of(p, t);
  int64_t own = t.first + warp_index() * WARP_ROWS + lane_index() / 4; /* and own + 8 */
  int64_t limit = visible_to(p, keys, t.first + rows - 1);
  uint32_t q[8][4];
  float o[16][4], most[2] = {-FLT_MAX, -FLT_MAX}, sum[2] = {0, 0};
  clear_sums(o, steps);
  load_tile(&a, k_tile, rows, p->qkv.data, qkv_offset(p, t, t.first, 0), stride,
            p->tokens - t.first); /* q is loaded through the buffer of k */
  __syncthreads();
  UNROLL for (int i = 0; i < steps; i++) {
    if (i * 16 < a.deep) load_a(q[i], k_tile, pitch, warp_index() * WARP_ROWS, i * 16);
  }
  for (int64_t first = 0; first < limit; first += TILE_KEYS) {
    int count = (int)(limit - first < TILE_KEYS ? limit - first : TILE_KEYS);
    int filled = rounded_up(count, 16);
    float s[TILE_KEYS / 8][4], shrink[2];
    int seen[2] = {(int)(visible_to(p, keys, own) - first),
                   (int)(visible_to(p, keys, own + 8) - first)};
    __syncthreads(); /* all warps have read the last tile */
    load_tile(&a, k_tile, filled, p->qkv.data, qkv_offset(p, t, first, 1), stride,
              p->tokens - first);
    load_tile(&a, v_tile, filled, p->qkv.data, qkv_offset(p, t, first, 2), stride,
              p->tokens - first);
    __syncthreads();
    score_keys(&a, k_tile, count, steps, q, s);
    soften(s, filled, TILE_KEYS, seen, a.scale * LOG2_E, most, sum, shrink);
    UNROLL for (int i = 0; i < 2 * steps; i++) {
      UNROLL for (int j = 0; j < 4; j++) o[i][j] *= shrink[j / 2];
    }
    add_product(a.deep, v_tile, count, TILE_KEYS, steps, s, o);
  }
  store_outputs(&a, t, own, steps, o, most, sum);
}
HEAD_KERNELS(forward, HEAD_BLOCK)

attention_arguments attention_arguments_of(const ops_attention *p, void *scratch) {
  attention_arguments a = {
      .a = *p,
      .products = (float *)scratch,
      .parts = (float *)scratch,
      .scale = 1.0f / sqrtf((float)p->head_width),
      .deep = (int)divided_up(p->head_width, 16) * 16,
      .tiles = 0,
      .is_vector = is_row_vector(p->head_width, p->qkv.data) && is_row_vector(8, p->out.data) &&
                   is_row_vector(8, p->dout.data) && is_row_vector(8, p->dqkv.data)};
  return a;
}

int attention_is_impossible(const ops_attention *p) {
  return p->tokens < 1 || p->head_width < 1 || p->head_width > KERNEL_WIDEST_HEAD;
}

static int forward_of_any(attention_arguments a, void *stream) {
  const ops_attention *p = &a.a;
  if (p->qkv.type == OPS_F32) return kernel_attention_f32(&a, stream);
  int64_t threads = at_most(divided_up(p->tokens, WARP_ROWS) * LANES, HEAD_BLOCK),
          rows = threads / LANES * WARP_ROWS;
  size_t shared_bytes = (size_t)(2 * TILE_KEYS * (a.deep + 8)) * sizeof(uint16_t);
  a.tiles = divided_up(p->tokens, rows);
  return LAUNCH_HEAD(forward, GRID(p->batch * p->heads * a.tiles, 1), threads, shared_bytes, stream,
                     a);
}

int kernel_attention(const ops_attention *p, void *stream) {
  attention_arguments a = attention_arguments_of(p, NULL);
  if (attention_is_impossible(p)) return KERNEL_INVALID;
  int failed = attention_is_short(&a) ? kernel_attention_short(&a, stream) : KERNEL_REFUSED;
  if (failed != KERNEL_REFUSED) return failed;
  failed = forward_of_any(a, stream);
  if (failed || !p->out_maximum.data) return failed;
  return kernel_maximum(p->batch * p->tokens * p->heads * p->head_width, p->out, p->out_maximum,
                        stream);
}
