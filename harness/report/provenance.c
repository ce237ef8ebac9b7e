#include "report/provenance.h"

#include <math.h>
#include <string.h>

#include <jansson.h>

#include "base/json.h"
#include "report/last.h"
#include "store/attempts.h"
#include "store/curves.h"
#include "store/environments.h"
#include "store/facts.h"
#include "store/runs.h"

/* ---- facts about the run and its machine ---- */

typedef struct {
  const char *name, *text; /* text NULL: a number */
  int64_t number;
  bool is_json;
} fact;

enum { RUN_FACTS = 12, MOST_FACTS = 27 };

/* Returns the number of facts. */
static size_t list_facts(const store_run *run, const store_environment *e, fact facts[MOST_FACTS]) {
  const fact all[] = {{"run", NULL, run->run_id, false},
                      {"cell", run->cell_id, 0, false},
                      {"directory", run->directory, 0, false},
                      {"status", run->status, 0, false},
                      {"kind", run->kind, 0, false},
                      {"message", run->message, 0, false},
                      {"started", run->started, 0, false},
                      {"ended", run->ended, 0, false},
                      {"settings_fingerprint", run->settings_fingerprint, 0, false},
                      {"data_fingerprint", run->data_fingerprint, 0, false},
                      {"note", run->note, 0, false},
                      {"tags", run->tags, 0, false},
                      {"commit", e->commit, 0, false},
                      {"dirty", e->dirty, 0, false},
                      {"programs", e->programs, 0, false},
                      {"compiler", e->compiler, 0, false},
                      {"flags", e->flags, 0, false},
                      {"program_version", e->program_version, 0, false},
                      {"host", e->host, 0, false},
                      {"os", e->os, 0, false},
                      {"cpu", e->cpu, 0, false},
                      {"device", e->device, 0, false},
                      {"device_name", e->device_name, 0, false},
                      {"driver", e->driver, 0, false},
                      {"precision", e->precision, 0, false},
                      {"threads", NULL, e->threads, false},
                      {"libraries", e->libraries, 0, true}};
  _Static_assert(sizeof all / sizeof *all == MOST_FACTS, "room for all");
  memcpy(facts, all, sizeof all);
  return e->is_known ? MOST_FACTS : RUN_FACTS;
}

static void text_facts(const store_run *run, const store_environment *e, strbuf *out) {
  fact facts[MOST_FACTS];
  size_t count = list_facts(run, e, facts);
  for (size_t i = 0; i < count; i++)
    if (!facts[i].text)
      strbuf_format(out, "%-22s %lld\n", facts[i].name, (long long)facts[i].number);
    else if (*facts[i].text)
      strbuf_format(out, "%-22s %s\n", facts[i].name, facts[i].text);
}

/* JSON stored as text. */
static void json_stored(json_writer *w, const char *key, const char *json) {
  if (*json)
    jsonw_raw(w, key, json);
  else
    jsonw_string(w, key, "");
}

static void json_facts(const store_run *run, const store_environment *e, json_writer *w) {
  fact facts[MOST_FACTS];
  size_t count = list_facts(run, e, facts);
  for (size_t i = 0; i < count; i++)
    if (!facts[i].text)
      jsonw_integer(w, facts[i].name, facts[i].number);
    else if (facts[i].is_json)
      json_stored(w, facts[i].name, facts[i].text);
    else
      jsonw_string(w, facts[i].name, facts[i].text);
}

/* ---- text ---- */

static void append_condition(const char *key, const json_t *value, strbuf *out) {
  char number[TEXT_NUMBER_SIZE];
  double real = json_number_value(value);
  if (out->length) strbuf_append(out, ", ");
  size_t start = out->length;
  if (strcmp(key, "cpus") == 0)
    strbuf_format(out, "%.0f %s", real, real == 1 ? "CPU" : "CPUs");
  else if (strcmp(key, "quota_cpus") == 0)
    strbuf_format(out, "quota %.3g CPUs", real);
  else if (strcmp(key, "mhz") == 0)
    strbuf_format(out, "%.0f MHz", real);
  else if (strcmp(key, "free_bytes") == 0)
    strbuf_format(out, "%s free", text_bytes((uint64_t)fmax(real, 0), number));
  else if (json_is_string(value))
    strbuf_format(out, "%s %s", key, json_string_value(value));
  else
    strbuf_format(out, "%s %.4g", key, real);
  for (size_t i = 0; i < strlen(key) && start + i < out->length; i++)
    if (out->data[start + i] == '_') out->data[start + i] = ' ';
}

