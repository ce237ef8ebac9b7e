/* From a run directory's two files of JSON lines into the tables. attempts.jsonl is flipbench's
 * own record of the processes that it started; events.jsonl is what they wrote (docs/events.md). */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "base/fs.h"
#include "base/mem.h"
#include "store/sql.h"

/* A run keeps at most this many steps in the database: of a longer one every second, third, …
 * (events.jsonl keeps all). It bounds what a run adds: docs/schema.md says to how much. */
enum { MOST_STEPS = 50000 };

typedef struct {
  store *s;
  const char *directory;
  int64_t run_id;
  int64_t total_steps; /* 0 until the start event said it */
} ingest;

static const char *text_of(const json_t *object, const char *key) {
  const char *text = json_string_value(json_object_get(object, key));
  return text ? text : "";
}

/* 0 for what is missing, null or beyond any count. */
static int64_t integer_of(const json_t *object, const char *key) {
  const json_t *value = json_object_get(object, key);
  double real = json_number_value(value);
  if (!(fabs(real) < 0x1p62)) return 0;
  return json_is_real(value) ? (int64_t)real : json_integer_value(value);
}

/* NaN, stored as NULL, for what is missing or null. */
static double real_of(const json_t *object, const char *key) {
  const json_t *value = json_object_get(object, key);
  return json_is_number(value) ? json_number_value(value) : (double)__builtin_nan("");
}

static err put_summary(ingest *in, const char *name, double value) {
  if (value != value) return NULL;
  return sql_run(in->s, "INSERT OR REPLACE INTO summary (run_id, name, value) VALUES (?, ?, ?)",
                 "itd", in->run_id, name, value);
}

/* ---- attempts.jsonl ---- */

static err create_run(ingest *in, const json_t *line) {
  err error = NULL;
  const char *cell = text_of(line, "cell");
  if (!*cell) return NULL;
  TRY(sql_run(in->s, "INSERT OR IGNORE INTO cell (id, settings) VALUES (?, '{}')", "t", cell));
  TRY(sql_run(in->s,
              "INSERT OR IGNORE INTO run (cell_id, directory, status, started)"
              " VALUES (?, ?, 'running', ?)",
              "ttt", cell, in->directory, text_of(line, "time")));
  TRY(sql_integer(in->s, 0, &in->run_id, "SELECT id FROM run WHERE directory = ?", "t",
                  in->directory));
cleanup:
  return error;
}

static err take_attempt_start(ingest *in, const json_t *line) {
  char *command = json_dumps(json_object_get(line, "command"), JSON_COMPACT | JSON_ENCODE_ANY);
  err error = in->run_id ? NULL : create_run(in, line);
  if (!error && in->run_id)
    error = sql_run(in->s,
                    "INSERT OR IGNORE INTO attempt (run_id, number, pid, started, command)"
                    " VALUES (?, ?, ?, ?, ?)",
                    "iiitt", in->run_id, integer_of(line, "attempt"), integer_of(line, "pid"),
                    text_of(line, "time"), command ? command : "[]");
  /* what was foretold of the run, beside what will be measured */
  if (!error && in->run_id)
    error = put_summary(in, "predicted_seconds", real_of(line, "predicted_seconds"));
  if (!error && in->run_id)
    error = put_summary(in, "predicted_bytes", real_of(line, "predicted_bytes"));
  free(command);
  return error;
}

static err take_attempt_end(ingest *in, const json_t *line) {
  if (!in->run_id) return NULL;
  return sql_run(in->s,
                 "UPDATE attempt SET ended = ?, status = ?, exit_code = ?, signal = ?, kind = ?,"
                 " message = ?, log_tail = ? WHERE run_id = ? AND number = ?",
                 "ttiitttii", text_of(line, "time"), text_of(line, "status"),
                 integer_of(line, "exit_code"), integer_of(line, "signal"), text_of(line, "kind"),
                 text_of(line, "message"), text_of(line, "log_tail"), in->run_id,
                 integer_of(line, "attempt"));
}

static err take_attempt(ingest *in, const json_t *line) {
  const char *event = text_of(line, "event");
  if (strcmp(event, "attempt_start") == 0) return take_attempt_start(in, line);
  if (strcmp(event, "attempt_end") == 0) return take_attempt_end(in, line);
  return NULL;
}

/* ---- events.jsonl ---- */

/* Which attempt wrote an event: the newest that had started by then. */
static err find_attempt(ingest *in, const json_t *event, int64_t *number) {
  return sql_integer(in->s, 1, number,
                     "SELECT max(number) FROM attempt WHERE run_id = ? AND started <= ?", "it",
                     in->run_id, text_of(event, "time"));
}

