#include <signal.h>
#include <stdlib.h>

#include <jansson.h>

#include "base/fs.h"
#include "base/log.h"
#include "base/mem_library.h"
#include "cli/cli.h"
#include "timing/git.h"

int main(int argc, char **argv) {
  static const subcommand table[] = {
      {"run", "run the cells of an experiment and print its table", cli_run},
      {"submit", "submit the cells of an experiment to Slurm", cli_submit},
      {"task", "run one cell of a submitted array (called by Slurm)", cli_task},
      {"rank", "start one rank of a cell (called by mpirun and srun)", cli_rank},
      {"status", "show what is running, finished and failed", cli_status},
      {"runs", "manage single runs: list, note, tag, archive, remove", cli_runs},
      {"pause", "pause the sweeps of an experiment", cli_pause},
      {"resume", "resume paused sweeps", cli_resume},
      {"report", "print the comparison table of an experiment", cli_report},
      {"plot", "draw the figures of an experiment", cli_plot},
      {"export", "export curves to TensorBoard or CSV", cli_export},
      {"show", "show everything recorded about a run", cli_show},
      {"diff", "show how two runs differ", cli_diff},
      {"verify", "train a run again and compare the weights bit by bit", cli_verify},
      {"bundle", "pack an experiment into one archive", cli_bundle},
      {"reproduce", "run a bundle here and compare its table", cli_reproduce},
      {"compare", "measure two builds in alternation", cli_compare},
      {"bisect", "find the commit that changed a measurement", cli_bisect},
      {"history", "show measurements over commits and where they changed", cli_history},
      {"regress", "check for performance regressions", cli_regress},
      {"check", "check an experiment file", cli_check},
      {"cost", "predict what experiments cost on given devices", cli_cost},
      {"db", "maintain the database: check, rebuild, merge, export", cli_db},
      {0}};
  fs_hold_standard_files();
  signal(SIGXFSZ, SIG_IGN); /* exceeding a file-size limit is a failed write, not a fatal signal */
  signal(SIGPIPE, SIG_IGN); /* a reader of its messages that quits does not end a sweep */
  signal(SIGCHLD, SIG_DFL); /* whoever started this may ignore it: no child could be waited for */
  git_forget_repository();
  log_setup("flipbench", LOG_INFO);
  json_set_alloc_funcs(mem_for_library, free);
  return options_dispatch("flipbench", "run, compare and report training experiments", table, argc,
                          argv);
}
