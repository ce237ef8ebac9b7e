/* Per-item outcomes of an evaluation. Internal to core/eval/. */
#ifndef FLIP_EVAL_OUTCOMES_H
#define FLIP_EVAL_OUTCOMES_H

#include "eval/eval.h"

extern const int64_t outcomes_depths[3];                                   /* of R@1, R@5, R@10 */
extern const char *const outcomes_to_text[3], *const outcomes_to_image[3]; /* their names */

/* From ranks: the number of wrong answers that score at least as high as the right one. */
err outcomes_take_zeroshot(eval_outcomes *outcomes, const int64_t *ranks, const int32_t *labels,
                           int64_t count, int64_t class_count) ERR_MUST_CHECK;
err outcomes_take_retrieval(eval_outcomes *outcomes, const int64_t *image_ranks, int64_t images,
                            const int64_t *text_ranks, int64_t texts) ERR_MUST_CHECK;

#endif
