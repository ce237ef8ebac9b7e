#include "store/runs.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "store/facts.h"
#include "store/rows.h"

/* ---- one run ---- */

static const size_t run_texts_of[] = {offsetof(store_run, cell_id),
                                      offsetof(store_run, directory),
                                      offsetof(store_run, status),
                                      offsetof(store_run, kind),
                                      offsetof(store_run, message),
                                      offsetof(store_run, started),
                                      offsetof(store_run, ended),
                                      offsetof(store_run, settings_fingerprint),
                                      offsetof(store_run, data_fingerprint),
                                      offsetof(store_run, data_stamp),
                                      offsetof(store_run, note),
                                      offsetof(store_run, tags),
                                      offsetof(store_run, log_tail)};
static const rows_texts run_texts = ROWS_TEXTS(run_texts_of);

/* A run with its newest attempt. julianday counts days from noon of 4714 BC. */
#define RUN_COLUMNS                                                                                \
  "SELECT run.cell_id, run.directory, run.status, run.kind, run.message, run.started, run.ended,"  \
  " settings_fingerprint, data_fingerprint, data_stamp, note,"                                     \
  " (SELECT group_concat(name, ' ') FROM (SELECT name FROM tag WHERE run_id = run.id"              \
  "  ORDER BY name)), attempt.log_tail,"                                                           \
  " run.id, attempt.number, attempt.pid, attempts_offset + events_offset,"                         \
  " (julianday(run.started) - 2440587.5) * 86400, archived"                                        \
  " FROM run LEFT JOIN attempt ON attempt.run_id = run.id"
#define NEWEST_ATTEMPT " ORDER BY attempt.number DESC LIMIT 1"

static err take_run(sqlite3_stmt *row, void *item) {
  store_run *run = item;
  err error = rows_copy_texts(row, 0, &run_texts, run);
  run->run_id = sqlite3_column_int64(row, 13);
  run->attempts = sqlite3_column_int64(row, 14);
  run->pid = sqlite3_column_int64(row, 15);
  run->bytes_read = sqlite3_column_int64(row, 16);
  run->started_seconds = sql_real(row, 17);
  run->is_archived = sqlite3_column_int(row, 18) != 0;
  return error;
}

static void drop_run(void *item) {
  rows_free_texts(&run_texts, item);
}

void store_free_run(store_run *run) {
  drop_run(run);
  *run = (store_run){0};
}

static const rows_kind run_kind = {sizeof(store_run), take_run, drop_run, "a run's record"};

/* The run that `rows` starts with, or an empty one. */
static err first_run(store *s, sqlite3_stmt *rows, store_run *run) {
  bool has_row;
  *run = (store_run){0};
  err error = rows_first(s, rows, &run_kind, run, &has_row);
  if (!error && !has_row) error = rows_empty_texts(&run_texts, run);
  if (error) store_free_run(run);
  return error;
}

err store_empty_run(store_run *run) {
  *run = (store_run){0};
  err error = rows_empty_texts(&run_texts, run);
  if (error) store_free_run(run);
  return error;
}

err store_find_run(store *s, const char *cell_id, store_run *run) {
  sqlite3_stmt *rows;
  *run = (store_run){0};
  err error = sql_query(s, &rows,
                        RUN_COLUMNS " WHERE run.id = (SELECT run_id FROM v_run_place"
                                    " WHERE cell_id = ? AND is_result)" NEWEST_ATTEMPT,
                        "t", cell_id);
  return error ? error : first_run(s, rows, run);
}

err store_find_run_in(store *s, const char *directory, store_run *run) {
  sqlite3_stmt *rows;
  *run = (store_run){0};
  err error =
      sql_query(s, &rows, RUN_COLUMNS " WHERE run.directory = ?" NEWEST_ATTEMPT, "t", directory);
  return error ? error : first_run(s, rows, run);
}

err store_load_run(store *s, int64_t run_id, store_run *run) {
  sqlite3_stmt *rows;
  *run = (store_run){0};
  err error = sql_query(s, &rows, RUN_COLUMNS " WHERE run.id = ?" NEWEST_ATTEMPT, "i", run_id);
  if (!error) error = first_run(s, rows, run);
  if (error || run->run_id) return error;
  store_free_run(run);
  return err_new(ERR_INPUT, "no such run: %lld", (long long)run_id);
}

/* Of the parent's other runs the newest that began before the child is the one it came from; one
 * that was removed has left its loss. */
