/* What a column shows of a row, with its interval, and what can be told of two rows. Internal to
 * report/. docs/results.md says how each interval is made. */
#ifndef FLIPBENCH_REPORT_MEASURE_H
#define FLIPBENCH_REPORT_MEASURE_H

#include "report/data.h"

/* In the column's unit. */
typedef struct {
  double value, low, high; /* NaN ends: no interval; high may be infinite */
  bool is_symmetric;       /* the ends are value ± half the width */
  size_t seeds, items;     /* that it is made from; items 0: none */
} data_measure;

err measure_row(report_data *d, size_t row, const column *c, data_measure *m) ERR_MUST_CHECK;

/* The row's accuracy less the other's, over the seeds that both have, paired by item. Where seeds
 * or items do not suffice for an interval, its ends are NaN. */
typedef struct {
  double value, low, high;
  size_t seeds, items;
  size_t seeds_needed,
      items_needed;  /* that would tell it from zero in four of five cases; 0: none */
  crossed_mean mean; /* what the value is made from, in shares */
  double scale;      /* to the column's unit */
} data_difference;
err measure_difference(report_data *d, size_t row, size_t other, const column *c,
                       data_difference *out) ERR_MUST_CHECK;

/* The seeds (with these items) or items (with these seeds) that would tell the difference from
 * `bound`, in the column's unit, in four of five cases; 0: no number of them would. */
void measure_needed(const data_difference *x, double bound, size_t *seeds, size_t *items);

/* The same of two columns of one task: tuned less untuned. */
err measure_columns_difference(report_data *d, size_t row, const column *c, size_t other,
                               const column *of, data_difference *out) ERR_MUST_CHECK;

/* Is the row's value above the other's by more than chance explains? */
err measure_is_above(report_data *d, size_t row, size_t other, const column *c,
                     bool *is_above) ERR_MUST_CHECK;

/* The ratio of the steady times of a step of two lists of cells, paired. */
err measure_pace_ratio(const report_data *d, const size_t *above, const size_t *below, size_t count,
                       paired_result *ratio) ERR_MUST_CHECK;

/* Follows from the settings, so that it has no uncertainty. */
bool measure_is_exact(const column *c);
/* Is it a share of hits (or a multiple of one)? */
bool measure_is_accuracy(const column *c);
/* Is it a time or a speed, which are of the steady pace? */
bool measure_is_of_time(const column *c);

#endif
