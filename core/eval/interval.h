/* 95 % intervals of an evaluation's metric over its images: the range expected on other images of
 * the same kind, for this one model. A bootstrap: the metric on images drawn with replacement,
 * 1,000 times, from a fixed seed. Only for core/eval/. */
#ifndef FLIP_EVAL_INTERVAL_H
#define FLIP_EVAL_INTERVAL_H

#include <stdint.h>

#include "eval/eval.h"

/* The metric with image i counted weights[i] times. */
typedef double interval_measure(const void *data, const int32_t *weights);

/* value: the metric itself. is_share: it is a mean over items of hits, and the bounds are Wilson's
 * for as many independent items as would vary like the resamples; else value ± 1.96 standard
 * deviations of the resamples, within [0, 1], or NaN if these do not vary. Uses the resamples in
 * which the metric is defined (an area under a curve needs both classes); NaN if it is undefined in
 * more than a twentieth, or there are fewer than two items. resampled: gets the metric on each
 * resample, NaN where it is undefined, owned, or NULL without bounds; NULL: not wanted. Collective:
 * each of `ranks` (NULL: one) computes some of the resamples, and all get the bounds. */
err interval_of(comm *ranks, int64_t items, interval_measure *measure, const void *data,
                double value, bool is_share, double bounds[2], float **resampled) ERR_MUST_CHECK;

/* For a metric computed from hits, by its name in the JSON; NaN for any other. */
err interval_of_hits(comm *ranks, const eval_outcomes *outcomes, const char *metric,
                     double bounds[2]) ERR_MUST_CHECK;

#endif
