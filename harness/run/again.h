/* Finished cells that are measured again. Internal to run/. */
#ifndef FLIPBENCH_RUN_AGAIN_H
#define FLIPBENCH_RUN_AGAIN_H

#include "run/run.h"

/* Archives the finished runs that options->again names and makes their cells wait. A dry run only
 * shows which. */
err again_prepare(const spec_experiment *e, store *s, const run_options *options,
                  run_sweep *sweep) ERR_MUST_CHECK;

#endif
