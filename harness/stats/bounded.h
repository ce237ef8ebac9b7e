/* The mean over seeds of a number that is no mean over items (an area under a curve), where each
 * seed's comes with half the width of its own 95 % interval over the items.
 *
 * All seeds see the same items, and how much of the items' effect they share is not known: it is
 * taken to be all of it, which is the widest case. The square of the interval's half width is the
 * mean own half width, squared, plus that of Student's t over the seeds. */
#ifndef FLIPBENCH_STATS_BOUNDED_H
#define FLIPBENCH_STATS_BOUNDED_H

#include "stats/crossed.h"

/* halves[i] NaN: not known, then the interval covers the seeds alone; one seed then has none. */
crossed_mean bounded_mean(const double *values, const double *halves, size_t seeds);

#endif
