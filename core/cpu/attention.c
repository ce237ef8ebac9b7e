/* Attention, forward and backward, one (image, head) at a time on one thread.
 *
 * A head's q, k, v are copied once into padded fp32 tiles (k and v also transposed where a product
 * wants them so); queries go in blocks of QUERY_BLOCK, so scores take QUERY_BLOCK x tokens floats
 * however long the sequence. Bound: the multiply-add rate through tile_gemm, and exp. */
#include <omp.h>

#include "cpu/tile.h"

enum { QUERY_BLOCK = 48 };

/* Pieces of one thread's scratch. `deep`: padded head width; `wide`: padded tokens. */
typedef struct {
  int64_t tokens, width, deep, wide;
  float *q, *k, *v;        /* [tokens, deep]; q already scaled */
  float *kt, *vt;          /* [width, wide] */
  float *dout, *dk, *dv;   /* [tokens, deep]; backward only */
  float *scores, *dscores; /* [QUERY_BLOCK, wide] */
  float *rows;             /* [QUERY_BLOCK, deep] */
  float *own;              /* [2 * deep]: widening */
} head_tiles;

static size_t tile_floats(int64_t tokens, int64_t width) {
  size_t deep = (size_t)tile_padded(width), wide = (size_t)tile_padded(tokens);
  return (size_t)tokens * deep * 6 + (size_t)width * wide * 2 + QUERY_BLOCK * wide * 2 +
         QUERY_BLOCK * deep + 2 * deep;
}

