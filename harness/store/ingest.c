/* Reads a run directory's two files of JSON lines into the tables. attempts.jsonl is flipbench's
 * own record of the processes that it started; events.jsonl is what they wrote (docs/events.md). */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/ingest.h"
#include "store/numbers.h"
#include "store/runs.h"

int64_t ingest_integer(const json_t *object, const char *key) {
  const json_t *value = json_object_get(object, key);
  double real = json_number_value(value);
  if (!(fabs(real) < 0x1p62)) return 0;
  return json_is_real(value) ? (int64_t)real : json_integer_value(value);
}

double ingest_whole(const json_t *object, const char *key) {
  double value = json_number_of(object, key);
  return value >= 0 && value < 0x1p53 && value == floor(value) ? value : (double)NAN;
}

err ingest_put_summary(ingest *in, const char *name, double value) {
  if (value != value) return NULL;
  return sql_run(in->s, "INSERT OR REPLACE INTO summary (run_id, name, value) VALUES (?, ?, ?)",
                 "itd", in->run_id, name, value);
}

err ingest_put_warning(ingest *in, const char *kind, const char *message, const char *time) {
  return sql_run(in->s,
                 "INSERT OR IGNORE INTO warning (run_id, kind, message, first)"
                 " VALUES (?, ?, ?, ?)",
                 "ittt", in->run_id, kind, message, time);
}

/* The line ends among the first bytes of a file, as far as it can be read. */
static int64_t count_lines(const char *path, int64_t bytes) {
  char block[1 << 14];
  int64_t lines = 0;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  for (int64_t at = 0; fd >= 0 && at < bytes;) {
    size_t wanted = bytes - at < (int64_t)sizeof block ? (size_t)(bytes - at) : sizeof block;
    ssize_t got = pread(fd, block, wanted, at);
    if (got <= 0) break;
    for (ssize_t i = 0; i < got; i++) lines += block[i] == '\n';
    at += got;
  }
  if (fd >= 0) close(fd);
  return lines;
}

err ingest_warn_line(ingest *in, const char *what) {
  if (in->lines_before < 0) in->lines_before = count_lines(in->path, in->read_from);
  const long long line = (long long)(in->lines_before + in->lines_read);
  log_warning("%s:%lld: %s", in->path, line, what);
  if (!in->run_id) return NULL;
  strbuf stored = {0};
  strbuf_format(&stored, "%s:%lld: %s", fs_name(in->path), line, what);
  err error = stored.is_broken ? mem_error(0, "a warning")
                               : ingest_put_warning(in, "broken_line", strbuf_string(&stored), "");
  strbuf_free(&stored);
  return error;
}

/* ---- attempts.jsonl ---- */

/* A cell that belongs to no experiment has its settings from its first process (events.c). */
static err put_cell(ingest *in, const char *id) {
  return sql_run(in->s, "INSERT OR IGNORE INTO cell (id, settings) VALUES (?, '{}')", "t", id);
}

static err put_parent(ingest *in, const char *cell, const char *parent) {
  if (!*parent) return NULL;
  err error = put_cell(in, parent); /* its runs may be gone */
  return error ? error
               : sql_run(in->s, "UPDATE cell SET parent = ? WHERE id = ? AND parent IS NULL", "tt",
                         parent, cell);
}

static err create_run(ingest *in, const json_t *line) {
  err error = NULL;
  const char *cell = json_text_of(line, "cell");
  if (!*cell) return NULL;
  TRY(put_cell(in, cell));
  TRY(put_parent(in, cell, json_text_of(line, "parent")));
  TRY(sql_run(in->s,
              "INSERT OR IGNORE INTO run (cell_id, directory, status, started)"
              " VALUES (?, ?, 'running', ?)",
              "ttt", cell, in->directory, json_text_of(line, "time")));
  TRY(sql_integer(in->s, 0, &in->run_id, "SELECT id FROM run WHERE directory = ?", "t",
                  in->directory));
cleanup:
  return error;
}

