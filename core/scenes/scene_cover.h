/* Which points of many a thing that is painted covers: loops over points, compiled once for each
 * variant of base/processor.h. */
#ifndef FLIP_SCENES_SCENE_COVER_H
#define FLIP_SCENES_SCENE_COVER_H

#include "base/processor.h"
#include "scenes/scene_plan.h"

typedef enum { SCENE_OBJECT, SCENE_BLOB, SCENE_LINE } scene_kind;

typedef struct {
  scene_kind kind;
  int32_t shape; /* of an object */
  scene_texture texture;
  double width, height; /* of a blob or a line; of an object, both are its radius */
} scene_thing;

enum { SCENE_POINTS = 288 }; /* at most, in one call */

/* Of points (u, v) in the thing's frame: covered [count] is 1 where it covers one, and accent 1
 * where it does so in the texture's second colour; else 0. */
void PROCESSOR_KERNEL(scene, cover)(const scene_thing *t, int count, const double *u,
                                    const double *v, int64_t *covered, int64_t *accent);
/* The same for one shape of radius 1, as scene_shape_contains has it. */
void PROCESSOR_KERNEL(scene, contain)(int32_t shape, int count, const double *x, const double *y,
                                      int64_t *inside);

#endif
