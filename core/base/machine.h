/* The state of this machine while something is timed: other load, clocks, limits. A timing from a
 * disturbed machine is still recorded, with a warning that names the disturbance. */
#ifndef FLIP_BASE_MACHINE_H
#define FLIP_BASE_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/json.h"
#include "base/text.h"

/* Values that this system does not report are 0, NaN or "". */
typedef struct {
  int cpus;              /* that this process may run on */
  double quota_cpus;     /* the control group's limit; 0: none */
  double load;           /* runnable processes, mean of the last minute */
  double mhz;            /* of the first CPU, now */
  char governor[32];     /* "performance", "powersave", … */
  char driver[32];       /* of the CPU frequency: "intel_pstate", … */
  uint64_t free_bytes;   /* memory available without swapping */
  double wall_seconds;   /* monotonic clock */
  double busy_seconds;   /* of these CPUs, all processes, since boot */
  double stolen_seconds; /* taken from them by the hypervisor */
  double own_seconds;    /* CPU time of this process */
  int64_t throttled;     /* thermal throttling events of the first CPU, since boot */
} machine_state;

/* `root` is put before /proc and /sys: "" for this machine, a folder in tests. */
machine_state machine_look(const char *root);

/* The processor's model from /proc/cpuinfo, an ARM's by its numbers; "unknown" when it is not
 * listed. */
void machine_processor(const char *root, char *name, size_t size);
/* The id of the running kernel, in 36 characters: differs between machines, also those of one name;
 * "" where it is not known. */
void machine_boot(const char *root, char *id, size_t size);
/* The version of NVIDIA's kernel driver, "580.159.04"; "" where none is loaded. */
void machine_gpu_driver(const char *root, char *version, size_t size);

/* Bytes that this process can still allocate without swapping: what the machine has available, or
 * less if a control group (version 1 or 2) limits it, in which case *is_group is set. 0: not
 * known. */
uint64_t machine_free_memory(const char *root, bool *is_group);

/* {"cpus":2,"load":0.4,"governor":"performance",…}: the values that do not change with every
 * reading, and are known. */
void machine_write_json(json_writer *w, const char *key, const machine_state *m);

/* What in `m` makes timings with `threads` threads doubtful, one sentence per line; empty when
 * nothing does. */
void machine_doubts(const machine_state *m, int threads, strbuf *lines);

/* What happened between two readings. */
typedef struct {
  double other_cpus;   /* CPUs used by other processes, mean */
  double stolen_share; /* of the CPUs' time, by the hypervisor */
  int64_t throttled;
} machine_span;
machine_span machine_between(const machine_state *first, const machine_state *last);
/* The same for a span: other processes used more than a tenth of the CPUs, and so on. */
void machine_span_doubts(const machine_span *span, int cpus, strbuf *lines);

#endif
