/* Mixup (Zhang et al. 2018) and CutMix (Yun et al. 2019) of a batch with its reverse, as timm's
 * Mixup in batch mode: image i is mixed with image count - 1 - i. timm draws once for a process's
 * batch; classification.mix_batch divides a larger one into such groups. */
#ifndef FLIP_TRAIN_MIX_H
#define FLIP_TRAIN_MIX_H

#include <stdbool.h>
#include <stdint.h>

#include "base/rng.h"
#include "config/settings.h"

typedef struct {
  double share;                           /* of the image itself, and of its label; 1: not mixed */
  bool is_cut;                            /* CutMix: a box is replaced by the other image's */
  int64_t left, top, right, bottom, size; /* of the box, within size x size */
} mix;

/* How a group of images of update `step` is mixed, both counted from 0: mixup's share is drawn from
 * Beta(mixup, mixup); CutMix, used in half of the draws if both are on, draws 1 - (area) from
 * Beta(cutmix, cutmix) and takes a box of that area around a point of the image. `share` is that of
 * the box within the image. */
mix mix_draw(const settings *s, int64_t step, int64_t group);

/* How the samples with these numbers in the run are mixed, each by the draw of its group of
 * settings_mix_batch samples. */
void mix_draw_batch(const settings *s, const int64_t *numbers, int64_t count, mix *out);

/* `from` [count, size, size, 3] mixed into `to`, image i with image count - 1 - i as m[i] says,
 * which has the size of all. Mixed values are rounded to nearest, as in timm's FastCollateMixup: at
 * most half a grey level from a mixture of real numbers. */
void mix_images(const mix *m, int64_t count, const uint8_t *from, uint8_t *to);

/* Beta(alpha, alpha). */
double mix_beta(double alpha, rng *random);

#endif
