/* Which rank was delayed by other work. Ranks wait for each other in every step, so that load next
 * to one of them slows all: a row has the readings of the rank that was delayed most. The run's own
 * ranks on one machine compete for its CPUs, but are not other work: their CPU time is subtracted
 * from what the counters of one call that of other processes. */
#ifndef FLIP_TRAIN_DELAYS_H
#define FLIP_TRAIN_DELAYS_H

#include <sched.h>

#include "base/readings.h"
#include "comm/comm.h"

typedef struct delays delays;

/* Where a rank computes. */
typedef struct {
  char machine[40]; /* machine_boot; "": not known */
  cpu_set_t cpus;   /* that it may use */
  int threads;
} delays_place;

/* Collective; fails on all ranks or on none. `threads`: of this rank. NULL for a NULL comm. */
err delays_open(comm *c, int threads, delays **out) ERR_MUST_CHECK;
void delays_close(delays *d); /* NULL is allowed */

/* Collective. *own: how much this rank's counters rose since the last call; other_cpu_seconds
 * becomes that of processes outside the run. *most: those of the rank that was delayed most,
 * converted to the number of threads and CPUs of rank 0; the same on every rank. A NULL d: *own. */
err delays_share(delays *d, reading *own, reading *most) ERR_MUST_CHECK;

/* Its two parts, for tests. places [size], copied; rose [size], changed like *own. */
err delays_make(const delays_place *places, int size, delays **out) ERR_MUST_CHECK;
reading delays_most(delays *d, reading *rose);

#endif
