/* The pace of a run: how fast its steps were when nothing disturbed them, and what disturbance
 * cost. The one place where the times of rows become numbers of a run; docs/results.md says what
 * they mean, and pace.c why the limits are what they are. */
#ifndef FLIP_BASE_PACE_H
#define FLIP_BASE_PACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

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
                                     when too few rows are undisturbed */
  double lost_share;              /* of train_seconds, 0..1: what disturbance cost */
  double disturbed_share;         /* of rows with evidence of disturbance */
  bool has_undisturbed;           /* enough undisturbed rows to tell the steady pace */
  bool is_disturbed;              /* lost_share > 0.05, and there is evidence */
} pace;

/* Rows in the order of their steps. `threads`: of the run's settings; `cpus`: that the process may
 * run on. No rows give zeros. Rows without steps or with a time that is no number are left out. */
err pace_of(const pace_row *rows, size_t count, int threads, int cpus, pace *out) ERR_MUST_CHECK;

/* Something other than the run's own work held this row up. Of rows under half a second pace_of
 * judges the neighbours together. */
bool pace_is_row_disturbed(const pace_row *row, int threads, int cpus);

#endif
