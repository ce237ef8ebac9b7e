/* Attention, forward and backward, one (image, head) at a time on one thread.
 *
 * In fp32 the products read q, k, v and write their results in place; k and v are also transposed
 * into tiles where a product needs that. Operands that are not fp32, or whose stride is bad for the
 * first-level cache, are copied once into padded fp32 tiles. Queries are processed in blocks of at
 * most QUERY_BLOCK, so scores take QUERY_BLOCK x tokens floats for any sequence length. Bound: the
 * multiply-add rate through tile_gemm, and exp. */
#include <omp.h>

#include "cpu/attention_amx.h"
#include "cpu/tile.h"

enum { QUERY_BLOCK = 96, ROWS_AT_ONCE = 6 /* of tile_gemm, mostly */ };

/* Parts of one thread's scratch. `deep`: padded head width; `wide`: padded tokens; `block`: queries
 * per block. */
typedef struct {
  int64_t tokens, width, deep, wide, block;
  float *q, *k, *v, *dout; /* [tokens, deep]: copies */
  float *dk, *dv;          /* [tokens, deep]; backward only */
  float *kt, *vt;          /* [width, wide]; kt already scaled */
  float *scores, *dscores; /* [QUERY_BLOCK, wide] */
  float *rows;             /* [QUERY_BLOCK, deep] */
  float *own;              /* [2 * deep]: widening */
} head_tiles;

/* A head's matrix, in place or in a tile: rows are `row` floats apart. */
typedef struct {
  const float *at;
  int64_t row;
} head_matrix;

/* The output of a product: in place, unless `at` is the tile that store_rows then copies out. */
typedef struct {
  float *at;
  int64_t row;
  bool is_tile;
} head_result;

static size_t tile_floats(int64_t tokens, int64_t width) {
  size_t deep = (size_t)tile_padded(width), wide = (size_t)tile_padded(tokens);
  return (size_t)tokens * deep * 6 + (size_t)width * wide * 2 + QUERY_BLOCK * wide * 2 +
         QUERY_BLOCK * deep + 2 * deep;
}

static head_tiles cut_tiles(const ops_attention *a, float *at) {
  head_tiles t = {.tokens = a->tokens, .width = a->head_width};
  t.deep = tile_padded(t.width);
  t.wide = tile_padded(t.tokens);
  /* blocks of about equal size: a short last one would cost almost as much as a full one */
  int64_t blocks = (t.tokens + QUERY_BLOCK - 1) / QUERY_BLOCK;
  t.block = ((t.tokens + blocks - 1) / blocks + ROWS_AT_ONCE - 1) / ROWS_AT_ONCE * ROWS_AT_ONCE;
  float **squares[] = {&t.q, &t.k, &t.v, &t.dout, &t.dk, &t.dv};
  for (size_t i = 0; i < 6; i++, at += t.tokens * t.deep) *squares[i] = at;
  t.kt = at;
  t.vt = t.kt + t.width * t.wide;
  t.scores = t.vt + t.width * t.wide;
  t.dscores = t.scores + QUERY_BLOCK * t.wide;
  t.rows = t.dscores + QUERY_BLOCK * t.wide;
  t.own = t.rows + QUERY_BLOCK * t.deep;
  return t;
}

/* tile [tokens, deep] = rows of `from` that are `stride` apart, zero-padded. */
static head_matrix copy_rows(const head_tiles *t, ops_buffer from, int64_t at, int64_t stride,
                             float *restrict tile) {
  head_matrix copy = {tile, t->deep};
  for (int64_t i = 0; i < t->tokens; i++, tile += t->deep) {
    const float *row = cpu_read(from, at + i * stride, t->width, tile);
    if (row != tile) memcpy(tile, row, (size_t)t->width * sizeof *tile);
    for (int64_t j = t->width; j < t->deep; j++) tile[j] = 0;
  }
  return copy;
}

/* A matrix whose elements products read individually, or that is only transposed. */
static head_matrix read_rows(const head_tiles *t, ops_buffer from, int64_t at, int64_t stride,
                             float *restrict tile) {
  if (from.type == OPS_F32) return (head_matrix){cpu_f32(from) + at, stride};
  return copy_rows(t, from, at, stride, tile);
}

