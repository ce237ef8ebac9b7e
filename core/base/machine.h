/* What this machine is doing while something is timed: other load, clocks, limits. A timing from a
 * disturbed machine is still recorded, with a warning that says what disturbed it. */
#ifndef FLIP_BASE_MACHINE_H
#define FLIP_BASE_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/json.h"
#include "base/text.h"

/* Read at once; a part that this system does not tell is 0, NaN or "". */
typedef struct {
  int cpus;              /* that this process may run on */
  double quota_cpus;     /* the control group's limit; 0: none */
  double load;           /* runnable processes, mean of the last minute */
  double mhz;            /* of the first CPU, now */
  char governor[32];     /* "performance", "powersave", … */
  char driver[32];       /* that sets the clocks: "intel_pstate", … */
  uint64_t free_bytes;   /* of memory, without swapping */
  double wall_seconds;   /* monotonic clock */
  double busy_seconds;   /* of all CPUs, all processes, since boot */
  double stolen_seconds; /* that a hypervisor gave to others */
  double own_seconds;    /* CPU time of this process */
  int64_t throttled;     /* times that heat lowered the first CPU's clock, since boot */
} machine_state;

/* `root` is put before /proc and /sys: "" for this machine, a folder in tests. */
machine_state machine_look(const char *root);

/* The processor's model as /proc/cpuinfo names it; "unknown" where it does not. */
void machine_processor(const char *root, char *name, size_t size);
/* The version of NVIDIA's kernel driver, "580.159.04"; "" where none is loaded. */
void machine_gpu_driver(const char *root, char *version, size_t size);

/* Bytes that this process can still take without swapping: what the machine has available, or less
 * where a control group (version 1 or 2) leaves less, which *is_group says. 0: not known. */
uint64_t machine_free_memory(const char *root, bool *is_group);

/* {"cpus":2,"load":0.4,"governor":"performance",…}: what does not change with every reading. */
void machine_write_json(json_writer *w, const char *key, const machine_state *m);

/* What in `m` makes timings of `threads` threads doubtful, a sentence a line; nothing when all is
 * well. */
void machine_doubts(const machine_state *m, int threads, strbuf *lines);

/* What happened between two readings. */
typedef struct {
  double other_cpus;   /* CPUs' worth of work by other processes, mean */
  double stolen_share; /* of the CPUs' time, by the hypervisor */
  int64_t throttled;
} machine_span;
machine_span machine_between(const machine_state *first, const machine_state *last);
/* The same for a span: other processes took more than a tenth of the CPUs, and so on. */
void machine_span_doubts(const machine_span *span, int cpus, strbuf *lines);

#endif
