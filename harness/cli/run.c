#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/log.h"
#include "base/progress.h"
#include "cli/cli.h"
#include "report/write.h"
#include "store/sql.h"

static const char details[] =
    "Cells that are finished are left alone: a cell is its settings, so the same settings are\n"
    "never trained twice, whatever the code's commit (the report tells when commits differ).\n"
    "Cells that were interrupted go on from their checkpoint. Failed cells stay failed until\n"
    "--retry. Cells that start from another one (tuning) run after it.\n"
    "\n"
    "Ctrl-C asks the running cells to write a checkpoint and stop; a second one kills them.\n"
    "'flipbench pause EXPERIMENT' from another terminal does the same and holds the sweep until\n"
    "'flipbench resume EXPERIMENT'.\n"
    "\n"
    "With --jobs N each cell has CPU cores of its own, as long as there are enough; with --gpus a\n"
    "GPU (or as many as the file's requires.gpus says). Limits and retries are the file's unless\n"
    "they are given here. A crash, memory, a time-out with a checkpoint and a lost machine are\n"
    "tried again; NaN and wrong input are not.\n"
    "\n"
    "examples:\n"
    "  flipbench run experiments/quickstart.yaml\n"
    "  flipbench run experiments/mask_ratio.yaml --dry-run\n"
    "  flipbench run experiments/quickstart.yaml --set samples=2k --results /tmp/try\n"
    "\n"
    "exit status: 0 every cell is finished; 1 some failed; 2 wrong usage or experiment file;\n"
    "130 interrupted";

typedef struct {
  cli_place place;
  const char *profile;
  option_list set, set_cell;
  int64_t jobs, retries;
  const char *gpus, *time_limit, *memory_limit, *retry_wait;
  bool retry, dry_run, progress;
} run_words;

/* ---- predictions ---- */

/* 4.00 TFLOP. */
static void append_flops(strbuf *out, double flops, const char *unit) {
  static const char *const prefixes[] = {"", "k", "M", "G", "T", "P", "E"};
  size_t i = 0;
  for (; flops >= 1000 && i < 6; i++) flops /= 1000;
  strbuf_format(out, " · %.*f %s%s",
                flops < 10    ? 2
                : flops < 100 ? 1
                              : 0,
                flops, prefixes[i], unit);
}

static void append_dry_cell(const run_cell *c, const run_prediction *p, strbuf *out) {
  char samples[TEXT_NUMBER_SIZE], time[TEXT_NUMBER_SIZE], memory[TEXT_NUMBER_SIZE];
  const settings *own = &c->cell->settings;
  double count = (double)run_predict_samples(own), each = p->flops_per_sample;
  strbuf_format(out, "%-11s %.8s  %s\n",
                c->has_begun && c->state == CELL_WAITING ? "interrupted" : run_state_name(c->state),
                c->cell->id, c->cell->label);
  if (count > 0)
    strbuf_format(out, "%22s%s samples", "", text_count(count, samples));
  else
    strbuf_format(out, "%22s%g epochs", "", own->epochs);
  if (each > 0) append_flops(out, each, "FLOP/sample");
  if (each > 0 && count > 0) append_flops(out, each * count, "FLOP");
  if (p->seconds > 0) strbuf_format(out, " · about %s", text_duration(p->seconds, time));
  if (p->bytes > 0) strbuf_format(out, " · %s", text_bytes((uint64_t)p->bytes, memory));
  if (p->like) strbuf_format(out, " (like run %lld)", (long long)p->like);
  strbuf_append_char(out, '\n');
}

static err print_dry_run(store *s, const run_sweep *sweep) {
  strbuf out = {0};
  char time[TEXT_NUMBER_SIZE];
  run_predictor *predictor = NULL;
  double seconds = 0;
  size_t waiting = run_count(sweep, CELL_WAITING);
  err error = run_predictor_open(s, &predictor);
  for (size_t i = 0; i < sweep->count && !error; i++) {
    run_prediction p;
    run_predict(predictor, &sweep->cells[i].cell->settings, &p);
    append_dry_cell(&sweep->cells[i], &p, &out);
    if (sweep->cells[i].state == CELL_WAITING) seconds += p.seconds;
  }
  strbuf_format(&out, "%zu cell%s, %zu to run", sweep->count, sweep->count == 1 ? "" : "s",
                waiting);
  if (seconds > 0)
    strbuf_format(&out, ": about %s one after another", text_duration(seconds, time));
  if (waiting && isnan(seconds))
    strbuf_append(&out, "; times are known once a run like them has finished here");
  strbuf_append_char(&out, '\n');
  if (!error) error = cli_print(&out);
  run_predictor_close(predictor);
  strbuf_free(&out);
  return error;
}

