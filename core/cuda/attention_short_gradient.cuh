/* Shared by the gradients of attention for short sequences. A warp's 16 keys are the rows of its
 * products, so that weights and scores' gradients are already the left operands of the keys' and
 * values' gradients; only the scores' gradients are stored in shared memory, for the queries'. */
#ifndef FLIP_CUDA_ATTENTION_SHORT_GRADIENT_CUH
#define FLIP_CUDA_ATTENTION_SHORT_GRADIENT_CUH

#include "cuda/attention_short.cuh"
#include "cuda/fp8.cuh"

enum { HIDDEN_KEY = 1 << 30 /* a query that does not exist */ };

/* Shared memory of a block; pitches are the width and PACK. */
typedef struct {
  uint16_t *k, *v;    /* [rows, head] */
  uint16_t *q, *dout; /* [tile, head]: queries; [2, tile, head] in a walk */
  uint16_t *scores;   /* [rows (keys), tile]: gradients of the scores */
  float *lse;         /* [rows], in base 2; infinite beyond the last token */
  float *products;    /* sums of weights and their gradients, for each query */
  float *sums;        /* [warps, 3, head]: of the warps' rows of dqkv */
  uint32_t most;      /* not in memory: the bits of the largest |dqkv| that the lane wrote */
  int saturated;      /* likewise: of those it wrote in 8 bits, how many beyond the format */
} gradient_memory;

DEVICE void load_lse(const attention_arguments *a, const short_head *h, float *lse, int rows) {
  const float *from = (const float *)a->a.lse.data + statistic_at(a, h, 0);
  for (int row = thread_index(); row < rows; row += block_threads())
    lse[row] = row < h->tokens ? from[row] * LOG2_E : INFINITY;
}

/* The first query that sees `key`. */
DEVICE int first_query_of(const attention_arguments *a, const short_head *h, int key) {
  return key >= h->keys ? HIDDEN_KEY : a->a.is_causal ? key : 0;
}

/* s [16 keys, count of `tile` queries from `first` on], scores, become the softmax's weights. lse:
 * of all queries. */
DEVICE void weigh_scores(float (*s)[4], int count, const int tile, int first, const int *seen_from,
                         const float *lse, float scale) {
  UNROLL for (int n = 0; n < tile / 8; n++) {
    if (n * 8 >= count) continue;
    UNROLL for (int i = 0; i < 4; i++) {
      int query = first + n * 8 + lane_index() % 4 * 2 + i % 2;
      float weight = power_of_two(s[n][i] * scale - lse[query]);
      s[n][i] = query >= seen_from[i / 2] ? weight : 0.0f;
    }
  }
}

/* A lane's part after sum_over_rows: values [first, first + count) of the sums. */
typedef struct {
  int first, count;
  bool is_other_lanes; /* another lane has the same and writes them */
} lane_share;

/* A step of sum_over_rows: exchanges the half that the other lane keeps, if there are halves. */
DEVICE void exchange_sums(float *v, lane_share *share, const int count, const int flip) {
  bool is_upper = (lane_index() & flip) != 0;
  if (count % 2 == 0) {
    UNROLL for (int i = 0; i < count / 2; i++) {
      float given = is_upper ? v[i] : v[i + count / 2];
      float kept = is_upper ? v[i + count / 2] : v[i];
      v[i] = kept + __shfl_xor_sync(FULL_WARP, given, flip);
    }
    if (is_upper) share->first += count / 2;
    share->count = count / 2;
  } else {
    UNROLL for (int i = 0; i < count; i++) v[i] += __shfl_xor_sync(FULL_WARP, v[i], flip);
    share->is_other_lanes |= is_upper;
  }
}

/* Sums of v [count], a multiple of 4, over the eight lanes with this lane % 4, in one order for
 * all. */
