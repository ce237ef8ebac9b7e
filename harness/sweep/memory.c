#include "sweep/memory.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/machine.h"

bool memory_is_of_host(const settings *s) {
  if (s->device == DEVICE_CUDA) return false;
  return s->device == DEVICE_CPU || !fs_is_folder("/proc/driver/nvidia/gpus");
}

double memory_available(const char *root) {
  bool is_group;
  uint64_t bytes = machine_free_memory(root, &is_group);
  return bytes || is_group ? (double)bytes : (double)NAN;
}

double memory_planned_here(const run_cell *c) {
  return c->predicted_bytes / (double)spec_nodes_of(c->cell, c->ranks);
}

/* Pages in use by a process and what it started: the ranks of a launcher. */
static double pages_of(pid_t pid, int depth) {
  enum { DEEPEST = 8 };
  char path[96];
  double pages = 0;
  long child;
  snprintf(path, sizeof path, "/proc/%ld/statm", (long)pid);
  FILE *file = fopen(path, "re");
  if (file && fscanf(file, "%*s %lf", &pages) != 1) pages = 0;
  if (file) fclose(file);
  snprintf(path, sizeof path, "/proc/%ld/task/%ld/children", (long)pid, (long)pid);
  file = depth < DEEPEST ? fopen(path, "re") : NULL;
  while (file && fscanf(file, "%ld", &child) == 1) pages += pages_of((pid_t)child, depth + 1);
  if (file) fclose(file);
  return pages;
}

double memory_outstanding(pid_t pid, double planned_bytes) {
  if (isnan(planned_bytes)) return 0;
  double used = pages_of(pid, 0) * (double)sysconf(_SC_PAGESIZE);
  return planned_bytes > used ? planned_bytes - used : 0;
}

memory_verdict memory_judge(double planned, double available, double outstanding,
                            bool are_running) {
  if (isnan(planned) || isnan(available) || planned + outstanding <= available) return MEMORY_FITS;
  return are_running ? MEMORY_WAITS : MEMORY_LACKS;
}
