/* The run of each cell of an experiment that its table shows (store/lineage.h), also for what lists
 * or exports its cells. */
#ifndef FLIPBENCH_REPORT_RESULTS_H
#define FLIPBENCH_REPORT_RESULTS_H

#include "base/clock.h"
#include "experiment/spec.h"
#include "store/lineage.h"

/* One per cell; the caller frees. */
err results_find(const spec_experiment *e, store *s, store_result **results) ERR_MUST_CHECK;

/* The time of the last event of these runs, if it is later than `stamp`, which is "" at first. */
err results_find_last_event(const spec_experiment *e, store *s,
                            char stamp[CLOCK_STAMP_SIZE]) ERR_MUST_CHECK;

#endif
