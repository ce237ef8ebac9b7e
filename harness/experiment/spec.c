#include "experiment/spec.h"

#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "experiment/reader.h"

const char *spec_pairs_get(const spec_pairs *pairs, const char *key) {
  for (size_t i = 0; i < pairs->count; i++)
    if (strcmp(pairs->items[i].key, key) == 0) return pairs->items[i].value;
  return NULL;
}

err spec_pairs_add(spec_pairs *pairs, const char *key, const char *value, bool is_labeled) {
  spec_pair *grown = mem_resize(pairs->items, pairs->count + 1, sizeof *grown);
  if (!grown) return mem_error(sizeof *grown, "the experiment");
  pairs->items = grown;
  spec_pair *pair = &grown[pairs->count];
  *pair = (spec_pair){mem_copy_string(key), mem_copy_string(value), is_labeled};
  pairs->count++;
  return pair->key && pair->value ? NULL : mem_error(strlen(value), "the experiment");
}

void spec_pairs_free(spec_pairs *pairs) {
  for (size_t i = 0; i < pairs->count; i++) {
    free(pairs->items[i].key);
    free(pairs->items[i].value);
  }
  free(pairs->items);
  *pairs = (spec_pairs){0};
}

err spec_names_add(spec_names *names, const char *name) {
  char **grown = mem_resize(names->items, names->count + 1, sizeof *grown);
  if (!grown) return mem_error(sizeof *grown, "the experiment");
  names->items = grown;
  grown[names->count] = mem_copy_string(name);
  if (!grown[names->count]) return mem_error(strlen(name), "the experiment");
  names->count++;
  return NULL;
}

bool spec_names_has(const spec_names *names, const char *name) {
  for (size_t i = 0; i < names->count; i++)
    if (strcmp(names->items[i], name) == 0) return true;
  return false;
}

void spec_names_free(spec_names *names) {
  for (size_t i = 0; i < names->count; i++) free(names->items[i]);
  free(names->items);
  *names = (spec_names){0};
}

err spec_read_names(spec_reader *r, const yml_node *node, const char *what, spec_names *names) {
  if (yml_is_null(node)) return NULL;
  if (node->kind == YML_SCALAR) return spec_names_add(names, node->scalar);
  if (node->kind == YML_MAP) {
    yml_problem(&r->problems, node, NULL, 0, "%s takes a name or a list of names, not a map", what);
    return NULL;
  }
  err error = NULL;
  for (size_t i = 0; i < node->count && !error; i++) {
    if (node->items[i]->kind == YML_SCALAR)
      error = spec_names_add(names, node->items[i]->scalar);
    else
      yml_problem(&r->problems, node->items[i], NULL, 0, "%s takes a list of plain names", what);
  }
  return error;
}

err spec_read_text(spec_reader *r, const char *key, char **text) {
  const yml_node *node = yml_get(r->root, key);
  if (yml_is_null(node)) return NULL;
  if (node->kind != YML_SCALAR) {
    yml_problem(&r->problems, node, NULL, 0, "%s takes text, not a %s", key,
                node->kind == YML_MAP ? "map" : "list");
    return NULL;
  }
  *text = mem_copy_string(node->scalar);
  return *text ? NULL : mem_error(strlen(node->scalar), "the experiment");
}

void spec_check_keys(spec_reader *r, const yml_node *map, const char *where,
                     const char *const *names, size_t count) {
  for (size_t i = 0; i < map->count; i++) {
    bool is_known = false;
    for (size_t k = 0; k < count; k++)
      is_known = is_known || strcmp(map->keys[i]->scalar, names[k]) == 0;
    if (!is_known)
      yml_problem(&r->problems, map->keys[i], names, count, "unknown key '%s' in %s",
                  map->keys[i]->scalar, where);
  }
}

void spec_check_group(spec_reader *r, const yml_node *map, const char *where, format_group group) {
  const char *keys[FORMAT_MOST_KEYS];
  size_t count = format_keys(group, keys);
  spec_check_keys(r, map, where, keys, count);
}

