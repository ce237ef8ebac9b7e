/* Scenes into shards: drawn and encoded by all cores, written in order. */
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/progress.h"
#include "image/image.h"
#include "scenes/scenes.h"
#include "read/shard_writer.h"
#include "image/shrink.h"

enum { AT_ONCE = 256 };

typedef struct {
  scene drawn;
  uint8_t *png;
  size_t length;
  err error;
} packed;

static void release(packed *p) {
  free(p->png);
  scene_free(&p->drawn);
  err_free(p->error);
  *p = (packed){0};
}

static void draw(const scenes_packing *how, int64_t index, packed *p) {
  p->error = scenes_draw(&how->set, index, how->size, &p->drawn);
  const image picture = {p->drawn.size, p->drawn.size, p->drawn.pixels};
  if (!p->error) p->error = shrink_encode_png(&picture, &p->png, &p->length);
}

static err write(const packed *p, int64_t index, shard_writer *shards, strbuf *json) {
  char key[32];
  snprintf(key, sizeof key, "%08ld", (long)index);
  strbuf_clear(json);
  json_writer w = jsonw_start(json);
  jsonw_object(&w, NULL);
  jsonw_string(&w, "key", key);
  jsonw_string(&w, "caption", p->drawn.caption);
  jsonw_integer(&w, "width", p->drawn.size);
  jsonw_integer(&w, "height", p->drawn.size);
  jsonw_object(&w, "labels");
  jsonw_string(&w, "shape", p->drawn.shape);
  jsonw_string(&w, "color", p->drawn.color);
  jsonw_string(&w, "combo", p->drawn.combo);
  if (p->drawn.count) {
    jsonw_string(&w, "count", p->drawn.count);
    jsonw_string(&w, "texture", p->drawn.texture);
    jsonw_string(&w, "whole", p->drawn.whole);
  }
  jsonw_end(&w);
  jsonw_end(&w);
  if (json->is_broken) return mem_error(0, "a scene's JSON");
  return shard_writer_add(shards, key, "png", p->png, p->length, p->drawn.caption,
                          strbuf_string(json));
}

static err take_error(packed *p) {
  err error = p->error;
  p->error = NULL;
  return error;
}

err scenes_pack(const scenes_packing *how, int64_t *shard_count) {
  shard_writer *shards = NULL;
  strbuf json = {0};
  packed *part = mem_zeroed(AT_ONCE, sizeof *part);
  if (!part) return mem_error(AT_ONCE * sizeof *part, "scenes");
  progress bar = progress_start("drawing scenes", (double)how->count, 0, how->has_progress);
  err error = shard_writer_open(how->prefix, 1000, &shards);
  for (int64_t first = 0; first < how->count && !error; first += AT_ONCE) {
    int64_t n = how->count - first < AT_ONCE ? how->count - first : AT_ONCE;
#pragma omp parallel for schedule(dynamic, 8)
    for (int64_t i = 0; i < n; i++) draw(how, first + i, &part[i]);
    for (int64_t i = 0; i < n; i++) {
      if (!error) error = take_error(&part[i]);
      if (!error) error = write(&part[i], first + i, shards, &json);
      release(&part[i]);
    }
    progress_update(&bar, (double)(first + n), NULL);
  }
  if (!error) error = shard_writer_finish(shards, shard_count);
  progress_finish(&bar, NULL);
  strbuf_free(&json);
  shard_writer_close(shards);
  free(part);
  return error;
}
