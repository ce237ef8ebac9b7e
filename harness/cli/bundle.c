#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "report/table_changes.h"
#include "report/write.h"
#include "exchange/bundle.h"
#include "store/experiments.h"

static const char details[] =
    "Packs the experiment file with its bases, vocabularies, evaluation sets and the files they "
    "name;\n"
    "the record of every run (settings, events, log, command lines, uncommitted changes); the "
    "table;\n"
    "and a digest of every file. The training data is not included; its file names, sizes and\n"
    "fingerprints are, and 'flipbench reproduce' checks the local data against them.\n"
    "\n"
    "Paths are relative to the current folder, or to the folder that holds --results when the\n"
    "experiment was started there. Runs made with --set need the same --set here.\n"
    "\n"
    "examples:\n"
    "  flipbench bundle quickstart\n"
    "  flipbench bundle mask_ratio --checkpoints --out /tmp/mask_ratio.tar.gz";

typedef struct {
  cli_place place;
  char from[PATH_MAX]; /* where the command was started */
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

/* Enters the folder that holds the results when the experiment's recorded path leads to its file
 * from there and not from here. */
static err go_home(store *s, const char *name, const char *results, bool *has_moved) {
  store_experiment recorded;
  strbuf there = {0};
  *has_moved = false;
  err error = store_find_experiment(s, name, &recorded);
  if (error) return error;
  const char *path = recorded.path, *slash = strrchr(results, '/');
  strbuf_append_bytes(&there, results, slash ? (size_t)(slash - results) + 1 : 0);
  size_t folder_length = there.length;
  strbuf_append(&there, path);
  *has_moved = recorded.is_known && *path != '/' && slash && !fs_exists(path) &&
               fs_exists(strbuf_string(&there));
  store_free_experiment(&recorded);
  if (*has_moved) {
    there.data[folder_length] = '\0';
    log_info("paths are taken relative to %s, where the experiment was started", there.data);
    if (chdir(there.data) != 0)
      error = err_new(ERR_IO, "%s: cannot change to this folder", there.data);
  }
  strbuf_free(&there);
  return error;
}

static err load(store *s, const char *given, const bundle_words *words, spec_experiment **e) {
  spec_options spec = {words->profile, words->set.items, words->set.count, words->set_cell.items,
                       words->set_cell.count};
  bool is_file = strchr(given, '/') || strstr(given, ".y"), has_moved = false;
  char *name = NULL;
  err error = NULL;
  if (is_file) {
    TRY(cli_load_experiment(s, given, &spec, e));
    name = mem_copy_string((*e)->name);
    if (!name) FAIL(ERR_MEMORY, "out of memory: a name");
  }
  TRY(go_home(s, name ? name : given, words->place.results, &has_moved));
  if (is_file && has_moved) {
    spec_free(*e);
    *e = NULL;
  }
  if (!*e) TRY(cli_load_experiment(s, name ? name : given, &spec, e));
cleanup:
  free(name);
  return error;
}

/* ---- the table ---- */

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
  if (!mkdtemp(folder)) FAIL(ERR_IO, "%s: cannot create a temporary folder", folder);
  inside = fs_join(folder, "results");
  db = fs_join(folder, "flipbench.db");
  if (!inside || !db) FAIL(ERR_MEMORY, "out of memory: a path");
  TRY(bundle_link(s, results, e->name, inside));
  TRY(run_rebuild(db, inside, &runs));
  TRY(store_open_existing(db, &fresh));
  TRY(report_build(e, fresh, &table));
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
  size_t count, begun = 0;
  err error = NULL;
  TRY(report_build(e, s, &table));
  for (size_t r = 0; r < table->row_count; r++)
    for (size_t k = 0; k < table->rows[r].cells; k++) begun += table->rows[r].runs[k] != 0;
  if (!begun)
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

static err bundle(const spec_experiment *e, store *s, const bundle_words *words) {
  strbuf json = {0}, path = {0}, said = {0};
  bundle_count count;
  char size[TEXT_NUMBER_SIZE], *flip = NULL;
  err_free(run_find_flip(&flip));
  strbuf_format(&path, "%s/%s/%s.flipbench.tar.gz", words->place.results, e->name, e->name);
  spec_options spec = {e->profile, words->set.items, words->set.count, words->set_cell.items,
                       words->set_cell.count};
  err error = make_table(e, s, words->place.results, &json);
  bundle_options options = {.results = words->place.results,
                            .out = words->out ? words->out : strbuf_string(&path),
                            .flip = flip,
                            .table_json = strbuf_string(&json),
                            .spec = &spec,
                            .with_checkpoints = words->with_checkpoints};
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
  TRY(store_open_existing(words.place.path, &s));
  TRY(load(s, given, &words, &e));
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
