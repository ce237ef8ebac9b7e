/* Attention in fp32, forward and backward, for checking other precisions: plain multiply-adds,
 * since tensor cores would round the operands.
 *
 * Four lanes share a row (a query, or a key for its gradients) and hold a quarter of it each, four
 * elements in every sixteen; a block of 128 threads has 32 rows. It iterates over the other side in
 * tiles of 32 rows in shared memory, where the lanes of a row read 64 adjacent bytes and all rows
 * the same ones. Bound: shared-memory loads, one of 16 bytes for four multiply-adds. */
#include "cuda/attention.cuh"

enum { ROW_BLOCK = 128, SHARERS = 4, ROWS = ROW_BLOCK / SHARERS, OTHERS = 32, GROUP = 8, FOUR = 4 };

/* A lane's quarter of a row: elements 16 i + 4 (lane % 4) + j. */
typedef struct {
  float v[8][FOUR];
} quarter;

DEVICE int quarter_column(int i) {
  return i * 16 + thread_index() % SHARERS * FOUR;
}

DEVICE quarter quarter_load(const attention_arguments *a, const void *base, int64_t at,
                            bool is_there, const int steps) {
  quarter q;
  UNROLL for (int i = 0; i < steps; i++) {
    UNROLL for (int j = 0; j < FOUR; j++) {
      int column = quarter_column(i) + j;
      q.v[i][j] = is_there && column < a->a.head_width ? ((const float *)base)[at + column] : 0.0f;
    }
  }
  return q;
}

DEVICE void quarter_store(const attention_arguments *a, void *base, int64_t at, const quarter *q,
                          float scale, const int steps) {
  UNROLL for (int i = 0; i < steps; i++) {
    UNROLL for (int j = 0; j < FOUR; j++) {
      int column = quarter_column(i) + j;
      if (column < a->a.head_width) ((float *)base)[at + column] = q->v[i][j] * scale;
    }
  }
}

/* tile [OTHERS, deep]; zeros beyond the `left` rows that exist and beyond the head's width. */
DEVICE void load_floats(const attention_arguments *a, float *tile, const void *base, int64_t at,
                        int64_t stride, int64_t left) {
  for (int i = thread_index(); i < OTHERS * a->deep; i += ROW_BLOCK) {
    int row = i / a->deep, column = i % a->deep;
    bool is_there = row < left && column < a->a.head_width;
    tile[i] = is_there ? ((const float *)base)[at + row * stride + column] : 0.0f;
  }
}

/* One 16-byte load of shared memory. */
DEVICE void load_four(float *to, const float *from) {
  uint4 words = *(const uint4 *)from;
  to[0] = float_of_bits(words.x);
  to[1] = float_of_bits(words.y);
  to[2] = float_of_bits(words.z);
  to[3] = float_of_bits(words.w);
}

/* The product of a row and a tile's row, over the four lanes. */
DEVICE float row_product(const attention_arguments *a, const quarter *q, const float *other,
                         const int steps) {
  float sum = 0;
  UNROLL for (int i = 0; i < steps; i++) {
    float y[FOUR];
    if (i * 16 >= a->deep) continue;
    load_four(y, other + quarter_column(i));
    UNROLL for (int j = 0; j < FOUR; j++) sum += q->v[i][j] * y[j];
  }
  sum += __shfl_xor_sync(FULL_WARP, sum, 1);
  return sum + __shfl_xor_sync(FULL_WARP, sum, 2);
}

DEVICE void add_scaled(const attention_arguments *a, quarter *sum, float weight, const float *other,
                       const int steps) {
  UNROLL for (int i = 0; i < steps; i++) {
    float y[FOUR];
    if (i * 16 >= a->deep) continue;
    load_four(y, other + quarter_column(i));
    UNROLL for (int j = 0; j < FOUR; j++) sum->v[i][j] += weight * y[j];
  }
}

DEVICE void scale_quarter(quarter *q, float by, const int steps) {
  UNROLL for (int i = 0; i < steps; i++) {
    UNROLL for (int j = 0; j < FOUR; j++) q->v[i][j] *= by;
  }
}

/* Grid: image and head, times tiles of 32 queries. */
DEVICE void forward_f32_body(attention_arguments a, const int head) {
  SHARED_DYNAMIC(float, tiles);
  const ops_attention *p = &a.a;
  const int steps = head / 16;
  float *k_tile = tiles, *v_tile = tiles + OTHERS * a.deep;
  head_tile t = tile_of(&a, ROWS);
  int64_t stride = 3 * p->heads * p->head_width, keys = keys_of(p, t);
  int64_t query = t.first + thread_index() / SHARERS, seen = visible_to(p, keys, query);
  int64_t limit = visible_to(p, keys, t.first + ROWS - 1);
  bool is_there = query < p->tokens;
  float most = -FLT_MAX, sum = 0;
  quarter q = quarter_load(&a, p->qkv.data, qkv_offset(p, t, query, 0), is_there, steps), o;
  UNROLL for (int i = 0; i < steps; i++) {
    UNROLL for (int j = 0; j < FOUR; j++) o.v[i][j] = 0;
  }
  for (int64_t first = 0; first < limit; first += OTHERS) {
    __syncthreads();
    load_floats(&a, k_tile, p->qkv.data, qkv_offset(p, t, first, 1), stride, p->tokens - first);
    load_floats(&a, v_tile, p->qkv.data, qkv_offset(p, t, first, 2), stride, p->tokens - first);
    __syncthreads();
    for (int group = 0; group < OTHERS; group += GROUP) {
      float s[GROUP], larger = most;
      for (int j = 0; j < GROUP; j++) {
        s[j] = row_product(&a, &q, k_tile + (group + j) * a.deep, steps) * a.scale;
        if (first + group + j >= seen) s[j] = -INFINITY;
        larger = fmaxf(larger, s[j]);
      }
      float shrink = expf(most - larger);
      most = larger;
      sum *= shrink;
      scale_quarter(&o, shrink, steps);
      for (int j = 0; j < GROUP; j++) {
        float weight = expf(s[j] - most);
        sum += weight;
        add_scaled(&a, &o, weight, v_tile + (group + j) * a.deep, steps);
      }
    }
  }
  if (!is_there) return;
  quarter_store(&a, p->out.data, out_offset(p, t, query), &o, sum > 0 ? 1.0f / sum : 0.0f, steps);
  if (thread_index() % SHARERS == 0)
    ((float *)p->lse.data)[row_offset(p, t, query)] = most + logf(sum);
}
HEAD_KERNELS(forward_f32, ROW_BLOCK)

