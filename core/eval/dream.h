/* Feature visualisation: optimises the pixels of an image to maximise the model's score for a text.
 * It shows what the model responds to. It is not an image generator: the only prior is smoothness,
 * and patterns that mean nothing to people can score high.
 *
 * The canvas is a sum of grids from 4 x 4 up to its own size (coarse shapes first), through a
 * sigmoid. Every step scores random views of it (crops of at least half the area, mirrored with
 * probability 1/2, with random contrast and brightness) and updates the grids with Adam along the
 * gradient of the mean score. The same options give the same image. */
#ifndef FLIP_EVAL_DREAM_H
#define FLIP_EVAL_DREAM_H

#include <stdint.h>

#include "base/err.h"
#include "model/clip.h"

typedef struct {
  int64_t size; /* side of the image in pixels */
  int64_t steps;
  int64_t views;     /* per step; the model's limits.micro_batch */
  double rate;       /* Adam's */
  double smoothness; /* weight of the mean squared difference of neighbours */
  uint64_t seed;
} dream_options;

typedef struct {
  double first, last; /* the text's score of the whole image before and after */
} dream_result;

/* Called after every step with the mean score of its views; may be NULL. */
typedef void (*dream_watch)(void *context, int64_t step, double score);

/* text [embed]: unit length. pixels [size, size, 3]. For the model, see clip_pixel_gradient. */
err dream_paint(clip_model *model, const float *text, const dream_options *options,
                dream_watch watch, void *context, uint8_t *pixels,
                dream_result *result) ERR_MUST_CHECK;

#endif
