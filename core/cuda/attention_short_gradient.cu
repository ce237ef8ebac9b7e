/* The gradient of attention in bf16 for sequences of up to 64 tokens: masked images (50 tokens of
 * 197) and captions.
 *
 * A block handles one head of one sample, with a warp for each 16 tokens. q, k, v and dout are
 * copied to shared memory at once, without passing through registers; scores and their gradients
 * stay in registers. The sums of dout * out that the softmax's gradient needs are computed from the
 * weights and their gradients, so that out is not read (and the sums are not of its rounded
 * values). Every gradient has one owner, so that the order of additions is fixed: five products,
 * one pass. With parts, the column sums of dqkv are written too.
 *
 * Grid: samples times heads. Shared memory: q, k, v, dout and the scores' gradients, of 64 or 32
 * queries, and the sums.
 *
 * Operations: 10 tokens² head per head (at tokens rounded up to 16); bytes: 14 tokens head + 4
 * tokens, and 12 head for the sums. Predictions for an H100 (3.0 TB/s, about 500 TFLOP/s by
 * mma.sync), batch 256, at 80 % of the bandwidth:
 * - 50 tokens, 16 heads of 64: 10.7 GFLOP (21 us), 188 MB (63 us): 78 us (x 24: 1.9 ms)
 * - 32 tokens, 12 heads of 64: 2.0 GFLOP (4 us), 91 MB (30 us): 38 us (x 12: 0.46 ms)
 *
 * Bound: memory. A multiprocessor has 110,000 cycles for 31 heads of the first; a head takes about
 * 2,300 cycles of shared memory, 2,100 instructions per warp on each of four schedulers and 1,000
 * cycles of the tensor cores, which its concurrent blocks (docs/performance.md) overlap with the
 * copies. wgmma, with at least 64 rows, would take fewer, but the tensor cores are not the bound.
 */
#include "cuda/attention_short_gradient.cuh"

DEVICE gradient_memory cut_short(uint16_t *shared, int rows, const int tile, const int head) {
  gradient_memory m;
  int pitch = head + PACK, warps = rows / WARP_ROWS;
  m.q = shared; /* [tile, head] */
  m.dout = m.q + tile * pitch;
  m.k = m.dout + tile * pitch;
  m.v = m.k + rows * pitch;
  m.scores = m.v + rows * pitch;
  m.lse = (float *)(m.scores + rows * (tile + PACK)); /* [tile] */
  m.products = m.lse + tile;                          /* [warps, tile] */
  m.sums = m.products + warps * tile;
  m.most = 0;
  m.saturated = 0;
  return m;
}

static int64_t short_bytes(int64_t rows, int64_t tile, int64_t head) {
  int64_t warps = rows / WARP_ROWS;
  return ((2 * tile + 2 * rows) * (head + PACK) + rows * (tile + PACK)) *
             (int64_t)sizeof(uint16_t) +
         (tile + warps * tile + warps * 3 * head) * (int64_t)sizeof(float);
}

/* products of the warp's keys only. */
DEVICE void multiply_weights(const float (*s)[4], const float (*d)[4], float *products,
                             const int tile) {
  float v[16];
  UNROLL for (int i = 0; i < tile / 4; i++) {
    v[i] = s[i / 2][i % 2] * d[i / 2][i % 2] + s[i / 2][2 + i % 2] * d[i / 2][2 + i % 2];
  }
  lane_share share = sum_over_rows(v, tile / 4);
  UNROLL for (int i = 0; i < tile / 32; i++) { /* what is left to a lane */
    products[warp_index() * tile + column_of_value(share.first + i)] = v[i];
  }
}

/* The gradients of weights become those of scores. products [warps, tile] are added in the order of
 * the warps. */
