/* `flipbench runs`: single runs, whether or not an experiment still names their cells. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "store/facts.h"
#include "store/runs.h"

/* Shared by the subcommands. */
typedef struct {
  cli_place place;
  option_list rest;
  store *s;
  strbuf out;
  bool is_sure; /* --yes */
} runs_call;

static int finish(runs_call *call, option *options, err error) {
  if (!error) error = cli_print(&call->out);
  store_close(call->s);
  strbuf_free(&call->out);
  free(call->place.path);
  options_free_list(&call->rest);
  options_free(options);
  return options_exit_status(error);
}

static err open_call(runs_call *call) {
  err error = cli_find_place(&call->place);
  return error ? error : cli_open_place(&call->place, &call->s);
}

/* ---- list ---- */

typedef struct {
  const char *experiment, *tag;
  bool only_archived, only_unowned, is_json;
} list_words;

/* `lost`: of a disturbed run, else NaN; `share`: of any. */
static void write_run_json(const store_run_line *run, const char *status, double lost, double share,
                           json_writer *w) {
  jsonw_object(w, NULL);
  jsonw_integer(w, "run", run->run_id);
  jsonw_string(w, "status", status);
  jsonw_string(w, "cell", run->cell_id);
  jsonw_string(w, "directory", run->directory);
  jsonw_string(w, "started", run->started);
  jsonw_string(w, "note", run->note);
  jsonw_bool(w, "archived", run->is_archived);
  jsonw_string(w, "tags", run->tags);
  jsonw_string(w, "experiments", run->experiments);
  jsonw_number(w, "samples_per_second", run->samples_per_second);
  jsonw_number(w, "train_seconds", run->train_seconds);
  jsonw_bool(w, "disturbed", !isnan(lost));
  jsonw_number(w, "lost_share", share);
  jsonw_end(w);
}

static void write_run_text(const store_run_line *run, const char *status, double lost,
                           strbuf *out) {
  char time[TEXT_NUMBER_SIZE] = "";
  if (!isnan(run->train_seconds)) text_duration(run->train_seconds, time);
  strbuf_format(out, "%4lld  %-11s %.16s %11s  %s", (long long)run->run_id, status, run->started,
                time, run->directory);
  if (!isnan(lost)) strbuf_format(out, " † %.0f %% lost", 100 * lost);
  if (run->is_archived) strbuf_append(out, " (archived)");
  if (!*run->experiments) strbuf_append(out, " (no experiment)");
  if (*run->tags) strbuf_format(out, " [%s]", run->tags);
  if (*run->note) strbuf_format(out, ": %s", run->note);
  strbuf_append_char(out, '\n');
}

/* `w` NULL: as text. */
static err write_run(runs_call *call, const store_run_line *run, json_writer *w) {
  const char *status = run->status;
  bool is_alive = true, is_elsewhere;
  double lost, share;
  err error = NULL;
  if (strcmp(status, "running") == 0)
    error = run_look(call->s, call->place.results, run->directory, &is_alive, &is_elsewhere);
  if (!is_alive) status = "interrupted";
  if (!error) error = store_find_lost_share(call->s, run->run_id, &lost);
  if (!error) error = store_find_number(call->s, run->run_id, "lost_share", &share);
  if (error) return error;
  if (w)
    write_run_json(run, status, lost, share, w);
  else
    write_run_text(run, status, lost, &call->out);
  return NULL;
}

static err write_list(runs_call *call, const list_words *words) {
  json_writer w = jsonw_start(&call->out);
  store_run_filter filter = {.only_archived = words->only_archived,
                             .only_unowned = words->only_unowned,
                             .tag = words->tag,
                             .experiment = words->experiment};
  store_run_line *runs;
  size_t count;
  if (words->is_json) jsonw_array(&w, NULL);
  err error = store_list_runs(call->s, &filter, &runs, &count);
  for (size_t i = 0; i < count && !error; i++)
    error = write_run(call, &runs[i], words->is_json ? &w : NULL);
  if (words->is_json) jsonw_end(&w);
  if (words->is_json) strbuf_append_char(&call->out, '\n');
  store_free_run_lines(runs, count);
  return error;
}

static int runs_list(int argc, char **argv) {
  runs_call call = {.place = {.results = "results"}};
  list_words words = {0};
  bool is_done;
  option options[] = {
      {"experiment", 0, OPTION_STRING, &words.experiment, "NAME", "only runs in RESULTS/NAME",
       false},
      {"tag", 0, OPTION_STRING, &words.tag, "TAG", "only runs with this tag", false},
      {"archived", 0, OPTION_FLAG, &words.only_archived, NULL, "only archived runs", false},
      {"unowned", 0, OPTION_FLAG, &words.only_unowned, NULL,
       "only runs whose cell belongs to no experiment", false},
      {"json", 0, OPTION_FLAG, &words.is_json, NULL, "print JSON for scripts", false},
      CLI_PLACE_OPTIONS(call.place),
      {0}};
  command c = {"flipbench runs list", "list runs with folder, tags and note", "[OPTIONS]", options,
               "† marks runs that other processes disturbed, with the share of time lost.\n\n"
               "examples:\n  flipbench runs list --unowned\n  flipbench runs list --tag paper"};
  err error = options_parse(&c, argc, argv, &call.rest, &is_done);
  if (!error && !is_done && call.rest.count)
    error = err_new(ERR_INPUT, "unexpected argument '%s' (see --help)", call.rest.items[0]);
  if (!error && !is_done) error = cli_find_place(&call.place);
  if (!error && !is_done) error = cli_read_place(&call.place, &call.s);
  if (!error && !is_done) error = write_list(&call, &words);
  return finish(&call, options, error);
}

