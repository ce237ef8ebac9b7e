/* The interval of the iso-accuracy speed-up (stats/curve.h), from items and seeds.
 *
 * A speed-up r is possible when the data do not refute it: let both rows train as long as they can
 * so that the baseline has r times the other's time (one of them to its end); r is refuted when
 * their accuracies at these times differ by more than the 95 % interval of that difference (paired
 * by item and by seed: stats/crossed.h). The interval consists of the values of r around the
 * estimate that are not refuted (Fieller's method; no normal approximation of the ratio, no
 * resampling of three seeds). When the slower curve may never get there, it extends to 0 or to
 * infinity, and this is reported.
 *
 * Before its first evaluation a curve is known to lie between its start and that one only, not how
 * it gets there: a speed-up is refuted there only by what lies outside.
 *
 * A curve ends where it is highest, and where it levels off the data do not say where that is. For
 * the curve whose highest accuracy is the lower one, each evaluation is tried as its end: r is
 * refuted when for each of them the squares of two differences, in half widths of their intervals,
 * add up to more than one: of that evaluation from the highest, and of the two rows. */
#ifndef FLIPBENCH_STATS_ISO_H
#define FLIPBENCH_STATS_ISO_H

#include "stats/crossed.h"
#include "stats/curve.h"
#include "stats/paired.h"

/* Curves of some seeds at the same steps. */
typedef struct {
  size_t points, seeds;
  const double *seconds;      /* [points], ascending: means over seeds */
  const double *accuracy;     /* [seeds][points] */
  const uint8_t *const *hits; /* [seeds][points] bit strings (LSB first), or NULL: none recorded */
  const uint16_t *strata;     /* [items], or NULL */
  size_t items;               /* 0 with hits NULL */
  double start;               /* accuracy at time 0: chance */
} iso_rows;

/* `pace`: the interval of the ratio of both rows' times for the same steps (paired.h), of which
 * only the relative width is used; NaN: none. Both rows have the same items, and seeds in the same
 * order; with different numbers of seeds (or without hits and with one seed) there is no
 * interval. */
err iso_interval(const iso_rows *baseline, const iso_rows *own, double estimate,
                 const paired_result *pace, double *low, double *high) ERR_MUST_CHECK;

#endif
