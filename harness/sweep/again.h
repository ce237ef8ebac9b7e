/* Finished cells that are measured again. Internal to sweep/. */
#ifndef FLIPBENCH_SWEEP_AGAIN_H
#define FLIPBENCH_SWEEP_AGAIN_H

#include "sweep/run.h"

/* Archives the finished runs that options->again names and makes their cells wait. A dry run only
 * shows which. */
err again_prepare(const spec_experiment *e, store *s, const run_options *options,
                  run_sweep *sweep) ERR_MUST_CHECK;

#endif
