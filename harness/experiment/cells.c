/* Shared by the code that makes cells: the list, the check, conditions on a cell, and changes to
 * some cells from the command line. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "experiment/reader.h"

err spec_add_cell(spec_experiment *e, spec_cell **made) {
  *made = NULL;
  if ((e->cell_count & (e->cell_count - 1)) == 0) { /* capacity is the next power of two */
    spec_cell *grown = mem_resize(e->cells, e->cell_count ? e->cell_count * 2 : 1, sizeof *grown);
    if (!grown) return mem_error(e->cell_count * 2 * sizeof *grown, "the experiment");
    e->cells = grown;
  }
  *made = &e->cells[e->cell_count];
  **made = (spec_cell){.parent = SPEC_NO_PARENT};
  return NULL;
}

const char *spec_parent_id(const settings *s) {
  static const char mark[] = "cell:";
  bool has_one = strncmp(s->init_from, mark, strlen(mark)) == 0;
  return has_one ? s->init_from + strlen(mark) : NULL;
}

void spec_check_cell(spec_reader *r, const spec_cell *cell, const yml_node *where) {
  err error =
      r->options->trains ? settings_check(&cell->settings) : settings_check_shown(&cell->settings);
  if (!error) return;
  if (strcmp(err_message(error), strbuf_string(&r->last_check)) != 0) {
    strbuf_clear(&r->last_check);
    strbuf_append(&r->last_check, err_message(error));
    yml_problem(&r->problems, where, NULL, 0, "cell %s: %s", cell->label, err_message(error));
  }
  err_free(error);
}

/* ---- conditions ---- */

err spec_value_is_among(spec_reader *r, const char *key, const yml_node *node, const char *value,
                        bool *is_among) {
  err error = NULL;
  size_t count = node->kind == YML_SEQUENCE ? node->count : 1;
  *is_among = false;
  for (size_t i = 0; i < count && !error; i++) {
    char *wanted = NULL;
    error = spec_canonical(r, key, node->kind == YML_SEQUENCE ? node->items[i] : node, &wanted);
    if (!error && value && strcmp(wanted, value) == 0) *is_among = true;
    free(wanted);
  }
  return error;
}

static bool tells_cells_apart(const spec_reader *r, const char *key) {
  return settings_find(key) || spec_names_has(&r->axes, key) || strcmp(key, "tuning") == 0;
}

err spec_read_conditions(spec_reader *r, const yml_node *node, const char *what,
                         const yml_node **conditions) {
  yml_node *flat;
  *conditions = NULL;
  if (yml_is_null(node)) return NULL;
  if (node->kind != YML_MAP) {
    yml_problem(&r->problems, node, NULL, 0, "%s takes a map of settings", what);
    return NULL;
  }
  err error = nodes_flatten(&r->pool, node, &flat);
  if (error) return error;
  *conditions = flat;
  for (size_t k = 0; k < flat->count; k++) {
    size_t key_count;
    const char *const *keys = settings_keys(&key_count);
    if (!tells_cells_apart(r, flat->keys[k]->scalar))
      yml_problem(&r->problems, flat->keys[k], keys, key_count,
                  "'%s' is neither a setting nor an axis", flat->keys[k]->scalar);
  }
  return NULL;
}

/* Has any of the cells the value that a condition asks for? */
static err is_met(spec_reader *r, const char *key, const yml_node *value, size_t first,
                  size_t count, bool *is_any) {
  strbuf scratch = {0};
  err error = NULL;
  *is_any = false;
  for (size_t i = first; i < first + count && !*is_any && !error; i++)
    error =
        spec_value_is_among(r, key, value, spec_cell_value(&r->e->cells[i], key, &scratch), is_any);
  strbuf_free(&scratch);
  return error;
}

err spec_check_conditions(spec_reader *r, const yml_node *conditions, const char *what,
                          size_t first, size_t count) {
  err error = NULL;
  if (!conditions || r->e->profiles.count || r->options->set_cell_count) return NULL;
  for (size_t k = 0; k < conditions->count && !error; k++) {
    const yml_node *values = conditions->items[k];
    const bool is_list = values->kind == YML_SEQUENCE;
    for (size_t i = 0; i < (is_list ? values->count : 1) && !error; i++) {
      const yml_node *value = is_list ? values->items[i] : values;
      bool is_any;
      error = is_met(r, conditions->keys[k]->scalar, value, first, count, &is_any);
      if (!error && !is_any)
        yml_problem(&r->problems, value, NULL, 0, "%s: no cell has %s %s", what,
                    conditions->keys[k]->scalar, value->kind == YML_SCALAR ? value->scalar : "");
    }
  }
  return error;
}

err spec_conditions_hold(spec_reader *r, const yml_node *conditions, const spec_cell *cell,
                         bool *hold) {
  strbuf scratch = {0};
  err error = NULL;
  *hold = true;
  for (size_t k = 0; k < conditions->count && *hold && !error; k++) {
    const char *key = conditions->keys[k]->scalar;
    error = spec_value_is_among(r, key, conditions->items[k], spec_cell_value(cell, key, &scratch),
                                hold);
  }
  strbuf_free(&scratch);
  return error;
}

