#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/options.h"
#include "cli/bench.h"
#include "cli/commands.h"
#include "cli/vocabulary.h"
#include "model/count.h"
#include "ops/device.h"

enum { REFERENCE_VOCABULARY = 4096, USUAL_CLASSES = 1000 };
static const int64_t NO_CLASSES = INT64_MIN; /* not given */

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

double bench_rate_of(int precision, double fp32, double bf16) {
  return precision == PRECISION_FP32 || !(bf16 > 0) ? fp32 : bf16;
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

/* Numbers of prompts per class; those of CLIP's published ensembles if none is given. */
static err read_templates(const option_list *given, bench_request *r) {
  static const char *const published[] = {"7", "80"};
  const char *const *items = given->count ? given->items : published;
  size_t count = given->count ? given->count : 2;
  if (r->classes == NO_CLASSES) r->classes = USUAL_CLASSES;
  if (r->classes < 1 || r->classes > 1000000)
    return err_new(ERR_INPUT, "--classes: %ld is outside [1, 1000000]", (long)r->classes);
  if (count > BENCH_MOST_TEMPLATES)
    return err_new(ERR_INPUT, "--templates: at most %d may be given", BENCH_MOST_TEMPLATES);
  for (size_t i = 0; i < count; i++) {
    char *end;
    long number = strtol(items[i], &end, 10);
    if (*end || end == items[i] || number < 1 || number > 10000)
      return err_new(ERR_INPUT, "--templates: '%s' is not a number in [1, 10000]", items[i]);
    r->templates[r->template_count++] = number;
  }
  return NULL;
}

/* 0, 50 and 75 % if none is given. */
static err read_masks(const option_list *given, bench_request *r) {
  static const char *const published[] = {"0", "0.5", "0.75"};
  const char *const *items = given->count ? given->items : published;
  size_t count = given->count ? given->count : sizeof published / sizeof *published;
  if (count > BENCH_MOST_MASKS)
    return err_new(ERR_INPUT, "--mask: at most %d may be given", BENCH_MOST_MASKS);
  for (size_t i = 0; i < count; i++) {
    char *end;
    double ratio = strtod(items[i], &end);
    if (*end || end == items[i] || !(ratio >= 0 && ratio < 1))
      return err_new(ERR_INPUT, "--mask: '%s' is not a mask ratio in [0, 1)", items[i]);
    r->masks[r->mask_count++] = ratio;
  }
  return NULL;
}

/* One that is set is the one to measure. */
static void take_mask(const option_list *sets, bench_request *r) {
  for (size_t i = 0; i < sets->count; i++)
    if (strncmp(sets->items[i], "mask_ratio=", 11) == 0) {
      r->masks[0] = r->s.mask_ratio;
      r->mask_count = 1;
    }
}

/* An option of one benchmark changes nothing of another. */
static err check_options(const char *which, const bench_request *r, bool has_masks,
                         bool has_classes) {
  const bool is_step = strcmp(which, "step") == 0, is_eval = strcmp(which, "eval") == 0;
  if (!is_step && (has_masks || r->is_fitted))
    return err_new(ERR_INPUT, "--%s is an option of 'flip bench step', not of %s%s",
                   has_masks ? "mask" : "fit", which,
                   has_masks ? ": change the mask with --set mask_ratio=…" : "");
  if (!is_eval && has_classes)
    return err_new(ERR_INPUT,
                   "--classes and --templates are options of 'flip bench eval', not of %s", which);
  return NULL;
}

int cmd_bench(int argc, char **argv) {
  const char *config = NULL, *device = NULL;
  bench_request request = {.steps = 10, .classes = NO_CLASSES};
  bool is_help = false, has_settings = false;
  option_list sets = {0}, templates = {0}, masks = {0}, rest = {0};
  option options[] = {
      {"config", 'c', OPTION_STRING, &config, "FILE",
       "run file; default: the reference model (width 192, 64 px, batch 256)", false},
      {"set", 's', OPTION_LIST, &sets, "KEY=VALUE", "change one setting; may be repeated", false},
      {"device", 'd', OPTION_STRING, &device, "auto|cpu|cuda",
       "device to measure; short for --set device=…", false},
      {"steps", 'n', OPTION_INTEGER, &request.steps, "N", "measured repetitions (default 10)",
       false},
      {"mask", 0, OPTION_LIST, &masks, "RATIO",
       "step: mask ratio, a row each; may be repeated (default --set mask_ratio=…, else 0, 0.5 "
       "and 0.75)",
       false},
      {"fit", 0, OPTION_FLAG, &request.is_fitted, NULL,
       "step: the largest power-of-two batch that fits the GPU, for each mask", false},
      {"classes", 0, OPTION_INTEGER, &request.classes, "N", "eval: classes (default 1000)", false},
      {"templates", 0, OPTION_LIST, &templates, "N",
       "eval: prompts per class, a row each; may be repeated (default 7 and 80)", false},
      {"json", 0, OPTION_FLAG, &request.as_json, NULL, "one JSON object per row", false},
      {0}};
  const command c = {
      "flip bench", "measure this machine", "ops|step|eval|loader [OPTIONS]", options,
      "  ops      each operation of the model at training shapes, which variant of the CPU's\n"
      "           kernels runs (FLIP_CPU_KERNELS forces one) and which instruction set oneDNN\n"
      "           uses (docs/kernels.md)\n"
      "  step     the training step at each --mask, by part, relative to this machine's\n"
      "           matrix-product rate measured in the same call. The masks are measured\n"
      "           alternately, in up to ten rounds; the time ratio, to the first, is the median\n"
      "           over rounds, so that drift does not bias it. With --fit, or when the models do\n"
      "           not fit into memory together, they are measured one after another (the last\n"
      "           line and \"in_turns\" say which), and --json prints each when it is done\n"
      "  eval     images/s and prompts/s encoded as by flip embed and zero-shot classification\n"
      "           (batches of eval.batch_size), images scored per second, and what 50,000 images\n"
      "           would take; of the prompts at most --steps batches are measured\n"
      "  loader   images/s decoded, augmented and tokenized, against what the step consumes; of a\n"
      "           large data set what five seconds read\n"
      "           (needs data: --config or --set data.train=… text.vocabulary=…)\n\n"
      "examples:\n"
      "  flip bench step\n"
      "  flip bench step -s precision=bf16 -s mask_mode=zero --json\n"
      "  flip bench step -c experiments/presets/vit_l16_laion400m.yaml --device cuda \\\n"
      "       -s micro_batch_size=0 --fit\n"
      "  flip bench eval -c experiments/presets/vit_l16_laion400m.yaml --device cuda --templates "
      "80\n"
      "  flip bench loader -c experiments/presets/mini.yaml"};
  err error = options_parse(&c, argc, argv, &rest, &is_help);
  if (error || is_help) goto cleanup;
  if (rest.count != 1)
    FAIL(ERR_INPUT, "give one of ops, step, eval, loader (see 'flip bench --help')");
  if (request.steps < 1 || request.steps > 100000)
    FAIL(ERR_INPUT, "--steps: %ld is outside [1, 100000]", (long)request.steps);
  TRY(check_options(rest.items[0], &request, masks.count > 0,
                    templates.count > 0 || request.classes != NO_CLASSES));
  TRY(read_templates(&templates, &request));
  TRY(read_masks(&masks, &request));
  TRY(config ? settings_load(config, &request.s) : reference_settings(&request.s));
  has_settings = true;
  if (device) TRY(settings_set_text(&request.s, "device", device));
  for (size_t i = 0; i < sets.count; i++) TRY(settings_set(&request.s, sets.items[i]));
  if (!masks.count) take_mask(&sets, &request);
  /* a preset does not give the length of a run, which is irrelevant for a benchmark */
  if (!(request.s.samples > 0) && !(request.s.epochs > 0))
    TRY(settings_set(&request.s, "samples=1M"));
  bool is_step = strcmp(rest.items[0], "step") == 0; /* has masks of its own: checked by row */
  settings whole = request.s;                        /* shallow */
  if (is_step) whole.mask_ratio = whole.reconstruction_weight = 0;
  TRY(settings_check_step(&whole));
  request.vocabulary = REFERENCE_VOCABULARY;
  if (config || *request.s.text_vocabulary)
    TRY(vocabulary_count(&request.s, &request.vocabulary));
  else
    TRY(settings_check_vocabulary(&request.s, request.vocabulary));
  if (strcmp(rest.items[0], "step") == 0)
    error = bench_step(&request);
  else if (strcmp(rest.items[0], "ops") == 0)
    error = bench_ops(&request);
  else if (strcmp(rest.items[0], "eval") == 0)
    error = bench_eval(&request);
  else if (strcmp(rest.items[0], "loader") == 0)
    error = bench_loader(&request);
  else
    FAIL(ERR_INPUT, "unknown benchmark '%s': ops, step, eval or loader", rest.items[0]);
cleanup:
  if (has_settings) settings_free(&request.s);
  options_free(options);
  options_free_list(&rest);
  return options_exit_status(error);
}
