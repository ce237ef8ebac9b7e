/* An evaluation's images and texts divided among ranks: each encodes a run of whole batches, the
 * same that one rank alone would make, so that every embedding has the same bits. */
#ifndef FLIP_EVAL_SHARE_H
#define FLIP_EVAL_SHARE_H

#include <stddef.h>
#include <stdint.h>

#include "comm/comm.h"

/* Rows [first, first + count) of `rows` for one rank; batch: rows that stay together. */
comm_slice share_of(int64_t rows, int64_t batch, int size, int rank);
/* all [rows, row_bytes], of which every rank has made its own part, to every rank. Collective;
 * nothing for a NULL comm. */
err share_gather(comm *ranks, int64_t rows, int64_t batch, size_t row_bytes,
                 void *all) ERR_MUST_CHECK;

#endif
