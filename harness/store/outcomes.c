#include "store/outcomes.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "store/sql.h"

void store_free_outcome(store_outcome *outcome) {
  free(outcome->set);
  free(outcome->metric);
  free(outcome->task);
  free(outcome->hits);
  free(outcome->labels);
  *outcome = (store_outcome){0};
}

static err take_hits(sqlite3_stmt *rows, store_outcome *out) {
  const uint8_t *bytes = sqlite3_column_blob(rows, 3);
  size_t length = (size_t)sqlite3_column_bytes(rows, 3),
         items = (size_t)sqlite3_column_int64(rows, 2);
  if (!bytes || (items + 7) / 8 != length) return NULL; /* treated as none */
  out->set = mem_copy_string(sql_text(rows, 0));
  out->step = sqlite3_column_int64(rows, 1);
  out->hits = mem_zeroed(length, 1);
  if (!out->set || !out->hits) return mem_error(length, "a run's outcomes");
  memcpy(out->hits, bytes, length);
  out->items = items;
  return NULL;
}

/* A probe's labels were not recorded before schema 7: it has those of the zero-shot evaluation of
 * the same number of images (it is measured on the images whose class was trained: as a rule all).
 */
static err load_labels(store *s, int64_t run_id, store_outcome *out) {
  sqlite3_stmt *rows;
  bool has_row;
  err error = sql_query(s, &rows,
                        "SELECT labels FROM outcome_labels WHERE run_id = ?1 AND set_name = ?2"
                        " AND (task = ?3 OR ?3 = 'probe') AND length(labels) = 2 * ?4"
                        " ORDER BY task = ?3 DESC LIMIT 1",
                        "itti", run_id, out->set, out->task, (int64_t)out->items);
  if (!error) error = sql_next(s, rows, &has_row);
  if (error || !has_row) return error;
  const uint8_t *bytes = sqlite3_column_blob(rows, 0);
  if (bytes && (size_t)sqlite3_column_bytes(rows, 0) == 2 * out->items) {
    out->labels = mem_zeroed(out->items, sizeof *out->labels);
    if (!out->labels) error = mem_error(2 * out->items, "an evaluation set's labels");
    for (size_t i = 0; !error && i < out->items; i++)
      out->labels[i] = (uint16_t)(bytes[2 * i] | bytes[2 * i + 1] << 8);
  }
  sql_stop(rows);
  return error;
}

err store_load_outcome(store *s, int64_t run_id, const char *task, const char *metric,
                       const char *set, int64_t step, store_outcome *out) {
  sqlite3_stmt *rows;
  bool has_row;
  *out = (store_outcome){.step = -1};
  err error = NULL;
  TRY(sql_query(s, &rows,
                "SELECT set_name, step, items, hits FROM outcome WHERE run_id = ?1 AND task = ?2"
                " AND metric = ?3 AND set_name = coalesce(?4, (SELECT set_name FROM evaluation"
                "  WHERE evaluation.run_id = ?1 AND evaluation.task = ?2 ORDER BY ordinal LIMIT 1))"
                " AND (?5 < 0 OR step = ?5) ORDER BY step DESC LIMIT 1",
                "ittti", run_id, task, metric, set, step));
  TRY(sql_next(s, rows, &has_row));
  if (!has_row) goto cleanup;
  error = take_hits(rows, out);
  sql_stop(rows);
  if (error || !out->items) goto cleanup;
  out->task = mem_copy_string(task);
  out->metric = mem_copy_string(metric);
  if (!out->task || !out->metric) FAIL(ERR_MEMORY, "out of memory: a run's outcomes");
  if (strcmp(task, "retrieval") != 0) error = load_labels(s, run_id, out);
cleanup:
  return error;
}

err store_load_resampled(store *s, int64_t run_id, const char *task, const char *metric,
                         const char *set, int64_t step, store_resampled *out) {
  sqlite3_stmt *rows;
  bool has_row;
  *out = (store_resampled){0};
  err error = sql_query(s, &rows,
                        "SELECT items, resamples FROM resampled WHERE run_id = ? AND task = ?"
                        " AND metric = ? AND set_name = ? AND step = ?",
                        "ittti", run_id, task, metric, set, step);
  if (!error) error = sql_next(s, rows, &has_row);
  if (error || !has_row) return error;
  const uint8_t *bytes = sqlite3_column_blob(rows, 1);
  size_t count = (size_t)sqlite3_column_bytes(rows, 1) / sizeof(float);
  out->items = (size_t)sqlite3_column_int64(rows, 0);
  out->values = mem_zeroed(count, sizeof *out->values);
  if (!out->values) error = mem_error(count * sizeof *out->values, "a run's resampled values");
  for (size_t k = 0; k < count && !error; k++) {
    const uint8_t *at = bytes + 4 * k;
    uint32_t bits = at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
    memcpy(&out->values[k], &bits, sizeof bits);
  }
  if (!error) out->count = count;
  sql_stop(rows);
  return error;
}
