/* Internal to scenes.h: the contents of a scene, before it is captioned and rendered. */
#ifndef FLIP_SCENES_SCENE_PLAN_H
#define FLIP_SCENES_SCENE_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/rng.h"
#include "base/text.h"

enum { SCENE_COUNT_MAX_1 = 3, SCENE_COUNT_MAX = 5, SCENE_GROUPS = 5 };
typedef enum { SCENE_SMALL, SCENE_MEDIUM, SCENE_LARGE, SCENE_SIZES } scene_size;
typedef enum {
  SCENE_PLAIN,
  SCENE_STRIPED,
  SCENE_DOTTED,
  SCENE_CHECKED,
  SCENE_HOLLOW,
  SCENE_TEXTURES
} scene_texture;
/* Position of the main group; with a second object, relative to it (left: "left of"). */
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

/* Version 2: the first `said` groups are mentioned in the caption, the others are distractors. */
typedef enum { SCENE_ALONE, SCENE_RELATED, SCENE_THREE } scene_layout;
typedef enum { SCENE_ANY_SHADE, SCENE_DARK, SCENE_LIGHT } scene_shade;
typedef struct {
  scene_layout layout;
  scene_group groups[SCENE_GROUPS];
  int32_t count, said;
  scene_place place;
  scene_shade shade;
} scene_plan_2;

void scene_caption(const scene_plan *plan, rng *random, strbuf *out);
/* What the renderer needs from a plan. */
typedef struct {
  const scene_group *const *groups;
  int32_t count, colors;    /* colours that clutter may have */
  double darkest, lightest; /* of the background's grey */
} scene_picture;
/* Compiled once for each variant of base/processor.h, scene_SUFFIX_paint; all draw the same bytes.
 */
typedef err scene_painter(const scene_picture *picture, rng *random, int32_t size, uint8_t *pixels);

scene_plan_2 scene_make_plan_2(bool is_heldout, rng *random);
void scene_caption_2(const scene_plan_2 *plan, rng *random, strbuf *out);
/* "two striped red stars" of a group, as labels have it; texture "" when plain. */
void scene_name_group(const scene_group *g, char *out, size_t size);
const char *scene_count_name(int32_t count);
const char *scene_texture_name(scene_texture texture);
void scene_append_plural(const char *noun, strbuf *out);
/* Spots of a group around (x, y), in a row or a column. */
void scene_choose_spots(scene_group *g, double x, double y, bool is_row, double spread,
                        rng *random);

/* Whether (x, y) is inside a shape of radius 1 around the origin, y down. */
bool scene_shape_contains(int32_t shape, double x, double y);
/* Every point nearer to the origin than `inner` is inside; none further than `outer` is. */
typedef struct {
  double inner, outer;
} scene_bounds;
scene_bounds scene_shape_bounds(int32_t shape);

/* What shapes consist of. A polygon, by the even-odd rule; count 0: the shape is none. */
typedef struct {
  double x, y;
} scene_point;
typedef struct {
  const scene_point *corners;
  size_t count;
} scene_polygon;
scene_polygon scene_shape_polygon(int32_t shape);
/* A regular polygon or star with a corner at `turn` (0: the top); NULL: the shape is none. to_x,
 * to_y: from the centre to the middle of a side, in the frame of the corner before it. corners:
 * unit vectors, y down. */
typedef struct {
  int sides;
  double waist, turn, to_x, to_y;
  scene_point corners[8];
} scene_regular;
const scene_regular *scene_shape_regular(int32_t shape);
/* Points so near an edge that a shorter formula may round to its other side take a longer one,
 * which the scenes were defined with. */
#define SCENE_NEAR_EDGE 1e-9

#endif
