/* The mean over seeds of a number that is not a mean over items (an area under a curve), given half
 * the width of each seed's own 95 % interval over the items.
 *
 * All seeds see the same items, and how much of the items' effect they share is not known: all of
 * it is assumed to be shared, which is the widest case. The square of the interval's half width is
 * the squared mean of the seeds' own half widths plus the square of Student's t's half width over
 * the seeds. */
#ifndef FLIPBENCH_STATS_BOUNDED_H
#define FLIPBENCH_STATS_BOUNDED_H

#include "stats/crossed.h"

/* halves[i] NaN: not known; the interval then covers only the seeds, and one seed has none. */
crossed_mean bounded_mean(const double *values, const double *halves, size_t seeds);

#endif