/* A matrix whose rows products read repeatedly as vectors: rows at a stride of a multiple of a
 * large power of two would evict each other from the first-level cache. */
static head_matrix read_vectors(const head_tiles *t, ops_buffer from, int64_t at, int64_t stride,
                                float *restrict tile) {
  int64_t spread = stride & -stride;
  if (from.type == OPS_F32 && t->width == t->deep && spread <= t->width)
    return read_rows(t, from, at, stride, tile);
  return copy_rows(t, from, at, stride, tile);
}

static head_result result_in(const head_tiles *t, ops_buffer to, int64_t at, int64_t stride,
                             float *tile) {
  if (to.type == OPS_F32 && t->width == t->deep)
    return (head_result){cpu_f32(to) + at, stride, false};
  return (head_result){tile, t->deep, true};
}

static void store_rows(const head_tiles *t, const head_result *from, int64_t count, ops_buffer to,
                       int64_t at, int64_t stride) {
  if (!from->is_tile) return;
  for (int64_t i = 0; i < count; i++) {
    const float *tile = from->at + i * from->row;
    if (to.type == OPS_F32)
      memcpy(cpu_f32(to) + at + i * stride, tile, (size_t)t->width * sizeof *tile);
    else
      cpu_written(to, at + i * stride, t->width, tile);
  }
}

/* Number of keys that query i may attend to. */
static int64_t visible_keys(const ops_attention *a, int64_t image, int64_t query) {
  int64_t count = a->tokens;
  if (a->key_counts.data) {
    int64_t given = ((const int32_t *)a->key_counts.data)[image];
    if (given < count) count = given;
  }
  return a->is_causal && query + 1 < count ? query + 1 : count;
}

/* Replaces a row of scores by its softmax, with zeros beyond `keys` and where nothing is attended
 * to; sets lse. */
static void soften(float *restrict row, int64_t keys, int64_t wide, float *lse) {
  float most = keys > 0 ? row[0] : -INFINITY, sum = 0;
#pragma omp simd reduction(max : most)
  for (int64_t j = 0; j < keys; j++) most = row[j] > most ? row[j] : most;
#pragma omp simd reduction(+ : sum)
  for (int64_t j = 0; j < keys; j++) {
    row[j] = cpu_exp(row[j] - most);
    sum += row[j];
  }
  float inverse = 1.0f / sum;
#pragma omp simd
  for (int64_t j = 0; j < keys; j++) row[j] *= inverse;
  for (int64_t j = keys; j < wide; j++) row[j] = 0;
  *lse = most + logf(sum);
}

static void attend_head(const ops_attention *a, int64_t image, int64_t head, head_tiles *t) {
  int64_t width = a->heads * a->head_width, stride = 3 * width;
  int64_t at = image * a->tokens * stride + head * a->head_width;
  int64_t out_at = image * a->tokens * width + head * a->head_width;
  float *lse = cpu_f32(a->lse) + (image * a->heads + head) * a->tokens;
  head_matrix q = read_rows(t, a->qkv, at, stride, t->q);
  head_matrix k = read_rows(t, a->qkv, at + width, stride, t->k);
  head_matrix v = read_vectors(t, a->qkv, at + 2 * width, stride, t->v);
  tile_transpose(t->tokens, t->width, 1.0f / sqrtf((float)a->head_width), k.at, k.row, t->kt,
                 t->wide);
  for (int64_t first = 0; first < a->tokens; first += t->block) {
    int64_t count = a->tokens - first < t->block ? a->tokens - first : t->block;
    int64_t rows_at = out_at + first * width;
    head_result rows = result_in(t, a->out, rows_at, width, t->rows);
    tile_gemm(count, t->wide, t->width, q.at + first * q.row, q.row, 1, t->kt, t->wide, t->scores,
              t->wide, false);
    for (int64_t i = 0; i < count; i++)
      soften(t->scores + i * t->wide, visible_keys(a, image, first + i), t->wide, &lse[first + i]);
    tile_gemm(count, t->deep, t->tokens, t->scores, t->wide, 1, v.at, v.row, rows.at, rows.row,
              false);
    store_rows(t, &rows, count, a->out, rows_at, width);
  }
}