static const char comes_from_sql[] =
    "WITH child AS (SELECT started, (SELECT value FROM summary WHERE run_id = ?1"
    "  AND name = 'origin_loss') AS kept FROM run WHERE id = ?1),"
    " parent AS (SELECT id, cell_id, started FROM run WHERE id = ?2),"
    " origin AS (SELECT run.id, archived FROM run, parent, child"
    "  WHERE run.cell_id = parent.cell_id AND run.id <> parent.id AND status = 'finished'"
    "   AND run.started < child.started"
    "  ORDER BY run.started DESC LIMIT 1)"
    "SELECT CASE WHEN kept IS NOT NULL THEN"
    "  EXISTS (SELECT 1 FROM run WHERE run.cell_id = parent.cell_id AND status = 'finished'"
    "   AND (run.id = parent.id OR NOT archived) AND (kept ="
    "    (SELECT loss FROM step WHERE run_id = run.id ORDER BY step DESC LIMIT 1)"
    "    OR EXISTS (SELECT 1 FROM warning WHERE run_id = run.id AND kind = 'no_end')))"
    " ELSE parent.started <= child.started"
    "  OR EXISTS (SELECT 1 FROM run WHERE run.cell_id = parent.cell_id AND NOT archived"
    "   AND status = 'finished' AND run.started < child.started)"
    "  OR EXISTS (SELECT 1 FROM origin WHERE"
    "   (SELECT loss FROM step WHERE run_id = origin.id ORDER BY step DESC LIMIT 1) ="
    "   (SELECT loss FROM step WHERE run_id = parent.id ORDER BY step DESC LIMIT 1)) END"
    " FROM parent, child";

err store_comes_from(store *s, int64_t run_id, int64_t parent_id, bool *comes_from) {
  int64_t is_true;
  err error = sql_integer(s, 1, &is_true, comes_from_sql, "ii", run_id, parent_id);
  *comes_from = !error && is_true;
  return error;
}

err store_next_archived(store *s, const char *cell_id, int64_t after, int64_t *run_id) {
  return sql_integer(s, 0, run_id,
                     "SELECT min(id) FROM run WHERE cell_id = ? AND archived AND id > ?", "ti",
                     cell_id, after);
}

err store_has_run(store *s, int64_t run_id, bool *is_there) {
  int64_t found;
  err error = sql_integer(s, 0, &found, "SELECT 1 FROM run WHERE id = ?", "i", run_id);
  *is_there = !error && found;
  return error;
}

err store_match_cells(store *s, const char *prefix, size_t *cells, int64_t *run_id) {
  int64_t count;
  *run_id = 0;
  err error = sql_integer(
      s, 0, &count, "SELECT count(*) FROM cell WHERE substr(id, 1, length(?1)) = ?1", "t", prefix);
  *cells = (size_t)count;
  if (error) return error;
  return sql_integer(s, 0, run_id,
                     "SELECT run_id FROM v_run_place WHERE place = 1"
                     " AND substr(cell_id, 1, length(?1)) = ?1",
                     "t", prefix);
}

void store_reword_end(const char *message, strbuf *out) {
  static const struct {
    const char *theirs, *ours;
  } phrases[] = {
      {"; --resume ", "; the same 'flipbench run' command "},
      {"start a new run with another --out",
       "train the cell anew: 'flipbench runs archive RUN' (its number: 'flipbench runs list') and "
       "'flipbench run'"},
  };
  for (size_t i = 0; i < sizeof phrases / sizeof *phrases; i++) {
    const char *at = strstr(message, phrases[i].theirs);
    if (!at) continue;
    strbuf_append_bytes(out, message, (size_t)(at - message));
    strbuf_append(out, phrases[i].ours);
    message = at + strlen(phrases[i].theirs);
  }
  strbuf_append(out, message);
}

/* ---- lists ---- */

static const size_t line_texts_of[] = {
    offsetof(store_run_line, status),     offsetof(store_run_line, cell_id),
    offsetof(store_run_line, directory),  offsetof(store_run_line, started),
    offsetof(store_run_line, note),       offsetof(store_run_line, tags),
    offsetof(store_run_line, experiments)};
static const rows_texts line_texts = ROWS_TEXTS(line_texts_of);

static err take_line(sqlite3_stmt *row, void *item) {
  store_run_line *line = item;
  line->run_id = sqlite3_column_int64(row, 7);
  line->is_archived = sqlite3_column_int(row, 8) != 0;
  line->samples_per_second = sql_real(row, 9);
  line->train_seconds = sql_real(row, 10);
  return rows_copy_texts(row, 0, &line_texts, line);
}

static void drop_line(void *item) {
  rows_free_texts(&line_texts, item);
}

