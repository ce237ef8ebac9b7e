/* Which items of an evaluation set a run classified correctly: the basis for intervals of its
 * accuracy, alone or paired with another run on the same items. */
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

static inline bool store_is_hit(const store_outcome *outcome, size_t item) {
  return outcome->hits[item / 8] >> (item % 8) & 1;
}

#endif
