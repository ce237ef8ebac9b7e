/* The global gradient norm and AdamW over all parameters, each in as few launches as it can be.
 * Bound: memory. */
#include "cuda/kernel.cuh"
#include "cuda/kernels.h"
#include "cuda/philox.cuh"

enum { UPDATE_BLOCK = 256, UPDATE_GRID = 4096, SQUARE_PARTS = 1024 };

typedef struct {
  int64_t count;
  const float *x;
  double *parts; /* [SQUARE_PARTS] */
  float *out;
  bool is_vector;
} square_arguments;

typedef struct {
  ops_adamw w;
  uint32_t key[2]; /* of the draws that round moments in bf16 */
  bool is_vector;
} update_arguments;

/* Grid: SQUARE_PARTS blocks for any count, so that the order of the sum depends on the count only.
 * 4 bytes an element. */
KERNEL(square_parts, square_arguments, UPDATE_BLOCK) {
  double sum = 0;
  for (int64_t at = grid_thread() * QUAD; at < a.count; at += grid_threads() * QUAD) {
    quad x = quad_load(a.x, at, a.count - at, a.is_vector);
    UNROLL for (int i = 0; i < QUAD; i++) sum += (double)x.v[i] * (double)x.v[i];
  }
  sum = block_sum_double(sum);
  if (thread_index() == 0) a.parts[blockIdx.x] = sum;
}

/* Grid: one block. */
KERNEL(square_total, square_arguments, UPDATE_BLOCK) {
  double sum = 0;
  for (int part = thread_index(); part < SQUARE_PARTS; part += UPDATE_BLOCK) sum += a.parts[part];
  sum = block_sum_double(sum);
  if (thread_index() == 0) a.out[0] = (float)sum;
}

/* Grid: a block for every OPS_SQUARE_BLOCK elements, four to a thread. 4 bytes an element. */
KERNEL(square_blocks, square_arguments, UPDATE_BLOCK) {
  double sum = 0;
  int64_t at = (int64_t)blockIdx.x * OPS_SQUARE_BLOCK + thread_index() * QUAD;
  if (at < a.count) {
    quad x = quad_load(a.x, at, a.count - at, a.is_vector);
    UNROLL for (int i = 0; i < QUAD; i++) sum += (double)x.v[i] * (double)x.v[i];
  }
  sum = block_sum_double(sum);
  if (thread_index() == 0) a.out[blockIdx.x] = (float)sum;
}

/* Grid: one block; for a thousandth of the parameters. */
KERNEL(total_of, square_arguments, UPDATE_BLOCK) {
  double sum = 0;
  for (int64_t at = thread_index(); at < a.count; at += UPDATE_BLOCK) sum += (double)a.x[at];
  sum = block_sum_double(sum);
  if (thread_index() == 0) a.out[0] = (float)sum;
}

/* The four moments from `at` on, of which `count` exist. */
DEVICE quad moments_load(ops_buffer from, int64_t at, int64_t count, bool is_vector,
                         const bool is_narrow) {
  quad q;
  if (!is_narrow) return quad_load((const float *)from.data, at, count, is_vector);
  if (is_vector && count >= QUAD) {
    uint2 words = *(const uint2 *)((const uint16_t *)from.data + at);
    q.v[0] = float_of_bits(words.x << 16);
    q.v[1] = float_of_bits(words.x & 0xFFFF0000u);
    q.v[2] = float_of_bits(words.y << 16);
    q.v[3] = float_of_bits(words.y & 0xFFFF0000u);
  } else {
    UNROLL for (int i = 0; i < QUAD; i++) q.v[i] =
        i < count ? load_element(from.data, OPS_BF16, at + i) : 0;
  }
  return q;
}

/* Rounds to one of the two neighbours in bf16: up if adding 16 random bits carries. */
DEVICE uint32_t rounded_at_random(float value, uint32_t word16) {
  return value != value ? 0x7FFFu : (bits_of_float(value) + word16) >> 16;
}

/* shift: which half of the words. */
DEVICE void moments_store(ops_buffer to, int64_t at, int64_t count, bool is_vector,
                          const bool is_narrow, const quad *q, const draws *words,
                          const int shift) {
  if (!is_narrow) {
    quad_store((float *)to.data, at, count, is_vector, *q);
    return;
  }
  uint32_t r[QUAD];
  UNROLL for (int i = 0; i < QUAD; i++) r[i] =
      rounded_at_random(q->v[i], words->v[i] >> shift & 0xFFFFu);
  if (is_vector && count >= QUAD) {
    uint2 two;
    two.x = r[0] | r[1] << 16;
    two.y = r[2] | r[3] << 16;
    *(uint2 *)((uint16_t *)to.data + at) = two;
  } else {
    UNROLL for (int i = 0; i < QUAD; i++) {
      if (i < count) ((uint16_t *)to.data)[at + i] = (uint16_t)r[i];
    }
  }
}

/* Grid: at most 4096 blocks; a grid-stride loop over groups of four elements. Reads p, g, m, v,
 * writes p, m, v and the copy: 30 bytes per element with a bf16 copy, 22 with moments in bf16, for
 * which one call of Philox rounds four elements (about 70 instructions). Predictions for an H100
 * (3.0 TB/s), 393 million parameters (ViT-L/16): 11.8 GB, 3.9 ms (measured: 4.5); in bf16 8.6 GB,
 * 2.9 ms, or 3.3 at the measured share of the bandwidth. */
