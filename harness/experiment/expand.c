/* The matrix: axes → combinations → cells. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "experiment/reader.h"

enum { MOST_CELLS = 100000 };

/* One item of an axis, or one include entry: settings and their labels. */
typedef struct {
  yml_node *map;         /* flat settings, maybe with `base` */
  const yml_node *where; /* for problems */
  spec_pairs pairs;
  int64_t ranks, nodes; /* 0: the layer does not give them */
} layer;

typedef struct {
  const char *name;
  layer *items;
  size_t count;
} axis;

/* Pointers into axes and includes, applied in order. */
typedef struct {
  const layer **layers;
  size_t count;
} combo;

typedef struct {
  spec_reader *r;
  axis *axes;
  size_t axis_count;
  layer *includes;
  size_t include_count;
  combo *combos;
  size_t combo_count, combo_capacity;
} matrix;

/* ---- layers ---- */

static err name_ranks(matrix *m, const char *key, int64_t count, bool is_labeled, layer *made) {
  char value[24];
  if (!count) return NULL;
  snprintf(value, sizeof value, "%lld", (long long)count);
  err error = spec_pairs_add(&made->pairs, key, value, is_labeled);
  if (!error && !spec_names_has(&m->r->axes, key)) error = spec_names_add(&m->r->axes, key);
  return error;
}

static err name_layer(matrix *m, const char *axis_name, const yml_node *label, layer *made) {
  err error = NULL;
  if (!yml_is_null(label)) {
    if (label->kind != YML_SCALAR)
      yml_problem(&m->r->problems, label, NULL, 0, "label takes text");
    else
      error = spec_pairs_add(&made->pairs, axis_name, label->scalar, true);
    if (!error && !spec_names_has(&m->r->axes, axis_name))
      error = spec_names_add(&m->r->axes, axis_name);
  }
  if (error) return error;
  bool is_labeled = made->pairs.count == 0;
  TRY(name_ranks(m, "ranks", made->ranks, is_labeled, made));
  TRY(name_ranks(m, "nodes", made->nodes, is_labeled, made));
  for (size_t i = 0; i < made->map->count && !error; i++) {
    const char *key = made->map->keys[i]->scalar;
    char *value = NULL;
    if (!settings_find(key) && strcmp(key, "base") != 0) continue; /* already reported */
    error = spec_canonical(m->r, key, made->map->items[i], &value);
    if (!error) error = spec_pairs_add(&made->pairs, key, value, is_labeled);
    if (!error && !spec_names_has(&m->r->axes, key)) error = spec_names_add(&m->r->axes, key);
    free(value);
  }
cleanup:
  return error;
}

/* ranks or nodes of a layer, which are no settings. */
static void read_count(matrix *m, const yml_node *map, const char *key, int64_t *count) {
  const yml_node *node = yml_get(map, key);
  if (yml_is_null(node)) return;
  if (node->kind != YML_SCALAR || !yml_as_int(node->scalar, count) || *count < 1)
    yml_problem(&m->r->problems, node, NULL, 0, "%s: a whole number from 1 on is expected here",
                key);
}

/* Reads a map of settings, optionally with `label`, as a layer. Its values are checked here,
 * once. */
static err make_layer(matrix *m, const char *axis_name, const yml_node *map, layer *made) {
  static const char *const not_settings[] = {"label", "ranks", "nodes", NULL};
  yml_node *rest;
  made->where = map;
  err error = nodes_without(&m->r->pool, map, not_settings, &rest);
  if (error) return error;
  size_t before = m->r->problems.count;
  read_count(m, map, "ranks", &made->ranks);
  read_count(m, map, "nodes", &made->nodes);
  settings_apply(&m->r->scratch, rest, m->r->e->path, &m->r->problems);
  error = nodes_flatten(&m->r->pool, rest, &made->map);
  if (error || m->r->problems.count > before) return error;
  return name_layer(m, axis_name, yml_get(map, "label"), made);
}

/* The values of an axis are the labels of its items, where some have one: of an item without, what
 * it sets, so that its row has a name. */
