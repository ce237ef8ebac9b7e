#include "store/samples.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/fs.h"
#include "base/mem.h"
#include "store/sql.h"

static const char *text_of(const json_t *object, const char *key) {
  const char *text = json_string_value(json_object_get(object, key));
  return text ? text : "";
}

static err take_sample(store *s, const char *session, const json_t *line) {
  return sql_run(s,
                 "INSERT OR IGNORE INTO benchmark_sample (session, ordinal, series, metric, side,"
                 " commit_id, dirty, committed, machine, time, value)"
                 " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                 "tittttttttd", session,
                 (int64_t)json_integer_value(json_object_get(line, "ordinal")),
                 text_of(line, "series"), text_of(line, "metric"), text_of(line, "side"),
                 text_of(line, "commit"), text_of(line, "dirty"), text_of(line, "committed"),
                 text_of(line, "machine"), text_of(line, "time"),
                 json_number_value(json_object_get(line, "value")));
}

static err take_session(store *s, const char *folder, const char *name) {
  char *path = fs_join(folder, name), *text = NULL;
  size_t length;
  err error = path ? fs_read(path, &text, &length) : mem_error(0, "a path");
  free(path);
  for (char *rest = text, *line; !error && (line = strsep(&rest, "\n"));) {
    json_t *object = json_loads(line, 0, NULL); /* a line that was cut short is no sample */
    if (json_is_number(json_object_get(object, "value"))) error = take_sample(s, name, object);
    json_decref(object);
  }
  free(text);
  return error;
}

err store_ingest_samples(store *s, const char *results) {
  char *folder = fs_join(results, "benchmarks"), **names = NULL;
  size_t count = 0;
  err error = folder ? NULL : mem_error(0, "a path");
  if (!error && fs_is_folder(folder)) error = fs_list(folder, &names, &count);
  if (!error) error = sql_begin(s);
  if (!error) {
    for (size_t i = 0; i < count && !error; i++) error = take_session(s, folder, names[i]);
    error = sql_end(s, error);
  }
  fs_free_names(names, count);
  free(folder);
  return error;
}

void store_free_samples(sample_series *series, size_t count) {
  for (size_t i = 0; i < count; i++) {
    free(series[i].series);
    free(series[i].metric);
    free(series[i].machine);
    free(series[i].points);
  }
  free(series);
}

/* The median of each commit: the middle sample, or the mean of the middle two. */
static const char points_sql[] =
    "WITH ranked AS (SELECT series, metric, machine, commit_id, dirty, committed, value,"
    "  row_number() OVER one AS place, count(*) OVER (PARTITION BY series, metric, machine,"
    "   commit_id, dirty) AS samples, min(time) OVER (PARTITION BY series, metric, machine,"
    "   commit_id, dirty) AS first FROM benchmark_sample WHERE metric = ?1"
    "  WINDOW one AS (PARTITION BY series, metric, machine, commit_id, dirty ORDER BY value))"
    " SELECT series, metric, machine, substr(commit_id, 1, 10) || CASE WHEN dirty = '' THEN ''"
    "  ELSE '+' END, substr(committed, 1, 10), avg(value), max(samples) FROM ranked"
    " WHERE place IN ((samples + 1) / 2, (samples + 2) / 2)"
    " GROUP BY series, metric, machine, commit_id, dirty"
    " ORDER BY series, metric, machine, max(committed), min(first)";

static err add_point(sample_series *one, sqlite3_stmt *rows) {
  sample_point *grown = mem_resize(one->points, one->count + 1, sizeof *grown);
  if (!grown) return mem_error(sizeof *grown, "a series");
  one->points = grown;
  sample_point *p = &grown[one->count++];
  snprintf(p->commit, sizeof p->commit, "%s", sql_text(rows, 3));
  snprintf(p->day, sizeof p->day, "%s", sql_text(rows, 4));
  p->value = sql_real(rows, 5);
  p->samples = (size_t)sqlite3_column_int64(rows, 6);
  return NULL;
}

static err add_series(sample_series **series, size_t *count, sqlite3_stmt *rows) {
  sample_series *grown = mem_resize(*series, *count + 1, sizeof *grown);
  if (!grown) return mem_error(sizeof *grown, "a series");
  *series = grown;
  sample_series *one = &grown[(*count)++];
  *one = (sample_series){mem_copy_string(sql_text(rows, 0)), mem_copy_string(sql_text(rows, 1)),
                         mem_copy_string(sql_text(rows, 2)), NULL, 0};
  return one->series && one->metric && one->machine ? NULL : mem_error(0, "a series");
}

err store_read_samples(store *s, const char *metric, sample_series **series, size_t *count) {
  sqlite3_stmt *rows;
  bool more;
  *series = NULL;
  *count = 0;
  err error = sql_query(s, &rows, points_sql, "t", metric);
  while (!error && !(error = sql_next(s, rows, &more)) && more) {
    const sample_series *last = *count ? &(*series)[*count - 1] : NULL;
    bool is_new = !last || strcmp(last->series, sql_text(rows, 0)) != 0 ||
                  strcmp(last->machine, sql_text(rows, 2)) != 0;
    if (is_new) error = add_series(series, count, rows);
    if (!error) error = add_point(&(*series)[*count - 1], rows);
  }
  return error;
}
