/* Loads everything the store has recorded about one cell. Internal to report/. */
#ifndef FLIPBENCH_REPORT_LOAD_H
#define FLIPBENCH_REPORT_LOAD_H

#include "report/data.h"
#include "store/lineage.h"

err load_cell(store *s, const spec_cell *cell, const store_result *result,
              data_cell *c) ERR_MUST_CHECK;
void load_free_cell(data_cell *c);

#endif