static err take_attempt_start(ingest *in, const json_t *line) {
  char *command = json_dumps(json_object_get(line, "command"), JSON_COMPACT | JSON_ENCODE_ANY);
  err error = in->run_id ? NULL : create_run(in, line);
  in->has_settled = true;
  if (!error && in->run_id)
    error = sql_run(in->s,
                    "INSERT OR IGNORE INTO attempt (run_id, number, pid, started, command, ranks,"
                    " nodes, events_start) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    "iiittddd", in->run_id, ingest_integer(line, "attempt"),
                    ingest_integer(line, "pid"), json_text_of(line, "time"),
                    command ? command : "[]", ingest_whole(line, "ranks"),
                    ingest_whole(line, "nodes"), ingest_whole(line, "events_start"));
  if (!error && in->run_id && *json_text_of(line, "data_stamp"))
    error = sql_run(in->s, "UPDATE run SET data_stamp = ? WHERE id = ?", "ti",
                    json_text_of(line, "data_stamp"), in->run_id);
  /* the prediction for the run, to compare with the measurement */
  if (!error && in->run_id)
    error = ingest_put_summary(in, "predicted_seconds", json_number_of(line, "predicted_seconds"));
  if (!error && in->run_id)
    error = ingest_put_summary(in, "predicted_bytes", json_number_of(line, "predicted_bytes"));
  if (!error && in->run_id)
    error = ingest_put_summary(in, "origin_loss", json_number_of(line, "origin_loss"));
  free(command);
  return error;
}

/* CPU time of a process, or of all its ranks; NaN when one of them has not recorded its own. */
static err sum_cpu_seconds(ingest *in, const json_t *line, double *seconds) {
  const json_t *ranks = json_object_get(line, "ranks");
  int64_t wanted = 0;
  size_t i;
  json_t *rank;
  *seconds = json_number_of(line, "cpu_seconds");
  if (!json_is_array(ranks)) return NULL;
  err error =
      sql_integer(in->s, 0, &wanted, "SELECT ranks FROM attempt WHERE run_id = ? AND number = ?",
                  "ii", in->run_id, ingest_integer(line, "attempt"));
  *seconds = (int64_t)json_array_size(ranks) == wanted ? 0 : (double)NAN;
  json_array_foreach(ranks, i, rank) *seconds += json_number_of(rank, "cpu_seconds");
  return error;
}

static err take_attempt_end(ingest *in, const json_t *line) {
  double cpu_seconds;
  if (!in->run_id) return NULL;
  in->has_settled = true;
  err error = sum_cpu_seconds(in, line, &cpu_seconds);
  const json_t *ranks = json_object_get(line, "ranks");
  char *records = json_is_array(ranks) ? json_dumps(ranks, JSON_COMPACT) : NULL;
  if (!error)
    error = sql_run(in->s,
                    "UPDATE attempt SET ended = ?, status = ?, exit_code = ?, signal = ?,"
                    " kind = ?, message = ?, log_tail = ?, cpu_seconds = ?, rank_records = ?"
                    " WHERE run_id = ? AND number = ?",
                    "ttiitttdtii", json_text_of(line, "time"), json_text_of(line, "status"),
                    ingest_integer(line, "exit_code"), ingest_integer(line, "signal"),
                    json_text_of(line, "kind"), json_text_of(line, "message"),
                    json_text_of(line, "log_tail"), cpu_seconds, records ? records : "[]",
                    in->run_id, ingest_integer(line, "attempt"));
  free(records);
  return error;
}

/* User annotations: `flipbench runs`. */
static err take_note(ingest *in, const json_t *line) {
  return store_note_run(in->s, in->run_id, json_text_of(line, "text"));
}

static err take_tag(ingest *in, const json_t *line) {
  return store_tag_run(in->s, in->run_id, json_text_of(line, "text"), true);
}

static err take_untag(ingest *in, const json_t *line) {
  return store_tag_run(in->s, in->run_id, json_text_of(line, "text"), false);
}

static err take_archive(ingest *in, const json_t *line) {
  return sql_run(in->s, "UPDATE run SET archived = 1, archived_at = ? WHERE id = ?", "ti",
                 json_text_of(line, "time"), in->run_id);
}

/* The loss that the removed run ended with whose weights this one started from. */
static err take_origin(ingest *in, const json_t *line) {
  char *end;
  const char *text = json_text_of(line, "text");
  double loss = strtod(text, &end);
  return *text && !*end && isfinite(loss) ? ingest_put_summary(in, "origin_loss", loss) : NULL;
}

