/* Everything that is recorded of one run, as a part of a page. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "report/html_parts.h"
#include "report/page.h"
#include "store/sql.h"

static void fact(const char *name, const char *value, strbuf *out) {
  if (!*value) return;
  page_element("<dt>", name, "</dt>", out);
  page_element("<dd>", value, "</dd>\n", out);
}

/* The first row of a question: its columns are facts, named by the SQL. */
static err write_facts(store *s, const char *sql, int64_t run_id, strbuf *out) {
  sqlite3_stmt *rows;
  bool has_row;
  err error = sql_query(s, &rows, sql, "i", run_id);
  if (!error) error = sql_next(s, rows, &has_row);
  if (error || !has_row) return error;
  strbuf_append(out, "<dl>");
  for (int c = 0; c < sqlite3_column_count(rows); c++)
    fact(sqlite3_column_name(rows, c), sql_text(rows, c), out);
  strbuf_append(out, "</dl>\n");
  sql_stop(rows);
  return NULL;
}

/* Pairs of name and value under a heading; nothing when there are none. */
static err write_pairs(store *s, const char *sql, int64_t run_id, const char *heading,
                       strbuf *out) {
  sqlite3_stmt *rows;
  bool more;
  size_t count = 0;
  err error = sql_query(s, &rows, sql, "i", run_id);
  while (!error && !(error = sql_next(s, rows, &more)) && more) {
    char number[TEXT_NUMBER_SIZE];
    bool is_number = sqlite3_column_type(rows, 1) == SQLITE_FLOAT;
    if (!count++) {
      page_element("<div><h3>", heading, "</h3><dl>", out);
    }
    if (is_number) snprintf(number, sizeof number, "%.5g", sql_real(rows, 1));
    fact(sql_text(rows, 0), is_number ? number : sql_text(rows, 1), out);
  }
  if (count) strbuf_append(out, "</dl></div>\n");
  return error;
}

static err write_attempts(store *s, int64_t run_id, strbuf *out) {
  sqlite3_stmt *rows;
  bool more;
  err error = sql_query(s, &rows,
                        "SELECT number, status, started, coalesce(ended, ''), message, log_tail,"
                        " (SELECT group_concat(value, ' ') FROM json_each(command)), conditions"
                        " FROM attempt WHERE run_id = ? ORDER BY number",
                        "i", run_id);
  while (!error && !(error = sql_next(s, rows, &more)) && more) {
    strbuf_format(out, "<h3>Attempt %s: %s, %s to %s</h3>\n", sql_text(rows, 0), sql_text(rows, 1),
                  sql_text(rows, 2), sql_text(rows, 3));
    if (*sql_text(rows, 4)) page_element("<p class=\"warning\">", sql_text(rows, 4), "</p>\n", out);
    page_element("<pre>", sql_text(rows, 6), "</pre>\n", out);
    if (*sql_text(rows, 5)) page_element("<pre>", sql_text(rows, 5), "</pre>\n", out);
    if (strcmp(sql_text(rows, 7), "{}") != 0)
      page_element("<p class=\"faint mono\">", sql_text(rows, 7), "</p>\n", out);
  }
  return error;
}

static err write_warnings(store *s, int64_t run_id, strbuf *out) {
  sqlite3_stmt *rows;
  bool more;
  err error =
      sql_query(s, &rows, "SELECT kind, message FROM warning WHERE run_id = ?", "i", run_id);
  while (!error && !(error = sql_next(s, rows, &more)) && more) {
    page_element("<p class=\"warning\">", sql_text(rows, 0), ": ", out);
    page_element("", sql_text(rows, 1), "</p>\n", out);
  }
  return error;
}

static const char facts_sql[] =
    "SELECT 'run ' || run.id || ' of cell ' || substr(cell_id, 1, 8) AS record, directory AS "
    "folder,"
    " commit_id || CASE WHEN dirty = '' THEN '' ELSE ' with uncommitted changes ' || dirty END"
    "   AS 'commit',"
    " compiler || ' ' || flags AS compiler, host || ', ' || os AS host,"
    " CASE WHEN device = 'cpu' THEN cpu ELSE device_name || ', ' || cpu END AS machine, driver,"
    " precision || ', ' || threads || ' threads' AS computing,"
    " (SELECT group_concat(key || ' ' || value, ', ') FROM json_each(libraries)) AS libraries,"
    " data_fingerprint AS 'training data' FROM run"
    " LEFT JOIN environment ON environment.id = run.environment_id WHERE run.id = ?";

err html_write_run(store *s, int64_t run_id, const char *label, const char *status, strbuf *out) {
  err error = NULL;
  strbuf_format(out, "<details id=\"run-%lld\"><summary>", (long long)run_id);
  page_element("", label, "", out);
  strbuf_format(out, "<span class=\"chip %s\">%s</span></summary><div class=\"inside\">\n", status,
                status);
  TRY(write_warnings(s, run_id, out));
  TRY(write_facts(s, facts_sql, run_id, out));
  TRY(write_attempts(s, run_id, out));
  strbuf_append(out, "<div class=\"columns\">\n");
  TRY(write_pairs(s,
                  "SELECT set_name || ' ' || task || ' ' || metric, value FROM v_final_evaluation"
                  " WHERE run_id = ? ORDER BY ordinal, metric",
                  run_id, "Last evaluation", out));
  TRY(write_pairs(s, "SELECT name, value FROM summary WHERE run_id = ? ORDER BY name", run_id,
                  "Numbers", out));
  TRY(write_pairs(s,
                  "SELECT key, CASE json_each.type WHEN 'true' THEN 'true' WHEN 'false' THEN"
                  " 'false' ELSE json_each.value END FROM run JOIN cell ON cell.id = run.cell_id,"
                  " json_each(cell.settings) WHERE run.id = ?",
                  run_id, "Settings", out));
  strbuf_append(out, "</div></div></details>\n");
cleanup:
  return error;
}