/* scores become P = exp(score - lse); dscores (dP on entry) become dS = P (dP - sum(dout out))
 * times the scale of the scores. */
static void score_gradients(const ops_attention *a, int64_t image, int64_t first, int64_t count,
                            const float *lse, const float *products, float scale,
                            const head_tiles *t) {
  for (int64_t i = 0; i < count; i++) {
    float *restrict p = t->scores + i * t->wide, *restrict d = t->dscores + i * t->wide;
    int64_t keys = visible_keys(a, image, first + i);
    float row_lse = lse[first + i], product = products[i];
#pragma omp simd
    for (int64_t j = 0; j < keys; j++) {
      p[j] = cpu_exp(p[j] - row_lse);
      d[j] = p[j] * (d[j] - product) * scale;
    }
    for (int64_t j = keys; j < t->wide; j++) p[j] = d[j] = 0;
  }
}

/* products [count]: dout times out, row by row. */
static void row_products(const ops_attention *a, int64_t out_at, int64_t first, int64_t count,
                         head_matrix dout, const head_tiles *t, float *products) {
  int64_t width = a->heads * a->head_width;
  for (int64_t i = first; i < first + count; i++) {
    const float *out = cpu_read(a->out, out_at + i * width, t->width, t->own);
    const float *row = dout.at + i * dout.row;
    float product = 0;
#pragma omp simd reduction(+ : product)
    for (int64_t j = 0; j < t->width; j++) product += out[j] * row[j];
    products[i - first] = product;
  }
}

static void attend_head_gradient(const ops_attention *a, int64_t image, int64_t head,
                                 head_tiles *t) {
  int64_t width = a->heads * a->head_width, stride = 3 * width;
  int64_t at = image * a->tokens * stride + head * a->head_width;
  int64_t out_at = image * a->tokens * width + head * a->head_width;
  const float *lse = cpu_f32(a->lse) + (image * a->heads + head) * a->tokens;
  float scale = 1.0f / sqrtf((float)a->head_width), products[QUERY_BLOCK];
  head_matrix q = read_vectors(t, a->qkv, at, stride, t->q);
  head_matrix k = read_vectors(t, a->qkv, at + width, stride, t->k);
  head_matrix v = read_rows(t, a->qkv, at + 2 * width, stride, t->v);
  head_matrix dout = read_vectors(t, a->dout, out_at, width, t->dout);
  head_result dk = result_in(t, a->dqkv, at + width, stride, t->dk);
  head_result dv = result_in(t, a->dqkv, at + 2 * width, stride, t->dv);
  tile_transpose(t->tokens, t->width, scale, k.at, k.row, t->kt, t->wide);
  tile_transpose(t->tokens, t->width, 1, v.at, v.row, t->vt, t->wide);
  for (int64_t first = 0; first < a->tokens; first += t->block) {
    int64_t count = a->tokens - first < t->block ? a->tokens - first : t->block;
    int64_t dq_at = at + first * stride;
    const float *dout_rows = dout.at + first * dout.row, *q_rows = q.at + first * q.row;
    head_result dq = result_in(t, a->dqkv, dq_at, stride, t->rows);
    row_products(a, out_at, first, count, dout, t, products);
    tile_gemm(count, t->wide, t->width, q_rows, q.row, 1, t->kt, t->wide, t->scores, t->wide,
              false);
    tile_gemm(count, t->wide, t->width, dout_rows, dout.row, 1, t->vt, t->wide, t->dscores, t->wide,
              false);
    score_gradients(a, image, first, count, lse, products, scale, t);
    tile_gemm(t->tokens, t->deep, count, t->scores, 1, t->wide, dout_rows, dout.row, dv.at, dv.row,
              first > 0);
    tile_gemm(t->tokens, t->deep, count, t->dscores, 1, t->wide, q_rows, q.row, dk.at, dk.row,
              first > 0);
    tile_gemm(count, t->deep, t->tokens, t->dscores, t->wide, 1, k.at, k.row, dq.at, dq.row, false);
    store_rows(t, &dq, count, a->dqkv, dq_at, stride);
  }
  store_rows(t, &dk, t->tokens, a->dqkv, at + width, stride);
  store_rows(t, &dv, t->tokens, a->dqkv, at + 2 * width, stride);
}

