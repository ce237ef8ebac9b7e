/* The contents of a scene of version 2. */
#include "scenes/scene_plan.h"
#include "scenes/scenes.h"

static double between(rng *random, double low, double high) {
  return low + (high - low) * rng_double(random);
}

/* Pairs of shape and colour held out from training are never distractors either. */
static void choose_kind(scene_group *g, bool is_heldout, rng *random) {
  g->shape = (int32_t)rng_below(random, SCENE_SHAPES);
  do g->color = (int32_t)rng_below(random, SCENE_COLORS);
  while (scenes_is_heldout(g->shape, g->color) != is_heldout);
  g->texture = (scene_texture)rng_below(random, SCENE_TEXTURES);
  g->count = 1;
}

/* A kind different from the previous ones: no shape and no colour occurs twice in a scene. */
static scene_group *add_group(scene_plan_2 *plan, bool is_heldout, rng *random) {
  scene_group *g = &plan->groups[plan->count];
  bool is_taken;
  do {
    choose_kind(g, is_heldout, random);
    is_taken = false;
    for (int32_t i = 0; i < plan->count; i++)
      is_taken = is_taken || plan->groups[i].shape == g->shape || plan->groups[i].color == g->color;
  } while (is_taken);
  plan->count++;
  return g;
}

static void set_size(scene_group *g, scene_size size, double scale, rng *random) {
  static const double radii[SCENE_SIZES] = {0.085, 0.125, 0.18};
  g->size = size;
  g->radius = scale * radii[size] * between(random, 0.92, 1.08);
}

/* One group of one to five at a place. */
static void plan_alone(scene_plan_2 *plan, rng *random) {
  static const double toward[SCENE_PLACES][2] = {{-1, 0}, {1, 0}, {0, -1}, {0, 1}, {0, 0}};
  scene_group *g = &plan->groups[0];
  plan->place = (scene_place)rng_below(random, SCENE_PLACES);
  g->count = 1 + (int32_t)rng_below(random, SCENE_COUNT_MAX);
  set_size(g, (scene_size)rng_below(random, g->count > 3 ? 1 : g->count > 1 ? 2 : 3), 1, random);
  bool is_row = plan->place == SCENE_TOP || plan->place == SCENE_BOTTOM ||
                (plan->place == SCENE_MIDDLE && rng_below(random, 2));
  double x = 0.5 + 0.27 * toward[plan->place][0] + between(random, -0.03, 0.03);
  double y = 0.5 + 0.27 * toward[plan->place][1] + between(random, -0.03, 0.03);
  if (g->count > 1) *(is_row ? &x : &y) = 0.5;
  scene_choose_spots(g, x, y, is_row, 2.15, random);
}

/* Two groups of one or two, side by side or one above the other. */
static void plan_related(scene_plan_2 *plan, rng *random) {
  static const double toward[4][2] = {{-1, 0}, {1, 0}, {0, -1}, {0, 1}};
  plan->place = (scene_place)rng_below(random, SCENE_MIDDLE);
  add_group(plan, false, random);
  for (int32_t i = 0; i < 2; i++) {
    scene_group *g = &plan->groups[i];
    double away = i ? -0.25 : 0.25;
    double x = 0.5 + away * toward[plan->place][0], y = 0.5 + away * toward[plan->place][1];
    bool is_beside = plan->place == SCENE_LEFT || plan->place == SCENE_RIGHT;
    *(is_beside ? &y : &x) += between(random, -0.08, 0.08);
    g->count = 1 + (int32_t)rng_below(random, 2);
    set_size(g, (scene_size)rng_below(random, 2), 1, random);
    scene_choose_spots(g, x, y, !is_beside, 2.15, random);
  }
}

/* Three single objects in a row or a column. */
static void plan_three(scene_plan_2 *plan, rng *random) {
  static const double along[3] = {0.5, 0.18, 0.82}; /* the first is in the middle */
  bool is_row = rng_below(random, 2);
  plan->place = is_row ? SCENE_LEFT : SCENE_TOP;
  add_group(plan, false, random);
  add_group(plan, false, random);
  for (int32_t i = 0; i < 3; i++) {
    scene_group *g = &plan->groups[i];
    double at = along[i] + between(random, -0.03, 0.03), aside = 0.5 + between(random, -0.12, 0.12);
    set_size(g, (scene_size)rng_below(random, 2), 0.95, random);
    scene_choose_spots(g, is_row ? at : aside, is_row ? aside : at, is_row, 2.15, random);
  }
}

/* Small objects in corners that the caption does not mention. */
static void add_distractions(scene_plan_2 *plan, rng *random) {
  int32_t count = (int32_t)rng_below(random, 3);
  uint32_t corner = rng_below(random, 4);
  for (int32_t i = 0; i < count; i++, corner += 1 + rng_below(random, 2)) {
    scene_group *g = add_group(plan, false, random);
    set_size(g, SCENE_SMALL, 0.8, random);
    double x = corner % 2 ? 0.89 : 0.11, y = corner / 2 % 2 ? 0.89 : 0.11;
    scene_choose_spots(g, x, y, true, 2, random);
  }
}

scene_plan_2 scene_make_plan_2(bool is_heldout, rng *random) {
  static const scene_layout layouts[] = {SCENE_ALONE, SCENE_ALONE, SCENE_RELATED, SCENE_RELATED,
                                         SCENE_THREE};
  scene_plan_2 plan = {.layout = layouts[rng_below(random, 5)]};
  add_group(&plan, is_heldout, random);
  switch (plan.layout) {
  case SCENE_ALONE:
    plan_alone(&plan, random);
    break;
  case SCENE_RELATED:
    plan_related(&plan, random);
    break;
  default:
    plan_three(&plan, random);
    break;
  }
  plan.said = plan.count;
  plan.shade = (scene_shade)rng_below(random, 3);
  add_distractions(&plan, random);
  return plan;
}
