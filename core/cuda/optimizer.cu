/* The global gradient norm and AdamW over all parameters, each in as few launches as it can be.
 * Bound: memory. */
#include "cuda/kernel.cuh"
#include "cuda/kernels.h"

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

/* Grid: at most 4096 blocks, a thread at every grid-th four elements. Reads p, g, m, v, writes p,
 * m, v and the copy: 30 bytes an element with a bf16 copy. */
KERNEL(update, update_arguments, UPDATE_BLOCK) {
  const ops_adamw *w = &a.w;
  const float *rates = (const float *)w->rates.data;
  float rate = rates[0], m_fix = rates[1], v_fix = rates[2], scale = 1.0f;
  float b1 = (float)w->beta1, b2 = (float)w->beta2, eps = (float)w->eps;
  float shrink = 1.0f - (float)((double)rate * w->weight_decay);
  if (w->clip_norm > 0) {
    double norm = sqrt((double)((const float *)w->norm_square.data)[0]);
    if (norm > w->clip_norm) scale = (float)(w->clip_norm / norm);
  }
  for (int64_t at = grid_thread() * QUAD; at < w->count; at += grid_threads() * QUAD) {
    int64_t count = w->count - at;
    quad p = quad_load((const float *)w->parameters.data, at, count, a.is_vector);
    quad g = quad_load((const float *)w->gradients.data, at, count, a.is_vector);
    quad m = quad_load((const float *)w->m.data, at, count, a.is_vector);
    quad v = quad_load((const float *)w->v.data, at, count, a.is_vector);
    UNROLL for (int i = 0; i < QUAD; i++) {
      float gradient = g.v[i] * scale;
      m.v[i] = b1 * m.v[i] + (1.0f - b1) * gradient;
      v.v[i] = b2 * v.v[i] + (1.0f - b2) * gradient * gradient;
      p.v[i] = p.v[i] * (at + i < w->decayed ? shrink : 1.0f) -
               rate * (m.v[i] * m_fix) / (sqrtf(v.v[i] * v_fix) + eps);
    }
    quad_store((float *)w->parameters.data, at, count, a.is_vector, p);
    quad_store((float *)w->m.data, at, count, a.is_vector, m);
    quad_store((float *)w->v.data, at, count, a.is_vector, v);
    if (!w->copy.data) continue;
    if (w->copy.type == OPS_F32) {
      quad_store((float *)w->copy.data, at, count, a.is_vector, p);
    } else if (a.is_vector && count >= QUAD) {
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

int kernel_adamw(const ops_adamw *w, void *stream) {
  update_arguments a = {*w, is_row_vector(PACK, w->parameters.data) &&
                                is_row_vector(PACK, w->gradients.data) &&
                                is_row_vector(PACK, w->m.data) && is_row_vector(PACK, w->v.data) &&
                                is_row_vector(PACK, w->copy.data)};
  if (w->count <= 0) return 0;
  return CUDA_LAUNCH(update,
                     GRID(at_most(divided_up(w->count, UPDATE_BLOCK * QUAD), UPDATE_GRID), 1),
                     UPDATE_BLOCK, 0, stream, a);
}
