/* State shared by the parts of a running sweep: starting (start.c), watching (watch.c), and the
 * loop that calls both (sweep.c). Internal to sweep/. */
#ifndef FLIPBENCH_SWEEP_RUNNER_H
#define FLIPBENCH_SWEEP_RUNNER_H

#include <signal.h>

#include "sweep/display.h"
#include "sweep/process.h"

typedef struct {
  const spec_experiment *e;
  store *s;
  const run_options *options;
  run_sweep *sweep;
  slots slots;
  char *cgroup_base; /* where cells with a memory limit get a cgroup; NULL: RLIMIT_DATA */
  process running[SLOTS_MOST];
  int running_count;
  int stop_requests;     /* Ctrl-C, SIGTERM or SIGHUP, counted */
  double stop_requested; /* clock_seconds of the first */
  bool is_paused;
  struct {
    bool is_enabled, is_given; /* the length was given: measured costs do not change it */
    bool was_reported;
    double seconds;                     /* of one time slice */
    double longest_start, longest_stop; /* what stopping and resuming a cell has cost */
  } time_slices;
  sigset_t unblocked;
  display shown;
  double *cost; /* of each cell, in FLOPs (or samples if FLOPs are not known) */
  err failure;  /* of flipbench itself, e.g. the database cannot be written */
  bool waits_for_orphan;
  int folder_fd; /* run_hold_folder of the experiment */
} runner;

void runner_keep_failure(runner *r, err error);
/* Does another sweep work on the experiment of this directory? True also where that cannot be
 * known. */
bool runner_has_company(const runner *r, const char *directory);
bool runner_is_stopping(const runner *r);

/* Predicts a cell's next process again, which has another number of ranks. */
err runner_predict_again(const runner *r, run_cell *c) ERR_MUST_CHECK;

/* Starts waiting cells, in order, while slots are free. */
void runner_fill_slots(runner *r);

/* At the end: skipped cells that another sweep has finished meanwhile are finished. */
void runner_look_at_skipped(runner *r);

/* Reads new events of the running cells. */
void runner_ingest(runner *r);
/* Stops processes that exceeded their time limit. */
void runner_enforce_limits(runner *r);
/* Collects ended processes: records the state of their cells and decides on retries. */
void runner_collect_ended(runner *r);
void runner_show(runner *r);
/* Work done over all cells, in the unit of `cost`. `fractions` (may be NULL): of the running
 * ones. */
double runner_work_done(const runner *r, const double *fractions);

#endif
