#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "report/results.h"
#include "report/table_changes.h"
#include "report/write.h"
#include "exchange/bundle.h"
#include "store/experiments.h"
#include "store/runs.h"

static const char details[] =
    "Packs the experiment file with its bases, vocabularies, evaluation sets and the files they "
    "name;\n"
    "the record of every run (settings, events, log, command lines, uncommitted changes); the "
    "table;\n"
    "and a digest of every file. The training data is not included; its file names, sizes and\n"
    "fingerprints are, and 'flipbench reproduce' checks the local data against them.\n"
    "\n"
    "Paths are relative to the current folder, or to the folder that holds --results when the\n"
    "experiment was started there. Runs made with --set need the same --set here, or the "
    "experiment's\n"
    "name, which stands for the settings of its last run. Archived runs are not results; cells "
    "without\n"
    "one are reported.\n"
    "\n"
    "examples:\n"
    "  flipbench bundle quickstart\n"
    "  flipbench bundle mask_ratio --checkpoints --out /tmp/mask_ratio.tar.gz";

typedef struct {
  cli_place place;
  char from[PATH_MAX];       /* where the command was started */
  const char *given_results; /* relative to there */
  const char *out, *profile;
  option_list set, set_cell;
  bool with_checkpoints;
} bundle_words;

/* ---- where the experiment was started ---- */

/* Makes an existing path absolute, so that it stays valid when the folder changes. */
static err make_absolute(char **path) {
  char real[PATH_MAX];
  if (!realpath(*path, real)) return NULL; /* a later check reports that it is missing */
  char *copy = mem_copy_string(real);
  if (!copy) return mem_error(0, "a path");
  free(*path);
  *path = copy;
  return NULL;
}

/* Enters the experiment's home (cli_find_home), as the files that it names are packed too. *moved:
 * the recorded path; owned, NULL: it stayed here. */
static err go_home(store *s, const char *name, const char *results, char **moved) {
  store_experiment recorded;
  char *home = NULL;
  *moved = NULL;
  err error = store_find_experiment(s, name, &recorded);
  if (error) return error;
  if (recorded.is_known) error = cli_find_home(results, recorded.path, &home);
  if (home && !(*moved = mem_copy_string(recorded.path))) error = mem_error(0, "a path");
  store_free_experiment(&recorded);
  if (*moved) {
    log_info("paths are taken relative to %s, where the experiment was started", home);
    error = cli_enter(home);
  }
  free(home);
  return error;
}

/* By name with the settings of its last run; a file with those of this command line alone. */
static err load(store *s, const char *given, const bundle_words *words, spec_experiment **e) {
  spec_options spec = {.profile = words->profile,
                       .set = words->set.items,
                       .set_count = words->set.count,
                       .set_cell = words->set_cell.items,
                       .set_cell_count = words->set_cell.count};
  char *moved = NULL;
  err error = NULL;
  if (!strchr(given, '/') && !strstr(given, ".y")) {
    error = go_home(s, given, words->given_results, &moved);
    if (!error) error = cli_load_experiment(s, words->place.results, given, &spec, e);
    goto cleanup;
  }
  TRY(cli_load_experiment(s, words->place.results, given, &spec, e));
  TRY(go_home(s, (*e)->name, words->given_results, &moved));
  if (!moved) goto cleanup;
  spec_free(*e);
  *e = NULL;
  TRY(spec_load(moved, &spec, e));
cleanup:
  free(moved);
  return error;
}

/* ---- the table ---- */

static size_t count_begun(const report_table *table) {
  size_t begun = 0;
  for (size_t r = 0; r < table->row_count; r++)
    for (size_t k = 0; k < table->rows[r].cells; k++) begun += table->rows[r].runs[k] != 0;
  return begun;
}

