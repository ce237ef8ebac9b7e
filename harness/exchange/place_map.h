/* A map of absolute paths to local ones, and its application to strings and files. Internal to
 * exchange/. */
#ifndef FLIPBENCH_EXCHANGE_PLACE_MAP_H
#define FLIPBENCH_EXCHANGE_PLACE_MAP_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

typedef struct {
  struct {
    char *from, *to;
  } * pairs;
  size_t count;
} place_map;

err place_map_add(place_map *map, const char *from, const char *to) ERR_MUST_CHECK;
bool place_map_has(const place_map *map, const char *from);
void place_map_free(place_map *map);

/* Replaces `*text` by a new string if it contains a path of the map: "/a/b", "list:/a/b#k=v". */
err place_map_text(const place_map *map, char **text) ERR_MUST_CHECK;
/* The same for the values under `keys` (NULL-terminated), at any depth, in a YAML file; comments
 * and everything else are kept. */
err place_map_file(const place_map *map, const char *path, const char *const *keys) ERR_MUST_CHECK;

#endif
