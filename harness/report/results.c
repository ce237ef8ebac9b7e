#include "report/results.h"

#include <stdlib.h>

#include "base/mem.h"
#include "store/facts.h"

err results_find(const spec_experiment *e, store *s, store_result **results) {
  store_kin *kin = mem_zeroed(e->cell_count, sizeof *kin);
  *results = mem_zeroed(e->cell_count, sizeof **results);
  err error = kin && *results ? NULL : mem_error(e->cell_count * sizeof **results, "the results");
  for (size_t i = 0; i < e->cell_count && !error; i++)
    kin[i] = (store_kin){e->cells[i].id, e->cells[i].parent};
  if (!error) error = store_find_results(s, kin, e->cell_count, *results);
  free(kin);
  if (!error) return NULL;
  free(*results);
  *results = NULL;
  return error;
}

err results_find_last_event(const spec_experiment *e, store *s, char stamp[CLOCK_STAMP_SIZE]) {
  store_result *results = NULL;
  err error = results_find(e, s, &results);
  for (size_t i = 0; i < e->cell_count && !error; i++)
    if (results[i].run_id) error = store_find_last_event(s, results[i].run_id, stamp);
  free(results);
  return error;
}
