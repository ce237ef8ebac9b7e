/* The contents of a scene: splits, objects and places of scenes.h. */
#include "scenes/scenes.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/processor.h"
#include "scenes/scene_plan.h"

static const char *const shape_names[SCENE_SHAPES] = {
    "circle",    "square",   "triangle", "star",    "ring",  "cross", "heart",
    "crescent",  "pentagon", "hexagon",  "diamond", "arrow", "oval",  "rectangle",
    "trapezoid", "octagon",  "flower",   "bolt",    "drop",  "arch"};
static const char *const color_names[SCENE_COLORS] = {
    "red",   "orange", "yellow", "green", "blue",    "purple", "pink", "brown",
    "black", "white",  "gray",   "cyan",  "magenta", "olive",  "navy", "gold"};
/* As shares of the image's side. */
enum { SCENE_TEXTURES_1 = 3 };
static const double radii[SCENE_SIZES] = {0.105, 0.15, 0.21};

const char *scenes_shape_name(int32_t shape) {
  return shape_names[shape];
}

const char *scenes_color_name(int32_t color) {
  return color_names[color];
}

bool scenes_is_heldout(int32_t shape, int32_t color) {
  return (shape * 7 + color) % 5 == 0;
}

static double between(rng *random, double low, double high) {
  return low + (high - low) * rng_double(random);
}

/* Every shape has held-out colours (two of ten), so the second loop ends. */
static void choose_kind(scene_group *g, bool is_heldout, rng *random) {
  g->shape = (int32_t)rng_below(random, SCENE_SHAPES_1);
  do g->color = (int32_t)rng_below(random, SCENE_COLORS_1);
  while (scenes_is_heldout(g->shape, g->color) != is_heldout);
  g->texture = (scene_texture)rng_below(random, SCENE_TEXTURES_1);
}

void scene_choose_spots(scene_group *g, double x, double y, bool is_row, double spread,
                        rng *random) {
  double step = spread * g->radius, first = -0.5 * step * (g->count - 1);
  for (int32_t i = 0; i < g->count; i++) {
    double along = first + step * i, jitter = between(random, -0.03, 0.03);
    g->spots[i] = (scene_spot){is_row ? x + along : x + jitter, is_row ? y + jitter : y + along,
                               between(random, -0.2, 0.2)};
  }
}

static void choose_spots(scene_group *g, double x, double y, bool is_row, rng *random) {
  g->radius = radii[g->size] * between(random, 0.94, 1.06);
  scene_choose_spots(g, x, y, is_row, 2.1, random);
}

/* The centre of a group at a place; `away` is the distance from the image's centre. */
static void place_centre(scene_place place, double away, rng *random, double *x, double *y) {
  static const double toward[SCENE_PLACES][2] = {{-1, 0}, {1, 0}, {0, -1}, {0, 1}, {0, 0}};
  *x = 0.5 + away * toward[place][0] + between(random, -0.03, 0.03);
  *y = 0.5 + away * toward[place][1] + between(random, -0.03, 0.03);
}

static void plan_group(scene_plan *plan, rng *random) {
  scene_group *main = &plan->main;
  double x, y;
  plan->place = (scene_place)rng_below(random, SCENE_PLACES);
  main->count = 1 + (int32_t)rng_below(random, SCENE_COUNT_MAX_1);
  /* three large ones do not fit side by side */
  main->size = (scene_size)rng_below(random, main->count == 3 ? SCENE_LARGE : SCENE_SIZES);
  bool is_row = plan->place == SCENE_TOP || plan->place == SCENE_BOTTOM ||
                (plan->place == SCENE_MIDDLE && rng_below(random, 2));
  place_centre(plan->place, 0.26, random, &x, &y);
  if (main->count > 1) *(is_row ? &x : &y) = 0.5;
  choose_spots(main, x, y, is_row, random);
}

static void plan_pair(scene_plan *plan, rng *random) {
  static const scene_place opposite[] = {SCENE_RIGHT, SCENE_LEFT, SCENE_BOTTOM, SCENE_TOP};
  double x, y;
  plan->has_second = true;
  plan->place = (scene_place)rng_below(random, SCENE_MIDDLE);
  plan->main.count = plan->second.count = 1;
  plan->main.size = rng_below(random, 2) ? SCENE_LARGE : SCENE_MEDIUM;
  plan->second.size = (scene_size)rng_below(random, plan->main.size);
  do choose_kind(&plan->second, false, random);
  while (plan->second.shape == plan->main.shape);
  double aside = between(random, -0.1, 0.1);
  bool is_row = plan->place == SCENE_LEFT || plan->place == SCENE_RIGHT;
  place_centre(plan->place, 0.23, random, &x, &y);
  choose_spots(&plan->main, is_row ? x : x + aside, is_row ? y + aside : y, is_row, random);
  place_centre(opposite[plan->place], 0.27, random, &x, &y);
  choose_spots(&plan->second, x, y, is_row, random);
}