/* ---- note and tag ---- */

static int runs_note(int argc, char **argv) {
  runs_call call = {.place = {.results = "results"}};
  bool is_done;
  int64_t run_id;
  option options[] = {CLI_PLACE_OPTIONS(call.place), {0}};
  command c = {"flipbench runs note", "set the note of a run", "RUN|CELL TEXT [OPTIONS]", options,
               "Replaces the previous note; '' removes it. The note is kept in the\n"
               "run's folder and shown by 'flipbench runs list'.\n\n"
               "example:\n  flipbench runs note 3 'before the fan was cleaned'"};
  err error = options_parse(&c, argc, argv, &call.rest, &is_done);
  if (!error && !is_done && call.rest.count != 2)
    error = err_new(ERR_INPUT, "expected RUN and TEXT (see --help)");
  if (!error && !is_done) error = open_call(&call);
  if (!error && !is_done) error = cli_find_run(call.s, call.rest.items[0], &run_id);
  if (!error && !is_done) error = run_note(call.s, call.place.results, run_id, call.rest.items[1]);
  return finish(&call, options, error);
}

static err check_tag(const char *name) {
  if (*name && !strpbrk(name, " \t\n,")) return NULL;
  return err_new(ERR_INPUT, "'%s' is not a valid tag: use one word without spaces or commas", name);
}

static int runs_tag(int argc, char **argv) {
  runs_call call = {.place = {.results = "results"}};
  bool is_done, is_removing = false;
  int64_t run_id;
  option options[] = {{"remove", 0, OPTION_FLAG, &is_removing, NULL, "remove the tags", false},
                      CLI_PLACE_OPTIONS(call.place),
                      {0}};
  command c = {"flipbench runs tag", "tag a run", "RUN|CELL TAG… [OPTIONS]", options,
               "example:\n  flipbench runs tag 3 paper baseline"};
  err error = options_parse(&c, argc, argv, &call.rest, &is_done);
  if (!error && !is_done && call.rest.count < 2)
    error = err_new(ERR_INPUT, "expected RUN and TAG (see --help)");
  for (size_t i = 1; i < call.rest.count && !error && !is_done; i++)
    error = check_tag(call.rest.items[i]);
  if (!error && !is_done) error = open_call(&call);
  if (!error && !is_done) error = cli_find_run(call.s, call.rest.items[0], &run_id);
  for (size_t i = 1; i < call.rest.count && !error && !is_done; i++)
    error = run_tag(call.s, call.place.results, run_id, call.rest.items[i], !is_removing);
  return finish(&call, options, error);
}

/* ---- archive, restore, remove ---- */

/* The runs given as arguments, all resolved before anything is changed. */
static err find_runs(runs_call *call, int64_t *runs) {
  err error = call->rest.count ? NULL : err_new(ERR_INPUT, "RUN is missing (see --help)");
  for (size_t i = 0; i < call->rest.count && !error; i++)
    error = cli_find_run(call->s, call->rest.items[i], &runs[i]);
  return error;
}

/* What was removed, and other runs of its cell, of which one is now the cell's result. */
static err say_removed(runs_call *call, const store_run *gone) {
  store_run_line *runs;
  size_t count;
  strbuf out = {0};
  err error = store_list_runs(call->s, &(store_run_filter){0}, &runs, &count);
  if (error) return error;
  strbuf_format(&out, "removed run %lld: %s/%s\n", (long long)gone->run_id, call->place.results,
                gone->directory);
  for (size_t i = 0; i < count; i++)
    if (strcmp(runs[i].cell_id, gone->cell_id) == 0)
      strbuf_format(&out, "  run %lld of the same cell remains: %s/%s (%s)\n",
                    (long long)runs[i].run_id, call->place.results, runs[i].directory,
                    runs[i].is_archived ? "archived" : runs[i].status);
  store_free_run_lines(runs, count);
  error = cli_print(&out);
  strbuf_free(&out);
  return error;
}

static err remove_one(runs_call *call, int64_t run_id) {
  store_run run;
  err error = store_load_run(call->s, run_id, &run);
  if (error) return error;
  error = run_remove(call->s, call->place.results, run_id);
  if (!error) error = say_removed(call, &run);
  store_free_run(&run);
  return error;
}

/* A folder that is missing may lie in other results, where the run would stay as it is. An archived
 * run may be archived again: that completes an archive which was interrupted. */
