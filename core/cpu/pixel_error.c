/* The squared error of predicted pixels against each patch's own normalised pixels. Bound: memory,
 * by the predictions: pixels are bytes. */
#include "cpu/kernel.h"

/* target [3 * patch * patch] = the patch's pixels, normalised to mean 0 and variance 1. */
static void normalized_pixels(const ops_pixel_error *p, int64_t row, float *restrict target) {
  int64_t side = p->patch, area = side * side, per_row = p->size / side, length = 3 * area;
  int32_t which = ((const int32_t *)p->index.data)[row];
  CPU_ASSERT(which >= 0 && which < per_row * per_row);
  const uint8_t *corner =
      (const uint8_t *)p->images.data +
      ((row / p->count * p->size + which / per_row * side) * p->size + which % per_row * side) * 3;
  for (int64_t channel = 0; channel < 3; channel++) {
    float scale = 1.0f / (255.0f * p->deviation[channel]);
    float shift = p->mean[channel] / p->deviation[channel];
    for (int64_t y = 0; y < side; y++)
      for (int64_t x = 0; x < side; x++)
        target[channel * area + y * side + x] =
            (float)corner[(y * p->size + x) * 3 + channel] * scale - shift;
  }
  float mean = 0, square = 0;
#pragma omp simd reduction(+ : mean)
  for (int64_t i = 0; i < length; i++) mean += target[i];
  mean /= (float)length;
#pragma omp simd reduction(+ : square)
  for (int64_t i = 0; i < length; i++) square += (target[i] - mean) * (target[i] - mean);
  float inverse = 1.0f / sqrtf(square / (float)(length - 1) + 1e-6f);
#pragma omp simd
  for (int64_t i = 0; i < length; i++) target[i] = (target[i] - mean) * inverse;
}

err CPU_KERNEL(pixel_error)(ops *o, const ops_pixel_error *p) {
  CPU_ASSERT(p->size % p->patch == 0 && p->count > 0);
  int64_t length = 3 * p->patch * p->patch, rows = p->batch * p->count;
  float *scratch, *row_errors = cpu_f32(p->row_errors), scale = (float)p->scale;
  err error = cpu_scratch(o, CPU_BLOCKS * 2 * (size_t)length, &scratch);
  if (error) return error;
#pragma omp parallel for schedule(static)
  for (int64_t block = 0; block < CPU_BLOCKS; block++) {
    float *target = scratch + block * 2 * length, *own = target + length;
    int64_t start, end;
    cpu_block(rows, block, &start, &end);
    for (int64_t row = start; row < end; row++) {
      normalized_pixels(p, row, target);
      const float *prediction = cpu_read(p->predictions, row * length, length, own);
      float *to = cpu_write(p->dpredictions, row * length, own), sum = 0;
#pragma omp simd reduction(+ : sum)
      for (int64_t i = 0; i < length; i++) {
        float difference = prediction[i] - target[i];
        sum += difference * difference;
        to[i] = scale * difference;
      }
      cpu_written(p->dpredictions, row * length, length, to);
      row_errors[row] = sum;
    }
  }
  double total = 0;
  for (int64_t row = 0; row < rows; row++) total += (double)row_errors[row];
  cpu_f32(p->error)[0] = (float)total;
  return NULL;
}
