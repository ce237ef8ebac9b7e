/* flipbench db: maintenance of the database. Each subcommand opens it, does one thing and prints
 * what it did. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "base/json.h"
#include "cli/cli.h"
#include "store/benchmark.h"
#include "store/export.h"

/* Shared by the subcommands: arguments, database, and the line printed at the end. */
typedef struct {
  cli_place place;
  option_list rest;
  store *s;
  strbuf out;
} db_call;

/* Parses; opens the database with `opens` (may be NULL). *is_done: --help was printed. */
static err begin(db_call *call, const command *c, int argc, char **argv,
                 err (*opens)(const char *path, store **s), bool *is_done) {
  err error = options_parse(c, argc, argv, &call->rest, is_done);
  if (error || *is_done) return error;
  error = cli_find_place(&call->place);
  if (!error && opens) error = opens(call->place.path, &call->s);
  return error;
}

static int finish(db_call *call, option *options, err error) {
  if (!error) error = cli_print(&call->out);
  store_close(call->s);
  strbuf_free(&call->out);
  free(call->place.path);
  options_free_list(&call->rest);
  options_free(options);
  return options_exit_status(error);
}

static err no_words(const option_list *rest) {
  return rest->count ? err_new(ERR_INPUT, "unexpected argument '%s'", rest->items[0]) : NULL;
}

static int db_check(int argc, char **argv) {
  db_call call = {.place = {.results = "results"}};
  bool is_done = false;
  option options[] = {CLI_PLACE_OPTIONS(call.place), {0}};
  command c = {"flipbench db check", "run SQLite's integrity and foreign key checks", "[OPTIONS]",
               options, "example:\n  flipbench db check --results /data/results"};
  err error = begin(&call, &c, argc, argv, store_open_reading, &is_done);
  if (!error && !is_done) error = no_words(&call.rest);
  if (!error && !is_done) error = store_check(call.s);
  if (!error && !is_done)
    strbuf_format(&call.out, "%s: ok (schema %d)\n", call.place.path, STORE_VERSION);
  return finish(&call, options, error);
}

static int db_rebuild(int argc, char **argv) {
  db_call call = {.place = {.results = "results"}};
  bool is_done = false;
  size_t runs = 0;
  option options[] = {CLI_PLACE_OPTIONS(call.place), {0}};
  command c = {"flipbench db rebuild", "rebuild the database from the run directories", "[OPTIONS]",
               options,
               "Reads experiment.json, attempts.jsonl and events.jsonl of every run. The previous "
               "database is\nkept as flipbench.db.old.\n\n"
               "example:\n  flipbench db rebuild --results /data/results"};
  err error = begin(&call, &c, argc, argv, NULL, &is_done);
  if (!error && !is_done) error = no_words(&call.rest);
  if (!error && !is_done && !fs_is_folder(call.place.results))
    error = err_new(ERR_INPUT, "%s: no such results folder", call.place.results);
  if (!error && !is_done) error = cli_rebuild_place(&call.place, &runs);
  if (!error && !is_done)
    strbuf_format(&call.out, "%s: rebuilt from %zu %s\n", call.place.path, runs,
                  text_plural((int64_t)runs, "run", "runs"));
  return finish(&call, options, error);
}

static uint64_t size_of(const char *path) {
  struct stat status;
  return stat(path, &status) == 0 ? (uint64_t)status.st_size : 0;
}

static int db_vacuum(int argc, char **argv) {
  db_call call = {.place = {.results = "results"}};
  char before[TEXT_NUMBER_SIZE], after[TEXT_NUMBER_SIZE];
  bool is_done = false;
  option options[] = {CLI_PLACE_OPTIONS(call.place), {0}};
  command c = {"flipbench db vacuum", "return freed space to the file system", "[OPTIONS]", options,
               "example:\n  flipbench db vacuum"};
  err error = begin(&call, &c, argc, argv, store_open_existing, &is_done);
  uint64_t bytes = call.place.path ? size_of(call.place.path) : 0;
  if (!error && !is_done) error = no_words(&call.rest);
  if (!error && !is_done) error = store_vacuum(call.s);
  if (!error && !is_done)
    strbuf_format(&call.out, "%s: %s, was %s\n", call.place.path,
                  text_bytes(size_of(call.place.path), after), text_bytes(bytes, before));
  return finish(&call, options, error);
}

