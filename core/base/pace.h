/* The pace of a run: the speed of its undisturbed steps, and the time lost to disturbance. The only
 * place where row times become numbers of a run; docs/results.md explains their meaning, and pace.c
 * the choice of the limits. */
#ifndef FLIP_BASE_PACE_H
#define FLIP_BASE_PACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* In seconds: no step is taken to be shorter. A steady_low of it is no bound: few rows, which
 * differ much, leave none. */
#define PACE_SHORTEST 1e-9

/* One `step` row of the event stream (docs/events.md): sums over the steps it covers. */
typedef struct {
  int64_t process; /* rows of one process are adjacent; a new number starts a new warm-up */
  int64_t steps;
  double seconds, cpu_seconds, delay_seconds, stolen_seconds, other_cpu_seconds; /* NaN: unknown */
} pace_row;

typedef struct {
  int64_t steps;
  double train_seconds; /* sum over all rows */
  /* Median time of a step over the undisturbed rows after warm-up, weighted by steps; over all rows
   * when too few are undisturbed. Never 0 or NaN when there is a row. */
  double steady_step_seconds;
  double steady_low, steady_high; /* its 95 % interval; reaches down to steady * (1 - lost_share)
                                     when too few rows are undisturbed; NaN for one row */
  double lost_share;              /* of train_seconds, 0..1: lost to disturbance */
  double disturbed_share;         /* of rows with evidence of disturbance */
  bool has_undisturbed;           /* enough undisturbed rows to estimate the steady pace */
  bool is_disturbed;              /* lost_share > 0.05, and there is evidence */
} pace;

/* Rows in step order. `threads`: from the run's settings; `cpus`: CPUs that the process may run on.
 * No rows give zeros. Rows without steps or with a non-finite time are ignored. */
err pace_of(const pace_row *rows, size_t count, int threads, int cpus, pace *out) ERR_MUST_CHECK;

/* Was this row delayed by something other than the run itself? pace_of judges rows under half a
 * second together with their neighbours. */
bool pace_is_row_disturbed(const pace_row *row, int threads, int cpus);

#endif
