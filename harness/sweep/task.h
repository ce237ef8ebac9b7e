/* One cell of a submitted array, on the node chosen by the cluster: without a database, only the
 * cell's directory on the shared file system.
 *
 * A list of tasks is a file of JSON lines, one per task: {"index", "cell", "label", "directory",
 * "config" (a run file next to the list), "parent" (the directory of the cell whose newest
 * checkpoint it starts from, or null), "limit_seconds", "limit_bytes", "environment"}. */
#ifndef FLIPBENCH_SWEEP_TASK_H
#define FLIPBENCH_SWEEP_TASK_H

#include "sweep/run.h"

/* One line of a list, and the cell's settings in FOLDER/cell-ID.yaml. */
err task_write(const spec_experiment *e, const run_cell *cell, const char *parent, int index,
               const char *folder, strbuf *line) ERR_MUST_CHECK;

/* Runs task `index` of a list to its end and records it; SIGTERM and SIGINT make the trainer write
 * a checkpoint and stop. `state` is the cell's state; a finished cell is not run again. */
err task_run(const run_options *options, const char *list, int index,
             run_state *state) ERR_MUST_CHECK;

#endif
