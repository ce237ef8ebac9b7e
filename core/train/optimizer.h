/* AdamW over a model's parameters, and the learning-rate schedule. */
#ifndef FLIP_TRAIN_OPTIMIZER_H
#define FLIP_TRAIN_OPTIMIZER_H

#include <stdint.h>

#include "base/err.h"
#include "config/settings.h"
#include "model/clip.h"

/* A run of neighbouring parameters that are updated at one rate. */
typedef struct {
  int64_t first, count;
  bool is_decayed; /* all of it; where there is one run only, the table's `decayed` counts */
  int depth;       /* which of the rates */
} optimizer_run;

typedef struct {
  clip_model *model; /* not owned */
  void *block;       /* device memory of both moments, the norm and the rates */
  ops_buffer m, v;   /* [params.total] master, same offsets as the parameters */
  ops_buffer norm_square;
  ops_buffer rates;    /* [depths, 3] as ops_adamw has them */
  double *rates_wide;  /* what `rates` is copied from: in double, */
  float *rates_narrow; /* or in float, by the backend's master type */
  int depths;          /* rates that differ; 1: all parameters have the run's */
  double layer_decay;
  optimizer_run *runs;
  size_t run_count;
} optimizer;

err optimizer_create(clip_model *model, optimizer *o) ERR_MUST_CHECK;
/* The same with layer-wise rates (BEiT, MAE): the head and the last norm have the run's rate, a
 * block layer_decay times the rate of what comes after it, and what is in front of the first block
 * (patch embedding, class token, positions) layer_decay times the first block's. */
err optimizer_create_layered(clip_model *model, double layer_decay, optimizer *o) ERR_MUST_CHECK;
/* Blocks between a tensor of the image tower and the head: 0 for the head and the last norm,
 * `layers` for the first block, layers + 1 for what is in front of it. */
int optimizer_depth_of(const char *name, int64_t layers);
void optimizer_destroy(optimizer *o);

/* Before ops.join: the numbers of update `step`, which is 1 at the first. */
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
