/* Control messages between the ranks of a run: that all of them got this far, what to do next, what
 * was skipped. Every call is collective; all take a NULL comm, for a run of one process, and then
 * do nothing. */
#ifndef FLIP_TRAIN_RANKS_H
#define FLIP_TRAIN_RANKS_H

#include <stdbool.h>

#include "base/text.h"
#include "comm/comm.h"

/* NULL when no rank failed. Else an error on every rank: its own, or that of the first that failed.
 */
err ranks_agree(comm *c, err own) ERR_MUST_CHECK;

/* *is_wanted becomes true when any rank has it true; *unsaved_seconds is rank 0's; *text_bytes is
 * the longest. */
err ranks_share_place(comm *c, bool *is_stop_wanted, double *unsaved_seconds,
                      int64_t *text_bytes) ERR_MUST_CHECK;

/* Adds the lines of all ranks to rank 0's, each with "rank N: " before it. longest: of any rank's,
 * in bytes, as ranks_share_place gave it. */
err ranks_collect_lines(comm *c, int64_t longest, strbuf *lines) ERR_MUST_CHECK;

/* Rank 0's value on every rank. */
err ranks_take_number(comm *c, int *value) ERR_MUST_CHECK;

#endif
