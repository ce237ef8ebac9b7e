#include "report/provenance.h"

#include <math.h>
#include <string.h>

#include "base/json.h"
#include "store/sql.h"

/* One question whose columns are facts: their names are the SQL's own. */
static const char *const fact_sql[] = {
    "SELECT run.id AS run, cell_id AS cell, directory, status, kind, message, started, ended,"
    " settings_fingerprint, data_fingerprint FROM run WHERE id = ?",
    "SELECT commit_id AS 'commit', dirty, compiler, flags, program_version, host, os, cpu, device,"
    " device_name, driver, precision, threads, libraries FROM run JOIN environment"
    " ON environment.id = run.environment_id WHERE run.id = ?"};
static const char attempts_sql[] =
    "SELECT number, status, started, coalesce(ended, ''), coalesce(exit_code, -1),"
    " coalesce(signal, 0), kind, message, command, log_tail, coalesce(first_step, 0), conditions"
    " FROM attempt WHERE run_id = ? ORDER BY number";
static const char summary_sql[] = "SELECT name, value FROM summary WHERE run_id = ? ORDER BY name";
static const char evaluation_sql[] =
    "SELECT set_name, task, metric, value FROM v_final_evaluation WHERE run_id = ?"
    " ORDER BY ordinal, metric";
static const char warning_sql[] = "SELECT kind, message FROM warning WHERE run_id = ?";
static const char settings_sql[] =
    "SELECT key, CASE type WHEN 'true' THEN 'true' WHEN 'false' THEN 'false' ELSE value END"
    " FROM run JOIN cell ON cell.id = run.cell_id, json_each(cell.settings) WHERE run.id = ?";

static err text_facts(store *s, int64_t run_id, strbuf *out) {
  err error = NULL;
  for (size_t i = 0; i < sizeof fact_sql / sizeof *fact_sql && !error; i++) {
    sqlite3_stmt *rows;
    bool has_row;
    error = sql_query(s, &rows, fact_sql[i], "i", run_id);
    if (!error) error = sql_next(s, rows, &has_row);
    if (error || !has_row) continue;
    for (int c = 0; c < sqlite3_column_count(rows); c++)
      if (*sql_text(rows, c))
        strbuf_format(out, "%-22s %s\n", sqlite3_column_name(rows, c), sql_text(rows, c));
    sql_stop(rows);
  }
  return error;
}

static err text_attempts(store *s, int64_t run_id, strbuf *out) {
  sqlite3_stmt *rows;
  bool more;
  err error = sql_query(s, &rows, attempts_sql, "i", run_id);
  while (!error && !(error = sql_next(s, rows, &more)) && more) {
    strbuf_format(out, "\nattempt %s: %s, %s to %s, exit status %s", sql_text(rows, 0),
                  sql_text(rows, 1), sql_text(rows, 2), sql_text(rows, 3), sql_text(rows, 4));
    if (sqlite3_column_int(rows, 5)) strbuf_format(out, ", signal %s", sql_text(rows, 5));
    if (sqlite3_column_int(rows, 10)) strbuf_format(out, ", from step %s", sql_text(rows, 10));
    if (*sql_text(rows, 7)) strbuf_format(out, "\n  %s", sql_text(rows, 7));
    strbuf_format(out, "\n  %s\n", sql_text(rows, 8));
    if (strcmp(sql_text(rows, 11), "{}") != 0)
      strbuf_format(out, "  machine: %s\n", sql_text(rows, 11));
    for (const char *at = sql_text(rows, 9); *at;) {
      size_t length = strcspn(at, "\n");
      strbuf_format(out, "  | %.*s\n", (int)length, at);
      at += length + (at[length] == '\n');
    }
  }
  return error;
}

static err text_pairs(store *s, const char *sql, int64_t run_id, const char *heading, strbuf *out) {
  sqlite3_stmt *rows;
  bool more;
  size_t count = 0;
  err error = sql_query(s, &rows, sql, "i", run_id);
  while (!error && !(error = sql_next(s, rows, &more)) && more) {
    if (!count++) strbuf_format(out, "\n%s\n", heading);
    strbuf_format(out, "  %-26s %s\n", sql_text(rows, 0), sql_text(rows, 1));
  }
  return error;
}

static err text_evaluations(store *s, int64_t run_id, strbuf *out) {
  sqlite3_stmt *rows;
  bool more;
  size_t count = 0;
  err error = sql_query(s, &rows, evaluation_sql, "i", run_id);
  while (!error && !(error = sql_next(s, rows, &more)) && more) {
    if (!count++) strbuf_append(out, "\nlast evaluation\n");
    strbuf_format(out, "  %-14s %-10s %-20s %.6g\n", sql_text(rows, 0), sql_text(rows, 1),
                  sql_text(rows, 2), sql_real(rows, 3));
  }
  return error;
}

