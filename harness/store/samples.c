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
#include "base/numbers.h"
#include "base/text.h"
#include "stats/linked.h"
#include "store/sql.h"

static bool has_text(const json_t *line, const char *key) {
  return json_is_string(json_object_get(line, key));
}

/* What places a sample in the record: without it, it would be stored as another one. */
static bool is_sample(const json_t *line) {
  return json_object_get(line, "value") && json_is_integer(json_object_get(line, "ordinal")) &&
         has_text(line, "series") && has_text(line, "metric") && has_text(line, "commit") &&
         has_text(line, "machine");
}

#define SAMPLE_COLUMNS                                                                             \
  "series, words, build, machine, side, round, commit_id, dirty, committed, time, value,"          \
  " other_cpus, stolen_share, is_disturbed"

/* The values of SAMPLE_COLUMNS; NaN is stored as NULL. */
#define SAMPLE_TYPES                                                                               \
  "tttttitttt"                                                                                     \
  "dddi"
#define SAMPLE_VALUES(line)                                                                        \
  json_text_of(line, "series"), json_text_of(line, "words"), json_text_of(line, "build"),          \
      json_text_of(line, "machine"), json_text_of(line, "side"),                                   \
      (int64_t)json_integer_value(json_object_get(line, "round")), json_text_of(line, "commit"),   \
      json_text_of(line, "dirty"), json_text_of(line, "committed"), json_text_of(line, "time"),    \
      json_number_of(line, "value"), json_number_of(line, "other_cpus"),                           \
      json_number_of(line, "stolen_share"),                                                        \
      (int64_t)json_is_true(json_object_get(line, "is_disturbed"))