static head_tiles cut_tiles(const ops_attention *a, float *at) {
  head_tiles t = {.tokens = a->tokens, .width = a->head_width};
  t.deep = tile_padded(t.width);
  t.wide = tile_padded(t.tokens);
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

/* tile [tokens, deep] = scale * rows of `from` that are `stride` apart, zero-padded. */
static void load_rows(const head_tiles *t, ops_buffer from, int64_t at, int64_t stride, float scale,
                      float *restrict tile) {
  for (int64_t i = 0; i < t->tokens; i++, tile += t->deep) {
    const float *row = cpu_read(from, at + i * stride, t->width, t->own);
#pragma omp simd
    for (int64_t j = 0; j < t->width; j++) tile[j] = row[j] * scale;
    for (int64_t j = t->width; j < t->deep; j++) tile[j] = 0;
  }
}

static void store_rows(const head_tiles *t, const float *tile, int64_t count, float scale,
                       ops_buffer to, int64_t at, int64_t stride) {
  for (int64_t i = 0; i < count; i++, tile += t->deep) {
    float *row = cpu_write(to, at + i * stride, t->own);
#pragma omp simd
    for (int64_t j = 0; j < t->width; j++) row[j] = tile[j] * scale;
    cpu_written(to, at + i * stride, t->width, row);
  }
}

/* How many keys query i may look at. */
static int64_t visible_keys(const ops_attention *a, int64_t image, int64_t query) {
  int64_t count = a->tokens;
  if (a->key_counts.data) {
    int64_t given = ((const int32_t *)a->key_counts.data)[image];
    if (given < count) count = given;
  }
  return a->is_causal && query + 1 < count ? query + 1 : count;
}

/* Turns a row of scores into exp(score - max), zeros beyond `keys`; returns 1 / sum, or 0 where
 * nothing is seen, and sets lse. */
static float soften(float *restrict row, int64_t keys, int64_t wide, float *lse) {
  float most = keys > 0 ? row[0] : -INFINITY, sum = 0;
#pragma omp simd reduction(max : most)
  for (int64_t j = 0; j < keys; j++) most = row[j] > most ? row[j] : most;
#pragma omp simd reduction(+ : sum)
  for (int64_t j = 0; j < keys; j++) {
    row[j] = cpu_exp(row[j] - most);
    sum += row[j];
  }
  for (int64_t j = keys; j < wide; j++) row[j] = 0;
  *lse = most + logf(sum);
  return keys > 0 ? 1.0f / sum : 0.0f;
}

static void attend_head(const ops_attention *a, int64_t image, int64_t head, head_tiles *t) {
  int64_t width = a->heads * a->head_width, stride = 3 * width;
  int64_t at = image * a->tokens * stride + head * a->head_width;
  float *lse = cpu_f32(a->lse) + (image * a->heads + head) * a->tokens;
  load_rows(t, a->qkv, at, stride, 1.0f / sqrtf((float)a->head_width), t->q);
  load_rows(t, a->qkv, at + width, stride, 1, t->k);
  load_rows(t, a->qkv, at + 2 * width, stride, 1, t->v);
  tile_transpose(t->tokens, t->width, t->k, t->deep, t->kt, t->wide);
  for (int64_t first = 0; first < a->tokens; first += QUERY_BLOCK) {
    int64_t count = a->tokens - first < QUERY_BLOCK ? a->tokens - first : QUERY_BLOCK;
    tile_gemm(count, t->wide, t->width, t->q + first * t->deep, t->deep, 1, t->kt, t->wide,
              t->scores, t->wide, false);
    float inverse[QUERY_BLOCK];
    for (int64_t i = 0; i < count; i++)
      inverse[i] = soften(t->scores + i * t->wide, visible_keys(a, image, first + i), t->wide,
                          &lse[first + i]);
    tile_gemm(count, t->deep, t->tokens, t->scores, t->wide, 1, t->v, t->deep, t->rows, t->deep,
              false);
    for (int64_t i = 0; i < count; i++)
      store_rows(t, t->rows + i * t->deep, 1, inverse[i], a->out,
                 (image * a->tokens + first + i) * width + head * a->head_width, width);
  }
}

/* scores become P = exp(score - lse); dscores (dP on entry) become dS = P (dP - sum(dout out)). */
static void score_gradients(const ops_attention *a, int64_t image, int64_t first, int64_t count,
                            const float *lse, const float *products, const head_tiles *t) {
  for (int64_t i = 0; i < count; i++) {
    float *restrict p = t->scores + i * t->wide, *restrict d = t->dscores + i * t->wide;
    int64_t keys = visible_keys(a, image, first + i);
    float row_lse = lse[first + i], product = products[i];
#pragma omp simd
    for (int64_t j = 0; j < keys; j++) {
      p[j] = cpu_exp(p[j] - row_lse);
      d[j] = p[j] * (d[j] - product);
    }
    for (int64_t j = keys; j < t->wide; j++) p[j] = d[j] = 0;
  }
}

static void attend_head_gradient(const ops_attention *a, int64_t image, int64_t head,
                                 head_tiles *t) {
  int64_t width = a->heads * a->head_width, stride = 3 * width;
  int64_t at = image * a->tokens * stride + head * a->head_width;
  int64_t out_at = image * a->tokens * width + head * a->head_width;
  const float *lse = cpu_f32(a->lse) + (image * a->heads + head) * a->tokens;
  float scale = 1.0f / sqrtf((float)a->head_width);
  load_rows(t, a->qkv, at, stride, scale, t->q);
  load_rows(t, a->qkv, at + width, stride, 1, t->k);
  load_rows(t, a->qkv, at + 2 * width, stride, 1, t->v);
  load_rows(t, a->dout, out_at, width, 1, t->dout);
  tile_transpose(t->tokens, t->width, t->k, t->deep, t->kt, t->wide);
  tile_transpose(t->tokens, t->width, t->v, t->deep, t->vt, t->wide);
  for (int64_t first = 0; first < a->tokens; first += QUERY_BLOCK) {
    int64_t count = a->tokens - first < QUERY_BLOCK ? a->tokens - first : QUERY_BLOCK;
    const float *q = t->q + first * t->deep, *dout = t->dout + first * t->deep;
    float products[QUERY_BLOCK];
    for (int64_t i = 0; i < count; i++) {
      const float *out = cpu_read(a->out, out_at + (first + i) * width, t->width, t->own);
      float product = 0;
#pragma omp simd reduction(+ : product)
      for (int64_t j = 0; j < t->width; j++) product += out[j] * dout[i * t->deep + j];
      products[i] = product;
    }
    tile_gemm(count, t->wide, t->width, q, t->deep, 1, t->kt, t->wide, t->scores, t->wide, false);
    tile_gemm(count, t->wide, t->width, dout, t->deep, 1, t->vt, t->wide, t->dscores, t->wide,
              false);
    score_gradients(a, image, first, count, lse, products, t);
    tile_gemm(t->tokens, t->deep, count, t->scores, 1, t->wide, dout, t->deep, t->dv, t->deep,
              first > 0);
    tile_gemm(t->tokens, t->deep, count, t->dscores, 1, t->wide, q, t->deep, t->dk, t->deep,
              first > 0);
    tile_gemm(count, t->deep, t->tokens, t->dscores, t->wide, 1, t->k, t->deep, t->rows, t->deep,
              false);
    store_rows(t, t->rows, count, scale, a->dqkv, at + first * stride, stride);
  }
  store_rows(t, t->dk, t->tokens, 1, a->dqkv, at + width, stride); /* q carries the scale */
  store_rows(t, t->dv, t->tokens, 1, a->dqkv, at + 2 * width, stride);
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
  return for_each_head(o, a, attend_head);
}

err CPU_KERNEL(attention_gradient)(ops *o, const ops_attention *a) {
  return for_each_head(o, a, attend_head_gradient);
}
