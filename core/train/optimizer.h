/* AdamW over a model's parameters, and the learning-rate schedule. */
#ifndef FLIP_TRAIN_OPTIMIZER_H
#define FLIP_TRAIN_OPTIMIZER_H

#include <stdint.h>

#include "base/err.h"
#include "config/settings.h"
#include "model/clip.h"

typedef struct {
  clip_model *model; /* not owned */
  void *block;       /* device memory of both moments and the norm */
  ops_buffer m, v;   /* [params.total] master, same offsets as the parameters */
  ops_buffer norm;   /* [1] */
} optimizer;

err optimizer_create(clip_model *model, optimizer *o) ERR_MUST_CHECK;
void optimizer_destroy(optimizer *o);

/* The global gradient norm. */
err optimizer_gradient_norm(optimizer *o, double *norm) ERR_MUST_CHECK;
/* One update; step is 1 at the first. gradient_scale multiplies the gradients (clipping).
 * logit_scale is clipped afterwards. */
err optimizer_update(optimizer *o, const settings *s, int64_t step, double learning_rate,
                     double gradient_scale) ERR_MUST_CHECK;

/* Peak learning rate of a run: learning_rate, or base_learning_rate * batch_size / 256. */
double schedule_peak(const settings *s);
/* Linear warm-up from 0 over warmup_steps, then half a cosine to 0 at total_steps. `step` is the
 * number of the update about to be made, from 1: the last one still moves a little. */
double schedule_rate(double peak, int64_t step, int64_t warmup_steps, int64_t total_steps);

#endif