err spec_canonical(spec_reader *r, const char *key, const yml_node *node, char **text) {
  const setting *row = settings_find(key);
  strbuf out = {0};
  if (row) {
    setting_apply_node(row, &r->scratch, node, &r->problems);
    setting_format(row, &r->scratch, &out);
  } else if (node->kind == YML_SCALAR) {
    strbuf_append(&out, node->scalar);
  } else {
    yml_problem(&r->problems, node, NULL, 0, "%s takes one value here", key);
  }
  *text = strbuf_take(&out);
  return *text ? NULL : mem_error(0, "the experiment");
}

/* ---- the file as a whole ---- */

/* '-' would make it an option of the commands that take the name. */
static bool is_good_name(const char *name) {
  if (!*name || *name == '.' || *name == '-') return false;
  return strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") ==
         strlen(name);
}

/* What else lies in a results folder: "flipbench.db", and with an ending the files beside it. */
static bool is_taken_name(const char *name) {
  static const char *const taken[] = {"index.html", "paper.html", "benchmarks", "builds"};
  static const char database[] = "flipbench.db";
  bool is_taken = strncmp(name, database, sizeof database - 1) == 0;
  for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
    is_taken = is_taken || strcmp(name, taken[i]) == 0;
  return is_taken;
}

/* The name is used for a folder under results/, hence the restricted alphabet. Default: the file's
 * stem. */
static err read_name(spec_reader *r) {
  char *name = NULL;
  err error = spec_read_text(r, "name", &name);
  if (error) return error;
  if (name && !is_good_name(name))
    yml_problem(&r->problems, yml_get(r->root, "name"), NULL, 0,
                "name '%s' may only hold letters, digits, '_', '-' and '.', and not begin with "
                "'-' or '.'",
                name);
  if (!name) {
    name = mem_copy_string(fs_name(r->e->path));
    char *dot = name ? strrchr(name, '.') : NULL;
    if (dot && dot != name) *dot = '\0';
    if (name && !is_good_name(name))
      yml_problem(&r->problems, r->root, NULL, 0,
                  "the file's name is the experiment's, which may only hold letters, digits, '_', "
                  "'-' and '.', and not begin with '-' or '.': give it another one as 'name:'");
  }
  if (name && is_taken_name(name))
    yml_problem(&r->problems, r->root, NULL, 0,
                "the name '%s' is taken: flipbench keeps a file or a folder of that name in the "
                "results folder; give the experiment another one as 'name:'",
                name);
  strbuf full = {0};
  strbuf_append(&full, name ? name : "");
  if (r->options->profile) strbuf_format(&full, "@%s", r->options->profile);
  free(name);
  r->e->name = strbuf_take(&full);
  return r->e->name ? NULL : mem_error(0, "the experiment");
}

static err merge_profile(spec_reader *r) {
  const yml_node *profiles = yml_get(r->root, "profiles");
  const char *wanted = r->options->profile;
  if (yml_is_null(profiles)) {
    if (!wanted) return NULL;
    return err_new(ERR_INPUT, "%s: has no profiles, so --profile %s cannot be chosen", r->e->path,
                   wanted);
  }
  if (profiles->kind != YML_MAP) {
    yml_problem(&r->problems, profiles, NULL, 0, "profiles takes a map of name to overrides");
    return NULL;
  }
  for (size_t i = 0; i < profiles->count; i++)
    if (profiles->items[i]->kind == YML_MAP)
      spec_check_group(r, profiles->items[i], "a profile", FORMAT_TOP);
    else
      yml_problem(&r->problems, profiles->items[i], NULL, 0, "a profile takes a map");
  for (size_t i = 0; i < profiles->count; i++) {
    err error = spec_names_add(&r->e->profiles, profiles->keys[i]->scalar);
    if (error) return error;
  }
  if (!wanted) return NULL;
  const yml_node *chosen = yml_get(profiles, wanted);
  if (!chosen) {
    strbuf names = {0};
    for (size_t i = 0; i < profiles->count; i++)
      strbuf_format(&names, "%s%s", i ? ", " : "", profiles->keys[i]->scalar);
    err error = err_new(ERR_INPUT, "%s: no profile '%s'; it has: %s", r->e->path, wanted,
                        strbuf_string(&names));
    strbuf_free(&names);
    return error;
  }
  return chosen->kind == YML_MAP ? nodes_merge(&r->pool, r->root, chosen, &r->root) : NULL;
}

