/* Cells that start from another cell's weights: the tuning part of an experiment file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "experiment/reader.h"

typedef struct {
  const yml_node *key, *from, *when, *unless;
  yml_node *overrides;
  const char *name;
  ptrdiff_t source;    /* index of another tuning; -1: the cells of the matrix */
  size_t first, count; /* its cells, once made */
  enum { UNSEEN, OPEN, MADE } state;
} tuning;

typedef struct {
  spec_reader *r;
  tuning *items;
  size_t count, matrix_cells;
} tunings;

static void suggest_tuning(tunings *t, const yml_node *from, const char *name) {
  enum { MOST = 32 };
  strbuf texts[MOST] = {{0}};
  const char *candidates[MOST];
  size_t count = 0;
  for (size_t i = 0; i < t->count && count < MOST; i++, count++) {
    strbuf_format(&texts[count], "${%s}", t->items[i].name);
    candidates[count] = strbuf_string(&texts[count]);
  }
  yml_problem(&t->r->problems, from, candidates, count, "from: there is no tuning '%s'", name);
  for (size_t i = 0; i < count; i++) strbuf_free(&texts[i]);
}

/* "${cell}" or "${NAME}" of another tuning. */
static void read_from(tunings *t, tuning *one) {
  yml_problems *problems = &t->r->problems;
  one->source = -1;
  if (yml_is_null(one->from)) {
    yml_problem(problems, one->key, NULL, 0,
                "tuning '%s' does not say what it starts from: give it from: \"${cell}\"",
                one->name);
    return;
  }
  size_t length = one->from->kind == YML_SCALAR ? strlen(one->from->scalar) : 0;
  if (length < 4 || strncmp(one->from->scalar, "${", 2) != 0 ||
      one->from->scalar[length - 1] != '}') {
    yml_problem(problems, one->from, NULL, 0,
                "from takes \"${cell}\" or \"${NAME}\" of another tuning");
    return;
  }
  char name[128];
  snprintf(name, sizeof name, "%.*s", (int)(length - 3), one->from->scalar + 2);
  if (strcmp(name, "cell") == 0) return;
  for (size_t i = 0; i < t->count; i++)
    if (strcmp(t->items[i].name, name) == 0) {
      one->source = (ptrdiff_t)i;
      return;
    }
  suggest_tuning(t, one->from, name);
}

static err read_one_tuning(tunings *t, const yml_node *key, const yml_node *map, tuning *one) {
  static const char *const own_keys[] = {"from", "when", "unless", NULL};
  one->key = key;
  one->name = key->scalar;
  one->from = yml_get(map, "from");
  const yml_node *when = yml_get(map, "when"), *unless = yml_get(map, "unless");
  yml_node *rest;
  nodes_pool *pool = &t->r->pool;
  err error = nodes_without(pool, map, own_keys, &rest);
  if (!error) error = nodes_flatten(pool, rest, &one->overrides);
  const yml_node *init = error ? NULL : yml_get_key(one->overrides, "init_from");
  if (init)
    yml_problem(&t->r->problems, init, NULL, 0,
                "tuning '%s' starts from the weights of the cell that `from` names, so init_from "
                "would have no effect",
                key->scalar);
  if (!error) settings_apply(&t->r->scratch, rest, NULL, &t->r->problems);
  if (!error) error = spec_read_conditions(t->r, when, "when", &one->when);
  if (!error) error = spec_read_conditions(t->r, unless, "unless", &one->unless);
  return error;
}

static err tune_cell(tunings *t, tuning *one, size_t parent) {
  spec_experiment *e = t->r->e;
  spec_cell *cell;
  bool is_wanted = true, is_unwanted = false;
  err error = NULL;
  if (one->when) error = spec_conditions_hold(t->r, one->when, &e->cells[parent], &is_wanted);
  if (!error && one->unless)
    error = spec_conditions_hold(t->r, one->unless, &e->cells[parent], &is_unwanted);
  if (error || !is_wanted || is_unwanted) return error;
  error = spec_add_cell(e, &cell);
  if (!error) error = settings_copy(&e->cells[parent].settings, &cell->settings);
  if (error) return error;
  const spec_cell *from = &e->cells[parent];
  e->cell_count++;
  cell->parent = (ptrdiff_t)parent;
  cell->ranks = from->ranks;
  settings_apply(&cell->settings, one->overrides, NULL, &t->r->problems);
  strbuf text = {0};
  strbuf_format(&text, "cell:%s", from->id);
  error = text.is_broken ? mem_error(0, "the experiment")
                         : setting_assign(settings_find("init_from"), &cell->settings, text.data);
  strbuf_clear(&text);
  strbuf_format(&text, "%s · %s tuning", from->label, one->name);
  cell->label = strbuf_take(&text);
  cell->tuning = mem_copy_string(one->name);
  if (!error && (!cell->label || !cell->tuning)) error = mem_error(0, "the experiment");
  for (size_t i = 0; i < from->axes.count && !error; i++)
    error = spec_pairs_add(&cell->axes, from->axes.items[i].key, from->axes.items[i].value,
                           from->axes.items[i].is_labeled);
  if (!error) error = spec_apply_changes(t->r, cell);
  if (!error) error = settings_fingerprint(&cell->settings, cell->id);
  if (error) return error;
  spec_check_cell(t->r, cell, one->key);
  one->count++;
  return NULL;
}

