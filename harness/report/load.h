/* What the store knows of one cell, read whole. Internal to report/. */
#ifndef FLIPBENCH_REPORT_LOAD_H
#define FLIPBENCH_REPORT_LOAD_H

#include "report/data.h"

err load_cell(store *s, const spec_cell *cell, data_cell *c) ERR_MUST_CHECK;
void load_free_cell(data_cell *c);

/* The loss of a run in `bins` stretches of steps: mean samples, seconds and loss of each. Returns
 * how many there are. */
typedef struct {
  double samples, seconds, value;
} load_point;
err load_loss(store *s, int64_t run_id, size_t bins, load_point *points,
              size_t *count) ERR_MUST_CHECK;

#endif
