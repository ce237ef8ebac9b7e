/* Procedural scenes with captions: a data set for contrastive training that needs no download.
 *
 * Version 1: a scene shows one to three equal objects (shape, colour, size, texture, place) on a
 * noisy gradient with clutter; some show a second, smaller object and the relation between the two.
 * Version 2: one group of one to five objects, or two groups and their relation, or three; more
 * shapes, colours and textures; up to two objects that the caption does not mention; sometimes the
 * background's shade. A small model keeps improving over millions of samples (docs/data.md).
 * Everything is a function of (version, seed, split, index), so that any part of the set can be
 * drawn again; a version never changes what it draws.
 * Captions mention left and right: train on them without mirroring. */
#ifndef FLIP_SCENES_SCENES_H
#define FLIP_SCENES_SCENES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum {
  SCENE_VERSIONS = 2,
  SCENE_SHAPES = 20, /* of all versions; version 1 has the first 12, and 10 colours */
  SCENE_COLORS = 16,
  SCENE_SHAPES_1 = 12,
  SCENE_COLORS_1 = 10,
  SCENE_COMBO_SIZE = 32,
  SCENE_WORDS_SIZE = 64,
  SCENE_SIZE_MIN = 16,
  SCENE_SIZE_MAX = 1024
};

/* Labels describe the main object: the subject of the caption and, with a second object, the larger
 * one. */
typedef struct {
  int32_t size;
  uint8_t *pixels;              /* [size, size, 3] */
  char *caption;                /* "two small striped red stars on the left" */
  const char *shape, *color;    /* "star", "red" */
  char combo[SCENE_COMBO_SIZE]; /* "red star" */
  const char *count, *texture;  /* "two", "striped"; version 2 */
  char whole[SCENE_WORDS_SIZE]; /* "two striped red stars"; version 2, else "" */
} scene;

/* Which scenes: version 1 or 2. */
typedef struct {
  int version;
  uint64_t seed;
  bool is_heldout;
} scene_set;

/* Draws scene `index` of the training split, or of the held-out split, whose main objects are
 * exactly the pairs that the training split never shows. The same scene at another size differs
 * only in resolution and noise. size in [SCENE_SIZE_MIN, SCENE_SIZE_MAX]. */
err scenes_draw(const scene_set *set, int64_t index, int32_t size, scene *out) ERR_MUST_CHECK;
/* The same without its pixels. */
err scenes_tell(const scene_set *set, int64_t index, scene *out) ERR_MUST_CHECK;
void scene_free(scene *s);

/* Writes scenes 0 to count - 1 as OUT/train-*.tar or OUT/heldout-*.tar, using all cores: the shards
 * do not depend on their number. */
typedef struct {
  const char *out;
  int64_t count;
  scene_set set;
  int32_t size;
  bool has_progress;
} scenes_packing;
err scenes_pack(const scenes_packing *how, int64_t *shard_count) ERR_MUST_CHECK;

/* Names of the classes; shape < SCENE_SHAPES, color < SCENE_COLORS. */
const char *scenes_shape_name(int32_t shape);
const char *scenes_color_name(int32_t color);
/* True for the fifth of the pairs that are held out from the training split. */
bool scenes_is_heldout(int32_t shape, int32_t color);

#endif
