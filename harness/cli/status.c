#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/json.h"
#include "base/progress.h"
#include "cli/cli.h"
#include "store/sql.h"

static const char details[] =
    "Without a name: every experiment with how many of its cells are finished. With one: each of\n"
    "its cells, its state and how far it is. Reads the record only, so it can be asked from "
    "another\n"
    "terminal while 'flipbench run' works.\n"
    "\n"
    "--watch shows the cells of one experiment until all have finished or failed: on a terminal a\n"
    "page that is drawn anew, the running and failed cells first; in a pipe a line a change.\n"
    "\n"
    "examples:\n"
    "  flipbench status\n"
    "  flipbench status quickstart --json\n"
    "  flipbench status quickstart --watch";

static const char experiments_sql[] =
    "SELECT experiment, count(*), sum(status = 'finished'), sum(status = 'running'),"
    " sum(status = 'failed') FROM v_cell_latest GROUP BY experiment ORDER BY experiment";

#define CELLS_OF_EXPERIMENT                                                                        \
  "SELECT label, status, cell_id, coalesce(run_id, 0), coalesce(kind, ''), coalesce(message, '')," \
  " (SELECT max(samples) FROM step WHERE step.run_id = v_cell_latest.run_id),"                     \
  " (SELECT value FROM summary WHERE summary.run_id = v_cell_latest.run_id"                        \
  "  AND name = 'total_samples'),"                                                                 \
  " (SELECT train_seconds FROM step WHERE step.run_id = v_cell_latest.run_id"                      \
  "  ORDER BY step DESC LIMIT 1), coalesce(directory, '')"                                         \
  " FROM v_cell_latest WHERE experiment = ?1"

static const char cells_sql[] = CELLS_OF_EXPERIMENT " ORDER BY position";

static err list_experiments(store *s, bool is_json, strbuf *out) {
  sqlite3_stmt *rows;
  bool more;
  json_writer w = jsonw_start(out);
  if (is_json) jsonw_array(&w, NULL);
  err error = sql_query(s, &rows, experiments_sql, "");
  while (!error && !(error = sql_next(s, rows, &more)) && more) {
    long long cells = sqlite3_column_int64(rows, 1), finished = sqlite3_column_int64(rows, 2);
    long long running = sqlite3_column_int64(rows, 3), failed = sqlite3_column_int64(rows, 4);
    if (is_json) {
      jsonw_object(&w, NULL);
      jsonw_string(&w, "experiment", sql_text(rows, 0));
      jsonw_integer(&w, "cells", cells);
      jsonw_integer(&w, "finished", finished);
      jsonw_integer(&w, "running", running);
      jsonw_integer(&w, "failed", failed);
      jsonw_end(&w);
      continue;
    }
    strbuf_format(out, "%-24s %lld/%lld finished", sql_text(rows, 0), finished, cells);
    if (running) strbuf_format(out, " · %lld running", running);
    if (failed) strbuf_format(out, " · %lld failed", failed);
    strbuf_append_char(out, '\n');
  }
  if (is_json) jsonw_end(&w);
  if (is_json) strbuf_append_char(out, '\n');
  return error;
}

static void write_cell_json(sqlite3_stmt *rows, json_writer *w) {
  jsonw_object(w, NULL);
  jsonw_string(w, "label", sql_text(rows, 0));
  jsonw_string(w, "status", sql_text(rows, 1));
  jsonw_string(w, "cell", sql_text(rows, 2));
  jsonw_integer(w, "run", sqlite3_column_int64(rows, 3));
  jsonw_string(w, "kind", sql_text(rows, 4));
  jsonw_string(w, "message", sql_text(rows, 5));
  jsonw_number(w, "samples", sql_real(rows, 6));
  jsonw_number(w, "total_samples", sql_real(rows, 7));
  jsonw_number(w, "train_seconds", sql_real(rows, 8));
  jsonw_string(w, "directory", sql_text(rows, 9));
  jsonw_end(w);
}

static void write_cell_text(sqlite3_stmt *rows, strbuf *out) {
  char time[TEXT_NUMBER_SIZE];
  double samples = sql_real(rows, 6), total = sql_real(rows, 7);
  strbuf_format(out, "%-11s  %.8s  run %-4lld ", sql_text(rows, 1), sql_text(rows, 2),
                (long long)sqlite3_column_int64(rows, 3));
  if (samples == samples && total > 0)
    strbuf_format(out, "%3.0f %% %11s", 100 * samples / total,
                  text_duration(sql_real(rows, 8), time));
  else
    strbuf_format(out, "%17s", "");
  strbuf_format(out, "  %s%s%s\n", sql_text(rows, 0), *sql_text(rows, 5) ? ": " : "",
                sql_text(rows, 5));
}

static err list_cells(store *s, const char *name, bool is_json, strbuf *out) {
  sqlite3_stmt *rows;
  bool more;
  size_t count = 0;
  json_writer w = jsonw_start(out);
  if (is_json) jsonw_array(&w, NULL);
  err error = sql_query(s, &rows, cells_sql, "t", name);
  while (!error && !(error = sql_next(s, rows, &more)) && more) {
    count++;
    if (is_json)
      write_cell_json(rows, &w);
    else
      write_cell_text(rows, out);
  }
  if (is_json) jsonw_end(&w);
  if (is_json) strbuf_append_char(out, '\n');
  if (!error && !count)
    error = err_new(ERR_INPUT, "no experiment '%s' is known ('flipbench status' lists them)", name);
  return error;
}

/* ---- --watch ---- */

typedef struct {
  long long cells, finished, running, failed;
} tally;

static const char tally_sql[] =
    "SELECT count(*), sum(status = 'finished'), sum(status = 'running'), sum(status = 'failed')"
    " FROM v_cell_latest WHERE experiment = ?";

