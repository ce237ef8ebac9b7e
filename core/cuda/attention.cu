/* Attention in bf16 on tensor cores, forward and backward, after FlashAttention 2 (Dao 2023): the
 * scores never leave the registers.
 *
 * A block has up to 64 rows (queries, or keys for their gradients) of one head of one image, 16 a
 * warp; short sequences get fewer warps, so that 32 tokens keep two warps busy and no lane waits
 * for rows that are not there. It walks over the other side in tiles that all warps share. Bound:
 * shared-memory loads and exp for heads of 64; blocks of a few warps hide each other's waiting.
 *
 * The backward computes the scores twice, once for the queries' gradients and once for the keys'
 * and values': seven products instead of five, but every gradient has one owner, who adds in a
 * fixed order. The usual way adds the queries' with atomics and differs from run to run. */
#include "cuda/attention.cuh"
#include "cuda/mma.cuh"

enum {
  HEAD_BLOCK = 128,
  WARP_ROWS = 16,
  TILE_KEYS = 64,  /* forward */
  TILE_OTHERS = 32 /* backward */
};

/* Elements between rows of a tile: 16 bytes more than a row, so that the eight rows of a matrix lie
 * in different banks. */
DEVICE int pitch_of(const attention_arguments *a) {
  return a->deep + 8;
}

/* tile [rows, deep] = rows of `from` that are `stride` apart; zeros beyond the `left` that exist
 * and beyond the head's width. By all threads of the block. */
DEVICE void load_tile(const attention_arguments *a, uint16_t *tile, int rows, const void *base,
                      int64_t at, int64_t stride, int64_t left) {
  int pieces = a->deep / PACK, width = (int)a->a.head_width;
  for (int i = thread_index(); i < rows * pieces; i += block_threads()) {
    int row = i / pieces, column = i % pieces * PACK;
    const uint16_t *from = (const uint16_t *)base + at + row * stride + column;
    uint16_t *to = tile + row * pitch_of(a) + column;
    if (a->is_vector) {
      uint4 words = {0, 0, 0, 0};
      if (row < left && column < width) words = *(const uint4 *)from;
      *(uint4 *)to = words;
    } else {
      UNROLL for (int j = 0; j < PACK; j++) {
        to[j] = row < left && column + j < width ? from[j] : (uint16_t)0;
      }
    }
  }
}

/* Two neighbouring elements of a row, as mma leaves them. */
DEVICE void store_two(const attention_arguments *a, uint16_t *row, int column, float low,
                      float high) {
  int width = (int)a->a.head_width;
  if (a->is_vector) {
    if (column < width) *(uint32_t *)(row + column) = bf16_pair(low, high);
  } else {
    if (column < width) row[column] = bf16_of_float(low);
    if (column + 1 < width) row[column + 1] = bf16_of_float(high);
  }
}

DEVICE int rounded_up(int64_t count, int to) {
  return ((int)count + to - 1) / to * to;
}

/* a of mma_bf16 for 16 columns of what the last product left in registers. */
DEVICE void a_of_scores(uint32_t *a, const float (*s)[4]) {
  a[0] = bf16_pair(s[0][0], s[0][1]);
  a[1] = bf16_pair(s[0][2], s[0][3]);
  a[2] = bf16_pair(s[1][0], s[1][1]);
  a[3] = bf16_pair(s[1][2], s[1][3]);
}

/* Over the four lanes that share a row of a product. */
DEVICE float row_max(float value) {
  value = fmaxf(value, __shfl_xor_sync(FULL_WARP, value, 1));
  return fmaxf(value, __shfl_xor_sync(FULL_WARP, value, 2));
}

DEVICE float row_total(float value) {
  value += __shfl_xor_sync(FULL_WARP, value, 1);
  return value + __shfl_xor_sync(FULL_WARP, value, 2);
}

/* s [16, count] of a tile: becomes exp2(scale s - max) with the running maximum, hidden keys 0.
 * `seen`: how many of the tile's keys each of the lane's two rows sees. What was summed before has
 * to be multiplied by `shrink`. */
