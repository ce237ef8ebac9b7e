#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/options.h"
#include "cli/bench.h"
#include "cli/commands.h"
#include "model/count.h"
#include "ops/device.h"

enum { REFERENCE_VOCABULARY = 4096 };

err bench_gemm_rates(const settings *s, double *fp32, double *bf16) {
  err error = ops_measure_gemm(s, OPS_F32, fp32);
  if (error) return error;
  *bf16 = 0;
  error = ops_measure_gemm(s, OPS_BF16, bf16);
  if (error && err_kind_of(error) == ERR_UNSUPPORTED) {
    err_free(error);
    error = NULL;
  }
  return error;
}

/* The model for which the project's speed goals are stated (docs/benchmarks.md). */
static err reference_settings(settings *s) {
  static const char *const changes[] = {"image.width=192", "image.layers=6", "image.heads=3",
                                        "text.width=192",  "text.heads=3",   "embed_dim=192",
                                        "samples=1M",      "batch_size=256"};
  err error = settings_init(s);
  for (size_t i = 0; i < sizeof changes / sizeof *changes && !error; i++)
    error = settings_set(s, changes[i]);
  return error;
}

int cmd_bench(int argc, char **argv) {
  const char *config = NULL, *device = NULL;
  bench_request request = {.steps = 10};
  bool is_help = false, has_settings = false;
  option_list sets = {0}, rest = {0};
  option options[] = {
      {"config", 'c', OPTION_STRING, &config, "FILE",
       "run file; default: the reference model (width 192, 64 px, batch 256)", false},
      {"set", 's', OPTION_LIST, &sets, "KEY=VALUE", "change one setting; may be repeated", false},
      {"device", 'd', OPTION_STRING, &device, "auto|cpu|cuda",
       "device to measure; short for --set device=…", false},
      {"steps", 'n', OPTION_INTEGER, &request.steps, "N", "measured repetitions (default 10)",
       false},
      {"fit", 0, OPTION_FLAG, &request.is_fitted, NULL,
       "step: the largest power-of-two batch that fits the GPU, for each mask", false},
      {"json", 0, OPTION_FLAG, &request.as_json, NULL, "one JSON object per row", false},
      {0}};
  const command c = {
      "flip bench", "measure this machine", "ops|step|loader [OPTIONS]", options,
      "  ops      each operation of the model at training shapes, which variant of the CPU's\n"
      "           kernels runs (FLIP_CPU_KERNELS forces one) and which instruction set oneDNN\n"
      "           uses (docs/kernels.md)\n"
      "  step     the training step at mask 0, 50 and 75 %, by part, relative to this machine's\n"
      "           matrix-product rate measured in the same call. The three are measured\n"
      "           alternately, in up to ten rounds; the time ratio is the median over rounds, so\n"
      "           that drift does not bias it. With --fit, or when the three models do not fit "
      "into\n"
      "           memory together, they are measured one after another (the last line and\n"
      "           \"in_turns\" say which)\n"
      "  loader   images/s decoded, augmented and tokenized, against what the step consumes\n"
      "           (needs data: --config or --set data.train=… text.vocabulary=…)\n\n"
      "examples:\n"
      "  flip bench step\n"
      "  flip bench step -s precision=bf16 -s mask_mode=zero --json\n"
      "  flip bench step -c experiments/presets/vit_l16_laion400m.yaml --device cuda \\\n"
      "       -s micro_batch_size=0 --fit\n"
      "  flip bench loader -c experiments/presets/mini.yaml"};
  err error = options_parse(&c, argc, argv, &rest, &is_help);
  if (error || is_help) goto cleanup;
  if (rest.count != 1) FAIL(ERR_INPUT, "give one of ops, step, loader (see 'flip bench --help')");
  if (request.steps < 1 || request.steps > 100000)
    FAIL(ERR_INPUT, "--steps: %ld is outside [1, 100000]", (long)request.steps);
  TRY(config ? settings_load(config, &request.s) : reference_settings(&request.s));
  has_settings = true;
  request.vocabulary = config ? BERT_VOCABULARY : REFERENCE_VOCABULARY;
  if (device) TRY(settings_set_value(&request.s, "device", device));
  for (size_t i = 0; i < sets.count; i++) TRY(settings_set(&request.s, sets.items[i]));
  /* a preset does not give the length of a run, which is irrelevant for a benchmark */
  if (!(request.s.samples > 0) && !(request.s.epochs > 0))
    TRY(settings_set(&request.s, "samples=1M"));
  if (strcmp(rest.items[0], "step") == 0)
    error = bench_step(&request);
  else if (strcmp(rest.items[0], "ops") == 0)
    error = bench_ops(&request);
  else if (strcmp(rest.items[0], "loader") == 0)
    error = bench_loader(&request);
  else
    FAIL(ERR_INPUT, "unknown benchmark '%s': ops, step or loader", rest.items[0]);
cleanup:
  if (has_settings) settings_free(&request.s);
  options_free(options);
  options_free_list(&rest);
  return options_exit_status(error);
}