/* ---- --set-cell WHERE:KEY=VALUE ---- */

/* Parses "mask_ratio=0.5,seed=1" into conditions on a cell, with canonical values. */
static err parse_where(spec_reader *r, const char *text, size_t length, spec_pairs *where) {
  err error = NULL;
  char *copy = mem_zeroed(length + 1, 1);
  if (!copy) return mem_error(length, "--set-cell");
  memcpy(copy, text, length);
  for (char *rest = copy, *part; !error && (part = strsep(&rest, ","));) {
    char *equals = strchr(part, '=');
    if (!equals || equals == part) FAIL(ERR_INPUT, "'%s' is not AXIS=VALUE", part);
    *equals = '\0';
    if (!tells_cells_apart(r, part)) {
      size_t count;
      const char *const *keys = settings_keys(&count);
      const char *nearest = text_nearest(part, keys, count);
      FAIL(ERR_INPUT, "'%s' is neither a setting nor an axis%s%s%s", part,
           nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
    }
    yml_node *node;
    char *value = NULL;
    TRY(nodes_scalar(&r->pool, r->root, equals + 1, &node));
    if (settings_find(part)) TRY(setting_assign(settings_find(part), &r->scratch, equals + 1));
    TRY(spec_canonical(r, part, node, &value));
    error = spec_pairs_add(where, part, value, false);
    free(value);
  }
cleanup:
  free(copy);
  return error;
}

err spec_read_changes(spec_reader *r) {
  const spec_options *options = r->options;
  if (!options->set_cell_count) return NULL;
  r->changes = mem_zeroed(options->set_cell_count, sizeof *r->changes);
  if (!r->changes) return mem_error(0, "--set-cell");
  for (size_t i = 0; i < options->set_cell_count; i++) {
    const char *text = options->set_cell[i], *colon = strchr(text, ':');
    if (!colon || colon == text)
      return err_new(ERR_INPUT, "--set-cell %s: write it as AXIS=VALUE[,AXIS=VALUE]:KEY=VALUE",
                     text);
    spec_change *change = &r->changes[r->change_count++];
    change->assignment = colon + 1;
    err error = parse_where(r, text, (size_t)(colon - text), &change->where);
    if (!error) error = settings_set(&r->scratch, change->assignment);
    char key[64];
    snprintf(key, sizeof key, "%.*s", (int)strcspn(change->assignment, "="), change->assignment);
    change->row = settings_find(key);
    if (error) return err_context(error, "--set-cell %s", text);
  }
  return NULL;
}

/* A change to a result is part of the cell's name: for a matrix cell as part of its coordinates,
 * for a tuning cell (which has its parent's coordinates) appended to its label. */
static err name_change(spec_reader *r, spec_cell *cell, const spec_change *change) {
  strbuf value = {0}, label = {0};
  err error = NULL;
  if (!change->row || !change->row->is_identity) return NULL;
  const char *key = change->row->key;
  setting_format(change->row, &cell->settings, &value);
  if (cell->tuning) {
    strbuf_format(&label, "%s %s=%s", cell->label, key, strbuf_string(&value));
    free(cell->label);
    cell->label = strbuf_take(&label);
    if (!cell->label) error = mem_error(0, "the experiment");
  } else if (!spec_pairs_get(&cell->axes, key)) {
    error = spec_pairs_add(&cell->axes, key, strbuf_string(&value), true);
    if (!error && !spec_names_has(&r->axes, key)) error = spec_names_add(&r->axes, key);
  }
  strbuf_free(&value);
  return error;
}

err spec_apply_changes(spec_reader *r, spec_cell *cell) {
  err error = NULL;
  for (size_t i = 0; i < r->change_count && !error; i++) {
    spec_change *change = &r->changes[i];
    /* a tuning cell already has its parent's changes; its own are named with `tuning=` */
    if (cell->tuning && !spec_pairs_get(&change->where, "tuning")) continue;
    if (!spec_cell_matches(cell, &change->where)) continue;
    change->is_used = true;
    if (cell->tuning && strcmp(change->row->key, "init_from") == 0)
      return err_new(ERR_INPUT,
                     "--set-cell %s: a tuning starts from the weights of its own cell, so "
                     "init_from would have no effect",
                     r->options->set_cell[i]);
    error = settings_set(&cell->settings, change->assignment);
    if (!error) error = name_change(r, cell, change);
  }
  return error;
}

err spec_finish_changes(const spec_reader *r) {
  for (size_t i = 0; i < r->change_count; i++)
    if (!r->changes[i].is_used)
      return err_new(ERR_INPUT, "--set-cell %s: matches no cell of the experiment",
                     r->options->set_cell[i]);
  return NULL;
}
