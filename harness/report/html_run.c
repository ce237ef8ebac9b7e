/* Everything recorded about one run, as a section of a page. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "report/html_parts.h"
#include "report/last.h"
#include "report/provenance.h"
#include "store/attempts.h"
#include "store/curves.h"
#include "store/environments.h"
#include "store/facts.h"

/* [name, value]; omitted when there is no value. */
static void write_pair(json_writer *w, const char *name, const char *value) {
  if (!*value) return;
  jsonw_array(w, NULL);
  jsonw_string(w, NULL, name);
  jsonw_string(w, NULL, value);
  jsonw_end(w);
}

static void write_facts(json_writer *w, const store_run *run, const store_environment *e) {
  bool is_cpu = strcmp(e->device, "cpu") == 0;
  strbuf record = {0}, commit = {0}, machine = {0}, computing = {0}, compiler = {0}, host = {0};
  strbuf_format(&record, "run %lld of cell %.8s", (long long)run->run_id, run->cell_id);
  if (e->is_known) {
    strbuf_append(&commit, e->commit);
    if (*e->dirty) strbuf_format(&commit, " with uncommitted changes %s", e->dirty);
    if (*e->programs) strbuf_format(&commit, " (its programs: %s)", e->programs);
    strbuf_format(&compiler, "%s %s", e->compiler, e->flags);
    strbuf_format(&host, "%s, %s", e->host, e->os);
    strbuf_format(&machine, "%s%s%s", is_cpu ? "" : e->device_name, is_cpu ? "" : ", ", e->cpu);
    strbuf_format(&computing, "%s, %lld %s", e->precision, (long long)e->threads,
                  text_plural(e->threads, "thread", "threads"));
  }
  const struct {
    const char *name, *value;
  } facts[] = {{"record", strbuf_string(&record)},
               {"folder", run->directory},
               {"commit", strbuf_string(&commit)},
               {"compiler", strbuf_string(&compiler)},
               {"host", strbuf_string(&host)},
               {"machine", strbuf_string(&machine)},
               {"driver", e->driver},
               {"computing", strbuf_string(&computing)},
               {"libraries", e->library_list},
               {"training data", run->data_fingerprint}};
  jsonw_array(w, "facts");
  for (size_t i = 0; i < sizeof facts / sizeof *facts; i++)
    write_pair(w, facts[i].name, facts[i].value);
  jsonw_end(w);
  strbuf *texts[] = {&record, &commit, &machine, &computing, &compiler, &host};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) strbuf_free(texts[i]);
}

/* What the dialog of a number shows about the run. */
static void write_brief(json_writer *w, const store_run *run, const store_environment *e) {
  char ended[17];
  strbuf commit = {0};
  snprintf(ended, sizeof ended, "%.16s", run->ended);
  if (strlen(ended) > 10 && ended[10] == 'T') ended[10] = ' ';
  if (*e->programs)
    strbuf_append(&commit, e->programs);
  else
    strbuf_format(&commit, "%.10s%s", e->commit, *e->dirty ? "+" : "");
  jsonw_string(w, "commit", strbuf_string(&commit));
  jsonw_string(w, "machine", strcmp(e->device, "cpu") == 0 ? e->cpu : e->device_name);
  jsonw_string(w, "ended", ended);
  strbuf_free(&commit);
}

static void write_attempt(json_writer *w, const store_attempt *a) {
  strbuf heading = {0}, conditions = {0};
  provenance_conditions(a->conditions, &conditions);
  strbuf_format(&heading, "Attempt %lld: %s, %s to %s", (long long)a->number, a->status, a->started,
                a->ended);
  jsonw_object(w, NULL);
  jsonw_string(w, "heading", strbuf_string(&heading));
  jsonw_string(w, "message", a->message);
  jsonw_string(w, "command", a->command_line);
  jsonw_string(w, "log", a->log_tail);
  jsonw_string(w, "conditions", strbuf_string(&conditions));
  jsonw_end(w);
  strbuf_free(&conditions);
  strbuf_free(&heading);
}

