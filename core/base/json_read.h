/* Fields of a JSON object parsed by jansson. Header only: base itself does not link jansson. */
#ifndef FLIP_BASE_JSON_READ_H
#define FLIP_BASE_JSON_READ_H

#include <math.h>

#include <jansson.h>

/* "" when there is no such string. */
static inline const char *json_text_of(const json_t *object, const char *key) {
  const char *text = json_string_value(json_object_get(object, key));
  return text ? text : "";
}

/* NaN when there is no such number. */
static inline double json_number_of(const json_t *object, const char *key) {
  const json_t *value = json_object_get(object, key);
  return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

#endif
