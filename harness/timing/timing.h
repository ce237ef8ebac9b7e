/* Measures two programs alternately, A B, B A, A B, …, so that drift of the machine affects both
 * equally. Every sample is written to RESULTS/benchmarks/SESSION.jsonl at once, with the load of
 * the machine during it. */
#ifndef FLIPBENCH_TIMING_TIMING_H
#define FLIPBENCH_TIMING_TIMING_H

#include <stdbool.h>

#include "base/options.h"
#include "base/text.h"

typedef struct {
  const char *base, *other; /* programs; other NULL: only base is measured */
  const option_list *words; /* their arguments; they print JSON objects, one per line */
  const char *metric;       /* a number in those objects */
  const char *results;
  const char *repository; /* git repository for the commit dates; NULL: "." */
  size_t rounds;
  /* When a run is ended, on clock_seconds, unless it takes no more than ten times as long as the
   * slowest one of `longest_run`, which the runs update; 0: never. */
  double deadline, *longest_run;
  /* Called before each round instead of printing progress on stderr; NULL: prints. */
  void (*on_round)(void *context, size_t round, size_t rounds);
  void *context;
} timing_options;

/* A row printed by the programs: "mask_ratio=0.5". */
typedef struct {
  char *name;
  double *base, *other; /* one value per round; NaN where there is no positive number */
  size_t base_left_out, other_left_out; /* rows without a positive number: null, 0, negative */
} timing_series;

/* Disturbance of the runs of the programs, each measured separately. */
typedef struct {
  size_t runs, disturbed;
  double other_cpus, most_other_cpus; /* CPUs used by other processes: mean and maximum */
  double stolen_share;                /* of the CPUs' time, by a hypervisor: mean */
  int64_t throttled;                  /* thermal throttling events */
  int cpus;
} timing_disturbance;

typedef struct {
  timing_series *series;
  size_t count;
  char commits[2][80]; /* of base and other, followed by "+digest" if there were uncommitted
                        * changes */
  char builds[2][400]; /* their compiler and flags; "" when the program does not report them */
  char *words;         /* their arguments, as recorded */
  timing_disturbance disturbance;
} timing_result;

/* ERR_INPUT when a run was ended at its deadline. ERR_INTERRUPTED, with all samples so far
 * recorded, when *stop becomes true (stop may be NULL). */
err timing_measure(const timing_options *options, const volatile bool *stop,
                   timing_result *result) ERR_MUST_CHECK;
void timing_free(timing_result *result);

/* "6 of 16 runs were disturbed: other processes used 0.9 of 2 CPUs (at most 1.7)"; empty when none
 * was. */
void timing_describe_disturbance(const timing_disturbance *d, strbuf *out);

#endif
