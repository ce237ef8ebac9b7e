/* Counters that tell what held this process up while it computed: time its threads waited for a
 * CPU, what others took, what a hypervisor stole. Cheap enough to be read between two steps: files
 * stay open, and a reading is one pread for each of the process's threads and two more. */
#ifndef FLIP_BASE_READINGS_H
#define FLIP_BASE_READINGS_H

#include "base/err.h"

/* Totals since readings_open; NaN where this system does not tell. They never fall. */
typedef struct {
  double cpu_seconds;       /* of this process, all threads */
  double delay_seconds;     /* its threads could run and had no CPU, summed over threads */
  double switches;          /* it was interrupted while it could have gone on */
  double other_cpu_seconds; /* of other processes, on the CPUs that this one may use */
  double stolen_seconds;    /* by a hypervisor, of those CPUs */
  double pressure_seconds;  /* anybody on this machine waited for a CPU */
} reading;

typedef struct readings readings;

/* `root` is put before /proc: "" for this machine, a folder in tests. */
err readings_open(const char *root, readings **out) ERR_MUST_CHECK;
void readings_close(readings *r);
/* Never fails: what cannot be read is NaN. */
reading readings_take(readings *r);

#endif