static err write_attempts(json_writer *w, store *s, int64_t run_id) {
  store_attempt *attempts;
  size_t count;
  err error = store_list_attempts(s, run_id, &attempts, &count);
  jsonw_array(w, "attempts");
  for (size_t i = 0; i < count; i++) write_attempt(w, &attempts[i]);
  jsonw_end(w);
  store_free_attempts(attempts, count);
  return error;
}

static err write_warnings(json_writer *w, store *s, int64_t run_id) {
  store_warning *warnings;
  size_t count;
  err error = store_list_warnings(s, run_id, &warnings, &count);
  jsonw_array(w, "warnings");
  for (size_t i = 0; i < count; i++) {
    strbuf text = {0};
    strbuf_format(&text, "%s: %s", warnings[i].kind, warnings[i].message);
    jsonw_string(w, NULL, strbuf_string(&text));
    strbuf_free(&text);
  }
  jsonw_end(w);
  store_free_warnings(warnings, count);
  return error;
}

/* ---- names and values under a heading ---- */

static void begin_pairs(json_writer *w, const char *heading) {
  jsonw_object(w, NULL);
  jsonw_string(w, "heading", heading);
  jsonw_array(w, "pairs");
}

static void end_pairs(json_writer *w) {
  jsonw_end(w);
  jsonw_end(w);
}

static err write_evaluations(json_writer *w, store *s, int64_t run_id) {
  last_numbers last;
  err error = last_load(s, run_id, &last);
  if (error) return error;
  begin_pairs(w, "Last evaluation, with 95 % intervals over images");
  for (size_t i = 0; i < last.count; i++) {
    const last_number *n = &last.items[i];
    strbuf name = {0}, number = {0};
    strbuf_format(&name, "%s %s %s", n->evaluation->set, n->evaluation->task,
                  n->evaluation->metric);
    if (!isnan(n->evaluation->value)) strbuf_format(&number, "%.5g", n->evaluation->value);
    if (!isnan(n->low)) strbuf_format(&number, " [%.4g, %.4g]", n->low, n->high);
    write_pair(w, strbuf_string(&name), strbuf_string(&number));
    if (name.is_broken || number.is_broken) w->out->is_broken = true;
    strbuf_free(&name);
    strbuf_free(&number);
  }
  end_pairs(w);
  last_free(&last);
  return NULL;
}

static err write_pairs(json_writer *w, store *s, int64_t run_id, const char *heading,
                       err (*list)(store *, int64_t, store_fact **, size_t *)) {
  store_fact *facts;
  size_t count;
  err error = list(s, run_id, &facts, &count);
  begin_pairs(w, heading);
  for (size_t i = 0; i < count; i++) {
    const store_value *value = &facts[i].value;
    char number[TEXT_NUMBER_SIZE];
    snprintf(number, sizeof number, "%.5g", value->real);
    write_pair(w, facts[i].name, value->kind == STORE_REAL ? number : value->text);
  }
  end_pairs(w);
  store_free_facts(facts, count);
  return error;
}

err html_write_run(json_writer *w, store *s, const store_run *run, const char *label) {
  store_environment environment = {0};
  int64_t run_id = run->run_id;
  err error = store_load_environment(s, run_id, &environment);
  if (error) return error;
  jsonw_object(w, NULL);
  jsonw_integer(w, "id", run_id);
  jsonw_string(w, "label", label);
  jsonw_string(w, "status", run->status);
  write_brief(w, run, &environment);
  TRY(write_warnings(w, s, run_id));
  write_facts(w, run, &environment);
  TRY(write_attempts(w, s, run_id));
  jsonw_array(w, "lists");
  TRY(write_evaluations(w, s, run_id));
  TRY(write_pairs(w, s, run_id, "Numbers", store_list_numbers));
  TRY(write_pairs(w, s, run_id, "Settings", store_list_settings));
  jsonw_end(w);
  jsonw_end(w);
cleanup:
  store_free_environment(&environment);
  return error;
}
