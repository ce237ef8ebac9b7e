/* JSON Schema of experiment files, generated from the tables of keys, settings and columns. */
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "config/settings.h"
#include "experiment/columns.h"
#include "experiment/format.h"

enum { LONGEST_NAME = 96 };

/* JSON Schema sees 60k, 12.8M and 1_281_167 as strings. */
static const char number_pattern[] = "^[-+]?[0-9_]*[.]?[0-9_]+([eE][-+]?[0-9]+)?[kMG]?$";
static const char duration_pattern[] = "^([0-9.]+ ?(ms|s|m|min|h|d)? ?)+$";
static const char bytes_pattern[] = "^[0-9.]+ ?(B|K|M|G|T|kB|MB|GB|TB|KiB|MiB|GiB|TiB)?$";

/* "$ref": "#/$defs/NAME" in the open object. */
static void put_ref(json_writer *w, const char *name) {
  char text[LONGEST_NAME + 16];
  snprintf(text, sizeof text, "#/$defs/%s", name);
  jsonw_string(w, "$ref", text);
}

static void add_ref(json_writer *w, const char *key, const char *name) {
  jsonw_object(w, key);
  put_ref(w, name);
  jsonw_end(w);
}

static void add_type(json_writer *w, const char *key, const char *type) {
  jsonw_object(w, key);
  jsonw_string(w, "type", type);
  jsonw_end(w);
}

static void begin_map(json_writer *w, const char *key) {
  jsonw_object(w, key);
  jsonw_string(w, "type", "object");
}

/* NAME: a number, or a string of this form. */
static void define_amount(json_writer *w, const char *name, const char *pattern) {
  jsonw_object(w, name);
  jsonw_array(w, "anyOf");
  jsonw_object(w, NULL);
  jsonw_string(w, "type", "number");
  jsonw_integer(w, "minimum", 0);
  jsonw_end(w);
  jsonw_object(w, NULL);
  jsonw_string(w, "type", "string");
  jsonw_string(w, "pattern", pattern);
  jsonw_end(w);
  jsonw_end(w);
  jsonw_end(w);
}

/* NAME: an `item`, or a list of such. */
static void define_list_of(json_writer *w, const char *name, const char *item) {
  jsonw_object(w, name);
  jsonw_array(w, "anyOf");
  add_ref(w, NULL, item);
  jsonw_object(w, NULL);
  jsonw_string(w, "type", "array");
  add_ref(w, "items", item);
  jsonw_end(w);
  jsonw_end(w);
  jsonw_end(w);
}

static void put_types(json_writer *w, const char *const *types, size_t count) {
  jsonw_array(w, "type");
  for (size_t i = 0; i < count; i++) jsonw_string(w, NULL, types[i]);
  jsonw_end(w);
}

static void define_scalar(json_writer *w) {
  static const char *const types[] = {"string", "number", "boolean", "null"};
  jsonw_object(w, "scalar");
  put_types(w, types, 4);
  jsonw_end(w);
}

/* ---- settings ---- */

static void put_choices(json_writer *w, const char *choices) {
  jsonw_array(w, "enum");
  while (*choices) {
    char name[LONGEST_NAME];
    size_t length = strcspn(choices, "|");
    snprintf(name, sizeof name, "%.*s", (int)length, choices);
    jsonw_string(w, NULL, name);
    choices += length + (choices[length] == '|');
  }
  jsonw_end(w);
}

static void put_number(json_writer *w, const setting *row) {
  jsonw_array(w, "anyOf");
  jsonw_object(w, NULL);
  jsonw_string(w, "type", row->type == SETTING_REAL ? "number" : "integer");
  jsonw_number(w, "minimum", row->least);
  if (row->most < NO_LIMIT) jsonw_number(w, "maximum", row->most);
  jsonw_end(w);
  jsonw_object(w, NULL);
  jsonw_string(w, "type", "string");
  jsonw_string(w, "pattern", number_pattern);
  jsonw_end(w);
  if (row->choices) {
    jsonw_object(w, NULL);
    put_choices(w, row->choices);
    jsonw_end(w);
  }
  jsonw_end(w);
}

