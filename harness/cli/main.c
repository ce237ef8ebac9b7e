#include "base/log.h"
#include "cli/cli.h"

int main(int argc, char **argv) {
  static const subcommand table[] = {
      {"run", "run the cells of an experiment and print its table", cli_run},
      {"plot", "draw the figures of an experiment", cli_plot},
      {0}};
  log_setup("flipbench", LOG_INFO);
  return options_dispatch("flipbench", "many training runs, and what they mean together", table,
                          argc, argv);
}
