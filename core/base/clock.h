/* Time: a monotonic clock for durations, wall-clock stamps for records. */
#ifndef FLIP_BASE_CLOCK_H
#define FLIP_BASE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

/* Nanoseconds on the monotonic clock; only differences mean anything. */
int64_t clock_ns(void);
/* Seconds on the monotonic clock. */
double clock_seconds(void);

/* The shortest of several timings of the same work. Other work may have lengthened any of them, so
 * it counts as confirmed once another was at most a tenth longer. Starts as {0}. */
typedef struct {
  double seconds, next; /* the shortest, the one after it; 0: not yet */
} clock_shortest;
void clock_add(clock_shortest *s, double seconds);
bool clock_is_confirmed(const clock_shortest *s);

enum { CLOCK_STAMP_SIZE = 48 };
/* "2026-01-31T12:34:56.789Z", UTC. Returns buffer. */
const char *clock_stamp(char buffer[CLOCK_STAMP_SIZE]);

#endif