/* *is_other: the record has one of its number and metric that differs, and keeps it. */
static err take_sample(store *s, const char *session, const json_t *line, bool *is_other) {
  enum { NEW, SAME, OTHER };
  const int64_t ordinal = (int64_t)json_integer_value(json_object_get(line, "ordinal"));
  const char *metric = json_text_of(line, "metric");
  int64_t stored;
  err error = sql_integer(s, NEW, &stored,
                          "SELECT CASE WHEN (" SAMPLE_COLUMNS ") IS"
                          "  (?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)"
                          " THEN 1 ELSE 2 END FROM benchmark_sample"
                          " WHERE session = ?1 AND ordinal = ?2 AND metric = ?3",
                          "tit" SAMPLE_TYPES, session, ordinal, metric, SAMPLE_VALUES(line));
  *is_other = stored == OTHER;
  if (error || stored != NEW) return error;
  return sql_run(s,
                 "INSERT INTO benchmark_sample (session, ordinal, metric, " SAMPLE_COLUMNS ")"
                 " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                 "tit" SAMPLE_TYPES, session, ordinal, metric, SAMPLE_VALUES(line));
}

/* A line of a session, or of the other files in its folder (builds.jsonl, failures.jsonl), whose
 * lines have an "event". */
static err take_line(store *s, const char *session, const char *line, size_t length,
                     const char *path, size_t number) {
  json_t *object = json_loadb(line, length, 0, NULL);
  bool is_other = false;
  err error = NULL;
  if (is_sample(object))
    error = take_sample(s, session, object, &is_other);
  else if (length && !object)
    log_warning("%s:%zu: not a line of JSON: ignored, and what it recorded is missing", path,
                number);
  else if (length && !json_object_get(object, "event"))
    log_warning("%s:%zu: not a sample (a JSON object with \"value\", \"ordinal\", \"series\", "
                "\"metric\", \"commit\" and \"machine\"): ignored",
                path, number);
  if (is_other)
    log_warning("%s:%zu: differs from the sample of this number (ordinal) in the record, which is "
                "kept: a line is damaged or changed; 'flipbench db rebuild' reads all files again",
                path, number);
  json_decref(object);
  return error;
}

static err take_session(store *s, const char *folder, const char *name) {
  char *path = fs_join(folder, name), *text = NULL;
  size_t length = 0, number = 0;
  err error = path ? fs_read(path, &text, &length) : mem_error(0, "a path");
  for (size_t at = 0, own; at < length && !error; at += own + 1) {
    const char *end = memchr(text + at, '\n', length - at);
    own = end ? (size_t)(end - (text + at)) : length - at;
    number++;
    /* the incomplete last line of a killed measurement is no damage */
    json_t *whole = end ? NULL : json_loadb(text + at, own, 0, NULL);
    if (end || whole) error = take_line(s, name, text + at, own, path, number);
    json_decref(whole);
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
    for (size_t i = 0; i < count && !error; i++)
      if (text_ends_with(names[i], ".jsonl")) error = take_session(s, folder, names[i]);
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

size_t store_select_samples(const char *text, sample_series *series, size_t count) {
  size_t selected = 0;
  for (size_t i = 0; i < count; i++) {
    const sample_series one = series[i];
    if (!strstr(one.series, text) && !strstr(one.machine, text) && !strstr(one.words, text) &&
        !strstr(one.build, text))
      continue;
    memmove(&series[selected + 1], &series[selected], (i - selected) * sizeof *series);
    series[selected++] = one;
  }
  return selected;
}

/* The sample that one was measured in turns with, if its program had another compiler or flags. The
 * '+': found among those of the session, not of the series. */
#define OTHER_BUILD                                                                                \
  " FROM benchmark_sample AS other WHERE other.session = own.session AND other.round = own.round"  \
  " AND +other.series = own.series AND other.metric = own.metric AND other.words = own.words"      \
  " AND other.machine = own.machine AND other.build <> own.build AND own.side <> ''"               \
  " AND other.side <> '' AND other.side <> own.side"                                               \
  " AND other.value > 0 AND other.value < 9e999 LIMIT 1"

/* All samples, series by series and commit by commit: in order of commit date (with time zones; of
 * an unknown one, the first measurement), then of their first measurement. Commit dates are whole
 * seconds: range.c measures commits of the same second oldest first, so that the latter is git's
 * order. Commits of the same second that were measured by separate commands, newest first, remain
 * in the order of measurement. */
static const char samples_sql[] =
    "SELECT series, metric, words, build, machine, commit_id, dirty, substr(committed, 1, 10),"
    " value, is_disturbed, value > 0 AND value < 9e999 AS is_number,"
    " coalesce(max(julianday(committed)) OVER one, julianday(min(time) OVER one)) AS day,"
    " min(time) OVER one AS first, julianday(min(time) OVER one),"
    " CASE WHEN side = '' THEN 0 ELSE dense_rank() OVER (ORDER BY session, round) END,"
    " (SELECT other.value" OTHER_BUILD
    "), (SELECT other.commit_id || other.dirty || other.build" OTHER_BUILD ")"
    " FROM benchmark_sample AS own WHERE metric = ?1"
    " WINDOW one AS (PARTITION BY series, metric, words, build, machine, commit_id, dirty)"
    " ORDER BY series, metric, machine, words, build, day, first, commit_id, dirty, session,"
    "  ordinal";

/* The samples of a series being read; their items are its points. */
typedef struct {
  sample_series **series;
  size_t *count;
  linked_sample *samples;
  bool *is_disturbed;
  size_t sample_count, alone; /* alone: samples without a round, which get numbers of their own */
  linked_sample *others;      /* of other builds, measured in turns with these; items: of `names` */
  size_t other_count;
  char (*names)[512]; /* the commits of those */
  size_t name_count;
  char dirty[32];
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

static err add_point(reader *r, sample_series *one, sqlite3_stmt *rows) {
  sample_point *grown = mem_resize(one->points, one->count + 1, sizeof *grown);
  if (!grown) return mem_error(sizeof *grown, "a series");
  one->points = grown;
  sample_point *p = &grown[one->count++];
  const char *commit = sql_text(rows, 5);
  *p = (sample_point){.measured = sql_real(rows, 13), .committed = sql_real(rows, 11)};
  snprintf(r->dirty, sizeof r->dirty, "%s", sql_text(rows, 6));
  snprintf(p->commit, sizeof p->commit, "%s", commit);
  snprintf(p->label, sizeof p->label, "%.10s%s", commit, *r->dirty ? "+" : "");
  snprintf(p->day, sizeof p->day, "%s", sql_text(rows, 7));
  return NULL;
}

static err add_sample(reader *r, size_t point, sqlite3_stmt *rows) {
  linked_sample *samples = mem_resize(r->samples, r->sample_count + 1, sizeof *samples);
  if (samples) r->samples = samples;
  bool *is_disturbed = mem_resize(r->is_disturbed, r->sample_count + 1, sizeof *is_disturbed);
  if (is_disturbed) r->is_disturbed = is_disturbed;
  if (!samples || !is_disturbed) return mem_error(sizeof *samples, "a series");
  int64_t round = sqlite3_column_int64(rows, 14);
  samples[r->sample_count] =
      (linked_sample){.item = point,
                      .round = round > 0 ? (size_t)round : SIZE_MAX - r->alone++,
                      .value = sql_real(rows, 8)};
  is_disturbed[r->sample_count++] = sqlite3_column_int64(rows, 9) != 0;
  return NULL;
}

/* The number of another build's commit. */
static err find_name(reader *r, const char *name, size_t *at) {
  for (*at = 0; *at < r->name_count; ++*at)
    if (strcmp(r->names[*at], name) == 0) return NULL;
  char(*grown)[512] = mem_resize(r->names, r->name_count + 1, sizeof *grown);
  if (!grown) return mem_error(sizeof *grown, "a series");
  r->names = grown;
  snprintf(grown[r->name_count++], sizeof *grown, "%s", name);
  return NULL;
}

/* The sample of another build in the round of the one added last, if there is one. */
static err add_other(reader *r, sqlite3_stmt *rows) {
  double value = sql_real(rows, 15);
  size_t at;
  if (isnan(value)) return NULL;
  err error = find_name(r, sql_text(rows, 16), &at);
  if (error) return error;
  linked_sample *grown = mem_resize(r->others, r->other_count + 1, sizeof *grown);
  if (!grown) return mem_error(sizeof *grown, "a series");
  r->others = grown;
  grown[r->other_count++] =
      (linked_sample){.item = at, .round = r->samples[r->sample_count - 1].round, .value = value};
  return NULL;
}

/* The values of a point's samples: those without drift, or all as measured; returns how many. */
static size_t values_of(const reader *r, size_t point, const double *corrected, bool is_corrected,
                        double *values, size_t *disturbed) {
  size_t count = 0;
  *disturbed = 0;
  for (size_t i = 0; i < r->sample_count; i++) {
    double value = is_corrected ? corrected[i] : r->samples[i].value;
    if (r->samples[i].item != point || isnan(value)) continue;
    values[count++] = value;
    *disturbed += r->is_disturbed[i];
  }
  return count;
}

/* How many of the items have a sample without the machine's drift. */
static size_t count_linked(const reader *r, size_t items, const double *corrected) {
  size_t linked = 0;
  for (size_t item = 0; item < items; item++)
    for (size_t i = 0; i < r->sample_count; i++)
      if (r->samples[i].item == item && !isnan(corrected[i])) {
        linked++;
        break;
      }
  return linked;
}

/* Where a commit changed the flags, those before it were measured in turns with a reference of the
 * other build: along pairs with such commits, if they connect more of the series than its own. */
static err link_by_others(const reader *r, size_t items, double *corrected) {
  const size_t own = r->sample_count, count = own + r->other_count;
  if (!r->other_count) return NULL;
  linked_sample *all = mem_zeroed(count, sizeof *all);
  double *values = mem_zeroed(count, sizeof *values);
  err error = all && values ? NULL : mem_error(count, "a series");
  if (!error) {
    memcpy(all, r->samples, own * sizeof *all);
    memcpy(all + own, r->others, r->other_count * sizeof *all);
    for (size_t i = own; i < count; i++) all[i].item += items;
    error = stats_linked(all, count, items + r->name_count, values);
  }
  const size_t least = items > 1 ? 2 : 1; /* one alone is connected with none of the series */
  const size_t linked = error ? 0 : count_linked(r, items, values);
  if (linked >= least && linked > count_linked(r, items, corrected))
    memcpy(corrected, values, own * sizeof *corrected);
  free(all);
  free(values);
  return error;
}

/* Points from the series' samples; a commit without a number has none. */
static err close_series(reader *r) {
  if (!*r->count) return NULL;
  sample_series *one = &(*r->series)[*r->count - 1];
  size_t kept = 0;
  double *corrected = mem_zeroed(r->sample_count + 1, sizeof *corrected);
  double *values = mem_zeroed(r->sample_count + 1, sizeof *values);
  err error = corrected && values ? stats_linked(r->samples, r->sample_count, one->count, corrected)
                                  : mem_error(r->sample_count, "a series");
  if (!error) error = link_by_others(r, one->count, corrected);
  for (size_t i = 0; i < one->count && !error; i++) {
    sample_point *p = &one->points[i];
    size_t n = values_of(r, i, corrected, true, values, &p->disturbed);
    p->is_alone = n == 0;
    if (p->is_alone) n = values_of(r, i, corrected, false, values, &p->disturbed);
    one->empty_commits += n == 0;
    one->empty_newest = n == 0 ? one->empty_newest + 1 : 0;
    if (!n) continue;
    p->value = numbers_median(values, n);
    p->least = values[0];
    p->most = values[n - 1];
    p->samples = n;
    one->alone += p->is_alone;
    one->points[kept++] = *p;
  }
  one->count = kept;
  r->sample_count = r->alone = r->other_count = r->name_count = 0;
  free(corrected);
  free(values);
  return error;
}

static err take_row(reader *r, sqlite3_stmt *rows) {
  err error = NULL;
  bool is_new = !*r->count || !is_same_series(&(*r->series)[*r->count - 1], rows);
  if (is_new) error = close_series(r);
  if (!error && is_new) error = add_series(r, rows);
  if (error) return error;
  sample_series *one = &(*r->series)[*r->count - 1];
  if (is_new || strcmp(one->points[one->count - 1].commit, sql_text(rows, 5)) != 0 ||
      strcmp(r->dirty, sql_text(rows, 6)) != 0)
    error = add_point(r, one, rows);
  if (error) return error;
  if (sqlite3_column_int64(rows, 10) == 1) {
    error = add_sample(r, one->count - 1, rows);
    return error ? error : add_other(r, rows);
  }
  one->left_out++;
  return NULL;
}

err store_read_samples(store *s, const char *metric, sample_series **series, size_t *count) {
  reader r = {.series = series, .count = count};
  sqlite3_stmt *rows;
  bool more;
  *series = NULL;
  *count = 0;
  err error = sql_query(s, &rows, samples_sql, "t", metric);
  while (!error && !(error = sql_next(s, rows, &more)) && more) error = take_row(&r, rows);
  if (!error) error = close_series(&r);
  free(r.samples);
  free(r.others);
  free(r.names);
  free(r.is_disturbed);
  return error;
}

err store_count_rounds(store *s, const char *metric, const char *words, const char *machine,
                       const char *commit, const char *other_builds, size_t *count) {
  int64_t found = 0;
  err error = sql_integer(s, 0, &found,
                          "SELECT count(DISTINCT a.session || ' ' || a.round)"
                          " FROM benchmark_sample AS a JOIN benchmark_sample AS b"
                          " USING (session, round, series, metric)"
                          " WHERE a.metric = ? AND a.words = ? AND a.machine = ?"
                          " AND a.commit_id = ? AND a.dirty = '' AND a.side <> ''"
                          " AND b.commit_id <> a.commit_id AND a.value > 0 AND b.value > 0"
                          " AND a.build NOT IN (SELECT value FROM json_each(?))",
                          "ttttt", metric, words, machine, commit, other_builds);
  *count = (size_t)found;
  return error;
}

err store_list_linked(store *s, const char *metric, const char *words, const char *machine,
                      const char *commit, const char *other_builds, char **commits) {
  sqlite3_stmt *rows;
  bool more = false;
  *commits = NULL;
  err error = sql_query(s, &rows,
                        "WITH RECURSIVE usable AS (SELECT * FROM benchmark_sample WHERE metric = ?1"
                        " AND words = ?2 AND machine = ?3 AND dirty = '' AND side <> ''"
                        " AND value > 0 AND build NOT IN (SELECT value FROM json_each(?5))),"
                        " pair(one, other) AS (SELECT DISTINCT a.commit_id, b.commit_id"
                        " FROM usable AS a JOIN usable AS b USING (session, round, series)"
                        " WHERE a.commit_id <> b.commit_id),"
                        " linked(id) AS (VALUES (?4) UNION"
                        " SELECT other FROM pair JOIN linked ON one = id)"
                        " SELECT json_group_array(id) FROM linked",
                        "ttttt", metric, words, machine, commit, other_builds);
  while (!error && !(error = sql_next(s, rows, &more)) && more)
    if (!(*commits = mem_copy_string(sql_text(rows, 0)))) {
      sql_stop(rows);
      return mem_error(0, "commits");
    }
  return error;
}

err store_find_reference(store *s, const char *metric, const char *words, const char *machine,
                         char commit[48]) {
  sqlite3_stmt *rows;
  bool more = false;
  *commit = '\0';
  err error = sql_query(s, &rows,
                        "SELECT commit_id FROM benchmark_sample WHERE metric = ? AND words = ?"
                        " AND machine = ? AND side = 'base' AND dirty = '' AND value > 0"
                        " GROUP BY commit_id ORDER BY count(*) DESC, max(time) DESC LIMIT 1",
                        "ttt", metric, words, machine);
  while (!error && !(error = sql_next(s, rows, &more)) && more)
    snprintf(commit, 48, "%s", sql_text(rows, 0));
  return error;
}