static void define_setting(json_writer *w, const setting *row) {
  static const char *const text_types[] = {"string", "number", "null"};
  char name[LONGEST_NAME];
  snprintf(name, sizeof name, "setting:%s", row->key);
  jsonw_object(w, name);
  switch (row->type) {
  case SETTING_INT:
  case SETTING_REAL:
  case SETTING_LEVEL:
    put_number(w, row);
    break;
  case SETTING_BOOL:
    jsonw_string(w, "type", "boolean");
    break;
  case SETTING_TEXT:
    put_types(w, text_types, 3);
    break;
  case SETTING_LIST:
    put_ref(w, "names");
    break;
  case SETTING_PICK:
    put_choices(w, row->choices);
    break;
  }
  jsonw_string(w, "description", row->help);
  jsonw_end(w);
}

typedef void put_value(json_writer *w, const char *key, const setting *row);

static void put_one(json_writer *w, const char *key, const setting *row) {
  char name[LONGEST_NAME];
  snprintf(name, sizeof name, "setting:%s", row->key);
  add_ref(w, key, name);
}

/* One value or several, as in conditions. */
static void put_some(json_writer *w, const char *key, const setting *row) {
  jsonw_object(w, key);
  jsonw_array(w, "anyOf");
  put_one(w, NULL, row);
  jsonw_object(w, NULL);
  jsonw_string(w, "type", "array");
  put_one(w, "items", row);
  jsonw_end(w);
  jsonw_end(w);
  jsonw_end(w);
}

/* An axis: one value, or several, each a value or a map of settings. */
static void put_axis(json_writer *w, const char *key, const setting *row) {
  jsonw_object(w, key);
  jsonw_array(w, "anyOf");
  put_one(w, NULL, row);
  add_type(w, NULL, "null");
  jsonw_object(w, NULL);
  jsonw_string(w, "type", "array");
  jsonw_integer(w, "minItems", 1);
  jsonw_object(w, "items");
  jsonw_array(w, "anyOf");
  put_one(w, NULL, row);
  add_ref(w, NULL, "layer");
  jsonw_end(w);
  jsonw_end(w);
  jsonw_end(w);
  jsonw_end(w);
  jsonw_end(w);
}

/* The settings of a group as a map. */
static void put_nested(json_writer *w, put_value *put, const char *name, size_t first) {
  size_t count;
  const setting *table = settings_table(&count);
  const size_t length = (size_t)(strchr(table[first].key, '.') - table[first].key) + 1;
  begin_map(w, name);
  jsonw_object(w, "properties");
  for (size_t k = first; k < count && strncmp(table[k].key, table[first].key, length) == 0; k++)
    put(w, table[k].key + length, &table[k]);
  jsonw_end(w);
  jsonw_bool(w, "additionalProperties", false);
  jsonw_end(w);
}

/* Every setting as a property of the open "properties": dotted, and (when `nests`) in its group.
 * An axis may be called like a group, "text": what then follows the name is a label, of the kind
 * `label`; NULL: only in the group. */
static void put_settings(json_writer *w, put_value *put, bool nests, const char *label) {
  size_t count;
  const setting *table = settings_table(&count);
  for (size_t i = 0; i < count; i++) put(w, table[i].key, &table[i]);
  for (size_t i = 0; nests && i < count; i++) {
    const char *dot = strchr(table[i].key, '.');
    size_t length = dot ? (size_t)(dot - table[i].key) + 1 : 0;
    if (!dot || (i && strncmp(table[i].key, table[i - 1].key, length) == 0)) continue;
    char group[LONGEST_NAME];
    snprintf(group, sizeof group, "%.*s", (int)(length - 1), table[i].key);
    if (!label) {
      put_nested(w, put, group, i);
      continue;
    }
    jsonw_object(w, group);
    jsonw_array(w, "anyOf");
    put_nested(w, put, NULL, i);
    add_ref(w, NULL, label);
    jsonw_end(w);
    jsonw_end(w);
  }
}

