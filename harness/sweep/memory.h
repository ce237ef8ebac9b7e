/* Checks whether this machine's memory can hold a cell. Internal to sweep/. */
#ifndef FLIPBENCH_SWEEP_MEMORY_H
#define FLIPBENCH_SWEEP_MEMORY_H

#include <stdbool.h>
#include <sys/types.h>

#include "sweep/run.h"

/* True when a run with these settings keeps its model in host memory, not in a GPU's. */
bool memory_is_of_host(const settings *s);
/* Bytes that can be allocated without swapping, considering this process's control group: page
 * cache is free. NaN when unknown. `root` is put before /proc and /sys, as in base/machine.h. */
double memory_available(const char *root);
/* The predicted memory of a cell's ranks on this machine. NaN when unknown. */
double memory_planned_here(const run_cell *c);
/* Bytes that a process will still allocate according to its plan: the plan minus the current use of
 * it and the processes that it started, at least 0. */
double memory_outstanding(pid_t pid, double planned_bytes);

typedef enum {
  MEMORY_FITS,
  MEMORY_WAITS, /* it would fit once the running cells have ended */
  MEMORY_LACKS
} memory_verdict;
/* Compares `planned` bytes of a cell with `available` ones, of which running cells (any:
 * `are_running`) will still allocate `outstanding`. Unknown values (NaN) count as fitting. */
memory_verdict memory_judge(double planned, double available, double outstanding, bool are_running);

#endif
