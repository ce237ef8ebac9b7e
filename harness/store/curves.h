/* Steps and evaluations of a run, as arrays. */
#ifndef FLIPBENCH_STORE_CURVES_H
#define FLIPBENCH_STORE_CURVES_H

#include "store/store.h"

/* One value of one metric at one step. */
typedef struct {
  char *set, *task, *metric; /* owned */
  int64_t ordinal, step;     /* ordinal: index of the set among those of the run */
  double samples, seconds;   /* samples seen; elapsed training time */
  double value;              /* NaN: the value was not finite */
} store_evaluation;
/* All of a run, by ordinal, then step. Free with store_free_evaluations. */
err store_list_evaluations(store *s, int64_t run_id, store_evaluation **evaluations,
                           size_t *count) ERR_MUST_CHECK;
/* The last value of each metric, by ordinal, then metric. */
err store_list_final_evaluations(store *s, int64_t run_id, store_evaluation **evaluations,
                                 size_t *count) ERR_MUST_CHECK;
void store_free_evaluations(store_evaluation *evaluations, size_t count);

/* A row of the loss curve; NaN for what was not recorded. A long run keeps one row for several
 * steps (docs/schema.md). */
typedef struct {
  int64_t step, samples;
  double loss, learning_rate, logit_scale, grad_norm;
  double reconstruction_loss;
  double seconds; /* elapsed training time */
} store_step;
/* All of a run, in order. The caller frees. */
err store_list_steps(store *s, int64_t run_id, store_step **steps, size_t *count) ERR_MUST_CHECK;

/* The mean over a range of steps. */
typedef struct {
  size_t bin; /* the number of the range, below `bins` */
  double samples, seconds, value;
} store_point;
/* The loss of a run in at most `bins` ranges with equal numbers of steps; ranges without a finite
 * loss are omitted (log_every may be longer than a range). `points` has room for `bins`. */
err store_load_loss(store *s, int64_t run_id, size_t bins, store_point *points,
                    size_t *count) ERR_MUST_CHECK;

#endif
