#include "store/facts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "store/rows.h"

static err take_value(sqlite3_stmt *row, int column, store_value *value) {
  static const store_value_kind kinds[] = {[SQLITE_INTEGER] = STORE_INTEGER,
                                           [SQLITE_FLOAT] = STORE_REAL,
                                           [SQLITE_TEXT] = STORE_TEXT,
                                           [SQLITE_BLOB] = STORE_TEXT,
                                           [SQLITE_NULL] = STORE_NOTHING};
  value->kind = kinds[sqlite3_column_type(row, column)];
  bool is_number = value->kind == STORE_INTEGER || value->kind == STORE_REAL;
  value->integer = value->kind == STORE_INTEGER ? sqlite3_column_int64(row, column) : 0;
  value->real = is_number ? sqlite3_column_double(row, column) : (double)NAN;
  value->text = mem_copy_string(sql_text(row, column));
  return value->text ? NULL : mem_error(0, "a run's record");
}

/* name, value, type from json_each (if any) */
static err take_fact(sqlite3_stmt *row, void *item) {
  store_fact *fact = item;
  fact->name = mem_copy_string(sql_text(row, 0));
  if (!fact->name) return mem_error(0, "a run's record");
  err error = take_value(row, 1, &fact->value);
  const char *type = sqlite3_column_count(row) > 2 ? sql_text(row, 2) : "";
  if (strcmp(type, "array") == 0 || strcmp(type, "object") == 0) fact->value.kind = STORE_JSON;
  return error;
}

static void drop_fact(void *item) {
  store_fact *fact = item;
  free(fact->name);
  free(fact->value.text);
}

static const rows_kind fact_kind = {sizeof(store_fact), take_fact, drop_fact, "a run's record"};

void store_free_facts(store_fact *facts, size_t count) {
  rows_free(&fact_kind, facts, count);
}

err store_list_numbers(store *s, int64_t run_id, store_fact **numbers, size_t *count) {
  sqlite3_stmt *rows;
  void *items = NULL;
  *numbers = NULL;
  *count = 0;
  err error = sql_query(s, &rows, "SELECT name, value FROM summary WHERE run_id = ? ORDER BY name",
                        "i", run_id);
  if (!error) error = rows_collect(s, rows, &fact_kind, &items, count);
  *numbers = items;
  return error;
}

err store_find_number(store *s, int64_t run_id, const char *name, double *value) {
  return sql_number(s, value, "SELECT value FROM summary WHERE run_id = ? AND name = ?", "it",
                    run_id, name);
}

err store_find_lost_share(store *s, int64_t run_id, double *share) {
  return sql_number(s, share,
                    "SELECT lost.value FROM summary AS lost JOIN summary AS mark"
                    " ON mark.run_id = lost.run_id AND mark.name = 'disturbed'"
                    " WHERE lost.run_id = ? AND lost.name = 'lost_share' AND mark.value > 0",
                    "i", run_id);
}

#define LAST_EVENT                                                                                 \
  "SELECT coalesce(max(max(started, coalesce(ended, ''), coalesce((SELECT max(last) FROM process"  \
  " WHERE process.run_id = run.id), ''))), '') FROM run"

/* Two statements: one that could be of all runs would not find a run by its key. */
err store_find_last_event(store *s, int64_t run_id, char stamp[CLOCK_STAMP_SIZE]) {
  sqlite3_stmt *rows;
  bool has_row;
  err error = run_id ? sql_query(s, &rows, LAST_EVENT " WHERE id = ?", "i", run_id)
                     : sql_query(s, &rows, LAST_EVENT, "");
  if (!error) error = sql_next(s, rows, &has_row);
  if (error || !has_row) return error;
  if (strcmp(sql_text(rows, 0), stamp) > 0)
    snprintf(stamp, CLOCK_STAMP_SIZE, "%s", sql_text(rows, 0));
  sql_stop(rows);
  return NULL;
}

/* A run's own settings; init_from as the experiment names it, not the checkpoint that it became. */
#define SETTINGS_OF_RUN                                                                            \
  "CASE WHEN own_settings = '' OR cell.settings = '{}' THEN cell.settings ELSE"                    \
  " json_set(own_settings, '$.init_from', json_extract(cell.settings, '$.init_from')) END"

/* key, value, type of each setting of the run. */
static const char settings_sql[] =
    "SELECT key, CASE type WHEN 'true' THEN 'true' WHEN 'false' THEN 'false' ELSE value END, type"
    " FROM run JOIN cell ON cell.id = run.cell_id, json_each(" SETTINGS_OF_RUN ")"
    " WHERE run.id = ?1 AND (?2 IS NULL OR key = ?2)";

err store_find_setting(store *s, int64_t run_id, const char *key, char **value) {
  sqlite3_stmt *rows;
  bool has_row;
  *value = NULL;
  err error = sql_query(s, &rows, settings_sql, "it", run_id, key);
  if (!error) error = sql_next(s, rows, &has_row);
  if (error || !has_row) return error;
  *value = mem_copy_string(sql_text(rows, 1));
  sql_stop(rows);
  return *value ? NULL : mem_error(0, "a run's record");
}

