/* The only place that computes the numbers of a run. They come from its rows (step, process,
 * memory, attempt) and from its start events, never from totals in an end event: so a run that was
 * stopped, killed and resumed has the numbers of all its processes, and `flipbench db rebuild`
 * gives the same ones. docs/schema.md lists the names. */
#ifndef FLIPBENCH_STORE_NUMBERS_H
#define FLIPBENCH_STORE_NUMBERS_H

#include "store/store.h"

/* Replaces the derived numbers of a run in `summary`, within the caller's transaction. */
err numbers_make(store *s, int64_t run_id) ERR_MUST_CHECK;
/* The same if the run has a tenth more rows than at the last call: keeps the cost of recording
 * proportional to a run's length. When a process has ended, numbers_make is called
 * unconditionally. */
err numbers_make_when_grown(store *s, int64_t run_id) ERR_MUST_CHECK;
/* For every run, after a migration. */
err numbers_make_all(store *s) ERR_MUST_CHECK;

#endif
