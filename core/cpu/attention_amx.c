/* Attention in bf16 on a processor with AMX, forward and backward, one (image, head) at a time on
 * one thread. All products are of 16 x 16 tiles (amx.h); scores never leave the first-level cache,
 * their probabilities are rounded to bf16 for the products with them.
 *
 * Forward, for 32 queries at a time: scores = q kᵀ, p = exp(scores - their maximum) in bf16, out =
 * p v / sum(p). Backward, for 32 keys at a time, with queries as columns, so that what belongs to a
 * query (lse, sum(dout out)) is a vector and the transposes that dv and dk need are rows as they
 * come: pᵀ = exp(k qᵀ - lse), dsᵀ = pᵀ (v doutᵀ - sum(dout out)), dv = pᵀ dout, dk = dsᵀ q; ds is
 * transposed in registers and kept for dq = ds k, which is last.
 *
 * Bound: exp and the conversions around it; at 65 tokens and heads of 64, tiles take 1,800 cycles
 * of a head forward and 4,500 backward. */
#include "cpu/attention_amx.h"

#ifdef __AMX_BF16__
#include <omp.h>

#include "cpu/amx.h"
#include "cpu/wide.h"

enum { AT_ONCE = 2 * AMX_SIDE };
#define LOG2_E 1.44269504f

typedef struct {
  const ops_attention *a;
  int64_t tokens, width, stride, tiles, depth; /* 16 and 32 tokens at once; both rounded up */
  int64_t at, out_at;                          /* of the head, in qkv and in out */
  int64_t keys;                                /* that its image has */
  float *lse;
  float scale;
  /* operands, each [32 depth, width]: left, right of depth tokens, right of depth width */
  uint16_t *left[2];
  amx_right rows[3], columns[2];
  float *scores, *more;   /* [32, 32 depth], [32, max(width, 32)] */
  uint16_t *p, *ds;       /* [32, 32 depth] */
  uint16_t *all_ds;       /* left operands: tile (query, key) is the (query * depth + key)-th */
  float *lse2, *products; /* [32 depth]: per query */
} head;

/* The next `bytes` of a thread's scratch; without scratch they are only counted. */
static void *take(char *scratch, size_t *used, size_t bytes) {
  void *block = scratch ? scratch + *used : NULL;
  *used += (bytes + AMX_ROW_BYTES - 1) / AMX_ROW_BYTES * AMX_ROW_BYTES;
  return block;
}

/* Returns the bytes that a thread needs. */
static size_t cut(head *h, char *scratch) {
  const size_t padded = (size_t)h->depth * AMX_DEPTH, width = (size_t)h->width;
  size_t used = 0;
  const size_t matrix = padded * width * 2;
  for (int i = 0; i < 2; i++) h->left[i] = take(scratch, &used, matrix);
  for (int i = 0; i < 3; i++) h->rows[i] = amx_right_across(take(scratch, &used, matrix), h->width);
  for (int i = 0; i < 2; i++)
    h->columns[i] = amx_right_across(take(scratch, &used, matrix), h->tokens);
  h->scores = take(scratch, &used, AT_ONCE * padded * 4);
  h->more = take(scratch, &used, AT_ONCE * (width > AT_ONCE ? width : AT_ONCE) * 4);
  h->p = take(scratch, &used, AT_ONCE * padded * 2);
  h->ds = take(scratch, &used, AT_ONCE * padded * 2);
  h->all_ds = take(scratch, &used, (size_t)(h->tiles * h->depth) * AMX_TILE_BYTES);
  h->lse2 = take(scratch, &used, padded * 4);
  h->products = take(scratch, &used, padded * 4);
  return used;
}

static head shape(const ops_attention *a) {
  return (head){.a = a,
                .tokens = a->tokens,
                .width = a->head_width,
                .stride = 3 * a->heads * a->head_width,
                .tiles = amx_tiles(a->tokens, AMX_SIDE),
                .depth = amx_tiles(a->tokens, AMX_DEPTH),
                .scale = 1.0f / sqrtf((float)a->head_width)};
}

static void choose(head *h, int64_t image, int64_t index) {
  const ops_attention *a = h->a;
  const int64_t width = a->heads * a->head_width;
  h->at = image * a->tokens * h->stride + index * a->head_width;
  h->out_at = image * a->tokens * width + index * a->head_width;
  h->lse = cpu_f32(a->lse) + (image * a->heads + index) * a->tokens;
  h->keys = a->tokens;
  if (a->key_counts.data) {
    int64_t given = ((const int32_t *)a->key_counts.data)[image];
    if (given < h->keys) h->keys = given;
  }
}

