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

/* The number in a file; NaN when there is none ("max", say). */
static double read_number(const char *path) {
  FILE *file = fopen(path, "re");
  double value = NAN;
  if (file && fscanf(file, "%lf", &value) != 1) value = NAN;
  if (file) fclose(file);
  return value;
}

double memory_available(void) {
  machine_state m = machine_look("");
  double available = m.free_bytes ? (double)m.free_bytes : (double)NAN;
  double left =
      read_number("/sys/fs/cgroup/memory.max") - read_number("/sys/fs/cgroup/memory.current");
  return left < available ? left : available; /* false for NaN */
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
