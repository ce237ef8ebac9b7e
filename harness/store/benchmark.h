/* Benchmark of the database: a million training steps, inserted and queried. */
#ifndef FLIPBENCH_STORE_BENCHMARK_H
#define FLIPBENCH_STORE_BENCHMARK_H

#include "store/store.h"

typedef struct {
  int64_t points;        /* rows of `step` that were inserted */
  double insert_seconds; /* including the commit */
  double ingest_seconds; /* the same points as JSON lines through store_ingest */
  double curve_ms;       /* the loss of one run of 50,000 steps, in 120 bins, as for plots */
  double newest_ms;      /* the newest step of every run, as for the live display */
  double summary_ms;     /* v_cell_summary of all cells */
  double bytes_per_point;
} store_benchmark_result;

/* Works on its own files in `folder`, which are removed. Times are the median of nine calls;
 * inserts are timed once. */
err store_benchmark(const char *folder, int64_t points,
                    store_benchmark_result *result) ERR_MUST_CHECK;

#endif
