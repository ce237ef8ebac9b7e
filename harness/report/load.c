#include "report/load.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "store/runs.h"

void load_free_cell(data_cell *c) {
  store_free_facts(c->numbers, c->number_count);
  store_free_evaluations(c->evaluations, c->evaluation_count);
  store_free_environment(&c->environment);
  for (size_t i = 0; i < c->outcome_count; i++) store_free_outcome(&c->outcomes[i]);
  free(c->outcomes);
  free(c->status);
  free(c->message);
  free(c->ended);
}

err load_cell(store *s, const spec_cell *cell, data_cell *c) {
  store_run run;
  c->cell = cell;
  c->tuned = c->fine_tuned = c->measured = -1;
  err error = store_find_run(s, cell->id, &run);
  if (error) return error;
  c->run_id = run.run_id;
  c->is_finished = strcmp(run.status, "finished") == 0;
  c->status = mem_copy_string(run.run_id ? run.status : "not run");
  c->message = mem_copy_string(run.message);
  c->ended = mem_copy_string(run.ended);
  store_free_run(&run);
  if (!c->status || !c->message || !c->ended) return mem_error(0, "the report");
  error = store_load_environment(s, c->run_id, &c->environment);
  if (error || !c->run_id) return error;
  error = store_list_numbers(s, c->run_id, &c->numbers, &c->number_count);
  if (error) return error;
  return store_list_evaluations(s, c->run_id, &c->evaluations, &c->evaluation_count);
}

err load_forget(data_cell *c) {
  load_free_cell(c);
  *c = (data_cell){.cell = c->cell,
                   .tuned = -1,
                   .fine_tuned = -1,
                   .measured = -1,
                   .is_outdated = true,
                   .status = mem_copy_string("not run"),
                   .message = mem_copy_string("its run started from an earlier run of its parent, "
                                              "which was trained again; 'flipbench run' repeats "
                                              "it"),
                   .ended = mem_copy_string("")};
  return c->status && c->message && c->ended ? NULL : mem_error(0, "the report");
}
