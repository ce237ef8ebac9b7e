#include "report/difference.h"

#include <math.h>
#include <string.h>

#include "base/json.h"
#include "store/sql.h"

/* Facts of both runs as (part, name, value), joined; rows that are equal are left out. */
static const char difference_sql[] =
    "WITH facts(run_id, part, name, value) AS ("
    "  SELECT run.id, 1, key, json_each.value FROM run JOIN cell ON cell.id = run.cell_id,"
    "    json_each(cell.settings) WHERE run.id IN (?1, ?2)"
    "  UNION ALL SELECT run.id, 2, key, json_each.value FROM run JOIN environment AS e"
    "    ON e.id = run.environment_id, json_each(json_object('commit', commit_id, 'difference',"
    "    dirty, 'compiler', compiler, 'flags', flags, 'version', program_version))"
    "    WHERE run.id IN (?1, ?2)"
    "  UNION ALL SELECT run.id, 3, key, json_each.value FROM run JOIN environment AS e"
    "    ON e.id = run.environment_id, json_each(json_object('host', host, 'os', os, 'cpu', cpu,"
    "    'device', device, 'device_name', device_name, 'driver', driver, 'precision', precision,"
    "    'threads', threads)) WHERE run.id IN (?1, ?2)"
    "  UNION ALL SELECT run.id, 3, key, json_each.value FROM run JOIN environment AS e"
    "    ON e.id = run.environment_id, json_each(e.libraries) WHERE run.id IN (?1, ?2)"
    "  UNION ALL SELECT run_id, 3, key, json_each.value FROM attempt, json_each(conditions)"
    "    WHERE run_id IN (?1, ?2) AND key IN ('governor', 'clock_driver', 'quota_cpus', 'cpus')"
    "    AND number = (SELECT max(number) FROM attempt AS last WHERE last.run_id = attempt.run_id)"
    "  UNION ALL SELECT id, 4, 'fingerprint', data_fingerprint FROM run WHERE id IN (?1, ?2)"
    "  UNION ALL SELECT id, 5, 'status', status FROM run WHERE id IN (?1, ?2)"
    "  UNION ALL SELECT run_id, 5, name, value FROM summary WHERE run_id IN (?1, ?2)"
    "  UNION ALL SELECT run_id, 6, set_name || ' ' || task || ' ' || metric, value"
    "    FROM v_final_evaluation WHERE run_id IN (?1, ?2)) "
    "SELECT part, name, max(value) FILTER (WHERE run_id = ?1),"
    "  max(value) FILTER (WHERE run_id = ?2) FROM facts GROUP BY part, name"
    " HAVING max(value) FILTER (WHERE run_id = ?1) IS NOT max(value) FILTER (WHERE run_id = ?2)"
    " ORDER BY part, name";

static const char *const parts[] = {"", "settings", "code", "machine", "data", "run", "evaluation"};

static void value_text(sqlite3_stmt *rows, int column, strbuf *out) {
  strbuf_clear(out);
  switch (sqlite3_column_type(rows, column)) {
  case SQLITE_NULL:
    strbuf_append(out, "–");
    break;
  case SQLITE_FLOAT:
    strbuf_format(out, "%.6g", sqlite3_column_double(rows, column));
    break;
  default:
    strbuf_append(out, *sql_text(rows, column) ? sql_text(rows, column) : "''");
  }
}

/* "×1.07", for numbers that are results. */
static void ratio_text(sqlite3_stmt *rows, strbuf *out) {
  double a = sql_real(rows, 2), b = sql_real(rows, 3);
  bool are_numbers =
      sqlite3_column_type(rows, 2) == SQLITE_FLOAT && sqlite3_column_type(rows, 3) == SQLITE_FLOAT;
  if (are_numbers && a > 0 && b > 0) strbuf_format(out, "  ×%.4g", b / a);
}

err difference_text(store *s, int64_t run_a, int64_t run_b, strbuf *out, size_t *count) {
  sqlite3_stmt *rows;
  bool more;
  int last_part = 0;
  strbuf a = {0}, b = {0};
  *count = 0;
  err error = sql_query(s, &rows, difference_sql, "ii", run_a, run_b);
  while (!error && !(error = sql_next(s, rows, &more)) && more) {
    int part = sqlite3_column_int(rows, 0);
    if (part != last_part) strbuf_format(out, "%s%s\n", last_part ? "\n" : "", parts[part]);
    last_part = part;
    value_text(rows, 2, &a);
    value_text(rows, 3, &b);
    bool is_long = a.length > 32 || b.length > 48;
    if (is_long)
      strbuf_format(out, "  %s\n    - %s\n    + %s\n", sql_text(rows, 1), strbuf_string(&a),
                    strbuf_string(&b));
    else
      strbuf_format(out, "  %-40s %14s  %s", sql_text(rows, 1), strbuf_string(&a),
                    strbuf_string(&b));
    if (!is_long && part >= 5) ratio_text(rows, out);
    if (!is_long) strbuf_append_char(out, '\n');
    ++*count;
  }
  strbuf_free(&a);
  strbuf_free(&b);
  return error;
}

static void json_value(json_writer *w, const char *key, sqlite3_stmt *rows, int column) {
  switch (sqlite3_column_type(rows, column)) {
  case SQLITE_NULL:
    jsonw_null(w, key);
    break;
  case SQLITE_INTEGER:
    jsonw_integer(w, key, sqlite3_column_int64(rows, column));
    break;
  case SQLITE_FLOAT:
    jsonw_number(w, key, sqlite3_column_double(rows, column));
    break;
  default:
    jsonw_string(w, key, sql_text(rows, column));
  }
}

err difference_json(store *s, int64_t run_a, int64_t run_b, strbuf *out, size_t *count) {
  sqlite3_stmt *rows;
  bool more;
  json_writer w = jsonw_start(out);
  *count = 0;
  jsonw_array(&w, NULL);
  err error = sql_query(s, &rows, difference_sql, "ii", run_a, run_b);
  while (!error && !(error = sql_next(s, rows, &more)) && more) {
    jsonw_object(&w, NULL);
    jsonw_string(&w, "part", parts[sqlite3_column_int(rows, 0)]);
    jsonw_string(&w, "name", sql_text(rows, 1));
    json_value(&w, "first", rows, 2);
    json_value(&w, "second", rows, 3);
    jsonw_end(&w);
    ++*count;
  }
  jsonw_end(&w);
  strbuf_append_char(out, '\n');
  return error;
}
