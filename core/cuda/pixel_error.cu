/* The squared error of predicted pixels against each patch's own normalised pixels, and its
 * gradient.
 *
 * Bound: memory: one compute element in and one out per pixel, and the image's byte three times,
 * two of which hit the first-level cache. A patch's mean and variance are computed in fp32 from the
 * bytes, so that bf16 loses no precision on a flat patch. */
#include "cuda/kernel.cuh"
#include "cuda/kernels.h"

enum { PIXEL_BLOCK = 256, PIXEL_WARPS = PIXEL_BLOCK / LANES, PIXEL_FINISH = 1024, CHANNELS = 3 };

typedef struct {
  ops_pixel_error p;
  int size, patch, area;
  float scale[CHANNELS], shift[CHANNELS];
} pixel_arguments;

/* Pixel i, in (channel, y, x) order, of the patch whose first byte is *corner. */
DEVICE float pixel_of(const pixel_arguments *a, const uint8_t *corner, int i) {
  int channel = i / a->area, inside = i - channel * a->area;
  int y = inside / a->patch, x = inside - y * a->patch;
  float scale = channel == 0 ? a->scale[0] : channel == 1 ? a->scale[1] : a->scale[2];
  float shift = channel == 0 ? a->shift[0] : channel == 1 ? a->shift[1] : a->shift[2];
  return (float)corner[((int64_t)y * a->size + x) * CHANNELS + channel] * scale - shift;
}

/* Grid: one warp per patch, 8 patches per block. */
DEVICE void pixel_rows_body(pixel_arguments a, const int type) {
  int64_t row = grid_warp();
  int length = CHANNELS * a.area;
  if (row >= a.p.batch * a.p.count) return;
  int64_t which = ((const int32_t *)a.p.index.data)[row], side = a.size / a.patch;
  int64_t top = which / side * a.patch, left = which % side * a.patch;
  const uint8_t *corner = (const uint8_t *)a.p.images.data +
                          ((row / a.p.count * a.size + top) * a.size + left) * CHANNELS;
  float mean = 0, square = 0, sum = 0;
  for (int i = lane_index(); i < length; i += LANES) mean += pixel_of(&a, corner, i);
  mean = warp_sum(mean) / (float)length;
  for (int i = lane_index(); i < length; i += LANES) {
    float off = pixel_of(&a, corner, i) - mean;
    square += off * off;
  }
  float inverse = 1.0f / sqrtf(warp_sum(square) / (float)(length - 1) + 1e-6f);
  for (int i = lane_index(); i < length; i += LANES) {
    float target = (pixel_of(&a, corner, i) - mean) * inverse;
    float difference = load_element(a.p.predictions.data, type, row * length + i) - target;
    sum += difference * difference;
    store_element(a.p.dpredictions.data, type, row * length + i, (float)a.p.scale * difference);
  }
  sum = warp_sum(sum);
  if (lane_index() == 0) ((float *)a.p.row_errors.data)[row] = sum;
}
KERNEL_PAIR(pixel_rows, pixel_arguments, PIXEL_BLOCK)

/* Grid: one block; a chunk has at most some tens of thousands of patches. */
KERNEL(finish_pixels, pixel_arguments, PIXEL_FINISH) {
  double sum = 0;
  const float *rows = (const float *)a.p.row_errors.data;
  for (int64_t i = thread_index(); i < a.p.batch * a.p.count; i += PIXEL_FINISH)
    sum += (double)rows[i];
  sum = block_sum_double(sum);
  if (thread_index() == 0) ((float *)a.p.error.data)[0] = (float)sum;
}

int kernel_pixel_error(const ops_pixel_error *p, void *stream) {
  pixel_arguments a = {
      .p = *p, .size = (int)p->size, .patch = (int)p->patch, .area = (int)(p->patch * p->patch)};
  if (p->patch < 1 || p->size % p->patch != 0 || p->count < 1) return KERNEL_INVALID;
  for (int i = 0; i < CHANNELS; i++) {
    a.scale[i] = 1.0f / (255.0f * p->deviation[i]);
    a.shift[i] = p->mean[i] / p->deviation[i];
  }
  int failed =
      LAUNCH_PAIR(pixel_rows, p->predictions.type,
                  GRID(divided_up(p->batch * p->count, PIXEL_WARPS), 1), PIXEL_BLOCK, 0, stream, a);
  return failed ? failed : CUDA_LAUNCH(finish_pixels, GRID(1, 1), PIXEL_FINISH, 0, stream, a);
}
