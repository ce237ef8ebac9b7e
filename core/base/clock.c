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

void clock_add(clock_shortest *s, double seconds) {
  if (s->seconds == 0 || seconds < s->seconds) {
    s->next = s->seconds;
    s->seconds = seconds;
  } else if (s->next == 0 || seconds < s->next) {
    s->next = seconds;
  }
}

bool clock_is_confirmed(const clock_shortest *s) {
  return s->next > 0 && s->next <= 1.1 * s->seconds;
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
