/* Shared by the probes: features of two sets with the same classes. Internal to core/eval/. */
#ifndef FLIP_EVAL_PROBE_INSIDE_H
#define FLIP_EVAL_PROBE_INSIDE_H

#include "eval/eval.h"

typedef struct {
  float *rows; /* [count, width] */
  int32_t *labels;
  int64_t count;
} probe_features;

/* An error for a set without one label per image. */
err probe_check_labels(const eval_set *set) ERR_MUST_CHECK;
/* Room for every row of the set. Collective. */
err probe_allocate(comm *ranks, const eval_set *set, int64_t width,
                   probe_features *f) ERR_MUST_CHECK;
void probe_free(probe_features *f);
/* Maps the test set's classes to the training set's indices, by label (two classes may have one
 * name); rows of other classes are dropped, counted and reported, by rank 0. An error when no row
 * is left. Collective. */
err probe_renumber(comm *ranks, const eval_set *train, eval_set *test, int64_t width,
                   probe_features *f) ERR_MUST_CHECK;
/* Gathers predicted [f->count], of which every rank has computed its own part, share_of(f->count,
 * 1, …), on all ranks; own: an error in computing it, or NULL. Collective. */
err probe_gather(comm *ranks, err own, const probe_features *f, int32_t *predicted) ERR_MUST_CHECK;
/* Computes top1 and mean_per_class from the predicted classes. */
err probe_count(const probe_features *f, const int32_t *predicted, int64_t classes,
                eval_probe *p) ERR_MUST_CHECK;

#endif
