/* Two programs measured in turn, A B, B A, A B, …: drift of the machine affects both equally.
 * Every sample is written to RESULTS/benchmarks/SESSION.jsonl at once, with the load of the machine
 * during it. */
#ifndef FLIPBENCH_TIMING_TIMING_H
#define FLIPBENCH_TIMING_TIMING_H

#include <stdbool.h>

#include "base/options.h"
#include "base/text.h"

typedef struct {
  const char *base, *other; /* programs; other NULL: only base is measured */
  const option_list *words; /* what they are called with; they print JSON objects, one a line */
  const char *metric;       /* a number of those objects */
  const char *results;
  const char *repository; /* of git, which knows when the commits were made; NULL: "." */
  size_t rounds;
  /* Called before each round instead of saying so on stderr; NULL: says so. */
  void (*on_round)(void *context, size_t round, size_t rounds);
  void *context;
} timing_options;

/* A row that the programs print: "mask_ratio=0.5". */
typedef struct {
  char *name;
  double *base, *other; /* one value each round; NaN where there is no positive number */
  size_t base_left_out, other_left_out; /* rows whose value was none: null, 0, below 0 */
} timing_series;

/* What disturbed the runs of the programs, each of them read on its own. */
typedef struct {
  size_t runs, disturbed;
  double other_cpus, most_other_cpus; /* CPUs' worth of other processes: mean and greatest */
  double stolen_share;                /* of the CPUs' time, by a hypervisor: mean */
  int64_t throttled;                  /* times that heat lowered the clock */
  int cpus;
} timing_disturbance;

typedef struct {
  timing_series *series;
  size_t count;
  char commits[2][80]; /* of base and other, "+digest" behind it when there were changes */
  char builds[2][400]; /* their compiler and flags; "" when the program does not say */
  char *words;         /* what they were called with, as it is recorded */
  timing_disturbance disturbance;
} timing_result;

/* ERR_INTERRUPTED, with all samples up to then recorded, when *stop becomes true (stop may be
 * NULL). */
err timing_measure(const timing_options *options, const volatile bool *stop,
                   timing_result *result) ERR_MUST_CHECK;
void timing_free(timing_result *result);

/* "6 of 16 runs were disturbed: other processes used 0.9 of 2 CPUs (at most 1.7)"; nothing when
 * none was. */
void timing_tell_disturbance(const timing_disturbance *d, strbuf *out);

#endif
