/* The k best of a row of scores as returned by torch.topk on a CPU, ties included. Internal to
 * core/eval/. */
#ifndef FLIP_EVAL_TOPK_H
#define FLIP_EVAL_TOPK_H

#include <stdint.h>

typedef struct {
  float score;
  int32_t index;
} topk_entry;

/* Orders `entries` [count] so that the first k are the k best, best first; NaN ranks highest. The
 * order of ties is that of torch's selection (ATen's TopKImpl over libstdc++'s partial_sort and
 * nth_element), not the order of the entries. 1 <= k <= count. */
void topk_select(topk_entry *entries, int64_t count, int64_t k);

#endif
