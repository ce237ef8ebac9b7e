#include "store/samples.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/fs.h"
#include "base/json_read.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/sql.h"

static err take_sample(store *s, const char *session, const json_t *line) {
  return sql_run(
      s,
      "INSERT OR IGNORE INTO benchmark_sample (session, ordinal, series, metric, words,"
      " build, machine, side, round, commit_id, dirty, committed, time, value,"
      " other_cpus, stolen_share, is_disturbed)"
      " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      "titttttt"
      "itttt"
      "dddi",
      session, (int64_t)json_integer_value(json_object_get(line, "ordinal")),
      json_text_of(line, "series"), json_text_of(line, "metric"), json_text_of(line, "words"),
      json_text_of(line, "build"), json_text_of(line, "machine"), json_text_of(line, "side"),
      (int64_t)json_integer_value(json_object_get(line, "round")), json_text_of(line, "commit"),
      json_text_of(line, "dirty"), json_text_of(line, "committed"), json_text_of(line, "time"),
      json_number_of(line, "value"), json_number_of(line, "other_cpus"),
      json_number_of(line, "stolen_share"),
      (int64_t)json_is_true(json_object_get(line, "is_disturbed")));
}

static err take_session(store *s, const char *folder, const char *name) {
  char *path = fs_join(folder, name), *text = NULL;
  size_t length, number = 0;
  err error = path ? fs_read(path, &text, &length) : mem_error(0, "a path");
  for (char *rest = text, *line; !error && (line = strsep(&rest, "\n"));) {
    json_t *object = json_loads(line, 0, NULL);
    bool is_cut_short = rest == NULL; /* incomplete last line of a killed measurement */
    number++;
    if (json_is_object(object) && json_object_get(object, "value"))
      error = take_sample(s, name, object);
    else if (*line && !is_cut_short && !json_object_get(object, "event"))
      log_warning("%s:%zu: not a sample (a JSON object with a \"value\"): ignored", path, number);
    json_decref(object);
  }
  free(path);
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
    for (size_t i = 0; i < count && !error; i++) {
      size_t length = strlen(names[i]);
      if (length > 6 && strcmp(names[i] + length - 6, ".jsonl") == 0)
        error = take_session(s, folder, names[i]);
    }
    error = sql_end(s, error);
  }
  fs_free_names(names, count);
  free(folder);
  return error;
}

static void free_series(sample_series *one) {
  free(one->series);
  free(one->metric);
  free(one->words);
  free(one->build);
  free(one->machine);
  free(one->points);
}

void store_free_samples(sample_series *series, size_t count) {
  for (size_t i = 0; i < count; i++) free_series(&series[i]);
  free(series);
}

void store_select_samples(const char *text, sample_series *series, size_t *count) {
  size_t kept = 0;
  for (size_t i = 0; i < *count; i++) {
    sample_series *one = &series[i];
    if (strstr(one->series, text) || strstr(one->machine, text) || strstr(one->words, text) ||
        strstr(one->build, text))
      series[kept++] = *one;
    else
      free_series(one);
  }
  *count = kept;
}

/* All samples, series by series and commit by commit: in order of commit date (with time zones; of
 * an unknown one, the first measurement), then of their first measurement; the positive ones first,
 * ascending. */
static const char samples_sql[] =
    "SELECT series, metric, words, build, machine, commit_id, dirty, substr(committed, 1, 10),"
    " value, is_disturbed, value > 0 AND value < 9e999 AS is_number,"
    " coalesce(max(julianday(committed)) OVER one, julianday(min(time) OVER one)) AS day,"
    " min(time) OVER one AS first"
    " FROM benchmark_sample WHERE metric = ?1"
    " WINDOW one AS (PARTITION BY series, metric, words, build, machine, commit_id, dirty)"
    " ORDER BY series, metric, machine, words, build, day, first, commit_id, dirty,"
    "  is_number IS NOT 1, value";

typedef struct {
  sample_series **series;
  size_t *count;
  double *values; /* of the commit being read */
  size_t value_count;
  char commit[48], dirty[32];
  size_t disturbed;
  char day[16];
} reader;

static bool is_same_series(const sample_series *one, sqlite3_stmt *rows) {
  return strcmp(one->series, sql_text(rows, 0)) == 0 &&
         strcmp(one->words, sql_text(rows, 2)) == 0 && strcmp(one->build, sql_text(rows, 3)) == 0 &&
         strcmp(one->machine, sql_text(rows, 4)) == 0;
}