static void define_settings(json_writer *w) {
  size_t count;
  const setting *table = settings_table(&count);
  for (size_t i = 0; i < count; i++) define_setting(w, &table[i]);
  begin_map(w, "settings");
  jsonw_object(w, "properties");
  put_settings(w, put_one, true, NULL);
  jsonw_end(w);
  jsonw_bool(w, "additionalProperties", false);
  jsonw_end(w);
  begin_map(w, "layer"); /* an item of a zipped axis, or of include */
  jsonw_object(w, "properties");
  add_type(w, "label", "string");
  add_ref(w, "base", "names");
  add_ref(w, "ranks", "count");
  add_ref(w, "nodes", "count");
  put_settings(w, put_one, true, NULL);
  jsonw_end(w);
  jsonw_end(w);
  begin_map(w, "conditions");
  jsonw_object(w, "properties");
  add_ref(w, "tuning", "names");
  put_settings(w, put_some, true, "scalars");
  jsonw_end(w);
  add_ref(w, "additionalProperties", "scalars"); /* labels of an axis */
  jsonw_end(w);
  begin_map(w, "axes");
  jsonw_object(w, "properties");
  add_ref(w, "ranks", "counts");
  add_ref(w, "nodes", "counts");
  put_settings(w, put_axis, false, NULL);
  jsonw_end(w);
  jsonw_object(w, "additionalProperties"); /* an axis of maps may have any name */
  jsonw_array(w, "anyOf");
  add_type(w, NULL, "null");
  jsonw_object(w, NULL);
  jsonw_string(w, "type", "array");
  jsonw_integer(w, "minItems", 1);
  add_ref(w, "items", "layer");
  jsonw_end(w);
  jsonw_end(w);
  jsonw_end(w);
  jsonw_end(w);
}

/* ---- columns and figures ---- */

/* Known names, and any other string (a setting; a user-defined figure). */
static void define_names(json_writer *w, const char *name, const char *const *known, size_t count) {
  jsonw_object(w, name);
  jsonw_array(w, "anyOf");
  jsonw_object(w, NULL);
  jsonw_array(w, "enum");
  for (size_t i = 0; i < count; i++) jsonw_string(w, NULL, known[i]);
  jsonw_end(w);
  jsonw_end(w);
  add_type(w, NULL, "string");
  jsonw_end(w);
  jsonw_end(w);
}

static void put_group_keys(json_writer *w, format_group group);

static void define_reference(json_writer *w) {
  size_t count;
  const column *columns = columns_table(&count);
  begin_map(w, "reference");
  jsonw_object(w, "properties");
  put_group_keys(w, FORMAT_REFERENCE);
  for (size_t i = 0; i < count; i++) {
    if (settings_find(columns[i].name)) continue; /* the setting selects the row */
    jsonw_object(w, columns[i].name);
    jsonw_string(w, "type", "number");
    jsonw_string(w, "description", columns[i].help);
    jsonw_end(w);
  }
  put_settings(w, put_one, true, "scalar");
  jsonw_end(w);
  add_ref(w, "additionalProperties", "scalar");
  jsonw_end(w);
}

/* ---- the keys of the file ---- */

/* The definition used for a kind. */
static const struct {
  const char *item; /* name under $defs */
  enum { ONE, LIST, MAP_OF, ONE_OR_LIST } shape;
} kinds[] = {[FORMAT_TEXT] = {"text", ONE},
             [FORMAT_NAMES] = {"names", ONE},
             [FORMAT_COUNT] = {"count", ONE},
             [FORMAT_DURATION] = {"duration", ONE},
             [FORMAT_BYTES] = {"bytes", ONE},
             [FORMAT_FLAG] = {"flag", ONE},
             [FORMAT_SCHEDULE] = {"schedule", ONE},
             [FORMAT_BASES] = {"names", ONE},
             [FORMAT_SETTINGS] = {"settings", ONE},
             [FORMAT_AXES] = {"axes", ONE},
             [FORMAT_CELLS] = {"layer", LIST},
             [FORMAT_EXCLUSIONS] = {"conditions", LIST},
             [FORMAT_PROFILES] = {"experiment", MAP_OF},
             [FORMAT_TUNINGS] = {"tuning", MAP_OF},
             [FORMAT_CONDITIONS] = {"conditions", ONE},
             [FORMAT_VARIABLES] = {"scalar", MAP_OF},
             [FORMAT_LIMITS_LIST] = {"limits", ONE_OR_LIST},
             [FORMAT_REQUIRES_MAP] = {"requires", ONE},
             [FORMAT_SLURM_MAP] = {"slurm", ONE},
             [FORMAT_REPORT_MAP] = {"report", ONE},
             [FORMAT_COLUMN_NAMES] = {"column", ONE_OR_LIST},
             [FORMAT_CURVE_COLUMN] = {"column", ONE},
             [FORMAT_PLOTS] = {"plot", ONE_OR_LIST},
             [FORMAT_ROW_VALUES] = {"conditions", ONE},
             [FORMAT_REFERENCES] = {"reference", LIST},
             [FORMAT_CLAIMS] = {"claim", LIST},
             [FORMAT_REAL] = {"real", ONE}};

