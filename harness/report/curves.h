/* The curve of a metric over a row's seeds, and the iso-accuracy speed-up of two rows. Times are at
 * the steady pace of each run (median undisturbed step × steps), so that what else the machine did
 * does not count. Internal to report/. */
#ifndef FLIPBENCH_REPORT_CURVES_H
#define FLIPBENCH_REPORT_CURVES_H

#include "report/data.h"

/* Points that every one of the seeds has, matched by step; a tuning continues its parent's. */
typedef struct {
  size_t points, seeds, items; /* items 0: outcomes were not recorded, or not of the same items */
  size_t tuned_from;           /* the first point of the tuning; `points`: none */
  double *samples, *seconds;   /* [points] means over seeds */
  double *mean, *low, *high;   /* [points], in the column's unit; NaN ends: no interval */
  double *accuracy;            /* [seeds][points], as a share */
  const uint8_t **hits;        /* [seeds][points]; NULL: none */
  const uint16_t *strata;
} data_curve;

err curves_of_cells(report_data *d, const column *c, const size_t *cells, size_t count,
                    data_curve *curve) ERR_MUST_CHECK;
/* All finished cells of a row, the report's iso metric. */
err curves_of_row(report_data *d, size_t row, data_curve *curve) ERR_MUST_CHECK;
void curves_free(data_curve *curve);

typedef struct {
  curve_iso at;        /* accuracy in the column's unit */
  double low, high;    /* of the speed-up, 95 %; high may be infinite; NaN: no interval */
  size_t seeds, items; /* that it is made from */
} data_iso;
/* A row against the baseline over the seeds that both have; NaN where there is none. */
err curves_iso(report_data *d, size_t row, data_iso *iso) ERR_MUST_CHECK;

#endif
