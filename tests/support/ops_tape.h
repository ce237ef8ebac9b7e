/* A backend that can record, made from one that cannot: a recorded op is its struct on a tape, and
 * replay runs the tape. It refuses what a recording must not contain: copies from and to the host,
 * allocation, waiting. So a step that can be recorded here waits for nothing inside. */
#ifndef FLIP_SUPPORT_OPS_TAPE_H
#define FLIP_SUPPORT_OPS_TAPE_H

#include "ops/ops.h"

/* Takes `inner` over. replays, recorded_ops: counters of the caller's, or NULL. */
err ops_create_tape(ops *inner, int *replays, int *recorded_ops, ops **out) ERR_MUST_CHECK;

#endif
