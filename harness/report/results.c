#include "report/results.h"

#include <stdlib.h>

#include "base/mem.h"

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
