/* Converts the events of a trainer (docs/events.md) into rows: one for each step event, evaluation,
 * memory reading, checkpoint and process. Numbers of the whole run are computed from these
 * elsewhere (numbers.h). Streams of version 1 are read as far as possible. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/fs.h"
#include "base/mem.h"
#include "store/inputs.h"
#include "store/ingest.h"
#include "store/runs.h"

/* ---- the process, its machine and settings ---- */

/* The attempt that wrote an event: the newest whose events begin by then in the file; by time where
 * that is not recorded. Clocks may be set back between two attempts, or differ between their
 * machines. */
static err find_attempt(ingest *in, const json_t *event, int64_t *number) {
  return sql_integer(in->s, 1, number,
                     "SELECT max(number) FROM attempt WHERE run_id = ? AND CASE WHEN events_start"
                     " IS NULL THEN started <= ? ELSE events_start <= ? END",
                     "iti", in->run_id, json_text_of(event, "time"), in->line_start);
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
    strbuf_format(&all, "%s\n", json_text_of(event, keys[i]));
  strbuf_format(&all, "%lld\n%s", (long long)ingest_integer(event, "threads"),
                libraries ? libraries : "{}");
  hash_bytes(strbuf_string(&all), all.length, digest);
  strbuf_free(&all);
  err error = sql_run(
      in->s,
      "INSERT OR IGNORE INTO environment (digest, commit_id, dirty, compiler,"
      " program_version, host, os, cpu, device, device_name, driver, flags, precision,"
      " threads, libraries) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      "tttttttttttttit", digest, json_text_of(event, "commit"), json_text_of(event, "dirty"),
      json_text_of(event, "compiler"), json_text_of(event, "program_version"),
      json_text_of(event, "host"), json_text_of(event, "os"), json_text_of(event, "cpu"),
      json_text_of(event, "device"), json_text_of(event, "device_name"),
      json_text_of(event, "driver"), json_text_of(event, "flags"), json_text_of(event, "precision"),
      ingest_integer(event, "threads"), libraries ? libraries : "{}");
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
    if (json_is_number(value) && !error)
      error = ingest_put_summary(in, full, json_number_value(value));
  }
  return error;
}

/* The run's settings, and those of a cell that belongs to no experiment here, e.g. of a merged
 * run. */
static err put_settings(ingest *in, const json_t *event) {
  char *settings = json_dumps(json_object_get(event, "settings"), JSON_COMPACT);
  err error = NULL;
  if (settings)
    error =
        sql_run(in->s, "UPDATE run SET own_settings = ? WHERE id = ?", "ti", settings, in->run_id);
  if (settings && !error)
    error = sql_run(in->s,
                    "UPDATE cell SET settings = CASE WHEN parent IS NULL THEN ?1 ELSE"
                    "  json_set(?1, '$.init_from', 'cell:' || parent) END WHERE settings = '{}'"
                    " AND id = (SELECT cell_id FROM run WHERE id = ?2)",
                    "ti", settings, in->run_id);
  free(settings);
  return error;
}

/* A start at step n discards what an earlier process wrote beyond n. Its memory use and duration
 * stay valid. */
static err forget_after(ingest *in, int64_t step) {
  err error = NULL;
  TRY(sql_run(in->s, "DELETE FROM step WHERE run_id = ? AND step > ?", "ii", in->run_id, step));
  TRY(sql_run(in->s, "DELETE FROM evaluation WHERE run_id = ? AND step > ?", "ii", in->run_id,
              step));
  TRY(sql_run(in->s, "DELETE FROM outcome WHERE run_id = ? AND step > ?", "ii", in->run_id, step));
  TRY(sql_run(in->s, "DELETE FROM resampled WHERE run_id = ? AND step > ?", "ii", in->run_id,
              step));
  TRY(sql_run(in->s, "DELETE FROM artifact WHERE run_id = ? AND step > ?", "ii", in->run_id, step));
  TRY(sql_run(in->s, "UPDATE run SET saving_step = 0 WHERE id = ? AND saving_step > ?", "ii",
              in->run_id, step));
cleanup:
  return error;
}

