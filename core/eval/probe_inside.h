/* What the probes share: features of two sets in the same classes. For the files of core/eval/. */
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
/* The test set's classes in the training set's numbers, by label (two classes may have one name);
 * rows of other classes are dropped, counted and named. An error when no row is left. */
err probe_renumber(const eval_set *train, eval_set *test, int64_t width,
                   probe_features *f) ERR_MUST_CHECK;
/* Fills top1 and mean_per_class of the predicted classes. */
err probe_count(const probe_features *f, const int32_t *predicted, int64_t classes,
                eval_probe *p) ERR_MUST_CHECK;

#endif
