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

static const char details[] =
    "Cells that are finished are left alone: a cell is its settings, so the same settings are\n"
    "never trained twice, whatever the code's commit (the report tells when commits differ).\n"
    "Cells that were interrupted go on from their checkpoint. Failed cells stay failed until\n"
    "--retry. Cells that start from another one (tuning) run after it.\n"
    "\n"
    "Ctrl-C asks the running cells to write a checkpoint and stop; a second one kills them.\n"
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
  int64_t jobs;
  bool retry, dry_run, progress;
} run_words;

/* ---- dry run ---- */

static void write_dry_cell(const run_cell *c, strbuf *out) {
  char samples[TEXT_NUMBER_SIZE], flops[TEXT_NUMBER_SIZE], total[TEXT_NUMBER_SIZE];
  const settings *own = &c->cell->settings;
  double each = run_predict_flops(own), count = (double)run_predict_samples(own);
  strbuf_format(out, "%-11s %.8s  %s\n",
                c->has_begun && c->state == CELL_WAITING ? "interrupted" : run_state_name(c->state),
                c->cell->id, c->cell->label);
  if (count > 0)
    strbuf_format(out, "%22s%s samples", "", text_count(count, samples));
  else
    strbuf_format(out, "%22s%g epochs", "", own->epochs);
  if (each > 0) strbuf_format(out, " · %sFLOP/sample", text_count(each, flops));
  if (each > 0 && count > 0) strbuf_format(out, " · %sFLOP", text_count(each * count, total));
  strbuf_append_char(out, '\n');
}

static err print_dry_run(const run_sweep *sweep) {
  strbuf out = {0};
  size_t waiting = run_count(sweep, CELL_WAITING);
  for (size_t i = 0; i < sweep->count; i++) write_dry_cell(&sweep->cells[i], &out);
  strbuf_format(&out, "%zu cell%s, %zu to run\n", sweep->count, sweep->count == 1 ? "" : "s",
                waiting);
  err error = cli_print(&out);
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

static void say_what_failed(const run_sweep *sweep, const run_words *words, const char *given) {
  size_t failed = run_count(sweep, CELL_FAILED), skipped = run_count(sweep, CELL_SKIPPED);
  for (size_t i = 0; i < sweep->count; i++) {
    const run_cell *c = &sweep->cells[i];
    if (c->state != CELL_FAILED && c->state != CELL_SKIPPED) continue;
    log_error("%s: %s: %s", c->cell->label, run_state_name(c->state), c->reason ? c->reason : "");
    if (c->state == CELL_FAILED)
      log_line(LOG_INFO, "  its output: %s/%s/log.txt", words->place.results, c->directory);
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

static err run_and_report(const run_words *words, const char *given, spec_experiment *e, store *s,
                          bool *all_finished) {
  run_sweep sweep = {0};
  char *flip = NULL;
  run_options options = {.results = words->place.results,
                         .jobs = (int)words->jobs,
                         .is_dry = words->dry_run,
                         .retries_failed = words->retry && !words->dry_run,
                         .shows_progress = words->progress};
  err error = NULL;
  TRY(run_plan(e, s, &options, &sweep));
  if (words->dry_run) {
    *all_finished = true;
    error = print_dry_run(&sweep);
    goto cleanup;
  }
  if (run_count(&sweep, CELL_WAITING)) {
    TRY(run_find_flip(&flip));
    options.flip = flip;
    TRY(run_all(e, s, &options, &sweep));
  }
  TRY(print_table(e, s));
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
  run_words words = {.place = {.results = "results"}, .jobs = 1, .progress = true};
  option options[] = {
      {"profile", 'p', OPTION_STRING, &words.profile, "NAME", "the file's profile of that name",
       false},
      CLI_CELL_OPTIONS(words.set, words.set_cell),
      {"jobs", 'j', OPTION_INTEGER, &words.jobs, "N", "cells at once [1]", false},
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
  if (words.jobs < 1 || words.jobs > 64)
    FAIL(ERR_INPUT, "--jobs: %lld is not between 1 and 64", (long long)words.jobs);
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
