/* Layer norm with the preceding residual sum, and its gradient.
 *
 * Bound: memory. One row at a time, read once, all passes over it from the first-level cache. */
#include <stdlib.h>

#include "cpu/kernel.h"

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
    x = sum;
  }
  float mean = 0, variance = 0;
#pragma omp simd reduction(+ : mean)
  for (int64_t i = 0; i < width; i++) mean += x[i];
  mean /= (float)width;
#pragma omp simd reduction(+ : variance)
  for (int64_t i = 0; i < width; i++) variance += (x[i] - mean) * (x[i] - mean);
  float rstd = 1.0f / sqrtf(variance / (float)width + (float)n->eps);
  const float *gamma = cpu_f32(n->gamma), *beta = cpu_f32(n->beta);
  float *y = cpu_write(n->y, at, own_y);
#pragma omp simd
  for (int64_t i = 0; i < width; i++) y[i] = (x[i] - mean) * rstd * gamma[i] + beta[i];
  cpu_written(n->y, at, width, y);
  cpu_f32(n->mean)[row] = mean;
  cpu_f32(n->rstd)[row] = rstd;
}

err CPU_KERNEL(layer_norm)(ops *o, const ops_layer_norm *n) {
  CPU_ASSERT(n->width > 0);
  CPU_ASSERT((n->residual.data != NULL) == (n->sum.data != NULL));
  float *scratch;
  size_t slice = 3 * (size_t)n->width;
  err error = cpu_scratch(o, CPU_BLOCKS * slice, &scratch);
  if (error) return error;
#pragma omp parallel for schedule(static)
  for (int64_t block = 0; block < CPU_BLOCKS; block++) {
    float *own = scratch + (size_t)block * slice;
    int64_t start, end;
    cpu_block(n->rows, block, &start, &end);
    for (int64_t row = start; row < end; row++)
      norm_row(n, row, own, own + n->width, own + 2 * n->width);
  }
  return NULL;
}

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

err CPU_KERNEL(layer_norm_gradient)(ops *o, const ops_layer_norm_gradient *n) {
  CPU_ASSERT(n->width > 0 && !n->dx_sums.data);
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
    for (int64_t row = start; row < end; row++)
      gradient_row(n, row, dgamma + 2 * width, dgamma, dbeta);
  }
  float *dgamma = cpu_f32(n->dgamma), *dbeta = cpu_f32(n->dbeta);
  for (size_t block = 0; block < CPU_BLOCKS; block++)
    for (size_t i = 0; i < width; i++) {
      dgamma[i] += scratch[block * slice + i];
      dbeta[i] += scratch[block * slice + width + i];
    }
  return NULL;
}
