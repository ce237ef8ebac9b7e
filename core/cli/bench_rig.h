/* A model with one batch of random inputs, for measuring the training step. */
#ifndef FLIP_CLI_BENCH_RIG_H
#define FLIP_CLI_BENCH_RIG_H

#include "model/count.h"
#include "train/attentive.h"
#include "train/step.h"

typedef struct {
  const settings *s;
  ops *o;
  clip_model *model;
  optimizer moments;
  train_step step;
  attentive chooser;      /* in mask mode attentive; else its model is NULL */
  double scoring_seconds; /* of the last step: the average's update, scores and keep-lists */
  model_counts counts;
  uint8_t *images;
  int32_t *index, *ids, *id_counts;
  int precision;
} bench_rig;

/* On failure bench_rig_free still works. */
err bench_rig_make(const settings *s, int64_t vocabulary, bench_rig *r) ERR_MUST_CHECK;
void bench_rig_free(bench_rig *r);
/* One whole step; number: 1 at the first. */
err bench_rig_step(bench_rig *r, int64_t number) ERR_MUST_CHECK;

/* The largest power-of-two batch whose plan leaves a twentieth of the device's free memory.
 * ERR_UNSUPPORTED if the device has no memory of its own. */
err bench_largest_batch(const settings *s, int64_t vocabulary, int64_t *batch) ERR_MUST_CHECK;

/* Can the memory of the device, or of the host if it has none of its own, hold all of these runs'
 * models at once and leave a tenth of the free memory? */
err bench_can_hold(const settings *runs, int count, int64_t vocabulary,
                   bool *is_held) ERR_MUST_CHECK;

#endif
