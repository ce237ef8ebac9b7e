/* Adds the values that ranks sent, on the CPU: the same bits for every implementation of comm.h. */
#ifndef FLIP_COMM_SUMS_H
#define FLIP_COMM_SUMS_H

#include "ops/ops.h"

/* to [count] of master type = the sum over ranks, in rank order and in double, of from [ranks]:
 * `count` values of type `wire` of each. */
void sums_of_ranks(const void *const *from, int ranks, ops_type wire, int64_t count, ops_buffer to);
/* to [count] = x [count] of master type, to nearest, ties to even. */
void sums_round(ops_buffer x, int64_t count, uint16_t *to);

#endif
