#include "image/corrupt.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "image/image.h"

enum { REFERENCE_SIDE = 224, GREY = 128 };

static const double deviations[] = {0.08, 0.12, 0.18, 0.26, 0.38};
static const double sigmas[] = {1, 2, 3, 4, 6};
static const int qualities[] = {25, 18, 15, 10, 7};
static const double contrasts[] = {0.4, 0.3, 0.2, 0.1, 0.05};
static const double shares[] = {0.1, 0.2, 0.3, 0.4, 0.5};

const char *corrupt_name(corrupt_kind kind) {
  static const char *const names[] = {
      "none", "gaussian_noise", "gaussian_blur", "jpeg", "contrast", "occlusion", "all"};
  return names[kind];
}

image_corruption corrupt_choose(const image_corruption *c, int64_t index) {
  enum { KINDS = CORRUPT_KINDS - 1 };
  image_corruption own = *c;
  int64_t turn = own.kind == CORRUPT_ALL ? index / KINDS : index;
  if (own.kind == CORRUPT_ALL) own.kind = (corrupt_kind)(1 + index % KINDS);
  if (!own.strength) own.strength = 1 + (int)(turn % CORRUPT_STRENGTHS);
  return own;
}

static uint8_t to_byte(double value) {
  return (uint8_t)(value <= 0 ? 0 : value >= 255 ? 255 : value + 0.5);
}

static void add_noise(double deviation, rng *random, int64_t count, uint8_t *pixels) {
  for (int64_t i = 0; i < count; i++)
    pixels[i] = to_byte(pixels[i] + 255 * deviation * rng_normal(random));
}

/* One pass along rows (step 3) or columns of values [size, size, 3]. */
static void blur_lines(const double *weights, int64_t radius, int64_t size, int64_t line,
                       int64_t step, const float *from, float *to) {
  for (int64_t l = 0; l < size; l++)
    for (int64_t i = 0; i < size; i++)
      for (int64_t k = 0; k < 3; k++) {
        double sum = 0;
        for (int64_t r = -radius; r <= radius; r++) {
          int64_t at = i + r < 0 ? 0 : i + r >= size ? size - 1 : i + r;
          sum += weights[r + radius] * (double)from[l * line + at * step + k];
        }
        to[l * line + i * step + k] = (float)sum;
      }
}

/* The kernel extends to four sigma, as in scipy and scikit-image. */
static err blur(double sigma, int64_t size, uint8_t *pixels) {
  int64_t radius = (int64_t)(4 * sigma + 0.5), count = size * size * 3;
  double total = 0;
  double *weights = mem_zeroed((size_t)(2 * radius + 1), sizeof *weights);
  float *values = mem_zeroed((size_t)count, sizeof *values);
  float *between = mem_zeroed((size_t)count, sizeof *between);
  err error = NULL;
  if (!weights || !values || !between) FAIL(ERR_MEMORY, "out of memory: blurring an image");
  for (int64_t r = -radius; r <= radius; r++)
    total += weights[r + radius] = exp(-0.5 * (double)(r * r) / (sigma * sigma));
  for (int64_t r = 0; r <= 2 * radius; r++) weights[r] /= total;
  for (int64_t i = 0; i < count; i++) values[i] = pixels[i];
  blur_lines(weights, radius, size, size * 3, 3, values, between);
  blur_lines(weights, radius, size, 3, size * 3, between, values);
  for (int64_t i = 0; i < count; i++) pixels[i] = to_byte((double)values[i]);
cleanup:
  free(weights);
  free(values);
  free(between);
  return error;
}

static err compress(int quality, int32_t size, uint8_t *pixels) {
  const image from = {size, size, pixels};
  image again = {0};
  uint8_t *bytes = NULL;
  size_t length = 0;
  err error = image_encode_jpeg(&from, quality, &bytes, &length);
  if (!error) error = image_decode_jpeg(bytes, length, 0, &again);
  if (!error) memcpy(pixels, again.pixels, (size_t)size * (size_t)size * 3);
  image_free(&again);
  free(bytes);
  return error;
}

static void flatten(double left, int64_t count, uint8_t *pixels) {
  for (int k = 0; k < 3; k++) {
    double mean = 0;
    for (int64_t i = k; i < count; i += 3) mean += pixels[i];
    mean /= (double)(count / 3);
    for (int64_t i = k; i < count; i += 3) pixels[i] = to_byte((pixels[i] - mean) * left + mean);
  }
}

static void occlude(double share, rng *random, int32_t size, uint8_t *pixels) {
  int32_t side = (int32_t)(size * sqrt(share) + 0.5);
  uint32_t places = (uint32_t)(size - side + 1);
  int64_t left = rng_below(random, places), top = rng_below(random, places);
  for (int64_t row = top; row < top + side; row++)
    memset(pixels + (row * size + left) * 3, GREY, (size_t)side * 3);
}

err corrupt_image(const image_corruption *c, int64_t index, int32_t size, uint8_t *pixels) {
  const image_corruption own = corrupt_choose(c, index);
  int64_t count = (int64_t)size * size * 3, which = own.strength - 1;
  rng random =
      rng_at(0, RNG_CORRUPTION, (uint64_t)own.kind * 8 + (uint64_t)own.strength, (uint64_t)index);
  switch (own.kind) {
  case CORRUPT_NOISE:
    add_noise(deviations[which], &random, count, pixels);
    return NULL;
  case CORRUPT_BLUR:
    return blur(sigmas[which] * size / REFERENCE_SIDE, size, pixels);
  case CORRUPT_JPEG:
    return compress(qualities[which], size, pixels);
  case CORRUPT_CONTRAST:
    flatten(contrasts[which], count, pixels);
    return NULL;
  case CORRUPT_OCCLUSION:
    occlude(shares[which], &random, size, pixels);
    return NULL;
  default:
    return NULL;
  }
}
