#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "cli/cli.h"

static const char details[] =
    "check    SQLite's integrity check of every page and foreign key\n"
    "rebuild  makes the database anew from the run directories (experiment.json, attempts.jsonl,\n"
    "         events.jsonl); the old one is kept beside it as flipbench.db.old\n"
    "\n"
    "examples:\n"
    "  flipbench db check\n"
    "  flipbench db rebuild --results /data/results";

static err check(const cli_place *place, strbuf *out) {
  store *s = NULL;
  err error = store_open_existing(place->path, &s);
  if (!error) error = store_check(s);
  if (!error) strbuf_format(out, "%s: fine (schema %d)\n", place->path, STORE_VERSION);
  store_close(s);
  return error;
}

static err rebuild(const cli_place *place, strbuf *out) {
  size_t runs = 0;
  if (!fs_is_folder(place->results))
    return err_new(ERR_INPUT, "%s: there is no such results folder", place->results);
  err error = run_rebuild(place->path, place->results, &runs);
  if (!error) strbuf_format(out, "%s: made from %zu runs\n", place->path, runs);
  return error;
}

int cli_db(int argc, char **argv) {
  cli_place place = {.results = "results"};
  bool is_help_wanted;
  const char *word;
  option options[] = {CLI_PLACE_OPTIONS(place), {0}};
  command c = {"flipbench db", "check the database, or make it anew", "check|rebuild [OPTIONS]",
               options, details};
  option_list rest = {0};
  strbuf out = {0};
  err error = NULL;
  TRY(options_parse(&c, argc, argv, &rest, &is_help_wanted));
  if (is_help_wanted) goto cleanup;
  TRY(cli_one_word(&rest, "check or rebuild", &word));
  TRY(cli_find_place(&place));
  if (strcmp(word, "check") == 0)
    error = check(&place, &out);
  else if (strcmp(word, "rebuild") == 0)
    error = rebuild(&place, &out);
  else
    error = err_new(ERR_INPUT, "'%s' is neither check nor rebuild", word);
  if (!error) error = cli_print(&out);
cleanup:
  strbuf_free(&out);
  free(place.path);
  options_free_list(&rest);
  options_free(options);
  return options_exit_status(error);
}
