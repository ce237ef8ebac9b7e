/* Scenes rendered on demand: `scenes:SEED`, unlimited data without disk space.
 *
 * Row i is scene i of the seed, identical in every process and thread, so epochs, resuming and
 * several machines work as with files. The loader's worker threads render. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "config/yaml.h"
#include "read/file_rows.h"
#include "scenes/scenes.h"

/* A million samples per second for a quarter of an hour: no repeats in the order before that. */
enum { PLENTY = 1000000000, DEFAULT_SIZE = 64, HASHED = 16 };

typedef struct {
  data_source base;
  char *name;
  scene_set set;
  int32_t size;
} scene_source;

/* A portable pixmap (PPM), which the loader reads without a codec. */
static err make_image(const scene *drawn, dataset_sample *out) {
  char header[32];
  int start = snprintf(header, sizeof header, "P6\n%d %d\n255\n", drawn->size, drawn->size);
  size_t pixels = (size_t)drawn->size * (size_t)drawn->size * 3;
  char *file = mem_zeroed((size_t)start + pixels, 1);
  if (!file) return mem_error(pixels, "a scene");
  memcpy(file, header, (size_t)start);
  memcpy(file + start, drawn->pixels, pixels);
  out->image = out->owned = file;
  out->image_bytes = (size_t)start + pixels;
  return NULL;
}

static err read_row(const data_source *base, int64_t row, bool has_image, dataset_sample *out) {
  const scene_source *s = (const scene_source *)base;
  char key[24];
  scene drawn = {0};
  snprintf(key, sizeof key, "%08ld", (long)row);
  *out = (dataset_sample){.shard = s->name, .owned_key = mem_copy_string(key)};
  out->key = out->owned_key ? out->owned_key : "";
  err error =
      has_image ? scenes_draw(&s->set, row, s->size, &drawn) : scenes_tell(&s->set, row, &drawn);
  if (error) return error;
  const char *pairs[] = {"shape",     drawn.shape, "color",     drawn.color, "combo",
                         drawn.combo, "count",     drawn.count, "texture",   drawn.texture,
                         "whole",     drawn.whole, NULL};
  if (!drawn.count) pairs[6] = NULL; /* version 1 has three labels */
  out->json = file_rows_labels(pairs);
  out->caption = drawn.caption;
  drawn.caption = NULL;
  if (!out->json || !out->owned_key)
    error = mem_error(0, "a scene");
  else if (has_image)
    error = make_image(&drawn, out);
  scene_free(&drawn);
  return error;
}

/* Hashes of the first scenes represent all: a version that renders differently is different
 * data. */
static err hash_scenes(const data_source *base, bool has_bytes, hash_state *state) {
  const scene_source *s = (const scene_source *)base;
  const int64_t facts[] = {(int64_t)s->set.seed, s->size, s->set.is_heldout, base->count,
                           s->set.version};
  err error = NULL;
  (void)has_bytes;
  /* version 1 is hashed as before version 2 was added */
  hash_add(state, facts, sizeof facts - (s->set.version == 1) * sizeof *facts);
  for (int64_t i = 0; i < HASHED && !error; i++) {
    scene drawn;
    error = scenes_draw(&s->set, i, s->size, &drawn);
    if (error) return error;
    hash_add(state, drawn.caption, strlen(drawn.caption) + 1);
    hash_add(state, drawn.pixels, (size_t)s->size * (size_t)s->size * 3);
    scene_free(&drawn);
  }
  return error;
}

static void close_scenes(data_source *base) {
  scene_source *s = (scene_source *)base;
  free(s->name);
  free(s);
}

static const source_calls scene_calls = {read_row, hash_scenes, close_scenes};

/* An integer within limits; `initial` if not given. */
static err read_whole(const source_request *r, const char *what, const char *text, int64_t initial,
                      int64_t least, int64_t most, int64_t *value) {
  *value = initial;
  if (!text) return NULL;
  if (!yml_as_int(text, value) || *value < least || *value > most)
    return err_new(ERR_INPUT, "%s: %s '%s' is not a whole number in [%ld, %ld]", r->whole, what,
                   text, (long)least, (long)most);
  return NULL;
}

err source_open_scenes(const source_request *r, data_source **out) {
  const char *split = source_option(r, "split");
  int64_t seed, size, count, version;
  err error = NULL;
  scene_source *s = mem_zeroed(1, sizeof *s);
  if (!s) return mem_error(sizeof *s, "a data set");
  s->base.call = &scene_calls;
  s->name = mem_copy_string(r->whole);
  if (!s->name) FAIL(ERR_MEMORY, "out of memory: a data set");
  s->set.is_heldout = split && strcmp(split, "heldout") == 0;
  if (split && !s->set.is_heldout && strcmp(split, "train") != 0)
    FAIL(ERR_INPUT, "%s: unknown split '%s': expected train or heldout", r->whole, split);
  TRY(read_whole(r, "the seed", r->location, 0, 0, INT64_MAX, &seed));
  TRY(read_whole(r, "size", source_option(r, "size"), DEFAULT_SIZE, SCENE_SIZE_MIN, SCENE_SIZE_MAX,
                 &size));
  TRY(read_whole(r, "count", source_option(r, "count"), PLENTY, 1, PLENTY, &count));
  TRY(read_whole(r, "version", source_option(r, "version"), 1, 1, SCENE_VERSIONS, &version));
  s->set.version = (int)version;
  s->set.seed = (uint64_t)seed;
  s->size = (int32_t)size;
  s->base.count = count;
  s->base.is_endless = !source_option(r, "count");
cleanup:
  if (error)
    source_close(&s->base);
  else
    *out = &s->base;
  return error;
}