void provenance_conditions(const char *json, strbuf *out) {
  json_t *conditions = json_loads(json, 0, NULL), *value;
  const char *key;
  json_object_foreach(conditions, key, value) if (!json_is_null(value))
      append_condition(key, value, out);
  if (!json_is_object(conditions)) strbuf_append(out, json);
  json_decref(conditions);
}

static void text_attempt(const store_attempt *a, strbuf *out) {
  strbuf_format(out, "\nattempt %lld: %s, %s to %s, exit status %lld", (long long)a->number,
                a->status, a->started, a->ended, (long long)a->exit_code);
  if (a->signal) strbuf_format(out, ", signal %lld", (long long)a->signal);
  if (a->first_step) strbuf_format(out, ", from step %lld", (long long)a->first_step);
  if (*a->message) strbuf_format(out, "\n  %s", a->message);
  strbuf_format(out, "\n  %s\n", a->command);
  if (a->ranks > 1) strbuf_format(out, "  %lld ranks", (long long)a->ranks);
  if (a->ranks > 1) strbuf_format(out, "%s%s\n", *a->hosts ? ": " : "", a->hosts);
  strbuf conditions = {0};
  provenance_conditions(a->conditions, &conditions);
  if (conditions.length) strbuf_format(out, "  machine: %s\n", conditions.data);
  strbuf_free(&conditions);
  for (const char *at = a->log_tail; *at;) {
    size_t length = strcspn(at, "\n");
    strbuf_format(out, "  | %.*s\n", (int)length, at);
    at += length + (at[length] == '\n');
  }
}

static err text_attempts(store *s, int64_t run_id, strbuf *out) {
  store_attempt *attempts;
  size_t count;
  err error = store_list_attempts(s, run_id, &attempts, &count);
  for (size_t i = 0; i < count; i++) text_attempt(&attempts[i], out);
  store_free_attempts(attempts, count);
  return error;
}

static void text_pair(const char *name, const char *value, strbuf *out) {
  strbuf_format(out, "  %-26s %s\n", name, value);
}

static err text_pairs(store *s, int64_t run_id, const char *heading,
                      err (*list)(store *, int64_t, store_fact **, size_t *), strbuf *out) {
  store_fact *facts;
  size_t count;
  err error = list(s, run_id, &facts, &count);
  if (count) strbuf_format(out, "\n%s\n", heading);
  for (size_t i = 0; i < count; i++) text_pair(facts[i].name, facts[i].value.text, out);
  store_free_facts(facts, count);
  return error;
}

static err text_warnings(store *s, int64_t run_id, strbuf *out) {
  store_warning *warnings;
  size_t count;
  err error = store_list_warnings(s, run_id, &warnings, &count);
  if (count) strbuf_append(out, "\nwarnings\n");
  for (size_t i = 0; i < count; i++) text_pair(warnings[i].kind, warnings[i].message, out);
  store_free_warnings(warnings, count);
  return error;
}

static err text_evaluations(store *s, int64_t run_id, strbuf *out) {
  last_numbers last;
  err error = last_load(s, run_id, &last);
  if (error) return error;
  if (last.count) strbuf_append(out, "\nlast evaluation, with 95 % intervals over images\n");
  for (size_t i = 0; i < last.count; i++) {
    const last_number *n = &last.items[i];
    const store_evaluation *e = n->evaluation;
    strbuf_format(out, "  %-14s %-10s %-20s %.6g", e->set, e->task, e->metric, e->value);
    if (!isnan(n->low)) strbuf_format(out, " [%.4g, %.4g]", n->low, n->high);
    strbuf_append_char(out, '\n');
  }
  last_free(&last);
  return NULL;
}

err provenance_text(store *s, int64_t run_id, strbuf *out) {
  store_run run = {0};
  store_environment environment = {0};
  err error = NULL;
  TRY(store_load_run(s, run_id, &run));
  TRY(store_load_environment(s, run_id, &environment));
  text_facts(&run, &environment, out);
  TRY(text_attempts(s, run_id, out));
  TRY(text_pairs(s, run_id, "summary", store_list_numbers, out));
  TRY(text_evaluations(s, run_id, out));
  TRY(text_warnings(s, run_id, out));
  TRY(text_pairs(s, run_id, "settings", store_list_settings, out));
cleanup:
  store_free_run(&run);
  store_free_environment(&environment);
  return error;
}

/* ---- JSON ---- */

