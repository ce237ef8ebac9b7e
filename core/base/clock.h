/* Time: a monotonic clock for durations, wall-clock stamps for records. */
#ifndef FLIP_BASE_CLOCK_H
#define FLIP_BASE_CLOCK_H

#include <stdint.h>

/* Nanoseconds on the monotonic clock; only differences mean anything. */
int64_t clock_ns(void);
/* Seconds on the monotonic clock. */
double clock_seconds(void);

enum { CLOCK_STAMP_SIZE = 48 };
/* "2026-01-31T12:34:56.789Z", UTC. Returns buffer. */
const char *clock_stamp(char buffer[CLOCK_STAMP_SIZE]);

#endif
