/* Images as 8-bit RGB: decoding, and resizing equal to Pillow's. */
#ifndef FLIP_IMAGE_IMAGE_H
#define FLIP_IMAGE_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/rng.h"
#include "config/settings.h"

typedef struct {
  int32_t width, height;
  uint8_t *pixels; /* [height, width, 3] */
} image;

/* Decodes JPEG, PNG, WebP or PPM by their magic bytes. The result is RGB as from Pillow's
 * convert("RGB"): alpha dropped, EXIF orientation not applied, 16-bit colour reduced to the high
 * byte, 16-bit grey clipped at 255; of a WebP animation the first frame. least_side > 0 allows a
 * JPEG to be decoded at a smaller scale whose shorter side is still at least that. More than 1 GiB
 * of pixels is rejected. */
err image_decode(const void *bytes, size_t size, int32_t least_side, image *out) ERR_MUST_CHECK;
void image_free(image *i);

/* The codecs behind it (jpeg.c, png.c). */
err image_decode_jpeg(const void *bytes, size_t size, int32_t least_side,
                      image *out) ERR_MUST_CHECK;
/* Baseline JPEG of quality 1 to 100, 4:2:0, as Pillow's save(…, quality=Q); the caller frees. */
err image_encode_jpeg(const image *from, int quality, uint8_t **bytes, size_t *size) ERR_MUST_CHECK;
err image_decode_png(const void *bytes, size_t size, image *out) ERR_MUST_CHECK;
/* An error for a size beyond the limit of image_decode. */
err image_check_size(int64_t width, int64_t height) ERR_MUST_CHECK;
/* Allocates the pixels after checking the size. */
err image_allocate(int64_t width, int64_t height, image *out) ERR_MUST_CHECK;

/* Part of an image, in pixels of the source; may be fractional. */
typedef struct {
  double left, top, right, bottom;
} image_box;

/* Pillow's BICUBIC (a = -0.5) and BILINEAR. */
typedef enum { IMAGE_BICUBIC, IMAGE_BILINEAR } image_filter;

/* Antialiased resize with the arithmetic of Pillow's resize(…, filter, box): box is stretched to
 * width x height, of which the window [left, left + columns) x [top, top + rows) is written to out
 * [rows, columns, 3], mirrored left to right if is_flipped. */
typedef struct {
  image_box box;
  int32_t width, height, left, top, columns, rows;
  bool is_flipped;
  image_filter filter;
} image_resizing;
err image_resize(const image *from, const image_resizing *how, uint8_t *out) ERR_MUST_CHECK;

/* How an image becomes a model's input in evaluation (docs/models.md): resize, then centre crop. */
typedef enum {
  IMAGE_SHORTEST, /* the shorter side is resized to resize_to */
  IMAGE_SQUASH,   /* both sides are */
  IMAGE_LONGEST   /* the longer side is resized to `size`, the rest padded with `fill` */
} image_fit;
typedef struct {
  int64_t size, resize_to; /* resize_to is at least size */
  image_fit fit;
  image_filter filter;
  bool is_floored; /* an odd margin is rounded down (transformers); else to even (torchvision) */
  uint8_t fill;
} image_preparation;

/* As given by a model's settings. */
image_preparation image_preparation_of(const settings *s);
/* out [size, size, 3]. */
err image_prepare(const image *from, const image_preparation *how, uint8_t *out) ERR_MUST_CHECK;
/* CLIP's: shorter side to `size`, bicubic, centre crop. */
err image_eval_transform(const image *from, int64_t size, uint8_t *out) ERR_MUST_CHECK;

/* FLIP's training augmentation: a crop of random area and aspect ratio, stretched to size x size;
 * mirrored with probability 1/2. After ten rejected draws, the central square of 224/256 of the
 * shorter side, as in the released code (torchvision takes the largest centred part with an allowed
 * aspect ratio). */
#define IMAGE_FALLBACK_SHARE 0.875
typedef struct {
  double area_min, area_max, ratio_min, ratio_max;
  bool flip;
} image_augmentation;
err image_train_transform(const image *from, const image_augmentation *a, rng *random, int64_t size,
                          uint8_t *out) ERR_MUST_CHECK;

#endif
