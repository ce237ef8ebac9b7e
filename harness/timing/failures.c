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
  json_t *range;    /* the newest one measured with the series' arguments; NULL: none */
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

static void take_range(const json_t *line, void *context) {
  newer_failures *newer = context;
  if (strcmp(json_text_of(line, "machine"), newer->series->machine) != 0 ||
      strcmp(json_text_of(line, "words"), newer->series->words) != 0 ||
      is_of_other_command(line, newer))
    return;
  json_decref(newer->range);
  newer->range = json_deep_copy(line);
}

static bool has_commit(const json_t *range, const char *key, const char *commit) {
  const json_t *list = json_object_get(range, key);
  for (size_t i = 0; i < json_array_size(list); i++) {
    const char *one = json_string_value(json_array_get(list, i));
    if (one && strcmp(one, commit) == 0) return true;
  }
  return false;
}

static bool has_point(const sample_series *series, const char *commit) {
  for (size_t i = 0; i < series->count; i++)
    if (strcmp(series->points[i].commit, commit) == 0 && !strchr(series->points[i].label, '+'))
      return true;
  return false;
}

/* Git's order where a range tells it, unless a commit was measured since; else that of the dates:
 * of one second, either may be the newer one. */
static bool is_after_last(const json_t *line, const newer_failures *newer) {
  const double half_second = 0.5 / 86400; /* days are not exact */
  const sample_point *last = &newer->series->points[newer->series->count - 1];
  const char *commit = json_text_of(line, "commit");
  double since = day_of(json_integer_value(json_object_get(line, "committed"))) - last->committed;
  if (has_commit(newer->range, "passed", commit)) return false;
  if (!has_commit(newer->range, "newest", commit)) return since > -half_second;
  json_int_t range_end = json_integer_value(json_object_get(newer->range, "seconds")) + 1;
  return !(last->measured > day_of(range_end)) || since > half_second;
}

static bool is_newer_failure(const json_t *line, const newer_failures *newer) {
  const sample_series *series = newer->series;
  bool is_built = strcmp(json_text_of(line, "event"), "not_measured") == 0;
  return json_is_integer(json_object_get(line, "committed")) &&
         strcmp(json_text_of(line, "machine"), series->machine) == 0 &&
         (is_built ? strcmp(json_text_of(line, "words"), series->words) == 0
                   : !is_of_other_command(line, newer)) &&
         !has_point(series, json_text_of(line, "commit")) && is_after_last(line, newer);
}

static void take_failure(const json_t *line, void *context) {
  const newer_failures *newer = context;
  if (is_newer_failure(line, newer))
    json_object_set_new(newer->commits, json_text_of(line, "commit"), json_true());
}

err failures_count_newer(const char *results, const sample_series *series, size_t *count) {
  newer_failures newer = {series, json_object(), NULL, json_object()};
  char *folder = fs_join(results, "benchmarks");
  char *builds = folder ? fs_join(folder, "builds.jsonl") : NULL;
  char *path = folder ? fs_join(folder, "failures.jsonl") : NULL;
  char *ranges = folder ? fs_join(folder, "ranges.jsonl") : NULL;
  bool has_all = newer.commands && newer.commits && builds && path && ranges;
  err error = has_all ? NULL : mem_error(0, "failures");
  if (!error) error = json_lines_each(builds, 0, take_build, &newer);
  if (!error) error = json_lines_each(ranges, 0, take_range, &newer);
  if (!error && series->count) error = json_lines_each(path, 0, take_failure, &newer);
  *count = json_object_size(newer.commits);
  json_decref(newer.commands);
  json_decref(newer.range);
  json_decref(newer.commits);
  free(ranges);
  free(builds);
  free(path);
  free(folder);
  return error;
}