static err take_restore(ingest *in, const json_t *line) {
  (void)line;
  return store_archive_run(in->s, in->run_id, false);
}

static err take_attempt(ingest *in, const json_t *line) {
  static const struct {
    const char *name;
    err (*take)(ingest *, const json_t *);
  } kinds[] = {{"attempt_start", take_attempt_start},
               {"attempt_end", take_attempt_end},
               {"note", take_note},
               {"tag", take_tag},
               {"untag", take_untag},
               {"archive", take_archive},
               {"restore", take_restore},
               {"origin", take_origin}};
  const char *event = json_text_of(line, "event");
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
    if (strcmp(kinds[i].name, event) == 0 && (i == 0 || in->run_id)) return kinds[i].take(in, line);
  return NULL;
}

/* ---- files ---- */

/* Stored text may be shown on a terminal, so control characters are escaped; the files keep the
 * original.
 */
static void escape_texts(json_t *object) {
  const char *key;
  json_t *value;
  json_object_foreach(object, key, value) {
    if (!json_is_string(value)) continue;
    strbuf shown = {0};
    text_escape(json_string_value(value), &shown);
    if (!shown.is_broken && strcmp(strbuf_string(&shown), json_string_value(value)) != 0)
      json_string_set(value, strbuf_string(&shown));
    strbuf_free(&shown);
  }
}

/* The beginning of a line that cannot be read, fit for a terminal. */
static err warn_malformed(ingest *in, const char *line, size_t length) {
  enum { SHOWN = 80 };
  char beginning[SHOWN + 1] = "";
  strbuf shown = {0}, message = {0};
  for (size_t i = 0; i < length && i < SHOWN; i++) beginning[i] = line[i] ? line[i] : '?';
  text_escape(beginning, &shown);
  strbuf_format(&message, "malformed line: %s: what it said is not in the record",
                strbuf_string(&shown));
  err error = shown.is_broken || message.is_broken ? mem_error(length, "a warning")
                                                   : ingest_warn_line(in, strbuf_string(&message));
  strbuf_free(&shown);
  strbuf_free(&message);
  return error;
}

static err take_line(ingest *in, const char *line, size_t length,
                     err (*take)(ingest *, const json_t *)) {
  json_error_t problem;
  json_t *object = json_loadb(line, length, 0, &problem);
  err error = NULL;
  if (json_is_object(object)) {
    escape_texts(object);
    error = take(in, object);
  } else if (length) {
    error = warn_malformed(in, line, length);
  }
  json_decref(object);
  return error;
}

/* Reads complete lines from `*offset` on and advances the offset. A missing file counts as
 * empty. */
static err read_lines(ingest *in, const char *path, int64_t *offset,
                      err (*take)(ingest *, const json_t *)) {
  enum { BLOCK = 1 << 18 };
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return errno == ENOENT ? NULL : err_errno(errno, "%s: cannot open", path);
  err error = NULL;
  strbuf pending = {0};
  char *block = mem_zeroed(BLOCK, 1);
  in->path = path;
  in->read_from = *offset;
  in->lines_before = -1;
  in->lines_read = 0;
  if (!block) error = mem_error(BLOCK, path);
  if (!error && lseek(fd, *offset, SEEK_SET) < 0) error = err_errno(errno, "%s: cannot seek", path);
  while (!error) {
    ssize_t got = read(fd, block, BLOCK);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) error = err_errno(errno, "%s: cannot read", path);
    if (got <= 0) break;
    strbuf_append_bytes(&pending, block, (size_t)got);
    if (pending.is_broken) error = mem_error((size_t)got, path);
    size_t start = 0;
    for (char *end; !error && (end = memchr(pending.data + start, '\n', pending.length - start));) {
      size_t length = (size_t)(end - (pending.data + start));
      in->line_start = *offset;
      in->lines_read++;
      error = take_line(in, pending.data + start, length, take);
      start += length + 1;
      *offset += (int64_t)length + 1;
    }
    if (error) break;
    memmove(pending.data, pending.data + start, pending.length - start + 1);
    pending.length -= start;
  }
  free(block);
  strbuf_free(&pending);
  close(fd);
  return error;
}

