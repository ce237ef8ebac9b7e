/* Packs scenes into shards: rendered and encoded on all cores, written in order. */
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/progress.h"
#include "image/image.h"
#include "scenes/scenes.h"
#include "read/in_order.h"
#include "read/shard_swap.h"
#include "image/shrink.h"

enum { AT_ONCE = 256 };

typedef struct {
  scene drawn;
  uint8_t *png;
  size_t length;
  err error;
} packed;

typedef struct {
  const scenes_packing *how;
  shard_writer *shards;
  strbuf json;
  progress bar;
} packing;

static void release(void *place) {
  packed *p = place;
  free(p->png);
  scene_free(&p->drawn);
  err_free(p->error);
}

static void draw(void *context, int64_t index, void *place) {
  const scenes_packing *how = ((const packing *)context)->how;
  packed *p = place;
  p->error = scenes_draw(&how->set, index, how->size, &p->drawn);
  const image picture = {p->drawn.size, p->drawn.size, p->drawn.pixels};
  if (!p->error) p->error = shrink_encode_png(&picture, &p->png, &p->length);
}

static err write(void *context, int64_t index, void *place) {
  packing *to = context;
  packed *p = place;
  strbuf *json = &to->json;
  char key[32];
  err error = p->error;
  p->error = NULL;
  if (error) return error;
  if (index % AT_ONCE == 0) progress_update(&to->bar, (double)index, NULL);
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
  return shard_writer_add(to->shards, key, "png", p->png, p->length, p->drawn.caption,
                          strbuf_string(json));
}

err scenes_pack(const scenes_packing *how, int64_t *shard_count) {
  packing to = {.how = how};
  shard_swap swap;
  const shard_swap_plan plan = {.out = how->out,
                                .prefixes = {how->set.is_heldout ? "heldout" : "train"},
                                .maker = "flip data scenes",
                                .suffix = how->set.is_heldout ? "-heldout" : "-train"};
  const in_order_work work = {&to, how->count, AT_ONCE, sizeof(packed), draw, write, release};
  to.bar = progress_start("drawing scenes", (double)how->count, 0, how->has_progress);
  err error = shard_swap_open(&plan, &swap);
  if (!error) error = shard_swap_writer(&swap, 0, 1000, &to.shards);
  if (!error) error = in_order(&work);
  if (!error) error = shard_writer_finish(to.shards, shard_count);
  if (!error) error = shard_swap_replace(&swap, shard_count);
  progress_finish(&to.bar, NULL);
  strbuf_free(&to.json);
  shard_writer_close(to.shards);
  shard_swap_close(&swap);
  return error;
}
