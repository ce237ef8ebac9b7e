#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/fs.h"
#include "base/log.h"
#include "base/mem_library.h"
#include "base/options.h"
#include "cli/bus.h"
#include "cli/commands.h"
#include "comm/open.h"

/* Several processes would write the same files, each as if it were the only one. */
static bool is_for_one_process(const char *name) {
  static const char *const others[] = {"train", "finetune", "eval", "plan", "inputs"};
  if (!name || *name == '-') return false;
  for (size_t i = 0; i < sizeof others / sizeof *others; i++)
    if (strcmp(name, others[i]) == 0) return false;
  return true;
}

int main(int argc, char **argv) {
  static const subcommand table[] = {
      {"train", "train a model from a run file", cmd_train},
      {"finetune", "train a classifier from a model's image tower", cmd_finetune},
      {"eval", "measure a model: zero-shot, retrieval, linear probe, suites", cmd_eval},
      {"plan", "parameters, FLOPs and memory of a run, before it starts", cmd_plan},
      {"inputs", "list the files that a run reads, and whether they exist", cmd_inputs},
      {"bench", "measure this machine: ops, training step, evaluation, loader", cmd_bench},
      {"data", "make, describe and check shards of images and captions", cmd_data},
      {"embed", "write embeddings of images or texts as .npy", cmd_embed},
      {"retrieve", "find images for a text, or texts for an image", cmd_retrieve},
      {"dream", "optimise an image for a model's similarity to a text", cmd_dream},
      {"convert", "convert weights from and to transformers and open_clip", cmd_convert},
      {"tokenizer", "train a vocabulary on captions, or try one", cmd_tokenizer},
      {0}};
  fs_hold_standard_files();
  log_setup("flip", LOG_INFO);
  json_set_alloc_funcs(mem_for_library, free);
  if (comm_launched() && is_for_one_process(argv[1])) {
    log_error("flip %s runs in one process, but a launcher started %s: run it without the launcher",
              argv[1], comm_launched());
    return 2;
  }
  signal(SIGXFSZ, SIG_IGN); /* exceeding a file-size limit is a failed write, not a fatal signal */
  signal(SIGPIPE, SIG_IGN);
  signal(SIGCHLD, SIG_DFL); /* whoever started this may ignore it: no child could be waited for */
  bus_name_files();
  return options_dispatch("flip", "train and measure FLIP: CLIP with image patches dropped", table,
                          argc, argv);
}
