#include "timing/failures.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"

static const char *text_of(const json_t *line, const char *key) {
  const char *text = json_string_value(json_object_get(line, key));
  return text ? text : "";
}

/* Julian day of a Unix time. */
static double day_of(json_int_t seconds) {
  return (double)seconds / 86400 + 2440587.5;
}

static bool is_newer_failure(const json_t *line, const sample_series *series) {
  const sample_point *last = &series->points[series->count - 1];
  const json_t *committed = json_object_get(line, "committed");
  bool is_built = strcmp(text_of(line, "event"), "not_measured") == 0;
  /* half a second: days are not exact */
  return json_is_integer(committed) && strcmp(text_of(line, "machine"), series->machine) == 0 &&
         (!is_built || strcmp(text_of(line, "words"), series->words) == 0) &&
         day_of(json_integer_value(committed)) > last->committed + 0.5 / 86400;
}

err failures_count_newer(const char *results, const sample_series *series, size_t *count) {
  json_t *commits = json_object();
  char *folder = fs_join(results, "benchmarks"), *text = NULL;
  char *path = folder ? fs_join(folder, "failures.jsonl") : NULL;
  size_t length;
  err error = commits && path ? NULL : mem_error(0, "failures");
  *count = 0;
  if (!error && series->count && fs_exists(path)) error = fs_read(path, &text, &length);
  for (char *rest = text, *line; !error && rest && (line = strsep(&rest, "\n"));) {
    json_t *object = json_loads(line, 0, NULL);
    if (object && is_newer_failure(object, series))
      json_object_set_new(commits, text_of(object, "commit"), json_true()); /* each once */
    json_decref(object);
  }
  *count = json_object_size(commits);
  json_decref(commits);
  free(text);
  free(path);
  free(folder);
  return error;
}