static int64_t size_of(const char *path) {
  struct stat status;
  return stat(path, &status) == 0 ? (int64_t)status.st_size : 0;
}

/* A run has the status of its newest attempt. */
static err settle(ingest *in) {
  return sql_run(in->s,
                 "UPDATE run SET (status, kind, message, ended) ="
                 "  (SELECT CASE WHEN status IN ('running','finished','interrupted') THEN status"
                 "     ELSE 'failed' END, kind, message, ended FROM attempt"
                 "   WHERE run_id = run.id ORDER BY number DESC LIMIT 1)"
                 " WHERE id = ? AND EXISTS (SELECT 1 FROM attempt WHERE run_id = run.id)",
                 "i", in->run_id);
}

/* The step in the last line of the event stream where that is of its end; -1 where it is not. */
static int64_t last_step_of(const char *events_path) {
  enum { TAIL = 1 << 16 };
  int64_t size = size_of(events_path), length = size < TAIL ? size : TAIL;
  char *tail = mem_zeroed((size_t)length + 1, 1);
  int fd = tail ? open(events_path, O_RDONLY | O_CLOEXEC) : -1;
  int64_t step = -1;
  if (fd >= 0 && length && pread(fd, tail, (size_t)length, size - length) == length &&
      tail[length - 1] == '\n') {
    tail[length - 1] = '\0';
    const char *before = memrchr(tail, '\n', (size_t)length - 1); /* there may be NULs before */
    json_t *last = json_loads(before ? before + 1 : tail, 0, NULL);
    if (strcmp(json_text_of(last, "event"), "end") == 0) step = ingest_integer(last, "step");
    json_decref(last);
  }
  if (fd >= 0) close(fd);
  free(tail);
  return step;
}

/* A finished run has evaluated its sets at its last step (core/train/course.h). Where that is not
 * recorded, the line was damaged, and the evaluation before would pass for the run's result. */
static err check_evaluations(ingest *in, const char *events_path, int64_t last_step) {
  strbuf message = {0};
  sqlite3_stmt *rows;
  bool more;
  err error =
      sql_query(in->s, &rows,
                "SELECT set_name, task, max(step), min(ordinal) FROM evaluation WHERE run_id = ?1"
                " GROUP BY set_name, task HAVING max(step) < ?2"
                " UNION ALL SELECT key, '', 0, 1000000 FROM run JOIN process ON run_id = run.id,"
                "  json_each(evaluation_fingerprints) WHERE run.id = ?1"
                "  AND number = (SELECT max(number) FROM process WHERE run_id = ?1)"
                "  AND CASE WHEN json_valid(own_settings)"
                "   THEN json_extract(own_settings, '$.\"eval.points\"') > 0 END"
                "  AND NOT EXISTS (SELECT 1 FROM evaluation WHERE run_id = ?1)"
                " ORDER BY 4, 1, 2",
                "ii", in->run_id, last_step);
  while (!error && !(error = sql_next(in->s, rows, &more)) && more) {
    const char *task = sql_text(rows, 1);
    strbuf_format(&message, "%s%s%s%s (", message.length ? ", " : "", sql_text(rows, 0),
                  *task ? " " : "", task);
    if (*task)
      strbuf_format(&message, "the last one recorded is of step %lld)",
                    (long long)sqlite3_column_int64(rows, 2));
    else
      strbuf_append(&message, "none is recorded)");
  }
  if (!error && message.length) {
    strbuf text = {0};
    strbuf_format(&text, "events.jsonl has lost the evaluation at the last step, %lld, on %s",
                  (long long)last_step, strbuf_string(&message));
    log_warning("%s: %s", events_path, strbuf_string(&text));
    error = ingest_put_warning(in, "no_evaluation", strbuf_string(&text), "");
    strbuf_free(&text);
  }
  strbuf_free(&message);
  return error;
}

/* A trainer writes its end before flipbench records that: without it, events were lost, and the
 * numbers that they had are missing for no reason of the run. The last step of a finished run is
 * then known from its newest start. */
