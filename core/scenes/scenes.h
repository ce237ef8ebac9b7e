/* Procedural scenes with captions: a data set for contrastive training that needs no download.
 *
 * A scene shows one to three equal objects (shape, colour, size, texture, place) on a noisy
 * gradient with clutter; some show a second, smaller object and the relation between the two.
 * Everything is a function of (seed, split, index), so that any part of the set can be drawn again.
 * Captions name sides: train on them without mirroring. */
#ifndef FLIP_SCENES_SCENES_H
#define FLIP_SCENES_SCENES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum {
  SCENE_SHAPES = 12,
  SCENE_COLORS = 10,
  SCENE_COMBO_SIZE = 32,
  SCENE_SIZE_MIN = 16,
  SCENE_SIZE_MAX = 1024
};

/* Labels are those of the main object: the one that the caption's subject names and, beside a
 * second object, the larger. */
typedef struct {
  int32_t size;
  uint8_t *pixels;              /* [size, size, 3] */
  char *caption;                /* "two small striped red stars on the left" */
  const char *shape, *color;    /* "star", "red" */
  char combo[SCENE_COMBO_SIZE]; /* "red star" */
} scene;

/* Draws scene `index` of the training split, or of the held-out split, whose main objects are
 * exactly the pairs that the training split never shows. The same scene at another size differs in
 * resolution and noise alone. size in [SCENE_SIZE_MIN, SCENE_SIZE_MAX]. */
err scenes_draw(uint64_t seed, int64_t index, bool is_heldout, int32_t size,
                scene *out) ERR_MUST_CHECK;
/* The same without its pixels. */
err scenes_tell(uint64_t seed, int64_t index, bool is_heldout, scene *out) ERR_MUST_CHECK;
void scene_free(scene *s);

/* Scenes 0 to count - 1 as PREFIX-*.tar, by all cores: the shards are the same for any number. */
typedef struct {
  const char *prefix;
  int64_t count;
  uint64_t seed;
  int32_t size;
  bool is_heldout, has_progress;
} scenes_packing;
err scenes_pack(const scenes_packing *how, int64_t *shard_count) ERR_MUST_CHECK;

/* Names of the classes; shape < SCENE_SHAPES, color < SCENE_COLORS. */
const char *scenes_shape_name(int32_t shape);
const char *scenes_color_name(int32_t color);
/* True for the fifth of the pairs that the training split leaves out. */
bool scenes_is_heldout(int32_t shape, int32_t color);

#endif
