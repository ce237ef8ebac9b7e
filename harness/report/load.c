#include "report/load.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "store/attempts.h"

void load_free_cell(data_cell *c) {
  store_free_facts(c->numbers, c->number_count);
  store_free_evaluations(c->evaluations, c->evaluation_count);
  store_free_environment(&c->environment);
  for (size_t i = 0; i < c->outcome_count; i++) store_free_outcome(&c->outcomes[i]);
  free(c->outcomes);
  free(c->status);
  free(c->message);
  free(c->lost);
  free(c->ended);
}

/* The numbers of a record that was cut or damaged are of what is left of it. */
static err find_lost(store *s, data_cell *c) {
  store_warning *warnings;
  size_t count;
  strbuf lost = {0};
  err error = store_list_warnings(s, c->run_id, &warnings, &count);
  if (error) return error;
  for (size_t i = 0; i < count; i++) {
    if (strcmp(warnings[i].kind, "no_end") != 0 && strcmp(warnings[i].kind, "no_evaluation") != 0)
      continue;
    strbuf_format(&lost, "%s%s", lost.length ? "; " : "", warnings[i].message);
  }
  store_free_warnings(warnings, count);
  if (!lost.length && !lost.is_broken) return NULL;
  c->lost = strbuf_take(&lost);
  return c->lost ? NULL : mem_error(0, "the report");
}

err load_cell(store *s, const spec_cell *cell, const store_result *result, data_cell *c) {
  store_run run;
  c->cell = cell;
  c->tuned = c->fine_tuned = c->measured = -1;
  err error = store_load_result(s, result, &run);
  if (error) return error;
  c->run_id = run.run_id;
  c->origin = result->origin;
  c->is_origin_unsure = result->is_unsure;
  c->is_finished = strcmp(run.status, "finished") == 0;
  c->status = mem_copy_string(run.run_id ? run.status : "not run");
  c->message = mem_copy_string(run.message);
  c->ended = mem_copy_string(run.ended);
  store_free_run(&run);
  if (!c->status || !c->message || !c->ended) return mem_error(0, "the report");
  error = store_load_environment(s, c->run_id, &c->environment);
  if (error || !c->run_id) return error;
  if (c->is_finished) error = find_lost(s, c);
  if (!error) error = store_list_numbers(s, c->run_id, &c->numbers, &c->number_count);
  if (error) return error;
  return store_list_evaluations(s, c->run_id, &c->evaluations, &c->evaluation_count);
}
