/* The gradient of attention in bf16 for sequences of 65 to 256 tokens.
 *
 * A block handles one head of one sample, with a warp for each 16 keys, whose gradients accumulate
 * in registers while the block walks over the queries in tiles of 32: the next tile is copied while
 * this one is computed. A tile's gradients of scores are stored in shared memory, and the warps
 * compute its queries' gradients from them, 16 by 16. Every gradient has one owner, so that the
 * order of additions is fixed: five products, one pass. If the keys' and the values' gradients do
 * not fit into registers together (more than 128 tokens, heads above 64), a first walk computes the
 * values' and a second the others: six products.
 *
 * Grid: samples times heads. Shared memory: k and v, two tiles of q and dout, the scores'
 * gradients, and the sums.
 *
 * Operations: 10 tokens² head per head, 12 with two walks (at tokens rounded up to 16); bytes: 16
 * tokens head + 4 tokens, and 12 head for the sums. Predictions for an H100 (3.0 TB/s, about 500
 * TFLOP/s by mma.sync), batch 256, 16 heads of 64:
 * - 99 tokens: 33 GFLOP (66 us), 423 MB (141 us): 190 us
 * - 197 tokens: 113 GFLOP (227 us), 835 MB (278 us): 430 us; cuDNN's three kernels took 959 us
 *
 * Bound: memory and shared memory about equally. The 13 warps of 197 tokens are the only ones on a
 * multiprocessor, so that the three barriers per tile are not hidden. */
#include "cuda/attention_short_gradient.cuh"

enum {
  WALK_TILE = 32, /* queries */
  LONG_THREADS = SHORT_TOKENS / WARP_ROWS * LANES,
  STORED_COLUMNS = 16 /* written through the scores' buffer at a time */
};

DEVICE gradient_memory cut_walk(uint16_t *shared, int rows, const int head) {
  gradient_memory m;
  int pitch = head + PACK;
  m.k = shared;
  m.v = m.k + rows * pitch;
  m.q = m.v + rows * pitch; /* [2, WALK_TILE, head] */
  m.dout = m.q + 2 * WALK_TILE * pitch;
  m.scores = m.dout + 2 * WALK_TILE * pitch;
  m.lse = (float *)(m.scores + rows * (WALK_TILE + PACK));
  m.products = m.lse + rows; /* [rows] */
  m.sums = m.products + rows;
  m.most = 0;
  m.saturated = 0;
  return m;
}

static int64_t walk_bytes(int64_t rows, int64_t head) {
  return (2 * rows + 4 * WALK_TILE) * (head + PACK) * (int64_t)sizeof(uint16_t) +
         rows * (WALK_TILE + PACK) * (int64_t)sizeof(uint16_t) +
         (2 * rows + rows / WARP_ROWS * 3 * head) * (int64_t)sizeof(float);
}

/* products = sums of dout * out over the head: eight lanes a row. */
DEVICE void multiply_outputs(const attention_arguments *a, const short_head *h, float *products,
                             const int head) {
  enum { SHARERS = 8 };
  for (int row = thread_index() / SHARERS; row < h->rows; row += block_threads() / SHARERS) {
    float sum = 0;
    for (int i = thread_index() % SHARERS * PACK; i < head && row < h->tokens;
         i += SHARERS * PACK) {
      pack out = pack_load(out_at(a, h, a->a.out, row, head), OPS_BF16, i, PACK, true);
      pack dout = pack_load(out_at(a, h, a->a.dout, row, head), OPS_BF16, i, PACK, true);
      UNROLL for (int j = 0; j < PACK; j++) sum += out.v[j] * dout.v[j];
    }
    for (int flip = SHARERS / 2; flip > 0; flip /= 2) sum += __shfl_xor_sync(FULL_WARP, sum, flip);
    if (thread_index() % SHARERS == 0) products[row] = sum;
  }
}

/* Starts copying the queries from `first` on into buffer `stage` of two. */
DEVICE void copy_queries(const attention_arguments *a, const short_head *h,
                         const gradient_memory *m, int first, int stage, const int head) {
  const int pitch = head + PACK;
  int rows = h->rows - first < WALK_TILE ? h->rows - first : WALK_TILE;
  copy_rows(m->q + stage * WALK_TILE * pitch, rows, part_at(a, h, a->a.qkv, first, 0, head),
            qkv_stride(a, head), h->tokens - first, thread_index(), block_threads(), head);
  copy_rows(m->dout + stage * WALK_TILE * pitch, rows, out_at(a, h, a->a.dout, first, head),
            out_stride(a, head), h->tokens - first, thread_index(), block_threads(), head);
}

