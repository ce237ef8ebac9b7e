#include <stdio.h>
#include <stdlib.h>

#include "cli/cli.h"

static const char details[] =
    "Reads the file and all its bases, expands the matrix and checks every cell, and runs "
    "nothing.\n"
    "All problems are told at once, each with line, column and the nearest valid name.\n"
    "\n"
    "example:\n"
    "  flipbench check experiments/table1a.yaml --profile paper";

static void list_cells(const spec_experiment *e, bool is_verbose, strbuf *out) {
  size_t tuned = 0;
  for (size_t i = 0; i < e->cell_count; i++) {
    tuned += e->cells[i].tuning != NULL;
    if (is_verbose) strbuf_format(out, "%.8s  %s\n", e->cells[i].id, e->cells[i].label);
  }
  strbuf_format(out, "%s: fine: %zu cell%s", e->path, e->cell_count, e->cell_count == 1 ? "" : "s");
  if (tuned) strbuf_format(out, ", %zu of them tuned from another", tuned);
  strbuf_append_char(out, '\n');
}

int cli_check(int argc, char **argv) {
  const char *profile = NULL, *given;
  bool is_verbose = false, is_help_wanted;
  option options[] = {
      {"profile", 'p', OPTION_STRING, &profile, "NAME", "the file's profile of that name", false},
      {"cells", 'c', OPTION_FLAG, &is_verbose, NULL, "list the cells", false},
      {0}};
  command c = {"flipbench check", "check an experiment file", "EXPERIMENT.yaml [OPTIONS]", options,
               details};
  option_list rest = {0};
  spec_experiment *e = NULL;
  strbuf out = {0};
  err error = NULL;
  TRY(options_parse(&c, argc, argv, &rest, &is_help_wanted));
  if (is_help_wanted) goto cleanup;
  TRY(cli_one_word(&rest, "EXPERIMENT.yaml", &given));
  spec_options spec = {profile, NULL, 0};
  TRY(cli_load_experiment(NULL, given, &spec, &e));
  list_cells(e, is_verbose, &out);
  TRY(cli_print(&out));
cleanup:
  spec_free(e);
  strbuf_free(&out);
  options_free_list(&rest);
  options_free(options);
  return options_exit_status(error);
}
