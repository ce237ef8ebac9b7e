#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "cli/commands.h"
#include "cli/trained.h"
#include "eval/npy.h"
#include "eval/pictures.h"

static err embed_images(trained *t, const option_list *places, const char *out) {
  pictures *all = NULL;
  strbuf warnings = {0};
  const image_preparation how = image_preparation_of(&t->s);
  err error = pictures_open(places->items, places->count, &all);
  if (error) return error;
  if (*pictures_warnings(all)) fputs(pictures_warnings(all), stderr);
  int64_t count = pictures_count(all), width = t->s.embed_dim;
  float *rows = mem_zeroed((size_t)(count * width), sizeof *rows);
  if (!rows) FAIL(ERR_MEMORY, "out of memory: %ld embeddings", (long)count);
  TRY(pictures_embed(all, &how, t->model, rows, &warnings));
  TRY(npy_write(out, count, width, rows));
  int64_t missing = warnings.length > 0;
  for (size_t i = 0; i < warnings.length; i++) missing += warnings.data[i] == '\n';
  if (missing)
    log_warning("%ld of %ld images could not be decoded; %s NaN:\n%s", (long)missing, (long)count,
                text_plural(missing, "its row is", "their rows are"), strbuf_string(&warnings));
  printf("%s: %ld x %ld, images\n", out, (long)count, (long)width);
cleanup:
  free(rows);
  strbuf_free(&warnings);
  pictures_close(all);
  return error;
}

static err embed_texts(trained *t, const char *path, const char *out) {
  text_lines lines = {0};
  float *rows = NULL;
  int64_t width = t->s.embed_dim;
  err error = NULL;
  TRY(trained_read_lines(path, &lines));
  size_t count = lines.count;
  rows = mem_zeroed(count * (size_t)width, sizeof *rows);
  if (!rows) FAIL(ERR_MEMORY, "out of memory: %zu embeddings", count);
  TRY(trained_embed_texts(t, path, lines.items, count, rows));
  TRY(npy_write(out, (int64_t)count, width, rows));
  printf("%s: %zu x %ld, texts\n", out, count, (long)width);
cleanup:
  free(rows);
  text_lines_free(&lines);
  return error;
}

int cmd_embed(int argc, char **argv) {
  const char *model = NULL, *texts = NULL, *out = NULL;
  bool is_help = false;
  option_list images = {0}, sets = {0}, rest = {0};
  trained t = {0};
  option options[] = {
      {"model", 'm', OPTION_STRING, &model, "PATH",
       "checkpoint, run folder, or a model that flip convert reads", true},
      {"images", 'i', OPTION_LIST, &images, "DIR|SHARDS",
       "folder of image files, or shards; may be repeated", false},
      {"texts", 't', OPTION_STRING, &texts, "FILE", "one text per line", false},
      {"out", 'o', OPTION_STRING, &out, "FILE.npy", "[rows, width] fp32, for numpy.load", true},
      {"set", 's', OPTION_LIST, &sets, "KEY=VALUE", "change a setting", false},
      {0}};
  const command c = {
      "flip embed", "write embeddings of images or texts as .npy",
      "--model PATH (--images DIR|SHARDS | --texts FILE) --out X.npy", options,
      "Rows have unit length (unless the model has normalize: false) and follow the order of the\n"
      "input: shards as given, texts by line, files of a folder by the components of their paths\n"
      "(B.png, a/x.png, a-b.png: folder by folder, unlike a sort of whole paths, in which a-b.png\n"
      "comes before a/x.png). An image that cannot be decoded gets a row of NaN and a warning.\n\n"
      "examples:\n"
      "  flip embed -m RUN --images 'data/openclipart/heldout-*.tar' -o images.npy\n"
      "  flip embed -m clip-vit-base-patch32 --texts captions.txt -o texts.npy \\\n"
      "    --set text.vocabulary=bpe_simple_vocab_16e6.txt.gz"};
  err error = options_parse(&c, argc, argv, &rest, &is_help);
  if (error || is_help) goto cleanup;
  TRY(options_refuse_words(&rest, false));
  if ((images.count > 0) == (texts != NULL)) FAIL(ERR_INPUT, "give one of --images and --texts");
  TRY(trained_open(model, &sets, texts != NULL, &t));
  TRY(texts ? embed_texts(&t, texts, out) : embed_images(&t, &images, out));
cleanup:
  trained_close(&t);
  options_free(options);
  options_free_list(&rest);
  return options_exit_status(error);
}
