/* Control messages between the ranks of a run: progress, what to do next, what was skipped. Every
 * call is collective; all accept a NULL comm, for a run of one process, and then do nothing. */
#ifndef FLIP_TRAIN_RANKS_H
#define FLIP_TRAIN_RANKS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"
#include "comm/comm.h"

/* NULL when no rank failed. Else an error on every rank: its own, or that of the first that failed.
 */
err ranks_agree(comm *c, err own) ERR_MUST_CHECK;

/* What the ranks exchange between two steps. */
typedef struct {
  bool is_stop_wanted;    /* becomes true when any rank has it true */
  bool are_rows_due;      /* becomes rank 0's: rows_are_due */
  uint32_t replaced;      /* samples so far (loader_stats); becomes the sum */
  double unsaved_seconds; /* becomes rank 0's */
  uint32_t text_bytes;    /* becomes the longest */
  uint32_t fell_back;     /* as `replaced` */
  double busy_seconds;    /* time that this rank has computed in steps so far, without waiting */
} ranks_place;

/* How long each rank has computed. */
typedef struct {
  double *now, *at_row; /* [size] so far; when the last row ended */
} ranks_load;
typedef struct {
  int slowest;   /* rank */
  double spread; /* its time divided by the fastest rank's; NaN: not known */
} ranks_spread;

err ranks_load_open(ranks_load *load, comm *c) ERR_MUST_CHECK;
void ranks_load_close(ranks_load *load);

err ranks_share_place(comm *c, ranks_place *place, ranks_load *load) ERR_MUST_CHECK;
/* Since the last row, which ends here; or over all steps. Unknown for a NULL comm. */
ranks_spread ranks_spread_of_row(comm *c, ranks_load *load);
ranks_spread ranks_spread_of_all(comm *c, const ranks_load *load);

/* Adds the lines of all ranks to rank 0's, each with "rank N: " before it. longest: of any rank's,
 * in bytes, as ranks_share_place gave it. */
err ranks_collect_lines(comm *c, int64_t longest, strbuf *lines) ERR_MUST_CHECK;

/* The largest value on every rank. */
err ranks_most(comm *c, int64_t *value) ERR_MUST_CHECK;

/* Rank 0's value on every rank. */
err ranks_take_number(comm *c, int *value) ERR_MUST_CHECK;

#endif