static err read_format(const char *name, export_format *format) {
  static const char *const names[] = {"csv", "jsonl", "parquet"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (strcmp(name, names[i]) == 0) {
      *format = (export_format)i;
      return NULL;
    }
  return err_new(ERR_INPUT, "--format: '%s' is not one of csv, jsonl, parquet", name);
}

static int db_export(int argc, char **argv) {
  db_call call = {.place = {.results = "results"}};
  const char *format = "csv", *out = "export", *experiment = NULL;
  bool is_done = false;
  export_count count = {0};
  option options[] = {
      {"out", 'o', OPTION_STRING, &out, "DIR", "output folder [export]", false},
      {"format", 'f', OPTION_STRING, &format, "FORMAT", "csv, jsonl, parquet [csv]", false},
      {"experiment", 'e', OPTION_STRING, &experiment, "NAME", "only rows of this experiment",
       false},
      CLI_PLACE_OPTIONS(call.place),
      {0}};
  command c = {"flipbench db export", "export every table and view to its own file", "[OPTIONS]",
               options,
               "examples:\n  flipbench db export --experiment quickstart --out /tmp/quickstart\n"
               "  flipbench db export --format parquet"};
  export_options how = {.folder = NULL};
  err error = begin(&call, &c, argc, argv, store_open_reading, &is_done);
  if (!error && !is_done) error = no_words(&call.rest);
  if (!error && !is_done) error = read_format(format, &how.format);
  how.folder = out;
  how.experiment = experiment;
  if (!error && !is_done) error = store_export(call.s, &how, &count);
  if (!error && !is_done)
    strbuf_format(&call.out, "%s: %lld rows in %zu files\n", out, (long long)count.rows,
                  count.files);
  return finish(&call, options, error);
}

static int db_merge(int argc, char **argv) {
  db_call call = {.place = {.results = "results"}};
  bool is_done = false, with_checkpoints = false;
  run_merged count = {0};
  option options[] = {
      {"checkpoints", 0, OPTION_FLAG, &with_checkpoints, NULL, "also copy the weights", false},
      CLI_PLACE_OPTIONS(call.place),
      {0}};
  command c = {"flipbench db merge", "import runs from other machines", "RESULTS_DIR… [OPTIONS]",
               options,
               "Copies run directories into RESULTS and reads them into the database. Merging "
               "again imports\nonly what is new. Runs still in progress there are left out. When "
               "both machines ran a cell,\nboth runs are kept, and reports use a finished one.\n\n"
               "example:\n  rsync -a node7:flipbench/results/ /tmp/node7 && flipbench db merge "
               "/tmp/node7"};
  err error = options_parse(&c, argc, argv, &call.rest, &is_done);
  if (!error && !is_done && !call.rest.count)
    error = err_new(ERR_INPUT, "a RESULTS_DIR is missing (see --help)");
  if (!error && !is_done) error = cli_find_place(&call.place);
  if (!error && !is_done) error = cli_make_place(&call.place, &call.s);
  for (size_t i = 0; i < call.rest.count && !error && !is_done; i++)
    error = run_merge(call.s, call.place.results, call.rest.items[i], with_checkpoints, &count);
  if (!error && !is_done) {
    strbuf_format(&call.out, "%zu run%s merged, %zu already known", count.merged,
                  count.merged == 1 ? "" : "s", count.known);
    if (count.running) strbuf_format(&call.out, ", %zu still running there", count.running);
    if (count.abandoned)
      strbuf_format(&call.out,
                    ", %zu left out: killed there before an end was recorded (run the experiment "
                    "there, which continues %s, and merge again)",
                    count.abandoned, count.abandoned == 1 ? "it" : "them");
    if (count.archived) strbuf_format(&call.out, "; %zu archived, as there", count.archived);
    if (count.sessions)
      strbuf_format(&call.out, "; %zu session%s of timings", count.sessions,
                    count.sessions == 1 ? "" : "s");
    strbuf_append_char(&call.out, '\n');
  }
  return finish(&call, options, error);
}

static void write_benchmark(const store_benchmark_result *r, bool is_json, strbuf *out) {
  if (is_json) {
    json_writer w = jsonw_start(out);
    jsonw_object(&w, NULL);
    jsonw_integer(&w, "points", r->points);
    jsonw_number(&w, "insert_seconds", r->insert_seconds);
    jsonw_number(&w, "ingest_seconds", r->ingest_seconds);
    jsonw_number(&w, "curve_ms", r->curve_ms);
    jsonw_number(&w, "newest_ms", r->newest_ms);
    jsonw_number(&w, "summary_ms", r->summary_ms);
    jsonw_number(&w, "bytes_per_point", r->bytes_per_point);
    jsonw_end(&w);
    strbuf_append_char(out, '\n');
    return;
  }
  strbuf_format(out, "%lld steps of seven numbers, 50,000 a run\n", (long long)r->points);
  strbuf_format(out, "  insert                              %8.2f s\n", r->insert_seconds);
  strbuf_format(out, "  insert from JSON lines              %8.2f s\n", r->ingest_seconds);
  strbuf_format(out, "  curve of a run of 50,000 steps      %8.1f ms\n", r->curve_ms);
  strbuf_format(out, "  newest step of every run            %8.1f ms\n", r->newest_ms);
  strbuf_format(out, "  summary of every cell               %8.1f ms\n", r->summary_ms);
  strbuf_format(out, "  on disk                             %8.1f bytes a step\n",
                r->bytes_per_point);
}

static int db_bench(int argc, char **argv) {
  db_call call = {.place = {.results = "results"}};
  const char *folder = "/tmp";
  int64_t points = 1000000;
  bool is_done = false, is_json = false;
  store_benchmark_result result;
  option options[] = {
      {"points", 'n', OPTION_INTEGER, &points, "N", "training steps to record [1M]", false},
      {"folder", 0, OPTION_STRING, &folder, "DIR", "folder on the disk to test [/tmp]", false},
      {"json", 0, OPTION_FLAG, &is_json, NULL, "print JSON for scripts", false},
      {0}};
  command c = {"flipbench db bench", "benchmark inserts and queries", "[OPTIONS]", options,
               "example:\n  flipbench db bench --points 100k --folder /scratch"};
  err error = options_parse(&c, argc, argv, &call.rest, &is_done);
  if (!error && !is_done) error = no_words(&call.rest);
  if (!error && !is_done && (points < 1 || points > 100000000))
    error = err_new(ERR_INPUT, "--points: %lld is not between 1 and 100M", (long long)points);
  if (!error && !is_done) error = store_benchmark(folder, points, &result);
  if (!error && !is_done) write_benchmark(&result, is_json, &call.out);
  return finish(&call, options, error);
}

int cli_db(int argc, char **argv) {
  static const subcommand table[] = {
      {"check", "run SQLite's integrity and foreign key checks", db_check},
      {"rebuild", "rebuild the database from the run directories", db_rebuild},
      {"merge", "import runs from other machines", db_merge},
      {"export", "export every table and view as CSV, JSON lines or Parquet", db_export},
      {"vacuum", "return freed space to the file system", db_vacuum},
      {"bench", "benchmark inserts and queries", db_bench},
      {0}};
  return options_dispatch("flipbench db", "maintain the database: check, rebuild, merge, export",
                          table, argc, argv);
}
