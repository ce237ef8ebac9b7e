/* Shared by the parsers of other programs' configurations: a table of keys, checked strictly. */
#include "convert/foreign.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Index of `name` in "a|b=c|d"; -1 when absent. */
static int find_name(const char *names, const char *name) {
  size_t length = strlen(name);
  int index = 0;
  for (const char *at = names;; at++) {
    size_t width = strcspn(at, "|=");
    if (width == length && strncmp(at, name, length) == 0) return index;
    at += width;
    if (!*at) return -1;
    index += *at == '|';
  }
}

static err read_pick(const json_t *value, const char *where, const json_field *f) {
  int index = json_is_string(value) ? find_name(f->names, json_string_value(value)) : -1;
  if (index < 0)
    return err_new(ERR_UNSUPPORTED, "%s.%s: '%s' is not one of %s", where, f->key,
                   json_is_string(value) ? json_string_value(value) : "?", f->names);
  *f->pick = index;
  return NULL;
}

static err read_value(const json_t *value, const char *where, const json_field *f) {
  if (f->pick) return read_pick(value, where, f);
  if (f->whole) {
    if (!json_is_integer(value) || json_integer_value(value) < 1 ||
        json_integer_value(value) > 1 << 24)
      return err_new(ERR_INPUT, "%s.%s: expected a whole number of at least 1", where, f->key);
    *f->whole = json_integer_value(value);
  } else if (f->real) {
    if (!json_is_number(value) || !(json_number_value(value) >= 0))
      return err_new(ERR_INPUT, "%s.%s: expected a number", where, f->key);
    *f->real = json_number_value(value);
  } else if (f->only) {
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    bool is_same = text && strcmp(text, f->only) == 0;
    json_t *wanted = json_loads(f->only, JSON_DECODE_ANY, NULL);
    is_same = is_same || (json_is_number(value) && json_is_number(wanted) &&
                          json_number_value(value) == json_number_value(wanted));
    json_decref(wanted);
    err error = is_same ? NULL
                        : err_new(ERR_UNSUPPORTED, "%s.%s: %s is not supported, only %s", where,
                                  f->key, text ? text : "this", f->only);
    free(text);
    return error;
  }
  return NULL;
}

err foreign_read(const json_t *object, const char *where, const json_field *fields, size_t count,
                 bool refuses_unknown) {
  const char *key;
  json_t *value;
  if (!json_is_object(object)) return err_new(ERR_INPUT, "%s: is missing or not an object", where);
  json_object_foreach((json_t *)(uintptr_t)object, key, value) {
    const json_field *field = NULL;
    for (size_t i = 0; i < count && !field; i++)
      if (strcmp(fields[i].key, key) == 0) field = &fields[i];
    if (!field && refuses_unknown && !json_is_null(value))
      return err_new(ERR_UNSUPPORTED, "%s.%s: is an unknown key, and may change the model", where,
                     key);
    if (!field || json_is_null(value)) continue;
    err error = read_value(value, where, field);
    if (error) return error;
  }
  return NULL;
}

/* The supported pixel normalisations, by settings.image_normalization. */
static const double normalizations[][2][3] = {
    {{0.48145466, 0.4578275, 0.40821073}, {0.26862954, 0.26130258, 0.27577711}},
    {{0.5, 0.5, 0.5}, {0.5, 0.5, 0.5}},
    {{0.485, 0.456, 0.406}, {0.229, 0.224, 0.225}},
    {{0, 0, 0}, {1, 1, 1}}};
enum { NORMALIZATIONS = 4 };

static bool is_near(const double value[3], const double wanted[3]) {
  for (size_t i = 0; i < 3; i++)
    if (!(fabs(value[i] - wanted[i]) <= 1e-6)) return false;
  return true;
}

/* Three numbers, or one for all channels; where none is given `value` stays. */
static err read_channels(const json_t *object, const char *key, double value[3]) {
  const json_t *given = json_object_get(object, key);
  if (!given || json_is_null(given)) return NULL;
  for (size_t i = 0; i < 3; i++) {
    const json_t *one = json_is_array(given) ? json_array_get(given, i) : given;
    if (!json_is_number(one) || (json_is_array(given) && json_array_size(given) != 3))
      return err_new(ERR_INPUT, "%s: expected three numbers, or one", key);
    value[i] = json_number_value(one);
  }
  return NULL;
}

err foreign_read_normalization(const json_t *object, const char *mean_key,
                               const char *deviation_key, settings *s) {
  double mean[3], deviation[3];
  memcpy(mean, normalizations[s->image_normalization][0], sizeof mean);
  memcpy(deviation, normalizations[s->image_normalization][1], sizeof deviation);
  err error = read_channels(object, mean_key, mean);
  if (!error) error = read_channels(object, deviation_key, deviation);
  if (error) return error;
  for (int i = 0; i < NORMALIZATIONS; i++)
    if (is_near(mean, normalizations[i][0]) && is_near(deviation, normalizations[i][1])) {
      s->image_normalization = i;
      return NULL;
    }
  return err_new(ERR_UNSUPPORTED,
                 "%s, %s: neither CLIP's pixel normalisation nor 0.5/0.5, ImageNet's or 0/1",
                 mean_key, deviation_key);
}

void foreign_write_normalization(json_writer *w, const char *mean_key, const char *deviation_key,
                                 const settings *s) {
  for (int part = 0; part < 2; part++) {
    jsonw_array(w, part ? deviation_key : mean_key);
    for (int i = 0; i < 3; i++)
      jsonw_number(w, NULL, normalizations[s->image_normalization][part][i]);
    jsonw_end(w);
  }
}
