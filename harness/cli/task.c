#include <limits.h>
#include <stdlib.h>

#include "base/text.h"
#include "cli/cli.h"
#include "sweep/task.h"

static const char details[] =
    "Runs on the node chosen by the cluster, without a database: LIST is a tasks-….jsonl written "
    "by\n"
    "'flipbench submit', INDEX the task. SIGTERM makes the trainer write a checkpoint and stop.\n"
    "\n"
    "example:\n"
    "  flipbench task --results /shared/results /shared/results/table1a/slurm/tasks-….jsonl 3\n"
    "\n"
    "exit status: 0 the cell is finished; 1 it is not; 2 usage error";

int cli_task(int argc, char **argv) {
  const char *results = "results";
  bool is_help_wanted;
  run_state state = CELL_FAILED;
  option options[] = {
      {"results", 0, OPTION_STRING, &results, "DIR", "results folder [results]", false}, {0}};
  command c = {"flipbench task", "run one cell of a submitted array", "LIST INDEX [OPTIONS]",
               options, details};
  option_list rest = {0};
  char *flip = NULL;
  int64_t index;
  err error = NULL;
  TRY(options_parse(&c, argc, argv, &rest, &is_help_wanted));
  if (is_help_wanted) {
    state = CELL_FINISHED;
    goto cleanup;
  }
  if (rest.count != 2) FAIL(ERR_INPUT, "expected LIST and INDEX (see --help)");
  TRY(run_find_flip(&flip));
  run_options how = {.results = results, .flip = flip, .limits = spec_limits_not_given};
  const char *end = text_read_whole(rest.items[1], &index);
  if (!end || *end || index < 0 || index > INT_MAX)
    FAIL(ERR_INPUT, "INDEX: '%s' is not the number of a task, from 0 on", rest.items[1]);
  TRY(task_run(&how, rest.items[0], (int)index, &state));
cleanup:
  free(flip);
  options_free_list(&rest);
  options_free(options);
  int status = options_exit_status(error);
  return status ? status : state == CELL_FINISHED ? 0 : 1;
}
