#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/json.h"
#include "base/progress.h"
#include "cli/cli.h"
#include "store/experiments.h"

static const char details[] =
    "Without a name: every experiment with its number of finished cells. With a name: the state "
    "and\n"
    "progress of each of its cells. Can be used in another terminal while 'flipbench run' is "
    "running.\n"
    "The cells are those of the experiment file as it is now, as in the report. A run is "
    "'running'\n"
    "only while a process of it is alive; † marks runs that other processes disturbed, with the "
    "share\n"
    "of time lost.\n"
    "\n"
    "--watch shows the cells of one experiment until all have finished or failed, or cannot start "
    "because\n"
    "the cell that they start from failed: on a terminal, a page that is redrawn, running and "
    "failed cells first; in a pipe, one line per change.\n"
    "\n"
    "examples:\n"
    "  flipbench status\n"
    "  flipbench status quickstart --json\n"
    "  flipbench status quickstart --watch";

/* ---- every experiment ---- */

static void write_counts(const cli_cells *cells, strbuf *out) {
  strbuf_format(out, "%zu/%zu finished", cells->finished, cells->count);
  if (cells->running) strbuf_format(out, " · %zu running", cells->running);
  if (cells->failed) strbuf_format(out, " · %zu failed", cells->failed);
  if (cells->disturbed) strbuf_format(out, " · %zu disturbed †", cells->disturbed);
  if (cells->of_other_recipe)
    strbuf_format(out, " · %zu more of another recipe", cells->of_other_recipe);
}

static void write_experiment(const char *name, const cli_cells *cells, json_writer *w,
                             strbuf *out) {
  if (!w) {
    strbuf_format(out, "%-24s ", name);
    write_counts(cells, out);
    strbuf_append_char(out, '\n');
    return;
  }
  jsonw_object(w, NULL);
  jsonw_string(w, "experiment", name);
  jsonw_integer(w, "cells", (int64_t)cells->count);
  jsonw_integer(w, "finished", (int64_t)cells->finished);
  jsonw_integer(w, "running", (int64_t)cells->running);
  jsonw_integer(w, "failed", (int64_t)cells->failed);
  jsonw_integer(w, "disturbed", (int64_t)cells->disturbed);
  jsonw_end(w);
}

static err list_experiments(store *s, const char *results, bool is_json, strbuf *out) {
  store_names names;
  json_writer w = jsonw_start(out);
  if (is_json) jsonw_array(&w, NULL);
  err error = store_list_experiments(s, &names);
  for (size_t i = 0; i < names.count && !error; i++) {
    cli_cells cells;
    error = cli_list_cells(s, results, names.items[i], &cells);
    if (!error) cli_warn_unread(names.items[i], cells.unread);
    if (!error) write_experiment(names.items[i], &cells, is_json ? &w : NULL, out);
    cli_free_cells(&cells);
  }
  if (is_json) jsonw_end(&w);
  if (is_json) strbuf_append_char(out, '\n');
  store_free_names(&names);
  return error;
}

/* ---- one experiment ---- */

static void write_cell_json(const cli_cell *c, json_writer *w) {
  jsonw_object(w, NULL);
  jsonw_string(w, "label", c->label);
  jsonw_string(w, "status", c->status);
  jsonw_string(w, "cell", c->cell);
  if (c->run_id)
    jsonw_integer(w, "run", c->run_id);
  else
    jsonw_null(w, "run");
  jsonw_string(w, "kind", c->kind);
  jsonw_string(w, "message", c->message);
  jsonw_number(w, "samples", c->samples);
  jsonw_number(w, "total_samples", c->total_samples);
  jsonw_number(w, "train_seconds", c->train_seconds);
  jsonw_bool(w, "disturbed", c->is_disturbed);
  jsonw_number(w, "lost_share", c->lost_share);
  jsonw_string(w, "directory", c->directory);
  jsonw_end(w);
}

static void write_cell_text(const cli_cell *c, strbuf *out) {
  char time[TEXT_NUMBER_SIZE];
  strbuf_format(out, "%-11s  %.8s  ", c->status, c->cell);
  if (c->run_id)
    strbuf_format(out, "run %-4lld ", (long long)c->run_id);
  else
    strbuf_format(out, "%9s", "");
  if (!isnan(c->samples) && c->total_samples > 0)
    strbuf_format(out, "%3.0f %% %11s", 100 * c->samples / c->total_samples,
                  text_duration(c->train_seconds, time));
  else
    strbuf_format(out, "%17s", "");
  strbuf_format(out, "  %s", c->label);
  if (c->is_disturbed) strbuf_format(out, " † %.0f %% lost", 100 * c->lost_share);
  strbuf_format(out, "%s%s\n", *c->message ? ": " : "", c->message);
}

/* Notes below the rows. */
static void write_notes(const cli_cells *cells, const char *name, strbuf *out) {
  if (cells->disturbed)
    strbuf_format(out, "† disturbed by other processes, with the share of training time lost\n"
                       "('flipbench run --retry disturbed' measures these cells again)\n");
  if (cells->strangers)
    strbuf_format(out,
                  "%zu run%s of cells no longer in the experiment file; 'flipbench "
                  "runs list' shows all\n",
                  cells->strangers, cells->strangers == 1 ? "" : "s");
  if (cells->recipes) strbuf_format(out, "%s\n", cells->recipes);
  if (cells->trouble)
    strbuf_format(out, "%s cannot be read; showing the recorded cells: %s\n", name, cells->trouble);
}

