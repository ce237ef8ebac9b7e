/* Does a run fit the device's memory, and if not, which settings would? */
#ifndef FLIP_TRAIN_FIT_H
#define FLIP_TRAIN_FIT_H

#include <stdint.h>

#include "base/err.h"
#include "config/settings.h"
#include "ops/ops.h"

/* ERR_MEMORY when `planned_bytes` are more than the device has free: the message names both, and
 * the largest micro_batch_size and the recomputation that would fit. NULL where the device's
 * memory is not known (the CPU). */
err fit_check(const settings *s, int64_t vocabulary, ops *o, uint64_t planned_bytes) ERR_MUST_CHECK;

#endif