DEVICE lane_share sum_over_rows(float *v, const int count) {
  lane_share share = {0, count, false};
  exchange_sums(v, &share, count, 16);
  exchange_sums(v, &share, count / 2, 8);
  exchange_sums(v, &share, count / 4, 4);
  return share;
}

/* Column of value `i` of two rows' worth of a product: two a lane in every eight. */
DEVICE int column_of_value(int i) {
  return i / 2 * 8 + lane_index() % 4 * 2 + i % 2;
}

/* sums [columns] = (or +=) scale times the sums over the 16 rows of a product; 16 or 32 columns,
 * so that each lane has at most one value. */
DEVICE void sum_columns(float *sums, const float (*product)[4], float scale, const int columns,
                        bool is_added) {
  float v[8];
  UNROLL for (int i = 0; i < columns / 4; i++) {
    v[i] = product[i / 2][i % 2] + product[i / 2][2 + i % 2];
  }
  lane_share share = sum_over_rows(v, columns / 4);
  int column = column_of_value(share.first);
  if (!share.is_other_lanes) sums[column] = (is_added ? sums[column] : 0.0f) + v[0] * scale;
}

DEVICE void sum_product(float *sums, const float (*product)[4], float scale, const int columns,
                        bool is_added) {
  UNROLL for (int from = 0; from < columns / 32; from++) {
    sum_columns(sums + from * 32, product + from * 4, scale, 32, is_added);
  }
  if (columns % 32 != 0) {
    const int last = columns / 32;
    sum_columns(sums + last * 32, product + last * 4, scale, 16, is_added);
  }
}

/* The warp's scores' gradients [16 keys, count of `step` queries], packed, into `scores`, of `tile`
 * queries, for the queries' gradients. */
DEVICE void lay_scores(uint16_t *scores, const uint32_t (*d)[4], int count, const int step,
                       const int tile) {
  int row = warp_index() * WARP_ROWS + lane_index() / 4;
  UNROLL for (int n = 0; n < step / 8; n++) {
    if (n * 8 >= count) continue;
    UNROLL for (int half = 0; half < 2; half++) {
      int at = (row + half * 8) * (tile + PACK) + n * 8 + lane_index() % 4 * 2;
      *(uint32_t *)(scores + at) = d[n / 2][n % 2 * 2 + half];
    }
  }
}

/* As store_staged, in 8 bits: the same as rounding what that would store (round_tile in fp8.cu). */
DEVICE void store_rounded(const ops_narrow *to, gradient_memory *m, const uint16_t *tile,
                          const int pitch, const int columns, int64_t at, int64_t stride,
                          int left) {
  const int pieces = columns / PACK;
  const float factor = ((const float *)to->scale.data)[OPS_SCALE_FACTOR];
  UNROLL for (int i = lane_index(); i < WARP_ROWS * pieces; i += LANES) {
    int row = i / pieces, column = i % pieces * PACK;
    if (row >= left) continue;
    pack x = pack_load(tile, OPS_BF16, row * pitch + column, PACK, true);
    fp8_record record = {float_of_bits(m->most << 16), m->saturated};
    record_pack(&record, &x, factor, fp8_largest(to->format));
    m->most = bits_of_float(record.most) >> 16;
    m->saturated = record.saturated;
    *(uint2 *)((uint8_t *)to->values.data + at + (int64_t)row * stride + column) =
        rounded_pack(to->format, &x, factor);
  }
}

/* A product [16, columns] of tokens from `first` on, times `scales`, to the columns of part `part`
 * of dqkv from `column` on, through `tile`. */
DEVICE void store_part(const attention_arguments *a, const short_head *h, gradient_memory *m,
                       int first, int part, int column, const float (*product)[4],
                       const float *scales, uint16_t *tile, const int pitch, const int head,
                       const int columns) {
  int64_t at = part_offset(a, h, first, part, head) + column;
  int left = h->tokens - first;
  stage_product(tile, pitch, product, scales, columns);
  if (HAS_FP8 && a->a.dqkv_narrow.scale.data)
    store_rounded(&a->a.dqkv_narrow, m, tile, pitch, columns, at, qkv_stride(a, head), left);
  else
    m->most = store_staged(tile, pitch, columns, (uint16_t *)a->a.dqkv.data + at,
                           qkv_stride(a, head), left, m->most);
}

