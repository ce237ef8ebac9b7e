/* One trainer process: started, signalled, waited for. Internal to run/. */
#ifndef FLIPBENCH_RUN_PROCESS_H
#define FLIPBENCH_RUN_PROCESS_H

#include <signal.h>
#include <sys/types.h>

#include "run/run.h"

typedef struct {
  size_t index; /* of the cell in the sweep */
  pid_t pid;
  int lock_fd, attempt;
  double started; /* clock_seconds */
} process;

/* Starts the trainer of a cell in its directory, whose lock is `lock_fd`. `init_from` (may be
 * NULL) replaces the cell's own. `unblocked` is the signal mask the trainer gets. The trainer is
 * in a process group of its own, so that Ctrl-C reaches flipbench alone; it gets SIGTERM when
 * flipbench dies; it inherits the lock. */
err process_start(const run_options *options, store *s, run_cell *cell, const char *init_from,
                  int lock_fd, const sigset_t *unblocked, process *p) ERR_MUST_CHECK;

/* After waitpid gave `wait_status`: reads the last events, decides what the cell has come to
 * (`is_stopping`: we asked it to stop), records that, and releases the lock. */
err process_finish(const run_options *options, store *s, run_cell *cell, process *p,
                   int wait_status, bool is_stopping) ERR_MUST_CHECK;

#endif
