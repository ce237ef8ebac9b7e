/* Divides an evaluation's images and texts among ranks: each encodes consecutive whole batches, the
 * same batches as a single rank would, so that every embedding has the same bits. */
#ifndef FLIP_EVAL_SHARE_H
#define FLIP_EVAL_SHARE_H

#include <stddef.h>
#include <stdint.h>

#include "comm/comm.h"

/* Rows [first, first + count) of `rows` for one rank; batch: rows that are not divided. */
comm_slice share_of(int64_t rows, int64_t batch, int size, int rank);
/* Gathers all [rows, row_bytes], of which every rank has computed its own part, on every rank.
 * Collective; does nothing for a NULL comm. */
err share_gather(comm *ranks, int64_t rows, int64_t batch, size_t row_bytes,
                 void *all) ERR_MUST_CHECK;

#endif
