#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "cli/cli.h"
#include "report/provenance.h"
#include "store/sql.h"

static const char details[] =
    "RUN is a run's number (see 'flipbench status EXPERIMENT'); CELL is the first digits of a\n"
    "cell's id, and stands for its newest finished run. Everything that is recorded of it: where "
    "the "
    "numbers\n"
    "come from (commit, machine, libraries, exact command lines), how it went, and the numbers.\n"
    "\n"
    "examples:\n"
    "  flipbench show 3\n"
    "  flipbench show 1a2b3c4d --json";

static bool is_number(const char *word) {
  return strlen(word) < 7 && strspn(word, "0123456789") == strlen(word);
}

static err find_run(store *s, const char *word, int64_t *run_id) {
  int64_t found;
  err error = NULL;
  *run_id = 0;
  if (is_number(word)) {
    error = sql_integer(s, 0, run_id, "SELECT id FROM run WHERE id = ?", "i", (int64_t)atoll(word));
    if (error || *run_id) return error;
  }
  error = sql_integer(s, 0, &found,
                      "SELECT count(*) FROM cell WHERE substr(id, 1, length(?1)) = ?1", "t", word);
  if (!error && found > 1)
    return err_new(ERR_INPUT, "%lld cells have an id that starts with '%s'; give more digits",
                   (long long)found, word);
  if (!error)
    error = sql_integer(s, 0, run_id,
                        "SELECT id FROM run WHERE substr(cell_id, 1, length(?1)) = ?1"
                        " ORDER BY status = 'finished' DESC, id DESC LIMIT 1",
                        "t", word);
  if (!error && !*run_id && found) return err_new(ERR_INPUT, "cell %s has not been run yet", word);
  if (!error && !*run_id)
    return err_new(ERR_INPUT, "'%s' is neither a run's number nor the start of a cell's id", word);
  return error;
}

int cli_show(int argc, char **argv) {
  cli_place place = {.results = "results"};
  bool is_json = false, is_help_wanted;
  const char *word;
  option options[] = {{"json", 0, OPTION_FLAG, &is_json, NULL, "print JSON for scripts", false},
                      CLI_PLACE_OPTIONS(place),
                      {0}};
  command c = {"flipbench show", "everything recorded of a run", "RUN|CELL [OPTIONS]", options,
               details};
  option_list rest = {0};
  store *s = NULL;
  strbuf out = {0};
  int64_t run_id;
  err error = NULL;
  TRY(options_parse(&c, argc, argv, &rest, &is_help_wanted));
  if (is_help_wanted) goto cleanup;
  TRY(cli_one_word(&rest, "RUN or CELL", &word));
  TRY(cli_find_place(&place));
  TRY(store_open_existing(place.path, &s));
  TRY(find_run(s, word, &run_id));
  TRY(is_json ? provenance_json(s, run_id, &out) : provenance_text(s, run_id, &out));
  TRY(cli_print(&out));
cleanup:
  store_close(s);
  strbuf_free(&out);
  free(place.path);
  options_free_list(&rest);
  options_free(options);
  return options_exit_status(error);
}