static const rows_kind line_kind = {sizeof(store_run_line), take_line, drop_line, "the runs"};

err store_list_runs(store *s, const store_run_filter *filter, store_run_line **runs,
                    size_t *count) {
  sqlite3_stmt *rows;
  void *items = NULL;
  *runs = NULL;
  *count = 0;
  err error = sql_query(
      s, &rows,
      "SELECT run.status, run.cell_id, run.directory, run.started, run.note,"
      " (SELECT group_concat(name, ' ') FROM (SELECT name FROM tag WHERE run_id = run.id"
      "  ORDER BY name)),"
      " (SELECT group_concat(DISTINCT experiment.name) FROM experiment_cell JOIN experiment"
      "  ON experiment.id = experiment_id WHERE experiment_cell.cell_id = run.cell_id) AS owners,"
      " run.id, run.archived,"
      " (SELECT value FROM summary WHERE run_id = run.id AND name = 'samples_per_second'),"
      " (SELECT value FROM summary WHERE run_id = run.id AND name = 'train_seconds')"
      " FROM run WHERE archived >= ?1 AND (?2 = 0 OR owners IS NULL)"
      " AND (?3 IS NULL OR EXISTS (SELECT 1 FROM tag WHERE run_id = run.id AND name = ?3))"
      " AND (?4 IS NULL OR substr(directory, 1, length(?4) + 1) = ?4 || '/')"
      " ORDER BY run.id",
      "iitt", (int64_t)filter->only_archived, (int64_t)filter->only_unowned, filter->tag,
      filter->experiment);
  if (!error) error = rows_collect(s, rows, &line_kind, &items, count);
  *runs = items;
  return error;
}

void store_free_run_lines(store_run_line *runs, size_t count) {
  rows_free(&line_kind, runs, count);
}

static const size_t past_texts_of[] = {offsetof(store_past_run, settings),
                                       offsetof(store_past_run, host)};
static const rows_texts past_texts = ROWS_TEXTS(past_texts_of);

static err take_past(sqlite3_stmt *row, void *item) {
  store_past_run *run = item;
  run->run_id = sqlite3_column_int64(row, 2);
  run->threads = sqlite3_column_int64(row, 3);
  run->samples = sql_real(row, 4);
  run->steady_seconds = sql_real(row, 5);
  run->wall_seconds = sql_real(row, 6);
  run->peak_bytes = sql_real(row, 7);
  run->ranks = sqlite3_column_int64(row, 8);
  return rows_copy_texts(row, 0, &past_texts, run);
}

static void drop_past(void *item) {
  rows_free_texts(&past_texts, item);
}

static const rows_kind past_kind = {sizeof(store_past_run), take_past, drop_past, "past runs"};

err store_list_past_runs(store *s, size_t most, store_past_run **runs, size_t *count) {
  sqlite3_stmt *rows;
  void *items = NULL;
  *runs = NULL;
  *count = 0;
  err error =
      sql_query(s, &rows,
                "SELECT cell.settings, environment.host, run.id, coalesce(environment.threads, 1),"
                " (SELECT value FROM summary WHERE run_id = run.id AND name = 'samples'),"
                " (SELECT value FROM summary WHERE run_id = run.id AND name = 'steady_seconds'),"
                " (SELECT value FROM summary WHERE run_id = run.id AND name = 'wall_seconds'),"
                " (SELECT value FROM summary WHERE run_id = run.id AND name = 'peak_bytes'),"
                " (SELECT value FROM summary WHERE run_id = run.id AND name = 'ranks')"
                " FROM run JOIN cell ON cell.id = run.cell_id"
                " LEFT JOIN environment ON environment.id = run.environment_id"
                " WHERE run.status = 'finished' AND NOT EXISTS (SELECT 1 FROM summary"
                "  WHERE run_id = run.id AND name = 'disturbed' AND value > 0)"
                " ORDER BY run.id DESC LIMIT ?",
                "i", (int64_t)most);
  if (!error) error = rows_collect(s, rows, &past_kind, &items, count);
  *runs = items;
  return error;
}

void store_free_past_runs(store_past_run *runs, size_t count) {
  rows_free(&past_kind, runs, count);
}

/* ---- single values ---- */