DEVICE void soften(float (*s)[4], int count, const int64_t *seen, float scale, float *most,
                   float *sum, float *shrink) {
  UNROLL for (int half = 0; half < 2; half++) {
    float larger = most[half], part = 0;
    UNROLL for (int n = 0; n < TILE_KEYS / 8; n++) {
      if (n * 8 >= count) continue;
      UNROLL for (int i = half * 2; i < half * 2 + 2; i++) {
        int key = n * 8 + lane_index() % 4 * 2 + i % 2;
        s[n][i] = key < seen[half] ? s[n][i] * scale : -INFINITY;
        larger = fmaxf(larger, s[n][i]);
      }
    }
    larger = row_max(larger);
    UNROLL for (int n = 0; n < TILE_KEYS / 8; n++) {
      if (n * 8 >= count) continue;
      UNROLL for (int i = half * 2; i < half * 2 + 2; i++) {
        s[n][i] = exp2f(s[n][i] - larger);
        part += s[n][i];
      }
    }
    shrink[half] = exp2f(most[half] - larger);
    sum[half] = sum[half] * shrink[half] + part; /* this lane's quarter of the row */
    most[half] = larger;
  }
}

/* Grid: image and head, times tiles of queries. Reads q once, k and v once for each tile of
 * queries; writes out. Dynamic shared memory: k and v of TILE_KEYS keys. */
DEVICE void forward_body(attention_arguments a, const int head) {
  SHARED_DYNAMIC(uint16_t, tiles);
  const ops_attention *p = &a.a;
  const int steps = head / 16;
  int rows = block_threads() / LANES * WARP_ROWS, pitch = pitch_of(&a), deep = a.deep;
  head_tile t = tile_of(&a, rows);
  uint16_t *k_tile = tiles, *v_tile = tiles + TILE_KEYS * pitch;
  int64_t stride = 3 * p->heads * p->head_width, keys = keys_of(p, t);
  int64_t own = t.first + warp_index() * WARP_ROWS + lane_index() / 4; /* and own + 8 */
  int64_t limit = visible_to(p, keys, t.first + rows - 1);
  uint32_t q[8][4];
  float o[16][4], most[2] = {-FLT_MAX, -FLT_MAX}, sum[2] = {0, 0};
  load_tile(&a, k_tile, rows, p->qkv.data, qkv_offset(p, t, t.first, 0), stride,
            p->tokens - t.first); /* q passes through the place of k */
  __syncthreads();
  UNROLL for (int i = 0; i < steps; i++) {
    if (i * 16 < deep) load_a(q[i], k_tile, pitch, warp_index() * WARP_ROWS, i * 16);
    UNROLL for (int j = 0; j < 4; j++) o[2 * i][j] = o[2 * i + 1][j] = 0;
  }
  for (int64_t first = 0; first < limit; first += TILE_KEYS) {
    int count = (int)(limit - first < TILE_KEYS ? limit - first : TILE_KEYS);
    int filled = rounded_up(count, 16);
    float s[TILE_KEYS / 8][4], shrink[2];
    int64_t seen[2] = {visible_to(p, keys, own) - first, visible_to(p, keys, own + 8) - first};
    __syncthreads(); /* nobody reads the last tile any more */
    load_tile(&a, k_tile, filled, p->qkv.data, qkv_offset(p, t, first, 1), stride,
              p->tokens - first);
    load_tile(&a, v_tile, filled, p->qkv.data, qkv_offset(p, t, first, 2), stride,
              p->tokens - first);
    __syncthreads();
    UNROLL for (int n = 0; n < TILE_KEYS / 16; n++) {
      UNROLL for (int j = 0; j < 4; j++) s[2 * n][j] = s[2 * n + 1][j] = 0;
      UNROLL for (int i = 0; i < steps; i++) {
        uint32_t b[4];
        if (n * 16 >= count || i * 16 >= deep) continue;
        load_b(b, k_tile, pitch, n * 16, i * 16);
        mma_bf16(s[2 * n], q[i], b);
        mma_bf16(s[2 * n + 1], q[i], b + 2);
      }
    }
    soften(s, filled, seen, a.scale * LOG2_E, most, sum, shrink);
    UNROLL for (int i = 0; i < 2 * steps; i++) {
      UNROLL for (int j = 0; j < 4; j++) o[i][j] *= shrink[j / 2];
    }
    UNROLL for (int n = 0; n < TILE_KEYS / 16; n++) {
      uint32_t weights[4];
      if (n * 16 >= count) continue;
      a_of_scores(weights, s + 2 * n);
      UNROLL for (int i = 0; i < steps; i++) {
        uint32_t b[4];
        if (i * 16 >= deep) continue;
        load_b_transposed(b, v_tile, pitch, n * 16, i * 16);
        mma_bf16(o[2 * i], weights, b);
        mma_bf16(o[2 * i + 1], weights, b + 2);
      }
    }
  }
  UNROLL for (int half = 0; half < 2; half++) {
    int64_t query = own + 8 * half;
    float total = row_total(sum[half]), inverse = total > 0 ? 1.0f / total : 0.0f;
    if (query >= p->tokens) continue;
    uint16_t *out = (uint16_t *)p->out.data + out_offset(p, t, query);
    UNROLL for (int i = 0; i < 2 * steps; i++) {
      store_two(&a, out, i * 8 + lane_index() % 4 * 2, o[i][2 * half] * inverse,
                o[i][2 * half + 1] * inverse);
    }
    if (lane_index() % 4 == 0)
      ((float *)p->lse.data)[row_offset(p, t, query)] = (most[half] + log2f(total)) * LN_2;
  }
}
HEAD_KERNELS(forward, HEAD_BLOCK)