/* The table of the packed run folders, made the same way as in 'reproduce'. */
static err table_of_folders(const spec_experiment *e, store *s, const char *results, strbuf *json) {
  const char *temporary = getenv("TMPDIR");
  char folder[PATH_MAX];
  char *inside = NULL, *db = NULL;
  size_t runs;
  store *fresh = NULL;
  report_table *table = NULL;
  err error = NULL;
  snprintf(folder, sizeof folder, "%s/flipbench-XXXXXX",
           temporary && *temporary ? temporary : "/tmp");
  if (!mkdtemp(folder))
    FAIL(ERR_IO,
         "%s: cannot create a temporary folder (%s); set TMPDIR to a folder that you can write to",
         folder, strerror(errno));
  inside = fs_join(folder, "results");
  db = fs_join(folder, "flipbench.db");
  if (!inside || !db) FAIL(ERR_MEMORY, "out of memory: a path");
  TRY(bundle_link(s, results, e, inside));
  TRY(run_rebuild(db, inside, &runs));
  TRY(store_open_existing(db, &fresh));
  TRY(report_build(e, fresh, &table));
  if (!count_begun(table))
    FAIL(ERR_INPUT, "%s: the run folders in %s have no run of its cells that can be read", e->name,
         results);
  report_write_json(table, json);
cleanup:
  report_free(table);
  store_close(fresh);
  bundle_unlink(folder);
  free(inside);
  free(db);
  return error;
}

static err make_table(const spec_experiment *e, store *s, const char *results, strbuf *json) {
  report_table *table = NULL;
  strbuf stored = {0}, told = {0};
  size_t count;
  err error = NULL;
  TRY(report_build(e, s, &table));
  if (!count_begun(table))
    FAIL(ERR_INPUT,
         "%s: none of its cells was run in %s, so there is nothing to pack; runs made "
         "with --set, --set-cell or --profile need the same options here",
         e->name, store_path(s));
  report_write_json(table, &stored);
  TRY(table_of_folders(e, s, results, json));
  TRY(table_changes(strbuf_string(&stored), strbuf_string(json), &told, &count));
  if (count)
    log_warning("the database differs from the run folders; the bundle holds the folders' "
                "table ('flipbench db rebuild' rebuilds the database):\n%s",
                strbuf_string(&told));
cleanup:
  report_free(table);
  strbuf_free(&stored);
  strbuf_free(&told);
  return error;
}

/* ---- cells without a result ---- */

/* "failed", "archived", "not run"; *is_finished: it has a result. */
static err add_state(store *s, const spec_cell *cell, const store_result *result, strbuf *said,
                     bool *is_finished) {
  store_run run;
  size_t cells;
  int64_t any_run;
  err error = store_load_result(s, result, &run);
  if (error) return error;
  *is_finished = strcmp(run.status, "finished") == 0;
  if (!run.run_id) error = store_match_cells(s, cell->id, &cells, &any_run);
  if (!error && !*is_finished)
    strbuf_format(said, "%s (%s)", cell->label,
                  run.run_id         ? run.status
                  : result->left_out ? "started from another run of its parent"
                  : any_run          ? "archived"
                                     : "not run");
  store_free_run(&run);
  return error;
}

/* A bundle of an unfinished experiment is no mistake, but its reader must not take it for all. */
static err warn_of_gaps(store *s, const spec_experiment *e) {
  enum { MOST_NAMED = 6 };
  size_t finished = 0, named = 0;
  strbuf said = {0};
  store_result *results = NULL;
  err error = results_find(e, s, &results);
  for (size_t i = 0; i < e->cell_count && !error; i++) {
    strbuf one = {0};
    bool is_finished = false;
    error = add_state(s, &e->cells[i], &results[i], &one, &is_finished);
    finished += is_finished;
    if (one.length && named++ < MOST_NAMED)
      strbuf_format(&said, "%s%s", said.length ? "; " : "", one.data);
    strbuf_free(&one);
  }
  if (named > MOST_NAMED) strbuf_format(&said, "; and %zu more", named - MOST_NAMED);
  if (!error && named)
    log_warning("%zu of %zu cells have a result; the bundle has none of: %s", finished,
                e->cell_count, strbuf_string(&said));
  strbuf_free(&said);
  free(results);
  return error;
}

