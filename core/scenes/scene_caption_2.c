/* Captions of scenes of version 2. */
#include <stdio.h>
#include <string.h>

#include "scenes/scene_plan.h"
#include "scenes/scenes.h"

static bool happens(rng *random, uint32_t percent) {
  return rng_below(random, 100) < percent;
}

const char *scene_count_name(int32_t count) {
  static const char *const names[] = {"", "one", "two", "three", "four", "five"};
  return names[count];
}

const char *scene_texture_name(scene_texture texture) {
  static const char *const names[] = {"plain", "striped", "dotted", "checked", "hollow"};
  return names[texture];
}

void scene_name_group(const scene_group *g, char *out, size_t size) {
  strbuf noun = {0};
  if (g->count > 1)
    scene_append_plural(scenes_shape_name(g->shape), &noun);
  else
    strbuf_append(&noun, scenes_shape_name(g->shape));
  snprintf(out, size, "%s %s %s %s", scene_count_name(g->count), scene_texture_name(g->texture),
           scenes_color_name(g->color), strbuf_string(&noun));
  strbuf_free(&noun);
}

/* "two small striped red stars", "an orange ring with dots" */
static void append_group(const scene_group *g, rng *random, strbuf *out) {
  static const char *const sizes[SCENE_SIZES][3] = {
      {"small", "little", "tiny"}, {"medium", "medium-sized", "medium"}, {"large", "big", "large"}};
  static const char *const after[] = {"", " with stripes", " with dots", " with squares",
                                      " with a hole"};
  strbuf words = {0};
  const char *size = sizes[g->size][rng_below(random, 3)];
  if (happens(random, g->size == SCENE_MEDIUM ? 25 : 60)) strbuf_format(&words, "%s ", size);
  bool is_said = happens(random, g->texture == SCENE_PLAIN ? 20 : 85);
  bool is_first = g->texture == SCENE_PLAIN || happens(random, 65);
  if (is_said && is_first) strbuf_format(&words, "%s ", scene_texture_name(g->texture));
  strbuf_format(&words, "%s ", scenes_color_name(g->color));
  if (g->count > 1)
    scene_append_plural(scenes_shape_name(g->shape), &words);
  else
    strbuf_append(&words, scenes_shape_name(g->shape));
  if (is_said && !is_first) strbuf_append(&words, after[g->texture]);
  const char *said = strbuf_string(&words);
  if (g->count > 1)
    strbuf_format(out, "%s ", scene_count_name(g->count));
  else
    strbuf_append(out, strchr("aeiou", said[0]) ? "an " : "a ");
  strbuf_append(out, said);
  if (words.is_broken) out->is_broken = true;
  strbuf_free(&words);
}

static void caption_alone(const scene_plan_2 *plan, rng *random, strbuf *out) {
  static const char *const places[SCENE_PLACES][3] = {
      {"on the left", "on the left side", "to the left"},
      {"on the right", "on the right side", "to the right"},
      {"at the top", "in the upper part", "near the top"},
      {"at the bottom", "in the lower part", "near the bottom"},
      {"in the middle", "in the center", "in the middle"}};
  const char *place = places[plan->place][rng_below(random, 3)];
  bool is_first = happens(random, 20), is_said = happens(random, 75);
  if (is_first) strbuf_format(out, "%s, ", place);
  append_group(&plan->groups[0], random, out);
  if (!is_first && is_said) strbuf_format(out, " %s", place);
}

static void caption_related(const scene_plan_2 *plan, rng *random, strbuf *out) {
  static const char *const relations[][2] = {{"left of", "to the left of"},
                                             {"right of", "to the right of"},
                                             {"above", "over"},
                                             {"below", "under"}};
  append_group(&plan->groups[0], random, out);
  if (happens(random, 80))
    strbuf_format(out, " %s ", relations[plan->place][rng_below(random, 2)]);
  else
    strbuf_append(out, " and ");
  append_group(&plan->groups[1], random, out);
}

static void caption_three(const scene_plan_2 *plan, rng *random, strbuf *out) {
  append_group(&plan->groups[0], random, out);
  strbuf_append(out, " between ");
  append_group(&plan->groups[1], random, out);
  strbuf_append(out, plan->place == SCENE_LEFT ? " on the left and " : " at the top and ");
  append_group(&plan->groups[2], random, out);
}

void scene_caption_2(const scene_plan_2 *plan, rng *random, strbuf *out) {
  static const char *const starts[] = {"", "", "", "a picture of "};
  static const char *const shades[][2] = {{"", ""},
                                          {" on a dark background", " on dark ground"},
                                          {" on a light background", " on light ground"}};
  if (plan->layout != SCENE_ALONE) strbuf_append(out, starts[rng_below(random, 4)]);
  switch (plan->layout) {
  case SCENE_ALONE:
    caption_alone(plan, random, out);
    break;
  case SCENE_RELATED:
    caption_related(plan, random, out);
    break;
  default:
    caption_three(plan, random, out);
    break;
  }
  uint32_t way = rng_below(random, 2);
  if (happens(random, 45)) strbuf_append(out, shades[plan->shade][way]);
}
