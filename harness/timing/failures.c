#include "timing/failures.h"

#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/json_read.h"
#include "base/mem.h"
#include "store/json_lines.h"

typedef struct {
  const sample_series *series;
  json_t *commits; /* the keys: each once */
} newer_failures;

/* Julian day of a Unix time. */
static double day_of(json_int_t seconds) {
  return (double)seconds / 86400 + 2440587.5;
}

static bool is_newer_failure(const json_t *line, const sample_series *series) {
  const sample_point *last = &series->points[series->count - 1];
  const json_t *committed = json_object_get(line, "committed");
  bool is_built = strcmp(json_text_of(line, "event"), "not_measured") == 0;
  /* half a second: days are not exact */
  return json_is_integer(committed) &&
         strcmp(json_text_of(line, "machine"), series->machine) == 0 &&
         (!is_built || strcmp(json_text_of(line, "words"), series->words) == 0) &&
         day_of(json_integer_value(committed)) > last->committed + 0.5 / 86400;
}

static void take_failure(const json_t *line, void *context) {
  const newer_failures *newer = context;
  if (is_newer_failure(line, newer->series))
    json_object_set_new(newer->commits, json_text_of(line, "commit"), json_true());
}

err failures_count_newer(const char *results, const sample_series *series, size_t *count) {
  newer_failures newer = {series, json_object()};
  char *folder = fs_join(results, "benchmarks");
  char *path = folder ? fs_join(folder, "failures.jsonl") : NULL;
  err error = newer.commits && path ? NULL : mem_error(0, "failures");
  if (!error && series->count) error = json_lines_each(path, 0, take_failure, &newer);
  *count = json_object_size(newer.commits);
  json_decref(newer.commits);
  free(path);
  free(folder);
  return error;
}
