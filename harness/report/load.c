#include "report/load.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "store/sql.h"

void load_free_cell(data_cell *c) {
  for (size_t i = 0; i < c->number_count; i++) free(c->numbers[i].name);
  for (size_t i = 0; i < c->evaluation_count; i++) {
    free(c->evaluations[i].set);
    free(c->evaluations[i].task);
    free(c->evaluations[i].metric);
  }
  for (size_t i = 0; i < c->outcome_count; i++) store_free_outcome(&c->outcomes[i]);
  free(c->numbers);
  free(c->evaluations);
  free(c->outcomes);
  free(c->status);
  free(c->message);
}

static err add_number(data_cell *c, sqlite3_stmt *rows) {
  data_number *grown = mem_resize(c->numbers, c->number_count + 1, sizeof *grown);
  if (!grown) return mem_error(sizeof *grown, "the report");
  c->numbers = grown;
  data_number *made = &grown[c->number_count];
  *made = (data_number){mem_copy_string(sql_text(rows, 0)), sql_real(rows, 1)};
  if (!made->name) return mem_error(0, "the report");
  c->number_count++;
  return NULL;
}

static err add_evaluation(data_cell *c, sqlite3_stmt *rows) {
  data_evaluation *grown = mem_resize(c->evaluations, c->evaluation_count + 1, sizeof *grown);
  if (!grown) return mem_error(sizeof *grown, "the report");
  c->evaluations = grown;
  data_evaluation *made = &grown[c->evaluation_count++];
  *made = (data_evaluation){.set = mem_copy_string(sql_text(rows, 0)),
                            .task = mem_copy_string(sql_text(rows, 1)),
                            .metric = mem_copy_string(sql_text(rows, 2)),
                            .ordinal = sqlite3_column_int64(rows, 3),
                            .step = sqlite3_column_int64(rows, 4),
                            .samples = sql_real(rows, 5),
                            .seconds = sql_real(rows, 6),
                            .value = sql_real(rows, 7)};
  return made->set && made->task && made->metric ? NULL : mem_error(0, "the report");
}

static err load_rows(store *s, const char *sql, data_cell *c,
                     err (*add)(data_cell *, sqlite3_stmt *)) {
  sqlite3_stmt *rows;
  bool more;
  err error = sql_query(s, &rows, sql, "i", c->run_id);
  while (!error && !(error = sql_next(s, rows, &more)) && more) {
    error = add(c, rows);
    if (error) sql_stop(rows);
  }
  return error;
}

err load_cell(store *s, const spec_cell *cell, data_cell *c) {
  store_run run;
  c->cell = cell;
  c->tuned = -1;
  err error = store_find_run(s, cell->id, &run);
  if (error) return error;
  c->run_id = run.run_id;
  c->is_finished = strcmp(run.status, "finished") == 0;
  c->status = mem_copy_string(run.run_id ? run.status : "not run");
  c->message = mem_copy_string(run.message);
  store_free_run(&run);
  if (!c->status || !c->message) return mem_error(0, "the report");
  if (!c->run_id) return NULL;
  error = load_rows(s, "SELECT name, value FROM summary WHERE run_id = ?", c, add_number);
  if (error) return error;
  return load_rows(s,
                   "SELECT set_name, task, metric, ordinal, step, samples, train_seconds, value"
                   " FROM evaluation WHERE run_id = ? ORDER BY ordinal, step",
                   c, add_evaluation);
}

err load_loss(store *s, int64_t run_id, size_t bins, load_point *points, size_t *count) {
  sqlite3_stmt *rows;
  bool more = false;
  *count = 0;
  err error = sql_query(s, &rows,
                        "SELECT avg(samples), avg(train_seconds), avg(loss) FROM step"
                        " WHERE run_id = ?1 GROUP BY (step - 1) * ?2 /"
                        "  (SELECT max(step) FROM step WHERE run_id = ?1)"
                        " HAVING avg(loss) IS NOT NULL ORDER BY 1",
                        "ii", run_id, (int64_t)bins);
  while (!error && *count < bins && !(error = sql_next(s, rows, &more)) && more)
    points[(*count)++] = (load_point){sql_real(rows, 0), sql_real(rows, 1), sql_real(rows, 2)};
  if (!error && more) sql_stop(rows);
  return error;
}