/* A part of dqkv for the warp's 16 keys, and its sums; `tile`: shared memory that is the warp's. */
DEVICE void store_keys(const attention_arguments *a, const short_head *h, gradient_memory *m,
                       int part, const float (*product)[4], float scale, uint16_t *tile,
                       const int pitch, const int head, const int columns) {
  const float scales[2] = {scale, scale};
  if (a->parts)
    sum_product(m->sums + (warp_index() * 3 + part) * head, product, scale, head, false);
  UNROLL for (int column = 0; column < head; column += columns) {
    store_part(a, h, m, warp_index() * WARP_ROWS, part, column, product + column / 8, scales, tile,
               pitch, head, columns);
  }
}

/* dq of the 16 queries from row `row` of the tile on, `columns` of them from `column` on: the
 * scores' gradients, transposed, times k. It is written through the buffer of q, which is no longer
 * read. `first`: the tile's first query. */
DEVICE void store_queries(const attention_arguments *a, const short_head *h, gradient_memory *m,
                          uint16_t *q, int first, int row, int column, const int tile,
                          const int head, const int columns) {
  const int pitch = head + PACK;
  const float scales[2] = {a->scale, a->scale};
  float dq[16][4];
  int query = first + row, limit = h->keys;
  WARP_CONVERGES; /* the last store diverged */
  if (a->a.is_causal && query + WARP_ROWS < limit) limit = query + WARP_ROWS;
  clear_sums(dq, columns / 16);
  NO_UNROLL for (int key = 0; key < limit; key += 16) {
    uint32_t left[4];
    load_a_transposed(left, m->scores, tile + PACK, key, row);
    UNROLL for (int i = 0; i < columns / 16; i++) {
      uint32_t b[4];
      load_b_transposed(b, m->k, pitch, key, column + i * 16);
      mma_bf16(dq[2 * i], left, b);
      mma_bf16(dq[2 * i + 1], left, b + 2);
    }
  }
  if (a->parts)
    sum_product(m->sums + warp_index() * 3 * head + column, dq, a->scale, columns, true);
  store_part(a, h, m, query, 0, column, dq, scales, q + row * pitch + column, pitch, head, columns);
}

/* The queries' sums are added to from tile to tile. */
DEVICE void clear_query_sums(const gradient_memory *m, const int head) {
  for (int i = lane_index(); i < head; i += LANES) m->sums[warp_index() * 3 * head + i] = 0;
}

/* parts: the warps' sums, in the order of the warps; and the maximum, and what was saturated. */
DEVICE void store_sums(const attention_arguments *a, const short_head *h, const gradient_memory *m,
                       const int head) {
  float *scale = HAS_FP8 ? (float *)a->a.dqkv_narrow.scale.data : NULL;
  raise_by_warp(scale ? scale + OPS_SCALE_MAXIMUM : (float *)a->a.dqkv_maximum.data,
                float_of_bits(m->most << 16));
  if (m->saturated > 0) atomicAdd((int *)scale + OPS_SCALE_SATURATED, m->saturated);
  if (!a->parts) return;
  __syncthreads();
  NO_UNROLL for (int i = thread_index(); i < 3 * head; i += block_threads()) {
    float sum = 0;
    NO_UNROLL for (int warp = 0; warp < block_threads() / LANES; warp++) sum +=
        m->sums[warp * 3 * head + i];
    a->parts[(int64_t)h->image * qkv_stride(a, head) + i / head * out_stride(a, head) +
             h->head * head + i % head] = sum;
  }
}

#endif
