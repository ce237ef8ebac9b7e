/* Small YAML trees built from pieces of a file: merged maps, one-key maps. Nodes keep their
 * positions in the file, so that a problem found in a built tree still points to the user's line.
 * Internal to spec/. */
#ifndef FLIPBENCH_EXPERIMENT_NODES_H
#define FLIPBENCH_EXPERIMENT_NODES_H

#include "base/err.h"
#include "config/yaml.h"

/* Owns the created nodes; initialise with {0}, release with nodes_free. */
typedef struct {
  void **blocks;
  size_t count, capacity;
} nodes_pool;

void nodes_free(nodes_pool *pool);

/* An empty map at the position of `like`, with room for `capacity` pairs. */
err nodes_map(nodes_pool *pool, const yml_node *like, size_t capacity,
              yml_node **map) ERR_MUST_CHECK;
void nodes_put(yml_node *map, const yml_node *key, const yml_node *item);
/* A plain scalar at the position of `like`. */
err nodes_scalar(nodes_pool *pool, const yml_node *like, const char *text,
                 yml_node **scalar) ERR_MUST_CHECK;
/* Merges `over` into `under`: maps key by key, anything else is replaced. */
err nodes_merge(nodes_pool *pool, const yml_node *under, const yml_node *over,
                const yml_node **merged) ERR_MUST_CHECK;
/* Flattens a map of settings with groups: `image: {size: 112}` becomes `image.size: 112`. */
err nodes_flatten(nodes_pool *pool, const yml_node *map, yml_node **flat) ERR_MUST_CHECK;
/* `map` without the given keys; `names` ends with NULL. */
err nodes_without(nodes_pool *pool, const yml_node *map, const char *const *names,
                  yml_node **rest) ERR_MUST_CHECK;

#endif
