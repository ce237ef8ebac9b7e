/* Turns: cells of one machine that stop and resume in rotation, so that drift of the machine
 * affects all of them equally. Resuming is exact, so the bits are those of a run without turns.
 * Internal to sweep/.
 *
 * A turn costs what stopping (a checkpoint) and starting (the data, the first step) take. Unless
 * its length was given, it is some minutes, and longer where these are more than 2 % of it; where
 * that would be longer than half an hour there are no turns. */
#ifndef FLIPBENCH_SWEEP_TURNS_H
#define FLIPBENCH_SWEEP_TURNS_H

#include "sweep/runner.h"

/* Decides whether the sweep has turns: as given, as the experiment says, else where its table
 * compares times. */
void turns_start(runner *r);
/* A process was started. */
err turns_begin(runner *r, process *p) ERR_MUST_CHECK;
/* Measures how long a process took to its first step. */
err turns_look(runner *r, process *p) ERR_MUST_CHECK;
/* Stops processes whose turn is over, if another cell could run. */
void turns_enforce(runner *r);
/* A process has ended: measures what stopping cost. */
void turns_end(runner *r, const process *p);

/* The cells before this index may run now: with turns, so many that are not finished that a sweep
 * of hundreds of cells does not leave hundreds of them half done. */
size_t turns_horizon(const runner *r);

/* The length of a turn for these costs; 0: there should be none. */
double turns_length(double start_seconds, double stop_seconds);

#endif
