#include "read/record.h"

#include <stdlib.h>

#include "base/mem.h"
#include "read/sample_json.h"

typedef enum { LABELS_FIRST, TOP_FIRST } field_order;

/* labels.NAME or NAME, whichever is there and first; NULL: neither. */
static json_t *find_field(const json_t *root, const char *name, field_order order) {
  json_t *label = json_object_get(json_object_get(root, "labels"), name);
  json_t *top = json_object_get(root, name);
  return label && (order == LABELS_FIRST || !top) ? label : top;
}

static err take_value(const char *json, const char *name, field_order order, const char *nul,
                      char **value) {
  json_t *root;
  *value = NULL;
  err error = sample_json_load(json, &root);
  if (error) return error;
  error = sample_json_string(find_field(root, name, order), nul, value);
  json_decref(root);
  return error;
}

/* Different labels must stay different: NUL is not dropped. */
err sample_label(const char *json, const char *name, char **value) {
  return take_value(json, name, LABELS_FIRST, "\xEF\xBF\xBD", value);
}

err sample_caption(const char *json, const char *name, char **value) {
  return take_value(json, name, TOP_FIRST, "", value);
}

static err take_strings(const char *json, const char *name, field_order order, char ***strings,
                        size_t *count) {
  json_t *root;
  *strings = NULL;
  *count = 0;
  err error = sample_json_load(json, &root);
  if (error) return error;
  const json_t *found = find_field(root, name, order);
  size_t most = json_is_array(found) ? json_array_size(found) : 1;
  if (!json_is_array(found) && !json_is_string(found) && !json_is_integer(found)) goto cleanup;
  *strings = mem_zeroed(most + 1, sizeof **strings); /* not NULL for an empty list */
  if (!*strings) error = mem_error(most * sizeof **strings, "captions");
  for (size_t i = 0; i < most && !error; i++) {
    const json_t *one = json_is_array(found) ? json_array_get(found, i) : found;
    error = sample_json_string(one, "", &(*strings)[*count]);
    *count += (*strings)[*count] != NULL;
  }
cleanup:
  json_decref(root);
  if (error) {
    for (size_t i = 0; i < *count; i++) free((*strings)[i]);
    free(*strings);
    *strings = NULL;
    *count = 0;
  }
  return error;
}

err sample_strings(const char *json, const char *name, char ***strings, size_t *count) {
  return take_strings(json, name, TOP_FIRST, strings, count);
}

err sample_labels(const char *json, const char *name, char ***labels, size_t *count) {
  return take_strings(json, name, LABELS_FIRST, labels, count);
}
