#include "base/clock.h"

#include <stdio.h>
#include <time.h>

int64_t clock_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

double clock_seconds(void) {
  return (double)clock_ns() * 1e-9;
}

const char *clock_stamp(char buffer[CLOCK_STAMP_SIZE]) {
  struct timespec now;
  struct tm utc;
  clock_gettime(CLOCK_REALTIME, &now);
  gmtime_r(&now.tv_sec, &utc);
  char seconds[24];
  strftime(seconds, sizeof seconds, "%Y-%m-%dT%H:%M:%S", &utc);
  snprintf(buffer, CLOCK_STAMP_SIZE, "%s.%03ldZ", seconds, now.tv_nsec / 1000000);
  return buffer;
}
