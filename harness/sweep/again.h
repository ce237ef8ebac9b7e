/* Repeats finished cells. Internal to sweep/ and cluster/. */
#ifndef FLIPBENCH_SWEEP_AGAIN_H
#define FLIPBENCH_SWEEP_AGAIN_H

#include "sweep/run.h"

/* Archives the finished runs selected by options->again, and those trained from a run of their
 * parent that is archived by now, and sets their cells to waiting. A dry run only lists them. */
err again_prepare(const spec_experiment *e, store *s, const run_options *options,
                  run_sweep *sweep) ERR_MUST_CHECK;
/* The latter for the cells that start from one that has just finished. */
err again_follow(const spec_experiment *e, store *s, const run_options *options, run_sweep *sweep,
                 size_t parent) ERR_MUST_CHECK;

#endif
