#include "store/attempts.h"

#include <stddef.h>

#include "store/rows.h"

static const size_t attempt_texts_of[] = {
    offsetof(store_attempt, status),       offsetof(store_attempt, started),
    offsetof(store_attempt, ended),        offsetof(store_attempt, kind),
    offsetof(store_attempt, message),      offsetof(store_attempt, command),
    offsetof(store_attempt, log_tail),     offsetof(store_attempt, conditions),
    offsetof(store_attempt, command_line), offsetof(store_attempt, rank_records),
    offsetof(store_attempt, hosts)};
static const rows_texts attempt_texts = ROWS_TEXTS(attempt_texts_of);

static err take_attempt(sqlite3_stmt *row, void *item) {
  store_attempt *attempt = item;
  attempt->number = sqlite3_column_int64(row, 11);
  attempt->exit_code = sqlite3_column_int64(row, 12);
  attempt->signal = sqlite3_column_int64(row, 13);
  attempt->first_step = sqlite3_column_int64(row, 14);
  attempt->ranks = sqlite3_column_int64(row, 15);
  return rows_copy_texts(row, 0, &attempt_texts, attempt);
}

static void drop_attempt(void *item) {
  rows_free_texts(&attempt_texts, item);
}

static const rows_kind attempt_kind = {sizeof(store_attempt), take_attempt, drop_attempt,
                                       "a run's processes"};

err store_list_attempts(store *s, int64_t run_id, store_attempt **attempts, size_t *count) {
  sqlite3_stmt *rows;
  void *items = NULL;
  *attempts = NULL;
  *count = 0;
  err error = sql_query(s, &rows,
                        "SELECT status, started, ended, kind, message, command, log_tail,"
                        " conditions, (SELECT group_concat(value, ' ') FROM json_each(command)),"
                        " rank_records, (SELECT group_concat(host || ' (' || CASE WHEN n = 1"
                        "  THEN 'rank ' ELSE 'ranks ' END || ranks || ')', ', ') FROM"
                        "  (SELECT json_extract(value, '$.host') AS host, count(*) AS n,"
                        "   group_concat(json_extract(value, '$.rank'), ', ') AS ranks"
                        "   FROM json_each(rank_records) GROUP BY host"
                        "   ORDER BY min(json_extract(value, '$.rank')))),"
                        " number, coalesce(exit_code, -1), signal, first_step,"
                        " coalesce(ranks, 1)"
                        " FROM attempt WHERE run_id = ? ORDER BY number",
                        "i", run_id);
  if (!error) error = rows_collect(s, rows, &attempt_kind, &items, count);
  *attempts = items;
  return error;
}

void store_free_attempts(store_attempt *attempts, size_t count) {
  rows_free(&attempt_kind, attempts, count);
}

/* ---- warnings ---- */

static const size_t warning_texts_of[] = {offsetof(store_warning, kind),
                                          offsetof(store_warning, message)};
static const rows_texts warning_texts = ROWS_TEXTS(warning_texts_of);

static err take_warning(sqlite3_stmt *row, void *item) {
  return rows_copy_texts(row, 0, &warning_texts, item);
}

static void drop_warning(void *item) {
  rows_free_texts(&warning_texts, item);
}

static const rows_kind warning_kind = {sizeof(store_warning), take_warning, drop_warning,
                                       "a run's warnings"};

err store_list_warnings(store *s, int64_t run_id, store_warning **warnings, size_t *count) {
  sqlite3_stmt *rows;
  void *items = NULL;
  *warnings = NULL;
  *count = 0;
  err error =
      sql_query(s, &rows, "SELECT kind, message FROM warning WHERE run_id = ?", "i", run_id);
  if (!error) error = rows_collect(s, rows, &warning_kind, &items, count);
  *warnings = items;
  return error;
}

void store_free_warnings(store_warning *warnings, size_t count) {
  rows_free(&warning_kind, warnings, count);
}
