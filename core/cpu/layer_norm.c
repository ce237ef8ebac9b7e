/* Layer norm with the preceding residual sum, and its gradient. The sum is normalised as it is
 * stored, rounded to bf16, so that the norm can be computed again from it: the gradient, which
 * reads the sum anyway, gives the output once more.
 *
 * Bound: memory. One row at a time, read once, all passes over it from the first-level cache. */
#include <stdlib.h>

#include "cpu/kernel.h"
#ifdef __AVX512F__
#include "cpu/wide.h"
#endif

#ifdef __AVX512F__
/* The output, of which forward and gradient must give the same bits. */
WIDE_INLINE __m512 wide_normed(__m512 x, __m512 mean, __m512 rstd) {
  return _mm512_mul_ps(_mm512_sub_ps(x, mean), rstd);
}

WIDE_INLINE void wide_write_output(const ops_type type, __m512 normed, ops_buffer gamma,
                                   ops_buffer beta, int64_t column, __mmask16 lanes, ops_buffer y,
                                   int64_t at) {
  __m512 gain = _mm512_maskz_loadu_ps(lanes, cpu_f32(gamma) + column);
  __m512 offset = _mm512_maskz_loadu_ps(lanes, cpu_f32(beta) + column);
  wide_write(type, y, at, lanes, _mm512_fmadd_ps(normed, gain, offset));
}

/* 16 elements at a time; `own` [width]. */
WIDE_INLINE void wide_norm_row(const ops_type type, const bool has_residual,
                               const ops_layer_norm *n, int64_t row, float *own) {
  const int64_t width = n->width, from = row * width;
  __m512 total = _mm512_setzero_ps(), square = total;
  for (int64_t i = 0; i < width; i += 16) {
    const __mmask16 lanes = wide_first(width - i);
    __m512 x = wide_read(type, n->x, from + i, lanes);
    if (has_residual) {
      x = _mm512_add_ps(x, wide_read(type, n->residual, from + i, lanes));
      x = wide_stored(type, n->sum, from + i, lanes, x);
    }
    _mm512_storeu_ps(own + i, x);
    total = _mm512_add_ps(total, x);
  }
  const __m512 mean = _mm512_set1_ps(_mm512_reduce_add_ps(total) / (float)width);
  for (int64_t i = 0; i < width; i += 16) {
    __m512 d = _mm512_maskz_sub_ps(wide_first(width - i), _mm512_loadu_ps(own + i), mean);
    square = _mm512_fmadd_ps(d, d, square);
  }
  const float variance = _mm512_reduce_add_ps(square) / (float)width;
  const float rstd = 1.0f / sqrtf(variance + (float)n->eps);
  for (int64_t i = 0; i < width; i += 16) {
    const __mmask16 lanes = wide_first(width - i);
    __m512 normed = wide_normed(_mm512_loadu_ps(own + i), mean, _mm512_set1_ps(rstd));
    wide_write_output(type, normed, n->gamma, n->beta, i, lanes, n->y, from + i);
  }
  cpu_f32(n->mean)[row] = _mm512_cvtss_f32(mean);
  cpu_f32(n->rstd)[row] = rstd;
}

/* `function`, for constant type and presence of something. */
#define OF_CONSTANTS(function, type, has, ...)                                                     \
  ((type) == OPS_BF16                                                                              \
       ? (has) ? function(OPS_BF16, true, __VA_ARGS__) : function(OPS_BF16, false, __VA_ARGS__)    \
   : (has) ? function(OPS_F32, true, __VA_ARGS__)                                                  \
           : function(OPS_F32, false, __VA_ARGS__))

static void norm_rows(const ops_layer_norm *n, int64_t start, int64_t end, float *own) {
  for (int64_t row = start; row < end; row++)
    OF_CONSTANTS(wide_norm_row, n->x.type, n->residual.data, n, row, own);
}
#else
/* Not inline: forward and gradient must give the same bits. */
static __attribute__((noinline)) void norm_output(int64_t width, const float *x, float mean,
                                                  float rstd, const float *gamma, const float *beta,
                                                  float *y) {
#pragma omp simd
  for (int64_t i = 0; i < width; i++) y[i] = (x[i] - mean) * rstd * gamma[i] + beta[i];
}

