#include "config/settings.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/shipped.h"

enum { DEEPEST_BASE = 16, LONGEST_KEY = 128 };

#define ROW_INT(field, key, initial, least, most, identity, help)                                  \
  {SETTING_INT, offsetof(settings, field), key, least, most, #initial, NULL, identity, help},
#define ROW_REAL(field, key, initial, least, most, identity, help)                                 \
  {SETTING_REAL, offsetof(settings, field), key, least, most, #initial, NULL, identity, help},
#define ROW_BOOL(field, key, initial, identity, help)                                              \
  {SETTING_BOOL, offsetof(settings, field), key, 0, 0, #initial, NULL, identity, help},
#define ROW_TEXT(field, key, initial, identity, help)                                              \
  {SETTING_TEXT, offsetof(settings, field), key, 0, 0, initial, NULL, identity, help},
#define ROW_LIST(field, key, identity, help)                                                       \
  {SETTING_LIST, offsetof(settings, field), key, 0, 0, "[]", NULL, identity, help},
#define ROW_PICK(field, key, initial, choices, identity, help)                                     \
  {SETTING_PICK, offsetof(settings, field), key, 0, 0, #initial, choices, identity, help},
#define ROW_LEVEL(field, key, initial, most, choices, identity, help)                              \
  {SETTING_LEVEL, offsetof(settings, field), key, 0, most, #initial, choices, identity, help},
static const setting table[] = {
    SETTINGS_TABLE(ROW_INT, ROW_REAL, ROW_BOOL, ROW_TEXT, ROW_LIST, ROW_PICK, ROW_LEVEL)};
enum { ROW_COUNT = sizeof table / sizeof *table };

#define KEY_ONLY(field, key, ...) key,
static const char *const keys[] = {
    SETTINGS_TABLE(KEY_ONLY, KEY_ONLY, KEY_ONLY, KEY_ONLY, KEY_ONLY, KEY_ONLY, KEY_ONLY) "base"};

const setting *settings_table(size_t *count) {
  *count = ROW_COUNT;
  return table;
}

const char *const *settings_keys(size_t *count) {
  *count = ROW_COUNT;
  return keys;
}

const setting *settings_find(const char *key) {
  for (size_t i = 0; i < ROW_COUNT; i++)
    if (strcmp(table[i].key, key) == 0) return &table[i];
  return NULL;
}

static void *field_of(const setting *row, settings *s) {
  return (char *)s + row->offset;
}

static const void *const_field_of(const setting *row, const settings *s) {
  return (const char *)s + row->offset;
}

static void free_list(settings_list *list) {
  for (size_t i = 0; i < list->count; i++) free(list->items[i]);
  free(list->items);
  *list = (settings_list){0};
}

static err add_item(settings_list *list, const char *item) {
  char **grown = mem_resize(list->items, list->count + 1, sizeof *grown);
  if (!grown) return mem_error(sizeof *grown, "the settings");
  list->items = grown;
  list->items[list->count] = mem_copy_string(item);
  if (!list->items[list->count]) return mem_error(strlen(item), "the settings");
  list->count++;
  return NULL;
}

static err replace_text(char **field, const char *text) {
  char *copy = mem_copy_string(text);
  if (!copy) return mem_error(strlen(text), "the settings");
  free(*field);
  *field = copy;
  return NULL;
}

/* Index of `name` among "a|b|c"; -1 when absent. */
static int find_choice(const char *choices, const char *name) {
  size_t length = strlen(name);
  int index = 0;
  for (const char *at = choices; length; index++) {
    size_t width = strcspn(at, "|");
    if (width == length && strncmp(at, name, length) == 0) return index;
    if (!at[width]) break;
    at += width + 1;
  }
  return -1;
}

static void format_choice(const char *choices, int index, strbuf *out) {
  while (index-- > 0) choices += strcspn(choices, "|") + 1;
  strbuf_append_bytes(out, choices, strcspn(choices, "|"));
}

static err wrong_value(const setting *row, const char *text, const char *wanted) {
  return err_new(ERR_INPUT, "%s: '%s' is not %s", row->key, text, wanted);
}

static err check_limits(const setting *row, double value, const char *text) {
  if (value >= row->least && value <= row->most) return NULL;
  char least[32], most[32];
  jsonw_shortest(row->least, least);
  jsonw_shortest(row->most, most);
  return err_new(ERR_INPUT, "%s: %s is outside [%s, %s]", row->key, text, least, most);
}

/* What YAML 1.1 also accepted as true and false. */
static bool is_old_bool(const char *text) {
  static const char *const words[] = {"yes", "no", "on", "off", "y", "n"};
  for (size_t i = 0; i < sizeof words / sizeof *words; i++)
    if (strcasecmp(text, words[i]) == 0) return true;
  return false;
}

/* Settings are recorded as YAML and JSON, which have no other bytes. */
static err check_utf8(const setting *row, const char *text) {
  if (text_is_utf8(text)) return NULL;
  strbuf shown = {0};
  text_escape(text, &shown);
  err error = err_new(ERR_INPUT,
                      "%s: '%s' is not UTF-8, in which settings are recorded: rename the file or "
                      "its folder, or give it by a symbolic link with another name",
                      row->key, strbuf_string(&shown));
  strbuf_free(&shown);
  return error;
}

static err take_item(const setting *row, settings_list *list, const char *item) {
  err error = check_utf8(row, item);
  return error ? error : add_item(list, item);
}

err setting_assign(const setting *row, settings *s, const char *text) {
  void *field = field_of(row, s);
  int64_t whole;
  double real;
  switch (row->type) {
  case SETTING_INT:
    if (!yml_as_int(text, &whole))
      return wrong_value(row, text, "a whole number (60k and 12.8M are)");
    *(int64_t *)field = whole;
    return check_limits(row, (double)whole, text);
  case SETTING_LEVEL: {
    int index = find_choice(row->choices, text);
    *(int64_t *)field = -1 - index;
    if (index >= 0) return NULL;
    if (!yml_as_int(text, &whole))
      return err_new(ERR_INPUT, "%s: '%s' is neither a whole number nor one of %s", row->key, text,
                     row->choices);
    *(int64_t *)field = whole;
    return check_limits(row, (double)whole, text);
  }
  case SETTING_REAL:
    if (!yml_as_real(text, &real)) return wrong_value(row, text, "a number");
    *(double *)field = real;
    return check_limits(row, real, text);
  case SETTING_BOOL:
    if (yml_as_bool(text, field)) return NULL;
    return wrong_value(row, text,
                       is_old_bool(text) ? "true or false (a boolean in YAML 1.1, a string in 1.2)"
                                         : "true or false");
  case SETTING_PICK: {
    int index = find_choice(row->choices, text);
    if (index < 0)
      return err_new(ERR_INPUT, "%s: '%s' is not one of %s", row->key, text, row->choices);
    *(int *)field = index;
    return NULL;
  }
  case SETTING_TEXT: {
    err error = check_utf8(row, text);
    return error ? error : replace_text(field, text);
  }
  case SETTING_LIST:
    free_list(field);
    return *text ? take_item(row, field, text) : NULL;
  }
  return NULL;
}

void setting_apply_node(const setting *row, settings *s, const yml_node *node,
                        yml_problems *problems) {
  err error = NULL;
  if (yml_is_null(node) && row->type != SETTING_TEXT && row->type != SETTING_LIST) {
    error =
        err_new(ERR_INPUT, "%s: null is not allowed; remove the key to use its default", row->key);
  } else if (node->kind == YML_SCALAR) {
    error = setting_assign(row, s, yml_is_null(node) ? "" : node->scalar);
  } else if (row->type == SETTING_LIST && node->kind == YML_SEQUENCE) {
    free_list(field_of(row, s));
    for (size_t i = 0; i < node->count && !error; i++) {
      if (node->items[i]->kind == YML_SCALAR && !yml_is_null(node->items[i]))
        error = take_item(row, field_of(row, s), node->items[i]->scalar);
      else
        yml_problem(problems, node->items[i], NULL, 0, "%s takes a list of plain words", row->key);
    }
  } else {
    yml_problem(problems, node, NULL, 0, "%s takes %s, not a %s", row->key,
                row->type == SETTING_LIST ? "a list" : "one value",
                node->kind == YML_MAP ? "map" : "list");
  }
  if (!error) return;
  const char *candidates[16];
  char choices[256] = "";
  size_t count = 0;
  if (row->choices) {
    snprintf(choices, sizeof choices, "%s", row->choices);
    for (char *rest = choices, *name; (name = strsep(&rest, "|")) && count < 16;)
      candidates[count++] = name;
  }
  yml_problem(problems, node, candidates, count, "%s", err_message(error));
  err_free(error);
}

static const char *const precision_names[] = {"auto", "fp32", "bf16", "fp8"};

const char *precision_name(int precision) {
  return precision_names[precision];
}

int precision_from_name(const char *name) {
  for (int i = PRECISION_FP32; name && i <= PRECISION_FP8; i++)
    if (strcmp(name, precision_names[i]) == 0) return i;
  return PRECISION_FP32;
}

void setting_format(const setting *row, const settings *s, strbuf *out) {
  const void *field = const_field_of(row, s);
  char number[32];
  switch (row->type) {
  case SETTING_INT:
    strbuf_format(out, "%" PRId64, *(const int64_t *)field);
    break;
  case SETTING_LEVEL:
    if (*(const int64_t *)field < 0)
      format_choice(row->choices, (int)(-1 - *(const int64_t *)field), out);
    else
      strbuf_format(out, "%" PRId64, *(const int64_t *)field);
    break;
  case SETTING_REAL:
    jsonw_shortest(*(const double *)field, number);
    strbuf_append(out, number);
    break;
  case SETTING_BOOL:
    strbuf_append(out, *(const bool *)field ? "true" : "false");
    break;
  case SETTING_TEXT:
    yml_write_scalar(out, *(char *const *)field);
    break;
  case SETTING_PICK:
    format_choice(row->choices, *(const int *)field, out);
    break;
  case SETTING_LIST: {
    const settings_list *list = field;
    strbuf_append_char(out, '[');
    for (size_t i = 0; i < list->count; i++) {
      if (i) strbuf_append(out, ", ");
      yml_write_scalar(out, list->items[i]);
    }
    strbuf_append_char(out, ']');
    break;
  }
  }
}

err settings_init(settings *s) {
  memset(s, 0, sizeof *s);
  err error = NULL;
  for (size_t i = 0; i < ROW_COUNT && !error; i++) {
    const setting *row = &table[i];
    if (row->type == SETTING_PICK)
      *(int *)field_of(row, s) = atoi(row->initial);
    else if (row->type != SETTING_LIST)
      error = setting_assign(row, s, row->initial);
  }
  if (error) settings_free(s);
  return error;
}

err settings_copy(const settings *from, settings *to) {
  *to = *from;
  for (size_t i = 0; i < ROW_COUNT; i++) { /* do not free what still belongs to `from` */
    if (table[i].type == SETTING_TEXT) *(char **)field_of(&table[i], to) = NULL;
    if (table[i].type == SETTING_LIST)
      *(settings_list *)field_of(&table[i], to) = (settings_list){0};
  }
  err error = NULL;
  for (size_t i = 0; i < ROW_COUNT && !error; i++) {
    const void *field = const_field_of(&table[i], from);
    if (table[i].type == SETTING_TEXT)
      error = replace_text(field_of(&table[i], to), *(char *const *)field);
    if (table[i].type == SETTING_LIST) {
      const settings_list *list = field;
      for (size_t j = 0; j < list->count && !error; j++)
        error = add_item(field_of(&table[i], to), list->items[j]);
    }
  }
  if (error) settings_free(to);
  return error;
}

void settings_free(settings *s) {
  for (size_t i = 0; i < ROW_COUNT; i++) {
    if (table[i].type == SETTING_TEXT) {
      free(*(char **)field_of(&table[i], s));
      *(char **)field_of(&table[i], s) = NULL;
    }
    if (table[i].type == SETTING_LIST) free_list(field_of(&table[i], s));
  }
}

/* The first key that starts with "prefix.", without that; NULL: it is no group. */
static const char *first_of_group(const char *prefix) {
  size_t length = strlen(prefix);
  for (size_t i = 0; i < ROW_COUNT; i++)
    if (strncmp(table[i].key, prefix, length) == 0 && table[i].key[length] == '.')
      return table[i].key + length + 1;
  return NULL;
}

static bool is_group(const char *prefix) {
  return first_of_group(prefix) != NULL;
}

const char *settings_alternative(const char *key) {
  static const char *const pairs[][2] = {{"samples", "epochs"},
                                         {"warmup_samples", "warmup_epochs"},
                                         {"learning_rate", "base_learning_rate"}};
  for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
    for (int k = 0; k < 2; k++)
      if (strcmp(key, pairs[i][k]) == 0) return pairs[i][1 - k];
  return NULL;
}

/* Alternative settings: one set by a later layer resets the other. Both in one map are kept, for
 * settings_check to reject; of the two rates the later one counts, as a profile's is merged into
 * the map of its file, and recorded settings have both, base_learning_rate first. */
static void take_back_alternative(settings *s, const yml_node *map, const char *key) {
  if (strcmp(key, "samples") == 0 && !yml_get(map, "epochs")) s->epochs = 0;
  if (strcmp(key, "epochs") == 0 && !yml_get(map, "samples")) s->samples = 0;
  if (strcmp(key, "warmup_samples") == 0 && !yml_get(map, "warmup_epochs")) s->warmup_epochs = 0;
  if (strcmp(key, "warmup_epochs") == 0 && !yml_get(map, "warmup_samples")) s->warmup_samples = 0;
  if (strcmp(key, "base_learning_rate") == 0) s->learning_rate = 0;
}

/* given [ROW_COUNT]: the key that gave each setting in this map, NULL: none yet. */
static void apply_pairs(settings *s, const yml_node *map, const char *prefix,
                        const yml_node **given, yml_problems *problems) {
  for (size_t i = 0; i < map->count; i++) {
    const yml_node *key_node = map->keys[i];
    char key[LONGEST_KEY];
    snprintf(key, sizeof key, "%s%s%s", prefix, *prefix ? "." : "", key_node->scalar);
    const setting *row = settings_find(key);
    if (row && given[row - table]) {
      yml_problem(problems, key_node, NULL, 0,
                  "%s is given twice, nested and dotted (first on line %d)", key,
                  given[row - table]->line);
    } else if (row) {
      given[row - table] = key_node;
      setting_apply_node(row, s, map->items[i], problems);
      take_back_alternative(s, map, key);
    } else if (is_group(key) && map->items[i]->kind == YML_MAP) {
      apply_pairs(s, map->items[i], key, given, problems);
    } else if (is_group(key)) {
      yml_problem(problems, key_node, NULL, 0,
                  "%s is a group of settings: give a map (%s: {%s: …}), or remove it", key, key,
                  first_of_group(key));
    } else if (strcmp(key, "base") != 0) {
      /* inside a group, suggestions come from that group, without its prefix */
      const char *candidates[ROW_COUNT + 1];
      size_t count = 0, skip = *prefix ? strlen(prefix) + 1 : 0;
      for (size_t k = 0; k < ROW_COUNT + 1; k++)
        if (!skip || (strncmp(keys[k], prefix, skip - 1) == 0 && keys[k][skip - 1] == '.'))
          candidates[count++] = keys[k] + skip;
      yml_problem(problems, key_node, candidates, count, "unknown setting '%s'", key);
    }
  }
}

static bool apply_deep(settings *s, const yml_node *map, const char *origin, int depth,
                       yml_problems *problems);

/* False when bases nest too deep: then nothing more is read, as a file that includes itself several
 * times would be read for each of them at every level. */
static bool apply_base(settings *s, const yml_node *name, const char *origin, int depth,
                       yml_problems *problems) {
  if (name->kind != YML_SCALAR) {
    yml_problem(problems, name, NULL, 0, "base takes a path or a list of paths");
    return true;
  }
  if (depth >= DEEPEST_BASE) {
    yml_problem(problems, name, NULL, 0,
                "bases nest deeper than %d levels: does one include itself?", DEEPEST_BASE);
    return false;
  }
  bool is_complete = true;
  char *path = settings_find_base(origin, name->scalar);
  yml_document *document = NULL;
  err error = NULL;
  if (!path) {
    yml_problem(problems, name, NULL, 0,
                "base '%s' is neither next to this file nor in experiments/", name->scalar);
  } else {
    error = yml_load(path, &document);
    if (error) {
      yml_problem(problems, name, NULL, 0, "base cannot be read: %s", err_message(error));
      err_free(error);
    } else {
      is_complete = apply_deep(s, yml_root(document), path, depth + 1, problems);
    }
  }
  yml_free(document);
  free(path);
  return is_complete;
}

static bool apply_deep(settings *s, const yml_node *map, const char *origin, int depth,
                       yml_problems *problems) {
  if (map->kind != YML_MAP) {
    yml_problem(problems, map, NULL, 0, "settings must be a map of keys to values");
    return true;
  }
  const yml_node *base = yml_get(map, "base");
  if (base && !origin) {
    yml_problem(problems, yml_get_key(map, "base"), NULL, 0, "base is not allowed here");
  } else if (base && base->kind == YML_SEQUENCE) {
    for (size_t i = 0; i < base->count; i++)
      if (!apply_base(s, base->items[i], origin, depth, problems)) return false;
  } else if (!yml_is_null(base) && !apply_base(s, base, origin, depth, problems)) {
    return false;
  }
  const yml_node *given[ROW_COUNT] = {0};
  apply_pairs(s, map, "", given, problems);
  return true;
}

void settings_apply(settings *s, const yml_node *map, const char *origin, yml_problems *problems) {
  apply_deep(s, map, origin, 0, problems);
}

/* A run's own config.yaml contains every setting; hand-written files never give both lengths and
 * all of these. */
static bool is_record(const yml_node *map) {
  static const char *const always[] = {"seed", "samples", "epochs", "deterministic", "log_every"};
  for (size_t i = 0; i < sizeof always / sizeof *always; i++)
    if (map->kind != YML_MAP || !yml_get(map, always[i])) return false;
  return true;
}

err settings_load(const char *path, settings *s) {
  yml_document *document = NULL;
  yml_problems problems = {0};
  err error = settings_init(s);
  if (error) return error;
  char *found = shipped_or_given(path);
  error = found ? yml_load(found, &document) : mem_error(strlen(path), "a path");
  if (!error && is_record(yml_root(document))) {
    settings_free(s);
    error = settings_init_recorded(s);
  }
  if (!error) {
    settings_apply(s, yml_root(document), found, &problems);
    error = yml_problems_take(&problems);
  }
  free(found);
  yml_free(document);
  if (error) settings_free(s);
  return error;
}

err settings_set(settings *s, const char *assignment) {
  const char *equals = strchr(assignment, '=');
  if (!equals || equals == assignment)
    return err_new(ERR_INPUT, "--set %s: write it as key=value", assignment);
  char key[LONGEST_KEY];
  snprintf(key, sizeof key, "%.*s", (int)(equals - assignment), assignment);
  const setting *row = settings_find(key);
  if (!row) {
    const char *nearest = text_nearest(key, keys, ROW_COUNT);
    if (nearest)
      return err_new(ERR_INPUT, "--set %s: unknown setting '%s'; did you mean '%s'?", assignment,
                     key, nearest);
    return err_new(ERR_INPUT, "--set %s: unknown setting '%s' (flip train --list-settings)",
                   assignment, key);
  }
  yml_document *document = NULL;
  err error = check_utf8(row, equals + 1);
  if (error) return err_context(error, "--set");
  error = yml_parse("--set", equals + 1, strlen(equals + 1), &document);
  if (error) return err_context(error, "%s", assignment);
  if (yml_has_comment(equals + 1)) {
    yml_free(document);
    return err_new(ERR_INPUT, "--set %s: '#' begins a YAML comment here: quote the value, %s=\"…\"",
                   assignment, key);
  }
  yml_problems problems = {0};
  if (yml_root(document)->kind == YML_MAP && yml_root(document)->count == 0)
    error = setting_assign(row, s, ""); /* key= : an empty value */
  else
    setting_apply_node(row, s, yml_root(document), &problems);
  take_back_alternative(s, yml_root(document), key);
  if (!error) error = yml_problems_take(&problems);
  yml_free(document);
  return error;
}

err settings_set_text(settings *s, const char *key, const char *value) {
  return setting_assign(settings_find(key), s, value);
}

err settings_set_texts(settings *s, const char *key, const char *const *values, size_t count) {
  const setting *row = settings_find(key);
  settings_list *list = field_of(row, s);
  err error = NULL;
  free_list(list);
  for (size_t i = 0; i < count && !error; i++) error = take_item(row, list, values[i]);
  return error;
}

err settings_check_limits(const settings *s) {
  for (size_t i = 0; i < ROW_COUNT; i++) {
    const setting *row = &table[i];
    char text[32];
    double value;
    if (row->type == SETTING_INT)
      value = (double)*(const int64_t *)const_field_of(row, s);
    else if (row->type == SETTING_REAL)
      value = *(const double *)const_field_of(row, s);
    else
      continue;
    jsonw_shortest(value, text);
    err error = check_limits(row, value, text);
    if (error) return error;
  }
  return NULL;
}

void settings_write_yaml(const settings *s, strbuf *out) {
  for (size_t i = 0; i < ROW_COUNT; i++) {
    strbuf_format(out, "%s: ", table[i].key);
    setting_format(&table[i], s, out);
    strbuf_append_char(out, '\n');
  }
}

void settings_write_json(const settings *s, strbuf *out) {
  json_writer w = jsonw_start(out);
  jsonw_object(&w, NULL);
  for (size_t i = 0; i < ROW_COUNT; i++) {
    const setting *row = &table[i];
    const void *field = const_field_of(row, s);
    strbuf value = {0};
    switch (row->type) {
    case SETTING_INT:
      jsonw_integer(&w, row->key, *(const int64_t *)field);
      break;
    case SETTING_LEVEL:
      setting_format(row, s, &value);
      if (*(const int64_t *)field < 0)
        jsonw_string(&w, row->key, strbuf_string(&value));
      else
        jsonw_raw(&w, row->key, strbuf_string(&value));
      break;
    case SETTING_REAL:
      jsonw_number(&w, row->key, *(const double *)field);
      break;
    case SETTING_BOOL:
      jsonw_bool(&w, row->key, *(const bool *)field);
      break;
    case SETTING_TEXT:
      jsonw_string(&w, row->key, *(char *const *)field);
      break;
    case SETTING_PICK:
      format_choice(row->choices, *(const int *)field, &value);
      jsonw_string(&w, row->key, strbuf_string(&value));
      break;
    case SETTING_LIST: {
      const settings_list *list = field;
      jsonw_array(&w, row->key);
      for (size_t j = 0; j < list->count; j++) jsonw_string(&w, NULL, list->items[j]);
      jsonw_end(&w);
      break;
    }
    }
    strbuf_free(&value);
  }
  jsonw_end(&w);
}
