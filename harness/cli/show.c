#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "cli/cli.h"
#include "report/provenance.h"
#include "store/runs.h"

static const char details[] =
    "RUN is a run number (see 'flipbench status EXPERIMENT'); CELL is the first digits of a cell's "
    "id\n"
    "and selects its newest finished run. Prints everything recorded about the run: where its "
    "numbers\n"
    "come from (commit, machine, libraries, exact command lines), how it went, and the numbers.\n"
    "\n"
    "examples:\n"
    "  flipbench show 3\n"
    "  flipbench show 1a2b3c4d --json";

/* The patch of a build with uncommitted changes, which the trainer left in the run's folder. */
static err name_difference(store *s, const char *results, int64_t run_id, strbuf *out) {
  store_run run;
  err error = store_load_run(s, run_id, &run);
  if (error) return error;
  strbuf path = {0};
  strbuf_format(&path, "%s/%s/code.diff", results, run.directory);
  if (fs_exists(strbuf_string(&path)))
    strbuf_format(out, "\nuncommitted changes of the code: %s\n", strbuf_string(&path));
  strbuf_free(&path);
  store_free_run(&run);
  return NULL;
}

int cli_show(int argc, char **argv) {
  cli_place place = {.results = "results"};
  bool is_json = false, is_help_wanted;
  const char *word;
  option options[] = {{"json", 0, OPTION_FLAG, &is_json, NULL, "print JSON for scripts", false},
                      CLI_PLACE_OPTIONS(place),
                      {0}};
  command c = {"flipbench show", "show everything recorded about a run", "RUN|CELL [OPTIONS]",
               options, details};
  option_list rest = {0};
  store *s = NULL;
  strbuf out = {0};
  int64_t run_id;
  err error = NULL;
  TRY(options_parse(&c, argc, argv, &rest, &is_help_wanted));
  if (is_help_wanted) goto cleanup;
  TRY(cli_one_word(&rest, "RUN or CELL", &word));
  TRY(cli_find_place(&place));
  TRY(cli_read_place(&place, &s));
  TRY(cli_find_run(s, word, &run_id));
  TRY(is_json ? provenance_json(s, run_id, &out) : provenance_text(s, run_id, &out));
  if (!is_json) TRY(name_difference(s, place.results, run_id, &out));
  TRY(cli_print(&out));
cleanup:
  store_close(s);
  strbuf_free(&out);
  free(place.path);
  options_free_list(&rest);
  options_free(options);
  return options_exit_status(error);
}