err provenance_text(store *s, int64_t run_id, strbuf *out) {
  err error = NULL;
  TRY(text_facts(s, run_id, out));
  TRY(text_attempts(s, run_id, out));
  TRY(text_pairs(s, summary_sql, run_id, "summary", out));
  TRY(text_evaluations(s, run_id, out));
  TRY(text_pairs(s, warning_sql, run_id, "warnings", out));
  TRY(text_pairs(s, settings_sql, run_id, "settings", out));
cleanup:
  return error;
}

/* ---- JSON ---- */

static void json_cell(json_writer *w, const char *key, sqlite3_stmt *rows, int c) {
  if (sqlite3_column_type(rows, c) == SQLITE_INTEGER)
    jsonw_integer(w, key, sqlite3_column_int64(rows, c));
  else if (sqlite3_column_type(rows, c) == SQLITE_FLOAT)
    jsonw_number(w, key, sqlite3_column_double(rows, c));
  else if (*sql_text(rows, c) == '{' || *sql_text(rows, c) == '[')
    jsonw_raw(w, key, sql_text(rows, c));
  else
    jsonw_string(w, key, sql_text(rows, c));
}

static err json_facts(store *s, int64_t run_id, json_writer *w) {
  err error = NULL;
  for (size_t i = 0; i < sizeof fact_sql / sizeof *fact_sql && !error; i++) {
    sqlite3_stmt *rows;
    bool has_row;
    error = sql_query(s, &rows, fact_sql[i], "i", run_id);
    if (!error) error = sql_next(s, rows, &has_row);
    if (error || !has_row) continue;
    for (int c = 0; c < sqlite3_column_count(rows); c++)
      json_cell(w, sqlite3_column_name(rows, c), rows, c);
    sql_stop(rows);
  }
  return error;
}

static err json_attempts(store *s, int64_t run_id, json_writer *w) {
  static const char *const names[] = {"number",    "status", "started",    "ended",
                                      "exit_code", "signal", "kind",       "message",
                                      "command",   "log",    "first_step", "conditions"};
  sqlite3_stmt *rows;
  bool more;
  jsonw_array(w, "attempts");
  err error = sql_query(s, &rows, attempts_sql, "i", run_id);
  while (!error && !(error = sql_next(s, rows, &more)) && more) {
    jsonw_object(w, NULL);
    for (int c = 0; c < sqlite3_column_count(rows); c++)
      if (strcmp(names[c], "log") == 0)
        jsonw_string(w, names[c], sql_text(rows, c));
      else
        json_cell(w, names[c], rows, c);
    jsonw_end(w);
  }
  jsonw_end(w);
  return error;
}

static err json_pairs(store *s, const char *sql, int64_t run_id, const char *key, json_writer *w) {
  sqlite3_stmt *rows;
  bool more;
  jsonw_object(w, key);
  err error = sql_query(s, &rows, sql, "i", run_id);
  while (!error && !(error = sql_next(s, rows, &more)) && more)
    json_cell(w, sql_text(rows, 0), rows, 1);
  jsonw_end(w);
  return error;
}

static err json_evaluations(store *s, int64_t run_id, json_writer *w) {
  sqlite3_stmt *rows;
  bool more;
  jsonw_array(w, "evaluation");
  err error = sql_query(s, &rows, evaluation_sql, "i", run_id);
  while (!error && !(error = sql_next(s, rows, &more)) && more) {
    jsonw_object(w, NULL);
    jsonw_string(w, "set", sql_text(rows, 0));
    jsonw_string(w, "task", sql_text(rows, 1));
    jsonw_string(w, "metric", sql_text(rows, 2));
    jsonw_number(w, "value", sql_real(rows, 3));
    jsonw_end(w);
  }
  jsonw_end(w);
  return error;
}

err provenance_json(store *s, int64_t run_id, strbuf *out) {
  err error = NULL;
  json_writer w = jsonw_start(out);
  jsonw_object(&w, NULL);
  TRY(json_facts(s, run_id, &w));
  TRY(json_attempts(s, run_id, &w));
  TRY(json_pairs(s, summary_sql, run_id, "summary", &w));
  TRY(json_evaluations(s, run_id, &w));
  TRY(json_pairs(s, settings_sql, run_id, "settings", &w));
  jsonw_end(&w);
  strbuf_append_char(out, '\n');
cleanup:
  return error;
}
