/* The mean over seeds of a number that is not a mean over items (an area under a curve), or of the
 * difference of two, given its values on resampled items.
 *
 * All seeds, and both sides of a difference, have resample k of the same items, so that the values
 * at one k are paired. They take the place of the items in stats/crossed.h: the variance over the
 * resamples of the seeds' mean is that of the items; the variance over the resamples of each seed's
 * distance from that mean is the interaction; and both are combined with the spread over seeds in
 * the same way. Where items are common to both sides of a difference, or hard for both, they
 * cancel. */
#ifndef FLIPBENCH_STATS_RESAMPLED_H
#define FLIPBENCH_STATS_RESAMPLED_H

#include "stats/crossed.h"

/* values [seeds]; resampled [seeds][count], NaN where one is not defined: that resample is left
 * out, and where more than a twentieth are there is no interval (NaN). */
err resampled_mean(const double *values, const double *resampled, size_t seeds, size_t count,
                   crossed_mean *m) ERR_MUST_CHECK;

#endif
