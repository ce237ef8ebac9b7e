/* The gradient of attention in bf16, for sequences of any length and heads of any width.
 *
 * The scores are computed twice, once for the queries' gradients and once for the keys' and
 * values': seven products instead of five, but every gradient is summed by one owner in a fixed
 * order. The usual way adds the queries' with atomics and differs from run to run. Short sequences
 * have separate kernels with five products (attention_short_gradient.cu,
 * attention_walk_gradient.cu).
 */
#include "cuda/attention_tiles.cuh"

enum { HEAD_BLOCK = 128 };

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

/* Grid: image and head, times tiles of rows. Reads q, k, v, dout of its rows once and those of the
 * others once for each tile of rows; writes dq, or dk and dv. */
DEVICE void gradient_body(const attention_arguments *a, const int head, const bool is_keys) {
  SHARED_DYNAMIC(uint16_t, shared);
  const ops_attention *p = &a->a;
  const int steps = head / 16;
  int rows = block_threads() / LANES * WARP_ROWS, pitch = pitch_of(a);
  uint16_t *row_one = shared, *row_two = row_one + rows * pitch;
  uint16_t *other_one = row_two + rows * pitch, *other_two = other_one + TILE_OTHERS * pitch;
  float *other_lse = (float *)(other_two + TILE_OTHERS * pitch);
  float *other_products = other_lse + TILE_OTHERS;
  gradient_tiles g = {row_one, row_two, other_one, other_two};
  head_tile t = tile_of(a, rows);
  int64_t keys = keys_of(p, t), own = t.first + warp_index() * WARP_ROWS + lane_index() / 4;
  int64_t start = is_keys && p->is_causal ? t.first / TILE_OTHERS * TILE_OTHERS : 0;
  int64_t end =
      is_keys ? (t.first < keys ? p->tokens : 0) : visible_to(p, keys, t.first + rows - 1);
  const float *lse = (const float *)p->lse.data + row_offset(p, t, 0);
  const float *products = a->products + row_offset(p, t, 0);
  float sum_one[16][4], sum_two[16][4], row_lse[2] = {0, 0}, row_product[2] = {0, 0};
  clear_sums(sum_one, steps);
  clear_sums(sum_two, steps);
  UNROLL for (int half = 0; half < 2; half++) {
    if (is_keys || own + 8 * half >= p->tokens) continue;
    row_lse[half] = lse[own + 8 * half];
    row_product[half] = products[own + 8 * half];
  }
  load_side(a, t, is_keys, t.first, rows, row_one, row_two);
  for (int64_t first = start; first < end; first += TILE_OTHERS) {
    int count = (int)(end - first < TILE_OTHERS ? end - first : TILE_OTHERS);
    float s[TILE_OTHERS / 8][4], d[TILE_OTHERS / 8][4];
    __syncthreads();
    load_side(a, t, !is_keys, first, rounded_up(count, 16), other_one, other_two);
    if (is_keys && thread_index() < TILE_OTHERS) {
      bool is_there = thread_index() < count;
      other_lse[thread_index()] = is_there ? lse[first + thread_index()] : 0.0f;
      other_products[thread_index()] = is_there ? products[first + thread_index()] : 0.0f;
    }
    __syncthreads();
    score_products(a, g, count, steps, s, d);
    softmax_tile(a, keys, own, first, is_keys, is_keys ? other_lse : row_lse,
                 is_keys ? other_products : row_product, s, d);
    add_product(a->deep, other_one, count, TILE_OTHERS, steps, d, sum_one);
    if (is_keys) add_product(a->deep, other_two, count, TILE_OTHERS, steps, s, sum_two);
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

/* products = sums of dout * out over the head. Grid: eight lanes per token and head, 16 per block;
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

/* Rows and columns of dqkv. */
static int64_t gradient_rows(const ops_attention *p) {
  return p->batch * p->tokens;
}

static int64_t gradient_columns(const ops_attention *p) {
  return 3 * p->heads * p->head_width;
}

/* For the kernels for any shape and the sums after them, or for the short ones' sums by sample. */
size_t kernel_attention_gradient_scratch(const ops_attention *p) {
  size_t products = (size_t)(gradient_rows(p) * p->heads) * sizeof(float);
  size_t after = kernel_column_sums_scratch(gradient_rows(p), gradient_columns(p));
  size_t parts = (size_t)(p->batch * gradient_columns(p)) * sizeof(float);
  if (!p->dqkv_sums.data) after = parts = 0;
  if (after > products) products = after;
  return parts > products ? parts : products;
}

static int gradient_of_any(attention_arguments a, void *stream) {
  const ops_attention *p = &a.a;
  int64_t products = divided_up(p->batch * p->tokens * p->heads, HEAD_BLOCK / 8);
  int failed = LAUNCH_PAIR(row_products, p->qkv.type, GRID(products, 1), HEAD_BLOCK, 0, stream, a);
  if (failed) return failed;
  if (p->qkv.type == OPS_F32) return kernel_attention_gradient_f32(&a, stream);
  int64_t threads = at_most(divided_up(p->tokens, WARP_ROWS) * LANES, HEAD_BLOCK),
          rows = threads / LANES * WARP_ROWS;
  size_t tiles = (size_t)(2 * (rows + TILE_OTHERS) * (a.deep + 8)) * sizeof(uint16_t);
  size_t shared_bytes = tiles + 2 * TILE_OTHERS * sizeof(float);
  a.tiles = divided_up(p->tokens, rows);
  failed = LAUNCH_HEAD(query_gradient, GRID(p->batch * p->heads * a.tiles, 1), threads,
                       shared_bytes, stream, a);
  return failed ? failed
                : LAUNCH_HEAD(key_gradient, GRID(p->batch * p->heads * a.tiles, 1), threads,
                              shared_bytes, stream, a);
}

/* After one that wrote dqkv. */
int kernel_attention_gradient_round(const ops_attention *p, void *stream) {
  ops_rounding r = {};
  if (!p->dqkv_narrow.scale.data) return 0;
  r.rows = gradient_rows(p);
  r.columns = gradient_columns(p);
  r.x = p->dqkv;
  r.is_delayed = true;
  r.to = p->dqkv_narrow;
  return kernel_narrow(&r, 1, NULL, stream);
}

/* The kernels for short sequences write dqkv's 8-bit values themselves, in code compiled for a
 * device with 8-bit products. */
static int gradient_of_short(const attention_arguments *a, void *stream) {
  const ops_attention *p = &a->a;
  const ops_narrow *to = &p->dqkv_narrow;
  attention_arguments wide = *a;
  if (!to->scale.data) return kernel_attention_gradient_short(a, stream);
  if (CUDA_COMPILED_FOR(query_gradient_64) < KERNEL_FP8_CAPABILITY) {
    wide.a.dqkv_narrow.scale.data = NULL;
    int failed = kernel_attention_gradient_short(&wide, stream);
    return failed ? failed : kernel_attention_gradient_round(p, stream);
  }
  int failed = kernel_attention_gradient_short(a, stream);
  if (failed || !to->turned.data) return failed;
  return kernel_turn(gradient_rows(p), gradient_columns(p), to->values, to->turned, stream);
}

static bool is_narrow_impossible(const ops_attention *p) {
  return p->dqkv_narrow.scale.data &&
         (p->qkv.type != OPS_BF16 || !p->dqkv_narrow.values.data || p->dqkv_maximum.data ||
          gradient_rows(p) % OPS_NARROW_MULTIPLE || gradient_columns(p) % OPS_NARROW_MULTIPLE ||
          (uintptr_t)p->dqkv_narrow.values.data % PACK);
}

int kernel_attention_gradient(const ops_attention *p, void *scratch, void *stream) {
  attention_arguments a = attention_arguments_of(p, scratch);
  if (attention_is_impossible(p) || is_narrow_impossible(p)) return KERNEL_INVALID;
  if (!p->dqkv_sums.data) a.parts = NULL;
  int failed = attention_is_short(&a) ? gradient_of_short(&a, stream) : KERNEL_REFUSED;
  if (failed != KERNEL_REFUSED) {
    if (failed || !a.parts) return failed;
    return kernel_add_parts(p->batch, gradient_columns(p), a.parts, p->dqkv_sums, stream);
  }
  failed = gradient_of_any(a, stream);
  if (!failed) failed = kernel_attention_gradient_round(p, stream);
  if (!failed && p->dqkv_maximum.data)
    failed =
        kernel_maximum(gradient_rows(p) * gradient_columns(p), p->dqkv, p->dqkv_maximum, stream);
  if (failed || !p->dqkv_sums.data) return failed;
  return kernel_column_sums(gradient_rows(p), gradient_columns(p), gradient_columns(p), p->dqkv,
                            p->dqkv_sums, scratch, stream);
}
