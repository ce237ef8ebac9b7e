/* Counters that show what delayed this process while it computed: time its threads waited for a
 * CPU, CPU time used by other processes, time stolen by a hypervisor. Cheap enough to read between
 * two steps: files stay open, and a reading is one pread per thread of the process plus two. */
#ifndef FLIP_BASE_READINGS_H
#define FLIP_BASE_READINGS_H

#include "base/err.h"

/* Totals since readings_open; NaN where the system does not report them. They never decrease. */
typedef struct {
  double cpu_seconds;       /* of this process, all threads */
  double delay_seconds;     /* its threads were runnable without a CPU, summed over threads */
  double switches;          /* involuntary context switches */
  double other_cpu_seconds; /* of other processes, on the CPUs that this one may use */
  double stolen_seconds;    /* by a hypervisor, of those CPUs */
  double pressure_seconds;  /* some process on this machine waited for a CPU */
} reading;

typedef struct readings readings;

/* `root` is put before /proc: "" for this machine, a folder in tests. */
err readings_open(const char *root, readings **out) ERR_MUST_CHECK;
void readings_close(readings *r);
/* Never fails: what cannot be read is NaN. */
reading readings_take(readings *r);

#endif
