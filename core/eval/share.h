/* Divides an evaluation among ranks. Each encodes consecutive whole batches, the same batches as a
 * single rank would, and scores a range of images, texts, classes or resamples, each of which is
 * computed independently. So every number has the same bits on any number of ranks. */
#ifndef FLIP_EVAL_SHARE_H
#define FLIP_EVAL_SHARE_H

#include <stddef.h>
#include <stdint.h>

#include "base/text.h"
#include "comm/comm.h"

/* Rows [first, first + count) of `rows` for one rank; batch: rows that are not divided. */
comm_slice share_of(int64_t rows, int64_t batch, int size, int rank);
/* An error of one rank becomes an error of all. Collective; for a NULL comm the result is `own`. */
err share_agree(comm *ranks, err own) ERR_MUST_CHECK;
/* ERR_INPUT on all ranks when a rank's digest (HASH_SIZE) is not rank 0's: "rank 2 has WHAT than
 * rank 0". own: as in share_gather; then `digest` is not read. Collective. */
err share_same(comm *ranks, err own, const char *digest, const char *what) ERR_MUST_CHECK;
/* Gathers all [rows, row_bytes], of which every rank has computed its own part, on every rank. own:
 * an error in computing it, or NULL; as in share_agree, and with an error nothing is gathered. So
 * all ranks make the same calls after a failure, too; only ERR_LOST may be one rank's. Collective.
 */
err share_gather(comm *ranks, err own, int64_t rows, int64_t batch, size_t row_bytes,
                 void *all) ERR_MUST_CHECK;
/* Appends the lines of the other ranks to rank 0's, on every rank. Collective. */
err share_lines(comm *ranks, strbuf *lines) ERR_MUST_CHECK;

#endif
