/* What is printed when a sweep has ended, on this machine or on a cluster. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/progress.h"
#include "cli/cli.h"
#include "report/write.h"
#include "store/facts.h"
#include "store/runs.h"

/* Predictions for the cells that ran, with the measurements. */
static err print_predictions(store *s, const run_sweep *sweep) {
  enum { MOST_PREDICTIONS = 20 };
  strbuf out = {0};
  size_t count = 0;
  bool has_ranks = false;
  char times[2][TEXT_NUMBER_SIZE], sizes[2][TEXT_NUMBER_SIZE];
  err error = NULL;
  for (size_t i = 0; i < sweep->count && !error; i++) {
    const run_cell *c = &sweep->cells[i];
    double seconds, bytes;
    if (!c->ran_now || c->state != CELL_FINISHED || isnan(c->predicted_seconds)) continue;
    error = store_find_number(s, c->run_id, "wall_seconds", &seconds);
    if (!error) error = store_find_number(s, c->run_id, "peak_bytes", &bytes);
    if (error) break;
    if (!(seconds > 0) || !(bytes > 0) || ++count > MOST_PREDICTIONS) continue;
    /* the measured peak is rank 0's, what is predicted is of all ranks */
    has_ranks = has_ranks || c->ranks > 1;
    double each = c->predicted_bytes / (double)(c->ranks > 1 ? c->ranks : 1);
    strbuf_format(&out, "  %9s → %-9s %+4d %%  %9s → %-9s %+4d %%  %s\n",
                  text_duration(c->predicted_seconds, times[0]), text_duration(seconds, times[1]),
                  (int)lround(100 * (seconds / c->predicted_seconds - 1)),
                  text_bytes((uint64_t)each, sizes[0]), text_bytes((uint64_t)bytes, sizes[1]),
                  (int)lround(100 * (bytes / each - 1)), c->cell->label);
  }
  if (out.length)
    log_line(LOG_INFO, "predicted → measured, time and memory%s:", has_ranks ? " of a rank" : "");
  fputs(strbuf_string(&out), stderr);
  if (count > MOST_PREDICTIONS)
    fprintf(stderr, "  … and %zu more ('flipbench show RUN' has both)\n", count - MOST_PREDICTIONS);
  strbuf_free(&out);
  return error;
}

static err print_table(const spec_experiment *e, store *s) {
  report_table *table = NULL;
  strbuf out = {0};
  report_style style = {progress_has_colour(STDOUT_FILENO), 0};
  if (isatty(STDOUT_FILENO)) style.columns = progress_columns();
  err error = report_build(e, s, &table);
  if (!error) {
    report_write_text(table, &style, &out);
    error = cli_print(&out);
  }
  report_free(table);
  strbuf_free(&out);
  return error;
}

/* Where its output is, and the last lines of it. */
static void say_log(const char *results, const run_cell *c) {
  enum { LINES = 3 };
  char *tail = run_log_tail(results, c->directory), *from = tail;
  int lines = 0;
  log_line(LOG_INFO, "  its output: %s/%s/log.txt", results, c->directory);
  if (!tail) return;
  for (char *at = tail + strlen(tail); at > tail && lines < LINES; at--)
    if (at[-1] == '\n' && ++lines == LINES) from = at;
  for (char *line; (line = strsep(&from, "\n"));)
    if (*line) log_line(LOG_INFO, "    | %s", line);
  free(tail);
}

static void say_what_failed(const run_sweep *sweep, const char *results, const char *again) {
  size_t failed = run_count(sweep, CELL_FAILED), skipped = run_count(sweep, CELL_SKIPPED);
  for (size_t i = 0; i < sweep->count; i++) {
    const run_cell *c = &sweep->cells[i];
    if (c->state != CELL_FAILED && c->state != CELL_SKIPPED) continue;
    log_error("%s: %s: %s", c->cell->label, run_state_name(c->state), c->reason ? c->reason : "");
    if (c->state == CELL_FAILED) say_log(results, c);
  }
  if (failed)
    log_line(LOG_INFO, "%zu failed%s; to retry: %s --retry", failed,
             skipped ? " (cells that depend on them were skipped)" : "", again);
  size_t stopped = run_count(sweep, CELL_INTERRUPTED) + run_count(sweep, CELL_WAITING) +
                   run_count(sweep, CELL_RUNNING);
  if (stopped)
    log_line(LOG_INFO, "%zu of %zu cells are not finished; run the same command to continue",
             stopped, sweep->count);
}

/* The measurements are already in the database: a page that cannot be written is a warning, except
 * for lack of memory, which affects everything that follows. */
static err write_outputs(const char *results, const spec_experiment *e, store *s) {
  err error = cli_write_outputs(results, e, s);
  if (error && err_kind_of(error) == ERR_MEMORY) return error;
  if (error) log_warning("%s", err_message(error));
  err_free(error);
  return NULL;
}

/* A cell that was waiting for its retry when the sweep was stopped is recorded as failed: the same
 * command does not start it, --retry does. */
static err name_stopped_retries(store *s, run_sweep *sweep) {
  err error = NULL;
  for (size_t i = 0; i < sweep->count && !error; i++) {
    run_cell *c = &sweep->cells[i];
    store_run run;
    if (c->state != CELL_WAITING || !c->tries) continue;
    error = store_find_run(s, c->cell->id, &run);
    if (error) break;
    if (run.run_id && strcmp(run.status, "failed") == 0) {
      c->state = CELL_FAILED;
      free(c->directory); /* a run without a checkpoint was set aside */
      c->directory = mem_copy_string(run.directory);
      if (!c->directory) error = mem_error(0, "a path");
    }
    store_free_run(&run);
  }
  return error;
}

err cli_end_sweep(const char *results, const spec_experiment *e, store *s, run_sweep *sweep,
                  const char *again) {
  err error = name_stopped_retries(s, sweep);
  if (!error) error = print_table(e, s);
  if (!error) error = print_predictions(s, sweep);
  if (error) return error;
  if (run_count(sweep, CELL_FINISHED)) error = write_outputs(results, e, s);
  if (!error) error = cli_say_doubts(s, sweep, again);
  if (error) return error;
  say_what_failed(sweep, results, again);
  return NULL;
}