static err complete_labels(const axis *a) {
  err error = NULL;
  size_t labels = 0;
  for (size_t i = 0; i < a->count; i++)
    labels += spec_pairs_get(&a->items[i].pairs, a->name) != NULL;
  for (size_t i = 0; i < a->count && labels && !error; i++) {
    spec_pairs *pairs = &a->items[i].pairs;
    if (spec_pairs_get(pairs, a->name)) continue;
    strbuf name = {0};
    for (size_t k = 0; k < pairs->count; k++)
      strbuf_format(&name, "%s%s=%s", k ? " " : "", pairs->items[k].key, pairs->items[k].value);
    error = spec_pairs_add(pairs, a->name, strbuf_string(&name), false);
    strbuf_free(&name);
  }
  return error;
}

static err make_axis(matrix *m, const yml_node *key, const yml_node *values, axis *made) {
  err error = NULL;
  made->name = key->scalar;
  if (values->kind == YML_MAP || yml_is_null(values) ||
      (values->kind == YML_SEQUENCE && values->count == 0)) {
    yml_problem(&m->r->problems, key, NULL, 0,
                "axis '%s' is empty: give it a list of values, or leave it out", key->scalar);
    return NULL;
  }
  size_t count = values->kind == YML_SCALAR ? 1 : values->count;
  made->items = mem_zeroed(count, sizeof *made->items);
  if (!made->items) return mem_error(count * sizeof *made->items, "the experiment");
  made->count = count;
  size_t before = m->r->problems.count;
  for (size_t i = 0; i < count && !error; i++) {
    const yml_node *value = values->kind == YML_SCALAR ? values : values->items[i];
    if (value->kind == YML_MAP) {
      error = make_layer(m, made->name, value, &made->items[i]);
    } else {
      yml_node *map;
      error = nodes_map(&m->r->pool, value, 1, &map);
      if (error) break;
      nodes_put(map, key, value);
      error = make_layer(m, made->name, map, &made->items[i]);
    }
    if (m->r->problems.count > before && value->kind != YML_MAP)
      break; /* a wrong key, reported
              * once */
  }
  if (!error && m->r->problems.count == before) error = complete_labels(made);
  return error;
}

static err read_axes(matrix *m) {
  const yml_node *node = yml_get(m->r->root, "matrix");
  err error = NULL;
  if (yml_is_null(node)) return NULL;
  if (node->kind != YML_MAP) {
    yml_problem(&m->r->problems, node, NULL, 0,
                "matrix takes a map of axis name to list of values");
    return NULL;
  }
  m->axes = mem_zeroed(node->count, sizeof *m->axes);
  if (!m->axes) return mem_error(node->count * sizeof *m->axes, "the experiment");
  for (size_t i = 0; i < node->count && !error; i++) {
    if (yml_is_null(node->items[i]) && m->r->options->profile)
      continue; /* removed by the profile */
    error = make_axis(m, node->keys[i], node->items[i], &m->axes[m->axis_count++]);
  }
  return error;
}

/* The item of the axis that sets a key; NULL: none. */
static const layer *find_setter(const axis *a, const char *key) {
  for (size_t i = 0; i < a->count; i++)
    if (yml_get(a->items[i].map, key)) return &a->items[i];
  return NULL;
}

static void say_shared(matrix *m, const axis *a, const axis *b, const char *key,
                       const layer *where) {
  yml_problem(&m->r->problems, where->where, NULL, 0,
              "axes '%s' and '%s' both set %s: leave it out of one of them", a->name, b->name, key);
}

static const layer *find_ranks(const axis *a, bool are_nodes) {
  for (size_t i = 0; i < a->count; i++)
    if (are_nodes ? a->items[i].nodes : a->items[i].ranks) return &a->items[i];
  return NULL;
}

/* With two axes setting one key, a cell's label would not match its settings. */
static void refuse_shared_keys(matrix *m) {
  for (size_t b = 1; b < m->axis_count; b++)
    for (size_t a = 0; a < b; a++)
      for (int k = 0; k < 2; k++)
        if (find_ranks(&m->axes[a], k) && find_ranks(&m->axes[b], k))
          say_shared(m, &m->axes[a], &m->axes[b], k ? "nodes" : "ranks",
                     find_ranks(&m->axes[b], k));
  for (size_t b = 1; b < m->axis_count; b++)
    for (size_t a = 0; a < b; a++)
      for (size_t i = 0; i < m->axes[a].count; i++) {
        const yml_node *map = m->axes[a].items[i].map;
        for (size_t k = 0; k < map->count; k++) {
          const char *key = map->keys[k]->scalar;
          const layer *other = find_setter(&m->axes[b], key);
          if (!other || strcmp(key, "base") == 0) continue;
          say_shared(m, &m->axes[a], &m->axes[b], key, other);
          return;
        }
      }
}

