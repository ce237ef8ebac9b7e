/* A cell's requirements and limits: environment, requires, limits, slurm. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "experiment/reader.h"

const spec_limits spec_limits_not_given = {-1, -1, -1, -1, -1};
static const double default_retry_wait_seconds = 10;

/* One entry of `limits`: the cells it applies to and its values (unset ones are -1). */
typedef struct {
  const yml_node *when;
  spec_limits values;
} limits_entry;

static void read_number(spec_reader *r, const format_row *row, const yml_node *node, char *field) {
  const char *text = node->scalar;
  int64_t count;
  if (row->kind == FORMAT_DURATION) {
    if (!text_parse_duration(text, (double *)(void *)field))
      yml_problem(&r->problems, node, NULL, 0, "%s: '%s' is not a duration (90, 30s, 1h30m, 2d)",
                  row->key, text);
  } else if (row->kind == FORMAT_BYTES) {
    if (!text_parse_bytes(text, (int64_t *)(void *)field))
      yml_problem(&r->problems, node, NULL, 0, "%s: '%s' is not a size (512MiB, 8GiB, 8GB)",
                  row->key, text);
  } else if (yml_as_int(text, &count) && count >= 0) {
    *(int64_t *)(void *)field = count;
  } else {
    yml_problem(&r->problems, node, NULL, 0, "%s: '%s' is not a whole number from 0 on", row->key,
                text);
  }
}

static err read_value(spec_reader *r, const format_row *row, const yml_node *node, char *field) {
  bool is_plain = row->kind == FORMAT_TEXT || row->kind == FORMAT_COUNT ||
                  row->kind == FORMAT_DURATION || row->kind == FORMAT_BYTES;
  if (row->kind == FORMAT_NAMES)
    return spec_read_names(r, node, row->key, (spec_names *)(void *)field);
  if (!is_plain) return NULL; /* parsed by its own reader */
  if (node->kind != YML_SCALAR) {
    yml_problem(&r->problems, node, NULL, 0, "%s takes one value, not a %s", row->key,
                node->kind == YML_MAP ? "map" : "list");
    return NULL;
  }
  if (row->kind != FORMAT_TEXT) {
    read_number(r, row, node, field);
    return NULL;
  }
  char **text = (char **)(void *)field;
  free(*text);
  *text = mem_copy_string(node->scalar);
  return *text ? NULL : mem_error(0, "the experiment");
}

err spec_read_group(spec_reader *r, format_group group, const yml_node *map, void *into) {
  static const char *const names[] = {"the experiment", "a tuning", "limits",    "requires",
                                      "slurm",          "report",   "reference", "a claim"};
  size_t count;
  const format_row *table = format_table(&count);
  err error = NULL;
  if (yml_is_null(map)) return NULL;
  if (map->kind != YML_MAP) {
    yml_problem(&r->problems, map, NULL, 0, "%s takes a map", names[group]);
    return NULL;
  }
  spec_check_group(r, map, names[group], group);
  for (size_t i = 0; i < count && !error; i++) {
    const yml_node *node = table[i].group == group ? yml_get(map, table[i].key) : NULL;
    if (!yml_is_null(node)) error = read_value(r, &table[i], node, (char *)into + table[i].offset);
  }
  return error;
}

static err read_environment(spec_reader *r, const yml_node *node) {
  err error = NULL;
  if (yml_is_null(node)) return NULL;
  if (node->kind != YML_MAP) {
    yml_problem(&r->problems, node, NULL, 0, "environment takes a map of variable to value");
    return NULL;
  }
  for (size_t i = 0; i < node->count && !error; i++) {
    const char *name = node->keys[i]->scalar;
    if (yml_is_null(node->items[i])) continue; /* a profile leaves it out */
    if (!*name || strchr(name, '='))
      yml_problem(&r->problems, node->keys[i], NULL, 0, "'%s' is not a valid variable name", name);
    else if (node->items[i]->kind != YML_SCALAR)
      yml_problem(&r->problems, node->items[i], NULL, 0, "%s takes one value", name);
    else
      error = spec_pairs_add(&r->e->environment, name, node->items[i]->scalar, false);
    if (!error && strcmp(name, "OMP_NUM_THREADS") == 0)
      error = spec_names_add(&r->e->notices, "environment: OMP_NUM_THREADS has no effect on "
                                             "training, which has as many threads as the setting "
                                             "'threads' says");
  }
  return error;
}

static err read_limits_entry(spec_reader *r, const yml_node *map, limits_entry *entry) {
  entry->values = spec_limits_not_given;
  err error = spec_read_group(r, FORMAT_LIMITS, map, &entry->values);
  if (!error && map->kind == YML_MAP)
    error = spec_read_conditions(r, yml_get(map, "when"), "when", &entry->when);
  return error;
}

void spec_limits_lay_over(spec_limits *limits, const spec_limits *given) {
  if (given->time_seconds >= 0) limits->time_seconds = given->time_seconds;
  if (given->memory_bytes >= 0) limits->memory_bytes = given->memory_bytes;
  if (given->retries >= 0) limits->retries = given->retries;
  if (given->retry_wait_seconds >= 0) limits->retry_wait_seconds = given->retry_wait_seconds;
  if (given->fewest_ranks >= 0) limits->fewest_ranks = given->fewest_ranks;
}

/* A map for all cells, or a list of maps, of which later ones take precedence. */
static err read_limits(spec_reader *r, const yml_node *node) {
  for (size_t i = 0; i < r->e->cell_count; i++)
    r->e->cells[i].limits.retry_wait_seconds = default_retry_wait_seconds;
  if (yml_is_null(node)) return NULL;
  if (node->kind == YML_SCALAR) {
    yml_problem(&r->problems, node, NULL, 0, "limits takes a map, or a list of maps");
    return NULL;
  }
  size_t count = node->kind == YML_SEQUENCE ? node->count : 1;
  limits_entry *entries = mem_zeroed(count, sizeof *entries);
  if (!entries) return mem_error(count * sizeof *entries, "the experiment");
  size_t before = r->problems.count;
  err error = NULL;
  for (size_t i = 0; i < count && !error; i++)
    error = read_limits_entry(r, node->kind == YML_SEQUENCE ? node->items[i] : node, &entries[i]);
  for (size_t i = 0; i < count && !error && r->problems.count == before; i++)
    error = spec_check_conditions(r, entries[i].when, "when", 0, r->e->cell_count);
  for (size_t c = 0; c < r->e->cell_count && r->problems.count == before; c++)
    for (size_t i = 0; i < count && !error; i++) {
      bool is_meant = true;
      if (entries[i].when)
        error = spec_conditions_hold(r, entries[i].when, &r->e->cells[c], &is_meant);
      if (is_meant) spec_limits_lay_over(&r->e->cells[c].limits, &entries[i].values);
    }
  free(entries);
  return error;
}

err spec_read_needs(spec_reader *r) {
  err error = NULL;
  TRY(read_environment(r, yml_get(r->root, "environment")));
  TRY(read_limits(r, yml_get(r->root, "limits")));
  TRY(spec_read_group(r, FORMAT_REQUIRES, yml_get(r->root, "requires"), &r->e->requires));
  TRY(spec_read_ranks(r));
  TRY(spec_read_group(r, FORMAT_SLURM, yml_get(r->root, "slurm"), &r->e->slurm));
cleanup:
  return error;
}
