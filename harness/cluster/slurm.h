/* Runs cells as Slurm job arrays: one cell per task. Only this process writes the database; the
 * tasks write their cells' directories on the shared file system (sweep/task.h).
 *
 * RESULTS/NAME/slurm/ contains the submitted lists and scripts, the tasks' output, and jobs.tsv,
 * which maps cells to tasks, so that a later flipbench finds them again: lines of job, index, cell
 * and the number of processes that the cell had before. `lock` is held during a submission. */
#ifndef FLIPBENCH_CLUSTER_SLURM_H
#define FLIPBENCH_CLUSTER_SLURM_H

#include "sweep/run.h"

typedef struct {
  size_t cell; /* in the sweep */
  int64_t job;
  int index;
  bool is_queued;      /* pending or running at the last poll */
  int missed;          /* consecutive polls that did not find it, with no end recorded */
  double missed_since; /* clock_seconds of the first of them */
  int64_t attempts;    /* processes that the cell had when it was submitted; -1: not known */
  char state[24];      /* as squeue names it: "PENDING", "RUNNING" */
} slurm_task;

typedef struct {
  slurm_task *items;
  size_t count;
} slurm_tasks;

/* Command-line overrides of the experiment's `slurm`; NULL: none. */
typedef struct {
  const char *partition, *account;
  const char *flipbench; /* this program, for the tasks */
  strbuf *preview;       /* not NULL: the scripts are written here and nothing is submitted */
  strbuf *said;          /* lines that sbatch wrote to the user; may be NULL */
} slurm_wishes;

/* Submits every waiting cell that has no earlier submission in the queue: an array for the cells of
 * the matrix, and one for each tuning, whose tasks wait for their parents' (aftercorr). `tasks`:
 * those, the earlier ones still queued, and those that have left it while their process may still
 * be writing. Signals that ask to stop wait until a submitted job is recorded. ERR_IO while another
 * process submits this experiment. Call after run_plan with options->is_remote. */
err slurm_submit(const spec_experiment *e, store *s, const run_options *options,
                 const slurm_wishes *wishes, run_sweep *sweep, slurm_tasks *tasks) ERR_MUST_CHECK;

/* Reads what the tasks write and what Slurm reports about them, until none is left or a signal
 * arrives (the jobs then keep running, and sweep->is_interrupted is set). A task that left the
 * queue without recording its end is recorded as a failure with that reason. */
err slurm_watch(const spec_experiment *e, store *s, const run_options *options, run_sweep *sweep,
                slurm_tasks *tasks) ERR_MUST_CHECK;

/* Sets cells with a transient failure and retries left to waiting, together with those that depend
 * on them; `count` is the number of failed ones. Then submit again. */
err slurm_prepare_retries(store *s, const run_options *options, run_sweep *sweep,
                          size_t *count) ERR_MUST_CHECK;

void slurm_free(slurm_tasks *tasks);

#endif
