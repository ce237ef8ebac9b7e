/* AdamW, the gradient norm and casts over flat runs of parameters. Bound: memory. */
#include "base/rng.h"
#include "cpu/kernel.h"

err CPU_KERNEL(sum_squares)(ops *o, int64_t count, ops_buffer x, ops_buffer out) {
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

err CPU_KERNEL(sum_square_blocks)(ops *o, int64_t count, ops_buffer x, ops_buffer out) {
  (void)o;
  const float *values = cpu_f32(x);
#pragma omp parallel for schedule(static)
  for (int64_t start = 0; start < count; start += OPS_SQUARE_BLOCK) {
    int64_t end = count - start < OPS_SQUARE_BLOCK ? count : start + OPS_SQUARE_BLOCK;
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = start; i < end; i++) sum += (double)values[i] * (double)values[i];
    cpu_f32(out)[start / OPS_SQUARE_BLOCK] = (float)sum;
  }
  return NULL;
}

err CPU_KERNEL(sum)(ops *o, int64_t count, ops_buffer x, ops_buffer out) {
  (void)o;
  double sum = 0;
  for (int64_t i = 0; i < count; i++) sum += (double)cpu_f32(x)[i];
  cpu_f32(out)[0] = (float)sum;
  return NULL;
}

/* One run of parameters that share a decay. */
static void adamw_run(const ops_adamw *a, int64_t start, int64_t end, float shrink, float scale) {
  float *restrict p = cpu_f32(a->parameters), *restrict m = cpu_f32(a->m);
  float *restrict v = cpu_f32(a->v);
  const float *restrict g = cpu_f32(a->gradients), *rates = cpu_f32(a->rates);
  float b1 = (float)a->beta1, b2 = (float)a->beta2, eps = (float)a->eps;
  float rate = rates[0], m_fix = rates[1], v_fix = rates[2];
#pragma omp parallel for simd schedule(static)
  for (int64_t i = start; i < end; i++) {
    float gradient = g[i] * scale;
    m[i] = b1 * m[i] + (1.0f - b1) * gradient;
    v[i] = b2 * v[i] + (1.0f - b2) * gradient * gradient;
    p[i] = p[i] * shrink - rate * (m[i] * m_fix) / (sqrtf(v[i] * v_fix) + eps);
  }
}

static inline uint16_t rounded_at_random(float value, uint32_t word16) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return value != value ? 0x7FFF : (uint16_t)((bits + word16) >> 16);
}

enum { MOMENT_STRIP = 4 * RNG_PLACES };

/* Elements [start, end) with moments in bf16, at most a strip. */
static void adamw_narrow_strip(const ops_adamw *a, int64_t start, int64_t end, float shrink,
                               float scale) {
  uint32_t words[4][RNG_PLACES];
  float m[MOMENT_STRIP], v[MOMENT_STRIP];
  float *restrict p = cpu_f32(a->parameters) + start;
  const float *restrict g = cpu_f32(a->gradients) + start, *rates = cpu_f32(a->rates);
  uint16_t *narrow_m = (uint16_t *)a->m.data + start, *narrow_v = (uint16_t *)a->v.data + start;
  const float b1 = (float)a->beta1, b2 = (float)a->beta2, eps = (float)a->eps;
  const int64_t count = end - start, decayed = a->decayed - start;
  rng_first_words(a->seed, RNG_MOMENTS, (uint64_t) * (const int32_t *)a->number.data,
                  (uint64_t)(a->first + start) / 4, words);
#pragma omp simd
  for (int64_t i = 0; i < count; i++) {
    float gradient = g[i] * scale;
    m[i] = b1 * cpu_from_bf16(narrow_m[i]) + (1.0f - b1) * gradient;
    v[i] = b2 * cpu_from_bf16(narrow_v[i]) + (1.0f - b2) * gradient * gradient;
    p[i] = p[i] * (i < decayed ? shrink : 1.0f) -
           rates[0] * (m[i] * rates[1]) / (sqrtf(v[i] * rates[2]) + eps);
  }
  uint32_t in_order[MOMENT_STRIP]; /* so that the rounding is vectorised */
  for (int place = 0; place < RNG_PLACES; place++)
    for (int w = 0; w < 4; w++) in_order[4 * place + w] = words[w][place];
#pragma omp simd
  for (int64_t i = 0; i < count; i++) {
    narrow_m[i] = rounded_at_random(m[i], in_order[i] & 0xFFFF);
    narrow_v[i] = rounded_at_random(v[i], in_order[i] >> 16);
  }
}

static void adamw_narrow(const ops_adamw *a, float shrink, float scale) {
  CPU_ASSERT(a->v.type == OPS_BF16 && a->first % 4 == 0 && a->number.data);
#pragma omp parallel for schedule(static)
  for (int64_t start = 0; start < a->count; start += MOMENT_STRIP)
    adamw_narrow_strip(a, start, a->count - start < MOMENT_STRIP ? a->count : start + MOMENT_STRIP,
                       shrink, scale);
}

err CPU_KERNEL(adamw)(ops *o, const ops_adamw *a) {
  double norm = sqrt((double)cpu_f32(a->norm_square)[0]);
  float scale = a->clip_norm > 0 && norm > a->clip_norm ? (float)(a->clip_norm / norm) : 1.0f;
  float shrink = 1.0f - (float)((double)cpu_f32(a->rates)[0] * a->weight_decay);
  if (a->m.type == OPS_BF16) {
    adamw_narrow(a, shrink, scale);
  } else {
    adamw_run(a, 0, a->decayed, shrink, scale);
    adamw_run(a, a->decayed, a->count, 1.0f, scale);
  }
  return a->copy.data ? CPU_KERNEL(cast)(o, a->count, a->parameters, a->copy) : NULL;
}

err CPU_KERNEL(average)(ops *o, int64_t count, ops_buffer x, ops_buffer average, double momentum) {
  (void)o;
  float *restrict to = cpu_f32(average);
  const float *restrict from = cpu_f32(x);
  const float keep = (float)momentum, take = (float)(1 - momentum);
#pragma omp parallel for simd schedule(static)
  for (int64_t i = 0; i < count; i++) to[i] = keep * to[i] + take * from[i];
  return NULL;
}

err CPU_KERNEL(fill)(ops *o, int64_t count, ops_buffer x, double value) {
  (void)o;
  for (int64_t i = 0; i < count; i++) cpu_f32(x)[i] = (float)value;
  return NULL;
}

err CPU_KERNEL(cast)(ops *o, int64_t count, ops_buffer from, ops_buffer to) {
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
