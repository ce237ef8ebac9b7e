#include "experiment/nodes.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "config/settings.h"

static err take(nodes_pool *pool, size_t count, size_t size, void **block) {
  if (pool->count == pool->capacity) {
    size_t larger = pool->capacity ? pool->capacity * 2 : 64;
    void **grown = mem_resize(pool->blocks, larger, sizeof *grown);
    if (!grown) return mem_error(larger * sizeof *grown, "the experiment");
    pool->blocks = grown;
    pool->capacity = larger;
  }
  *block = mem_zeroed(count, size);
  if (!*block) return mem_error(count * size, "the experiment");
  pool->blocks[pool->count++] = *block;
  return NULL;
}

void nodes_free(nodes_pool *pool) {
  for (size_t i = 0; i < pool->count; i++) free(pool->blocks[i]);
  free(pool->blocks);
  *pool = (nodes_pool){0};
}

static err take_node(nodes_pool *pool, const yml_node *like, yml_kind kind, yml_node **node) {
  void *block;
  err error = take(pool, 1, sizeof **node, &block);
  if (error) return error;
  *node = block;
  **node = (yml_node){
      .kind = kind, .line = like->line, .column = like->column, .document = like->document};
  return NULL;
}

err nodes_map(nodes_pool *pool, const yml_node *like, size_t capacity, yml_node **map) {
  void *keys, *items;
  err error = take_node(pool, like, YML_MAP, map);
  if (!error) error = take(pool, capacity, sizeof *(*map)->keys, &keys);
  if (!error) error = take(pool, capacity, sizeof *(*map)->items, &items);
  if (error) return error;
  (*map)->keys = keys;
  (*map)->items = items;
  return NULL;
}

void nodes_put(yml_node *map, const yml_node *key, const yml_node *item) {
  map->keys[map->count] = (yml_node *)key;
  map->items[map->count++] = (yml_node *)item;
}

err nodes_scalar(nodes_pool *pool, const yml_node *like, const char *text, yml_node **scalar) {
  void *copy;
  err error = take_node(pool, like, YML_SCALAR, scalar);
  if (!error) error = take(pool, strlen(text) + 1, 1, &copy);
  if (error) return error;
  strcpy(copy, text);
  (*scalar)->scalar = copy;
  (*scalar)->is_plain = true;
  return NULL;
}

err nodes_merge(nodes_pool *pool, const yml_node *under, const yml_node *over,
                const yml_node **merged) {
  *merged = over;
  if (!under || under->kind != YML_MAP || over->kind != YML_MAP) return NULL;
  yml_node *map;
  err error = nodes_map(pool, over, under->count + over->count, &map);
  for (size_t i = 0; i < under->count && !error; i++) {
    const yml_node *item = under->items[i], *above = yml_get(over, under->keys[i]->scalar);
    const yml_node *key = above ? yml_get_key(over, under->keys[i]->scalar) : under->keys[i];
    if (above) error = nodes_merge(pool, item, above, &item);
    nodes_put(map, key, item);
  }
  for (size_t i = 0; i < over->count && !error; i++)
    if (!yml_get(under, over->keys[i]->scalar)) nodes_put(map, over->keys[i], over->items[i]);
  *merged = map;
  return error;
}

static size_t count_leaves(const yml_node *map) {
  size_t count = 0;
  for (size_t i = 0; i < map->count; i++)
    count += map->items[i]->kind == YML_MAP ? count_leaves(map->items[i]) : 1;
  return count;
}

static err put_leaves(nodes_pool *pool, const yml_node *map, const char *prefix, yml_node *flat) {
  err error = NULL;
  for (size_t i = 0; i < map->count && !error; i++) {
    yml_node *key = map->keys[i];
    strbuf name = {0};
    strbuf_format(&name, "%s%s%s", prefix, *prefix ? "." : "", key->scalar);
    if (map->items[i]->kind == YML_MAP) {
      error = put_leaves(pool, map->items[i], strbuf_string(&name), flat);
    } else {
      if (*prefix) error = nodes_scalar(pool, key, strbuf_string(&name), &key);
      if (!error) nodes_put(flat, key, map->items[i]);
    }
    strbuf_free(&name);
  }
  return error;
}

err nodes_flatten(nodes_pool *pool, const yml_node *map, yml_node **flat) {
  err error = nodes_map(pool, map, count_leaves(map), flat);
  return error ? error : put_leaves(pool, map, "", *flat);
}

err nodes_without(nodes_pool *pool, const yml_node *map, const char *const *names,
                  yml_node **rest) {
  err error = nodes_map(pool, map, map->count, rest);
  for (size_t i = 0; i < map->count && !error; i++) {
    bool is_named = false;
    for (const char *const *name = names; *name; name++)
      is_named = is_named || strcmp(map->keys[i]->scalar, *name) == 0;
    if (!is_named) nodes_put(*rest, map->keys[i], map->items[i]);
  }
  return error;
}