static const uint16_t *bf16_at(ops_buffer b, int64_t at) {
  return (const uint16_t *)b.data + at;
}

/* The rows of a matrix as left operands: in place where all tiles are whole, else a copy. */
static amx_left left_of(const head *h, const uint16_t *from, int64_t stride, uint16_t *copy) {
  if (h->tokens % AMX_SIDE == 0) return amx_left_of_rows(from, stride);
  const size_t row = (size_t)h->width * 2;
  for (int64_t i = 0; i < h->tokens; i++) memcpy(copy + i * h->width, from + i * stride, row);
  memset(copy + h->tokens * h->width, 0, (size_t)(h->tiles * AMX_SIDE - h->tokens) * row);
  return amx_left_of_rows(copy, h->width);
}

/* p [32 depth] = exp2((score - maximum) scale log2 e) in bf16, zeros from `keys` on. */
static void soften(const head *h, const float *scores, int64_t keys, uint16_t *p, float *most,
                   float *sum) {
  const int64_t whole = amx_tiles(keys, AMX_SIDE);
  __m512 top = _mm512_set1_ps(-INFINITY), total = _mm512_setzero_ps();
  for (int64_t j = 0; j < whole; j++)
    top = _mm512_mask_max_ps(top, wide_first(keys - j * AMX_SIDE), top,
                             _mm512_load_ps(scores + j * AMX_SIDE));
  const float factor = h->scale * LOG2_E;
  *most = _mm512_reduce_max_ps(top) * factor;
  const __m512 shift = _mm512_set1_ps(*most), by = _mm512_set1_ps(factor);
  for (int64_t j = 0; j < 2 * h->depth; j++) {
    __m512 e = _mm512_setzero_ps();
    if (j < whole) {
      __m512 x = _mm512_fmsub_ps(_mm512_load_ps(scores + j * AMX_SIDE), by, shift);
      e = _mm512_maskz_mov_ps(wide_first(keys - j * AMX_SIDE), wide_exp2(x, false));
      total = _mm512_add_ps(total, e);
    }
    _mm256_store_si256((__m256i *)(p + j * AMX_SIDE), (__m256i)_mm512_cvtneps_pbh(e));
  }
  *sum = _mm512_reduce_add_ps(total);
}

static void write_row(const float *from, float factor, int64_t width, uint16_t *to) {
  const __m512 by = _mm512_set1_ps(factor);
  for (int64_t j = 0; j < width; j += AMX_SIDE)
    _mm256_storeu_si256((__m256i *)(to + j),
                        (__m256i)_mm512_cvtneps_pbh(_mm512_mul_ps(_mm512_load_ps(from + j), by)));
}

static void attend(head *h) {
  const ops_attention *a = h->a;
  const int64_t width = a->heads * a->head_width, padded = h->depth * AMX_DEPTH;
  const uint16_t *qkv = bf16_at(a->qkv, h->at);
  uint16_t *out = (uint16_t *)a->out.data + h->out_at;
  amx_left q = left_of(h, qkv, h->stride, h->left[0]);
  amx_pack_columns(h->tokens, h->width, qkv + width, h->stride, h->columns[0]);
  amx_pack_rows(h->tokens, h->width, qkv + 2 * width, h->stride, h->rows[0]);
  const amx_left p = amx_left_of_rows(h->p, padded);
  for (int64_t first = 0; first < h->tokens; first += AT_ONCE, q.at += 2 * q.down) {
    const int64_t count = h->tokens - first < AT_ONCE ? h->tokens - first : AT_ONCE;
    const int64_t m = amx_tiles(count, AMX_SIDE);
    float most[AT_ONCE], sum[AT_ONCE];
    amx_product(m, h->tiles, h->width / AMX_DEPTH, q, h->columns[0], h->scores, padded);
    for (int64_t i = 0; i < count; i++) {
      const int64_t keys = a->is_causal && first + i + 1 < h->keys ? first + i + 1 : h->keys;
      soften(h, h->scores + i * padded, keys, h->p + i * padded, &most[i], &sum[i]);
    }
    amx_product(m, h->width / AMX_SIDE, h->depth, p, h->rows[0], h->more, h->width);
    for (int64_t i = 0; i < count; i++) {
      const bool is_empty = h->keys <= 0;
      write_row(h->more + i * h->width, is_empty ? 0 : 1 / sum[i], h->width,
                out + (first + i) * width);
      h->lse[first + i] = is_empty ? -INFINITY : most[i] / LOG2_E + logf(sum[i]);
    }
  }
}