static err for_each_head(ops *o, const ops_attention *a,
                         void (*work)(const ops_attention *, int64_t, int64_t, head_tiles *)) {
  CPU_ASSERT(a->tokens > 0 && a->heads > 0 && a->head_width > 0);
  size_t slice = (tile_floats(a->tokens, a->head_width) + 15) / 16 * 16;
  float *scratch;
  err error = cpu_scratch(o, slice * (size_t)o->threads, &scratch);
  if (error) return error;
#pragma omp parallel num_threads(o->threads)
  {
    head_tiles tiles = cut_tiles(a, scratch + slice * (size_t)omp_get_thread_num());
#pragma omp for schedule(static)
    for (int64_t i = 0; i < a->batch * a->heads; i++) work(a, i / a->heads, i % a->heads, &tiles);
  }
  return NULL;
}

err CPU_KERNEL(attention)(ops *o, const ops_attention *a) {
#ifdef __AMX_BF16__
  if (CPU_KERNEL(attends_in_tiles)(a)) return CPU_KERNEL(attention_in_tiles)(o, a);
#endif
  return for_each_head(o, a, attend_head);
}

err CPU_KERNEL(attention_gradient)(ops *o, const ops_attention *a) {
  CPU_ASSERT(!a->dqkv_sums.data); /* the product's, which reads dqkv anyway, are cheaper */
#ifdef __AMX_BF16__
  if (CPU_KERNEL(attends_in_tiles)(a)) return CPU_KERNEL(attention_gradient_in_tiles)(o, a);
#endif
  return for_each_head(o, a, attend_head_gradient);
}

/* sums [wide] += the softmax over all keys of the first `queries` queries, one query at a time. */
static void add_attended(const ops_attended *a, int64_t at, head_tiles *t, float *restrict sums) {
  int64_t width = a->heads * a->head_width, stride = 3 * width;
  float lse;
  head_matrix q = read_rows(t, a->qkv, at, stride, t->q);
  head_matrix k = read_rows(t, a->qkv, at + width, stride, t->k);
  tile_transpose(t->tokens, t->width, 1.0f / sqrtf((float)a->head_width), k.at, k.row, t->kt,
                 t->wide);
  for (int64_t first = 0; first < a->queries; first += t->block) {
    int64_t count = a->queries - first < t->block ? a->queries - first : t->block;
    tile_gemm(count, t->wide, t->width, q.at + first * q.row, q.row, 1, t->kt, t->wide, t->scores,
              t->wide, false);
    for (int64_t i = 0; i < count; i++) {
      float *row = t->scores + i * t->wide;
      soften(row, a->tokens, t->wide, &lse);
#pragma omp simd
      for (int64_t j = 0; j < t->wide; j++) sums[j] += row[j];
    }
  }
}

/* An image's heads are added one after another, so that the sum does not depend on threads. */
err CPU_KERNEL(attended)(ops *o, const ops_attended *a) {
  CPU_ASSERT(a->heads > 0 && a->queries > 0 && a->queries <= a->tokens && a->first < a->tokens);
  const ops_attention shape = {.tokens = a->tokens, .head_width = a->head_width};
  int64_t width = a->heads * a->head_width, keys = a->tokens - a->first;
  size_t slice = (tile_floats(a->tokens, a->head_width) + 15) / 16 * 16;
  float *scratch;
  err error = cpu_scratch(o, slice * (size_t)o->threads, &scratch);
  if (error) return error;
#pragma omp parallel num_threads(o->threads)
  {
    head_tiles tiles = cut_tiles(&shape, scratch + slice * (size_t)omp_get_thread_num());
    float *sums = tiles.dscores; /* not used otherwise */
#pragma omp for schedule(static)
    for (int64_t image = 0; image < a->batch; image++) {
      memset(sums, 0, (size_t)tiles.wide * sizeof *sums);
      for (int64_t head = 0; head < a->heads; head++)
        add_attended(a, image * a->tokens * 3 * width + head * a->head_width, &tiles, sums);
      float *to = cpu_f32(a->scores) + image * keys;
      for (int64_t j = 0; j < keys; j++) to[j] += (float)a->weight * sums[a->first + j];
    }
  }
  return NULL;
}