static scene_plan make_plan(bool is_heldout, rng *random) {
  scene_plan plan = {0};
  choose_kind(&plan.main, is_heldout, random);
  if (rng_below(random, 10) < 3)
    plan_pair(&plan, random);
  else
    plan_group(&plan, random);
  return plan;
}

/* A plan of either version. */
typedef struct {
  scene_plan first;
  scene_plan_2 second;
  rng random; /* continues the draws where rendering starts */
} planned;

static void plan_scene(const scene_set *set, planned *p, strbuf *caption) {
  if (set->version == 2) {
    p->second = scene_make_plan_2(set->is_heldout, &p->random);
    scene_caption_2(&p->second, &p->random, caption);
  } else {
    p->first = make_plan(set->is_heldout, &p->random);
    scene_caption(&p->first, &p->random, caption);
  }
}

/* The plan, the caption and the labels. */
static err describe(const scene_set *set, int64_t index, planned *p, scene *out) {
  strbuf caption = {0};
  if (index < 0)
    return err_new(ERR_INPUT, "scene %ld: the index must not be negative", (long)index);
  /* the draws of the two versions are independent */
  uint64_t step = (uint64_t)(set->version - 1) * 2 + set->is_heldout;
  p->random = rng_at(set->seed, RNG_SCENE, step, (uint64_t)index);
  plan_scene(set, p, &caption);
  const scene_group *main = set->version == 2 ? &p->second.groups[0] : &p->first.main;
  out->shape = shape_names[main->shape];
  out->color = color_names[main->color];
  snprintf(out->combo, sizeof out->combo, "%s %s", out->color, out->shape);
  if (set->version == 2) {
    out->count = scene_count_name(main->count);
    out->texture = scene_texture_name(main->texture);
    scene_name_group(main, out->whole, sizeof out->whole);
  }
  out->caption = strbuf_take(&caption);
  return out->caption ? NULL : mem_error(0, "a scene");
}

static scene_painter *painter(void) {
#define DECLARE(suffix, name) extern scene_painter scene_##suffix##_paint;
#define LIST(suffix, name) scene_##suffix##_paint,
  PROCESSOR_VARIANTS(DECLARE)
  static scene_painter *const all[] = {PROCESSOR_VARIANTS(LIST)};
#undef DECLARE
#undef LIST
  static scene_painter *_Atomic chosen; /* asked once: the question takes longer than a scene */
  scene_painter *known = chosen;
  if (!known) chosen = known = all[processor_variant()];
  return known;
}

static err paint(const scene_set *set, planned *p, scene *out) {
  const scene_group *groups[SCENE_GROUPS] = {&p->first.main, &p->first.second};
  scene_picture picture = {groups, 1 + p->first.has_second, SCENE_COLORS_1, 95, 195};
  if (set->version == 2) {
    static const double shades[][2] = {{95, 195}, {40, 85}, {205, 238}};
    const double *shade = shades[p->second.shade];
    picture = (scene_picture){groups, p->second.count, SCENE_COLORS, shade[0], shade[1]};
    /* the first group last, so that nothing covers the subject of the caption */
    for (int32_t i = 0; i < p->second.count; i++)
      groups[i] = &p->second.groups[p->second.count - 1 - i];
  }
  return painter()(&picture, &p->random, out->size, out->pixels);
}

err scenes_tell(const scene_set *set, int64_t index, scene *out) {
  planned p = {0};
  *out = (scene){0};
  return describe(set, index, &p, out);
}

err scenes_draw(const scene_set *set, int64_t index, int32_t size, scene *out) {
  planned p = {0};
  err error = NULL;
  *out = (scene){.size = size};
  if (size < SCENE_SIZE_MIN || size > SCENE_SIZE_MAX)
    return err_new(ERR_INPUT, "scenes of %d pixels: the side must be in [%d, %d]", size,
                   SCENE_SIZE_MIN, SCENE_SIZE_MAX);
  TRY(describe(set, index, &p, out));
  size_t bytes = (size_t)size * (size_t)size * 3;
  out->pixels = mem_zeroed(bytes, 1);
  if (!out->pixels) FAIL(ERR_MEMORY, "out of memory: a scene of %zu bytes", bytes);
  TRY(paint(set, &p, out));
cleanup:
  if (error) scene_free(out);
  return error;
}

void scene_free(scene *s) {
  free(s->pixels);
  free(s->caption);
  *s = (scene){0};
}
