/* One trainer process: started, signalled, waited for. Internal to sweep/. */
#ifndef FLIPBENCH_SWEEP_PROCESS_H
#define FLIPBENCH_SWEEP_PROCESS_H

#include <signal.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "sweep/directory.h"
#include "sweep/slots.h"

/* Why a process was asked to stop. */
typedef enum { STOP_NONE, STOP_ASKED, STOP_PAUSED, STOP_TIME, STOP_TURN } stop_reason;

typedef struct {
  size_t index; /* of the cell in the sweep */
  pid_t pid;    /* of the trainer; for several ranks, of their launcher */
  int64_t ranks;
  int lock_fd, attempt;
  double started; /* clock_seconds */
  slot *place;    /* NULL: the whole machine */
  slots *slots;   /* to which `place` belongs */
  char *cgroup;   /* own cgroup; NULL: RLIMIT_DATA, or no limit; owned */
  stop_reason stop;
  double first_step;            /* clock_seconds when its first step was seen; 0: not yet */
  int64_t steps_before;         /* newest recorded step when it was started */
  double stopped;               /* clock_seconds of the first SIGTERM that it was sent */
  double looked;                /* clock_seconds of the last check of the ranks */
  bool has_events, asked_early; /* the trainer has started; it was asked to stop before that */
  double rank_0_ended;          /* clock_seconds when that was seen; 0: not yet */
  bool is_launcher_killed;      /* by us, since it did not end with its ranks */
  int64_t events_start;         /* bytes that events.jsonl had */
  int64_t log_start;            /* bytes that log.txt had */
  int64_t kills_before;         /* limits_count_kills */
  int64_t cgroup_kills_before;  /* limits_count_kills_in: another process's */
} process;

/* Options of a start in addition to the cell's. */
typedef struct {
  const char *init_from;         /* replaces the cell's own; NULL: unchanged */
  double origin_loss;            /* the last of the run that it is from; NaN: not known */
  const spec_pairs *environment; /* more variables for the trainer */
  const char *cgroup_base;       /* limits_find_cgroup; NULL: none */
  slot *place;
  slots *slots;              /* to which `place` belongs; NULL without one */
  const char *mpi;           /* several ranks are started by srun with this --mpi; NULL: mpirun */
  int64_t cores;             /* of each rank, for srun; 0: not given */
  int lock_fd;               /* of the directory */
  const sigset_t *unblocked; /* signal mask of the trainer */
} process_wishes;

/* Starts the trainer of a cell in its directory. It runs in its own process group, so that Ctrl-C
 * reaches only flipbench; it gets SIGTERM when flipbench dies; it inherits the lock. With `s` NULL
 * only the directory is written (a cluster node has no database). */
err process_start(const run_options *options, store *s, run_cell *cell,
                  const process_wishes *wishes, process *p) ERR_MUST_CHECK;

/* Asks the trainer to write a checkpoint and end (SIGTERM; for several ranks SIGUSR1 to the
 * launcher, which forwards it to each); records the reason. */
void process_stop(process *p, stop_reason why);
/* To be called often for cells of several ranks. Asks again if the launcher was asked to stop
 * before it had started any rank; kills a launcher that does not exit after rank 0 has ended, for
 * example because it waits for a machine that no longer answers. */
void process_look_after_ranks(const run_options *options, const run_cell *cell, process *p);
/* SIGKILL; ranks end with their launcher. */
void process_kill(const process *p);

/* Without waiting. A child whose exit status is lost, since something else took it, has ended too,
 * with status 0 and nothing used: what it wrote decides. */
bool process_has_ended(const process *p, int *wait_status, struct rusage *used);
/* After process_has_ended gave `wait_status`: reads the last events, determines the cell's state,
 * records it, and releases the lock and the slot. `kind` is set to the kind of a failure. */
err process_finish(const run_options *options, store *s, run_cell *cell, process *p,
                   int wait_status, const struct rusage *used, char kind[64]) ERR_MUST_CHECK;

#endif