static const char measured_sql[] =
    "SELECT (SELECT value FROM summary WHERE run_id = ?1 AND name = 'wall_seconds'),"
    " (SELECT value FROM summary WHERE run_id = ?1 AND name = 'peak_bytes')";

/* What was foretold of the cells that ran now, beside what they took. */
static err print_predictions(store *s, const run_sweep *sweep) {
  enum { MOST_PREDICTIONS = 20 };
  strbuf out = {0};
  size_t count = 0;
  char times[2][TEXT_NUMBER_SIZE], sizes[2][TEXT_NUMBER_SIZE];
  err error = NULL;
  for (size_t i = 0; i < sweep->count && !error; i++) {
    const run_cell *c = &sweep->cells[i];
    sqlite3_stmt *rows;
    bool has_row;
    if (!c->ran_now || c->state != CELL_FINISHED || isnan(c->predicted_seconds)) continue;
    error = sql_query(s, &rows, measured_sql, "i", c->run_id);
    if (!error) error = sql_next(s, rows, &has_row);
    if (error) break;
    double seconds = sql_real(rows, 0), bytes = sql_real(rows, 1);
    sql_stop(rows);
    if (!(seconds > 0) || !(bytes > 0) || ++count > MOST_PREDICTIONS) continue;
    strbuf_format(&out, "  %9s → %-9s %+4d %%  %9s → %-9s %+4d %%  %s\n",
                  text_duration(c->predicted_seconds, times[0]), text_duration(seconds, times[1]),
                  (int)lround(100 * (seconds / c->predicted_seconds - 1)),
                  text_bytes((uint64_t)c->predicted_bytes, sizes[0]),
                  text_bytes((uint64_t)bytes, sizes[1]),
                  (int)lround(100 * (bytes / c->predicted_bytes - 1)), c->cell->label);
  }
  if (out.length) log_line(LOG_INFO, "predicted → measured, time and memory:");
  fputs(strbuf_string(&out), stderr);
  if (count > MOST_PREDICTIONS)
    fprintf(stderr, "  … and %zu more ('flipbench show RUN' has both)\n", count - MOST_PREDICTIONS);
  strbuf_free(&out);
  return error;
}

/* ---- the end of a sweep ---- */

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

static void say_what_failed(const run_sweep *sweep, const run_words *words, const char *given) {
  size_t failed = run_count(sweep, CELL_FAILED), skipped = run_count(sweep, CELL_SKIPPED);
  for (size_t i = 0; i < sweep->count; i++) {
    const run_cell *c = &sweep->cells[i];
    if (c->state != CELL_FAILED && c->state != CELL_SKIPPED) continue;
    log_error("%s: %s: %s", c->cell->label, run_state_name(c->state), c->reason ? c->reason : "");
    if (c->state == CELL_FAILED) say_log(words->place.results, c);
  }
  if (failed)
    log_line(LOG_INFO, "%zu failed%s; to try again: flipbench run %s --retry", failed,
             skipped ? " (others were skipped because of them)" : "", given);
  size_t stopped = run_count(sweep, CELL_INTERRUPTED) + run_count(sweep, CELL_WAITING);
  if (stopped)
    log_line(LOG_INFO, "%zu of %zu cells are not finished; the same command goes on from here",
             stopped, sweep->count);
}

/* What was measured is safe in the database by now: a page that cannot be written is a warning. */
static void write_outputs(const run_words *words, const spec_experiment *e, store *s) {
  err error = cli_write_outputs(words->place.results, e, s);
  if (error) log_warning("%s", err_message(error));
  err_free(error);
}

static err read_limits(const run_words *words, spec_limits *limits) {
  if (words->time_limit && !text_parse_duration(words->time_limit, &limits->time_seconds))
    return err_new(ERR_INPUT, "--time-limit: '%s' is not a duration (90, 30s, 1h30m)",
                   words->time_limit);
  if (words->retry_wait && !text_parse_duration(words->retry_wait, &limits->retry_wait_seconds))
    return err_new(ERR_INPUT, "--retry-wait: '%s' is not a duration (90, 30s, 1h30m)",
                   words->retry_wait);
  if (words->memory_limit && !text_parse_bytes(words->memory_limit, &limits->memory_bytes))
    return err_new(ERR_INPUT, "--memory-limit: '%s' is not a size (512MiB, 8GiB)",
                   words->memory_limit);
  if (words->retries >= 0) limits->retries = words->retries;
  return NULL;
}

