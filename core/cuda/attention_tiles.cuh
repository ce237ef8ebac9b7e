/* Shared by the tensor-core attention kernels: tiles of rows in shared memory, and the operations
 * of a warp on its 16 rows and the other side's. All lanes take part in every warp-wide step. */
#ifndef FLIP_CUDA_ATTENTION_TILES_CUH
#define FLIP_CUDA_ATTENTION_TILES_CUH

#include "cuda/attention.cuh"
#include "cuda/mma.cuh"

enum {
  WARP_ROWS = 16,
  TILE_KEYS = 64,  /* keys that a forward step takes */
  TILE_OTHERS = 32 /* rows of the other side that a backward step takes */
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

/* 2^value to 2 units in the last place; what would be denormal is 0. */
DEVICE float power_of_two(float value) {
#ifdef __CUDACC__
  float result;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(value));
  return result;
#else
  return exp2f(value);
#endif
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

/* s [16, count] of a tile of keys: becomes exp2(scale (s - max)) with the running maximum, hidden
 * keys 0. `seen`: how many of the tile's keys each of the lane's two rows sees. What was summed
 * before has to be multiplied by `shrink`. */
DEVICE void soften(float (*s)[4], int count, const int tile, const int *seen, float scale,
                   float *most, float *sum, float *shrink) {
  UNROLL for (int half = 0; half < 2; half++) {
    float larger = most[half], part = 0;
    UNROLL for (int n = 0; n < tile / 8; n++) {
      if (n * 8 >= count) continue;
      UNROLL for (int i = half * 2; i < half * 2 + 2; i++) {
        int key = n * 8 + lane_index() % 4 * 2 + i % 2;
        if (key >= seen[half]) s[n][i] = -INFINITY;
        larger = fmaxf(larger, s[n][i]);
      }
    }
    larger = row_max(larger);
    UNROLL for (int n = 0; n < tile / 8; n++) {
      if (n * 8 >= count) continue;
      UNROLL for (int i = half * 2; i < half * 2 + 2; i++) {
        s[n][i] = power_of_two(s[n][i] * scale - larger * scale);
        part += s[n][i];
      }
    }
    shrink[half] = power_of_two((most[half] - larger) * scale);
    sum[half] = sum[half] * shrink[half] + part; /* this lane's quarter of the row */
    most[half] = larger;
  }
}

/* Tiles of a gradient: of a warp's own rows and of the others that they meet. `one` meets `one` in
 * the scores, and `two` meets `two` in the scores' gradient:
 *   queries' gradient: rows q, dout; others k, v
 *   keys' gradient:    rows k, v;    others q, dout */
typedef struct {
  const uint16_t *row_one, *row_two, *other_one, *other_two;
} gradient_tiles;

/* s, d [16, TILE_OTHERS] of a warp's rows: scores and their gradients before the softmax's. */
DEVICE void score_products(const attention_arguments *a, gradient_tiles g, int count,
                           const int steps, float (*s)[4], float (*d)[4]) {
  int pitch = pitch_of(a), row = warp_index() * WARP_ROWS;
  UNROLL for (int n = 0; n < TILE_OTHERS / 8; n++) {
    UNROLL for (int j = 0; j < 4; j++) s[n][j] = d[n][j] = 0;
  }
  UNROLL for (int i = 0; i < steps; i++) {
    uint32_t one[4], two[4], b[4];
    if (i * 16 >= a->deep) continue;
    load_a(one, g.row_one, pitch, row, i * 16);
    load_a(two, g.row_two, pitch, row, i * 16);
    UNROLL for (int n = 0; n < TILE_OTHERS / 16; n++) {
      if (n * 16 >= count) continue;
      load_b(b, g.other_one, pitch, n * 16, i * 16);
      mma_bf16(s[2 * n], one, b);
      mma_bf16(s[2 * n + 1], one, b + 2);
      load_b(b, g.other_two, pitch, n * 16, i * 16);
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

/* The same for all of a tile. Rows begin at `own`, the lane's own; others at `first`. A query's
 * log-sum-exp and product come by row, or by column where the rows are keys. */
DEVICE void softmax_tile(const attention_arguments *a, int64_t keys, int64_t own, int64_t first,
                         bool is_keys, const float *lse, const float *products, float (*s)[4],
                         float (*d)[4]) {
  UNROLL for (int n = 0; n < TILE_OTHERS / 8; n++) {
    UNROLL for (int i = 0; i < 4; i++) {
      int column = n * 8 + lane_index() % 4 * 2 + i % 2, at = is_keys ? column : i / 2;
      int64_t row = own + i / 2 * 8, other = first + column;
      int64_t query = is_keys ? other : row, key = is_keys ? row : other;
      bool is_seen = query < a->a.tokens && key < visible_to(&a->a, keys, query);
      through_softmax(&s[n][i], &d[n][i], is_seen, a->scale, is_seen ? lse[at] : 0.0f,
                      is_seen ? products[at] : 0.0f);
    }
  }
}

/* sum [16, head] += weights [16, others] tile [others, head], of which `count` others matter and
 * `deep` columns, which are PACK apart from the next row's. */
DEVICE void add_product(int deep, const uint16_t *tile, int count, const int others,
                        const int steps, const float (*weights)[4], float (*sum)[4]) {
  UNROLL for (int n = 0; n < others / 16; n++) {
    uint32_t left[4];
    if (n * 16 >= count) continue;
    a_of_scores(left, weights + 2 * n);
    UNROLL for (int i = 0; i < steps; i++) {
      uint32_t b[4];
      if (i * 16 >= deep) continue;
      load_b_transposed(b, tile, deep + PACK, n * 16, i * 16);
      mma_bf16(sum[2 * i], left, b);
      mma_bf16(sum[2 * i + 1], left, b + 2);
    }
  }
}

DEVICE void clear_sums(float (*sum)[4], const int steps) {
  UNROLL for (int i = 0; i < 2 * steps; i++) {
    UNROLL for (int j = 0; j < 4; j++) sum[i][j] = 0;
  }
}

/* A part of dqkv (0, 1, 2: q, k, v) for the lane's rows `own` and own + 8. */
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

#endif