/* What a gradient kernel walks over, and what its rows are. Of both sides `one` meets `one` in the
 * scores and `two` meets `two` in their gradient:
 *   queries' gradient: rows q, dout; others k, v
 *   keys' gradient:    rows k, v;    others q, dout */
typedef struct {
  uint16_t *row_one, *row_two, *other_one, *other_two; /* tiles */
  float *lse, *products;                               /* [TILE_OTHERS], keys' gradient only */
} gradient_tiles;

DEVICE gradient_tiles cut_tiles(const attention_arguments *a, uint16_t *shared) {
  int pitch = pitch_of(a), rows = block_threads() / LANES * WARP_ROWS;
  gradient_tiles g;
  g.row_one = shared;
  g.row_two = g.row_one + rows * pitch;
  g.other_one = g.row_two + rows * pitch;
  g.other_two = g.other_one + TILE_OTHERS * pitch;
  g.lse = (float *)(g.other_two + TILE_OTHERS * pitch);
  g.products = g.lse + TILE_OTHERS;
  return g;
}

/* q and dout of queries, or k and v of keys. */
DEVICE void load_side(const attention_arguments *a, head_tile t, bool is_keys, int64_t first,
                      int rows, uint16_t *one, uint16_t *two) {
  const ops_attention *p = &a->a;
  int64_t stride = 3 * p->heads * p->head_width, left = p->tokens - first;
  load_tile(a, one, rows, p->qkv.data, qkv_offset(p, t, first, is_keys ? 1 : 0), stride, left);
  if (is_keys)
    load_tile(a, two, rows, p->qkv.data, qkv_offset(p, t, first, 2), stride, left);
  else
    load_tile(a, two, rows, p->dout.data, out_offset(p, t, first), p->heads * p->head_width, left);
}

/* s, d [16, TILE_OTHERS] of a warp's rows: scores and their gradients before the softmax's. */
DEVICE void score_products(const attention_arguments *a, const gradient_tiles *g, int count,
                           const int steps, float (*s)[4], float (*d)[4]) {
  int pitch = pitch_of(a), row = warp_index() * WARP_ROWS;
  UNROLL for (int n = 0; n < TILE_OTHERS / 8; n++) {
    UNROLL for (int j = 0; j < 4; j++) s[n][j] = d[n][j] = 0;
  }
  UNROLL for (int i = 0; i < steps; i++) {
    uint32_t one[4], two[4], b[4];
    if (i * 16 >= a->deep) continue;
    load_a(one, g->row_one, pitch, row, i * 16);
    load_a(two, g->row_two, pitch, row, i * 16);
    UNROLL for (int n = 0; n < TILE_OTHERS / 16; n++) {
      if (n * 16 >= count) continue;
      load_b(b, g->other_one, pitch, n * 16, i * 16);
      mma_bf16(s[2 * n], one, b);
      mma_bf16(s[2 * n + 1], one, b + 2);
      load_b(b, g->other_two, pitch, n * 16, i * 16);
      mma_bf16(d[2 * n], two, b);
      mma_bf16(d[2 * n + 1], two, b + 2);
    }
  }
}

/* One score and its gradient become the softmax's weight p and p (d - product). */
DEVICE void through_softmax(float *s, float *d, bool is_seen, float scale, float lse,
                            float product) {
  float weight = is_seen ? exp2f(*s * scale * LOG2_E - lse * LOG2_E) : 0.0f;
  *s = weight;
  *d = weight * (*d - product);
}

/* sum [16, head] += weights [16, TILE_OTHERS] tile [TILE_OTHERS, head]. */
DEVICE void add_product(const attention_arguments *a, const uint16_t *tile, int count,
                        const int steps, const float (*weights)[4], float (*sum)[4]) {
  UNROLL for (int n = 0; n < TILE_OTHERS / 16; n++) {
    uint32_t left[4];
    if (n * 16 >= count) continue;
    a_of_scores(left, weights + 2 * n);
    UNROLL for (int i = 0; i < steps; i++) {
      uint32_t b[4];
      if (i * 16 >= a->deep) continue;
      load_b_transposed(b, tile, pitch_of(a), n * 16, i * 16);
      mma_bf16(sum[2 * i], left, b);
      mma_bf16(sum[2 * i + 1], left, b + 2);
    }
  }
}