/* ---- combinations ---- */

static err add_combo(matrix *m, const layer *const *layers, size_t count) {
  if (m->combo_count == m->combo_capacity) {
    size_t larger = m->combo_capacity ? m->combo_capacity * 2 : 64;
    combo *grown = mem_resize(m->combos, larger, sizeof *grown);
    if (!grown) return mem_error(larger * sizeof *grown, "the experiment");
    m->combos = grown;
    m->combo_capacity = larger;
  }
  combo *made = &m->combos[m->combo_count];
  *made = (combo){mem_zeroed(count, sizeof *made->layers), count};
  if (!made->layers) return mem_error(count * sizeof *made->layers, "the experiment");
  if (count) memcpy(made->layers, layers, count * sizeof *layers);
  m->combo_count++;
  return NULL;
}

static err extend_combo(combo *c, const layer *more) {
  const layer **grown = mem_resize(c->layers, c->count + 1, sizeof *grown);
  if (!grown) return mem_error(sizeof *grown, "the experiment");
  c->layers = grown;
  c->layers[c->count++] = more;
  return NULL;
}

static const char *combo_value(const combo *c, const char *key) {
  for (size_t i = c->count; i-- > 0;) {
    const char *value = spec_pairs_get(&c->layers[i]->pairs, key);
    if (value) return value;
  }
  return NULL;
}

/* The last axis varies fastest, as in nested loops in file order. */
static err multiply_axes(matrix *m) {
  size_t total = 1;
  for (size_t i = 0; i < m->axis_count; i++) {
    if (m->axes[i].count == 0) return NULL; /* already reported */
    total *= m->axes[i].count;
    if (total > MOST_CELLS) {
      yml_problem(&m->r->problems, yml_get_key(m->r->root, "matrix"), NULL, 0,
                  "the matrix has more than %d cells", MOST_CELLS);
      return NULL;
    }
  }
  const layer **chosen = mem_zeroed(m->axis_count, sizeof *chosen);
  if (!chosen) return mem_error(m->axis_count * sizeof *chosen, "the experiment");
  err error = NULL;
  for (size_t index = 0; index < total && !error; index++) {
    size_t rest = index;
    for (size_t i = m->axis_count; i-- > 0;) {
      chosen[i] = &m->axes[i].items[rest % m->axes[i].count];
      rest /= m->axes[i].count;
    }
    error = add_combo(m, chosen, m->axis_count);
  }
  free(chosen);
  return error;
}

static err exclude_matching(matrix *m, const yml_node *entry) {
  yml_node *flat;
  err error = nodes_flatten(&m->r->pool, entry, &flat);
  if (error) return error;
  size_t before = m->r->problems.count;
  spec_check_keys(m->r, flat, "exclude: it is not an axis of the matrix",
                  (const char *const *)m->r->axes.items, m->r->axes.count);
  if (m->r->problems.count > before) return NULL;
  size_t kept = 0, total = m->combo_count;
  for (size_t i = 0; i < total && !error; i++) {
    bool is_match = true;
    for (size_t k = 0; k < flat->count && is_match && !error; k++)
      error = spec_value_is_among(m->r, flat->keys[k]->scalar, flat->items[k],
                                  combo_value(&m->combos[i], flat->keys[k]->scalar), &is_match);
    if (m->r->problems.count > before) is_match = false;
    if (is_match && !error) {
      free(m->combos[i].layers);
    } else {
      m->combos[kept++] = m->combos[i];
    }
    if (m->r->problems.count > before || error) { /* leave the others unchanged */
      while (++i < total) m->combos[kept++] = m->combos[i];
    }
  }
  m->combo_count = kept;
  if (!error && kept == total && m->r->problems.count == before && !m->r->options->profile)
    yml_problem(&m->r->problems, entry, NULL, 0, "this exclude entry matches no cell");
  return error;
}

/* As in CI matrices: an entry that agrees with combinations in every axis key that it names adds
 * its other settings to them; an entry that agrees with none becomes a cell of its own. */
