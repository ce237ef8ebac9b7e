/* `flipbench rank`: one rank of a cell, between the launcher (mpirun, srun) and the trainer. Binds
 * the trainer to its cores, writes its log, ends it when the launcher dies, and records where it
 * ran, how it ended, and its memory and CPU time (docs/clusters.md). */
#ifndef FLIPBENCH_SWEEP_RANK_H
#define FLIPBENCH_SWEEP_RANK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

typedef struct {
  const char *folder; /* of the cell */
  int64_t attempt;
  bool binds;    /* to its share of this process's cores; false: the launcher has bound it */
  int64_t cores; /* of each rank; 0: an equal share */
  char *const *words;
} rank_wishes;

/* Runs the trainer to its end; *status is the exit status, 128 + the number of a signal. */
err rank_run(const rank_wishes *wishes, int *status) ERR_MUST_CHECK;

#endif
