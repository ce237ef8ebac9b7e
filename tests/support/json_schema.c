#include "support/json_schema.h"

#include <regex.h>
#include <stdio.h>
#include <string.h>

typedef struct {
  const json_t *root, *schema, *value;
  const char *place;
  strbuf *why;
} check;

static bool refuse(const check *c, const char *reason, const char *detail) {
  strbuf_format(c->why, "%s: %s %s\n", c->place, reason, detail ? detail : "");
  return false;
}

static const char *type_of(const json_t *value) {
  switch (json_typeof(value)) {
  case JSON_OBJECT:
    return "object";
  case JSON_ARRAY:
    return "array";
  case JSON_STRING:
    return "string";
  case JSON_INTEGER:
    return "integer";
  case JSON_REAL:
    return "number";
  case JSON_NULL:
    return "null";
  default:
    return "boolean";
  }
}

static bool is_type(const json_t *value, const char *type) {
  const char *own = type_of(value);
  return strcmp(own, type) == 0 || (strcmp(type, "number") == 0 && strcmp(own, "integer") == 0);
}

static bool holds_type(const check *c, const json_t *wanted) {
  size_t i;
  json_t *item;
  if (json_is_string(wanted) && is_type(c->value, json_string_value(wanted))) return true;
  json_array_foreach(wanted, i, item) if (is_type(c->value, json_string_value(item))) return true;
  return refuse(c, "has the wrong type:", type_of(c->value));
}

static bool holds_enum(const check *c, const json_t *wanted) {
  size_t i;
  json_t *item;
  json_array_foreach(wanted, i, item) if (json_equal(item, c->value)) return true;
  return refuse(c, "is not among the choices", json_string_value(c->value));
}

static bool holds_any(const check *c, const json_t *wanted) {
  size_t i;
  json_t *item;
  strbuf why = {0};
  bool holds = false;
  json_array_foreach(wanted, i, item) holds =
      holds || json_schema_holds(c->root, item, c->value, c->place, &why);
  if (!holds) strbuf_append(c->why, strbuf_string(&why));
  strbuf_free(&why);
  return holds;
}

static bool holds_ref(const check *c, const json_t *wanted) {
  const char *name = json_string_value(wanted), *prefix = "#/$defs/";
  if (strncmp(name, prefix, strlen(prefix)) != 0) return refuse(c, "unknown reference", name);
  const json_t *target = json_object_get(json_object_get(c->root, "$defs"), name + strlen(prefix));
  if (!target) return refuse(c, "unknown reference", name);
  return json_schema_holds(c->root, target, c->value, c->place, c->why);
}

static bool holds_properties(const check *c) {
  const json_t *known = json_object_get(c->schema, "properties");
  const json_t *other = json_object_get(c->schema, "additionalProperties");
  const char *key;
  json_t *item;
  bool holds = true;
  json_object_foreach((json_t *)c->value, key, item) {
    char place[512];
    snprintf(place, sizeof place, "%s.%s", c->place, key);
    const json_t *own = json_object_get(known, key);
    if (!own && json_is_false(other))
      holds = refuse(c, "has an unknown key", key);
    else if (own || json_is_object(other))
      holds = json_schema_holds(c->root, own ? own : other, item, place, c->why) && holds;
  }
  return holds;
}

static bool holds_items(const check *c, const json_t *wanted) {
  size_t i;
  json_t *item;
  bool holds = true;
  json_array_foreach(c->value, i, item) {
    char place[512];
    snprintf(place, sizeof place, "%s[%zu]", c->place, i);
    holds = json_schema_holds(c->root, wanted, item, place, c->why) && holds;
  }
  return holds;
}

static bool holds_pattern(const check *c, const json_t *wanted) {
  regex_t pattern;
  if (!json_is_string(c->value)) return true;
  if (regcomp(&pattern, json_string_value(wanted), REG_EXTENDED | REG_NOSUB) != 0)
    return refuse(c, "has an unreadable pattern", json_string_value(wanted));
  bool holds = regexec(&pattern, json_string_value(c->value), 0, NULL, 0) == 0;
  regfree(&pattern);
  return holds || refuse(c, "does not match", json_string_value(wanted));
}

static bool holds_keyword(const check *c, const char *key, const json_t *wanted) {
  static const char *const notes[] = {"$schema", "$defs", "title", "description",
                                      "additionalProperties"};
  double number = json_number_value(c->value), bound = json_number_value(wanted);
  for (size_t i = 0; i < sizeof notes / sizeof *notes; i++)
    if (strcmp(key, notes[i]) == 0) return true;
  if (strcmp(key, "type") == 0) return holds_type(c, wanted);
  if (strcmp(key, "enum") == 0) return holds_enum(c, wanted);
  if (strcmp(key, "anyOf") == 0) return holds_any(c, wanted);
  if (strcmp(key, "$ref") == 0) return holds_ref(c, wanted);
  if (strcmp(key, "properties") == 0) return holds_properties(c);
  if (strcmp(key, "items") == 0) return holds_items(c, wanted);
  if (strcmp(key, "pattern") == 0) return holds_pattern(c, wanted);
  if (strcmp(key, "minimum") == 0) return number >= bound || refuse(c, "is too small", NULL);
  if (strcmp(key, "maximum") == 0) return number <= bound || refuse(c, "is too large", NULL);
  if (strcmp(key, "minItems") == 0)
    return !json_is_array(c->value) || (double)json_array_size(c->value) >= bound ||
           refuse(c, "has too few items", NULL);
  return refuse(c, "keyword that this check does not know:", key);
}

bool json_schema_holds(const json_t *root, const json_t *schema, const json_t *value,
                       const char *place, strbuf *why) {
  check c = {root, schema, value, place, why};
  const char *key;
  json_t *wanted;
  bool holds = true;
  json_object_foreach((json_t *)schema, key, wanted) holds =
      holds_keyword(&c, key, wanted) && holds;
  if (!json_object_get(schema, "properties") && json_object_get(schema, "additionalProperties") &&
      json_is_object(value))
    holds = holds_properties(&c) && holds;
  return holds;
}