static err bundle(const spec_experiment *e, store *s, const bundle_words *words) {
  strbuf json = {0}, path = {0}, said = {0};
  bundle_count count;
  char size[TEXT_NUMBER_SIZE], *flip = NULL;
  err_free(run_find_flip(&flip));
  strbuf_format(&path, "%s/%s/%s.flipbench.tar.gz", words->place.results, e->name, e->name);
  err error = make_table(e, s, words->place.results, &json);
  bundle_options options = {.results = words->place.results,
                            .out = words->out ? words->out : strbuf_string(&path),
                            .flip = flip,
                            .table_json = strbuf_string(&json),
                            .with_checkpoints = words->with_checkpoints};
  if (!error) error = warn_of_gaps(s, e);
  if (!error) error = bundle_write(e, s, &options, &count);
  if (!error) {
    size_t length = strlen(words->from);
    bool is_below = strncmp(options.out, words->from, length) == 0 && options.out[length] == '/';
    strbuf_format(&said, "%s: %zu %s, %zu files, %s before compression\n",
                  is_below ? options.out + length + 1 : options.out, count.runs,
                  text_plural((int64_t)count.runs, "run", "runs"), count.files,
                  text_bytes(count.bytes, size));
    error = cli_print(&said);
  }
  free(flip);
  strbuf_free(&json);
  strbuf_free(&path);
  strbuf_free(&said);
  return error;
}

/* Resolves paths relative to where the command was started, before it changes the folder. */
static err fix_places(bundle_words *words, char **results, strbuf *out) {
  err error = cli_find_place(&words->place);
  if (!error && !getcwd(words->from, sizeof words->from))
    error = err_new(ERR_IO, "the current folder no longer exists");
  if (!error && !(*results = mem_copy_string(words->place.results))) error = mem_error(0, "a path");
  if (!error) error = make_absolute(results);
  if (!error) error = make_absolute(&words->place.path);
  if (error) return error;
  words->given_results = words->place.results;
  words->place.results = *results;
  if (!words->out) return NULL;
  if (*words->out != '/') strbuf_format(out, "%s/", words->from);
  strbuf_append(out, words->out);
  if (out->is_broken) return mem_error(0, "a path");
  words->out = strbuf_string(out);
  return NULL;
}

int cli_bundle(int argc, char **argv) {
  bundle_words words = {.place = {.results = "results"}};
  const char *given;
  char *results = NULL;
  strbuf out = {0};
  bool is_help_wanted = false;
  option options[] = {
      {"out", 'o', OPTION_STRING, &words.out, "FILE", "[RESULTS/NAME/NAME.flipbench.tar.gz]",
       false},
      {"checkpoints", 0, OPTION_FLAG, &words.with_checkpoints, NULL, "include the weights", false},
      {"profile", 'p', OPTION_STRING, &words.profile, "NAME", "a profile of the file", false},
      CLI_CELL_OPTIONS(words.set, words.set_cell),
      CLI_PLACE_OPTIONS(words.place),
      {0}};
  command c = {"flipbench bundle", "pack an experiment into one archive",
               "EXPERIMENT.yaml|NAME [OPTIONS]", options, details};
  option_list rest = {0};
  store *s = NULL;
  spec_experiment *e = NULL;
  err error = NULL;
  TRY(options_parse(&c, argc, argv, &rest, &is_help_wanted));
  if (is_help_wanted) goto cleanup;
  TRY(cli_one_word(&rest, "EXPERIMENT", &given));
  TRY(fix_places(&words, &results, &out));
  TRY(cli_read_place(&words.place, &s));
  TRY(load(s, given, &words, &e));
  TRY(cli_catch_up(words.place.results, e, s));
  TRY(bundle(e, s, &words));
cleanup:
  store_close(s);
  spec_free(e);
  free(words.place.path);
  free(results);
  strbuf_free(&out);
  options_free_list(&rest);
  options_free(options);
  return options_exit_status(error);
}
