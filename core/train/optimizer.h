/* AdamW over a model's parameters, and the learning-rate schedule. */
#ifndef FLIP_TRAIN_OPTIMIZER_H
#define FLIP_TRAIN_OPTIMIZER_H

#include <stdint.h>

#include "base/err.h"
#include "config/settings.h"
#include "model/clip.h"

typedef struct {
  clip_model *model; /* not owned */
  void *block;       /* device memory of both moments, the norm and the rates */
  ops_buffer m, v;   /* [params.total] master, same offsets as the parameters */
  ops_buffer norm_square;
  ops_buffer rates;      /* [3] as ops_adamw has them */
  double rates_wide[3];  /* what `rates` is copied from: in double, */
  float rates_narrow[3]; /* or in float, by the backend's master type */
} optimizer;

err optimizer_create(clip_model *model, optimizer *o) ERR_MUST_CHECK;
void optimizer_destroy(optimizer *o);

/* Call before ops.join: the values for update `step`, starting at 1. */
err optimizer_stage(optimizer *o, const settings *s, int64_t step,
                    double learning_rate) ERR_MUST_CHECK;
/* One update at the staged rates, clipping the gradients' global norm to clip_norm if that is not
 * 0. Waits for nothing. */
err optimizer_update(optimizer *o, const settings *s) ERR_MUST_CHECK;
/* The global gradient norm of the last update, before clipping; waits for it. */
err optimizer_read_norm(const optimizer *o, double *norm) ERR_MUST_CHECK;

/* Peak learning rate of a run: learning_rate, or base_learning_rate * batch_size / 256. */
double schedule_peak(const settings *s);
/* The rate of update `update`, counted from 0, of `total`: in the warm-up peak * update / warmup,
 * so that the first is 0 (FLIP's released code); then half a cosine, which would be 0 at `total`.
 */
double schedule_rate(double peak, int64_t update, int64_t warmup, int64_t total);

#endif
