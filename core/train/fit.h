/* Checks whether a run fits in the device's memory, and if not, which settings would. */
#ifndef FLIP_TRAIN_FIT_H
#define FLIP_TRAIN_FIT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "config/settings.h"
#include "ops/ops.h"

/* ERR_MEMORY when the plan, on a CPU with what is needed beside it, exceeds the available memory:
 * the message gives both, and the largest micro_batch_size and the recomputation that would fit. On
 * a device without its own memory, `host` of this machine is used; 0 bytes: unknown, no check. */
typedef struct {
  uint64_t bytes;
  bool is_group; /* limited by a control group */
  int ranks;     /* processes that share it; 0: one */
} fit_memory;
/* Of a device's free memory what a plan may take: the rest is for the libraries' code and
 * workspaces, the kernels' scratch and recorded steps, of which no plan knows (2.7 GB beside 51 for
 * ViT-L/16 on an H100). */
uint64_t fit_share(uint64_t free_bytes);
/* s: with the batch of one of `ranks` ranks. */
err fit_check(const settings *s, int64_t vocabulary, int ranks, ops *o,
              fit_memory host) ERR_MUST_CHECK;

#endif
