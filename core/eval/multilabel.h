/* Evaluation sets whose images have several labels. For the files of core/eval/ only. */
#ifndef FLIP_EVAL_MULTILABEL_H
#define FLIP_EVAL_MULTILABEL_H

#include "eval/description.h"
#include "eval/set.h"

/* Takes the classes and, where the set names them, reads the label files. */
err multilabel_begin(eval_set *set, const set_description *d) ERR_MUST_CHECK;
/* The labels of one row: set->truths and set->labels[row]. */
err multilabel_take(eval_set *set, const set_description *d, int64_t row,
                    const dataset_sample *sample) ERR_MUST_CHECK;
/* Counts and names what does not fit; an error when no image has a class. */
err multilabel_finish(eval_set *set, const set_description *d) ERR_MUST_CHECK;
/* What only opening needs, and the labels. */
void multilabel_close(eval_set *set);

#endif
