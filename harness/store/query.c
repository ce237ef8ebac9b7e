#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "store/sql.h"

void store_free_run(store_run *run) {
  char *texts[] = {run->directory, run->status,  run->kind, run->message,
                   run->log_tail,  run->started, run->ended};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) free(texts[i]);
  *run = (store_run){0};
}

err store_find_run(store *s, const char *cell_id, store_run *run) {
  char **texts[] = {&run->directory, &run->status,  &run->kind, &run->message,
                    &run->log_tail,  &run->started, &run->ended};
  sqlite3_stmt *rows;
  bool has_row;
  *run = (store_run){0};
  err error = sql_query(s, &rows,
                        "SELECT run.directory, run.status, run.kind, run.message, attempt.log_tail,"
                        " run.started, run.ended, run.id, attempt.number, attempt.pid"
                        " FROM run LEFT JOIN attempt ON attempt.run_id = run.id"
                        " WHERE run.id = (SELECT id FROM run AS any_run WHERE cell_id = ?"
                        "  AND NOT archived ORDER BY status = 'finished' DESC, id DESC LIMIT 1)"
                        " ORDER BY attempt.number DESC LIMIT 1",
                        "t", cell_id);
  if (!error) error = sql_next(s, rows, &has_row);
  if (error) return error;
  for (int i = 0; i < (int)(sizeof texts / sizeof *texts); i++) {
    *texts[i] = mem_copy_string(has_row ? sql_text(rows, i) : "");
    if (!*texts[i]) error = mem_error(0, "a run's record");
  }
  if (has_row) {
    run->run_id = sqlite3_column_int64(rows, 7);
    run->attempts = sqlite3_column_int64(rows, 8);
    run->pid = sqlite3_column_int64(rows, 9);
    sql_stop(rows);
  }
  if (error) store_free_run(run);
  return error;
}

err store_last_checkpoint(store *s, const char *results, int64_t run_id, char **path) {
  sqlite3_stmt *rows;
  bool more;
  *path = NULL;
  err error = sql_query(s, &rows,
                        "SELECT run.directory, artifact.path FROM artifact"
                        " JOIN run ON run.id = artifact.run_id"
                        " WHERE artifact.run_id = ? AND artifact.kind = 'checkpoint'"
                        " ORDER BY artifact.step DESC",
                        "i", run_id);
  while (!error && !(error = sql_next(s, rows, &more)) && more) { /* older ones were removed */
    strbuf full = {0};
    strbuf_format(&full, "%s/%s/checkpoints/%s", results, sql_text(rows, 0), sql_text(rows, 1));
    if (fs_exists(strbuf_string(&full))) {
      *path = strbuf_take(&full);
      sql_stop(rows);
      break;
    }
    strbuf_free(&full);
  }
  return error;
}

err store_move_run(store *s, int64_t run_id, const char *directory) {
  return sql_run(s, "UPDATE run SET directory = ? WHERE id = ?", "ti", directory, run_id);
}

err store_forget_run(store *s, int64_t run_id) {
  return sql_run(s, "DELETE FROM run WHERE id = ?", "i", run_id);
}

static err find_metric(store *s, int64_t run_id, const char *task, const char *metric,
                       double *value) {
  sqlite3_stmt *rows;
  bool has_row;
  err error = sql_query(s, &rows,
                        "SELECT value FROM evaluation WHERE run_id = ? AND task = ? AND metric = ?"
                        " ORDER BY ordinal, step DESC LIMIT 1",
                        "itt", run_id, task, metric);
  if (!error) error = sql_next(s, rows, &has_row);
  if (!error && has_row) {
    *value = sql_real(rows, 0);
    sql_stop(rows);
  }
  return error;
}

err store_find_progress(store *s, int64_t run_id, const char *task, const char *metric,
                        store_progress *p) {
  enum { RECENT_STEPS = 20 };
  sqlite3_stmt *rows;
  bool more;
  double oldest_samples = NAN, oldest_seconds = NAN;
  *p = (store_progress){NAN, NAN, NAN, NAN, NAN, NAN};
  err error = sql_query(s, &rows,
                        "SELECT samples, loss, train_seconds FROM step WHERE run_id = ?"
                        " ORDER BY step DESC LIMIT ?",
                        "ii", run_id, (int64_t)RECENT_STEPS);
  while (!error && !(error = sql_next(s, rows, &more)) && more) {
    oldest_samples = sql_real(rows, 0);
    oldest_seconds = sql_real(rows, 2);
    if (!isnan(p->samples)) continue;
    p->samples = oldest_samples;
    p->loss = sql_real(rows, 1);
    p->train_seconds = oldest_seconds;
  }
  if (p->train_seconds > oldest_seconds)
    p->samples_per_second = (p->samples - oldest_samples) / (p->train_seconds - oldest_seconds);
  if (!error)
    error =
        sql_query(s, &rows, "SELECT value FROM summary WHERE run_id = ? AND name = 'total_samples'",
                  "i", run_id);
  if (!error) error = sql_next(s, rows, &more);
  if (!error && more) {
    p->total_samples = sql_real(rows, 0);
    sql_stop(rows);
  }
  return error ? error : find_metric(s, run_id, task, metric, &p->metric);
}
