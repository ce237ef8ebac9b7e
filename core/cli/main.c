#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/options.h"
#include "base/version.h"
#include "cli/commands.h"

int main(int argc, char **argv) {
  static const subcommand table[] = {
      {"train", "train a model from a run file", cmd_train},
      {"eval", "measure a checkpoint: zero-shot, retrieval", cmd_eval},
      {"plan", "parameters, FLOPs and memory of a run, before it starts", cmd_plan},
      {"bench", "measure this machine: ops, training step, loader", cmd_bench},
      {"data", "make, describe and check shards of images and captions", cmd_data},
      {"tokenizer", "train a vocabulary from captions, or try one", cmd_tokenizer},
      {0}};
  log_setup("flip", LOG_INFO);
  signal(SIGXFSZ, SIG_IGN); /* a file-size limit is a failed write, not a death */
  signal(SIGPIPE, SIG_IGN);
  if (argc == 2 && strcmp(argv[1], "--version") == 0) {
    printf("flip %s (%s%s%s, %s)\n", version_string, version_commit,
           *version_dirty_digest ? "+" : "", version_dirty_digest, version_compiler);
    return 0;
  }
  return options_dispatch("flip", "train and measure FLIP: CLIP with image patches dropped", table,
                          argc, argv);
}
