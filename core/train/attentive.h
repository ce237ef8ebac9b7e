/* The keep-lists of mask mode `attentive` (A-CLIP, Yang et al. 2023): before an update the moving
 * average is updated with the weights and scores the batch's images (model/attentive.h), and the
 * patches with the largest scores are kept. This needs the weights of the previous update, so a
 * batch's patches are chosen, and the batch staged, after that update; none of it overlaps with the
 * device. */
#ifndef FLIP_TRAIN_ATTENTIVE_H
#define FLIP_TRAIN_ATTENTIVE_H

#include "train/optimizer.h"

typedef struct {
  const settings *s; /* not owned, nor is the model */
  clip_model *model;
  int64_t batch;  /* images at most */
  int64_t size;   /* of a scored image */
  uint8_t *small; /* [batch, size, size, 3]; NULL if images are scored at their own size */
  double *scores; /* [batch, scored patches] */
} attentive;

/* For up to `batch` images at once. On failure attentive_free still works. */
err attentive_make(attentive *a, const settings *s, clip_model *model,
                   int64_t batch) ERR_MUST_CHECK;
void attentive_free(attentive *a);

/* Momentum of the average in update `update` of `total`, counted from 0: rises from `first` to 1 by
 * a cosine, as in A-CLIP's released code. */
double attentive_momentum(double first, int64_t update, int64_t total);

/* Updates the average once, then computes index [count, kept patches] of images [count,
 * image.size²·3]. The weights must be settled. */
err attentive_choose(attentive *a, int64_t count, const uint8_t *images, double momentum,
                     int32_t *index) ERR_MUST_CHECK;

#endif
