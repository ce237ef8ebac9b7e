/* Builds and measures a range of commits: the samples of `flipbench history`. Recorded samples are
 * not measured again, so it can be stopped and called again until it is complete. */
#ifndef FLIPBENCH_TIMING_RANGE_H
#define FLIPBENCH_TIMING_RANGE_H

#include <stdbool.h>

#include "timing/bisect.h"
#include "timing/timing.h"
#include "store/store.h"

typedef struct {
  bisect_builds builds; /* `folder`: NULL for a temporary one below $TMPDIR, removed at the end */
  timing_options how;   /* words, metric, results, rounds; base and other are set here */
  const char *first, *last; /* commits, both included */
  double budget_seconds;    /* do not start a commit that would end later; 0: no limit */
  bool builds_again;        /* also what could not be built or measured earlier */
  bool shows_progress;
  const volatile bool *stop; /* set from outside: stops soon, with ERR_INTERRUPTED */
} range_options;

typedef struct {
  size_t commits;  /* in the range */
  size_t known;    /* already recorded with enough rounds */
  size_t measured; /* in this call */
  size_t failed;   /* now or earlier: not built, or nothing was measured */
  size_t left;     /* not reached within the budget */
} range_result;

/* Newest first; commits of one committer second oldest first. A commit that cannot be built, or
 * prints no number, is recorded in RESULTS/benchmarks/failures.jsonl and skipped; logs of failed
 * builds are kept in RESULTS/benchmarks/logs. */
err range_measure(const range_options *options, store *s, range_result *result) ERR_MUST_CHECK;

#endif
