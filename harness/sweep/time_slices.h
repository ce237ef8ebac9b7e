/* Time slices ("turns"): cells on one machine stop and resume in rotation, so that drift of the
 * machine affects all of them equally. Resuming is exact, so the results are bit-identical to those
 * without time slices. Internal to sweep/.
 *
 * A time slice costs what stopping (a checkpoint) and starting (the data, the model) take. Unless
 * given, it is as short as this cost is at most 5 % of it, but at least 15 s: a processor may change
 * its clock within a minute. Beyond three minutes the cost is at most 2 %; if the slice would be
 * longer than half an hour, cells run one after another. */
#ifndef FLIPBENCH_SWEEP_TIME_SLICES_H
#define FLIPBENCH_SWEEP_TIME_SLICES_H

#include "sweep/runner.h"

/* Decides whether the sweep uses time slices: as given on the command line, else as in the
 * experiment, else if its table compares times. */
void time_slices_decide(runner *r);
/* Called when a process was started. */
err time_slices_process_started(runner *r, process *p) ERR_MUST_CHECK;
/* Measures the time of a process until its first step. */
err time_slices_measure_start(runner *r, process *p) ERR_MUST_CHECK;
/* Stops processes whose time slice is over, if another cell could run. */
void time_slices_enforce(runner *r);
/* Called when a process has ended: measures the cost of stopping. */
void time_slices_process_ended(runner *r, const process *p);

/* Cells before this index may run now: with time slices, only a limited number are unfinished at a
 * time, so that a sweep of hundreds of cells does not leave hundreds of them half done. */
size_t time_slices_window(const runner *r);

/* The length of a time slice for these costs; 0: none. */
double time_slice_length(double start_seconds, double stop_seconds);

#endif
