/* Shared by the probes: features of two sets with the same classes. Internal to core/eval/. */
#ifndef FLIP_EVAL_PROBE_INSIDE_H
#define FLIP_EVAL_PROBE_INSIDE_H

#include "eval/eval.h"

typedef struct {
  float *rows; /* [count, width] */
  int32_t *labels;
  int64_t count;
} probe_features;

/* Room for every row of the set. */
err probe_allocate(const eval_set *set, int64_t width, probe_features *f) ERR_MUST_CHECK;
void probe_free(probe_features *f);
/* Maps the test set's classes to the training set's indices, by label (two classes may have one
 * name); rows of other classes are dropped, counted and reported. An error when no row is left. */
err probe_renumber(const eval_set *train, eval_set *test, int64_t width,
                   probe_features *f) ERR_MUST_CHECK;
/* Computes top1 and mean_per_class from the predicted classes. */
err probe_count(const probe_features *f, const int32_t *predicted, int64_t classes,
                eval_probe *p) ERR_MUST_CHECK;

#endif
