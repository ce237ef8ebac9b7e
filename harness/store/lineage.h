/* Which run of each cell is its result, for tables, pages, exports, bundles and status alike.
 *
 * A row shows one lineage: a tuning counts with the run whose weights it started from, or one
 * that ended with the same. A cell has several runs after a merge, or after one was archived and
 * trained again. Of those of a cell without a parent the one is taken from which the most tunings
 * were made (of equals the newest), and of each tuning the newest run that started from it. */
#ifndef FLIPBENCH_STORE_LINEAGE_H
#define FLIPBENCH_STORE_LINEAGE_H

#include "store/runs.h"

typedef struct {
  const char *cell_id;
  ptrdiff_t parent; /* index of the cell that it starts from, which comes before it; -1: none */
} store_kin;

typedef struct {
  int64_t run_id;   /* the result, or the newest run if none has finished; 0: none */
  int64_t left_out; /* with run_id 0: a finished run, which started from other weights; 0: none */
  int64_t origin;   /* of either: the run of the parent's cell that it started from; 0: unknown */
  bool is_unsure;   /* the record does not say which of several it started from */
  bool is_of_other; /* left_out: its origin is a result of the parent's cell too, which is not shown
                     */
} store_result;

/* One result per cell. */
err store_find_results(store *s, const store_kin *cells, size_t count,
                       store_result *results) ERR_MUST_CHECK;
/* The record of a result; run_id 0: none, and `message` says why, if a run is left out. */
err store_load_result(store *s, const store_result *result, store_run *run) ERR_MUST_CHECK;

/* The runs that were started from a run's weights, and the loss that it ended with. When it is
 * removed, a mark of its loss in their folders (`origin`) is all that says which other run of its
 * cell has the same weights. The caller frees. */
err store_list_started_from(store *s, int64_t run_id, int64_t **runs, size_t *count,
                            double *loss) ERR_MUST_CHECK;

#endif
