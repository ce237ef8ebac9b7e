#include "store/curves.h"

#include <stddef.h>

#include "store/rows.h"

/* ---- evaluations ---- */

static const size_t texts_of[] = {offsetof(store_evaluation, set), offsetof(store_evaluation, task),
                                  offsetof(store_evaluation, metric)};
static const rows_texts texts = ROWS_TEXTS(texts_of);

#define EVALUATION_COLUMNS                                                                         \
  "SELECT set_name, task, metric, ordinal, step, samples, train_seconds, value"

static err take_evaluation(sqlite3_stmt *row, void *item) {
  store_evaluation *e = item;
  e->ordinal = sqlite3_column_int64(row, 3);
  e->step = sqlite3_column_int64(row, 4);
  e->samples = sql_real(row, 5);
  e->seconds = sql_real(row, 6);
  e->value = sql_real(row, 7);
  return rows_copy_texts(row, 0, &texts, e);
}

static void drop_evaluation(void *item) {
  rows_free_texts(&texts, item);
}

static const rows_kind evaluation_kind = {sizeof(store_evaluation), take_evaluation,
                                          drop_evaluation, "a run's evaluations"};

err store_list_evaluations(store *s, int64_t run_id, store_evaluation **evaluations,
                           size_t *count) {
  sqlite3_stmt *rows;
  void *items = NULL;
  *evaluations = NULL;
  *count = 0;
  err error =
      sql_query(s, &rows,
                EVALUATION_COLUMNS
                " FROM evaluation WHERE run_id = ? ORDER BY ordinal, step, task, set_name, metric",
                "i", run_id);
  if (!error) error = rows_collect(s, rows, &evaluation_kind, &items, count);
  *evaluations = items;
  return error;
}

err store_list_final_evaluations(store *s, int64_t run_id, store_evaluation **evaluations,
                                 size_t *count) {
  sqlite3_stmt *rows;
  void *items = NULL;
  *evaluations = NULL;
  *count = 0;
  err error = sql_query(
      s, &rows,
      EVALUATION_COLUMNS
      " FROM v_final_evaluation WHERE run_id = ? ORDER BY ordinal, metric, task, set_name",
      "i", run_id);
  if (!error) error = rows_collect(s, rows, &evaluation_kind, &items, count);
  *evaluations = items;
  return error;
}

void store_free_evaluations(store_evaluation *evaluations, size_t count) {
  rows_free(&evaluation_kind, evaluations, count);
}

/* ---- steps ---- */

static err take_step(sqlite3_stmt *row, void *item) {
  *(store_step *)item = (store_step){.step = sqlite3_column_int64(row, 0),
                                     .samples = sqlite3_column_int64(row, 1),
                                     .loss = sql_real(row, 2),
                                     .learning_rate = sql_real(row, 3),
                                     .logit_scale = sql_real(row, 4),
                                     .grad_norm = sql_real(row, 5),
                                     .seconds = sql_real(row, 6),
                                     .reconstruction_loss = sql_real(row, 7)};
  return NULL;
}

static const rows_kind step_kind = {sizeof(store_step), take_step, NULL, "a run's steps"};

err store_list_steps(store *s, int64_t run_id, store_step **steps, size_t *count) {
  sqlite3_stmt *rows;
  void *items = NULL;
  *steps = NULL;
  *count = 0;
  err error =
      sql_query(s, &rows,
                "SELECT step, samples, loss, learning_rate, logit_scale, grad_norm,"
                " train_seconds, reconstruction_loss FROM step WHERE run_id = ? ORDER BY step",
                "i", run_id);
  if (!error) error = rows_collect(s, rows, &step_kind, &items, count);
  *steps = items;
  return error;
}

err store_load_loss(store *s, int64_t run_id, size_t bins, store_point *points, size_t *count) {
  sqlite3_stmt *rows;
  bool more = false;
  *count = 0;
  err error =
      sql_query(s, &rows,
                /* CAST: a product beyond INTEGER is a REAL, and no whole bin */
                "SELECT CAST((step - 1) * ?2 / (SELECT max(step) FROM step WHERE run_id = ?1)"
                " AS INTEGER) AS bin, avg(samples), avg(train_seconds), avg(loss) FROM step"
                " WHERE run_id = ?1 GROUP BY bin HAVING avg(loss) IS NOT NULL"
                " ORDER BY bin",
                "ii", run_id, (int64_t)bins);
  while (!error && *count < bins && !(error = sql_next(s, rows, &more)) && more) {
    const int64_t bin = sqlite3_column_int64(rows, 0);
    if (bin < 0 || bin >= (int64_t)bins) continue; /* of a step that no run has: a damaged row */
    points[(*count)++] =
        (store_point){(size_t)bin, sql_real(rows, 1), sql_real(rows, 2), sql_real(rows, 3)};
  }
  if (!error && more) sql_stop(rows);
  return error;
}
