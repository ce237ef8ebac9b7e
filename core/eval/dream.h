/* An image that a model likes for a text: pixels optimised under the model's score. It shows what
 * the model looks for. It is no generator of pictures: there is no prior of how pictures look but
 * smoothness, and a model's liking can be had by patterns that mean nothing to people.
 *
 * The canvas is a sum of grids from 4 x 4 up to its own size (coarse shapes first), through a
 * sigmoid. Every step scores random views of it (crops of half of the area or more, mirrored half
 * of the time, of random contrast and brightness) and moves the grids by Adam along the mean
 * score's gradient. The same options give the same image. */
#ifndef FLIP_EVAL_DREAM_H
#define FLIP_EVAL_DREAM_H

#include <stdint.h>

#include "base/err.h"
#include "model/clip.h"

typedef struct {
  int64_t size; /* side of the image in pixels */
  int64_t steps;
  int64_t views;     /* a step; the model's limits.micro_batch */
  double rate;       /* Adam's */
  double smoothness; /* weight of the mean squared difference of neighbours */
  uint64_t seed;
} dream_options;

typedef struct {
  double first, last; /* the text's score of the whole image before and after */
} dream_result;

/* Called after every step with the mean score of its views; may be NULL. */
typedef void (*dream_watch)(void *context, int64_t step, double score);

/* text [embed]: of unit length. pixels [size, size, 3]. The model: as clip_pixel_gradient wants it.
 */
err dream_paint(clip_model *model, const float *text, const dream_options *options,
                dream_watch watch, void *context, uint8_t *pixels,
                dream_result *result) ERR_MUST_CHECK;

#endif
