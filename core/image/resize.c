/* Pillow's resize: separable, each output pixel a weighted sum of the input pixels under a bicubic
 * kernel that is widened when shrinking; weights in 22-bit fixed point, and 8 bits between the two
 * passes. The passes themselves are in resize_portable.c and resize_avx2.c. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "image/image.h"
#include "image/resize_passes.h"

static double bicubic(double x) {
  const double a = -0.5;
  x = fabs(x);
  if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
  if (x < 2.0) return (((x - 5) * x + 8) * x - 4) * a;
  return 0.0;
}

static double bilinear(double x) {
  x = fabs(x);
  return x < 1.0 ? 1.0 - x : 0.0;
}

static void free_kernel(resize_kernel *k) {
  free(k->starts);
  free(k->lengths);
  free(k->weights);
  free(k->parts);
  *k = (resize_kernel){0};
}

static err make_kernel(int32_t in_size, double in0, double in1, int32_t out_size, int32_t first,
                       int32_t count, image_filter filter, resize_kernel *k) {
  double scale = (in1 - in0) / (double)out_size, widened = scale < 1.0 ? 1.0 : scale;
  double support = (filter == IMAGE_BILINEAR ? 1.0 : 2.0) * widened;
  *k = (resize_kernel){.count = count, .taps = (int32_t)ceil(support) * 2 + 1};
  size_t weights = (size_t)count * (size_t)k->taps;
  k->starts = mem_zeroed((size_t)count, sizeof *k->starts);
  k->lengths = mem_zeroed((size_t)count, sizeof *k->lengths);
  k->weights = mem_zeroed(weights, sizeof *k->weights);
  double *row = mem_zeroed((size_t)k->taps, sizeof *row);
  if (!k->starts || !k->lengths || !k->weights || !row) {
    free(row);
    free_kernel(k);
    return mem_error(weights * sizeof *k->weights, "a resize kernel");
  }
  for (int32_t i = 0; i < count; i++) {
    double centre = in0 + ((double)(first + i) + 0.5) * scale, sum = 0;
    int32_t start = (int32_t)(centre - support + 0.5), end = (int32_t)(centre + support + 0.5);
    if (start < 0) start = 0;
    if (end > in_size) end = in_size;
    for (int32_t x = start; x < end; x++) {
      double distance = ((double)x - centre + 0.5) / widened;
      row[x - start] = filter == IMAGE_BILINEAR ? bilinear(distance) : bicubic(distance);
      sum += row[x - start];
    }
    k->starts[i] = start;
    k->lengths[i] = end - start;
    for (int32_t x = 0; x < end - start; x++) {
      double weight = row[x] / sum * (1 << RESIZE_PRECISION_BITS);
      k->weights[i * k->taps + x] = (int32_t)(weight < 0 ? weight - 0.5 : weight + 0.5);
    }
  }
  free(row);
  return NULL;
}

/* The weights again, in the order and the parts that AVX2 uses. */
static err split_weights(resize_kernel *k) {
  static const int places[16] = {0, 1, 0, 1, 0, 1, -1, -1, 2, 3, 2, 3, 2, 3, -1, -1};
  k->groups = (k->taps + RESIZE_GROUP - 1) / RESIZE_GROUP;
  size_t words = (size_t)k->count * (size_t)k->groups * RESIZE_GROUP_WORDS;
  k->parts = mem_zeroed(words, sizeof *k->parts);
  if (!k->parts) return mem_error(words * sizeof *k->parts, "a resize kernel");
  int16_t *to = k->parts;
  for (int32_t i = 0; i < k->count; i++)
    for (int32_t group = 0; group < k->groups; group++, to += RESIZE_GROUP_WORDS)
      for (int word = 0; word < 16; word++) {
        int32_t tap = group * RESIZE_GROUP + places[word];
        if (places[word] < 0 || tap >= k->lengths[i]) continue;
        int32_t weight = k->weights[i * k->taps + tap];
        to[word] = (int16_t)(weight >> RESIZE_LOW_BITS);
        to[16 + word] = (int16_t)(weight & ((1 << RESIZE_LOW_BITS) - 1));
      }
  return NULL;
}

err image_resize_with(const resize_passes *passes, const image *from, const image_resizing *how,
                      uint8_t *out) {
  resize_kernel across = {0}, down = {0};
  uint8_t *middle = NULL;
  size_t stride = (size_t)how->columns * 3, in_stride = (size_t)from->width * 3;
  err error = make_kernel(from->width, how->box.left, how->box.right, how->width, how->left,
                          how->columns, how->filter, &across);
  if (error) return error;
  TRY(make_kernel(from->height, how->box.top, how->box.bottom, how->height, how->top, how->rows,
                  how->filter, &down));
  if (passes == resize_avx2_passes()) TRY(split_weights(&across));
  int32_t first = down.starts[0];
  int32_t last = down.starts[down.count - 1] + down.lengths[down.count - 1];
  middle = mem_aligned((size_t)(last - first) * stride);
  if (!middle) {
    error = mem_error((size_t)(last - first) * stride, "resizing");
    goto cleanup;
  }
  passes->across(from->pixels + (size_t)first * in_stride, in_stride, last - first,
                 (size_t)(from->height - last + 1) * in_stride, &across, how->is_flipped, middle,
                 stride);
  for (int32_t i = 0; i < down.count; i++)
    passes->down(middle + (size_t)(down.starts[i] - first) * stride, stride,
                 down.weights + (size_t)i * (size_t)down.taps, down.lengths[i],
                 out + (size_t)i * stride);
cleanup:
  free_kernel(&across);
  free_kernel(&down);
  free(middle);
  return error;
}

