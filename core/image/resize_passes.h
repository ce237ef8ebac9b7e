/* Internal to resize.c: the two passes, portable and with AVX2, with bit-identical results. */
#ifndef FLIP_IMAGE_RESIZE_PASSES_H
#define FLIP_IMAGE_RESIZE_PASSES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "image/image.h"

enum {
  RESIZE_PRECISION_BITS = 32 - 8 - 2,
  RESIZE_LOW_BITS = 11, /* of a weight: both parts fit 16 bits */
  RESIZE_GROUP = 4,     /* taps that AVX2 takes at once */
  RESIZE_GROUP_WORDS = 32
};

/* Weights of `count` output pixels, from the start of the window. */
typedef struct {
  int32_t count, taps, groups;
  int32_t *starts, *lengths; /* [count] input pixels under each output pixel */
  int32_t *weights;          /* [count, taps] */
  /* [count, groups, 32]: for four taps the high parts of their weights, w >> 11, then the low ones,
   * each as 0 1 0 1 0 1 - - 2 3 2 3 2 3 - -; NULL without AVX2 */
  int16_t *parts;
} resize_kernel;

typedef struct {
  /* Filters `rows` rows of input pixels into as many rows of k->count output pixels. readable:
   * bytes that may be read from the start of the last row on. */
  void (*across)(const uint8_t *in, size_t in_stride, int32_t rows, size_t readable,
                 const resize_kernel *k, bool is_flipped, uint8_t *out, size_t out_stride);
  /* One row of output [stride] from the `rows` rows under it. */
  void (*down)(const uint8_t *in, size_t stride, const int32_t *weights, int32_t rows,
               uint8_t *out);
} resize_passes;

const resize_passes *resize_portable_passes(void);
/* NULL where the processor has no AVX2. */
const resize_passes *resize_avx2_passes(void);

/* image_resize with these passes. */
err image_resize_with(const resize_passes *passes, const image *from, const image_resizing *how,
                      uint8_t *out) ERR_MUST_CHECK;

static inline uint8_t resize_to_byte(int32_t sum) {
  int32_t value = sum >> RESIZE_PRECISION_BITS;
  return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

#endif