/* Grid: image and head, times tiles of 32 rows: queries for dq, or keys for dk and dv, as in
 * attention.cu. */
DEVICE void gradient_f32(const attention_arguments *a, const int head, const bool is_keys) {
  SHARED_DYNAMIC(float, tiles);
  const ops_attention *p = &a->a;
  const int steps = head / 16;
  float *one_tile = tiles, *two_tile = tiles + OTHERS * a->deep;
  head_tile t = tile_of(a, ROWS);
  int64_t width = p->heads * p->head_width, keys = keys_of(p, t);
  int64_t row = t.first + thread_index() / SHARERS;
  int64_t start = is_keys && p->is_causal ? t.first / OTHERS * OTHERS : 0;
  int64_t end =
      is_keys ? (t.first < keys ? p->tokens : 0) : visible_to(p, keys, t.first + ROWS - 1);
  const float *lse = (const float *)p->lse.data + row_offset(p, t, 0);
  const float *products = a->products + row_offset(p, t, 0);
  bool is_there = row < p->tokens;
  quarter one =
      quarter_load(a, p->qkv.data, qkv_offset(p, t, row, is_keys ? 1 : 0), is_there, steps);
  quarter two = is_keys ? quarter_load(a, p->qkv.data, qkv_offset(p, t, row, 2), is_there, steps)
                        : quarter_load(a, p->dout.data, out_offset(p, t, row), is_there, steps);
  quarter sum_one, sum_two;
  UNROLL for (int i = 0; i < steps; i++) {
    UNROLL for (int j = 0; j < FOUR; j++) sum_one.v[i][j] = sum_two.v[i][j] = 0;
  }
  for (int64_t first = start; first < end; first += OTHERS) {
    __syncthreads();
    load_floats(a, one_tile, p->qkv.data, qkv_offset(p, t, first, is_keys ? 0 : 1), 3 * width,
                p->tokens - first);
    if (is_keys)
      load_floats(a, two_tile, p->dout.data, out_offset(p, t, first), width, p->tokens - first);
    else
      load_floats(a, two_tile, p->qkv.data, qkv_offset(p, t, first, 2), 3 * width,
                  p->tokens - first);
    __syncthreads();
    for (int i = 0; i < OTHERS && first + i < end; i++) {
      const float *other_one = one_tile + i * a->deep, *other_two = two_tile + i * a->deep;
      float s = row_product(a, &one, other_one, steps), d = row_product(a, &two, other_two, steps);
      int64_t query = is_keys ? first + i : row, key = is_keys ? row : first + i;
      if (!is_there || key >= visible_to(p, keys, query)) continue;
      float weight = expf(s * a->scale - lse[query]);
      add_scaled(a, &sum_one, weight * (d - products[query]), other_one, steps);
      if (is_keys) add_scaled(a, &sum_two, weight, other_two, steps);
    }
  }
  if (!is_there) return;
  quarter_store(a, p->dqkv.data, qkv_offset(p, t, row, is_keys ? 1 : 0), &sum_one, a->scale, steps);
  if (is_keys) quarter_store(a, p->dqkv.data, qkv_offset(p, t, row, 2), &sum_two, 1, steps);
}

DEVICE void query_gradient_f32_body(attention_arguments a, const int head) {
  gradient_f32(&a, head, false);
}
HEAD_KERNELS(query_gradient_f32, ROW_BLOCK)

DEVICE void key_gradient_f32_body(attention_arguments a, const int head) {
  gradient_f32(&a, head, true);
}
HEAD_KERNELS(key_gradient_f32, ROW_BLOCK)

static size_t tile_bytes(const attention_arguments *a) {
  return (size_t)(2 * OTHERS * a->deep) * sizeof(float);
}

int kernel_attention_f32(const attention_arguments *given, void *stream) {
  attention_arguments a = *given;
  a.tiles = divided_up(a.a.tokens, ROWS);
  return LAUNCH_HEAD(forward_f32, GRID(a.a.batch * a.a.heads * a.tiles, 1), ROW_BLOCK,
                     tile_bytes(&a), stream, a);
}

int kernel_attention_gradient_f32(const attention_arguments *given, void *stream) {
  attention_arguments a = *given;
  a.tiles = divided_up(a.a.tokens, ROWS);
  int failed = LAUNCH_HEAD(query_gradient_f32, GRID(a.a.batch * a.a.heads * a.tiles, 1), ROW_BLOCK,
                           tile_bytes(&a), stream, a);
  return failed ? failed
                : LAUNCH_HEAD(key_gradient_f32, GRID(a.a.batch * a.a.heads * a.tiles, 1), ROW_BLOCK,
                              tile_bytes(&a), stream, a);
}
