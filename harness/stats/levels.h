/* A series with one value per commit, divided into levels, and the verdict on the newest of them.
 * Pure functions of the values; 'flipbench history' shows the former, 'flipbench regress' the
 * latter. */
#ifndef FLIPBENCH_STATS_LEVELS_H
#define FLIPBENCH_STATS_LEVELS_H

#include <stdbool.h>

#include "stats/changes.h"

enum { LEVELS_LEAST_SEGMENT = 3, LEVELS_LEAST_POINTS = 2 * LEVELS_LEAST_SEGMENT };

/* [first, last) of the values, with the mean and standard deviation of those that are not
 * outliers. */
typedef struct {
  size_t first, last, used;
  double mean, deviation; /* deviation: NaN for fewer than two */
  double p;               /* of the change that begins it; NaN for the first level */
} series_level;

typedef struct {
  double *values; /* as given */
  size_t count;
  bool *is_aside; /* far from its neighbours, which agree: excluded */
  size_t aside;
  series_level *levels; /* at least one when there is a value */
  size_t level_count;
} series_levels;

/* `values` are finite and positive. `level`: a change is kept when its p-value is at most this. */
err levels_find(const double *values, size_t count, double level,
                series_levels *result) ERR_MUST_CHECK;
void levels_free(series_levels *l);
/* Values [first, last) as a single level. */
series_level levels_stretch(const series_levels *l, size_t first, size_t last);
/* The level that contains value `at`. */
size_t levels_of(const series_levels *l, size_t at);

typedef struct {
  double least; /* relative change that matters: 0.02 */
  double level; /* maximum probability of a false alarm */
  bool is_lower_better;
  bool has_reference;
  size_t reference; /* a value whose level is the reference; else the best earlier level */
} verdict_options;

typedef enum { VERDICT_FINE, VERDICT_WORSE, VERDICT_UNSURE } verdict_kind;

typedef enum {
  VERDICT_BY_BOUND,  /* fine: `bound` rules a change out; unsure: it does not */
  VERDICT_BY_LEVEL,  /* worse: the newest level against the reference */
  VERDICT_BY_TREND,  /* worse: gradually, within the newest level */
  VERDICT_BY_NEWEST, /* unsure: the newest one or two values are worse, but do not form a level
                      * yet */
  VERDICT_BY_COUNT   /* unsure: too few values */
} verdict_reason;

typedef struct {
  verdict_kind kind;
  verdict_reason reason;
  double change; /* relative, as measured: -0.05. By bound: of the newest level */
  double p;      /* NaN by bound and by count */
  double bound;  /* worst relative change that 95 % confidence does not rule out, as a loss: 0.03;
                  * of one that began in the last one or two values only `unseen` is known */
  double unseen; /* a loss since one of these is seen from this on; NaN: the level is too short */
  size_t since;  /* the first of the worse values */
  size_t steps;  /* by level: changes between the reference and the newest level */
  size_t reference; /* level that the newest was compared with */
} series_verdict;

/* Fine only when a change of `least` for the worse is ruled out with 95 % confidence, anywhere
 * within the newest level but its last two values, and against the reference. */
series_verdict levels_judge(const series_levels *l, const verdict_options *how);

#endif
