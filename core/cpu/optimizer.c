/* AdamW, the gradient norm and casts over flat runs of parameters. Bound: memory. */
#include "cpu/cpu.h"

err cpu_sum_squares(ops *o, int64_t count, ops_buffer x, ops_buffer out) {
  (void)o;
  double sums[CPU_BLOCKS], total = 0;
  const float *values = cpu_f32(x);
#pragma omp parallel for schedule(static)
  for (int64_t block = 0; block < CPU_BLOCKS; block++) {
    int64_t start, end;
    cpu_block(count, block, &start, &end);
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = start; i < end; i++) sum += (double)values[i] * (double)values[i];
    sums[block] = sum;
  }
  for (int block = 0; block < CPU_BLOCKS; block++) total += sums[block];
  cpu_f32(out)[0] = (float)total;
  return NULL;
}

err cpu_adamw(ops *o, const ops_adamw *a) {
  (void)o;
  float *restrict p = cpu_f32(a->parameters), *restrict m = cpu_f32(a->m);
  float *restrict v = cpu_f32(a->v);
  const float *restrict g = cpu_f32(a->gradients);
  float b1 = (float)a->beta1, b2 = (float)a->beta2, scale = (float)a->gradient_scale;
  float rate = (float)a->learning_rate, eps = (float)a->eps;
  float shrink = 1.0f - (float)(a->learning_rate * a->weight_decay);
  float m_fix = (float)(1.0 / (1.0 - pow(a->beta1, (double)a->step)));
  float v_fix = (float)(1.0 / (1.0 - pow(a->beta2, (double)a->step)));
#pragma omp parallel for simd schedule(static)
  for (int64_t i = 0; i < a->count; i++) {
    float gradient = g[i] * scale;
    m[i] = b1 * m[i] + (1.0f - b1) * gradient;
    v[i] = b2 * v[i] + (1.0f - b2) * gradient * gradient;
    p[i] = p[i] * shrink - rate * (m[i] * m_fix) / (sqrtf(v[i] * v_fix) + eps);
  }
  return a->copy.data ? cpu_cast(o, a->count, a->parameters, a->copy) : NULL;
}

err cpu_cast(ops *o, int64_t count, ops_buffer from, ops_buffer to) {
  (void)o;
  enum { STRIP = 1024 };
  CPU_ASSERT(from.type == OPS_F32 || to.type == OPS_F32);
#pragma omp parallel for schedule(static)
  for (int64_t at = 0; at < count; at += STRIP) {
    int64_t n = count - at < STRIP ? count - at : STRIP;
    float own[STRIP];
    const float *values = cpu_read(from, at, n, own);
    if (to.type == OPS_F32)
      memmove(cpu_f32(to) + at, values, (size_t)n * sizeof *values);
    else
      cpu_written(to, at, n, values);
  }
  return NULL;
}
