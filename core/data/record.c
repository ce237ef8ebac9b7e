#include "data/record.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

err sample_label(const char *json, const char *name, char **value) {
  json_error_t problem;
  json_t *root = json_loads(json, 0, &problem);
  *value = NULL;
  if (!root) return err_new(ERR_INPUT, "its JSON cannot be read: %s", problem.text);
  json_t *found = json_object_get(json_object_get(root, "labels"), name);
  if (!found) found = json_object_get(root, name);
  err error = NULL;
  char number[32];
  const char *text = json_string_value(found);
  if (json_is_integer(found)) {
    snprintf(number, sizeof number, "%" PRId64, (int64_t)json_integer_value(found));
    text = number;
  }
  if (text) {
    *value = mem_copy_string(text);
    if (!*value) error = mem_error(strlen(text), "a label");
  }
  json_decref(root);
  return error;
}
