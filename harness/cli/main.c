#include <signal.h>
#include <stdlib.h>

#include <jansson.h>

#include "base/log.h"
#include "base/mem_library.h"
#include "cli/cli.h"

int main(int argc, char **argv) {
  static const subcommand table[] = {
      {"run", "run the cells of an experiment and print its table", cli_run},
      {"submit", "submit the cells of an experiment to Slurm", cli_submit},
      {"task", "run one cell of a submitted array (what Slurm calls)", cli_task},
      {"status", "what has run, is running and has failed", cli_status},
      {"runs", "single runs: list, note, tag, archive, remove", cli_runs},
      {"pause", "hold the sweeps of an experiment", cli_pause},
      {"resume", "let paused sweeps go on", cli_resume},
      {"report", "the comparison table of an experiment", cli_report},
      {"plot", "draw the figures of an experiment", cli_plot},
      {"export", "curves for TensorBoard, W&B, MLflow", cli_export},
      {"show", "everything recorded of a run", cli_show},
      {"diff", "what two runs differ in", cli_diff},
      {"verify", "train a run again and compare the bits", cli_verify},
      {"bundle", "an experiment as one archive", cli_bundle},
      {"reproduce", "run a bundle here and compare its table", cli_reproduce},
      {"compare", "two builds measured in turn", cli_compare},
      {"bisect", "which commit made it slower", cli_bisect},
      {"history", "measurements over commits, and where they changed", cli_history},
      {"regress", "did it become slower", cli_regress},
      {"check", "check an experiment file", cli_check},
      {"db", "the database: check, rebuild, merge, export", cli_db},
      {0}};
  signal(SIGXFSZ, SIG_IGN); /* a file-size limit is a failed write, not a death */
  log_setup("flipbench", LOG_INFO);
  json_set_alloc_funcs(mem_for_library, free);
  return options_dispatch("flipbench", "many training runs, and what they mean together", table,
                          argc, argv);
}