static void put_kind(json_writer *w, format_kind kind) {
  const char *item = kinds[kind].item;
  jsonw_array(w, "anyOf");
  if (kinds[kind].shape == ONE || kinds[kind].shape == ONE_OR_LIST) add_ref(w, NULL, item);
  if (kinds[kind].shape == LIST || kinds[kind].shape == ONE_OR_LIST) {
    jsonw_object(w, NULL);
    jsonw_string(w, "type", "array");
    add_ref(w, "items", item);
    jsonw_end(w);
  }
  if (kinds[kind].shape == MAP_OF) {
    begin_map(w, NULL);
    jsonw_object(w, "additionalProperties");
    jsonw_array(w, "anyOf");
    add_ref(w, NULL, item);
    add_type(w, NULL, "null"); /* removed by a profile */
    jsonw_end(w);
    jsonw_end(w);
    jsonw_end(w);
  }
  add_type(w, NULL, "null");
  jsonw_end(w);
}

static void put_group_keys(json_writer *w, format_group group) {
  size_t count;
  const format_row *rows = format_table(&count);
  for (size_t i = 0; i < count; i++) {
    if (rows[i].group != group) continue;
    jsonw_object(w, rows[i].key);
    put_kind(w, rows[i].kind);
    jsonw_string(w, "description", rows[i].help);
    jsonw_end(w);
  }
}

static void define_group(json_writer *w, const char *name, format_group group) {
  begin_map(w, name);
  jsonw_object(w, "properties");
  put_group_keys(w, group);
  if (group == FORMAT_TUNING) put_settings(w, put_one, true, NULL);
  jsonw_end(w);
  jsonw_bool(w, "additionalProperties", false);
  jsonw_end(w);
}

static void define_plain(json_writer *w) {
  static const char *const text_types[] = {"string", "number"};
  jsonw_object(w, "text");
  put_types(w, text_types, 2);
  jsonw_end(w);
  add_type(w, "flag", "boolean");
  add_type(w, "real", "number");
  define_list_of(w, "names", "text");
  define_scalar(w);
  jsonw_object(w, "schedule");
  put_choices(w, "order|turns");
  jsonw_end(w);
  define_list_of(w, "scalars", "scalar");
  define_amount(w, "count", number_pattern);
  define_list_of(w, "counts", "count");
  define_amount(w, "duration", duration_pattern);
  define_amount(w, "bytes", bytes_pattern);
}

void spec_write_schema(strbuf *out) {
  size_t column_count, plot_count;
  const char *const *columns = columns_names(&column_count);
  const char *const *plots = spec_plot_names(&plot_count);
  json_writer writer = jsonw_start(out), *w = &writer;
  jsonw_object(w, NULL);
  jsonw_string(w, "$schema", "http://json-schema.org/draft-07/schema#");
  jsonw_string(w, "title", "flipbench experiment file");
  put_ref(w, "experiment");
  jsonw_object(w, "$defs");
  define_plain(w);
  define_settings(w);
  define_names(w, "column", columns, column_count);
  define_names(w, "plot", plots, plot_count);
  define_reference(w);
  define_group(w, "tuning", FORMAT_TUNING);
  define_group(w, "limits", FORMAT_LIMITS);
  define_group(w, "requires", FORMAT_REQUIRES);
  define_group(w, "slurm", FORMAT_SLURM);
  define_group(w, "report", FORMAT_REPORT);
  define_group(w, "claim", FORMAT_CLAIM);
  define_group(w, "experiment", FORMAT_TOP);
  jsonw_end(w);
  jsonw_end(w);
  strbuf_append_char(out, '\n');
}