static err check_end(ingest *in, const char *events_path) {
  static const char message[] =
      "attempts.jsonl says that the run finished, but events.jsonl has no end event: the file is "
      "missing or was cut, and what it recorded there is lost";
  int64_t is_finished, last_step;
  err error = NULL;
  TRY(sql_run(in->s, "DELETE FROM warning WHERE run_id = ? AND kind IN ('no_end', 'no_evaluation')",
              "i", in->run_id));
  TRY(sql_integer(in->s, 0, &is_finished,
                  "SELECT status = 'finished' FROM run WHERE id = ? AND NOT archived", "i",
                  in->run_id));
  if (!is_finished) goto cleanup;
  last_step = last_step_of(events_path);
  if (last_step < 0) {
    log_warning("%s: %s", events_path, message);
    TRY(ingest_put_warning(in, "no_end", message, ""));
    TRY(sql_integer(in->s, -1, &last_step,
                    "SELECT value FROM summary WHERE run_id = ? AND name = 'total_steps'", "i",
                    in->run_id));
  }
  if (last_step >= 0) error = check_evaluations(in, events_path, last_step);
cleanup:
  return error;
}

static err read_both(ingest *in, const char *attempts_path, const char *events_path) {
  err error = NULL;
  int64_t attempts = 0, events = 0, old_attempts, old_events;
  TRY(sql_integer(in->s, 0, &in->run_id, "SELECT id FROM run WHERE directory = ?", "t",
                  in->directory));
  if (in->run_id) {
    TRY(sql_integer(in->s, 0, &attempts, "SELECT attempts_offset FROM run WHERE id = ?", "i",
                    in->run_id));
    TRY(sql_integer(in->s, 0, &events, "SELECT events_offset FROM run WHERE id = ?", "i",
                    in->run_id));
    TRY(sql_integer(in->s, 0, &in->total_steps,
                    "SELECT value FROM summary WHERE run_id = ? AND name = 'total_steps'", "i",
                    in->run_id));
  }
  bool is_anew = size_of(events_path) < events;
  if (is_anew) events = 0;
  if (in->run_id && (is_anew || (events == 0 && size_of(events_path) > 0)))
    TRY(events_forget_all(in));
  if (size_of(attempts_path) < attempts) attempts = 0;
  old_attempts = attempts;
  old_events = events;
  TRY(read_lines(in, attempts_path, &attempts, take_attempt));
  if (!in->run_id) goto cleanup;
  TRY(events_resume(in));
  TRY(read_lines(in, events_path, &events, events_take));
  if (attempts == old_attempts && events == old_events && !is_anew) goto cleanup;
  TRY(events_pause(in));
  TRY(settle(in));
  TRY(check_end(in, events_path));
  TRY(in->has_settled || is_anew ? numbers_make(in->s, in->run_id)
                                 : numbers_make_when_grown(in->s, in->run_id));
  TRY(sql_run(in->s, "UPDATE run SET attempts_offset = ?, events_offset = ? WHERE id = ?", "iii",
              attempts, events, in->run_id));
cleanup:
  return error;
}

/* is_busy NULL: waits for other processes that are writing. */
static err read_run(store *s, const char *results, const char *directory, int64_t *run_id,
                    bool *is_busy) {
  ingest in = {.s = s, .directory = directory};
  err error = NULL;
  char *folder = fs_join(results, directory);
  char *attempts = folder ? fs_join(folder, "attempts.jsonl") : NULL;
  char *events = folder ? fs_join(folder, "events.jsonl") : NULL;
  if (!attempts || !events) FAIL(ERR_MEMORY, "out of memory: reading %s", directory);
  TRY(is_busy ? sql_begin_soon(s, is_busy) : sql_begin(s));
  if (is_busy && *is_busy) goto cleanup;
  error = sql_end(s, read_both(&in, attempts, events));
  *run_id = in.run_id;
cleanup:
  free(attempts);
  free(events);
  free(folder);
  return err_context(error, "recording %s", directory);
}

err store_ingest(store *s, const char *results, const char *directory, int64_t *run_id) {
  return read_run(s, results, directory, run_id, NULL);
}

err store_ingest_soon(store *s, const char *results, const char *directory, int64_t *run_id,
                      bool *is_busy) {
  *is_busy = false;
  return read_run(s, results, directory, run_id, is_busy);
}
