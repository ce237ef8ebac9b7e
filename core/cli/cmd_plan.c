#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "base/json.h"
#include "base/log.h"
#include "base/options.h"
#include "cli/commands.h"
#include "cli/plan_ranks.h"
#include "cli/vocabulary.h"
#include "model/count.h"
#include "model/forecast.h"

static err print_json(const settings *s, const model_counts *c, const plan_ranks *ranks,
                      bool is_gpu) {
  strbuf out = {0};
  json_writer w = jsonw_start(&out);
  jsonw_object(&w, NULL);
  jsonw_object(&w, "parameters");
  jsonw_integer(&w, "image", c->parameters_image);
  jsonw_integer(&w, "text", c->parameters_text);
  jsonw_integer(&w, "head", c->parameters_head);
  if (s->reconstruction_weight > 0)
    jsonw_integer(&w, "reconstruction", c->parameters_reconstruction);
  jsonw_integer(&w, "total", c->parameters_total);
  jsonw_end(&w);
  jsonw_integer(&w, "patches", c->patches);
  jsonw_integer(&w, "encoded_patches", c->encoded_patches);
  jsonw_integer(&w, "image_tokens", c->image_tokens);
  jsonw_integer(&w, "text_tokens", c->text_tokens);
  jsonw_object(&w, "forward_flops_per_sample");
  jsonw_number(&w, "image", c->forward_image);
  jsonw_number(&w, "image_unmasked", c->forward_image_unmasked);
  jsonw_number(&w, "text", c->forward_text);
  if (s->reconstruction_weight > 0) jsonw_number(&w, "reconstruction", c->forward_reconstruction);
  if (settings_is_attentive(s)) jsonw_number(&w, "scoring", c->forward_scoring);
  jsonw_end(&w);
  jsonw_number(&w, "train_flops_per_sample", c->train_sample);
  jsonw_number(&w, "logit_flops_per_batch", c->logits_batch);
  if (s->reconstruction_weight > 0)
    jsonw_integer(&w, "reconstruction_bytes", (int64_t)c->memory.bytes[CLIP_RECONSTRUCTION]);
  if (settings_is_attentive(s))
    jsonw_integer(&w, "average_bytes", (int64_t)c->memory.bytes[CLIP_AVERAGE]);
  jsonw_integer(&w, "planned_bytes", (int64_t)c->planned_bytes);
  jsonw_string(&w, "planned_for", is_gpu ? "cuda" : "cpu");
  const model_host_bytes beside = model_beside_plan(s, c);
  jsonw_integer(&w, "prefetched_bytes", (int64_t)beside.batches);
  jsonw_integer(&w, "checkpoint_copy_bytes", (int64_t)beside.checkpoint);
  settings_length length = settings_length_of(s, 0);
  jsonw_integer(&w, "updates", length.updates);
  bool is_known = settings_knows_warmup(s, 0); /* null: not without the data */
  jsonw_number(&w, "warmup_updates", is_known ? (double)length.warmup : (double)NAN);
  plan_ranks_write(ranks, &w);
  jsonw_end(&w);
  strbuf_append_char(&out, '\n');
  return options_print(&out);
}

static void print_part(const char *name, double flops, double whole) {
  printf("  %-22s %10.3f GFLOP  %5.1f %%\n", name, flops / 1e9, 100 * flops / whole);
}

static void print_count(const char *name, int64_t count) {
  printf("  %-22s %12" PRId64 "\n", name, count);
}

static void print_bytes(const char *name, uint64_t bytes) {
  char text[TEXT_NUMBER_SIZE];
  printf("  %-22s %12s\n", name, text_bytes(bytes, text));
}