/* "--set samples=2k does not change the samples of tuning 'unmasked', …". The cell: its first. */
static err note_own_value(tunings *t, const tuning *one, const setting *row, const char *given) {
  spec_reader *r = t->r;
  const yml_node *node = yml_get(one->overrides, row->key);
  strbuf shared = {0}, used = {0}, text = {0};
  char *own = NULL;
  if (!node) return NULL;
  err error = spec_canonical(r, row->key, node, &own);
  setting_format(row, &r->shared, &shared);
  setting_format(row, &r->e->cells[one->first].settings, &used);
  bool is_own = !error && strcmp(strbuf_string(&used), own) == 0; /* not that of a --set-cell */
  if (is_own && strcmp(own, strbuf_string(&shared)) != 0) {
    strbuf_format(&text,
                  "--set %s does not change tuning '%s', which sets %s: %s itself; --set-cell "
                  "tuning=%s:%s does",
                  given, one->name, row->key, own, one->name, given);
    error = spec_names_add(&r->e->notices, strbuf_string(&text));
  }
  strbuf_free(&shared);
  strbuf_free(&used);
  strbuf_free(&text);
  free(own);
  return error;
}

/* What --set gives, and the tuning sets itself. */
static err note_own_values(tunings *t, const tuning *one) {
  const spec_options *options = t->r->options;
  err error = NULL;
  for (size_t i = 0; i < options->set_count && one->count && !error; i++) {
    char key[96];
    const char *given = options->set[i];
    snprintf(key, sizeof key, "%.*s", (int)strcspn(given, "="), given);
    const setting *row = settings_find(key);
    if (row) error = note_own_value(t, one, row, given);
  }
  return error;
}

static err make_tuning(tunings *t, tuning *one) {
  if (one->state == MADE) return NULL;
  if (one->state == OPEN) {
    yml_problem(&t->r->problems, one->from, NULL, 0, "tuning '%s' depends on itself", one->name);
    return NULL;
  }
  one->state = OPEN;
  size_t before = t->r->problems.count, first = 0, count = t->matrix_cells;
  err error = NULL;
  if (one->source >= 0) {
    tuning *source = &t->items[one->source];
    error = make_tuning(t, source);
    first = source->first;
    count = source->count;
  }
  if (!error) error = spec_check_conditions(t->r, one->when, "when", first, count);
  if (!error) error = spec_check_conditions(t->r, one->unless, "unless", first, count);
  one->first = t->r->e->cell_count;
  for (size_t i = 0; i < count && !error && t->r->problems.count == before; i++)
    error = tune_cell(t, one, first + i);
  one->state = MADE;
  if (!error && t->r->problems.count == before) error = note_own_values(t, one);
  if (!error && one->when && !one->count && count && t->r->problems.count == before &&
      !t->r->options->set_cell_count)
    yml_problem(&t->r->problems, one->key, NULL, 0,
                "tuning '%s' makes no cell%s%s: none matches its when; a profile without it says "
                "'%s: null'",
                one->name, t->r->e->profile ? " in profile " : "",
                t->r->e->profile ? t->r->e->profile : "", one->name);
  return error;
}

spec_use spec_use_of(const spec_cell *cell) {
  const settings *s = &cell->settings;
  if (s->classification_classes > 0) return SPEC_CLASSIFIES;
  bool is_still = s->base_learning_rate == 0 && s->learning_rate == 0;
  return is_still ? SPEC_MEASURES : SPEC_CONTINUES;
}

/* Cells of two tunings that use one cell in the same way: a table would show the first alone. */
static err refuse_rivals(tunings *t) {
  static const char *const uses[] = {"train a classifier from", "measure", "continue"};
  const spec_experiment *e = t->r->e;
  ptrdiff_t(*first)[SPEC_USES] = mem_zeroed(e->cell_count, sizeof *first);
  if (!first) return mem_error(e->cell_count * sizeof *first, "the experiment");
  for (size_t k = 0; k < t->count; k++) {
    const tuning *one = &t->items[k];
    for (size_t i = one->first; i < one->first + one->count; i++) {
      spec_use use = spec_use_of(&e->cells[i]);
      ptrdiff_t *place = &first[e->cells[i].parent][use]; /* index + 1; 0: none yet */
      if (*place) {
        yml_problem(
            &t->r->problems, one->key, NULL, 0,
            "tunings '%s' and '%s' both %s '%s', and a table shows one per row: put one of "
            "them into an experiment of its own (the cells that both have are trained once)",
            e->cells[*place - 1].tuning, one->name, uses[use], e->cells[e->cells[i].parent].label);
        break;
      }
      *place = (ptrdiff_t)i + 1;
    }
  }
  free(first);
  return NULL;
}

err spec_make_tunings(spec_reader *r) {
  const yml_node *node = yml_get(r->root, "tuning");
  if (yml_is_null(node)) return NULL;
  if (node->kind != YML_MAP) {
    yml_problem(&r->problems, node, NULL, 0, "tuning takes a map of name to settings");
    return NULL;
  }
  tunings t = {r, mem_zeroed(node->count, sizeof *t.items), 0, r->e->cell_count};
  if (!t.items) return mem_error(node->count * sizeof *t.items, "the experiment");
  err error = NULL;
  for (size_t i = 0; i < node->count && !error; i++) {
    if (yml_is_null(node->items[i])) continue;
    if (node->items[i]->kind == YML_MAP)
      error = read_one_tuning(&t, node->keys[i], node->items[i], &t.items[t.count++]);
    else
      yml_problem(&r->problems, node->items[i], NULL, 0, "a tuning takes a map of settings");
  }
  for (size_t i = 0; i < t.count && !error; i++) read_from(&t, &t.items[i]);
  for (size_t i = 0; i < t.count && !error; i++) error = make_tuning(&t, &t.items[i]);
  if (!error && !r->problems.count) error = refuse_rivals(&t);
  free(t.items);
  return error;
}