/* Loads everything the store has recorded about one cell. Internal to report/. */
#ifndef FLIPBENCH_REPORT_LOAD_H
#define FLIPBENCH_REPORT_LOAD_H

#include "report/data.h"

err load_cell(store *s, const spec_cell *cell, data_cell *c) ERR_MUST_CHECK;
void load_free_cell(data_cell *c);
/* Makes the cell one without a run, because it was trained from other weights than its parent's. */
err load_forget(data_cell *c) ERR_MUST_CHECK;

#endif
