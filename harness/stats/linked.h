/* Measurements made in turns, without what they share. A machine's speed drifts by several percent
 * within minutes; two programs measured in one round see the same speed, so their ratio does not
 * drift. */
#ifndef FLIPBENCH_STATS_LINKED_H
#define FLIPBENCH_STATS_LINKED_H

#include <stddef.h>

#include "base/err.h"

typedef struct {
  size_t item,
      round;    /* samples of one round were measured in turns; at most two of a round count */
  double value; /* positive */
} linked_sample;

/* corrected [count]: what each sample would be at the machine's usual speed: its ratio to the other
 * sample of its round, times the other item's level. Levels are medians, found from the item that
 * has most samples in pairs, and along pairs from there to the others. NaN for a sample without
 * another item in its round, and for items that no chain of pairs connects with that one. */
err stats_linked(const linked_sample *samples, size_t count, size_t items,
                 double *corrected) ERR_MUST_CHECK;

#endif
