/* One training step on a device that runs asynchronously to the host: stage, launch, finish.
 *
 *   step_stage(batch 1)
 *   for every t:  step_launch(t)      starts computing, waits only for the batch's copy
 *                 step_stage(t + 1)   copies the next batch during the computation
 *                 step_finish(t)      waits for the results
 *
 * If the backend can capture steps, the third and later ones are replayed. A batch larger than
 * micro_batch_size uses the exact gradient cache (model/clip.h), and is not captured; its towers
 * run concurrently from the third step on where the backend can do that. */
#ifndef FLIP_TRAIN_STEP_H
#define FLIP_TRAIN_STEP_H

#include "train/optimizer.h"

typedef struct {
  const settings *s; /* not owned, nor are these */
  clip_model *model;
  optimizer *moments;
  int64_t encoded_patches;
  buckets *shared;             /* of the gradients, if ranks share a batch; NULL: one process */
  const clip_targets *targets; /* of the launched batch, if a classifier is trained; else NULL */
  bool wants_norm;           /* measure the gradients' norm in every step; if the update computes it
                              * (optimizer_has_norm), it is available anyway */
  bool has_norm;             /* of the last step */
  bool may_record;           /* false: every step is launched op by op (to profile it) */
  void *recordings[2];       /* by input set */
  int64_t recorded_bytes[2]; /* that a replay sends to other ranks */
  int64_t launched;          /* steps so far */
} train_step;

typedef struct {
  double loss, grad_norm, logit_scale; /* grad_norm: NaN if it was not measured */
  double reconstruction_loss;          /* NaN: nothing is reconstructed */
  double values_saturated;             /* clip_read_saturated */
} step_result;

void step_open(train_step *t, const settings *s, clip_model *model, optimizer *moments,
               int64_t encoded_patches, buckets *shared);
void step_close(train_step *t);

/* The arrays of `batch` must not change until its step_launch has returned. */
err step_stage(train_step *t, const clip_inputs *batch) ERR_MUST_CHECK;
/* number: of the update, 1 at the first. */
err step_launch(train_step *t, const clip_inputs *batch, int64_t number,
                double learning_rate) ERR_MUST_CHECK;
/* Measures the norm of the last step's gradients, which are kept until the next step begins, for
 * step_finish; on several ranks it is already known. */
err step_measure_norm(train_step *t) ERR_MUST_CHECK;
err step_finish(train_step *t, step_result *result) ERR_MUST_CHECK;

#endif
