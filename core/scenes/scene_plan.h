/* Inside of scenes.h: what is in a scene, before it is put into words and painted. */
#ifndef FLIP_SCENES_SCENE_PLAN_H
#define FLIP_SCENES_SCENE_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/rng.h"
#include "base/text.h"

enum { SCENE_COUNT_MAX = 3 };
typedef enum { SCENE_SMALL, SCENE_MEDIUM, SCENE_LARGE, SCENE_SIZES } scene_size;
typedef enum { SCENE_PLAIN, SCENE_STRIPED, SCENE_DOTTED, SCENE_TEXTURES } scene_texture;
/* Where the main group lies; beside a second object, where from it (left: "left of"). */
typedef enum {
  SCENE_LEFT,
  SCENE_RIGHT,
  SCENE_TOP,
  SCENE_BOTTOM,
  SCENE_MIDDLE,
  SCENE_PLACES
} scene_place;

/* One instance of an object: the unit square is the image, y down; angle in radians. */
typedef struct {
  double x, y, angle;
} scene_spot;

typedef struct {
  int32_t shape, color;
  scene_size size;
  scene_texture texture;
  int32_t count;
  double radius;
  scene_spot spots[SCENE_COUNT_MAX];
} scene_group;

typedef struct {
  scene_group main, second;
  bool has_second;
  scene_place place;
} scene_plan;

void scene_caption(const scene_plan *plan, rng *random, strbuf *out);
err scene_paint(const scene_plan *plan, rng *random, int32_t size, uint8_t *pixels) ERR_MUST_CHECK;

/* Whether (x, y) is inside a shape of radius 1 around the origin, y down. */
bool scene_shape_contains(int32_t shape, double x, double y);

#endif