/* The gradients of weights become those of scores. */
DEVICE void through_products(const float (*s)[4], float (*d)[4], int count, const float *products,
                             const int step) {
  UNROLL for (int n = 0; n < step / 8; n++) {
    if (n * 8 >= count) continue;
    UNROLL for (int i = 0; i < 4; i++) {
      d[n][i] = s[n][i] * (d[n][i] - products[n * 8 + lane_index() % 4 * 2 + i % 2]);
    }
  }
}

/* How a kernel walks. */
typedef struct {
  bool has_values, has_keys; /* which gradients it computes */
  int step;                  /* queries that it takes into registers at a time: 16 or 32 */
} walk;

/* Adds `count` queries from `first` on to the warp's dv and dk, and stores the scores' gradients.
 * q, dout, scores: of these queries. */
DEVICE void add_queries(const attention_arguments *a, const short_head *h, const gradient_memory *m,
                        const uint16_t *q, const uint16_t *dout, uint16_t *scores, int first,
                        int count, const int head, const walk w, float (*dk)[4], float (*dv)[4]) {
  const int pitch = head + PACK;
  int own = warp_index() * WARP_ROWS, key = own + lane_index() / 4;
  int seen_from[2] = {first_query_of(a, h, key), first_query_of(a, h, key + 8)};
  float s[WALK_TILE / 8][4], d[WALK_TILE / 8][4];
  uint32_t left[WALK_TILE / 16][4];
  multiply_rows(m->k + own * pitch, q, count, w.step, head, s);
  weigh_scores(s, count, w.step, first, seen_from, m->lse, a->scale * LOG2_E);
  if (w.has_values) {
    pack_operands(left, s, w.step);
    add_rows(left, dout, count, w.step, head, dv);
  }
  if (!w.has_keys) return;
  multiply_rows(m->v + own * pitch, dout, count, w.step, head, d);
  through_products(s, d, count, m->products + first, w.step);
  pack_operands(left, d, w.step);
  lay_scores(scores, left, count, w.step, WALK_TILE);
  add_rows(left, q, count, w.step, head, dk);
}

DEVICE void add_tile(const attention_arguments *a, const short_head *h, const gradient_memory *m,
                     const uint16_t *q, const uint16_t *dout, int first, int count, const int head,
                     const walk w, float (*dk)[4], float (*dv)[4]) {
  const int pitch = head + PACK;
  int own = warp_index() * WARP_ROWS;
  if (own >= h->keys || (a->a.is_causal && own >= first + count)) return; /* nobody sees them */
  NO_UNROLL for (int at = 0; at < count; at += w.step) {
    int left = count - at; /* a multiple of 16 */
    if (w.step == WARP_ROWS || left >= w.step) left = w.step;
    add_queries(a, h, m, q + at * pitch, dout + at * pitch, m->scores + at, first + at, left, head,
                w, dk, dv);
  }
}

/* One walk over all queries. The copies of the first tile have been started. */
DEVICE void walk_queries(const attention_arguments *a, const short_head *h, gradient_memory *m,
                         const int head, const walk w, float (*dk)[4], float (*dv)[4]) {
  const int pitch = head + PACK;
  NO_UNROLL for (int first = 0, stage = 0; first < h->rows; first += WALK_TILE, stage = 1 - stage) {
    int count = h->rows - first < WALK_TILE ? h->rows - first : WALK_TILE;
    uint16_t *q = m->q + stage * WALK_TILE * pitch, *dout = m->dout + stage * WALK_TILE * pitch;
    copies_wait();
    __syncthreads(); /* this tile has arrived; the other buffer and the scores are free */
    if (first + WALK_TILE < h->rows) copy_queries(a, h, m, first + WALK_TILE, 1 - stage, head);
    add_tile(a, h, m, q, dout, first, count, head, w, dk, dv);
    if (!w.has_keys) continue;
    __syncthreads();
    NO_UNROLL for (int unit = warp_index(); unit < count / 16 * (head / 16);
                   unit += block_threads() / LANES) {
      int row = unit % (count / 16) * 16, column = unit / (count / 16) * 16;
      store_queries(a, h, m, q, first, row, column, WALK_TILE, head, 16);
    }
  }
}

