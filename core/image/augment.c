#include "image/augment.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { LEVELS = 256, CHANNELS = 3 };
static const double most_magnitude = 10;

/* ---- operations that look up each value in a table of its channel ---- */

typedef uint8_t lookup[CHANNELS][LEVELS];

static void apply_lookup(lookup table, int32_t size, uint8_t *pixels) {
  int64_t count = (int64_t)size * size;
  for (int64_t i = 0; i < count; i++)
    for (int c = 0; c < CHANNELS; c++) pixels[i * 3 + c] = table[c][pixels[i * 3 + c]];
}

static void count_levels(const uint8_t *pixels, int32_t size, int channel, int64_t counts[LEVELS]) {
  memset(counts, 0, LEVELS * sizeof *counts);
  int64_t count = (int64_t)size * size;
  for (int64_t i = 0; i < count; i++) counts[pixels[i * 3 + channel]]++;
}

/* The darkest value becomes 0, the lightest 255. */
static void fill_auto_contrast(const int64_t counts[LEVELS], uint8_t table[LEVELS]) {
  int low = 0, high = LEVELS - 1;
  while (low < LEVELS - 1 && !counts[low]) low++;
  while (high > 0 && !counts[high]) high--;
  double scale = high > low ? 255.0 / (high - low) : 1, offset = high > low ? -low * scale : 0;
  for (int i = 0; i < LEVELS; i++) {
    int value = (int)(i * scale + offset);
    table[i] = (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
  }
}

/* Equalises the histogram, as evenly as integer steps allow. */
static void fill_equalize(const int64_t counts[LEVELS], uint8_t table[LEVELS]) {
  int64_t sum = 0, last = 0, present = 0;
  for (int i = 0; i < LEVELS; i++) {
    if (!counts[i]) continue;
    sum += counts[i];
    last = counts[i];
    present++;
  }
  int64_t step = (sum - last) / 255, n = step / 2;
  for (int i = 0; i < LEVELS; i++) {
    bool is_changed = present > 1 && step > 0;
    int64_t value = is_changed ? n / step : i;
    table[i] = (uint8_t)(value > 255 ? 255 : value);
    n += counts[i];
  }
}

static uint8_t looked_up(augment_operation operation, int argument, int value) {
  switch (operation) {
  case AUGMENT_INVERT:
    return (uint8_t)(255 - value);
  case AUGMENT_POSTERIZE:
    return (uint8_t)(argument >= 8 ? value : value & ~((1 << (8 - argument)) - 1));
  case AUGMENT_SOLARIZE:
    return (uint8_t)(value < argument ? value : 255 - value);
  default: /* solarize_add */
    return (uint8_t)(value >= 128 ? value : value + argument > 255 ? 255 : value + argument);
  }
}

static void apply_values(augment_operation operation, int argument, int32_t size, uint8_t *pixels) {
  lookup table;
  int64_t counts[LEVELS];
  for (int c = 0; c < CHANNELS; c++) {
    bool is_counted = operation == AUGMENT_AUTO_CONTRAST || operation == AUGMENT_EQUALIZE;
    if (is_counted) count_levels(pixels, size, c, counts);
    if (operation == AUGMENT_AUTO_CONTRAST) fill_auto_contrast(counts, table[c]);
    if (operation == AUGMENT_EQUALIZE) fill_equalize(counts, table[c]);
    for (int i = 0; i < LEVELS && !is_counted; i++) table[c][i] = looked_up(operation, argument, i);
  }
  apply_lookup(table, size, pixels);
}

/* ---- operations that blend with a degenerate image ---- */

/* Interpolates (or extrapolates) between `from` at factor 0 and `to` at 1; truncates to an integer.
 */
static uint8_t blend(int from, int to, float factor) {
  float value = (float)from + factor * (float)(to - from);
  return (uint8_t)(value <= 0 ? 0 : value >= 255 ? 255 : value);
}

static int grey(const uint8_t *pixel) {
  return (pixel[0] * 19595 + pixel[1] * 38470 + pixel[2] * 7471 + 0x8000) >> 16;
}

static int mean_grey(const uint8_t *pixels, int64_t count) {
  double sum = 0;
  for (int64_t i = 0; i < count; i++) sum += grey(pixels + i * 3);
  return (int)(sum / (double)count + 0.5);
}

static void apply_blend(augment_operation operation, float factor, int32_t size, uint8_t *pixels) {
  int64_t count = (int64_t)size * size;
  int level = operation == AUGMENT_CONTRAST ? mean_grey(pixels, count) : 0; /* brightness: black */
  for (int64_t i = 0; i < count; i++) {
    uint8_t *pixel = pixels + i * 3;
    if (operation == AUGMENT_COLOR) level = grey(pixel);
    for (int c = 0; c < CHANNELS; c++) pixel[c] = blend(level, pixel[c], factor);
  }
}

/* For a pixel that is not at the edge: the mean of the 3 x 3 pixels around it, with its own
 * weighted five times, rounded to nearest. */
static int smoothed(const uint8_t *at, int64_t stride) {
  int sum = 4 * at[0];
  for (int y = -1; y <= 1; y++)
    for (int x = -1; x <= 1; x++) sum += at[y * stride + x * CHANNELS];
  return (2 * sum + 13) / 26;
}

/* Edge pixels are unchanged. */
static void apply_sharpness(float factor, int32_t size, const uint8_t *from, uint8_t *pixels) {
  int64_t stride = (int64_t)size * CHANNELS;
  for (int32_t y = 1; y + 1 < size; y++)
    for (int64_t i = CHANNELS; i < stride - CHANNELS; i++) {
      const uint8_t *at = from + y * stride + i;
      pixels[y * stride + i] = blend(smoothed(at, stride), *at, factor);
    }
}

/* ---- operations that move pixels ---- */

/* Maps the pixel (x, y) of the result to (a x + b y + c, d x + e y + f) in the image. */
typedef struct {
  double a, b, c, d, e, f;
} affine;

static double rounded(double value) {
  return rint(value * 1e15) / 1e15;
}

static affine map_of(augment_operation operation, double argument, int32_t size) {
  affine m = {.a = 1, .e = 1};
  switch (operation) {
  case AUGMENT_SHEAR_X:
    m.b = argument;
    break;
  case AUGMENT_SHEAR_Y:
    m.d = argument;
    break;
  case AUGMENT_TRANSLATE_X:
    m.c = argument * size;
    break;
  case AUGMENT_TRANSLATE_Y:
    m.f = argument * size;
    break;
  default: { /* rotate, counter-clockwise around the centre */
    double angle = -argument * 3.141592653589793 / 180, centre = size / 2.0;
    m.a = m.e = rounded(cos(angle));
    m.b = rounded(sin(angle));
    m.d = rounded(-sin(angle));
    m.c = m.a * -centre + m.b * -centre + centre;
    m.f = m.d * -centre + m.e * -centre + centre;
  }
  }
  return m;
}

/* Pillow's cubic for transforms (a = -1). */
static double cubic(double v1, double v2, double v3, double v4, double d) {
  double p2 = -v1 + v3, p3 = 2 * (v1 - v2) + v3 - v4, p4 = -v1 + v2 - v3 + v4;
  return v2 + d * (p2 + d * (p3 + d * p4));
}

static int32_t clipped(int32_t at, int32_t size) {
  return at < 0 ? 0 : at >= size ? size - 1 : at;
}

/* The value at (x, y), both inside the image; pixel centres are at halves. Rows beyond the edge
 * repeat the edge row. */
static uint8_t interpolate(const uint8_t *from, int32_t size, int channel, double x, double y) {
  int32_t left = (int32_t)floor(x - 0.5), top = (int32_t)floor(y - 0.5);
  double dx = x - 0.5 - left, dy = y - 0.5 - top, rows[4];
  for (int r = 0; r < 4; r++) {
    int32_t row = top - 1 + r;
    if (r > 0 && (row < 0 || row >= size)) {
      rows[r] = rows[r - 1];
      continue;
    }
    const uint8_t *line = from + (int64_t)clipped(row, size) * size * CHANNELS + channel;
    double v[4];
    for (int i = 0; i < 4; i++) v[i] = line[clipped(left - 1 + i, size) * CHANNELS];
    rows[r] = cubic(v[0], v[1], v[2], v[3], dx);
  }
  double value = cubic(rows[0], rows[1], rows[2], rows[3], dy);
  return (uint8_t)(value <= 0 ? 0 : value >= 255 ? 255 : value);
}

static void apply_map(const affine *m, const uint8_t fill[3], int32_t size, const uint8_t *from,
                      uint8_t *pixels) {
  for (int32_t row = 0; row < size; row++)
    for (int32_t column = 0; column < size; column++) {
      double x = column + 0.5, y = row + 0.5;
      double from_x = m->a * x + m->b * y + m->c, from_y = m->d * x + m->e * y + m->f;
      bool is_inside = from_x >= 0 && from_x < size && from_y >= 0 && from_y < size;
      uint8_t *pixel = pixels + ((int64_t)row * size + column) * CHANNELS;
      for (int c = 0; c < CHANNELS; c++)
        pixel[c] = is_inside ? interpolate(from, size, c, from_x, from_y) : fill[c];
    }
}

/* ---- all of them ---- */

double augment_argument(augment_operation operation, double magnitude, bool is_negative) {
  double level = magnitude / most_magnitude, sign = is_negative ? -1 : 1;
  switch (operation) {
  case AUGMENT_ROTATE:
    return sign * level * 30;
  case AUGMENT_POSTERIZE:
    return 4 - floor(level * 4);
  case AUGMENT_SOLARIZE:
    return 256 - floor(level * 256);
  case AUGMENT_SOLARIZE_ADD:
    return floor(level * 110);
  case AUGMENT_COLOR:
  case AUGMENT_CONTRAST:
  case AUGMENT_BRIGHTNESS:
  case AUGMENT_SHARPNESS:
    return fmax(0.1, 1 + sign * level * 0.9);
  case AUGMENT_SHEAR_X:
  case AUGMENT_SHEAR_Y:
    return sign * level * 0.3;
  case AUGMENT_TRANSLATE_X:
  case AUGMENT_TRANSLATE_Y:
    return sign * level * 0.45;
  default:
    return 0;
  }
}

err augment_apply(augment_operation operation, double argument, const uint8_t fill[3], int32_t size,
                  uint8_t *pixels) {
  if (operation < AUGMENT_COLOR && operation != AUGMENT_ROTATE) {
    apply_values(operation, (int)argument, size, pixels);
    return NULL;
  }
  if (operation >= AUGMENT_COLOR && operation < AUGMENT_SHARPNESS) {
    apply_blend(operation, (float)argument, size, pixels);
    return NULL;
  }
  size_t bytes = (size_t)size * (size_t)size * CHANNELS;
  uint8_t *before = mem_zeroed(1, bytes);
  if (!before) return mem_error(bytes, "an augmented image");
  memcpy(before, pixels, bytes);
  if (operation == AUGMENT_SHARPNESS) {
    apply_sharpness((float)argument, size, before, pixels);
  } else {
    affine map = map_of(operation, argument, size);
    apply_map(&map, fill, size, before, pixels);
  }
  free(before);
  return NULL;
}

err rand_augment_image(const rand_augment *a, rng *random, int32_t size, uint8_t *pixels) {
  err error = NULL;
  for (int i = 0; i < a->operations && a->magnitude > 0 && !error; i++) {
    augment_operation operation = (augment_operation)rng_below(random, AUGMENT_OPERATIONS);
    bool is_applied = rng_double(random) < 0.5, is_negative = rng_double(random) < 0.5;
    double magnitude = a->magnitude + a->deviation * rng_normal(random);
    magnitude = fmin(fmax(magnitude, 0), most_magnitude);
    if (is_applied)
      error = augment_apply(operation, augment_argument(operation, magnitude, is_negative), a->fill,
                            size, pixels);
  }
  return error;
}
