#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "report/difference.h"

enum { EXIT_DIFFERENT = 1, EXIT_FAILED = 2 };

static const char details[] =
    "Prints only what differs: settings, code (commit, uncommitted changes, compiler, flags), "
    "machine\n"
    "(host, CPU, libraries, clocks), data and results. RUN and CELL are as in 'flipbench show'.\n"
    "\n"
    "examples:\n"
    "  flipbench diff 1 2\n"
    "  flipbench diff 1a2b3c4d 5e6f7a8b --json\n"
    "\n"
    "exit status: 0 no differences; 1 differences; 2 usage error, or a failure";

int cli_diff(int argc, char **argv) {
  cli_place place = {.results = "results"};
  bool is_json = false, is_help_wanted = false;
  option options[] = {{"json", 0, OPTION_FLAG, &is_json, NULL, "print JSON for scripts", false},
                      CLI_PLACE_OPTIONS(place),
                      {0}};
  command c = {"flipbench diff", "show how two runs differ", "RUN|CELL RUN|CELL [OPTIONS]", options,
               details};
  option_list rest = {0};
  store *s = NULL;
  strbuf out = {0};
  size_t count = 0;
  int64_t runs[2];
  err error = NULL;
  TRY(options_parse(&c, argc, argv, &rest, &is_help_wanted));
  if (is_help_wanted) goto cleanup;
  if (rest.count != 2) FAIL(ERR_INPUT, "expected two runs, got %zu (see --help)", rest.count);
  TRY(cli_find_place(&place));
  TRY(cli_read_place(&place, &s));
  for (int i = 0; i < 2; i++) TRY(cli_find_run(s, rest.items[i], &runs[i]));
  TRY(is_json ? difference_json(s, runs[0], runs[1], &out, &count)
              : difference_text(s, runs[0], runs[1], &out, &count));
  if (!count && !is_json) strbuf_append(&out, "no differences\n");
  TRY(cli_print(&out));
cleanup:
  store_close(s);
  strbuf_free(&out);
  free(place.path);
  options_free_list(&rest);
  options_free(options);
  int status = options_exit_status(error);
  if (status) return status == EXIT_DIFFERENT ? EXIT_FAILED : status;
  return count ? EXIT_DIFFERENT : 0;
}
