/* The curve of a metric over a row's seeds, and the iso-accuracy speed-up of two rows. Times are at
 * each run's steady pace (median undisturbed step × steps), so that other load on the machine does
 * not count. Internal to report/. */
#ifndef FLIPBENCH_REPORT_CURVES_H
#define FLIPBENCH_REPORT_CURVES_H

#include "report/data.h"

/* Points that all seeds have, matched by step; a fine-tuning run continues its parent's curve. */
typedef struct {
  size_t points, seeds, items; /* items 0: outcomes were not recorded, or cover different items */
  size_t tuned_from;           /* the first point of the tuning; `points`: none */
  double *samples, *seconds; /* [points] means over seeds; seconds NaN: a run has no steady pace */
  double *mean, *low, *high; /* [points], in the column's unit; NaN ends: no interval */
  double *accuracy;          /* [seeds][points], as a share */
  double start;              /* the share at time 0, chance; 0: not recorded */
  double scale;              /* of a share in the column's unit */
  const uint8_t **hits;      /* [seeds][points]; NULL: none */
  const uint16_t *strata;
} data_curve;

err curves_of_cells(report_data *d, const column *c, const size_t *cells, size_t count,
                    data_curve *curve) ERR_MUST_CHECK;
/* All finished cells of a row, for the report's iso metric. */
err curves_of_row(report_data *d, size_t row, data_curve *curve) ERR_MUST_CHECK;
/* As of a row whose runs have no mean time (data_differing_pace): no point has a time. */
void curves_drop_times(data_curve *curve);
void curves_free(data_curve *curve);

typedef struct {
  curve_iso at;        /* accuracy in the column's unit */
  double low, high;    /* of the speed-up, 95 %; high may be infinite; NaN: no interval */
  size_t seeds, items; /* that it is based on */
} data_iso;
/* A row against the baseline over their common seeds; NaN where there is none. */
err curves_iso(report_data *d, size_t row, data_iso *iso) ERR_MUST_CHECK;

#endif
