/* Everything that is recorded of one run, as a part of a page. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "report/html_parts.h"
#include "report/page.h"
#include "store/attempts.h"
#include "store/curves.h"
#include "store/environments.h"
#include "store/facts.h"

static void fact(const char *name, const char *value, strbuf *out) {
  if (!*value) return;
  page_element("<dt>", name, "</dt>", out);
  page_element("<dd>", value, "</dd>\n", out);
}

static void write_facts(const store_run *run, const store_environment *e, strbuf *out) {
  bool is_cpu = strcmp(e->device, "cpu") == 0;
  strbuf record = {0}, commit = {0}, machine = {0}, computing = {0}, compiler = {0}, host = {0};
  strbuf_format(&record, "run %lld of cell %.8s", (long long)run->run_id, run->cell_id);
  if (e->is_known) {
    strbuf_append(&commit, e->commit);
    if (*e->dirty) strbuf_format(&commit, " with uncommitted changes %s", e->dirty);
    strbuf_format(&compiler, "%s %s", e->compiler, e->flags);
    strbuf_format(&host, "%s, %s", e->host, e->os);
    strbuf_format(&machine, "%s%s%s", is_cpu ? "" : e->device_name, is_cpu ? "" : ", ", e->cpu);
    strbuf_format(&computing, "%s, %lld threads", e->precision, (long long)e->threads);
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
  strbuf_append(out, "<dl>");
  for (size_t i = 0; i < sizeof facts / sizeof *facts; i++)
    fact(facts[i].name, facts[i].value, out);
  strbuf_append(out, "</dl>\n");
  strbuf *texts[] = {&record, &commit, &machine, &computing, &compiler, &host};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) strbuf_free(texts[i]);
}

static void write_attempt(const store_attempt *a, strbuf *out) {
  strbuf_format(out, "<h3>Attempt %lld: %s, %s to %s</h3>\n", (long long)a->number, a->status,
                a->started, a->ended);
  if (*a->message) page_element("<p class=\"warning\">", a->message, "</p>\n", out);
  page_element("<pre>", a->command_line, "</pre>\n", out);
  if (*a->log_tail) page_element("<pre>", a->log_tail, "</pre>\n", out);
  if (strcmp(a->conditions, "{}") != 0)
    page_element("<p class=\"faint mono\">", a->conditions, "</p>\n", out);
}

static err write_attempts(store *s, int64_t run_id, strbuf *out) {
  store_attempt *attempts;
  size_t count;
  err error = store_list_attempts(s, run_id, &attempts, &count);
  for (size_t i = 0; i < count; i++) write_attempt(&attempts[i], out);
  store_free_attempts(attempts, count);
  return error;
}

static err write_warnings(store *s, int64_t run_id, strbuf *out) {
  store_warning *warnings;
  size_t count;
  err error = store_list_warnings(s, run_id, &warnings, &count);
  for (size_t i = 0; i < count; i++) {
    page_element("<p class=\"warning\">", warnings[i].kind, ": ", out);
    page_element("", warnings[i].message, "</p>\n", out);
  }
  store_free_warnings(warnings, count);
  return error;
}

/* ---- names and values under a heading; nothing when there are none ---- */

static void begin_pairs(const char *heading, size_t count, strbuf *out) {
  if (count) page_element("<div><h3>", heading, "</h3><dl>", out);
}

static void end_pairs(size_t count, strbuf *out) {
  if (count) strbuf_append(out, "</dl></div>\n");
}

static err write_evaluations(store *s, int64_t run_id, strbuf *out) {
  store_evaluation *all;
  size_t count;
  err error = store_list_final_evaluations(s, run_id, &all, &count);
  begin_pairs("Last evaluation", count, out);
  for (size_t i = 0; i < count; i++) {
    char number[TEXT_NUMBER_SIZE] = "";
    strbuf name = {0};
    strbuf_format(&name, "%s %s %s", all[i].set, all[i].task, all[i].metric);
    if (!isnan(all[i].value)) snprintf(number, sizeof number, "%.5g", all[i].value);
    fact(strbuf_string(&name), number, out);
    strbuf_free(&name);
  }
  end_pairs(count, out);
  store_free_evaluations(all, count);
  return error;
}

static err write_pairs(store *s, int64_t run_id, const char *heading,
                       err (*list)(store *, int64_t, store_fact **, size_t *), strbuf *out) {
  store_fact *facts;
  size_t count;
  err error = list(s, run_id, &facts, &count);
  begin_pairs(heading, count, out);
  for (size_t i = 0; i < count; i++) {
    const store_value *value = &facts[i].value;
    char number[TEXT_NUMBER_SIZE];
    snprintf(number, sizeof number, "%.5g", value->real);
    fact(facts[i].name, value->kind == STORE_REAL ? number : value->text, out);
  }
  end_pairs(count, out);
  store_free_facts(facts, count);
  return error;
}

err html_write_run(store *s, const store_run *run, const char *label, strbuf *out) {
  store_environment environment = {0};
  int64_t run_id = run->run_id;
  err error = NULL;
  strbuf_format(out, "<details id=\"run-%lld\"><summary>", (long long)run_id);
  page_element("", label, "", out);
  strbuf_format(out, "<span class=\"chip %s\">%s</span></summary><div class=\"inside\">\n",
                run->status, run->status);
  TRY(write_warnings(s, run_id, out));
  TRY(store_load_environment(s, run_id, &environment));
  write_facts(run, &environment, out);
  TRY(write_attempts(s, run_id, out));
  strbuf_append(out, "<div class=\"columns\">\n");
  TRY(write_evaluations(s, run_id, out));
  TRY(write_pairs(s, run_id, "Numbers", store_list_numbers, out));
  TRY(write_pairs(s, run_id, "Settings", store_list_settings, out));
  strbuf_append(out, "</div></div></details>\n");
cleanup:
  store_free_environment(&environment);
  return error;
}