/* base, settings and --set: the defaults of every cell. */
static err read_shared(spec_reader *r) {
  err error = NULL;
  const yml_node *base = yml_get(r->root, "base"), *own = yml_get(r->root, "settings");
  if (!yml_is_null(base)) {
    yml_node *map;
    error = nodes_map(&r->pool, base, 1, &map);
    if (error) return error;
    nodes_put(map, yml_get_key(r->root, "base"), base);
    settings_apply(&r->shared, map, r->e->path, &r->problems);
  }
  if (!yml_is_null(own)) settings_apply(&r->shared, own, NULL, &r->problems);
  for (size_t i = 0; i < r->options->set_count && !error; i++)
    error = settings_set(&r->shared, r->options->set[i]);
  return error;
}

static err read_schedule(spec_reader *r) {
  static const char *const names[] = {"order", "turns"};
  char *text = NULL;
  err error = spec_read_text(r, "schedule", &text);
  if (error || !text) return error;
  if (strcmp(text, names[0]) == 0)
    r->e->schedule = SCHEDULE_ORDER;
  else if (strcmp(text, names[1]) == 0)
    r->e->schedule = SCHEDULE_TURNS;
  else
    yml_problem(&r->problems, yml_get(r->root, "schedule"), names, 2,
                "schedule is 'turns' or 'order', not '%s'", text);
  free(text);
  return NULL;
}

/* What names and titles contain reaches terminals, where it could be an escape sequence. Names of
 * rows are also parts of lines: of tables, and of the scripts of figures. */
static void refuse_controls(spec_reader *r, const yml_node *node, bool is_name) {
  if (node->kind == YML_SCALAR) {
    for (const unsigned char *at = (const unsigned char *)node->scalar; *at; at++) {
      bool is_c1 = at[0] == 0xC2 && at[1] >= 0x80 && at[1] < 0xA0;
      bool is_blank = !is_name && (*at == '\t' || *at == '\n');
      if (!is_c1 && (*at >= 0x20 || is_blank) && *at != 0x7F) continue;
      yml_problem(&r->problems, node, NULL, 0, "contains the control character U+%04X",
                  is_c1 ? at[1] : at[0]);
      return;
    }
    return;
  }
  for (size_t i = 0; i < node->count; i++) {
    const yml_node *key = node->kind == YML_MAP ? node->keys[i] : NULL;
    if (key) refuse_controls(r, key, true);
    bool is_part = key && key->kind == YML_SCALAR &&
                   (strcmp(key->scalar, "label") == 0 || strcmp(key->scalar, "matrix") == 0);
    refuse_controls(r, node->items[i], is_name || is_part);
  }
}

static err read_all(spec_reader *r) {
  err error = NULL;
  if (r->root->kind != YML_MAP)
    return err_new(ERR_INPUT, "%s: an experiment is a map of keys (name, base, matrix, report, …)",
                   r->e->path);
  refuse_controls(r, r->root, false);
  spec_check_group(r, r->root, "the experiment", FORMAT_TOP);
  TRY(merge_profile(r));
  TRY(read_name(r));
  TRY(spec_read_text(r, "title", &r->e->title));
  TRY(spec_read_text(r, "source", &r->e->source));
  TRY(read_schedule(r));
  TRY(read_shared(r));
  TRY(spec_expand(r));
  TRY(spec_read_needs(r));
  TRY(spec_read_report(r));
  TRY(spec_read_claims(r));
  TRY(spec_check_sets(r));
cleanup:
  if (error) { /* fatal errors come after the problems collected so far */
    err problems = yml_problems_take(&r->problems);
    if (!problems) return error;
    err both = err_new(ERR_INPUT, "%s\n%s", err_message(problems), err_message(error));
    err_free(problems);
    err_free(error);
    return both;
  }
  return yml_problems_take(&r->problems);
}

