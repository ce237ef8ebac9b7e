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

double memory_outstanding(pid_t pid, double planned_bytes) {
  char path[64];
  double pages = NAN;
  if (isnan(planned_bytes)) return 0;
  snprintf(path, sizeof path, "/proc/%ld/statm", (long)pid);
  FILE *file = fopen(path, "re");
  if (file && fscanf(file, "%*s %lf", &pages) != 1) pages = NAN;
  if (file) fclose(file);
  double used = isnan(pages) ? 0 : pages * (double)sysconf(_SC_PAGESIZE);
  return planned_bytes > used ? planned_bytes - used : 0;
}

memory_verdict memory_judge(double planned, double available, double outstanding,
                            bool are_running) {
  if (isnan(planned) || isnan(available) || planned + outstanding <= available) return MEMORY_FITS;
  return are_running ? MEMORY_WAITS : MEMORY_LACKS;
}