/* lse2 and products, for queries beyond the last: so that their probabilities are zeros. */
static void prepare_queries(const head *h, const uint16_t *dout, const uint16_t *out,
                            int64_t stride) {
  for (int64_t i = 0; i < h->tokens; i++) {
    __m512 sum = _mm512_setzero_ps();
    for (int64_t j = 0; j < h->width; j += AMX_DEPTH)
      sum = _mm512_dpbf16_ps(sum, (__m512bh)_mm512_loadu_si512(dout + i * stride + j),
                             (__m512bh)_mm512_loadu_si512(out + i * stride + j));
    h->products[i] = _mm512_reduce_add_ps(sum);
    h->lse2[i] = h->lse[i] * LOG2_E;
  }
  for (int64_t i = h->tokens; i < h->depth * AMX_DEPTH; i++)
    h->lse2[i] = INFINITY, h->products[i] = 0;
}

/* Lanes: the queries from `first` on that see the key. */
static inline __mmask16 seen_by(const head *h, int64_t key, int64_t first) {
  if (key >= h->keys) return 0;
  return h->a->is_causal ? (__mmask16)~wide_first(key - first) : 0xffff;
}

/* Of 32 keys and 16 queries: scores and dp [32, 32] become rows of p and ds, and a left operand of
 * ds. */
static void score_gradients(const head *h, int64_t keys_from, int64_t queries_from,
                            const float *scores, const float *dp, uint16_t *p, uint16_t *ds,
                            uint16_t *tile) {
  const int64_t padded = h->depth * AMX_DEPTH;
  const __m512 by = _mm512_set1_ps(h->scale * LOG2_E), scale = _mm512_set1_ps(h->scale);
  const __m512 lse = _mm512_load_ps(h->lse2 + queries_from);
  const __m512 product = _mm512_load_ps(h->products + queries_from);
  const __m512i pairs = amx_pairs();
  char rows[AMX_TILE_BYTES] __attribute__((aligned(64)));
#pragma GCC unroll 16
  for (int i = 0; i < AMX_SIDE; i++) {
    __m512 e[2], d[2];
#pragma GCC unroll 2
    for (int j = 0; j < 2; j++) {
      const int at = (2 * i + j) * AT_ONCE;
      __mmask16 seen = seen_by(h, keys_from + 2 * i + j, queries_from);
      __m512 x = _mm512_fmsub_ps(_mm512_load_ps(scores + at), by, lse);
      e[j] = _mm512_maskz_mov_ps(seen, wide_exp2(x, false));
      d[j] = _mm512_mul_ps(_mm512_sub_ps(_mm512_load_ps(dp + at), product), scale);
      d[j] = _mm512_maskz_mul_ps(seen, e[j], d[j]);
    }
    __m512i both_p = (__m512i)_mm512_cvtne2ps_pbh(e[1], e[0]);
    __m512i both_d = (__m512i)_mm512_cvtne2ps_pbh(d[1], d[0]);
    uint16_t *p_row = p + 2 * i * padded, *d_row = ds + 2 * i * padded;
    _mm256_store_si256((__m256i *)p_row, _mm512_castsi512_si256(both_p));
    _mm256_store_si256((__m256i *)(p_row + padded), _mm512_extracti64x4_epi64(both_p, 1));
    _mm256_store_si256((__m256i *)d_row, _mm512_castsi512_si256(both_d));
    _mm256_store_si256((__m256i *)(d_row + padded), _mm512_extracti64x4_epi64(both_d, 1));
    _mm512_store_si512(rows + i * AMX_ROW_BYTES, _mm512_permutexvar_epi16(pairs, both_d));
  }
  amx_transpose(rows, AMX_ROW_BYTES, tile);
}