static err add_series(reader *r, sqlite3_stmt *rows) {
  sample_series *grown = mem_resize(*r->series, *r->count + 1, sizeof *grown);
  if (!grown) return mem_error(sizeof *grown, "a series");
  *r->series = grown;
  sample_series *one = &grown[(*r->count)++];
  *one = (sample_series){.series = mem_copy_string(sql_text(rows, 0)),
                         .metric = mem_copy_string(sql_text(rows, 1)),
                         .words = mem_copy_string(sql_text(rows, 2)),
                         .build = mem_copy_string(sql_text(rows, 3)),
                         .machine = mem_copy_string(sql_text(rows, 4))};
  return one->series && one->metric && one->words && one->build && one->machine
             ? NULL
             : mem_error(0, "a series");
}

/* Turns the samples of the current commit into a point, or counts it as one without a number. */
static err close_commit(reader *r, bool is_open) {
  if (!is_open) return NULL;
  sample_series *one = &(*r->series)[*r->count - 1];
  size_t n = r->value_count;
  if (n == 0) {
    one->empty_commits++;
    return NULL;
  }
  sample_point *grown = mem_resize(one->points, one->count + 1, sizeof *grown);
  if (!grown) return mem_error(sizeof *grown, "a series");
  one->points = grown;
  sample_point *p = &grown[one->count++];
  *p = (sample_point){.value = (r->values[(n - 1) / 2] + r->values[n / 2]) / 2,
                      .least = r->values[0],
                      .most = r->values[n - 1],
                      .samples = n,
                      .disturbed = r->disturbed};
  snprintf(p->commit, sizeof p->commit, "%s", r->commit);
  snprintf(p->label, sizeof p->label, "%.10s%s", r->commit, *r->dirty ? "+" : "");
  snprintf(p->day, sizeof p->day, "%s", r->day);
  return NULL;
}

static err take_row(reader *r, sqlite3_stmt *rows, bool *is_open) {
  bool is_new = !*r->count || !is_same_series(&(*r->series)[*r->count - 1], rows);
  bool is_next = is_new || strcmp(r->commit, sql_text(rows, 5)) != 0 ||
                 strcmp(r->dirty, sql_text(rows, 6)) != 0;
  err error = is_next ? close_commit(r, *is_open) : NULL;
  if (!error && is_new) error = add_series(r, rows);
  if (error) return error;
  if (is_next) {
    r->value_count = r->disturbed = 0;
    snprintf(r->commit, sizeof r->commit, "%s", sql_text(rows, 5));
    snprintf(r->dirty, sizeof r->dirty, "%s", sql_text(rows, 6));
    snprintf(r->day, sizeof r->day, "%s", sql_text(rows, 7));
    *is_open = true;
  }
  if (sqlite3_column_int64(rows, 10) != 1) {
    (*r->series)[*r->count - 1].left_out++;
    return NULL;
  }
  double *grown = mem_resize(r->values, r->value_count + 1, sizeof *grown);
  if (!grown) return mem_error(sizeof *grown, "a series");
  r->values = grown;
  r->values[r->value_count++] = sql_real(rows, 8);
  r->disturbed += sqlite3_column_int64(rows, 9) != 0;
  return NULL;
}

err store_read_samples(store *s, const char *metric, sample_series **series, size_t *count) {
  reader r = {.series = series, .count = count};
  sqlite3_stmt *rows;
  bool more, is_open = false;
  *series = NULL;
  *count = 0;
  err error = sql_query(s, &rows, samples_sql, "t", metric);
  while (!error && !(error = sql_next(s, rows, &more)) && more)
    error = take_row(&r, rows, &is_open);
  if (!error) error = close_commit(&r, is_open);
  free(r.values);
  return error;
}

err store_count_samples(store *s, const char *metric, const char *words, const char *machine,
                        const char *commit, size_t *count) {
  int64_t found = 0;
  err error = sql_integer(s, 0, &found,
                          "SELECT count(DISTINCT session || ' ' || round) FROM benchmark_sample"
                          " WHERE metric = ? AND words = ? AND machine = ? AND commit_id = ?"
                          " AND dirty = '' AND value > 0",
                          "tttt", metric, words, machine, commit);
  *count = (size_t)found;
  return error;
}
