/* The k best of a row of scores as torch.topk gives them on a CPU, ties included. For the files of
 * core/eval/ only. */
#ifndef FLIP_EVAL_TOPK_H
#define FLIP_EVAL_TOPK_H

#include <stdint.h>

typedef struct {
  float score;
  int32_t index;
} topk_entry;

/* Orders `entries` [count] so that the first k are the k best, best first; NaN is the best of all.
 * Which of equal scores come first is what torch's selection makes of them (ATen's TopKImpl over
 * libstdc++'s partial_sort and nth_element): not the order of the entries. 1 <= k <= count. */
void topk_select(topk_entry *entries, int64_t count, int64_t k);

#endif