DEVICE void store_rows(const attention_arguments *a, head_tile t, int64_t own, int part,
                       const int steps, const float (*sum)[4], float scale) {
  UNROLL for (int half = 0; half < 2; half++) {
    int64_t token = own + 8 * half;
    if (token >= a->a.tokens) continue;
    uint16_t *to = (uint16_t *)a->a.dqkv.data + qkv_offset(&a->a, t, token, part);
    UNROLL for (int i = 0; i < 2 * steps; i++) {
      store_two(a, to, i * 8 + lane_index() % 4 * 2, sum[i][2 * half] * scale,
                sum[i][2 * half + 1] * scale);
    }
  }
}

/* Grid: image and head, times tiles of rows. Reads q, k, v, dout of its rows once and those of the
 * others once for each tile of rows; writes dq, or dk and dv. */
DEVICE void gradient_body(const attention_arguments *a, const int head, const bool is_keys) {
  SHARED_DYNAMIC(uint16_t, shared);
  const ops_attention *p = &a->a;
  const int steps = head / 16;
  gradient_tiles g = cut_tiles(a, shared);
  int rows = block_threads() / LANES * WARP_ROWS;
  head_tile t = tile_of(a, rows);
  int64_t keys = keys_of(p, t), own = t.first + warp_index() * WARP_ROWS + lane_index() / 4;
  int64_t start = is_keys && p->is_causal ? t.first / TILE_OTHERS * TILE_OTHERS : 0;
  int64_t end =
      is_keys ? (t.first < keys ? p->tokens : 0) : visible_to(p, keys, t.first + rows - 1);
  const float *lse = (const float *)p->lse.data + row_offset(p, t, 0);
  const float *products = a->products + row_offset(p, t, 0);
  float sum_one[16][4], sum_two[16][4], row_lse[2] = {0, 0}, row_product[2] = {0, 0};
  UNROLL for (int i = 0; i < 2 * steps; i++) {
    UNROLL for (int j = 0; j < 4; j++) sum_one[i][j] = sum_two[i][j] = 0;
  }
  UNROLL for (int half = 0; half < 2; half++) {
    if (is_keys || own + 8 * half >= p->tokens) continue;
    row_lse[half] = lse[own + 8 * half];
    row_product[half] = products[own + 8 * half];
  }
  load_side(a, t, is_keys, t.first, rows, g.row_one, g.row_two);
  for (int64_t first = start; first < end; first += TILE_OTHERS) {
    int count = (int)(end - first < TILE_OTHERS ? end - first : TILE_OTHERS);
    float s[TILE_OTHERS / 8][4], d[TILE_OTHERS / 8][4];
    __syncthreads();
    load_side(a, t, !is_keys, first, rounded_up(count, 16), g.other_one, g.other_two);
    if (is_keys && thread_index() < TILE_OTHERS) {
      bool is_there = thread_index() < count;
      g.lse[thread_index()] = is_there ? lse[first + thread_index()] : 0.0f;
      g.products[thread_index()] = is_there ? products[first + thread_index()] : 0.0f;
    }
    __syncthreads();
    score_products(a, &g, count, steps, s, d);
    UNROLL for (int n = 0; n < TILE_OTHERS / 8; n++) {
      UNROLL for (int i = 0; i < 4; i++) {
        int column = n * 8 + lane_index() % 4 * 2 + i % 2;
        int64_t row = own + i / 2 * 8, other = first + column;
        int64_t query = is_keys ? other : row, key = is_keys ? row : other;
        bool is_seen = query < p->tokens && key < visible_to(p, keys, query);
        through_softmax(&s[n][i], &d[n][i], is_seen, a->scale,
                        is_keys ? g.lse[column] : row_lse[i / 2],
                        is_keys ? g.products[column] : row_product[i / 2]);
      }
    }
    add_product(a, g.other_one, count, steps, d, sum_one);
    if (is_keys) add_product(a, g.other_two, count, steps, s, sum_two);
  }
  store_rows(a, t, own, is_keys ? 1 : 0, steps, sum_one, a->scale);
  if (is_keys) store_rows(a, t, own, 2, steps, sum_two, 1);
}

DEVICE void query_gradient_body(attention_arguments a, const int head) {
  gradient_body(&a, head, false);
}
HEAD_KERNELS(query_gradient, HEAD_BLOCK)

DEVICE void key_gradient_body(attention_arguments a, const int head) {
  gradient_body(&a, head, true);
}
HEAD_KERNELS(key_gradient, HEAD_BLOCK)

