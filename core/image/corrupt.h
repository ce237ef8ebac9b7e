/* Reproducible image corruptions for robustness tests, after ImageNet-C (Hendrycks
 * and Dietterich, ICLR 2019), whose five strengths each kind has.
 *
 *   gaussian_noise  + normal noise on values in [0, 1]; deviation 0.08, 0.12, 0.18, 0.26, 0.38
 *   gaussian_blur   sigma 1, 2, 3, 4, 6 pixels of an image of 224, scaled to its side; edges
 * repeated jpeg            written as JPEG of quality 25, 18, 15, 10, 7 (4:2:0) and read again
 *   contrast        drawn towards each channel's mean: 0.4, 0.3, 0.2, 0.1, 0.05 of the contrast is
 * left occlusion       a grey square over 10, 20, 30, 40, 50 % of the image at a random place
 * (ours)
 *
 * Noise, JPEG and contrast do not depend on the image's size. Values are rounded to the nearest
 * grey level, where ImageNet-C's program cuts them off and stores the result as a JPEG once more.
 */
#ifndef FLIP_IMAGE_CORRUPT_H
#define FLIP_IMAGE_CORRUPT_H

#include <stdint.h>

#include "base/err.h"

typedef enum {
  CORRUPT_NONE,
  CORRUPT_NOISE,
  CORRUPT_BLUR,
  CORRUPT_JPEG,
  CORRUPT_CONTRAST,
  CORRUPT_OCCLUSION,
  CORRUPT_KINDS,
  CORRUPT_ALL = CORRUPT_KINDS /* each image gets its own kind */
} corrupt_kind;

enum { CORRUPT_STRENGTHS = 5 };

/* strength in [1, CORRUPT_STRENGTHS]; 0: each image gets its own. With both left open, images i to
 * i + 24 cover all 25 combinations. */
typedef struct {
  corrupt_kind kind;
  int strength;
} image_corruption;

/* "none", "gaussian_noise", …; CORRUPT_ALL: "all". */
const char *corrupt_name(corrupt_kind kind);

/* The corruption applied to image `index`. */
image_corruption corrupt_choose(const image_corruption *c, int64_t index);

/* Changes pixels [size, size, 3]. Random numbers depend only on kind, strength and index. */
err corrupt_image(const image_corruption *c, int64_t index, int32_t size,
                  uint8_t *pixels) ERR_MUST_CHECK;

#endif
