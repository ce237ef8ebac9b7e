#include "report/last.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "report/accuracy.h"
#include "report/load.h"

void last_free(last_numbers *n) {
  load_free_cell(&n->cell);
  free(n->items);
  *n = (last_numbers){0};
}

static err measure(report_data *d, const data_evaluation *e, last_number *made) {
  const accuracy_place at = {0, e};
  accuracy own = {.mean = {.low = NAN, .high = NAN}};
  err error = isnan(e->value) ? NULL : accuracy_mean(d, &at, 1, &own);
  *made = (last_number){e, own.mean.low, own.mean.high};
  return error;
}

err last_load(store *s, int64_t run_id, last_numbers *n) {
  report_data d = {.s = s, .cells = &n->cell};
  err error = NULL;
  *n = (last_numbers){.cell = {.run_id = run_id}};
  data_cell *c = &n->cell;
  TRY(store_list_final_evaluations(s, run_id, &c->evaluations, &c->evaluation_count));
  n->items = mem_zeroed(c->evaluation_count, sizeof *n->items);
  if (!n->items) FAIL(ERR_MEMORY, "out of memory: a run's evaluations");
  for (size_t i = 0; i < c->evaluation_count; i++) {
    const data_evaluation *e = &c->evaluations[i];
    if (accuracy_is_bound(c->evaluations, c->evaluation_count, e)) continue;
    TRY(measure(&d, e, &n->items[n->count++]));
  }
cleanup:
  if (error) last_free(n);
  return error;
}
