#include <stdlib.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "sweep/rank.h"

static const char details[] =
    "mpirun and srun start this for each rank of a cell with requires.ranks: it binds the trainer "
    "to its\n"
    "cores, writes its output to FOLDER/ranks/rank-N.txt (rank 0: FOLDER/log.txt), and records "
    "host,\n"
    "process, memory and CPU time.\n"
    "\n"
    "example:\n"
    "  mpirun -np 2 flipbench rank --folder results/a/cell-1a2b3c4d --attempt 1 -- flip train …\n"
    "\n"
    "exit status: that of the command; 128 + N when signal N ended it; under mpirun 0 instead of\n"
    "130 (interrupted)";

int cli_rank(int argc, char **argv) {
  rank_wishes wishes = {0};
  bool is_help_wanted;
  int status = 1;
  option options[] = {
      {"folder", 0, OPTION_STRING, &wishes.folder, "DIR", "the cell's folder", true},
      {"attempt", 0, OPTION_INTEGER, &wishes.attempt, "N", "number of the attempt", false},
      {"bind", 0, OPTION_FLAG, &wishes.binds, NULL,
       "bind to this rank's share of the cores [off: the launcher binds]", false},
      {"cores", 0, OPTION_INTEGER, &wishes.cores, "N", "cores of each rank [an equal share]",
       false},
      {0}};
  command c = {"flipbench rank", "start one rank of a cell", "--folder DIR [OPTIONS] -- COMMAND…",
               options, details};
  option_list rest = {0};
  char **words = NULL;
  err error = NULL;
  TRY(options_parse(&c, argc, argv, &rest, &is_help_wanted));
  if (is_help_wanted) {
    status = 0;
    goto cleanup;
  }
  if (!rest.count) FAIL(ERR_INPUT, "expected -- COMMAND… (see --help)");
  words = mem_zeroed(rest.count + 1, sizeof *words);
  if (!words) FAIL(ERR_MEMORY, "out of memory: a command");
  for (size_t i = 0; i < rest.count; i++) words[i] = (char *)rest.items[i];
  wishes.words = words;
  TRY(rank_run(&wishes, &status));
cleanup:
  free(words);
  options_free_list(&rest);
  options_free(options);
  int wrong = options_exit_status(error);
  return wrong ? wrong : status;
}
