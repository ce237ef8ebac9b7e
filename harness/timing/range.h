/* A range of commits, each built and measured: the samples of `flipbench history`. What is in the
 * record is not measured again, so it can be stopped and called again until it is done. */
#ifndef FLIPBENCH_TIMING_RANGE_H
#define FLIPBENCH_TIMING_RANGE_H

#include <stdbool.h>

#include "timing/bisect.h"
#include "timing/timing.h"
#include "store/store.h"

typedef struct {
  bisect_builds builds; /* `folder`: NULL for one of its own below $TMPDIR, removed at the end */
  timing_options how;   /* words, metric, results, rounds; base and other are set here */
  const char *first, *last; /* commits, both included */
  double budget_seconds;    /* no commit is begun that would end later; 0: no limit */
  bool builds_again;        /* also what could not be built or measured before */
  bool shows_progress;
  const volatile bool *stop; /* set from outside: ends soon, with ERR_INTERRUPTED */
} range_options;

typedef struct {
  size_t commits;  /* in the range */
  size_t known;    /* were in the record with enough rounds */
  size_t measured; /* now */
  size_t failed;   /* now or before: not built, or nothing was measured */
  size_t left;     /* the budget ended before */
} range_result;

/* Newest first. A commit that cannot be built, or prints no number, is recorded in
 * RESULTS/benchmarks/failures.jsonl and skipped; logs of builds that
 * failed stay in RESULTS/benchmarks/logs. */
err range_measure(const range_options *options, store *s, range_result *result) ERR_MUST_CHECK;

#endif