DEVICE void walk_gradient(const attention_arguments *a, const int head, const bool has_two_walks,
                          const int step) {
  SHARED_DYNAMIC(uint16_t, shared);
  const int pitch = head + PACK;
  short_head h = short_head_of(a);
  gradient_memory m = cut_walk(shared, h.rows, head);
  int own = warp_index() * WARP_ROWS;
  copy_queries(a, &h, &m, 0, 0, head);
  copy_head(a, &h, 1, m.k, h.rows, head);
  copy_head(a, &h, 2, m.v, h.rows, head);
  load_lse(a, &h, m.lse, h.rows);
  multiply_outputs(a, &h, m.products, head);
  clear_query_sums(&m, head);
  if (has_two_walks) {
    float dv[16][4], dk[16][4];
    clear_sums(dv, head / 16);
    walk_queries(a, &h, &m, head, (walk){true, false, step}, NULL, dv);
    store_keys(a, &h, &m, 2, dv, 1, m.scores + own * (WALK_TILE + PACK), WALK_TILE + PACK, head,
               STORED_COLUMNS);
    __syncthreads(); /* the buffers of q and dout are free */
    copy_queries(a, &h, &m, 0, 0, head);
    clear_sums(dk, head / 16);
    walk_queries(a, &h, &m, head, (walk){false, true, step}, dk, NULL);
    store_keys(a, &h, &m, 1, dk, a->scale, m.v + own * pitch, pitch, head, head);
  } else {
    float dv[16][4], dk[16][4];
    clear_sums(dv, head / 16);
    clear_sums(dk, head / 16);
    walk_queries(a, &h, &m, head, (walk){true, true, step}, dk, dv);
    store_keys(a, &h, &m, 2, dv, 1, m.v + own * pitch, pitch, head, head);
    store_keys(a, &h, &m, 1, dk, a->scale, m.v + own * pitch, pitch, head, head);
  }
  store_sums(a, &h, &m, head);
}

/* Queries that a warp with `head` columns has registers for, at 128 a thread. */
DEVICE int step_of(const int head) {
  return head < 48 ? WALK_TILE : WALK_TILE / 2;
}

/* 65 to 128 tokens. */
DEVICE void walk_gradient_body(attention_arguments a, const int head) {
  walk_gradient(&a, head, false, head > 64 ? WALK_TILE : step_of(head));
}
SHORT_KERNELS(walk_gradient, LONG_THREADS / 2, 2)

/* 129 to 256 tokens: a thread has 128 registers, too few for heads above 96. */
DEVICE void long_gradient_body(attention_arguments a, const int head) {
  walk_gradient(&a, head, head > 64, step_of(head));
}
SHORT_KERNEL(long_gradient, LONG_THREADS, 1, 32)
SHORT_KERNEL(long_gradient, LONG_THREADS, 1, 48)
SHORT_KERNEL(long_gradient, LONG_THREADS, 1, 64)
SHORT_KERNEL(long_gradient, LONG_THREADS, 1, 80)
SHORT_KERNEL(long_gradient, LONG_THREADS, 1, 96)

int kernel_attention_gradient_walk(const attention_arguments *a, void *stream) {
  int64_t rows = short_rows(a), threads = rows / WARP_ROWS * LANES;
  size_t bytes = (size_t)walk_bytes(rows, a->a.head_width);
  if (threads <= LONG_THREADS / 2) RETURN_LAUNCH_SHORT(walk_gradient, *a, threads, bytes, stream);
  switch (a->a.head_width) {
    LAUNCH_SHORT_WIDTH(long_gradient, 32, *a, threads, bytes, stream);
    LAUNCH_SHORT_WIDTH(long_gradient, 48, *a, threads, bytes, stream);
    LAUNCH_SHORT_WIDTH(long_gradient, 64, *a, threads, bytes, stream);
    LAUNCH_SHORT_WIDTH(long_gradient, 80, *a, threads, bytes, stream);
    LAUNCH_SHORT_WIDTH(long_gradient, 96, *a, threads, bytes, stream);
  default:
    return KERNEL_REFUSED;
  }
}
