/* The last evaluations of a run, each number with its interval over images (report/accuracy.h).
 * Internal to report/. */
#ifndef FLIPBENCH_REPORT_LAST_H
#define FLIPBENCH_REPORT_LAST_H

#include "report/data.h"

typedef struct {
  const data_evaluation *evaluation;
  double low, high; /* 95 %, in the unit of the value; NaN: no interval is known */
} last_number;

typedef struct {
  data_cell cell; /* owns the evaluations */
  last_number *items;
  size_t count; /* without the bounds, which are recorded as separate numbers */
} last_numbers;

err last_load(store *s, int64_t run_id, last_numbers *n) ERR_MUST_CHECK;
void last_free(last_numbers *n);

#endif