err store_list_settings(store *s, int64_t run_id, store_fact **settings, size_t *count) {
  sqlite3_stmt *rows;
  void *items = NULL;
  *settings = NULL;
  *count = 0;
  err error = sql_query(s, &rows, settings_sql, "it", run_id, NULL);
  if (!error) error = rows_collect(s, rows, &fact_kind, &items, count);
  *settings = items;
  return error;
}

/* ---- two runs ---- */

/* Facts of both runs as (part, name, value), joined; equal rows are omitted. Parts are those of
 * store_part. */
static const char difference_sql[] =
    "WITH newest AS (SELECT * FROM process WHERE run_id IN (?1, ?2) AND number ="
    "  (SELECT max(number) FROM process AS other WHERE other.run_id = process.run_id)),"
    " facts(run_id, part, name, value) AS ("
    "  SELECT run.id, 0, key, json_each.value FROM run JOIN cell ON cell.id = run.cell_id,"
    "    json_each(" SETTINGS_OF_RUN ") WHERE run.id IN (?1, ?2)"
    "  UNION ALL SELECT run.id, 1, key, json_each.value FROM run JOIN environment AS e"
    "    ON e.id = run.environment_id, json_each(json_object('commit', commit_id, 'difference',"
    "    dirty, 'compiler', compiler, 'flags', flags, 'version', program_version))"
    "    WHERE run.id IN (?1, ?2)"
    "  UNION ALL SELECT run.id, 2, key, json_each.value FROM run JOIN environment AS e"
    "    ON e.id = run.environment_id, json_each(json_object('host', host, 'os', os, 'cpu', cpu,"
    "    'device', device, 'device_name', device_name, 'driver', driver, 'precision', precision,"
    "    'threads', threads)) WHERE run.id IN (?1, ?2)"
    "  UNION ALL SELECT run.id, 2, key, json_each.value FROM run JOIN environment AS e"
    "    ON e.id = run.environment_id, json_each(e.libraries) WHERE run.id IN (?1, ?2)"
    "  UNION ALL SELECT run_id, 2, key, json_each.value FROM attempt, json_each(conditions)"
    "    WHERE run_id IN (?1, ?2) AND key IN ('governor', 'clock_driver', 'quota_cpus', 'cpus')"
    "    AND number = (SELECT max(number) FROM attempt AS last WHERE last.run_id = attempt.run_id)"
    "  UNION ALL SELECT id, 3, 'fingerprint', data_fingerprint FROM run WHERE id IN (?1, ?2)"
    "  UNION ALL SELECT run_id, 3, 'vocabulary', nullif(vocabulary_fingerprint, '') FROM newest"
    "  UNION ALL SELECT run_id, 3, 'initial weights', nullif(init_fingerprint, '') FROM newest"
    /* a classifier reads of a set the images and their classes only: its digests are others */
    "  UNION ALL SELECT run.id, 3, 'evaluation set ' || sets.key || CASE WHEN"
    "    json_extract(" SETTINGS_OF_RUN ", '$.\"classification.classes\"') > 0"
    "    THEN ' (images and classes)' ELSE '' END, sets.value"
    "    FROM newest JOIN run ON run.id = newest.run_id JOIN cell ON cell.id = run.cell_id,"
    "    json_each(newest.evaluation_fingerprints) AS sets WHERE sets.key IS NOT NULL"
    "  UNION ALL SELECT run_id, 2, 'number of ranks', ranks FROM newest"
    "  UNION ALL SELECT id, 4, 'status', status FROM run WHERE id IN (?1, ?2)"
    "  UNION ALL SELECT run_id, 4, name, value FROM summary WHERE run_id IN (?1, ?2)"
    "  UNION ALL SELECT run_id, 5, set_name || ' ' || task || ' ' || metric, value"
    "    FROM v_final_evaluation WHERE run_id IN (?1, ?2)) "
    "SELECT name, part, max(value) FILTER (WHERE run_id = ?1),"
    "  max(value) FILTER (WHERE run_id = ?2) FROM facts GROUP BY part, name"
    " HAVING max(value) FILTER (WHERE run_id = ?1) IS NOT max(value) FILTER (WHERE run_id = ?2)"
    " ORDER BY part, name";

static err take_difference(sqlite3_stmt *row, void *item) {
  store_difference *difference = item;
  difference->part = (store_part)sqlite3_column_int(row, 1);
  difference->name = mem_copy_string(sql_text(row, 0));
  if (!difference->name) return mem_error(0, "a comparison");
  err error = take_value(row, 2, &difference->first);
  return error ? error : take_value(row, 3, &difference->second);
}

static void drop_difference(void *item) {
  store_difference *difference = item;
  free(difference->name);
  free(difference->first.text);
  free(difference->second.text);
}

static const rows_kind difference_kind = {sizeof(store_difference), take_difference,
                                          drop_difference, "a comparison"};

err store_compare_runs(store *s, int64_t first, int64_t second, store_difference **differences,
                       size_t *count) {
  sqlite3_stmt *rows;
  void *items = NULL;
  *differences = NULL;
  *count = 0;
  err error = sql_query(s, &rows, difference_sql, "ii", first, second);
  if (!error) error = rows_collect(s, rows, &difference_kind, &items, count);
  *differences = items;
  return error;
}

void store_free_differences(store_difference *differences, size_t count) {
  rows_free(&difference_kind, differences, count);
}