err store_last_checkpoint(store *s, const char *results, int64_t run_id, char **path) {
  sqlite3_stmt *rows;
  bool has_row;
  strbuf full = {0};
  *path = NULL;
  err error = sql_query(s, &rows,
                        "SELECT run.directory, artifact.path FROM artifact"
                        " JOIN run ON run.id = artifact.run_id"
                        " WHERE artifact.run_id = ? AND artifact.kind = 'checkpoint'"
                        " ORDER BY artifact.step DESC LIMIT 1",
                        "i", run_id);
  if (!error) error = sql_next(s, rows, &has_row);
  if (error || !has_row) return error;
  strbuf_format(&full, "%s/%s/checkpoints/%s", results, sql_text(rows, 0), sql_text(rows, 1));
  sql_stop(rows);
  if (full.is_broken) error = mem_error(0, "a path");
  if (!error && fs_exists(full.data)) *path = strbuf_take(&full);
  strbuf_free(&full);
  return error;
}

err store_find_last_loss(store *s, int64_t run_id, double *loss) {
  return sql_number(s, loss, "SELECT loss FROM step WHERE run_id = ? ORDER BY step DESC LIMIT 1",
                    "i", run_id);
}

err store_newest_step(store *s, int64_t run_id, int64_t *step) {
  return sql_integer(s, 0, step, "SELECT max(step) FROM step WHERE run_id = ?", "i", run_id);
}

static err find_metric(store *s, int64_t run_id, const char *task, const char *metric,
                       double *value) {
  return sql_number(s, value,
                    "SELECT value FROM evaluation WHERE run_id = ? AND task = ? AND metric = ?"
                    " ORDER BY ordinal, step DESC LIMIT 1",
                    "itt", run_id, task, metric);
}

err store_find_progress(store *s, int64_t run_id, const char *task, const char *metric,
                        store_progress *p) {
  enum { RECENT_STEPS = 20 };
  sqlite3_stmt *rows;
  bool more;
  double oldest_samples = NAN, oldest_seconds = NAN;
  *p = (store_progress){NAN, NAN, NAN, NAN, NAN, NAN};
  err error = sql_query(s, &rows,
                        "SELECT samples, loss, train_seconds FROM step WHERE run_id = ?"
                        " ORDER BY step DESC LIMIT ?",
                        "ii", run_id, (int64_t)RECENT_STEPS);
  while (!error && !(error = sql_next(s, rows, &more)) && more) {
    oldest_samples = sql_real(rows, 0);
    oldest_seconds = sql_real(rows, 2);
    if (!isnan(p->samples)) continue;
    p->samples = oldest_samples;
    p->loss = sql_real(rows, 1);
    p->train_seconds = oldest_seconds;
  }
  if (p->train_seconds > oldest_seconds)
    p->samples_per_second = (p->samples - oldest_samples) / (p->train_seconds - oldest_seconds);
  if (!error) error = store_find_number(s, run_id, "total_samples", &p->total_samples);
  return error || !task ? error : find_metric(s, run_id, task, metric, &p->metric);
}

/* ---- changes ---- */

err store_move_run(store *s, int64_t run_id, const char *directory) {
  return sql_run(s, "UPDATE run SET directory = ? WHERE id = ?", "ti", directory, run_id);
}

/* Where no run was made: a database rebuilt from the folders does not have it either. */
static err forget_environments(store *s) {
  return sql_run(s,
                 "DELETE FROM environment WHERE id NOT IN"
                 " (SELECT environment_id FROM run WHERE environment_id IS NOT NULL"
                 "  UNION SELECT environment_id FROM attempt WHERE environment_id IS NOT NULL"
                 "  UNION SELECT environment_id FROM process WHERE environment_id IS NOT NULL)",
                 "");
}

err store_forget_run(store *s, int64_t run_id) {
  err error = sql_run(s, "DELETE FROM run WHERE id = ?", "i", run_id);
  return error ? error : forget_environments(s);
}

err store_note_run(store *s, int64_t run_id, const char *text) {
  return sql_run(s, "UPDATE run SET note = ? WHERE id = ?", "ti", text, run_id);
}

err store_tag_run(store *s, int64_t run_id, const char *name, bool is_wanted) {
  if (!is_wanted)
    return sql_run(s, "DELETE FROM tag WHERE run_id = ? AND name = ?", "it", run_id, name);
  return sql_run(s, "INSERT OR IGNORE INTO tag (run_id, name) VALUES (?, ?)", "it", run_id, name);
}

err store_archive_run(store *s, int64_t run_id, bool is_archived) {
  return sql_run(s,
                 "UPDATE run SET archived = ?1, archived_at = CASE WHEN ?1 THEN"
                 " strftime('%Y-%m-%dT%H:%M:%fZ', 'now') ELSE '' END WHERE id = ?2",
                 "ii", (int64_t)is_archived, run_id);
}
