/* RandAugment (Cubuk et al. 2020) as timm's rand-mM-mstdD-inc1, which MAE, BEiT and FLIP's Table 12
 * use for fine-tuning: operations drawn with replacement, each applied with probability 0.5 at a
 * magnitude drawn from normal(M, D) and clipped to [0, 10]. Each operation gives Pillow's pixels.
 */
#ifndef FLIP_IMAGE_AUGMENT_H
#define FLIP_IMAGE_AUGMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/rng.h"

typedef enum {
  AUGMENT_AUTO_CONTRAST,
  AUGMENT_EQUALIZE,
  AUGMENT_INVERT,
  AUGMENT_ROTATE,
  AUGMENT_POSTERIZE,
  AUGMENT_SOLARIZE,
  AUGMENT_SOLARIZE_ADD,
  AUGMENT_COLOR,
  AUGMENT_CONTRAST,
  AUGMENT_BRIGHTNESS,
  AUGMENT_SHARPNESS,
  AUGMENT_SHEAR_X,
  AUGMENT_SHEAR_Y,
  AUGMENT_TRANSLATE_X,
  AUGMENT_TRANSLATE_Y,
  AUGMENT_OPERATIONS
} augment_operation;

/* The argument of an operation at a magnitude in [0, 10]: degrees up to 30, bits kept, a
 * threshold, grey levels added, a factor, a shear up to 0.3, a shift up to 0.45 of the side. If
 * it has a sign (rotate, color to sharpness, shear, shift), is_negative negates it. */
double augment_argument(augment_operation operation, double magnitude, bool is_negative);

/* Changes pixels [size, size, 3]. fill: the colour outside a rotated, sheared or shifted image.
 * Bicubic interpolation. */
err augment_apply(augment_operation operation, double argument, const uint8_t fill[3], int32_t size,
                  uint8_t *pixels) ERR_MUST_CHECK;

typedef struct {
  double magnitude, deviation; /* magnitude 0: nothing is done */
  int operations;              /* drawn for an image */
  uint8_t fill[3];             /* the mean colour, 255 times the pixels' mean */
} rand_augment;

err rand_augment_image(const rand_augment *a, rng *random, int32_t size,
                       uint8_t *pixels) ERR_MUST_CHECK;

#endif
