/* Does a run fit the device's memory, and if not, which settings would? */
#ifndef FLIP_TRAIN_FIT_H
#define FLIP_TRAIN_FIT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "config/settings.h"
#include "ops/ops.h"

/* ERR_MEMORY when `planned_bytes` are more than there is: the message names both, and the largest
 * micro_batch_size and the recomputation that would fit. On a device without memory of its own that
 * is `host`, of this machine; 0 bytes: not known, and nothing is refused. */
typedef struct {
  uint64_t bytes;
  bool is_group; /* limited by a control group */
} fit_memory;
err fit_check(const settings *s, int64_t vocabulary, ops *o, uint64_t planned_bytes,
              fit_memory host) ERR_MUST_CHECK;

#endif
