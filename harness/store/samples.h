/* Timings of `flipbench compare` over commits: RESULTS/benchmarks/SESSION.jsonl, a line a sample,
 * and the table that is made from them. */
#ifndef FLIPBENCH_STORE_SAMPLES_H
#define FLIPBENCH_STORE_SAMPLES_H

#include "store/store.h"

/* Reads every session; what is known already stays as it is. */
err store_ingest_samples(store *s, const char *results) ERR_MUST_CHECK;

/* One series on one machine, a point for each commit: the median of its samples. */
typedef struct {
  char commit[24]; /* first 10 digits, "+" behind them for a build with uncommitted changes */
  char day[16];
  double value;
  size_t samples;
} sample_point;

typedef struct {
  char *series, *metric, *machine;
  sample_point *points; /* in the order of the commits */
  size_t count;
} sample_series;

err store_read_samples(store *s, const char *metric, sample_series **series,
                       size_t *count) ERR_MUST_CHECK;
void store_free_samples(sample_series *series, size_t count);

#endif