static err include_entry(matrix *m, const layer *entry, size_t matrix_combos) {
  bool is_used = false;
  err error = NULL;
  for (size_t i = 0; i < matrix_combos && !error; i++) {
    bool agrees = true;
    for (size_t k = 0; k < entry->pairs.count && agrees; k++) {
      bool is_axis = false;
      for (size_t a = 0; a < m->axis_count; a++)
        for (size_t j = 0; j < m->axes[a].count; j++)
          is_axis =
              is_axis || spec_pairs_get(&m->axes[a].items[j].pairs, entry->pairs.items[k].key);
      const char *value = combo_value(&m->combos[i], entry->pairs.items[k].key);
      if (is_axis && (!value || strcmp(value, entry->pairs.items[k].value) != 0)) agrees = false;
    }
    if (!agrees) continue;
    error = extend_combo(&m->combos[i], entry);
    is_used = true;
  }
  if (!error && !is_used) error = add_combo(m, &entry, 1);
  return error;
}

static err read_list(matrix *m, const char *key, const yml_node **list) {
  const yml_node *node = yml_get(m->r->root, key);
  *list = NULL;
  if (yml_is_null(node)) return NULL;
  if (node->kind != YML_SEQUENCE) {
    yml_problem(&m->r->problems, node, NULL, 0, "%s takes a list of maps", key);
    return NULL;
  }
  for (size_t i = 0; i < node->count; i++)
    if (node->items[i]->kind != YML_MAP) {
      yml_problem(&m->r->problems, node->items[i], NULL, 0, "%s takes a list of maps", key);
      return NULL;
    }
  *list = node;
  return NULL;
}

static err read_include_and_exclude(matrix *m) {
  const yml_node *exclude, *include;
  err error = read_list(m, "exclude", &exclude);
  for (size_t i = 0; exclude && i < exclude->count && !error; i++)
    error = exclude_matching(m, exclude->items[i]);
  if (!error) error = read_list(m, "include", &include);
  if (error || !include) return error;
  m->includes = mem_zeroed(include->count, sizeof *m->includes);
  if (!m->includes) return mem_error(include->count * sizeof *m->includes, "the experiment");
  if (m->axis_count == 0 && include->count > 0) { /* the list is the whole matrix */
    for (size_t i = 0; i < m->combo_count; i++) free(m->combos[i].layers);
    m->combo_count = 0;
  }
  size_t matrix_combos = m->combo_count;
  for (size_t i = 0; i < include->count && !error; i++) {
    size_t before = m->r->problems.count;
    error = make_layer(m, "label", include->items[i], &m->includes[m->include_count++]);
    if (!error && m->r->problems.count == before)
      error = include_entry(m, &m->includes[i], matrix_combos);
  }
  return error;
}

/* ---- cells ---- */

static err start_settings(matrix *m, const combo *c, settings *s) {
  bool has_base = false;
  for (size_t i = 0; i < c->count; i++) has_base = has_base || yml_get(c->layers[i]->map, "base");
  if (!has_base) return settings_copy(&m->r->shared, s);
  /* a base in the matrix has lower priority than the file's settings and higher than the file's
   * base */
  err error = settings_init(s);
  const yml_node *file_base = yml_get(m->r->root, "base"), *own = yml_get(m->r->root, "settings");
  yml_node *map;
  if (!error && !yml_is_null(file_base)) {
    error = nodes_map(&m->r->pool, file_base, 1, &map);
    if (error) return error;
    nodes_put(map, yml_get_key(m->r->root, "base"), file_base);
    settings_apply(s, map, m->r->e->path, &m->r->problems);
  }
  for (size_t i = 0; i < c->count && !error; i++) {
    const yml_node *base = yml_get(c->layers[i]->map, "base");
    if (!base) continue;
    error = nodes_map(&m->r->pool, base, 1, &map);
    if (error) return error;
    nodes_put(map, yml_get_key(c->layers[i]->map, "base"), base);
    settings_apply(s, map, m->r->e->path, &m->r->problems);
  }
  if (!error && !yml_is_null(own)) settings_apply(s, own, NULL, &m->r->problems);
  for (size_t i = 0; i < m->r->options->set_count && !error; i++)
    error = settings_set(s, m->r->options->set[i]);
  return error;
}