static void attend_gradient(head *h) {
  const ops_attention *a = h->a;
  const int64_t width = a->heads * a->head_width, padded = h->depth * AMX_DEPTH;
  const int64_t across = h->width / AMX_SIDE, deep = h->width / AMX_DEPTH;
  const uint16_t *qkv = bf16_at(a->qkv, h->at), *dout = bf16_at(a->dout, h->out_at);
  uint16_t *dqkv = (uint16_t *)a->dqkv.data + h->at;
  amx_left k = left_of(h, qkv + width, h->stride, h->left[0]);
  amx_left v = left_of(h, qkv + 2 * width, h->stride, h->left[1]);
  amx_pack_columns(h->tokens, h->width, qkv, h->stride, h->columns[0]);
  amx_pack_columns(h->tokens, h->width, dout, width, h->columns[1]);
  amx_pack_rows(h->tokens, h->width, qkv, h->stride, h->rows[0]);
  amx_pack_rows(h->tokens, h->width, qkv + width, h->stride, h->rows[1]);
  amx_pack_rows(h->tokens, h->width, dout, width, h->rows[2]);
  prepare_queries(h, dout, bf16_at(a->out, h->out_at), width);
  const amx_left p = amx_left_of_rows(h->p, padded), ds = amx_left_of_rows(h->ds, padded);
  for (int64_t first = 0; first < h->tokens; first += AT_ONCE) {
    const int64_t count = h->tokens - first < AT_ONCE ? h->tokens - first : AT_ONCE;
    const int64_t m = amx_tiles(count, AMX_SIDE);
    for (int64_t query = 0; query < padded; query += AT_ONCE) {
      const int64_t n = h->tiles - query / AMX_SIDE < 2 ? 1 : 2;
      amx_product(m, n, deep, k, amx_beside(h->columns[0], query / AMX_SIDE), h->scores, AT_ONCE);
      amx_product(m, n, deep, v, amx_beside(h->columns[1], query / AMX_SIDE), h->more, AT_ONCE);
      for (int64_t i = 0; i < n; i++)
        score_gradients(h, first, query + i * AMX_SIDE, h->scores + i * AMX_SIDE,
                        h->more + i * AMX_SIDE, h->p + query + i * AMX_SIDE,
                        h->ds + query + i * AMX_SIDE,
                        h->all_ds + ((query / AMX_SIDE + i) * h->depth + first / AMX_DEPTH) *
                                        (AMX_TILE_BYTES / 2));
    }
    amx_product(m, across, h->depth, p, h->rows[2], h->more, h->width);
    for (int64_t i = 0; i < count; i++)
      write_row(h->more + i * h->width, 1, h->width, dqkv + 2 * width + (first + i) * h->stride);
    amx_product(m, across, h->depth, ds, h->rows[0], h->more, h->width);
    for (int64_t i = 0; i < count; i++)
      write_row(h->more + i * h->width, 1, h->width, dqkv + width + (first + i) * h->stride);
    k.at += 2 * k.down;
    v.at += 2 * v.down;
  }
  amx_left all_ds = {(const char *)h->all_ds, AMX_ROW_BYTES, h->depth * AMX_TILE_BYTES,
                     AMX_TILE_BYTES};
  for (int64_t first = 0; first < h->tokens; first += AT_ONCE) {
    const int64_t count = h->tokens - first < AT_ONCE ? h->tokens - first : AT_ONCE;
    amx_product(amx_tiles(count, AMX_SIDE), across, h->depth, all_ds, h->rows[1], h->more,
                h->width);
    for (int64_t i = 0; i < count; i++)
      write_row(h->more + i * h->width, 1, h->width, dqkv + (first + i) * h->stride);
    all_ds.at += 2 * all_ds.down;
  }
}

static err for_each_head(ops *o, const ops_attention *a, void (*work)(head *)) {
  head common = shape(a);
  const size_t slice = cut(&common, NULL);
  float *scratch;
  err error = cpu_scratch(o, slice / sizeof *scratch * (size_t)o->threads, &scratch);
  if (error) return error;
#pragma omp parallel num_threads(o->threads)
  {
    head h = common;
    cut(&h, (char *)scratch + slice * (size_t)omp_get_thread_num());
    /* columns of p and ds that belong to no query are never written, but are multiplied by zeros */
    memset(h.p, 0, AT_ONCE * (size_t)h.depth * AMX_DEPTH * 2);
    memset(h.ds, 0, AT_ONCE * (size_t)h.depth * AMX_DEPTH * 2);
    amx_begin();
#pragma omp for schedule(static)
    for (int64_t i = 0; i < a->batch * a->heads; i++) {
      choose(&h, i / a->heads, i % a->heads);
      work(&h);
    }
    amx_end();
  }
  return NULL;
}

bool CPU_KERNEL(attends_in_tiles)(const ops_attention *a) {
  enum { MOST_TOKENS = 1024 }; /* all_ds has tokens squared */
  return a->qkv.type == OPS_BF16 && a->head_width % AMX_DEPTH == 0 && a->tokens <= MOST_TOKENS;
}

err CPU_KERNEL(attention_in_tiles)(ops *o, const ops_attention *a) {
  return for_each_head(o, a, attend);
}

err CPU_KERNEL(attention_gradient_in_tiles)(ops *o, const ops_attention *a) {
  return for_each_head(o, a, attend_gradient);
}
#endif
