/* Timings of `flipbench compare` over commits: RESULTS/benchmarks/SESSION.jsonl, a line a sample,
 * and the table made from them. */
#ifndef FLIPBENCH_STORE_SAMPLES_H
#define FLIPBENCH_STORE_SAMPLES_H

#include "store/store.h"

/* Reads every session; samples already stored stay as they are. */
err store_ingest_samples(store *s, const char *results) ERR_MUST_CHECK;

/* A commit in a series: the median of its samples. */
typedef struct {
  char commit[48], label[24]; /* label: first 10 digits, "+" for a build with uncommitted changes */
  char day[16];
  double value, least, most; /* median and range of its samples */
  size_t samples;            /* that are positive numbers */
  size_t disturbed;          /* of those: the machine was disturbed meanwhile */
} sample_point;

/* One series: what was measured, with which words and build, on one machine. Only what is equal in
 * all of these is ever compared. */
typedef struct {
  char *series, *metric, *words, *build, *machine;
  sample_point *points; /* in the order of the commits */
  size_t count;
  size_t left_out;      /* samples that are no positive number */
  size_t empty_commits; /* commits that have only such samples: they have no point */
} sample_series;

err store_read_samples(store *s, const char *metric, sample_series **series,
                       size_t *count) ERR_MUST_CHECK;
void store_free_samples(sample_series *series, size_t count);
/* Keeps, in their order, the series whose name, words, build or machine contain `text`. */
void store_select_samples(const char *text, sample_series *series, size_t *count);

/* How many positive samples of `metric` with these words and on this machine the commit has, its
 * builds with uncommitted changes left out; and what this build of it is, "" when there is none. */
err store_count_samples(store *s, const char *metric, const char *words, const char *machine,
                        const char *commit, size_t *count) ERR_MUST_CHECK;

#endif