static err label_cell(const spec_reader *r, spec_cell *cell) {
  strbuf label = {0};
  for (size_t i = 0; i < cell->axes.count; i++)
    if (cell->axes.items[i].is_labeled) {
      const spec_pair *pair = &cell->axes.items[i];
      if (label.length) strbuf_append_char(&label, ' ');
      if (settings_find(pair->key) || strcmp(pair->key, "base") == 0 ||
          spec_is_ranks_key(pair->key))
        strbuf_format(&label, "%s=%s", pair->key, pair->value);
      else
        strbuf_append(&label, pair->value); /* an explicit label is used as it is */
    }
  if (!label.length) strbuf_append(&label, r->e->name);
  cell->label = strbuf_take(&label);
  return cell->label ? NULL : mem_error(0, "the experiment");
}

static err set_text(char **text, const char *format, ...) __attribute__((format(printf, 2, 3)));
static err set_text(char **text, const char *format, ...) {
  strbuf made = {0};
  va_list arguments;
  va_start(arguments, format);
  strbuf_format_list(&made, format, arguments);
  va_end(arguments);
  free(*text);
  *text = strbuf_take(&made);
  return *text ? NULL : mem_error(0, "the experiment");
}

/* The explicit label among a layer's names; NULL: it is named by its values. */
static const char *label_key(const layer *l) {
  const spec_pair *first = l->pairs.count ? &l->pairs.items[0] : NULL;
  bool is_value = first && (settings_find(first->key) || strcmp(first->key, "base") == 0 ||
                            spec_is_ranks_key(first->key));
  return first && !is_value ? first->key : NULL;
}

/* If a layer with an explicit label does not run all the settings that the label implies, add the
 * difference: "half (mask_ratio=0.75)". */
static err amend_label(const combo *c, spec_cell *cell, const char *key, const char *value) {
  for (size_t i = 0; i < c->count; i++) {
    const char *label = label_key(c->layers[i]);
    if (!label || !spec_pairs_get(&c->layers[i]->pairs, key)) continue;
    for (size_t k = 0; k < cell->axes.count; k++) {
      spec_pair *pair = &cell->axes.items[k];
      char *before = pair->value;
      if (strcmp(pair->key, label) != 0) continue;
      pair->value = NULL;
      err error = set_text(&pair->value, "%s (%s=%s)", before, key, value);
      free(before);
      return error;
    }
  }
  return NULL;
}

/* A cell is named by what it runs: where a later source (--set-cell, an include) overrides a value
 * from the matrix, its coordinates get the new value. */
static err name_what_runs(const combo *c, spec_cell *cell) {
  strbuf now = {0};
  err error = NULL;
  for (size_t k = 0; k < cell->axes.count && !error; k++) {
    spec_pair *pair = &cell->axes.items[k];
    const setting *row = settings_find(pair->key);
    if (!row) continue;
    strbuf_clear(&now);
    setting_format(row, &cell->settings, &now);
    if (strcmp(pair->value, strbuf_string(&now)) == 0) continue;
    error = set_text(&pair->value, "%s", strbuf_string(&now));
    if (!error) error = amend_label(c, cell, pair->key, strbuf_string(&now));
  }
  strbuf_free(&now);
  return error;
}

/* ranks and nodes are no settings; a later layer's replace an earlier one's. */
static err name_ranks_that_run(spec_cell *cell) {
  err error = NULL;
  for (size_t k = 0; k < cell->axes.count && !error; k++) {
    spec_pair *pair = &cell->axes.items[k];
    if (!spec_is_ranks_key(pair->key)) continue;
    bool is_nodes = strcmp(pair->key, "nodes") == 0;
    error = set_text(&pair->value, "%ld", (long)(is_nodes ? cell->ranks.nodes : cell->ranks.ranks));
  }
  return error;
}

/* The names that a layer gives a cell. Two layers may name one cell by a label of an axis only if
 * they give it the same: a row cannot have two. */
static err add_names(spec_reader *r, const layer *l, spec_cell *cell) {
  err error = NULL;
  const char *label = label_key(l);
  for (size_t k = 0; k < l->pairs.count && !error; k++) {
    const spec_pair *pair = &l->pairs.items[k];
    const char *before = spec_pairs_get(&cell->axes, pair->key);
    if (!before)
      error = spec_pairs_add(&cell->axes, pair->key, pair->value, pair->is_labeled);
    else if (label && strcmp(pair->key, label) == 0 && strcmp(before, pair->value) != 0)
      yml_problem(
          &r->problems, l->where, NULL, 0,
          "this cell already has %s '%s', from another entry for the same values: merge the "
          "two, or give them values that differ",
          label, before);
  }
  return error;
}

