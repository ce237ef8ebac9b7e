/* Pooling over tokens and L2 normalisation, forward and backward. Bound: memory. */
#include "cpu/kernel.h"

static int64_t chosen_token(const ops_pool *p, int64_t image) {
  if (!p->index.data) return 0;
  int64_t token = ((const int32_t *)p->index.data)[image];
  CPU_ASSERT(token >= 0 && token < p->tokens);
  return token;
}

err CPU_KERNEL(pool)(ops *o, const ops_pool *p) {
  int64_t width = p->width;
  float *scratch;
  err error = cpu_scratch(o, CPU_BLOCKS * 2 * (size_t)width, &scratch);
  if (error) return error;
#pragma omp parallel for schedule(static)
  for (int64_t block = 0; block < CPU_BLOCKS; block++) {
    float *own = scratch + block * 2 * width, *sum = own + width;
    int64_t start, end;
    cpu_block(p->batch, block, &start, &end);
    for (int64_t image = start; image < end; image++) {
      int64_t first = p->pooling == OPS_POOL_MEAN ? 0 : chosen_token(p, image);
      int64_t last = p->pooling == OPS_POOL_MEAN ? p->tokens : first + 1;
      float share = 1.0f / (float)(last - first);
      for (int64_t j = 0; j < width; j++) sum[j] = 0;
      for (int64_t token = first; token < last; token++) {
        const float *x = cpu_read(p->x, (image * p->tokens + token) * width, width, own);
#pragma omp simd
        for (int64_t j = 0; j < width; j++) sum[j] += x[j];
      }
      float *to = cpu_write(p->pooled, image * width, own);
      for (int64_t j = 0; j < width; j++) to[j] = sum[j] * share;
      cpu_written(p->pooled, image * width, width, to);
    }
  }
  return NULL;
}

err CPU_KERNEL(pool_gradient)(ops *o, const ops_pool *p) {
  int64_t width = p->width;
  float *scratch;
  err error = cpu_scratch(o, CPU_BLOCKS * 2 * (size_t)width, &scratch);
  if (error) return error;
#pragma omp parallel for schedule(static)
  for (int64_t block = 0; block < CPU_BLOCKS; block++) {
    float *own = scratch + block * 2 * width;
    int64_t start, end;
    cpu_block(p->batch, block, &start, &end);
    for (int64_t image = start; image < end; image++) {
      const float *dpooled = cpu_read(p->dpooled, image * width, width, own);
      int64_t chosen = p->pooling == OPS_POOL_MEAN ? -1 : chosen_token(p, image);
      float share = p->pooling == OPS_POOL_MEAN ? 1.0f / (float)p->tokens : 1.0f;
      for (int64_t token = 0; token < p->tokens; token++) {
        int64_t at = (image * p->tokens + token) * width;
        float weight = chosen < 0 || token == chosen ? share : 0.0f;
        float *dx = cpu_write(p->dx, at, own + width);
        for (int64_t j = 0; j < width; j++) dx[j] = dpooled[j] * weight;
        cpu_written(p->dx, at, width, dx);
      }
    }
  }
  return NULL;
}

err CPU_KERNEL(normalize)(ops *o, const ops_normalize *n) {
  int64_t width = n->width;
  float *scratch;
  err error = cpu_scratch(o, CPU_BLOCKS * 2 * (size_t)width, &scratch);
  if (error) return error;
#pragma omp parallel for schedule(static)
  for (int64_t block = 0; block < CPU_BLOCKS; block++) {
    float *own = scratch + block * 2 * width;
    int64_t start, end;
    cpu_block(n->rows, block, &start, &end);
    for (int64_t row = start; row < end; row++) {
      const float *x = cpu_read(n->x, row * width, width, own);
      float square = 0;
#pragma omp simd reduction(+ : square)
      for (int64_t j = 0; j < width; j++) square += x[j] * x[j];
      float norm = sqrtf(square), inverse = 1.0f / (norm + (float)n->eps);
      float *y = cpu_write(n->y, row * width, own + width);
      for (int64_t j = 0; j < width; j++) y[j] = x[j] * inverse;
      cpu_written(n->y, row * width, width, y);
      cpu_f32(n->norms)[row] = norm;
    }
  }
  return NULL;
}

/* y = x / s, s = |x| + eps: dx = (dy - x (x·dy) / (|x| s)) / s. */
err CPU_KERNEL(normalize_gradient)(ops *o, const ops_normalize *n) {
  int64_t width = n->width;
  float *scratch;
  err error = cpu_scratch(o, CPU_BLOCKS * 3 * (size_t)width, &scratch);
  if (error) return error;
#pragma omp parallel for schedule(static)
  for (int64_t block = 0; block < CPU_BLOCKS; block++) {
    float *own = scratch + block * 3 * width;
    int64_t start, end;
    cpu_block(n->rows, block, &start, &end);
    for (int64_t row = start; row < end; row++) {
      const float *x = cpu_read(n->x, row * width, width, own);
      const float *dy = cpu_read(n->dy, row * width, width, own + width);
      float norm = cpu_f32(n->norms)[row], size = norm + (float)n->eps, product = 0;
#pragma omp simd reduction(+ : product)
      for (int64_t j = 0; j < width; j++) product += x[j] * dy[j];
      float along = norm > 0 ? product / (norm * size) : 0;
      float *dx = cpu_write(n->dx, row * width, own + 2 * width);
      for (int64_t j = 0; j < width; j++) dx[j] = (dy[j] - x[j] * along) / size;
      cpu_written(n->dx, row * width, width, dx);
    }
  }
  return NULL;
}
