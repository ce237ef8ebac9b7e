/* Repeats finished cells. Internal to sweep/. */
#ifndef FLIPBENCH_SWEEP_AGAIN_H
#define FLIPBENCH_SWEEP_AGAIN_H

#include "sweep/run.h"

/* Archives the finished runs selected by options->again and sets their cells to waiting. A dry run
 * only lists them. */
err again_prepare(const spec_experiment *e, store *s, const run_options *options,
                  run_sweep *sweep) ERR_MUST_CHECK;

#endif