static err make_cell(matrix *m, const combo *c) {
  static const char *const base_only[] = {"base", NULL};
  spec_cell *cell;
  err error = spec_add_cell(m->r->e, &cell);
  if (error) return error;
  error = start_settings(m, c, &cell->settings);
  if (error) return error;
  m->r->e->cell_count++;
  for (size_t i = 0; i < c->count && !error; i++) {
    const layer *l = c->layers[i];
    yml_node *map = l->map;
    if (l->ranks) cell->ranks.ranks = l->ranks;
    if (l->nodes) cell->ranks.nodes = l->nodes;
    if (yml_get(map, "base")) error = nodes_without(&m->r->pool, l->map, base_only, &map);
    if (!error) settings_apply(&cell->settings, map, NULL, &m->r->problems);
    if (!error) error = add_names(m->r, l, cell);
  }
  if (!error) error = spec_apply_changes(m->r, cell);
  if (!error) error = name_what_runs(c, cell);
  if (!error) error = name_ranks_that_run(cell);
  cell->ranks.is_axis = cell->ranks.ranks || cell->ranks.nodes;
  if (!error) error = label_cell(m->r, cell);
  if (!error) error = spec_make_id(cell);
  if (error) return error;
  spec_check_cell(m->r, cell, c->count ? c->layers[c->count - 1]->where : m->r->root);
  return NULL;
}

/* ---- entry point ---- */

static int compare_ids(const void *a, const void *b) {
  const spec_cell *const *x = a, *const *y = b;
  int order = strcmp((*x)->id, (*y)->id);
  return order ? order : (*x > *y) - (*x < *y);
}

static err refuse_duplicates(spec_reader *r) {
  const spec_experiment *e = r->e;
  const spec_cell **sorted = mem_zeroed(e->cell_count, sizeof *sorted);
  if (!sorted) return mem_error(e->cell_count * sizeof *sorted, "the experiment");
  for (size_t i = 0; i < e->cell_count; i++) sorted[i] = &e->cells[i];
  qsort(sorted, e->cell_count, sizeof *sorted, compare_ids);
  const yml_node *where = yml_get_key(r->root, "matrix");
  if (!where) where = yml_get_key(r->root, "include");
  for (size_t i = 1; i < e->cell_count; i++)
    if (strcmp(sorted[i - 1]->id, sorted[i]->id) == 0)
      yml_problem(&r->problems, where ? where : r->root, NULL, 0,
                  "two cells are the same run: '%s' and '%s' have equal settings",
                  sorted[i - 1]->label, sorted[i]->label);
  free(sorted);
  return NULL;
}

static void free_layers(layer *layers, size_t count) {
  for (size_t i = 0; i < count; i++) spec_pairs_free(&layers[i].pairs);
  free(layers);
}

err spec_expand(spec_reader *r) {
  matrix m = {.r = r};
  err error = NULL;
  TRY(read_axes(&m));
  if (!r->problems.count) refuse_shared_keys(&m);
  TRY(multiply_axes(&m));
  TRY(read_include_and_exclude(&m));
  if (r->problems.count)
    goto cleanup; /* cells with invalid values would only repeat the
                   * problems */
  TRY(spec_read_changes(r));
  for (size_t i = 0; i < m.combo_count; i++) TRY(make_cell(&m, &m.combos[i]));
  if (r->e->cell_count == 0)
    yml_problem(&r->problems, r->root, NULL, 0, "no cell is left after exclude");
  TRY(spec_make_tunings(r));
  TRY(spec_finish_changes(r));
  if (r->problems.count == 0) TRY(refuse_duplicates(r));
cleanup:
  for (size_t i = 0; i < m.combo_count; i++) free(m.combos[i].layers);
  free(m.combos);
  for (size_t i = 0; i < m.axis_count; i++) free_layers(m.axes[i].items, m.axes[i].count);
  free(m.axes);
  free_layers(m.includes, m.include_count);
  return error;
}