static void norm_row(const ops_layer_norm *n, int64_t row, float *own_x, float *own_r,
                     float *own_y) {
  int64_t width = n->width, at = row * width;
  const float *x = cpu_read(n->x, at, width, own_x);
  if (n->residual.data) {
    const float *residual = cpu_read(n->residual, at, width, own_r);
    float *sum = cpu_write(n->sum, at, own_x);
#pragma omp simd
    for (int64_t i = 0; i < width; i++) sum[i] = x[i] + residual[i];
    cpu_written(n->sum, at, width, sum);
    x = cpu_read(n->sum, at, width, own_x);
  }
  float mean = 0, variance = 0;
#pragma omp simd reduction(+ : mean)
  for (int64_t i = 0; i < width; i++) mean += x[i];
  mean /= (float)width;
#pragma omp simd reduction(+ : variance)
  for (int64_t i = 0; i < width; i++) variance += (x[i] - mean) * (x[i] - mean);
  float rstd = 1.0f / sqrtf(variance / (float)width + (float)n->eps);
  float *y = cpu_write(n->y, at, own_y);
  norm_output(width, x, mean, rstd, cpu_f32(n->gamma), cpu_f32(n->beta), y);
  cpu_written(n->y, at, width, y);
  cpu_f32(n->mean)[row] = mean;
  cpu_f32(n->rstd)[row] = rstd;
}

static void norm_rows(const ops_layer_norm *n, int64_t start, int64_t end, float *own) {
  for (int64_t row = start; row < end; row++)
    norm_row(n, row, own, own + n->width, own + 2 * n->width);
}
#endif

err CPU_KERNEL(layer_norm)(ops *o, const ops_layer_norm *n) {
  CPU_ASSERT(n->width > 0);
  CPU_ASSERT((n->residual.data != NULL) == (n->sum.data != NULL));
  float *scratch;
  size_t slice = 3 * ((size_t)n->width + 15) / 16 * 16;
  err error = cpu_scratch(o, CPU_BLOCKS * slice, &scratch);
  if (error) return error;
#pragma omp parallel for schedule(static)
  for (int64_t block = 0; block < CPU_BLOCKS; block++) {
    float *own = scratch + (size_t)block * slice;
    int64_t start, end;
    cpu_block(n->rows, block, &start, &end);
    norm_rows(n, start, end, own);
  }
  return NULL;
}

#ifdef __AVX512F__
/* dx = rstd (g - mean(g) - x̂ mean(g x̂)) + dresidual, with g = dy gamma, 16 elements at a time. */
WIDE_INLINE void wide_gradient_row(const ops_type type, const bool has_residual,
                                   const ops_layer_norm_gradient *n, int64_t row, float *dgamma,
                                   float *dbeta) {
  const int64_t width = n->width, from = row * width;
  const float *gamma = cpu_f32(n->gamma);
  const __m512 mean = _mm512_set1_ps(cpu_f32(n->mean)[row]);
  const __m512 rstd = _mm512_set1_ps(cpu_f32(n->rstd)[row]);
  __m512 sum = _mm512_setzero_ps(), product = sum;
  for (int64_t i = 0; i < width; i += 16) {
    const __mmask16 lanes = wide_first(width - i);
    __m512 x = wide_read(type, n->x, from + i, lanes), dy = wide_read(type, n->dy, from + i, lanes);
    __m512 normed = wide_normed(x, mean, rstd);
    __m512 g = _mm512_mul_ps(dy, _mm512_maskz_loadu_ps(lanes, gamma + i));
    if (n->y.data) wide_write_output(type, normed, n->gamma, n->beta, i, lanes, n->y, from + i);
    sum = _mm512_add_ps(sum, g);
    product = _mm512_fmadd_ps(g, normed, product);
    _mm512_mask_storeu_ps(dgamma + i, lanes,
                          _mm512_fmadd_ps(dy, normed, _mm512_maskz_loadu_ps(lanes, dgamma + i)));
    _mm512_mask_storeu_ps(dbeta + i, lanes,
                          _mm512_add_ps(dy, _mm512_maskz_loadu_ps(lanes, dbeta + i)));
  }
  const __m512 mean_g = _mm512_set1_ps(_mm512_reduce_add_ps(sum) / (float)width);
  const __m512 mean_product = _mm512_set1_ps(_mm512_reduce_add_ps(product) / (float)width);
  for (int64_t i = 0; i < width; i += 16) {
    const __mmask16 lanes = wide_first(width - i);
    __m512 x = wide_read(type, n->x, from + i, lanes), dy = wide_read(type, n->dy, from + i, lanes);
    __m512 normed = wide_normed(x, mean, rstd);
    __m512 g = _mm512_fmsub_ps(dy, _mm512_maskz_loadu_ps(lanes, gamma + i), mean_g);
    __m512 dx = _mm512_mul_ps(_mm512_fnmadd_ps(normed, mean_product, g), rstd);
    if (has_residual) dx = _mm512_add_ps(dx, wide_read(type, n->dresidual, from + i, lanes));
    wide_write(type, n->dx, from + i, lanes, dx);
  }
}

