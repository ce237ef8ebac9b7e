#include "timing/failures.h"

#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/json_read.h"
#include "base/mem.h"
#include "store/json_lines.h"

typedef struct {
  const sample_series *series;
  json_t *commands; /* the keys: build commands that gave the series' compiler and flags */
  json_t *commits;  /* the keys: each once */
} newer_failures;

/* Julian day of a Unix time. */
static double day_of(json_int_t seconds) {
  return (double)seconds / 86400 + 2440587.5;
}

static void take_build(const json_t *line, void *context) {
  const newer_failures *newer = context;
  if (strcmp(json_text_of(line, "machine"), newer->series->machine) == 0 &&
      strcmp(json_text_of(line, "build"), newer->series->build) == 0)
    json_object_set_new(newer->commands, json_text_of(line, "build_command"), json_true());
}

/* A build that failed says nothing of a series that another command built, as far as is known. */
static bool is_of_other_command(const json_t *line, const newer_failures *newer) {
  return json_object_size(newer->commands) > 0 &&
         !json_object_get(newer->commands, json_text_of(line, "build_command"));
}

static bool is_newer_failure(const json_t *line, const newer_failures *newer) {
  const sample_series *series = newer->series;
  const sample_point *last = &series->points[series->count - 1];
  const json_t *committed = json_object_get(line, "committed");
  bool is_built = strcmp(json_text_of(line, "event"), "not_measured") == 0;
  /* half a second: days are not exact */
  return json_is_integer(committed) &&
         strcmp(json_text_of(line, "machine"), series->machine) == 0 &&
         (is_built ? strcmp(json_text_of(line, "words"), series->words) == 0
                   : !is_of_other_command(line, newer)) &&
         day_of(json_integer_value(committed)) > last->committed + 0.5 / 86400;
}

static void take_failure(const json_t *line, void *context) {
  const newer_failures *newer = context;
  if (is_newer_failure(line, newer))
    json_object_set_new(newer->commits, json_text_of(line, "commit"), json_true());
}

err failures_count_newer(const char *results, const sample_series *series, size_t *count) {
  newer_failures newer = {series, json_object(), json_object()};
  char *folder = fs_join(results, "benchmarks");
  char *builds = folder ? fs_join(folder, "builds.jsonl") : NULL;
  char *path = folder ? fs_join(folder, "failures.jsonl") : NULL;
  bool has_all = newer.commands && newer.commits && builds && path;
  err error = has_all ? NULL : mem_error(0, "failures");
  if (!error) error = json_lines_each(builds, 0, take_build, &newer);
  if (!error && series->count) error = json_lines_each(path, 0, take_failure, &newer);
  *count = json_object_size(newer.commits);
  json_decref(newer.commands);
  json_decref(newer.commits);
  free(builds);
  free(path);
  free(folder);
  return error;
}
