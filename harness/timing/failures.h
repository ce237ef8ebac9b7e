/* Commits that `history --measure` could not build, or whose program printed no number: a line each
 * in RESULTS/benchmarks/failures.jsonl. */
#ifndef FLIPBENCH_TIMING_FAILURES_H
#define FLIPBENCH_TIMING_FAILURES_H

#include "store/samples.h"

/* How many commits after the last point of a series failed on its machine, in git's order as
 * RESULTS/benchmarks/ranges.jsonl has it, else by their commit dates (those of its second too): to
 * build (by a command that gave its compiler and flags, where RESULTS/benchmarks/builds.jsonl
 * knows one), or with its arguments. Lines of versions without the date do not count. */
err failures_count_newer(const char *results, const sample_series *series,
                         size_t *count) ERR_MUST_CHECK;

#endif