err events_forget_all(ingest *in) {
  static const char *const statements[] = {
      "DELETE FROM summary WHERE run_id = ? AND name NOT LIKE 'predicted%'"
      " AND name <> 'origin_loss'",
      "DELETE FROM warning WHERE run_id = ?", "DELETE FROM process WHERE run_id = ?",
      "DELETE FROM memory WHERE run_id = ?", "DELETE FROM outcome_labels WHERE run_id = ?",
      /* the start events of earlier processes were in the old file */
      "UPDATE attempt SET first_step = NULL, environment_id = NULL WHERE run_id = ?"};
  err error = forget_after(in, -1);
  for (size_t i = 0; i < sizeof statements / sizeof *statements && !error; i++)
    error = sql_run(in->s, statements[i], "i", in->run_id);
  return error;
}

/* ---- state of the reader ---- */

err events_resume(ingest *in) {
  sqlite3_stmt *rows;
  bool has_row;
  err error = sql_query(in->s, &rows,
                        "SELECT number, attempt, version, last FROM process WHERE run_id = ?"
                        " ORDER BY number DESC LIMIT 1",
                        "i", in->run_id);
  if (!error) error = sql_next(in->s, rows, &has_row);
  if (error) return error;
  if (has_row) {
    in->process.number = sqlite3_column_int64(rows, 0);
    in->process.attempt = sqlite3_column_int64(rows, 1);
    in->process.version = sqlite3_column_int64(rows, 2);
    snprintf(in->process.before, sizeof in->process.before, "%s", sql_text(rows, 3));
    sql_stop(rows);
  }
  return steps_find_last(in);
}

err events_pause(ingest *in) {
  if (!in->process.number || !*in->process.last) return NULL;
  return sql_run(in->s, "UPDATE process SET last = ? WHERE run_id = ? AND number = ?", "tii",
                 in->process.last, in->run_id, in->process.number);
}

/* ---- start ---- */

/* A count or size, NaN if invalid: for nullable INTEGER columns. */
static double count_of(const json_t *event, const char *key) {
  double value = json_number_of(event, key);
  return value >= 0 && value < 0x1p53 ? floor(value) : (double)NAN;
}