static void gradient_rows(const ops_layer_norm_gradient *n, int64_t start, int64_t end, float *own,
                          float *dgamma, float *dbeta) {
  (void)own;
  for (int64_t row = start; row < end; row++)
    OF_CONSTANTS(wide_gradient_row, n->x.type, n->dresidual.data, n, row, dgamma, dbeta);
}
#else
/* One row: dx = rstd (g - mean(g) - x̂ mean(g x̂)) + dresidual, with g = dy gamma. */
static void gradient_row(const ops_layer_norm_gradient *n, int64_t row, float *own, float *dgamma,
                         float *dbeta) {
  int64_t width = n->width, at = row * width;
  const float *x = cpu_read(n->x, at, width, own);
  const float *dy = cpu_read(n->dy, at, width, own + width);
  const float *gamma = cpu_f32(n->gamma);
  float mean = cpu_f32(n->mean)[row], rstd = cpu_f32(n->rstd)[row], sum = 0, product = 0;
#pragma omp simd reduction(+ : sum, product)
  for (int64_t i = 0; i < width; i++) {
    float normed = (x[i] - mean) * rstd, g = dy[i] * gamma[i];
    sum += g;
    product += g * normed;
    dgamma[i] += dy[i] * normed;
    dbeta[i] += dy[i];
  }
  sum /= (float)width;
  product /= (float)width;
  float *dx = cpu_write(n->dx, at, own + 2 * width);
  if (n->y.data) { /* dx's place is still free */
    float *y = cpu_write(n->y, at, own + 2 * width);
    norm_output(width, x, mean, rstd, gamma, cpu_f32(n->beta), y);
    cpu_written(n->y, at, width, y);
  }
  if (n->dresidual.data) {
    const float *dresidual = cpu_read(n->dresidual, at, width, own + 3 * width);
#pragma omp simd
    for (int64_t i = 0; i < width; i++)
      dx[i] = rstd * (dy[i] * gamma[i] - sum - (x[i] - mean) * rstd * product) + dresidual[i];
  } else {
#pragma omp simd
    for (int64_t i = 0; i < width; i++)
      dx[i] = rstd * (dy[i] * gamma[i] - sum - (x[i] - mean) * rstd * product);
  }
  cpu_written(n->dx, at, width, dx);
}

static void gradient_rows(const ops_layer_norm_gradient *n, int64_t start, int64_t end, float *own,
                          float *dgamma, float *dbeta) {
  for (int64_t row = start; row < end; row++) gradient_row(n, row, own, dgamma, dbeta);
}
#endif

err CPU_KERNEL(layer_norm_gradient)(ops *o, const ops_layer_norm_gradient *n) {
  CPU_ASSERT(n->width > 0 && !n->dx_sums.data);
  CPU_ASSERT((n->y.data != NULL) == (n->beta.data != NULL));
  float *scratch;
  size_t width = (size_t)n->width, slice = 6 * width;
  err error = cpu_scratch(o, CPU_BLOCKS * slice, &scratch);
  if (error) return error;
#pragma omp parallel for schedule(static)
  for (int64_t block = 0; block < CPU_BLOCKS; block++) {
    float *dgamma = scratch + (size_t)block * slice, *dbeta = dgamma + width;
    memset(dgamma, 0, 2 * width * sizeof *dgamma);
    int64_t start, end;
    cpu_block(n->rows, block, &start, &end);
    gradient_rows(n, start, end, dgamma + 2 * width, dgamma, dbeta);
  }
  float *dgamma = cpu_f32(n->dgamma), *dbeta = cpu_f32(n->dbeta);
  for (size_t block = 0; block < CPU_BLOCKS; block++)
    for (size_t i = 0; i < width; i++) {
      dgamma[i] += scratch[block * slice + i];
      dbeta[i] += scratch[block * slice + width + i];
    }
  return NULL;
}
