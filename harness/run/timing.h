/* Two programs measured in turn, A B, B A, A B, …: what drifts on the machine meets both alike.
 * Every sample is written to RESULTS/benchmarks/SESSION.jsonl as soon as it is there. */
#ifndef FLIPBENCH_RUN_TIMING_H
#define FLIPBENCH_RUN_TIMING_H

#include "base/options.h"
#include "base/text.h"

typedef struct {
  const char *base, *other; /* programs; other NULL: only base is measured */
  const option_list *words; /* what they are called with; they print JSON objects, one a line */
  const char *metric;       /* a number of those objects */
  const char *results;
  size_t rounds;
} timing_options;

/* A row that the programs print: "mask_ratio=0.5". */
typedef struct {
  char *name;
  double *base, *other; /* one value each round */
  size_t base_count, other_count;
} timing_series;

typedef struct {
  timing_series *series;
  size_t count;
  char commits[2][80]; /* of base and other, "+digest" behind it when there were changes */
} timing_result;

err timing_measure(const timing_options *options, timing_result *result) ERR_MUST_CHECK;
void timing_free(timing_result *result);

#endif
