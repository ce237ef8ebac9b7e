/* Lines of KEY=VALUE, as --set takes them; then masks are drawn by the settings that they make. */
#include <stdlib.h>
#include <string.h>

#include "config/settings.h"
#include "read/text_mask.h"
#include "fuzz/fuzz.h"
#include "model/mask.h"

enum { MOST_PATCHES = 1 << 16 }; /* of an image that is drawn here, to stay fast */

/* Chosen by scores instead of drawn. */
static err keep_attended(const settings *s, const mask_config *config, int32_t *index) {
  int64_t size = s->attentive_size ? s->attentive_size : s->image_size;
  int64_t grid = size / s->image_patch;
  double *scores = malloc((size_t)(grid * grid) * sizeof *scores);
  for (int64_t i = 0; i < grid * grid; i++) scores[i] = (double)(i * 7 % 5);
  err error = mask_keep_attended(config, scores, grid, s->attentive_cell, 1, index);
  free(scores);
  return error;
}

static void draw_image_mask(const settings *s) {
  mask_config config = {s->mask_mode, s->mask_ratio, s->image_size / s->image_patch,
                        s->mask_replacement};
  int64_t patches = config.grid * config.grid, encoded = mask_encoded_count(&config);
  if (patches > MOST_PATCHES) return;
  fuzz_require(encoded >= 1 && encoded <= patches, "a mask keeps between one and all patches");
  int32_t *index = malloc((size_t)encoded * sizeof *index);
  fuzz_expect_ok(settings_is_attentive(s) ? keep_attended(s, &config, index)
                                          : mask_draw(&config, 1, 0, 1, index));
  for (int64_t i = 0; i < encoded; i++) {
    int32_t patch = index[i] < 0 ? ~index[i] : index[i];
    fuzz_require(patch < patches, "a patch is one of the image's");
    fuzz_require(i == 0 || patch > (index[i - 1] < 0 ? ~index[i - 1] : index[i - 1]),
                 "patches are listed in ascending order");
  }
  free(index);
}

static void draw_text_mask(const settings *s) {
  int32_t ids[TEXT_MASK_LONGEST], out[TEXT_MASK_LONGEST], places[TEXT_MASK_LONGEST], count;
  text_mask mask = {.mode = s->text_mask_mode,
                    .length = s->text_length,
                    .kept = settings_text_tokens(s),
                    .ends = s->text_special_tokens == SPECIAL_TOKENS_BOTH,
                    .padding = -1};
  fuzz_require(mask.kept >= 1 + mask.ends && mask.kept <= mask.length,
               "a text keeps some of its tokens");
  if (!text_mask_is_drawn(&mask) || mask.mode == TEXT_MASK_FREQUENCY ||
      mask.mode == TEXT_MASK_SYNTAX)
    return;
  for (int32_t words = 2; words <= mask.length; words += 1 + words) {
    for (int32_t i = 0; i < mask.length; i++) ids[i] = i < words ? i : -1;
    text_mask_draw(&mask, 1, words, ids, words, out, places, &count);
    fuzz_require(count >= 0 && count <= mask.kept && count <= words, "no more than asked for");
    for (int32_t i = 1; i < count; i++)
      fuzz_require(out[i] > out[i - 1] && out[i] < words, "words keep their order");
    fuzz_require(!mask.ends || (count >= 2 && out[0] == 0 && out[count - 1] == words - 1),
                 "the first and the last token are kept");
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const char *const needed[] = {"samples=1k", "data.train=a.tar", "text.vocabulary=v.txt"};
  settings s;
  char *text = fuzz_text(data, size), *rest = text, *line;
  err error = NULL;
  fuzz_expect_ok(settings_init(&s));
  for (size_t i = 0; i < 3; i++) fuzz_expect_ok(settings_set(&s, needed[i]));
  while (!error && (line = strsep(&rest, "\n"))) error = settings_set(&s, line);
  if (!error) error = settings_check(&s);
  if (!error) {
    draw_image_mask(&s);
    draw_text_mask(&s);
  }
  err_free(error);
  settings_free(&s);
  free(text);
  return 0;
}
