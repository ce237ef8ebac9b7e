/* Captions of scenes, each in one of several phrasings. */
#include <string.h>

#include "scenes/scene_plan.h"
#include "scenes/scenes.h"

enum { WAYS = 3 };

static bool happens(rng *random, uint32_t percent) {
  return rng_below(random, 100) < percent;
}

static void append_size(scene_size size, rng *random, strbuf *out) {
  static const char *const words[SCENE_SIZES][WAYS] = {
      {"small", "little", "tiny"}, {"medium", "medium-sized", "medium"}, {"large", "big", "large"}};
  bool is_said = happens(random, size == SCENE_MEDIUM ? 40 : 85);
  const char *word = words[size][rng_below(random, WAYS)];
  if (is_said) strbuf_format(out, "%s ", word);
}

void scene_append_plural(const char *noun, strbuf *out) {
  bool is_hissed = strcmp(noun, "cross") == 0 || strcmp(noun, "arch") == 0;
  strbuf_append(out, noun);
  strbuf_append(out, is_hissed ? "es" : "s");
}

/* "two small striped red stars", "an orange ring with dots" */
static void append_group(const scene_group *g, rng *random, strbuf *out) {
  static const char *const before[] = {"plain ", "striped ", "dotted "};
  static const char *const after[] = {"", " with stripes", " with dots"};
  static const char *const counts[] = {"", "", "two ", "three "};
  const char *noun = scenes_shape_name(g->shape);
  strbuf words = {0};
  append_size(g->size, random, &words);
  bool is_texture_said = happens(random, g->texture == SCENE_PLAIN ? 20 : 90);
  bool is_texture_first = g->texture == SCENE_PLAIN || happens(random, 65);
  if (is_texture_said && is_texture_first) strbuf_append(&words, before[g->texture]);
  strbuf_format(&words, "%s ", scenes_color_name(g->color));
  if (g->count > 1)
    scene_append_plural(noun, &words);
  else
    strbuf_append(&words, noun);
  if (is_texture_said && !is_texture_first) strbuf_append(&words, after[g->texture]);
  const char *said = strbuf_string(&words);
  strbuf_append(out, g->count > 1 ? counts[g->count] : strchr("aeiou", said[0]) ? "an " : "a ");
  strbuf_append(out, said);
  if (words.is_broken) out->is_broken = true;
  strbuf_free(&words);
}

static const char *place_words(scene_place place, rng *random) {
  static const char *const words[SCENE_PLACES][WAYS] = {
      {"on the left", "on the left side", "to the left"},
      {"on the right", "on the right side", "to the right"},
      {"at the top", "in the upper part", "near the top"},
      {"at the bottom", "in the lower part", "near the bottom"},
      {"in the middle", "in the center", "in the middle"}};
  return words[place][rng_below(random, WAYS)];
}

static void caption_group(const scene_plan *plan, rng *random, strbuf *out) {
  const char *place = place_words(plan->place, random);
  switch (rng_below(random, 6)) {
  case 0: /* "on the left, two red stars" */
    strbuf_format(out, "%s, ", place);
    append_group(&plan->main, random, out);
    return;
  case 1:
    strbuf_append(out, plan->main.count > 1 ? "there are " : "there is ");
    break;
  case 2:
    strbuf_append(out, "a picture of ");
    break;
  case 3: /* the place is not mentioned */
    append_group(&plan->main, random, out);
    return;
  default:
    break;
  }
  append_group(&plan->main, random, out);
  strbuf_format(out, " %s", place);
}

static void caption_pair(const scene_plan *plan, rng *random, strbuf *out) {
  static const char *const relations[][2] = {{"left of", "to the left of"},
                                             {"right of", "to the right of"},
                                             {"above", "over"},
                                             {"below", "under"}};
  static const char *const starts[] = {"", "", "", "a picture of ", "there is "};
  strbuf_append(out, starts[rng_below(random, 5)]);
  append_group(&plan->main, random, out);
  strbuf_format(out, " %s ", relations[plan->place][rng_below(random, 2)]);
  append_group(&plan->second, random, out);
}

void scene_caption(const scene_plan *plan, rng *random, strbuf *out) {
  if (plan->has_second)
    caption_pair(plan, random, out);
  else
    caption_group(plan, random, out);
}