static void print_plan(const settings *s, const model_counts *c, bool is_gpu) {
  double forward = c->forward_image + c->forward_text + c->forward_reconstruction;
  bool has_decoder = s->reconstruction_weight > 0, is_scored = settings_is_attentive(s);
  printf("parameters\n");
  print_count("image tower", c->parameters_image);
  print_count("text tower", c->parameters_text);
  if (has_decoder) print_count("reconstruction", c->parameters_reconstruction);
  print_count("total", c->parameters_total);
  printf("\ntokens\n  image: %ld of %ld patches encoded (mask_ratio %g), %ld tokens\n"
         "  text:  %ld tokens\n\n",
         (long)c->encoded_patches, (long)c->patches, s->mask_ratio, (long)c->image_tokens,
         (long)c->text_tokens);
  printf("forward FLOPs per sample (2 x multiply-adds of matrix products)\n");
  print_part("patch embedding", c->image_embed, forward);
  print_part("image dense layers", c->image_dense, forward);
  print_part("image attention", c->image_attention, forward);
  print_part("text dense layers", c->text_dense, forward);
  print_part("text attention", c->text_attention, forward);
  print_part("projections", c->image_projection + c->text_projection, forward);
  if (has_decoder) print_part("reconstruction", c->forward_reconstruction, forward);
  print_part("total", forward, forward);
  printf("  image tower: %.3f of the FLOPs without masking\n",
         c->forward_image / c->forward_image_unmasked);
  if (is_scored) print_part("scoring of patches", c->forward_scoring, forward);
  printf("  training: %.3f GFLOP per sample (3 x forward%s)\n\n", c->train_sample / 1e9,
         is_scored ? " + scoring" : "");
  printf("memory for training on a %s (batch %ld, micro-batch %ld)\n", is_gpu ? "GPU" : "CPU",
         (long)s->batch_size, (long)(s->micro_batch_size ? s->micro_batch_size : s->batch_size));
  const size_t *bytes = c->memory.bytes;
  print_bytes("weights", bytes[CLIP_PARAMETERS] + bytes[CLIP_WORKING] + bytes[CLIP_NARROW]);
  print_bytes("gradients", bytes[CLIP_GRADIENTS]);
  print_bytes("optimizer", c->optimizer_bytes);
  print_bytes("activations", bytes[CLIP_ACTIVATIONS]);
  print_bytes("loss", bytes[CLIP_LOSS]);
  if (has_decoder) print_bytes("reconstruction", bytes[CLIP_RECONSTRUCTION]);
  if (is_scored) print_bytes("average image tower", bytes[CLIP_AVERAGE]);
  print_bytes("inputs", bytes[CLIP_INPUTS]);
  print_bytes("planned", c->planned_bytes);
  const model_host_bytes beside = model_beside_plan(s, c);
  printf("beside it, of the machine's memory\n");
  print_bytes("batches read ahead", beside.batches);
  print_bytes("a checkpoint's copy", beside.checkpoint);
  settings_length length = settings_length_of(s, 0);
  if (!(length.updates > 0)) return;
  printf("\nlength\n  %" PRId64 " %s of %" PRId64 " samples (%" PRId64 "), ", length.updates,
         text_plural(length.updates, "update", "updates"), s->batch_size,
         length.updates * s->batch_size);
  if (settings_knows_warmup(s, 0))
    printf("%" PRId64 " of them warm-up\n", length.warmup);
  else
    printf("warm-up of %g %s of the data, whose size is not known here\n", s->warmup_epochs,
           s->warmup_epochs == 1 ? "epoch" : "epochs");
}

int cmd_plan(int argc, char **argv) {
  const char *config = NULL;
  bool as_json = false, is_help = false, has_settings = false;
  option_list sets = {0}, rest = {0};
  settings s;
  plan_ranks_options asked = PLAN_RANKS_DEFAULTS;
  plan_ranks ranks = {0};
  option options[] = {
      {"config", 'c', OPTION_STRING, &config, "FILE", "run file (YAML)", true},
      {"set", 's', OPTION_LIST, &sets, "KEY=VALUE", "change one setting; may be repeated", false},
      {"json", 0, OPTION_FLAG, &as_json, NULL, "print JSON for scripts", false},
      PLAN_RANKS_OPTIONS(asked),
      {0}};
  const command c = {
      "flip plan", "parameters, FLOPs and memory of a run, before it starts",
      "--config FILE [OPTIONS]", options,
      "--ranks predicts step time, efficiency and cost on that many devices, from the measured "
      "rate "
      "of\n"
      "one and the bytes that the ranks exchange. --rate is a number (of these settings with the "
      "whole\n"
      "batch encoded at once), the output of 'flip bench step --json', the events.jsonl of a run "
      "on one\n"
      "rank, or one of the shipped devices: h100 (measured) and a100 (scaled from it), both in "
      "bf16.\n"
      "Every assumption is printed.\n\n"
      "examples:\n"
      "  flip plan -c experiments/presets/vit_l16_laion400m.yaml -s mask_ratio=0.75\n"
      "  flip plan -c experiments/presets/vit_l16_laion400m.yaml --ranks 64,128,256 --rate h100 "
      "\\\n"
      "       --link 50"};
  err error = options_parse(&c, argc, argv, &rest, &is_help);
  if (error || is_help) goto cleanup;
  TRY(options_refuse_words(&rest, true));
  TRY(settings_load(config, &s));
  has_settings = true;
  for (size_t i = 0; i < sets.count; i++) TRY(settings_set(&s, sets.items[i]));
  TRY(settings_check_step(&s));
  model_counts counts;
  int64_t vocabulary;
  TRY(vocabulary_count(&s, &vocabulary));
  const ops_type compute = model_compute_type(&s, s.device != DEVICE_CUDA);
  TRY(model_count(&s, vocabulary, compute, plan_chunk_bytes(&s, &ranks.rates), &counts));
  TRY(plan_ranks_make(&asked, &s, vocabulary, &counts, &ranks));
  const ops_type planned = ranks.rates.count ? forecast_compute_type(&s, &ranks.rates) : compute;
  TRY(model_count(&s, vocabulary, planned, plan_chunk_bytes(&s, &ranks.rates), &counts));
  const bool is_gpu = s.device == DEVICE_CUDA || ranks.rates.is_gpu;
  if (as_json) {
    TRY(print_json(&s, &counts, &ranks, is_gpu));
  } else {
    print_plan(&s, &counts, is_gpu);
    TRY(plan_ranks_print(&ranks));
  }
cleanup:
  plan_ranks_free(&ranks);
  if (has_settings) settings_free(&s);
  options_free(options);
  options_free_list(&rest);
  return options_exit_status(error);
}
