/* Adding what ranks sent, on the CPU: the same bits for every implementation of comm.h. */
#ifndef FLIP_COMM_SUMS_H
#define FLIP_COMM_SUMS_H

#include "ops/ops.h"

/* to [count] of master type = the sum over ranks, in their order and in double, of received
 * [ranks, stride] of type `wire`. */
void sums_of_ranks(const void *received, int ranks, int64_t stride, ops_type wire, int64_t count,
                   ops_buffer to);
/* to [count] = x [count] of master type, to nearest, ties to even. */
void sums_round(ops_buffer x, int64_t count, uint16_t *to);

#endif