DEVICE void through_weights(const float (*s)[4], float (*d)[4], const float *products,
                            const int tile) {
  float sums[8][2];
  UNROLL for (int n = 0; n < tile / 8; n++) sums[n][0] = sums[n][1] = 0;
  NO_UNROLL for (int warp = 0; warp < block_threads() / LANES; warp++) {
    UNROLL for (int n = 0; n < tile / 8; n++) {
      uint2 two = *(const uint2 *)(products + warp * tile + n * 8 + lane_index() % 4 * 2);
      sums[n][0] += float_of_bits(two.x);
      sums[n][1] += float_of_bits(two.y);
    }
  }
  UNROLL for (int n = 0; n < tile / 8; n++) {
    UNROLL for (int i = 0; i < 4; i++) d[n][i] = s[n][i] * (d[n][i] - sums[n][i % 2]);
  }
}

DEVICE void short_gradient(const attention_arguments *a, const int head, const int tile) {
  SHARED_DYNAMIC(uint16_t, shared);
  const int pitch = head + PACK;
  short_head h = short_head_of(a);
  gradient_memory m = cut_short(shared, h.rows, tile, head);
  int own = warp_index() * WARP_ROWS;
  int seen_from[2] = {first_query_of(a, &h, own + lane_index() / 4),
                      first_query_of(a, &h, own + lane_index() / 4 + 8)};
  float s[8][4], d[8][4];
  uint32_t weights[4][4], slopes[4][4]; /* the same, packed */
  copy_head(a, &h, 1, m.k, h.rows, head);
  copy_head(a, &h, 0, m.q, tile, head);
  copy_head(a, &h, 2, m.v, h.rows, head);
  copy_rows(m.dout, tile, out_at(a, &h, a->a.dout, 0, head), out_stride(a, head), h.tokens,
            thread_index(), block_threads(), head);
  load_lse(a, &h, m.lse, tile);
  clear_query_sums(&m, head);
  copies_wait();
  __syncthreads();
  multiply_rows(m.k + own * pitch, m.q, tile, tile, head, s);
  weigh_scores(s, tile, tile, 0, seen_from, m.lse, a->scale * LOG2_E);
  multiply_rows(m.v + own * pitch, m.dout, tile, tile, head, d);
  multiply_weights(s, d, m.products, tile);
  __syncthreads();
  through_weights(s, d, m.products, tile);
  pack_operands(weights, s, tile);
  pack_operands(slopes, d, tile);
  lay_scores(m.scores, slopes, tile, tile, tile);
  {
    float dv[16][4];
    clear_sums(dv, head / 16);
    add_rows(weights, m.dout, tile, tile, head, dv);
    store_keys(a, &h, &m, 2, dv, 1, m.v + own * pitch, pitch, head, head);
  }
  {
    float dk[16][4];
    clear_sums(dk, head / 16);
    add_rows(slopes, m.q, tile, tile, head, dk);
    store_keys(a, &h, &m, 1, dk, a->scale, m.v + own * pitch, pitch, head, head);
  }
  __syncthreads();
  store_queries(a, &h, &m, m.q, 0, own, 0, tile, head, head);
  store_sums(a, &h, &m, head);
}

DEVICE void short_gradient_half_body(attention_arguments a, const int head) {
  short_gradient(&a, head, HALF_TILE);
}
SHORT_KERNELS(short_gradient_half, HALF_TILE / WARP_ROWS * LANES, 8)

DEVICE void short_gradient_body(attention_arguments a, const int head) {
  short_gradient(&a, head, ONE_TILE);
}
SHORT_KERNELS(short_gradient, ONE_TILE / WARP_ROWS * LANES, 4)

int kernel_attention_gradient_short(const attention_arguments *a, void *stream) {
  int64_t rows = short_rows(a), threads = rows / WARP_ROWS * LANES, tile = short_tile(rows);
  size_t bytes = (size_t)short_bytes(rows, tile, a->a.head_width);
  if (rows > ONE_TILE) return kernel_attention_gradient_walk(a, stream);
  if (tile == HALF_TILE) RETURN_LAUNCH_SHORT(short_gradient_half, *a, threads, bytes, stream);
  RETURN_LAUNCH_SHORT(short_gradient, *a, threads, bytes, stream);
}
