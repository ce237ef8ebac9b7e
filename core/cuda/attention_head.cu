/* The gradient of attention in bf16 for short sequences: FLIP's masked images (50 tokens of 197)
 * and captions.
 *
 * A block has a whole head: q, k, v and dout are read once and stay in shared memory, each warp
 * does the gradients of 16 keys in registers and lays the scores' gradients down, and from those 16
 * queries' gradients are made. Five products, one launch, nothing added twice. Bound: memory, at 8
 * elements of q's size moved where attention_gradient.cu moves 13. */
#include "cuda/attention_tiles.cuh"

enum {
  WHOLE_BLOCK = 256,      /* threads at most: 128 tokens */
  WHOLE_BYTES = 96 << 10, /* of shared memory: two blocks a processor on an H100 */
  SHARERS = 8             /* lanes that share a row's product */
};

typedef struct {
  uint16_t *q, *k, *v, *dout; /* [rows, pitch] */
  uint16_t *scores;           /* [rows (keys), rows + 8]: gradients of the scores */
  float *lse, *products;      /* [rows] */
  int rows;
} whole_head;

DEVICE whole_head cut_head(const attention_arguments *a, uint16_t *shared) {
  whole_head w;
  w.rows = block_threads() / LANES * WARP_ROWS;
  int tile = w.rows * pitch_of(a);
  w.q = shared;
  w.k = w.q + tile;
  w.v = w.k + tile;
  w.dout = w.v + tile;
  w.scores = w.dout + tile;
  w.lse = (float *)(w.scores + w.rows * (w.rows + 8));
  w.products = w.lse + w.rows;
  return w;
}

DEVICE void load_head(const attention_arguments *a, head_tile t, whole_head w) {
  const ops_attention *p = &a->a;
  int64_t width = p->heads * p->head_width;
  load_tile(a, w.q, w.rows, p->qkv.data, qkv_offset(p, t, 0, 0), 3 * width, p->tokens);
  load_tile(a, w.k, w.rows, p->qkv.data, qkv_offset(p, t, 0, 1), 3 * width, p->tokens);
  load_tile(a, w.v, w.rows, p->qkv.data, qkv_offset(p, t, 0, 2), 3 * width, p->tokens);
  load_tile(a, w.dout, w.rows, p->dout.data, out_offset(p, t, 0), width, p->tokens);
  for (int row = thread_index(); row < w.rows; row += block_threads())
    w.lse[row] = row < p->tokens ? ((const float *)p->lse.data)[row_offset(p, t, row)] : 0.0f;
}

/* products = sums of dout * out over the head: four rows a warp at a time. */
DEVICE void multiply_rows(const attention_arguments *a, head_tile t, whole_head w) {
  const ops_attention *p = &a->a;
  int rows_at_once = block_threads() / SHARERS;
  for (int row = thread_index() / SHARERS; row < w.rows; row += rows_at_once) {
    float sum = 0;
    for (int i = thread_index() % SHARERS * PACK; i < p->head_width; i += SHARERS * PACK) {
      int64_t left = row < p->tokens ? p->head_width - i : 0;
      if (left <= 0) continue;
      pack out = pack_load(p->out.data, OPS_BF16, out_offset(p, t, row) + i, left, a->is_vector);
      pack dout = pack_load(w.dout, OPS_BF16, row * pitch_of(a) + i, left, true);
      UNROLL for (int j = 0; j < PACK; j++) sum += out.v[j] * dout.v[j];
    }
    for (int flip = SHARERS / 2; flip > 0; flip /= 2) sum += __shfl_xor_sync(FULL_WARP, sum, flip);
    if (thread_index() % SHARERS == 0) w.products[row] = sum;
  }
}

