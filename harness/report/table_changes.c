#include "report/table_changes.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

enum { MOST_TOLD = 5, MOST_PATH = 400 };

typedef struct {
  strbuf *out;
  size_t count;
} changes;

static void tell(changes *c, const char *path, const json_t *a, const json_t *b) {
  if (c->count++ >= MOST_TOLD) return;
  char *one = a ? json_dumps(a, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
  char *other = b ? json_dumps(b, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
  strbuf_format(c->out, "  %s: %.60s → %.60s\n", path, one ? one : "nothing",
                other ? other : "nothing");
  free(one);
  free(other);
}

/* Sums in another order differ in the last digits. */
static bool is_same_number(const json_t *a, const json_t *b) {
  double x = json_number_value(a), y = json_number_value(b);
  return json_is_number(a) && json_is_number(b) && fabs(x - y) <= 1e-12 * (fabs(x) + fabs(y));
}

static void compare(changes *c, const char *path, const json_t *a, const json_t *b);

static void compare_objects(changes *c, const char *path, const json_t *a, const json_t *b) {
  const char *key;
  json_t *value;
  char inner[MOST_PATH];
  json_object_foreach((json_t *)a, key, value) {
    bool is_of_row = strcmp(key, "runs") == 0 && json_object_get(a, "cells");
    if (is_of_row || strcmp(key, "run_ids") == 0) continue; /* the database's own numbers */
    snprintf(inner, sizeof inner, "%s%s%s", path, *path ? "." : "", key);
    compare(c, inner, value, json_object_get(b, key));
  }
  json_object_foreach((json_t *)b, key, value) {
    snprintf(inner, sizeof inner, "%s%s%s", path, *path ? "." : "", key);
    if (!json_object_get(a, key) && strcmp(key, "run_ids") != 0) tell(c, inner, NULL, value);
  }
}

static void compare(changes *c, const char *path, const json_t *a, const json_t *b) {
  char inner[MOST_PATH];
  if (json_is_object(a) && json_is_object(b)) {
    compare_objects(c, path, a, b);
  } else if (json_is_array(a) && json_is_array(b) && json_array_size(a) == json_array_size(b)) {
    for (size_t i = 0; i < json_array_size(a); i++) {
      snprintf(inner, sizeof inner, "%s[%zu]", path, i);
      compare(c, inner, json_array_get(a, i), json_array_get(b, i));
    }
  } else if (!json_equal(a, b) && !is_same_number(a, b)) {
    tell(c, path, a, b);
  }
}

err table_changes(const char *first, const char *again, strbuf *out, size_t *count) {
  json_t *a = json_loads(first, 0, NULL), *b = json_loads(again, 0, NULL);
  changes c = {.out = out};
  err error = a && b ? NULL : err_new(ERR_INPUT, "a table is not valid JSON");
  if (!error) compare(&c, "", a, b);
  if (c.count > MOST_TOLD) strbuf_format(out, "  and %zu more\n", c.count - MOST_TOLD);
  *count = c.count;
  json_decref(a);
  json_decref(b);
  return error;
}
