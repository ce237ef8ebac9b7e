#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/options.h"
#include "cli/commands.h"
#include "convert/weights.h"

static const char *const format_names[] = {"flip", "hf", "open_clip", "BertModel", "ViTModel"};
enum { WRITABLE = 3 };

static err find_format(const char *name, weights_format *format) {
  for (int i = 0; i < WRITABLE; i++)
    if (strcmp(format_names[i], name) == 0) {
      *format = (weights_format)i;
      return NULL;
    }
  return err_new(ERR_INPUT, "--format: '%s' is not one of hf, open_clip, flip", name);
}

static void warn_of_changes(weights_format format, const weights *w) {
  strbuf remarks = {0};
  strbuf_append(&remarks, strbuf_string(&w->remarks));
  weights_describe_changes(format, w, &remarks);
  char *rest = remarks.data, *line;
  while (rest && *(line = strsep(&rest, "\n"))) log_warning("%s", line);
  strbuf_free(&remarks);
}

int cmd_convert(int argc, char **argv) {
  const char *out = NULL, *format_name = NULL;
  bool is_help = false;
  option_list inputs = {0}, sets = {0}, rest = {0};
  weights w = {0};
  weights_format format = WEIGHTS_FLIP;
  option options[] = {
      {"in", 'i', OPTION_LIST, &inputs, "PATH",
       "model folder, .safetensors file next to its configuration, checkpoint or run folder; given "
       "twice: an image tower and a text tower",
       true},
      {"out", 'o', OPTION_STRING, &out, "PATH", "hf, open_clip: a folder; flip: a file", true},
      {"format", 'f', OPTION_STRING, &format_name, "FORMAT", "hf, open_clip or flip", true},
      {"set", 's', OPTION_LIST, &sets, "KEY=VALUE",
       "setting that the files do not contain: text.vocabulary, embed_dim for single towers",
       false},
      {0}};
  const command c = {
      "flip convert", "convert weights from and to transformers and open_clip",
      "--in PATH --out PATH --format hf|open_clip|flip", options,
      "Reads transformers' CLIPModel, open_clip's CLIP, flip's checkpoints, and single towers "
      "from\n"
      "transformers' ViTModel and BertModel. An error names each setting that a format cannot "
      "express\n"
      "(docs/models.md).\n\n"
      "examples:\n"
      "  flip convert --in clip-vit-base-patch32 --out clip.safetensors --format flip\n"
      "  flip convert --in results/x/RUN --out for_pytorch --format open_clip\n"
      "  flip convert --in vit-base --in bert-base-uncased --out both.safetensors --format flip "
      "\\\n"
      "    --set text.length=77 --set text.vocabulary=bert-base-uncased/vocab.txt"};
  err error = options_parse(&c, argc, argv, &rest, &is_help);
  if (error || is_help) goto cleanup;
  TRY(options_refuse_words(&rest, false));
  TRY(find_format(format_name, &format));
  TRY(weights_load(inputs.items, inputs.count, sets.items, sets.count, &w));
  TRY(weights_check_words(&w));
  error = err_context(weights_save(out, format, &w), "%s", out);
  if (error) goto cleanup;
  warn_of_changes(format, &w);
  int64_t parameters = 0;
  for (size_t i = 0; i < w.table.count; i++) parameters += param_elements(&w.table.items[i]);
  printf("%s: %s, %ld parameters, from %s\n", out, format_name, (long)parameters,
         format_names[w.format]);
  if (w.drawn) {
    strbuf parts = {0};
    weights_name_parts(w.drawn, &parts);
    printf("new, initialised from seed %ld: %s\n", (long)w.s.seed, strbuf_string(&parts));
    strbuf_free(&parts);
  }
cleanup:
  weights_free(&w);
  options_free(options);
  options_free_list(&rest);
  return options_exit_status(error);
}