/* Gradients of a warp's 16 keys and values, and of all scores with these keys. */
DEVICE void key_part(const attention_arguments *a, head_tile t, whole_head w, const int steps) {
  const ops_attention *p = &a->a;
  int64_t keys = keys_of(p, t);
  int top = warp_index() * WARP_ROWS, own = top + lane_index() / 4, pitch = pitch_of(a);
  float dk[16][4], dv[16][4];
  clear_sums(dk, steps);
  clear_sums(dv, steps);
  for (int first = 0; first < w.rows; first += TILE_OTHERS) {
    int count = w.rows - first < TILE_OTHERS ? w.rows - first : TILE_OTHERS;
    float s[TILE_OTHERS / 8][4], d[TILE_OTHERS / 8][4];
    gradient_tiles g = {w.k, w.v, w.q + first * pitch, w.dout + first * pitch};
    score_products(a, g, count, steps, s, d);
    softmax_tile(a, keys, own, first, true, w.lse + first, w.products + first, s, d);
    add_product(a, g.other_one, count, TILE_OTHERS, steps, d, dk);
    add_product(a, g.other_two, count, TILE_OTHERS, steps, s, dv);
    UNROLL for (int n = 0; n < TILE_OTHERS / 8; n++) {
      if (n * 8 >= count) continue;
      UNROLL for (int half = 0; half < 2; half++) {
        int at = (own + half * 8) * (w.rows + 8) + first + n * 8 + lane_index() % 4 * 2;
        *(uint32_t *)(w.scores + at) = bf16_pair(d[n][2 * half], d[n][2 * half + 1]);
      }
    }
  }
  store_rows(a, t, own, 1, steps, dk, a->scale);
  store_rows(a, t, own, 2, steps, dv, 1);
}

/* Gradients of a warp's 16 queries: the scores' gradients [queries, keys] times k. */
DEVICE void query_part(const attention_arguments *a, head_tile t, whole_head w, const int steps) {
  int top = warp_index() * WARP_ROWS;
  float dq[16][4];
  clear_sums(dq, steps);
  for (int key = 0; key < w.rows; key += 16) {
    uint32_t left[4];
    load_a_transposed(left, w.scores, w.rows + 8, key, top);
    UNROLL for (int i = 0; i < steps; i++) {
      uint32_t b[4];
      if (i * 16 >= a->deep) continue;
      load_b_transposed(b, w.k, pitch_of(a), key, i * 16);
      mma_bf16(dq[2 * i], left, b);
      mma_bf16(dq[2 * i + 1], left, b + 2);
    }
  }
  store_rows(a, t, top + lane_index() / 4, 0, steps, dq, a->scale);
}

/* Grid: a block for each image and head, a warp for each 16 tokens. */
DEVICE void whole_gradient_body(attention_arguments a, const int head) {
  SHARED_DYNAMIC(uint16_t, shared);
  whole_head w = cut_head(&a, shared);
  head_tile t = tile_of(&a, w.rows);
  load_head(&a, t, w);
  __syncthreads();
  multiply_rows(&a, t, w);
  __syncthreads();
  key_part(&a, t, w, head / 16);
  __syncthreads();
  query_part(&a, t, w, head / 16);
}
HEAD_KERNELS(whole_gradient, WHOLE_BLOCK)

static int64_t rows_of(const attention_arguments *a) {
  return divided_up(a->a.tokens, WARP_ROWS) * WARP_ROWS;
}

static int64_t whole_bytes(const attention_arguments *a) {
  int64_t rows = rows_of(a);
  return rows * (4 * (a->deep + 8) + rows + 8) * (int64_t)sizeof(uint16_t) +
         2 * rows * (int64_t)sizeof(float);
}

int attention_head_fits(const attention_arguments *a) {
  return rows_of(a) <= WHOLE_BLOCK / LANES * WARP_ROWS && whole_bytes(a) <= WHOLE_BYTES;
}

int kernel_attention_gradient_head(const attention_arguments *given, void *stream) {
  attention_arguments a = *given;
  a.tiles = 1;
  return LAUNCH_HEAD(whole_gradient, GRID(a.a.batch * a.a.heads, 1),
                     rows_of(&a) / WARP_ROWS * LANES, whole_bytes(&a), stream, a);
}
