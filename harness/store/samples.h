/* Timings of `flipbench compare` over commits: RESULTS/benchmarks/SESSION.jsonl, one sample per
 * line, and the table built from them. */
#ifndef FLIPBENCH_STORE_SAMPLES_H
#define FLIPBENCH_STORE_SAMPLES_H

#include <stdbool.h>

#include "store/store.h"

/* Reads every session; samples already stored are unchanged. */
err store_ingest_samples(store *s, const char *results) ERR_MUST_CHECK;

/* A commit in a series: the median of its samples. Samples measured in turns with another commit's
 * are without the machine's drift (stats/linked.h), also where that one is of another build, if
 * this connects more of them; a commit that has such samples is known by them alone. */
typedef struct {
  char commit[48], label[24]; /* label: first 10 digits, "+" for a build with uncommitted changes */
  char day[16];
  double value, least, most; /* median and range of its samples */
  size_t samples;            /* that are positive numbers, and used */
  size_t disturbed;          /* of those: measured while the machine was disturbed */
  bool is_alone;             /* not in turns with the others: the machine's drift is in its value */
  double measured;           /* Julian day of its first sample; NaN: not recorded */
  double committed;          /* the same of the commit, or else of its first sample */
} sample_point;

/* One series: what was measured, with which arguments and build, on one machine. Only samples that
 * are equal in all of these are compared. */
typedef struct {
  char *series, *metric, *words, *build, *machine;
  sample_point *points; /* in commit order */
  size_t count;
  size_t left_out;      /* samples that are not positive numbers */
  size_t empty_commits; /* commits that have only such samples: they have no point */
  size_t empty_newest;  /* of those: the ones after the last point */
  size_t alone;         /* points that are */
} sample_series;

err store_read_samples(store *s, const char *metric, sample_series **series,
                       size_t *count) ERR_MUST_CHECK;
void store_free_samples(sample_series *series, size_t count);
/* Moves the series whose name, arguments, build or machine contain `text` before the others, both
 * in their order; returns how many contain it. */
size_t store_select_samples(const char *text, sample_series *series, size_t count);

/* The number of rounds in which the commit and another were both measured, of `metric` with these
 * arguments on this machine, without builds with uncommitted changes and without other_builds, a
 * JSON array of compilers and flags. */
err store_count_rounds(store *s, const char *metric, const char *words, const char *machine,
                       const char *commit, const char *other_builds, size_t *count) ERR_MUST_CHECK;
/* A JSON array of the commits that chains of such rounds connect with a commit, itself included;
 * the caller frees it. */
err store_list_linked(store *s, const char *metric, const char *words, const char *machine,
                      const char *commit, const char *other_builds, char **commits) ERR_MUST_CHECK;
/* The commit that others were most often measured in turns with; "" if none was. */
err store_find_reference(store *s, const char *metric, const char *words, const char *machine,
                         char commit[48]) ERR_MUST_CHECK;

#endif