static err put_process(ingest *in, const json_t *event, int64_t environment) {
  char *sets = json_dumps(json_object_get(event, "evaluation_fingerprints"),
                          JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
  const char *time = json_text_of(event, "time");
  char words[INPUT_WORDS_SIZE];
  store_vocabulary_input(event, words);
  err error = sql_run(
      in->s,
      "INSERT OR REPLACE INTO process (run_id, number, attempt, version, first_step,"
      " started, last, environment_id, cpus, data_fingerprint, data_samples,"
      " vocabulary_fingerprint, evaluation_fingerprints, init_fingerprint, ranks)"
      " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      "iiiiittidtdtttd", in->run_id, in->process.number, in->process.attempt, in->process.version,
      ingest_integer(event, "first_step"), time, time, environment,
      count_of(json_object_get(event, "conditions"), "cpus"),
      json_text_of(event, "data_fingerprint"), count_of(event, "data_samples"), words,
      sets ? sets : "{}", json_text_of(event, "init_fingerprint"), count_of(event, "ranks"));
  free(sets);
  return error;
}

static err take_start(ingest *in, const json_t *event) {
  static const char *const numbers[] = {"planned_bytes", "gemm_flops_per_second", "data_samples",
                                        "total_steps", "total_samples"};
  err error = NULL;
  char *conditions = NULL;
  int64_t environment, first_step = ingest_integer(event, "first_step");
  in->total_steps = ingest_integer(event, "total_steps");
  TRY(events_pause(in)); /* of the previous process */
  in->process.number++;
  in->process.version = ingest_integer(event, "version");
  in->process.has_labels = false;
  in->has_settled = true;
  TRY(put_settings(in, event));
  TRY(put_environment(in, event, &environment));
  TRY(find_attempt(in, event, &in->process.attempt));
  TRY(put_process(in, event, environment));
  conditions = json_dumps(json_object_get(event, "conditions"),
                          JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
  TRY(sql_run(in->s,
              "UPDATE attempt SET first_step = ?, environment_id = ?, conditions = ?"
              " WHERE run_id = ? AND number = ?",
              "iitii", first_step, environment, conditions ? conditions : "{}", in->run_id,
              in->process.attempt));
  TRY(sql_run(in->s,
              "UPDATE run SET environment_id = ?, settings_fingerprint = ?, data_fingerprint = ?"
              " WHERE id = ?",
              "itti", environment, json_text_of(event, "fingerprint"),
              json_text_of(event, "data_fingerprint"), in->run_id));
  TRY(forget_after(in, first_step));
  TRY(steps_find_last(in));
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
    TRY(ingest_put_summary(in, numbers[i], json_number_of(event, numbers[i])));
  TRY(put_numbers_under(in, event, "parameters"));
  TRY(put_numbers_under(in, event, "flops_per_sample"));
  TRY(put_numbers_under(in, event, "start_seconds"));
cleanup:
  free(conditions);
  return error;
}

/* ---- evaluations ---- */

/* The set's index in the order in which the run first mentioned its sets: the first is the main
 * one. */
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

/* A non-finite value is stored as missing, with a warning. */
static err put_metric(ingest *in, const json_t *event, int64_t ordinal, const char *metric,
                      const json_t *value) {
  const char *set = json_text_of(event, "set"), *task = json_text_of(event, "task");
  int64_t step = ingest_integer(event, "step");
  double number = json_is_number(value) ? json_number_value(value) : NAN;
  err error = sql_run(in->s,
                      "INSERT OR REPLACE INTO evaluation (run_id, step, ordinal, set_name, task,"
                      " metric, value, samples, train_seconds, seconds)"
                      " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                      "iiitttdidd", in->run_id, step, ordinal, set, task, metric, number,
                      ingest_integer(event, "samples"), in->last.train_seconds,
                      json_number_of(event, "seconds"));
  if (error || isfinite(number)) return error;
  strbuf why = {0};
  strbuf_format(&why, "%s %s on %s at step %lld is not a number: recorded as missing", task, metric,
                set, (long long)step);
  error = ingest_put_warning(in, "metric", strbuf_string(&why), json_text_of(event, "time"));
  strbuf_free(&why);
  return error;
}

/* Decodes base64; the caller frees. ERR_INPUT if invalid. */
static err decode(const char *text, uint8_t **bytes, size_t *length) {
  size_t room = strlen(text) / 4 * 3 + 3;
  *bytes = mem_zeroed(room, 1);
  if (!*bytes) return mem_error(room, "a bit string");
  if (base64_decode(text, *bytes, room, length)) return NULL;
  free(*bytes);
  *bytes = NULL;
  return err_new(ERR_INPUT, "outcomes that are not valid base64 were ignored");
}

/* *bytes NULL: not base64; a warning was recorded, and that is all. */
static err decode_or_warn(ingest *in, const json_t *event, const char *text, uint8_t **bytes,
                          size_t *length) {
  err error = decode(text, bytes, length);
  if (!error || err_kind_of(error) != ERR_INPUT) return error;
  err warned = ingest_put_warning(in, "outcome", err_message(error), json_text_of(event, "time"));
  err_free(error);
  return warned;
}

static err put_blob(ingest *in, const json_t *event, const char *metric, const char *text) {
  uint8_t *bytes = NULL;
  size_t length = 0;
  const json_t *metrics = json_object_get(event, "metrics");
  bool is_by_text = strncmp(metric, "text_to_image", 13) == 0;
  int64_t items = ingest_integer(metrics, is_by_text ? "texts" : "images");
  err error = decode_or_warn(in, event, text, &bytes, &length);
  if (error || !bytes) return error;
  if (items > 0 && (size_t)(items + 7) / 8 == length)
    error = sql_run(in->s,
                    "INSERT OR REPLACE INTO outcome (run_id, set_name, task, metric, step, items,"
                    " hits) VALUES (?, ?, ?, ?, ?, ?, ?)",
                    "itttiib", in->run_id, json_text_of(event, "set"), json_text_of(event, "task"),
                    metric, ingest_integer(event, "step"), items, (const void *)bytes, length);
  else
    error = ingest_put_warning(
        in, "outcome", "outcomes whose length differs from the number of items were ignored",
        json_text_of(event, "time"));
  free(bytes);
  return error;
}

static err put_resampled(ingest *in, const json_t *event, const char *metric, const char *text) {
  uint8_t *bytes = NULL;
  size_t length = 0;
  int64_t items = ingest_integer(json_object_get(event, "metrics"), "images");
  err error = decode_or_warn(in, event, text, &bytes, &length);
  if (error || !bytes) return error;
  if (items > 0 && length && length % 4 == 0)
    error = sql_run(in->s,
                    "INSERT OR REPLACE INTO resampled (run_id, set_name, task, metric, step, items,"
                    " resamples) VALUES (?, ?, ?, ?, ?, ?, ?)",
                    "itttiib", in->run_id, json_text_of(event, "set"), json_text_of(event, "task"),
                    metric, ingest_integer(event, "step"), items, (const void *)bytes, length);
  else
    error =
        ingest_put_warning(in, "outcome", "resampled values of no number of images were ignored",
                           json_text_of(event, "time"));
  free(bytes);
  return error;
}

static err put_labels(ingest *in, const json_t *event) {
  const char *text = json_string_value(json_object_get(event, "labels"));
  uint8_t *bytes = NULL;
  size_t length = 0;
  if (!text) return NULL;
  err error = decode_or_warn(in, event, text, &bytes, &length);
  if (error || !bytes) return error;
  error = sql_run(in->s,
                  "INSERT OR REPLACE INTO outcome_labels (run_id, set_name, task, labels)"
                  " VALUES (?, ?, ?, ?)",
                  "ittb", in->run_id, json_text_of(event, "set"), json_text_of(event, "task"),
                  (const void *)bytes, length);
  free(bytes);
  return error;
}

static err take_eval(ingest *in, const json_t *event) {
  const char *metric;
  json_t *value;
  int64_t ordinal;
  err error = find_ordinal(in, json_text_of(event, "task"), json_text_of(event, "set"), &ordinal);
  json_object_foreach(json_object_get(event, "metrics"), metric, value) {
    if (error) break;
    error = put_metric(in, event, ordinal, metric, value);
  }
  json_object_foreach(json_object_get(event, "hits"), metric, value) {
    if (error) break;
    if (json_is_string(value)) error = put_blob(in, event, metric, json_string_value(value));
  }
  json_object_foreach(json_object_get(event, "resampled"), metric, value) {
    if (error) break;
    if (json_is_string(value)) error = put_resampled(in, event, metric, json_string_value(value));
  }
  if (!error) error = put_labels(in, event);
  in->last.is_boundary = in->last.is_boundary || ingest_integer(event, "step") == in->last.step;
  return error;
}

/* ---- checkpoints, memory, warnings ---- */

/* What is written from now on is of this step, though its checkpoint event may come later: also
 * after the next reading, whose first row must not absorb this one. */
static err take_saving(ingest *in, const json_t *event) {
  if (ingest_integer(event, "step") != in->last.step) return NULL;
  in->last.is_boundary = true;
  return sql_run(in->s, "UPDATE run SET saving_step = ? WHERE id = ?", "ii", in->last.step,
                 in->run_id);
}

static err take_checkpoint(ingest *in, const json_t *event) {
  in->last.is_boundary = in->last.is_boundary || ingest_integer(event, "step") == in->last.step;
  return sql_run(in->s,
                 "INSERT OR REPLACE INTO artifact (run_id, path, kind, step, samples, bytes,"
                 " seconds) VALUES (?, ?, 'checkpoint', ?, ?, ?, ?)",
                 "itiiid", in->run_id, fs_name(json_text_of(event, "path")),
                 ingest_integer(event, "step"), ingest_integer(event, "samples"),
                 ingest_integer(event, "bytes"), json_number_of(event, "seconds"));
}

static err take_memory(ingest *in, const json_t *event) {
  int64_t step = json_object_get(event, "step") ? ingest_integer(event, "step") : in->last.step;
  return sql_run(in->s,
                 "INSERT INTO memory (run_id, ordinal, attempt, step, peak_bytes, planned_bytes,"
                 " host_peak_bytes, device_used_bytes, utilisation, power_watts)"
                 " SELECT ?1, coalesce(max(ordinal), 0) + 1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9"
                 " FROM memory WHERE run_id = ?1",
                 "iiidddddd", in->run_id, in->process.attempt, step, count_of(event, "peak_bytes"),
                 count_of(event, "planned_bytes"), count_of(event, "host_peak_bytes"),
                 count_of(event, "device_used_bytes"), json_number_of(event, "utilisation"),
                 json_number_of(event, "power_watts"));
}

static err take_warning(ingest *in, const json_t *event) {
  return ingest_put_warning(in, json_text_of(event, "kind"), json_text_of(event, "message"),
                            json_text_of(event, "time"));
}

/* ---- end ---- */

/* Streams of version 1 have these only at the end of a process. */
static err take_old_end(ingest *in, const json_t *event) {
  err error = NULL;
  if (json_object_get(event, "peak_bytes")) error = take_memory(in, event);
  if (error) return error;
  return sql_run(in->s,
                 "UPDATE process SET energy_joules = ?, other_cpus = ?, stolen_share = ?"
                 " WHERE run_id = ? AND number = ?",
                 "dddii", json_number_of(event, "energy_joules"),
                 json_number_of(event, "other_cpus"), json_number_of(event, "stolen_share"),
                 in->run_id, in->process.number);
}

static err take_end(ingest *in, const json_t *event) {
  const char *status = json_text_of(event, "status");
  int64_t attempt = in->process.attempt;
  in->has_settled = true;
  err error = in->process.number ? NULL : find_attempt(in, event, &attempt);
  if (!error && in->process.version < 2) error = take_old_end(in, event);
  if (error) return error;
  strbuf message = {0};
  store_reword_end(json_text_of(event, "message"), &message);
  if (strcmp(status, "finished") != 0 && strcmp(status, "interrupted") != 0) status = "failed";
  error = sql_run(in->s, /* flipbench's own record of the end is more specific */
                  "UPDATE attempt SET ended = ?, status = ?, kind = ?, message = ?"
                  " WHERE run_id = ? AND number = ? AND status = 'running'",
                  "ttttii", json_text_of(event, "time"), status, json_text_of(event, "kind"),
                  strbuf_string(&message), in->run_id, attempt);
  strbuf_free(&message);
  return error;
}

/* A process has one clock, so its wall time is not known when that was set back. Events that
 * several threads write may be out of order by less than a second. */
static err check_clock(ingest *in, const char *time) {
  int64_t seconds;
  strbuf message = {0};
  if (strcmp(time, in->process.before) >= 0) return NULL;
  err error = sql_integer(in->s, 0, &seconds, "SELECT round(86400 * (julianday(?) - julianday(?)))",
                          "tt", in->process.before, time);
  if (error || seconds < 1) return error;
  strbuf_format(&message,
                "the clock was set back by %lld s while the run trained: its wall time is"
                " not known",
                (long long)seconds);
  error = ingest_put_warning(in, "clock", strbuf_string(&message), time);
  strbuf_free(&message);
  return error;
}

err events_take(ingest *in, const json_t *event) {
  static const struct {
    const char *name;
    err (*take)(ingest *, const json_t *);
  } kinds[] = {{"step", steps_take},      {"eval", take_eval},
               {"start", take_start},     {"checkpoint", take_checkpoint},
               {"saving", take_saving},   {"memory", take_memory},
               {"warning", take_warning}, {"end", take_end}};
  const char *name = json_text_of(event, "event"), *time = json_text_of(event, "time");
  err error = NULL;
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
    if (strcmp(kinds[i].name, name) == 0) error = kinds[i].take(in, event);
  if (!*time) return error;
  if (!error && strcmp(name, "start") != 0) error = check_clock(in, time);
  snprintf(in->process.last, sizeof in->process.last, "%s", time);
  snprintf(in->process.before, sizeof in->process.before, "%s", time);
  return error;
}
