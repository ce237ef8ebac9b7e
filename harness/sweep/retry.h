/* Which failures are tried again, and how. Internal to sweep/. */
#ifndef FLIPBENCH_SWEEP_RETRY_H
#define FLIPBENCH_SWEEP_RETRY_H

#include "sweep/run.h"

/* True when a failure of this kind may pass: a crash, memory, input and output, a lost machine; not
 * NaN and not wrong input, which the same settings give again. A time-out passes when there is a
 * checkpoint to go on from. */
bool retry_is_worth_it(const char *kind, bool has_checkpoint);
/* Seconds before retry `number` (from 1): the cell's wait, doubled each time, at most an hour. */
double retry_wait(const spec_limits *limits, int number);

/* Makes a failed cell ready to start again: from its checkpoint, or anew, and then its directory is
 * kept under another name (LABEL-ID8.failed-1). */
err retry_prepare(store *s, const run_options *options, const char *kind,
                  run_cell *c) ERR_MUST_CHECK;

#endif