static err put_environment(ingest *in, const json_t *event, int64_t *id) {
  static const char *const keys[] = {"commit", "dirty", "compiler",    "program_version",
                                     "host",   "os",    "cpu",         "device",
                                     "driver", "flags", "device_name", "precision"};
  strbuf all = {0};
  char digest[HASH_SIZE];
  char *libraries = json_dumps(json_object_get(event, "libraries"),
                               JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
    strbuf_format(&all, "%s\n", text_of(event, keys[i]));
  strbuf_format(&all, "%lld\n%s", (long long)integer_of(event, "threads"),
                libraries ? libraries : "{}");
  hash_bytes(strbuf_string(&all), all.length, digest);
  strbuf_free(&all);
  err error = sql_run(
      in->s,
      "INSERT OR IGNORE INTO environment (digest, commit_id, dirty, compiler,"
      " program_version, host, os, cpu, device, device_name, driver, flags, precision,"
      " threads, libraries) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      "tttttttttttttit", digest, text_of(event, "commit"), text_of(event, "dirty"),
      text_of(event, "compiler"), text_of(event, "program_version"), text_of(event, "host"),
      text_of(event, "os"), text_of(event, "cpu"), text_of(event, "device"),
      text_of(event, "device_name"), text_of(event, "driver"), text_of(event, "flags"),
      text_of(event, "precision"), integer_of(event, "threads"), libraries ? libraries : "{}");
  free(libraries);
  if (error) return error;
  return sql_integer(in->s, 0, id, "SELECT id FROM environment WHERE digest = ?", "t", digest);
}

static err put_numbers_under(ingest *in, const json_t *event, const char *key) {
  const char *name;
  json_t *value;
  err error = NULL;
  json_object_foreach(json_object_get(event, key), name, value) {
    char full[96];
    snprintf(full, sizeof full, "%s_%s", key, name);
    if (json_is_number(value) && !error) error = put_summary(in, full, json_number_value(value));
  }
  return error;
}

/* A cell that no experiment here names, as of a merged run: what the run says it was. */
static err put_settings(ingest *in, const json_t *event) {
  char *settings = json_dumps(json_object_get(event, "settings"), JSON_COMPACT);
  err error = NULL;
  if (settings)
    error = sql_run(in->s,
                    "UPDATE cell SET settings = ? WHERE settings = '{}'"
                    " AND id = (SELECT cell_id FROM run WHERE id = ?)",
                    "ti", settings, in->run_id);
  free(settings);
  return error;
}

/* A start at step n takes back whatever an earlier process wrote beyond n. */
static err forget_after(ingest *in, int64_t step) {
  err error = NULL;
  TRY(sql_run(in->s, "DELETE FROM step WHERE run_id = ? AND step > ?", "ii", in->run_id, step));
  TRY(sql_run(in->s, "DELETE FROM evaluation WHERE run_id = ? AND step > ?", "ii", in->run_id,
              step));
  TRY(sql_run(in->s, "DELETE FROM artifact WHERE run_id = ? AND step > ?", "ii", in->run_id, step));
cleanup:
  return error;
}

static err take_start(ingest *in, const json_t *event) {
  static const char *const numbers[] = {"planned_bytes", "gemm_flops_per_second", "data_samples",
                                        "total_steps", "total_samples"};
  err error = NULL;
  char *conditions = NULL;
  int64_t environment, attempt, first_step = integer_of(event, "first_step");
  in->total_steps = integer_of(event, "total_steps");
  TRY(put_settings(in, event));
  TRY(put_environment(in, event, &environment));
  TRY(find_attempt(in, event, &attempt));
  conditions = json_dumps(json_object_get(event, "conditions"),
                          JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
  TRY(sql_run(in->s,
              "UPDATE attempt SET first_step = ?, environment_id = ?, conditions = ?"
              " WHERE run_id = ? AND number = ?",
              "iitii", first_step, environment, conditions ? conditions : "{}", in->run_id,
              attempt));
  TRY(sql_run(in->s,
              "UPDATE run SET environment_id = ?, settings_fingerprint = ?, data_fingerprint = ?"
              " WHERE id = ?",
              "itti", environment, text_of(event, "fingerprint"),
              text_of(event, "data_fingerprint"), in->run_id));
  TRY(forget_after(in, first_step));
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
    TRY(put_summary(in, numbers[i], real_of(event, numbers[i])));
  TRY(put_numbers_under(in, event, "parameters"));
  TRY(put_numbers_under(in, event, "flops_per_sample"));
cleanup:
  free(conditions);
  return error;
}

static err take_step(ingest *in, const json_t *event) {
  int64_t step = integer_of(event, "step"), stride = 1 + (in->total_steps - 1) / MOST_STEPS;
  if (stride > 1 && step % stride != 0 && step != in->total_steps) return NULL;
  return sql_run(in->s,
                 "INSERT OR REPLACE INTO step (run_id, step, samples, loss, learning_rate,"
                 " logit_scale, grad_norm, seconds, data_wait_seconds, train_seconds)"
                 " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                 "iiiddddddd", in->run_id, step, integer_of(event, "samples"),
                 real_of(event, "loss"), real_of(event, "learning_rate"),
                 real_of(event, "logit_scale"), real_of(event, "grad_norm"),
                 real_of(event, "seconds"), real_of(event, "data_wait_seconds"),
                 real_of(event, "train_seconds"));
}

/* The set's place in the order in which the run first named its sets: the first is the main one. */
static err find_ordinal(ingest *in, const char *task, const char *set, int64_t *ordinal) {
  err error = sql_integer(in->s, -1, ordinal,
                          "SELECT ordinal FROM evaluation"
                          " WHERE run_id = ? AND task = ? AND set_name = ? LIMIT 1",
                          "itt", in->run_id, task, set);
  if (error || *ordinal >= 0) return error;
  return sql_integer(in->s, 0, ordinal,
                     "SELECT coalesce(max(ordinal), -1) + 1 FROM evaluation WHERE run_id = ?", "i",
                     in->run_id);
}

static err take_eval(ingest *in, const json_t *event) {
  const char *metric;
  json_t *value;
  int64_t ordinal;
  err error = find_ordinal(in, text_of(event, "task"), text_of(event, "set"), &ordinal);
  json_object_foreach(json_object_get(event, "metrics"), metric, value) {
    if (error) break;
    error = sql_run(
        in->s,
        "INSERT OR REPLACE INTO evaluation (run_id, step, ordinal, set_name, task,"
        " metric, value, samples, train_seconds, seconds)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        "iiitttdidd", in->run_id, integer_of(event, "step"), ordinal, text_of(event, "set"),
        text_of(event, "task"), metric, json_number_value(value), integer_of(event, "samples"),
        json_number_value(json_object_get(event, "train_seconds")), real_of(event, "seconds"));
  }
  return error;
}

static err take_checkpoint(ingest *in, const json_t *event) {
  return sql_run(in->s,
                 "INSERT OR REPLACE INTO artifact (run_id, path, kind, step, samples, bytes,"
                 " seconds) VALUES (?, ?, 'checkpoint', ?, ?, ?, ?)",
                 "itiiid", in->run_id, fs_name(text_of(event, "path")), integer_of(event, "step"),
                 integer_of(event, "samples"), integer_of(event, "bytes"),
                 real_of(event, "seconds"));
}

static err take_memory(ingest *in, const json_t *event) {
  static const char *const readings[] = {"peak_bytes",        "planned_bytes", "host_peak_bytes",
                                         "device_used_bytes", "utilisation",   "power_watts"};
  err error = NULL;
  for (size_t i = 0; i < sizeof readings / sizeof *readings && !error; i++)
    if (json_object_get(event, readings[i]))
      error = put_summary(in, readings[i], real_of(event, readings[i]));
  return error;
}

static err put_warning(ingest *in, const char *kind, const char *message, const char *time) {
  return sql_run(in->s,
                 "INSERT OR IGNORE INTO warning (run_id, kind, message, first)"
                 " VALUES (?, ?, ?, ?)",
                 "ittt", in->run_id, kind, message, time);
}

static err take_warning(ingest *in, const json_t *event) {
  return put_warning(in, text_of(event, "kind"), text_of(event, "message"), text_of(event, "time"));
}

/* Numbers that are made from others, once, when a process ends. */
static err derive_summary(ingest *in) {
  err error = NULL;
  TRY(sql_run(in->s,
              "INSERT OR REPLACE INTO summary SELECT ?1, 'final_loss', avg(loss) FROM step"
              " WHERE run_id = ?1 AND step > 0.95 * (SELECT max(step) FROM step WHERE run_id = ?1)"
              " HAVING avg(loss) IS NOT NULL",
              "i", in->run_id));
  TRY(sql_run(in->s,
              "INSERT OR REPLACE INTO summary SELECT ?1, 'mfu', achieved.value / rate.value"
              " FROM summary AS achieved JOIN summary AS rate ON rate.run_id = achieved.run_id"
              " WHERE achieved.run_id = ?1 AND achieved.name = 'flops_per_second'"
              " AND rate.name = 'gemm_flops_per_second' AND rate.value > 0",
              "i", in->run_id));
cleanup:
  return error;
}

static err take_end(ingest *in, const json_t *event) {
  static const char *const texts[] = {"event", "time", "status", "kind", "message", "step"};
  const char *key, *status = text_of(event, "status");
  json_t *value;
  int64_t attempt;
  err error = find_attempt(in, event, &attempt);
  json_object_foreach((json_t *)event, key, value) {
    bool is_text = false;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
      is_text = is_text || strcmp(key, texts[i]) == 0;
    if (!error && !is_text && json_is_number(value))
      error = put_summary(in, key, json_number_value(value));
  }
  if (!error) error = derive_summary(in);
  if (error) return error;
  if (strcmp(status, "finished") != 0 && strcmp(status, "interrupted") != 0) status = "failed";
  return sql_run(in->s, /* what flipbench saw of the process's end says more */
                 "UPDATE attempt SET ended = ?, status = ?, kind = ?, message = ?"
                 " WHERE run_id = ? AND number = ? AND status = 'running'",
                 "ttttii", text_of(event, "time"), status, text_of(event, "kind"),
                 text_of(event, "message"), in->run_id, attempt);
}

static err take_event(ingest *in, const json_t *event) {
  static const struct {
    const char *name;
    err (*take)(ingest *, const json_t *);
  } kinds[] = {{"step", take_step},     {"eval", take_eval},
               {"start", take_start},   {"checkpoint", take_checkpoint},
               {"memory", take_memory}, {"warning", take_warning},
               {"end", take_end}};
  const char *name = text_of(event, "event");
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
    if (strcmp(kinds[i].name, name) == 0) return kinds[i].take(in, event);
  return NULL;
}

/* ---- files ---- */

static err take_line(ingest *in, const char *line, size_t length,
                     err (*take)(ingest *, const json_t *)) {
  json_error_t problem;
  json_t *object = json_loadb(line, length, 0, &problem);
  err error = NULL;
  if (json_is_object(object)) {
    error = take(in, object);
  } else if (length && in->run_id) {
    strbuf message = {0};
    strbuf_format(&message, "a line of the event stream is broken: %.*s",
                  (int)(length < 80 ? length : 80), line);
    error = put_warning(in, "broken_line", strbuf_string(&message), "");
    strbuf_free(&message);
  }
  json_decref(object);
  return error;
}

/* Whole lines from `*offset` on; moves the offset behind the last one. A missing file is empty. */
static err read_lines(ingest *in, const char *path, int64_t *offset,
                      err (*take)(ingest *, const json_t *)) {
  enum { BLOCK = 1 << 18 };
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return errno == ENOENT ? NULL : err_errno(errno, "%s: cannot open", path);
  err error = NULL;
  strbuf pending = {0};
  char *block = mem_zeroed(BLOCK, 1);
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

static err forget_all(ingest *in) {
  err error = forget_after(in, -1);
  if (!error)
    error = sql_run(in->s, "DELETE FROM summary WHERE run_id = ? AND name NOT LIKE 'predicted%'",
                    "i", in->run_id);
  if (!error) error = sql_run(in->s, "DELETE FROM warning WHERE run_id = ?", "i", in->run_id);
  if (!error) /* what earlier processes said of their start went with the file */
    error = sql_run(in->s,
                    "UPDATE attempt SET first_step = NULL, environment_id = NULL WHERE run_id = ?",
                    "i", in->run_id);
  return error;
}

/* The run is what its newest attempt is. */
static err settle(ingest *in) {
  return sql_run(in->s,
                 "UPDATE run SET (status, kind, message, ended) ="
                 "  (SELECT CASE WHEN status IN ('running','finished','interrupted') THEN status"
                 "     ELSE 'failed' END, kind, message, ended FROM attempt"
                 "   WHERE run_id = run.id ORDER BY number DESC LIMIT 1)"
                 " WHERE id = ? AND EXISTS (SELECT 1 FROM attempt WHERE run_id = run.id)",
                 "i", in->run_id);
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
  if (size_of(events_path) < events) { /* written anew */
    TRY(forget_all(in));
    events = 0;
  }
  if (size_of(attempts_path) < attempts) attempts = 0;
  old_attempts = attempts;
  old_events = events;
  TRY(read_lines(in, attempts_path, &attempts, take_attempt));
  if (!in->run_id) goto cleanup;
  TRY(read_lines(in, events_path, &events, take_event));
  if (attempts == old_attempts && events == old_events) goto cleanup;
  TRY(settle(in));
  TRY(sql_run(in->s, "UPDATE run SET attempts_offset = ?, events_offset = ? WHERE id = ?", "iii",
              attempts, events, in->run_id));
cleanup:
  return error;
}

err store_ingest(store *s, const char *results, const char *directory, int64_t *run_id) {
  ingest in = {.s = s, .directory = directory};
  err error = NULL;
  char *folder = fs_join(results, directory);
  char *attempts = folder ? fs_join(folder, "attempts.jsonl") : NULL;
  char *events = folder ? fs_join(folder, "events.jsonl") : NULL;
  if (!attempts || !events) FAIL(ERR_MEMORY, "out of memory: reading %s", directory);
  TRY(sql_begin(s));
  error = sql_end(s, read_both(&in, attempts, events));
  *run_id = in.run_id;
cleanup:
  free(attempts);
  free(events);
  free(folder);
  return err_context(error, "recording %s", directory);
}