static void json_attempt(json_writer *w, const store_attempt *a) {
  jsonw_object(w, NULL);
  jsonw_integer(w, "number", a->number);
  jsonw_string(w, "status", a->status);
  jsonw_string(w, "started", a->started);
  jsonw_string(w, "ended", a->ended);
  jsonw_integer(w, "exit_code", a->exit_code);
  jsonw_integer(w, "signal", a->signal);
  jsonw_string(w, "kind", a->kind);
  jsonw_string(w, "message", a->message);
  json_stored(w, "command", a->command);
  jsonw_string(w, "log", a->log_tail);
  jsonw_integer(w, "first_step", a->first_step);
  json_stored(w, "conditions", a->conditions);
  jsonw_integer(w, "ranks", a->ranks);
  json_stored(w, "rank_records", a->rank_records);
  jsonw_end(w);
}

static err json_attempts(store *s, int64_t run_id, json_writer *w) {
  store_attempt *attempts;
  size_t count;
  err error = store_list_attempts(s, run_id, &attempts, &count);
  jsonw_array(w, "attempts");
  for (size_t i = 0; i < count; i++) json_attempt(w, &attempts[i]);
  jsonw_end(w);
  store_free_attempts(attempts, count);
  return error;
}

static void json_fact(json_writer *w, const store_fact *f) {
  switch (f->value.kind) {
  case STORE_INTEGER:
    jsonw_integer(w, f->name, f->value.integer);
    break;
  case STORE_REAL:
    jsonw_number(w, f->name, f->value.real);
    break;
  case STORE_JSON:
    jsonw_raw(w, f->name, f->value.text);
    break;
  default:
    jsonw_string(w, f->name, f->value.text);
  }
}

static err json_pairs(store *s, int64_t run_id, const char *key,
                      err (*list)(store *, int64_t, store_fact **, size_t *), json_writer *w) {
  store_fact *facts;
  size_t count;
  err error = list(s, run_id, &facts, &count);
  jsonw_object(w, key);
  for (size_t i = 0; i < count; i++) json_fact(w, &facts[i]);
  jsonw_end(w);
  store_free_facts(facts, count);
  return error;
}

static err json_evaluations(store *s, int64_t run_id, json_writer *w) {
  last_numbers last;
  err error = last_load(s, run_id, &last);
  if (error) return error;
  jsonw_array(w, "evaluation");
  for (size_t i = 0; i < last.count; i++) {
    const last_number *n = &last.items[i];
    jsonw_object(w, NULL);
    jsonw_string(w, "set", n->evaluation->set);
    jsonw_string(w, "task", n->evaluation->task);
    jsonw_string(w, "metric", n->evaluation->metric);
    jsonw_number(w, "value", n->evaluation->value);
    if (!isnan(n->low)) {
      jsonw_number(w, "low", n->low);
      jsonw_number(w, "high", n->high);
      jsonw_string(w, "interval_over", "images");
    }
    jsonw_end(w);
  }
  jsonw_end(w);
  last_free(&last);
  return NULL;
}

static err json_warnings(store *s, int64_t run_id, json_writer *w) {
  store_warning *warnings;
  size_t count;
  err error = store_list_warnings(s, run_id, &warnings, &count);
  jsonw_array(w, "warnings");
  for (size_t i = 0; i < count; i++) {
    jsonw_object(w, NULL);
    jsonw_string(w, "kind", warnings[i].kind);
    jsonw_string(w, "message", warnings[i].message);
    jsonw_end(w);
  }
  jsonw_end(w);
  store_free_warnings(warnings, count);
  return error;
}

err provenance_json(store *s, int64_t run_id, strbuf *out) {
  store_run run = {0};
  store_environment environment = {0};
  err error = NULL;
  json_writer w = jsonw_start(out);
  TRY(store_load_run(s, run_id, &run));
  TRY(store_load_environment(s, run_id, &environment));
  jsonw_object(&w, NULL);
  json_facts(&run, &environment, &w);
  TRY(json_attempts(s, run_id, &w));
  TRY(json_pairs(s, run_id, "summary", store_list_numbers, &w));
  TRY(json_evaluations(s, run_id, &w));
  TRY(json_warnings(s, run_id, &w));
  TRY(json_pairs(s, run_id, "settings", store_list_settings, &w));
  jsonw_end(&w);
  strbuf_append_char(out, '\n');
cleanup:
  store_free_run(&run);
  store_free_environment(&environment);
  return error;
}