DEVICE void update_elements(const update_arguments *u, const bool is_narrow) {
  const ops_adamw *w = &u->w;
  const float *rates = (const float *)w->rates.data;
  float rate = rates[0], m_fix = rates[1], v_fix = rates[2], scale = 1.0f;
  float b1 = (float)w->beta1, b2 = (float)w->beta2, eps = (float)w->eps;
  uint64_t number = is_narrow ? (uint64_t)((const int32_t *)w->number.data)[0] : 0;
  float shrink = 1.0f - (float)((double)rate * w->weight_decay);
  if (w->clip_norm > 0) {
    double norm = sqrt((double)((const float *)w->norm_square.data)[0]);
    if (norm > w->clip_norm) scale = (float)(w->clip_norm / norm);
  }
  for (int64_t at = grid_thread() * QUAD; at < w->count; at += grid_threads() * QUAD) {
    int64_t count = w->count - at;
    quad p = quad_load((const float *)w->parameters.data, at, count, u->is_vector);
    quad g = quad_load((const float *)w->gradients.data, at, count, u->is_vector);
    quad m = moments_load(w->m, at, count, u->is_vector, is_narrow);
    quad v = moments_load(w->v, at, count, u->is_vector, is_narrow);
    UNROLL for (int i = 0; i < QUAD; i++) {
      float gradient = g.v[i] * scale;
      m.v[i] = b1 * m.v[i] + (1.0f - b1) * gradient;
      v.v[i] = b2 * v.v[i] + (1.0f - b2) * gradient * gradient;
      p.v[i] = p.v[i] * (at + i < w->decayed ? shrink : 1.0f) -
               rate * (m.v[i] * m_fix) / (sqrtf(v.v[i] * v_fix) + eps);
    }
    quad_store((float *)w->parameters.data, at, count, u->is_vector, p);
    draws drawn = {{0}};
    if (is_narrow)
      drawn =
          philox(philox_counter(number, (uint64_t)(w->first + at) / QUAD), u->key[0], u->key[1]);
    moments_store(w->m, at, count, u->is_vector, is_narrow, &m, &drawn, 0);
    moments_store(w->v, at, count, u->is_vector, is_narrow, &v, &drawn, 16);
    if (!w->copy.data) continue;
    if (w->copy.type == OPS_F32) {
      quad_store((float *)w->copy.data, at, count, u->is_vector, p);
    } else if (u->is_vector && count >= QUAD) {
      uint2 words;
      words.x = bf16_pair(p.v[0], p.v[1]);
      words.y = bf16_pair(p.v[2], p.v[3]);
      *(uint2 *)((uint16_t *)w->copy.data + at) = words;
    } else {
      UNROLL for (int i = 0; i < QUAD; i++) {
        if (i < count) store_element(w->copy.data, OPS_BF16, at + i, p.v[i]);
      }
    }
  }
}

KERNEL(update, update_arguments, UPDATE_BLOCK) {
  update_elements(&a, false);
}

KERNEL(update_narrow, update_arguments, UPDATE_BLOCK) {
  update_elements(&a, true);
}

size_t kernel_sum_squares_scratch(void) {
  return SQUARE_PARTS * sizeof(double);
}

int kernel_sum_squares(int64_t count, ops_buffer x, ops_buffer out, void *scratch, void *stream) {
  square_arguments a = {count, (const float *)x.data, (double *)scratch, (float *)out.data,
                        is_row_vector(PACK, x.data)};
  int failed = CUDA_LAUNCH(square_parts, GRID(SQUARE_PARTS, 1), UPDATE_BLOCK, 0, stream, a);
  return failed ? failed : CUDA_LAUNCH(square_total, GRID(1, 1), UPDATE_BLOCK, 0, stream, a);
}

int kernel_sum_square_blocks(int64_t count, ops_buffer x, ops_buffer out, void *stream) {
  square_arguments a = {count, (const float *)x.data, NULL, (float *)out.data,
                        is_row_vector(PACK, x.data)};
  if (count <= 0) return 0;
  return CUDA_LAUNCH(square_blocks, GRID(divided_up(count, OPS_SQUARE_BLOCK), 1), UPDATE_BLOCK, 0,
                     stream, a);
}

int kernel_sum(int64_t count, ops_buffer x, ops_buffer out, void *stream) {
  square_arguments a = {count, (const float *)x.data, NULL, (float *)out.data, false};
  return CUDA_LAUNCH(total_of, GRID(1, 1), UPDATE_BLOCK, 0, stream, a);
}

int kernel_adamw(const ops_adamw *w, const uint32_t key[2], void *stream) {
  update_arguments a = {*w,
                        {key[0], key[1]},
                        is_row_vector(PACK, w->parameters.data) &&
                            is_row_vector(PACK, w->gradients.data) &&
                            is_row_vector(PACK, w->m.data) && is_row_vector(PACK, w->v.data) &&
                            is_row_vector(PACK, w->copy.data)};
  int64_t blocks = at_most(divided_up(w->count, UPDATE_BLOCK * QUAD), UPDATE_GRID);
  if (w->count <= 0) return 0;
  if (w->m.type != OPS_BF16)
    return CUDA_LAUNCH(update, GRID(blocks, 1), UPDATE_BLOCK, 0, stream, a);
  if (w->first % QUAD || w->v.type != OPS_BF16 || !w->number.data) return KERNEL_INVALID;
  return CUDA_LAUNCH(update_narrow, GRID(blocks, 1), UPDATE_BLOCK, 0, stream, a);
}
