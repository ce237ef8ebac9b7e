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

/* One of the rows that a merged row was made of, drawn at random. */
typedef struct {
  int64_t steps; /* 0: none; the row was not merged */
  double seconds, cpu_seconds, delay_seconds, stolen_seconds, other_cpu_seconds; /* NaN: unknown */
} pace_drawn;

/* One `step` row of the event stream (docs/events.md), or several merged into one: sums over the
 * steps it covers. The median of sums is not that of steps, so a merged row also keeps one of its
 * parts. */
typedef struct {
  int64_t process; /* rows of one process are adjacent; a new number starts a new warm-up */
  int64_t steps;
  double seconds, cpu_seconds, delay_seconds, stolen_seconds, other_cpu_seconds; /* NaN: unknown */
  pace_drawn drawn;
} pace_row;

typedef struct {
  int64_t steps;
  double train_seconds; /* sum over all rows */
  /* Median time of a step over the undisturbed rows after warm-up, of merged rows the drawn parts,
   * weighted by the steps that they stand for; over all rows when too few are undisturbed. Never 0
   * or NaN when there is a row. */
  double steady_step_seconds;
  double steady_low, steady_high; /* its 95 % interval; reaches down to steady * (1 - lost_share)
                                     when too few rows are undisturbed; NaN for one row */
  double lost_share;              /* of train_seconds, 0..1: lost to disturbance */
  double disturbed_share;         /* of rows with evidence of disturbance */
  bool is_measured;     /* some row has what would show a disturbance: delays or others' CPU time */
  bool has_undisturbed; /* enough undisturbed rows to estimate the steady pace */
  bool is_disturbed;    /* lost_share > 0.05, and there is evidence */
} pace;

/* Rows in step order. `threads`: from the run's settings; `cpus`: CPUs that the process may run on.
 * No rows give zeros. Rows without steps or with a non-finite time are ignored. */
err pace_of(const pace_row *rows, size_t count, int threads, int cpus, pace *out) ERR_MUST_CHECK;

/* Was this row delayed by something other than the run itself? pace_of judges rows under half a
 * second together with their neighbours. */
bool pace_is_row_disturbed(const pace_row *row, int threads, int cpus);

/* The sum of two rows of one process, with a part drawn from one of them. `place`: a number that no
 * other merge of the run has, such as the last step's. */
pace_row pace_merge(const pace_row *a, const pace_row *b, uint64_t place);
/* The same for callers that sum by themselves: what is drawn from rows of `steps` and, newer,
 * `more` steps. Drawn, not always the last: a loader that is late in every second step would make
 * all of these late or none. */
pace_drawn pace_draw(const pace_drawn *a, int64_t steps, const pace_drawn *b, int64_t more,
                     uint64_t place);

#endif