err spec_parse(const char *path, const char *text, size_t length, const spec_options *options,
               spec_experiment **out) {
  err error = NULL;
  yml_document *document = NULL;
  spec_reader r = {.options = options};
  r.e = mem_zeroed(1, sizeof *r.e);
  if (!r.e) return mem_error(sizeof *r.e, path);
  r.e->path = mem_copy_string(path);
  r.e->text = mem_zeroed(length + 1, 1);
  if (options->profile) r.e->profile = mem_copy_string(options->profile);
  if (!r.e->path || !r.e->text || (options->profile && !r.e->profile))
    FAIL(ERR_MEMORY, "out of memory: %s", path);
  memcpy(r.e->text, text, length);
  for (size_t i = 0; i < options->set_count; i++) TRY(spec_names_add(&r.e->set, options->set[i]));
  for (size_t i = 0; i < options->set_cell_count; i++)
    TRY(spec_names_add(&r.e->set_cell, options->set_cell[i]));
  TRY(yml_parse(path, text, length, &document));
  r.root = yml_root(document);
  TRY(settings_init(&r.shared));
  TRY(settings_init(&r.scratch));
  TRY(read_all(&r));
  *out = r.e;
cleanup:
  settings_free(&r.shared);
  settings_free(&r.scratch);
  spec_names_free(&r.axes);
  for (size_t i = 0; i < r.change_count; i++) spec_pairs_free(&r.changes[i].where);
  free(r.changes);
  strbuf_free(&r.last_check);
  nodes_free(&r.pool);
  yml_free(document);
  if (error) spec_free(r.e);
  return error;
}

err spec_load(const char *path, const spec_options *options, spec_experiment **e) {
  char *text = NULL;
  size_t length = 0;
  err error = fs_read(path, &text, &length);
  if (!error) error = spec_parse(path, text, length, options, e);
  free(text);
  return error;
}

static void free_report(spec_report *report) {
  spec_names_free(&report->rows);
  spec_names_free(&report->columns);
  spec_names_free(&report->plots);
  spec_pairs_free(&report->baseline);
  for (size_t i = 0; i < report->reference_count; i++) {
    spec_pairs_free(&report->references[i].where);
    free(report->references[i].source);
  }
  free(report->references);
  free(report->main_set);
  free(report->shifted_set);
}

static void free_needs(spec_experiment *e) {
  spec_pairs_free(&e->environment);
  spec_names_free(&e->requires.variables);
  spec_names_free(&e->requires.files);
  free(e->slurm.partition);
  free(e->slurm.account);
  free(e->slurm.qos);
  free(e->slurm.constraint);
  free(e->slurm.mpi);
  spec_names_free(&e->slurm.options);
  spec_names_free(&e->slurm.setup);
}

void spec_free(spec_experiment *e) {
  if (!e) return;
  for (size_t i = 0; i < e->cell_count; i++) {
    settings_free(&e->cells[i].settings);
    spec_pairs_free(&e->cells[i].axes);
    free(e->cells[i].label);
    free(e->cells[i].tuning);
  }
  free(e->cells);
  free_needs(e);
  free_report(&e->report);
  spec_free_claims(e);
  free(e->path);
  free(e->name);
  free(e->title);
  free(e->source);
  free(e->profile);
  spec_names_free(&e->profiles);
  spec_names_free(&e->set);
  spec_names_free(&e->set_cell);
  spec_names_free(&e->notices);
  free(e->text);
  free(e);
}

const char *spec_cell_value(const spec_cell *cell, const char *key, strbuf *scratch) {
  const char *value = spec_pairs_get(&cell->axes, key);
  if (!value && strcmp(key, "tuning") == 0) return cell->tuning ? cell->tuning : "";
  /* a tuning cell's settings differ from its coordinates in the matrix: its settings are what it
   * runs */
  const setting *row = settings_find(key);
  if (value && !(row && cell->tuning)) return value;
  if (!row) return value;
  strbuf_clear(scratch);
  setting_format(row, &cell->settings, scratch);
  return strbuf_string(scratch);
}

const spec_cell *spec_find_cell(const spec_experiment *e, const char *id) {
  for (size_t i = 0; i < e->cell_count; i++)
    if (strcmp(e->cells[i].id, id) == 0) return &e->cells[i];
  return NULL;
}

bool spec_cell_matches(const spec_cell *cell, const spec_pairs *where) {
  strbuf scratch = {0};
  bool is_match = true;
  for (size_t i = 0; i < where->count && is_match; i++) {
    const char *value = spec_cell_value(cell, where->items[i].key, &scratch);
    is_match = value && strcmp(value, where->items[i].value) == 0;
  }
  strbuf_free(&scratch);
  return is_match;
}
