#include "store/export.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/base64.h"
#include "store/csv.h"
#include "store/export_parquet.h"
#include "store/experiments.h"
#include "store/sql.h"

static const char *const export_extensions[] = {"csv", "jsonl", "parquet"};

enum { FLUSH_BYTES = 1 << 20 };

/* The rows of a table that belong to an experiment, selected by the first of these columns that the
 * table has. `?1` is the experiment's name; tables with none of them (environment) are exported
 * completely. */
static const struct {
  const char *column, *condition;
} belongings[] = {
    {"experiment", "experiment = ?1"},
    {"experiment_id", "experiment_id = (SELECT id FROM experiment WHERE name = ?1)"},
    {"run_id", "run_id IN (SELECT run.id FROM run JOIN experiment_cell USING (cell_id)"
               " JOIN experiment ON experiment.id = experiment_id WHERE name = ?1)"},
    {"cell_id", "cell_id IN (SELECT cell_id FROM experiment_cell JOIN experiment"
                " ON experiment.id = experiment_id WHERE name = ?1)"},
};

static bool holds_json(const char *column) {
  static const char *const names[] = {"axes",          "settings",     "command",
                                      "libraries",     "conditions",   "evaluation_fingerprints",
                                      "rank_records",  "own_settings", "set_words",
                                      "set_cell_words"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (strcmp(names[i], column) == 0) return true;
  return false;
}

/* Bytes as base64, in both formats. */
static const char *blob_text(sqlite3_stmt *rows, int column, strbuf *text) {
  strbuf_clear(text);
  base64_encode(sqlite3_column_blob(rows, column), (size_t)sqlite3_column_bytes(rows, column),
                text);
  return strbuf_string(text);
}

static void write_json_row(sqlite3_stmt *rows, strbuf *out) {
  strbuf bytes = {0};
  json_writer w = jsonw_start(out);
  jsonw_object(&w, NULL);
  for (int c = 0; c < sqlite3_column_count(rows); c++) {
    const char *name = sqlite3_column_name(rows, c);
    switch (sqlite3_column_type(rows, c)) {
    case SQLITE_NULL:
      jsonw_null(&w, name);
      break;
    case SQLITE_INTEGER:
      jsonw_integer(&w, name, sqlite3_column_int64(rows, c));
      break;
    case SQLITE_FLOAT:
      jsonw_number(&w, name, sqlite3_column_double(rows, c));
      break;
    case SQLITE_BLOB:
      jsonw_string(&w, name, blob_text(rows, c, &bytes));
      break;
    default:
      if (holds_json(name) && *sql_text(rows, c))
        jsonw_raw(&w, name, sql_text(rows, c));
      else
        jsonw_string(&w, name, sql_text(rows, c));
    }
  }
  jsonw_end(&w);
  strbuf_append_char(out, '\n');
  strbuf_free(&bytes);
}

static void write_csv_head(sqlite3_stmt *rows, strbuf *out) {
  for (int c = 0; c < sqlite3_column_count(rows); c++)
    csv_field(sqlite3_column_name(rows, c), c == 0, out);
  strbuf_append(out, "\r\n");
}

static void write_csv_row(sqlite3_stmt *rows, strbuf *out) {
  strbuf bytes = {0};
  for (int c = 0; c < sqlite3_column_count(rows); c++)
    if (sqlite3_column_type(rows, c) == SQLITE_BLOB)
      csv_field(blob_text(rows, c, &bytes), c == 0, out);
    else if (sqlite3_column_type(rows, c) == SQLITE_FLOAT)
      csv_number(sqlite3_column_double(rows, c), c == 0, out);
    else
      csv_field(sql_text(rows, c), c == 0, out);
  strbuf_append(out, "\r\n");
  strbuf_free(&bytes);
}

static err flush(fs_writer *file, strbuf *out) {
  if (out->is_broken) return mem_error(out->length, file->path);
  err error = fs_writer_add(file, strbuf_string(out), out->length);
  strbuf_clear(out);
  return error;
}

static err write_rows(store *s, sqlite3_stmt *rows, export_format format, fs_writer *file,
                      int64_t *count) {
  strbuf out = {0};
  bool more = false;
  err error = NULL;
  if (format == EXPORT_PARQUET) return export_parquet_rows(s, rows, file->fd, file->path, count);
  if (format == EXPORT_CSV) write_csv_head(rows, &out);
  while (!error && !(error = sql_next(s, rows, &more)) && more) {
    if (format == EXPORT_CSV)
      write_csv_row(rows, &out);
    else
      write_json_row(rows, &out);
    ++*count;
    if (out.length >= FLUSH_BYTES) error = flush(file, &out);
  }
  if (!error) error = flush(file, &out);
  strbuf_free(&out);
  return error;
}

static bool has_column(sqlite3_stmt *rows, const char *name) {
  for (int c = 0; c < sqlite3_column_count(rows); c++)
    if (strcmp(sqlite3_column_name(rows, c), name) == 0) return true;
  return false;
}

/* SELECT * FROM TABLE, restricted to one experiment if given. */
static err select_table(store *s, const char *table, const char *experiment, sqlite3_stmt **rows) {
  strbuf sql = {0};
  strbuf_format(&sql, "SELECT * FROM \"%s\"", table);
  err error =
      sql.is_broken ? mem_error(0, "an export") : sql_query_once(s, rows, strbuf_string(&sql));
  const char *condition = NULL;
  if (experiment && strcmp(table, "experiment") == 0) condition = "name = ?1";
  if (experiment && strcmp(table, "cell") == 0)
    condition = "id IN (SELECT cell_id FROM experiment_cell JOIN experiment"
                " ON experiment.id = experiment_id WHERE name = ?1)";
  for (size_t i = 0; !error && experiment && !condition && i < 4; i++)
    if (has_column(*rows, belongings[i].column)) condition = belongings[i].condition;
  if (!error && condition) {
    sqlite3_finalize(*rows);
    *rows = NULL;
    strbuf_format(&sql, " WHERE %s", condition);
    error =
        sql.is_broken ? mem_error(0, "an export") : sql_query_once(s, rows, strbuf_string(&sql));
    if (!error && sqlite3_bind_text(*rows, 1, experiment, -1, SQLITE_TRANSIENT) != SQLITE_OK)
      error = mem_error(0, "an export");
  }
  strbuf_free(&sql);
  return error;
}

static err export_table(store *s, const char *table, const export_options *options,
                        export_count *count) {
  strbuf path = {0};
  fs_writer file = {0};
  sqlite3_stmt *rows = NULL;
  err error = select_table(s, table, options->experiment, &rows);
  strbuf_format(&path, "%s/%s.%s", options->folder, table, export_extensions[options->format]);
  if (!error && path.is_broken) error = mem_error(0, "a path");
  if (!error) error = fs_writer_open(&file, path.data);
  if (!error) error = write_rows(s, rows, options->format, &file, &count->rows);
  if (!error) error = fs_writer_commit(&file);
  if (!error) count->files++;
  fs_writer_close(&file);
  sqlite3_finalize(rows);
  strbuf_free(&path);
  return error;
}

static err check_experiment(store *s, const char *name) {
  bool is_known = true;
  err error = name ? store_has_experiment(s, name, &is_known) : NULL;
  if (!error && !is_known)
    error = err_new(ERR_INPUT, "unknown experiment '%s' ('flipbench status' lists them)", name);
  return error;
}

err store_export(store *s, const export_options *options, export_count *count) {
  sqlite3_stmt *names = NULL;
  bool more;
  *count = (export_count){0};
  err error = check_experiment(s, options->experiment);
  if (!error) error = fs_make_folders(options->folder);
  if (!error) error = sql_script(s, "BEGIN");
  if (error) return error;
  error = sql_query_once(s, &names,
                         "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view')"
                         " AND name NOT LIKE 'sqlite_%' ORDER BY name");
  while (!error && !(error = sql_next(s, names, &more)) && more)
    error = export_table(s, sql_text(names, 0), options, count);
  sqlite3_finalize(names);
  return sql_end(s, error);
}