static err list_cells(store *s, const char *results, const char *name, bool is_json, strbuf *out) {
  cli_cells cells;
  json_writer w = jsonw_start(out);
  err error = cli_list_cells(s, results, name, &cells);
  if (error) return error;
  cli_warn_unread(name, cells.unread);
  if (is_json) jsonw_array(&w, NULL);
  for (size_t i = 0; i < cells.count; i++)
    if (is_json)
      write_cell_json(&cells.items[i], &w);
    else
      write_cell_text(&cells.items[i], out);
  if (is_json) jsonw_end(&w);
  if (is_json) strbuf_append_char(out, '\n');
  if (!is_json) write_notes(&cells, name, out);
  cli_free_cells(&cells);
  return NULL;
}

/* ---- --watch ---- */

static void write_tally(const char *results, const char *name, const cli_cells *cells,
                        strbuf *out) {
  strbuf_format(out, "%s: ", name);
  write_counts(cells, out);
  if (run_is_paused(results, name)) strbuf_append(out, " · paused");
  if (cells->unread) strbuf_append(out, " · behind");
  strbuf_append_char(out, '\n');
  if (cells->unread && isatty(STDOUT_FILENO)) strbuf_format(out, "%s\n", cells->unread);
}

/* Cuts every line to the terminal's width and redraws the page over the previous one. */
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

/* The most relevant states come first. */
static int urgency(const cli_cell *c) {
  static const char *const order[] = {"running", "failed", "interrupted", "not run"};
  int at = 0;
  while (at < 4 && strcmp(c->status, order[at]) != 0) at++;
  return at;
}

static void write_page(const cli_cells *cells, const char *results, const char *name, size_t most,
                       strbuf *page) {
  size_t shown = 0;
  write_tally(results, name, cells, page);
  for (int rank = 0; rank < 5; rank++)
    for (size_t i = 0; i < cells->count && shown < most; i++) {
      if (urgency(&cells->items[i]) != rank) continue;
      write_cell_text(&cells->items[i], page);
      shown++;
    }
  if (shown < cells->count) strbuf_format(page, "… and %zu more\n", cells->count - shown);
}

/* A copy does not follow the database: another takes its place. */
static err refresh(const cli_place *place, store **s) {
  if (!store_is_copy(*s)) return NULL;
  store_close(*s);
  *s = NULL;
  return cli_read_place(place, s);
}

static err watch(const cli_place *place, store **s, const char *name, double every) {
  const char *results = place->results;
  bool is_terminal = isatty(STDOUT_FILENO), is_over = false, is_told = false;
  strbuf last = {0};
  cli_cells cells = {0};
  err error = NULL;
  if (is_terminal) fputs("\033[2J", stdout);
  fflush(stdout);
  while (!error && !is_over && cli_has_reader()) {
    strbuf now = {0};
    TRY(cli_list_cells(*s, results, name, &cells));
    if (!is_told && !is_terminal) cli_warn_unread(name, cells.unread);
    is_told = is_told || cells.unread;
    if (is_terminal) {
      int rows = progress_rows(STDOUT_FILENO) - 3;
      write_page(&cells, results, name, rows > 0 ? (size_t)rows : 1, &now);
      error = draw_page(&now);
    } else {
      write_tally(results, name, &cells, &now);
      if (strcmp(strbuf_string(&now), strbuf_string(&last)) != 0) error = cli_print(&now);
    }
    strbuf_free(&last);
    last = now;
    is_over = cells.finished + cells.failed + cells.stuck == cells.count;
    cli_free_cells(&cells);
    if (is_over) break;
    struct timespec pause = {(time_t)every, (long)((every - (double)(time_t)every) * 1e9)};
    nanosleep(&pause, NULL);
    error = refresh(place, s);
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
      {"watch", 'w', OPTION_FLAG, &is_watching, NULL, "keep running and show progress", false},
      {"every", 0, OPTION_NUMBER, &every, "SECONDS", "refresh interval of --watch [1]", false},
      {"json", 0, OPTION_FLAG, &is_json, NULL, "print JSON for scripts", false},
      CLI_PLACE_OPTIONS(place),
      {0}};
  command c = {"flipbench status", "show what is running, finished and failed",
               "[EXPERIMENT] [OPTIONS]", options, details};
  option_list rest = {0};
  store *s = NULL;
  strbuf out = {0};
  err error = NULL;
  TRY(options_parse(&c, argc, argv, &rest, &is_help_wanted));
  if (is_help_wanted) goto cleanup;
  if (rest.count > 1) FAIL(ERR_INPUT, "expected at most one EXPERIMENT");
  TRY(cli_find_place(&place));
  TRY(cli_read_place(&place, &s));
  if (is_watching && (rest.count != 1 || is_json))
    FAIL(ERR_INPUT, "--watch takes one EXPERIMENT and no --json");
  if (!(every >= 0.05 && every <= 3600))
    FAIL(ERR_INPUT, "--every: %g is not between 0.05 and 3600", every);
  if (is_watching) {
    error = watch(&place, &s, rest.items[0], every);
    goto cleanup;
  }
  TRY(rest.count ? list_cells(s, place.results, rest.items[0], is_json, &out)
                 : list_experiments(s, place.results, is_json, &out));
  TRY(cli_print(&out));
cleanup:
  store_close(s);
  strbuf_free(&out);
  free(place.path);
  options_free_list(&rest);
  options_free(options);
  return options_exit_status(error);
}