static err run_and_report(const run_words *words, const char *given, spec_experiment *e, store *s,
                          bool *all_finished) {
  run_sweep sweep = {0};
  char *flip = NULL;
  run_options options = {.results = words->place.results,
                         .jobs = (int)words->jobs,
                         .gpus = words->gpus,
                         .limits = spec_limits_not_given,
                         .is_dry = words->dry_run,
                         .retries_failed = words->retry && !words->dry_run,
                         .shows_progress = words->progress};
  err error = NULL;
  TRY(read_limits(words, &options.limits));
  TRY(run_plan(e, s, &options, &sweep));
  if (words->dry_run) {
    *all_finished = true;
    error = print_dry_run(s, &sweep);
    goto cleanup;
  }
  if (run_count(&sweep, CELL_WAITING)) {
    TRY(run_find_flip(&flip));
    options.flip = flip;
    TRY(run_all(e, s, &options, &sweep));
  }
  TRY(print_table(e, s));
  TRY(print_predictions(s, &sweep));
  if (run_count(&sweep, CELL_FINISHED)) write_outputs(words, e, s);
  say_what_failed(&sweep, words, given);
  *all_finished = run_count(&sweep, CELL_FINISHED) == sweep.count;
  if (sweep.is_interrupted) FAIL(ERR_INTERRUPTED, "interrupted");
cleanup:
  run_free(&sweep);
  free(flip);
  return error;
}

int cli_run(int argc, char **argv) {
  run_words words = {.place = {.results = "results"}, .retries = -1, .progress = true};
  option options[] = {
      {"profile", 'p', OPTION_STRING, &words.profile, "NAME", "the file's profile of that name",
       false},
      CLI_CELL_OPTIONS(words.set, words.set_cell),
      {"jobs", 'j', OPTION_INTEGER, &words.jobs, "N",
       "cells at once [as the file's requires and --gpus allow, else 1]", false},
      {"gpus", 0, OPTION_STRING, &words.gpus, "0,1", "GPUs to use, one a cell", false},
      {"time-limit", 0, OPTION_STRING, &words.time_limit, "TIME",
       "wall time of a cell's process: 90, 30s, 1h30m", false},
      {"memory-limit", 0, OPTION_STRING, &words.memory_limit, "SIZE",
       "memory of a cell's process: 512MiB, 8GiB", false},
      {"retries", 0, OPTION_INTEGER, &words.retries, "N",
       "times a failure that may pass is tried again", false},
      {"retry-wait", 0, OPTION_STRING, &words.retry_wait, "TIME",
       "wait before the first retry, doubled each time", false},
      {"retry", 0, OPTION_FLAG, &words.retry, NULL, "start failed cells again", false},
      {"dry-run", 'n', OPTION_FLAG, &words.dry_run, NULL, "print the cells, run nothing", false},
      {"progress", 0, OPTION_FLAG, &words.progress, NULL,
       "the live display [on; --no-progress turns it off]", false},
      CLI_PLACE_OPTIONS(words.place),
      {0}};
  command c = {"flipbench run", "run the cells of an experiment and print its table",
               "EXPERIMENT.yaml [OPTIONS]", options, details};
  option_list rest = {0};
  bool is_help_wanted, all_finished = false;
  const char *given;
  spec_experiment *e = NULL;
  store *s = NULL;
  err error = NULL;
  TRY(options_parse(&c, argc, argv, &rest, &is_help_wanted));
  if (is_help_wanted) {
    all_finished = true;
    goto cleanup;
  }
  TRY(cli_one_word(&rest, "EXPERIMENT.yaml", &given));
  if (words.jobs < 0 || words.jobs > 256)
    FAIL(ERR_INPUT, "--jobs: %lld is not between 1 and 256", (long long)words.jobs);
  TRY(cli_find_place(&words.place));
  spec_options spec = {.profile = words.profile,
                       .set = words.set.items,
                       .set_count = words.set.count,
                       .set_cell = words.set_cell.items,
                       .set_cell_count = words.set_cell.count};
  TRY(cli_load_experiment(NULL, given, &spec, &e));
  /* a dry run on a fresh machine leaves nothing behind */
  bool is_fresh = words.dry_run && !fs_exists(words.place.path);
  TRY(store_open(is_fresh ? ":memory:" : words.place.path, &s));
  TRY(run_and_report(&words, given, e, s, &all_finished));
cleanup:
  store_close(s);
  spec_free(e);
  free(words.place.path);
  options_free_list(&rest);
  options_free(options);
  if (error) return options_exit_status(error);
  return all_finished ? 0 : 1;
}