static err require_folders(runs_call *call, const int64_t *runs, bool is_archive) {
  err error = NULL;
  for (size_t i = 0; i < call->rest.count && !error; i++) {
    store_run run;
    if ((error = store_load_run(call->s, runs[i], &run))) return error;
    char *path = fs_join(call->place.results, run.directory);
    if (!path)
      error = mem_error(0, "a path");
    else if (!fs_is_folder(path) && !(is_archive && run.is_archived))
      error = err_new(ERR_INPUT,
                      "%s: run %lld's folder is not there; if it lies in other results, give them "
                      "with --results; if it was deleted, 'flipbench db rebuild' drops its record",
                      path, (long long)runs[i]);
    free(path);
    store_free_run(&run);
  }
  return error;
}

static err archive_one(runs_call *call, int64_t run_id) {
  return run_archive(call->s, call->place.results, run_id);
}

static int for_each_run(const command *c, runs_call *call, int argc, char **argv,
                        err (*change)(runs_call *, int64_t),
                        err (*confirm)(runs_call *, const int64_t *)) {
  bool is_done;
  int64_t *runs = NULL;
  err error = options_parse(c, argc, argv, &call->rest, &is_done);
  if (!error && !is_done) {
    runs = calloc(call->rest.count + 1, sizeof *runs);
    if (!runs) error = err_new(ERR_MEMORY, "out of memory: the runs");
  }
  if (!error && !is_done) error = open_call(call);
  if (!error && !is_done) error = find_runs(call, runs);
  if (!error && !is_done) error = require_folders(call, runs, change == archive_one);
  if (!error && !is_done && confirm && !call->is_sure) error = confirm(call, runs);
  for (size_t i = 0; i < call->rest.count && !error && !is_done; i++) error = change(call, runs[i]);
  free(runs);
  return finish(call, c->options, error);
}

static err restore_one(runs_call *call, int64_t run_id) {
  return run_restore(call->s, call->place.results, run_id);
}

static int runs_archive(int argc, char **argv) {
  runs_call call = {.place = {.results = "results"}};
  option options[] = {CLI_PLACE_OPTIONS(call.place), {0}};
  command c = {"flipbench runs archive", "archive runs: kept, but not used as results",
               "RUN|CELL… [OPTIONS]", options,
               "Tables, figures and 'flipbench run' ignore archived runs, as if the cell\n"
               "had not run. The folder is renamed to NAME.archived-N.\n\n"
               "example:\n  flipbench runs archive 3"};
  return for_each_run(&c, &call, argc, argv, archive_one, NULL);
}

static int runs_restore(int argc, char **argv) {
  runs_call call = {.place = {.results = "results"}};
  option options[] = {CLI_PLACE_OPTIONS(call.place), {0}};
  command c = {"flipbench runs restore", "use archived runs as results again", "RUN… [OPTIONS]",
               options, "example:\n  flipbench runs restore 3"};
  return for_each_run(&c, &call, argc, argv, restore_one, NULL);
}

/* Asks on a terminal; elsewhere --yes is required. */
static err ask_to_remove(runs_call *call, const int64_t *runs) {
  char answer[16] = "";
  for (size_t i = 0; i < call->rest.count; i++) {
    store_run run;
    err error = store_load_run(call->s, runs[i], &run);
    if (error) return error;
    fprintf(stderr, "run %lld: %s/%s (%s)\n", (long long)runs[i], call->place.results,
            run.directory, run.status);
    store_free_run(&run);
  }
  if (!isatty(STDIN_FILENO))
    return err_new(ERR_INPUT,
                   "nothing was removed: pass --yes to remove %zu run%s with their weights",
                   call->rest.count, call->rest.count == 1 ? "" : "s");
  fputs("remove permanently, including the weights? [y/N] ", stderr);
  if (fgets(answer, sizeof answer, stdin) && (answer[0] == 'y' || answer[0] == 'Y')) return NULL;
  return err_new(ERR_INPUT, "nothing was removed");
}

static int runs_remove(int argc, char **argv) {
  runs_call call = {.place = {.results = "results"}};
  option options[] = {{"yes", 'y', OPTION_FLAG, &call.is_sure, NULL, "do not ask", false},
                      CLI_PLACE_OPTIONS(call.place),
                      {0}};
  command c = {
      "flipbench runs remove", "remove runs permanently, including their weights",
      "RUN|CELL… [OPTIONS]", options,
      "Removes the folders and database records. Of symbolic links in the folders only the\n"
      "links are removed. Runs in progress are refused.\n\n"
      "example:\n  flipbench runs remove 3 --yes"};
  return for_each_run(&c, &call, argc, argv, remove_one, ask_to_remove);
}

int cli_runs(int argc, char **argv) {
  static const subcommand table[] = {
      {"list", "list runs with folder, tags and note", runs_list},
      {"note", "set the note of a run", runs_note},
      {"tag", "tag a run", runs_tag},
      {"archive", "archive runs: kept, but not used as results", runs_archive},
      {"restore", "use archived runs as results again", runs_restore},
      {"remove", "remove runs permanently, including their weights", runs_remove},
      {0}};
  return options_dispatch("flipbench runs", "manage single runs: list, note, tag, archive, remove",
                          table, argc, argv);
}