/* products = sums of dout * out over the head. Grid: eight lanes a token and head, 16 a block;
 * lanes beyond the last repeat it, since all must take part in the shuffles. Bound: memory. */
DEVICE void row_products_body(attention_arguments a, const int type) {
  enum { SHARERS = 8 };
  const ops_attention *p = &a.a;
  int64_t total = p->batch * p->tokens * p->heads, which = grid_thread() / SHARERS;
  int64_t row = which < total ? which : total - 1;
  float sum = 0;
  for (int64_t i = grid_thread() % SHARERS * PACK; i < p->head_width; i += SHARERS * PACK) {
    int64_t at = row * p->head_width + i, count = p->head_width - i;
    pack out = pack_load(p->out.data, type, at, count, a.is_vector);
    pack dout = pack_load(p->dout.data, type, at, count, a.is_vector);
    UNROLL for (int j = 0; j < PACK; j++) sum += out.v[j] * dout.v[j];
  }
  for (int flip = SHARERS / 2; flip > 0; flip /= 2) sum += __shfl_xor_sync(FULL_WARP, sum, flip);
  head_tile t = {row / p->heads / p->tokens, row % p->heads, 0};
  if (which < total && grid_thread() % SHARERS == 0)
    a.products[row_offset(p, t, row / p->heads % p->tokens)] = sum;
}
KERNEL_PAIR(row_products, attention_arguments, HEAD_BLOCK)

static attention_arguments arguments_of(const ops_attention *p, void *scratch) {
  attention_arguments a = {
      .a = *p,
      .products = (float *)scratch,
      .scale = 1.0f / sqrtf((float)p->head_width),
      .deep = (int)divided_up(p->head_width, 16) * 16,
      .tiles = 0,
      .is_vector = is_row_vector(p->head_width, p->qkv.data) && is_row_vector(8, p->out.data) &&
                   is_row_vector(8, p->dout.data) && is_row_vector(8, p->dqkv.data)};
  return a;
}

static int is_impossible(const ops_attention *p) {
  return p->tokens < 1 || p->head_width < 1 || p->head_width > KERNEL_WIDEST_HEAD;
}

/* Warps for the rows that there are, at most four. */
static int64_t threads_for(int64_t tokens) {
  return at_most(divided_up(tokens, WARP_ROWS) * LANES, HEAD_BLOCK);
}

int kernel_attention(const ops_attention *p, void *stream) {
  attention_arguments a = arguments_of(p, NULL);
  if (is_impossible(p)) return KERNEL_INVALID;
  if (p->qkv.type == OPS_F32) return kernel_attention_f32(&a, stream);
  int64_t threads = threads_for(p->tokens), rows = threads / LANES * WARP_ROWS;
  size_t shared_bytes = (size_t)(2 * TILE_KEYS * (a.deep + 8)) * sizeof(uint16_t);
  a.tiles = divided_up(p->tokens, rows);
  return LAUNCH_HEAD(forward, GRID(p->batch * p->heads * a.tiles, 1), threads, shared_bytes, stream,
                     a);
}

size_t kernel_attention_gradient_scratch(int64_t batch, int64_t heads, int64_t tokens) {
  return (size_t)(batch * heads * tokens) * sizeof(float);
}

int kernel_attention_gradient(const ops_attention *p, void *scratch, void *stream) {
  attention_arguments a = arguments_of(p, scratch);
  if (is_impossible(p)) return KERNEL_INVALID;
  int64_t products = divided_up(p->batch * p->tokens * p->heads, HEAD_BLOCK / 8);
  int failed = LAUNCH_PAIR(row_products, p->qkv.type, GRID(products, 1), HEAD_BLOCK, 0, stream, a);
  if (failed) return failed;
  if (p->qkv.type == OPS_F32) return kernel_attention_gradient_f32(&a, stream);
  int64_t threads = threads_for(p->tokens), rows = threads / LANES * WARP_ROWS;
  size_t tiles = (size_t)(2 * (rows + TILE_OTHERS) * (a.deep + 8)) * sizeof(uint16_t);
  size_t shared_bytes = tiles + 2 * TILE_OTHERS * sizeof(float);
  a.tiles = divided_up(p->tokens, rows);
  failed = LAUNCH_HEAD(query_gradient, GRID(p->batch * p->heads * a.tiles, 1), threads,
                       shared_bytes, stream, a);
  return failed ? failed
                : LAUNCH_HEAD(key_gradient, GRID(p->batch * p->heads * a.tiles, 1), threads,
                              shared_bytes, stream, a);
}
