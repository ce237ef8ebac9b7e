/* Evaluation sets whose images have several labels. Internal to core/eval/. */
#ifndef FLIP_EVAL_MULTILABEL_H
#define FLIP_EVAL_MULTILABEL_H

#include "eval/description.h"
#include "eval/set.h"

/* Sets up the classes and reads the label files, if the set has any. */
err multilabel_begin(eval_set *set, const set_description *d) ERR_MUST_CHECK;
/* The labels of one row: set->truths and set->labels[row]. */
err multilabel_take(eval_set *set, const set_description *d, int64_t row,
                    const dataset_sample *sample) ERR_MUST_CHECK;
/* Counts and reports mismatches; an error when no image has a class. */
err multilabel_finish(eval_set *set, const set_description *d) ERR_MUST_CHECK;
/* Frees what only opening needs, and the labels. */
void multilabel_close(eval_set *set);

#endif
