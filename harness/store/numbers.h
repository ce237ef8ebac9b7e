/* The one place that makes the numbers of a run. They come from its rows (step, process, memory,
 * attempt) and from its start events, never from totals in an end event: so a run that
 * was stopped, killed and resumed has the numbers of all its processes, and `flipbench db rebuild`
 * gives the same ones. docs/schema.md lists the names. */
#ifndef FLIPBENCH_STORE_NUMBERS_H
#define FLIPBENCH_STORE_NUMBERS_H

#include "store/store.h"

/* Replaces the derived numbers of a run in `summary`. Within the caller's transaction. */
err numbers_make(store *s, int64_t run_id) ERR_MUST_CHECK;
/* The same when the run has a tenth more rows than when they were made last: the cost of recording
 * stays proportional to a run's length. When a process has ended numbers_make is called whatever
 * the growth. */
err numbers_make_when_grown(store *s, int64_t run_id) ERR_MUST_CHECK;
/* Of every run, after a migration. */
err numbers_make_all(store *s) ERR_MUST_CHECK;

#endif
