/* AdamW over a model's parameters, and the learning-rate schedule.
 *
 * On several ranks the gradients' norm is computed from sums over fixed blocks, of which a sharded
 * optimizer computes only those of its slices. A sharded optimizer (ZeRO-1, Rajbhandari et al.
 * 2020) has the moments of this rank's slices only, updates those, and gathers the weights; the
 * bits are the same as without sharding. */
#ifndef FLIP_TRAIN_OPTIMIZER_H
#define FLIP_TRAIN_OPTIMIZER_H

#include <stdint.h>

#include "base/err.h"
#include "config/settings.h"
#include "model/clip.h"
#include "train/buckets.h"

typedef enum { OPTIMIZER_M, OPTIMIZER_V } optimizer_moment;

/* A range of adjacent parameters that are updated at one rate. */
typedef struct {
  int64_t first, count;
  bool is_decayed; /* all of it */
  int depth;       /* index of the rate */
} optimizer_run;

typedef struct {
  clip_model *model;     /* not owned, nor are the buckets */
  const buckets *shared; /* NULL: one rank */
  void *block;           /* device memory of all buffers here */
  ops_buffer m, v; /* [own] master, or bf16: at the parameters' offsets, or, sharded, this rank's
                      slices concatenated */
  int64_t own;
  bool is_narrow;        /* m and v are bf16, rounded stochastically */
  uint64_t seed;         /* of the rounding, with the number of the update */
  ops_buffer number;     /* [1] i32: the number of the update */
  int32_t number_staged; /* `number` is copied from here */
  ops_buffer norm_square;
  ops_buffer blocks;   /* sums of squares, if ranks share them */
  ops_buffer scales;   /* [ranks] the parameter of the logit scale on each rank */
  ops_buffer rates;    /* [depths, 3] as in ops_adamw */
  double *rates_wide;  /* what `rates` is copied from: in double, */
  float *rates_narrow; /* or in float, by the backend's master type */
  int depths;          /* number of different rates; 1: all parameters have the run's */
  double layer_decay;
  optimizer_run *runs; /* NULL if there is one rate */
  size_t run_count;
  bool is_gathering; /* the weights of other ranks' slices may not have arrived yet */
} optimizer;

/* shared: NULL for one rank. On failure optimizer_destroy still works. */
err optimizer_create(clip_model *model, const buckets *shared, optimizer *o) ERR_MUST_CHECK;
/* With layer-wise rates (BEiT, MAE): the head and the last norm have the run's rate, a block
 * layer_decay times the rate of the following one, and the parameters before the first block
 * (patch embedding, class token, positions) layer_decay times the first block's. */
err optimizer_create_layered(clip_model *model, double layer_decay, const buckets *shared,
                             optimizer *o) ERR_MUST_CHECK;
/* What to try, in words, where losses or weights are not finite. */
const char *optimizer_remedy(const settings *s);
/* One of the two, according to the settings: a classifier's with layer-wise rates; moments in bf16
 * or not. */
err optimizer_create_for(clip_model *model, const settings *s, const buckets *shared,
                         optimizer *o) ERR_MUST_CHECK;
/* Blocks between a tensor of the image tower and the head: 0 for the head and the last norm,
 * `layers` for the first block, layers + 1 for the parameters before it. */
int optimizer_depth_of(const char *name, int64_t layers);
void optimizer_destroy(optimizer *o);
bool optimizer_is_sharded(const optimizer *o);

/* Call before ops.join: the values for update `step`, starting at 1. */
err optimizer_stage(optimizer *o, const settings *s, int64_t step,
                    double learning_rate) ERR_MUST_CHECK;
/* One update at the staged rates, clipping the gradients' global norm to clip_norm if that is not
 * 0. Waits for nothing. A sharded one must be settled before the weights are used. */
err optimizer_update(optimizer *o, const settings *s) ERR_MUST_CHECK;
/* Ops called after this see all of the new weights. */
err optimizer_settle(optimizer *o) ERR_MUST_CHECK;
/* Whether an update computes the norm: to clip, and always on several ranks. Otherwise
 * optimizer_measure_norm computes it from the current gradients. */
bool optimizer_has_norm(const optimizer *o, const settings *s);
err optimizer_measure_norm(const optimizer *o) ERR_MUST_CHECK;
/* The global gradient norm as last computed, before clipping; waits for it. */
err optimizer_read_norm(const optimizer *o, double *norm) ERR_MUST_CHECK;
/* The logit scale after the last update, settled or not. */
err optimizer_read_scale(const optimizer *o, double *scale) ERR_MUST_CHECK;

/* A moment of all parameters, [params.total] master at their offsets: in *whole, which is valid
 * until the next call or step. Sharded: collective. Sharded or in bf16: overwrites the
 * gradients. */
err optimizer_collect(const optimizer *o, optimizer_moment which, ops_buffer *whole) ERR_MUST_CHECK;
/* The buffer to fill with a moment of all parameters; then optimizer_take stores it. */
ops_buffer optimizer_place(const optimizer *o, optimizer_moment which);
err optimizer_take(const optimizer *o, optimizer_moment which) ERR_MUST_CHECK;

/* Peak learning rate of a run: learning_rate, or base_learning_rate * batch_size / 256. */
double schedule_peak(const settings *s);
/* The rate of update `update`, counted from 0, of `total`: in the warm-up peak * update / warmup,
 * so that the first is 0 (FLIP's released code); then half a cosine, which would be 0 at `total`.
 */
double schedule_rate(double peak, int64_t update, int64_t warmup, int64_t total);

#endif