err image_resize(const image *from, const image_resizing *how, uint8_t *out) {
  const resize_passes *fast = resize_avx2_passes();
  return image_resize_with(fast ? fast : resize_portable_passes(), from, how, out);
}

/* torchvision's CenterCrop rounds half to even; transformers rounds down. */
static int32_t margin(int64_t whole, int64_t part, bool is_floored) {
  double half = (double)(whole - part) / 2.0;
  return (int32_t)(is_floored ? floor(half) : nearbyint(half));
}

/* Resizes the longer side to `size` and pads the other, as open_clip's ResizeKeepRatio and
 * CenterCropOrPad do. */
static err prepare_longest(const image *from, const image_preparation *how, uint8_t *out) {
  int64_t size = how->size;
  double ratio = (double)(from->width > from->height ? from->width : from->height) / (double)size;
  int64_t width = (int64_t)nearbyint(from->width / ratio);
  int64_t height = (int64_t)nearbyint(from->height / ratio);
  if (width < 1 || height < 1)
    return err_new(ERR_INPUT,
                   "an image of %d x %d pixels cannot be resized to %ld: one side would vanish",
                   from->width, from->height, (long)size);
  image small;
  err error = image_allocate(width, height, &small);
  if (error) return error;
  const image_resizing resizing = {.box = {0, 0, from->width, from->height},
                                   .width = small.width,
                                   .height = small.height,
                                   .columns = small.width,
                                   .rows = small.height,
                                   .filter = how->filter};
  error = image_resize(from, &resizing, small.pixels);
  memset(out, how->fill, (size_t)(size * size * 3));
  int64_t left = (size - width) / 2, top = (size - height) / 2;
  for (int64_t y = 0; y < height && !error; y++)
    memcpy(out + 3 * ((top + y) * size + left), small.pixels + 3 * y * width, (size_t)(3 * width));
  image_free(&small);
  return error;
}

/* The coefficients of a longer side would take gigabytes; only the middle of it is used. */
enum { MOST_SIDE = 1 << 24 };

err image_prepare(const image *from, const image_preparation *how, uint8_t *out) {
  if (how->fit == IMAGE_LONGEST) return prepare_longest(from, how, out);
  int64_t size = how->size, side = how->resize_to, width = side, height = side;
  if (how->fit == IMAGE_SHORTEST && from->width > from->height)
    width = side * from->width / from->height;
  else if (how->fit == IMAGE_SHORTEST)
    height = side * from->height / from->width;
  if (width > MOST_SIDE || height > MOST_SIDE)
    return err_new(ERR_INPUT,
                   "an image of %d x %d pixels cannot be resized to %ld: it would be %ld x %ld",
                   from->width, from->height, (long)side, (long)width, (long)height);
  image_resizing resizing = {.box = {0, 0, from->width, from->height},
                             .width = (int32_t)width,
                             .height = (int32_t)height,
                             .columns = (int32_t)size,
                             .rows = (int32_t)size,
                             .filter = how->filter};
  resizing.left = margin(resizing.width, size, how->is_floored);
  resizing.top = margin(resizing.height, size, how->is_floored);
  return image_resize(from, &resizing, out);
}

image_preparation image_preparation_of(const settings *s) {
  int64_t resize_to = s->image_resize_to ? s->image_resize_to : s->image_size;
  return (image_preparation){s->image_size,
                             resize_to,
                             (image_fit)s->image_resize_mode,
                             (image_filter)s->image_interpolation,
                             s->image_crop == CROP_FLOOR,
                             (uint8_t)s->image_fill};
}

err image_eval_transform(const image *from, int64_t size, uint8_t *out) {
  const image_preparation how = {.size = size, .resize_to = size};
  return image_prepare(from, &how, out);
}

err image_train_transform(const image *from, const image_augmentation *a, rng *random, int64_t size,
                          uint8_t *out) {
  double width = from->width, height = from->height;
  image_resizing how = {.width = (int32_t)size,
                        .height = (int32_t)size,
                        .columns = (int32_t)size,
                        .rows = (int32_t)size};
  bool is_found = false;
  for (int attempt = 0; attempt < 10 && !is_found; attempt++) {
    double area = width * height * (a->area_min + (a->area_max - a->area_min) * rng_double(random));
    double low = log(a->ratio_min), high = log(a->ratio_max);
    double ratio = exp(low + (high - low) * rng_double(random));
    double w = nearbyint(sqrt(area * ratio)), h = nearbyint(sqrt(area / ratio));
    if (w < 1 || h < 1 || w > width || h > height) continue;
    double left = rng_below(random, (uint32_t)(width - w) + 1);
    double top = rng_below(random, (uint32_t)(height - h) + 1);
    how.box = (image_box){left, top, left + w, top + h};
    is_found = true;
  }
  if (!is_found) {
    double side = fmax(floor(IMAGE_FALLBACK_SHARE * fmin(width, height)), 1);
    double left = floor((width - side + 1) / 2), top = floor((height - side + 1) / 2);
    how.box = (image_box){left, top, left + side, top + side};
  }
  how.is_flipped = a->flip && rng_u32(random) >> 31;
  return image_resize(from, &how, out);
}
