#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/progress.h"
#include "cli/commands.h"
#include "cli/trained.h"
#include "image/shrink.h"
#include "eval/dream.h"

static void show(void *context, int64_t step, double score) {
  char note[48];
  snprintf(note, sizeof note, "score %.4f", score);
  progress_update(context, (double)step, note);
}

static err write_png(const char *path, int64_t size, uint8_t *pixels) {
  uint8_t *bytes = NULL;
  size_t length = 0;
  const image picture = {(int32_t)size, (int32_t)size, pixels};
  err error = shrink_encode_png(&picture, &bytes, &length);
  if (!error) error = fs_write_atomic(path, bytes, length);
  free(bytes);
  return error;
}

static err check_options(const dream_options *o) {
  if (o->size != 0 && (o->size < 8 || o->size > 2048))
    return err_new(ERR_INPUT, "--size: %ld is outside [8, 2048]", (long)o->size);
  if (o->steps < 1 || o->steps > 1000000)
    return err_new(ERR_INPUT, "--steps: %ld is outside [1, 1000000]", (long)o->steps);
  if (o->views < 2 || o->views > 4096)
    return err_new(ERR_INPUT, "--views: %ld is outside [2, 4096]", (long)o->views);
  if (!(o->rate > 0) || !(o->smoothness >= 0))
    return err_new(ERR_INPUT, "--rate must be above 0, and --smoothness at least 0");
  return NULL;
}

static err check_name(const char *out) {
  size_t length = strlen(out);
  if (length > 4 && strcasecmp(out + length - 4, ".png") == 0) return NULL;
  return err_new(ERR_INPUT, "--out: '%s' does not end in .png, and the image is a PNG", out);
}

static err dream(trained *t, char *words, const dream_options *o, bool has_progress,
                 const char *out) {
  dream_result result;
  progress bar = progress_start("dreaming", (double)o->steps, 0, has_progress);
  float *text = mem_zeroed((size_t)t->s.embed_dim, sizeof *text);
  uint8_t *pixels = mem_aligned((size_t)(o->size * o->size * 3));
  err error = NULL;
  if (!text || !pixels) FAIL(ERR_MEMORY, "out of memory: an image");
  TRY(trained_embed_texts(t, "--text", &words, 1, text));
  TRY(dream_paint(t->model, text, o, show, &bar, pixels, &result));
  TRY(write_png(out, o->size, pixels));
  progress_clear(&bar);
  printf("%s: %ld x %ld, score %.4f (%.4f before the first step)\n", out, (long)o->size,
         (long)o->size, result.last, result.first);
cleanup:
  free(text);
  free(pixels);
  return error;
}

int cmd_dream(int argc, char **argv) {
  const char *model = NULL, *text = NULL, *out = NULL;
  dream_options o = {.steps = 200, .views = 16, .rate = 0.05, .smoothness = 1};
  int64_t seed = 0;
  bool is_help = false, has_progress = true;
  option_list sets = {0}, rest = {0};
  trained t = {0};
  option options[] = {
      {"model", 'm', OPTION_STRING, &model, "PATH",
       "checkpoint, run folder, or a model that flip convert reads", true},
      {"text", 't', OPTION_STRING, &text, "WORDS",
       "text prompt whose similarity to the image is maximised", true},
      {"out", 'o', OPTION_STRING, &out, "FILE.png", "output file", true},
      {"size", 0, OPTION_INTEGER, &o.size, "PIXELS",
       "side of the image (default: the model's input size)", false},
      {"steps", 0, OPTION_INTEGER, &o.steps, "N", "steps of Adam (default 200)", false},
      {"views", 0, OPTION_INTEGER, &o.views, "N", "random crops per step (default 16)", false},
      {"rate", 0, OPTION_NUMBER, &o.rate, "R", "learning rate (default 0.05)", false},
      {"smoothness", 0, OPTION_NUMBER, &o.smoothness, "W",
       "weight of the total-variation penalty (default 1)", false},
      {"seed", 0, OPTION_INTEGER, &seed, "N", "seed of the initial image and the crops", false},
      {"progress", 0, OPTION_FLAG, &has_progress, NULL, "--no-progress: no progress line", false},
      {"set", 's', OPTION_LIST, &sets, "KEY=VALUE", "change a setting", false},
      {0}};
  const command c = {
      "flip dream", "optimise an image for a model's similarity to a text",
      "--model PATH --text WORDS --out FILE.png [OPTIONS]", options,
      "Optimises pixels until random crops of them score high for the text. The image shows what "
      "the\n"
      "model looks for, colours and coarse shapes at best. It is not an image generator: there\n"
      "is no image prior, and a high score can come from patterns that mean nothing to people.\n"
      "To search existing images, use flip retrieve. The same options give the same image.\n\n"
      "example:\n"
      "  flip dream -m RUN -t 'a red apple' -o apple.png --steps 300"};
  err error = options_parse(&c, argc, argv, &rest, &is_help);
  if (error || is_help) goto cleanup;
  TRY(options_refuse_words(&rest, false));
  TRY(check_options(&o));
  TRY(check_name(out));
  t.pixel_views = o.views;
  TRY(trained_open(model, &sets, true, &t));
  if (!o.size) o.size = t.s.image_size;
  o.seed = (uint64_t)seed;
  TRY(dream(&t, (char *)(uintptr_t)text, &o, has_progress, out));
cleanup:
  trained_close(&t);
  options_free(options);
  options_free_list(&rest);
  return options_exit_status(error);
}
