#include "data/record.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
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

err sample_strings(const char *json, const char *name, char ***strings, size_t *count) {
  json_error_t problem;
  json_t *root = json_loads(json, 0, &problem);
  *strings = NULL;
  *count = 0;
  if (!root) return err_new(ERR_INPUT, "its JSON cannot be read: %s", problem.text);
  json_t *found = json_object_get(root, name);
  size_t most = json_is_array(found) ? json_array_size(found) : 1;
  err error = NULL;
  *strings = mem_zeroed(most, sizeof **strings);
  if (!*strings) error = mem_error(most * sizeof **strings, "captions");
  for (size_t i = 0; i < most && !error; i++) {
    const char *text = json_string_value(json_is_array(found) ? json_array_get(found, i) : found);
    if (!text) continue;
    (*strings)[*count] = mem_copy_string(text);
    if ((*strings)[*count])
      (*count)++;
    else
      error = mem_error(strlen(text), "a caption");
  }
  json_decref(root);
  if (error) {
    for (size_t i = 0; i < *count; i++) free((*strings)[i]);
    free(*strings);
    *strings = NULL;
    *count = 0;
  }
  return error;
}
