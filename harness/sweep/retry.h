/* Which failures are retried, and how. Internal to sweep/. */
#ifndef FLIPBENCH_SWEEP_RETRY_H
#define FLIPBENCH_SWEEP_RETRY_H

#include "sweep/run.h"

/* True for transient failures: crash, memory, I/O, lost machine; not NaN or invalid input, which
 * the same settings reproduce. A time-out is transient when there is a checkpoint to resume from.
 */
bool retry_is_worth_it(const char *kind, bool has_checkpoint);
/* Seconds before retry `number` (from 1): the cell's wait, doubled each time, at most an hour. */
double retry_wait(const spec_limits *limits, int number);

/* Prepares a failed cell for a restart: from its checkpoint, or from scratch, in which case its
 * directory is renamed (LABEL-ID8.failed-1), unless this is a dry run. */
err retry_prepare(store *s, const run_options *options, const char *kind,
                  run_cell *c) ERR_MUST_CHECK;
/* After the loss of a rank, where the experiment allows fewer: sets c->ranks, and says so. */
void retry_on_fewer_ranks(const char *kind, run_cell *c, strbuf *said);

#endif
