/* One training run, from settings to the last checkpoint. */
#ifndef FLIP_TRAIN_TRAINER_H
#define FLIP_TRAIN_TRAINER_H

#include <signal.h>
#include <stdbool.h>

#include "base/err.h"
#include "config/settings.h"
#include "eval/eval.h"

typedef struct {
  const char *out;    /* run folder: config.yaml, checkpoints/ */
  const char *events; /* file or descriptor number; NULL: OUT/events.jsonl */
  bool is_resuming;   /* continue from the newest checkpoint, if there is one */
  bool has_progress;
  double began; /* clock_seconds() when the command started; start_seconds counts from it */
  /* Called after each evaluation on a set, if not NULL. */
  void (*evaluated)(void *context, const char *set, int64_t step, const eval_result *result);
  void *context;
  bool *is_first_rank; /* set, if not NULL: whether this process is rank 0, which reports */
  const volatile sig_atomic_t *stop; /* when non-zero: finish the step, write a checkpoint,
                                      * return */
} trainer_options;

/* Trains `s` to its end. ERR_INTERRUPTED after a stop (a checkpoint was written), ERR_NUMERIC for a
 * non-finite loss (the last good checkpoint is kept). Every outcome except a failed event file ends
 * with an `end` event. */
err trainer_run(const settings *s, const trainer_options *options) ERR_MUST_CHECK;

#endif
