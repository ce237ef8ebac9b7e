/* Which items of an evaluation set a run classified correctly, and the values of metrics that are
 * not means over items on resampled items: the basis for intervals, alone or paired with another
 * run on the same items. */
#ifndef FLIPBENCH_STORE_OUTCOMES_H
#define FLIPBENCH_STORE_OUTCOMES_H

#include "store/store.h"

typedef struct {
  char *set, *metric, *task;
  int64_t step;
  size_t items;
  uint8_t *hits;    /* bit i, least significant first within a byte: item i was a hit */
  uint16_t *labels; /* class of each item; NULL: none recorded */
} store_outcome;

/* `set` NULL: the run's main set for that task (the first that it evaluated). `step` -1: the last.
 * `items` is 0, and all else empty, when the run recorded none. Free with store_free_outcome, also
 * after an error. */
err store_load_outcome(store *s, int64_t run_id, const char *task, const char *metric,
                       const char *set, int64_t step, store_outcome *out) ERR_MUST_CHECK;
void store_free_outcome(store_outcome *outcome);

typedef struct {
  size_t items, count;
  float *values; /* [count] the metric on resample k of the items (core/eval/eval.h) */
} store_resampled;

/* `count` is 0 when the run recorded none. Free `values`, also after an error. */
err store_load_resampled(store *s, int64_t run_id, const char *task, const char *metric,
                         const char *set, int64_t step, store_resampled *out) ERR_MUST_CHECK;

static inline bool store_is_hit(const store_outcome *outcome, size_t item) {
  return outcome->hits[item / 8] >> (item % 8) & 1;
}

#endif