/* As cells_sql, but what a person looks for comes first. */
static const char watched_sql[] = CELLS_OF_EXPERIMENT
    " ORDER BY CASE status WHEN 'running' THEN 0"
    "  WHEN 'failed' THEN 1 WHEN 'interrupted' THEN 2 WHEN 'finished' THEN 4 ELSE 3 END, position"
    " LIMIT ?2";

static err count_cells(store *s, const char *name, tally *t) {
  sqlite3_stmt *rows;
  bool has_row;
  err error = sql_query(s, &rows, tally_sql, "t", name);
  if (!error) error = sql_next(s, rows, &has_row);
  if (error) return error;
  *t = (tally){sqlite3_column_int64(rows, 0), sqlite3_column_int64(rows, 1),
               sqlite3_column_int64(rows, 2), sqlite3_column_int64(rows, 3)};
  sql_stop(rows);
  return NULL;
}

static void write_tally(const char *results, const char *name, const tally *t, strbuf *out) {
  strbuf_format(out, "%s: %lld/%lld finished", name, t->finished, t->cells);
  if (t->running) strbuf_format(out, " · %lld running", t->running);
  if (t->failed) strbuf_format(out, " · %lld failed", t->failed);
  if (run_is_paused(results, name)) strbuf_append(out, " · paused");
  strbuf_append_char(out, '\n');
}

/* Every line cut to the terminal's width, on a page drawn over the one before. */
static err draw_page(const strbuf *page) {
  strbuf out = {0};
  size_t columns = (size_t)progress_columns() - 1;
  strbuf_append(&out, "\033[H");
  for (const char *line = strbuf_string(page); *line;) {
    size_t length = strcspn(line, "\n"), start = out.length;
    strbuf_append_bytes(&out, line, length);
    text_cut(&out, start, columns);
    strbuf_append(&out, "\033[K\n");
    line += length + (line[length] == '\n');
  }
  strbuf_append(&out, "\033[J");
  err error = cli_print(&out);
  strbuf_free(&out);
  return error;
}

static err write_page(store *s, const char *results, const char *name, const tally *t, int64_t most,
                      strbuf *page) {
  sqlite3_stmt *rows;
  bool more;
  long long shown = 0;
  write_tally(results, name, t, page);
  err error = sql_query(s, &rows, watched_sql, "ti", name, most);
  while (!error && !(error = sql_next(s, rows, &more)) && more) {
    write_cell_text(rows, page);
    shown++;
  }
  if (shown < t->cells) strbuf_format(page, "… and %lld more\n", t->cells - shown);
  return error;
}

static err watch(store *s, const char *results, const char *name, double every) {
  bool is_terminal = isatty(STDOUT_FILENO);
  strbuf last = {0};
  tally t = {0};
  err error = NULL;
  if (is_terminal) fputs("\033[2J", stdout);
  fflush(stdout);
  while (!error) {
    strbuf now = {0};
    TRY(count_cells(s, name, &t));
    if (!t.cells)
      FAIL(ERR_INPUT, "no experiment '%s' is known ('flipbench status' lists them)", name);
    if (is_terminal) {
      error = write_page(s, results, name, &t, progress_rows(STDOUT_FILENO) - 3, &now);
      if (!error) error = draw_page(&now);
    } else {
      write_tally(results, name, &t, &now);
      if (strcmp(strbuf_string(&now), strbuf_string(&last)) != 0) error = cli_print(&now);
    }
    strbuf_free(&last);
    last = now;
    if (t.finished + t.failed == t.cells) break;
    struct timespec pause = {(time_t)every, (long)((every - (double)(time_t)every) * 1e9)};
    nanosleep(&pause, NULL);
  }
cleanup:
  strbuf_free(&last);
  return error;
}

int cli_status(int argc, char **argv) {
  cli_place place = {.results = "results"};
  bool is_json = false, is_watching = false, is_help_wanted;
  double every = 1;
  option options[] = {
      {"watch", 'w', OPTION_FLAG, &is_watching, NULL, "stay, and show the cells as they go on",
       false},
      {"every", 0, OPTION_NUMBER, &every, "SECONDS", "how often --watch looks [1]", false},
      {"json", 0, OPTION_FLAG, &is_json, NULL, "print JSON for scripts", false},
      CLI_PLACE_OPTIONS(place),
      {0}};
  command c = {"flipbench status", "what has run, is running and has failed",
               "[EXPERIMENT] [OPTIONS]", options, details};
  option_list rest = {0};
  store *s = NULL;
  strbuf out = {0};
  err error = NULL;
  TRY(options_parse(&c, argc, argv, &rest, &is_help_wanted));
  if (is_help_wanted) goto cleanup;
  if (rest.count > 1) FAIL(ERR_INPUT, "one EXPERIMENT at most is wanted");
  TRY(cli_find_place(&place));
  TRY(store_open_existing(place.path, &s));
  if (is_watching && (rest.count != 1 || is_json))
    FAIL(ERR_INPUT, "--watch takes one EXPERIMENT and no --json");
  if (!(every >= 0.05 && every <= 3600))
    FAIL(ERR_INPUT, "--every: %g is not between 0.05 and 3600", every);
  if (is_watching) {
    error = watch(s, place.results, rest.items[0], every);
    goto cleanup;
  }
  TRY(rest.count ? list_cells(s, rest.items[0], is_json, &out)
                 : list_experiments(s, is_json, &out));
  TRY(cli_print(&out));
cleanup:
  store_close(s);
  strbuf_free(&out);
  free(place.path);
  options_free_list(&rest);
  options_free(options);
  return options_exit_status(error);
}
