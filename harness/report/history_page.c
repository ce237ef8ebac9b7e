/* The page of measurements over commits: groups of series, each with a figure and all its
 * commits. */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "report/history.h"
#include "report/page.h"

static void number_cell(page_table *t, double value) {
  char text[TEXT_NUMBER_SIZE];
  snprintf(text, sizeof text, "%.6g", value);
  page_table_cell(t, &(page_cell){.text = text, .order = PAGE_BY_NUMBER, .number = value});
}

static void count_cell(page_table *t, size_t count) {
  char text[TEXT_NUMBER_SIZE];
  snprintf(text, sizeof text, "%zu", count);
  page_table_cell(t, &(page_cell){.text = text});
}

/* The level that the commit belongs to; for the first commit of a level, the change. */
static void level_cell(page_table *t, const series_levels *l, size_t level, bool begins) {
  char text[TEXT_NUMBER_SIZE], p[TEXT_NUMBER_SIZE] = "";
  snprintf(text, sizeof text, "%zu", level + 1);
  page_cell cell = {.text = text, .plus = p, .order = PAGE_BY_NUMBER, .number = (double)level + 1};
  if (begins) {
    const series_level *newer = &l->levels[level];
    snprintf(text, sizeof text, "%+.1f %%", 100 * (newer->mean / (newer - 1)->mean - 1));
    snprintf(p, sizeof p, " (p %s %.3f)", newer->p < 0.001 ? "<" : "=", fmax(0.001, newer->p));
    cell.style = "best";
  }
  page_table_cell(t, &cell);
}

static void write_commits(json_writer *w, const sample_series *s, const series_levels *l, size_t id,
                          strbuf *text) {
  static const page_column columns[] = {
      {PAGE_KEY, "commit", NULL, NULL},      {PAGE_TEXT, "day", NULL, NULL},
      {PAGE_NUMBER, "median", NULL, NULL},   {PAGE_NUMBER, "least", NULL, NULL},
      {PAGE_NUMBER, "greatest", NULL, NULL}, {PAGE_NUMBER, "samples", NULL, NULL},
      {PAGE_TEXT, "measured", NULL, NULL},   {PAGE_NUMBER, "disturbed", NULL, NULL},
      {PAGE_NUMBER, "level", NULL, NULL}};
  char name[32];
  size_t level = 0;
  page_table t;
  snprintf(name, sizeof name, "series-%zu", id);
  page_table_begin(&t, w, "table", name, "filter the commits", columns,
                   sizeof columns / sizeof *columns);
  for (size_t i = 0; i < s->count; i++) {
    const sample_point *p = &s->points[i];
    bool begins = level + 1 < l->level_count && l->levels[level + 1].first == i;
    level += begins;
    page_table_cell(&t, &(page_cell){.text = p->label, .style = "mono"});
    page_table_cell(&t, &(page_cell){.text = p->day});
    number_cell(&t, p->value);
    number_cell(&t, p->least);
    number_cell(&t, p->most);
    count_cell(&t, p->samples);
    page_table_cell(&t, &(page_cell){.text = p->is_alone ? "alone: with drift" : "in turns"});
    count_cell(&t, p->disturbed);
    if (l->is_aside[i])
      page_table_cell(&t, &(page_cell){.text = "alone: set aside", .order = PAGE_LAST});
    else
      level_cell(&t, l, level, begins);
  }
  page_table_end_rows(&t);
  jsonw_end(w);
  page_table_end(&t, text);
}

static void write_series(json_writer *w, const history_view *v, size_t member, strbuf *text) {
  const sample_series *s = &v->series[member];
  strbuf name = {0};
  strbuf_format(&name, "%s: every commit", s->series);
  if (s->left_out)
    strbuf_format(&name, "; %zu %s left out: no positive number", s->left_out,
                  text_plural((int64_t)s->left_out, "sample", "samples"));
  strbuf_format(text, "\n%s\n", strbuf_string(&name));
  jsonw_object(w, NULL);
  jsonw_string(w, "name", strbuf_string(&name));
  write_commits(w, s, &v->levels[member], member, text);
  jsonw_end(w);
  strbuf_free(&name);
}

/* The series of one figure. */
static err write_group(json_writer *w, const history_view *v, const char *folder, size_t number,
                       strbuf *text, strbuf *figures) {
  size_t members[HISTORY_PANELS], count = history_panels(v, number, members);
  strbuf title = {0}, name = {0};
  char file[160];
  history_title(v, members, count, &title);
  history_name_group(&v->series[members[0]], &name);
  history_name_file(v, number, file, sizeof file);
  strbuf_format(text, "\n%s\n%s\n", strbuf_string(&title), strbuf_string(&name));
  jsonw_object(w, NULL);
  jsonw_string(w, "title", strbuf_string(&title));
  jsonw_string(w, "name", strbuf_string(&name));
  jsonw_integer(w, "drawing", (int64_t)number);
  jsonw_array(w, "series");
  for (size_t k = 0; k < count; k++) write_series(w, v, members[k], text);
  jsonw_end(w);
  jsonw_end(w);
  strbuf_free(&title);
  strbuf_free(&name);
  return page_figure(folder, file, number, figures);
}

static const char *text_of(const json_t *object, const char *key) {
  const char *text = json_string_value(json_object_get(object, key));
  return text ? text : "";
}

/* Was the commit measured since? With the same arguments, unless it had not been built at all. */
static bool has_point(const history_view *v, const json_t *failure) {
  bool is_built = strcmp(text_of(failure, "event"), "not_measured") == 0;
  for (size_t i = 0; i < v->count; i++) {
    const sample_series *s = &v->series[i];
    if (strcmp(s->machine, text_of(failure, "machine")) != 0 ||
        (is_built && strcmp(s->words, text_of(failure, "words")) != 0))
      continue;
    for (size_t k = 0; k < s->count; k++)
      if (strcmp(s->points[k].commit, text_of(failure, "commit")) == 0 &&
          !strchr(s->points[k].label, '+'))
        return true;
  }
  return false;
}

/* A failure, or a line that is none as it is. */
static void write_failure(json_writer *w, const json_t *failure, const char *line, size_t length,
                          strbuf *text) {
  const char *commit = json_string_value(json_object_get(failure, "commit"));
  const char *time = json_string_value(json_object_get(failure, "time"));
  const char *said = json_string_value(json_object_get(failure, "message"));
  strbuf heading = {0}, message = {0};
  if (commit) strbuf_format(&heading, "%.10s%s%s", commit, time ? ", " : "", time ? time : "");
  if (commit && said)
    strbuf_append(&message, said);
  else
    strbuf_append_bytes(&message, line, length);
  strbuf_format(text, "%s\n%s\n", strbuf_string(&heading), strbuf_string(&message));
  jsonw_object(w, NULL);
  jsonw_string(w, "heading", strbuf_string(&heading));
  jsonw_string(w, "message", strbuf_string(&message));
  jsonw_end(w);
  strbuf_free(&heading);
  strbuf_free(&message);
}

/* lines: of failures.jsonl, or NULL. */
static void write_failures(json_writer *w, const history_view *v, const char *lines, strbuf *text) {
  bool has_any = false;
  jsonw_array(w, "failures");
  for (const char *at = lines ? lines : ""; *at;) {
    size_t length = strcspn(at, "\n");
    json_t *failure = json_loadb(at, length, 0, NULL);
    if (length && !has_point(v, failure)) {
      if (!has_any) strbuf_append(text, "\nCommits that could not be measured\n");
      write_failure(w, failure, at, length, text);
      has_any = true;
    }
    json_decref(failure);
    at += length + (at[length] == '\n');
  }
  jsonw_end(w);
}

err history_page(const history_view *v, const char *folder, const char *failures, strbuf *out) {
  size_t members[HISTORY_PANELS];
  strbuf title = {0}, text = {0}, figures = {0}, json = {0};
  json_writer w = jsonw_start(&json);
  err error = NULL;
  strbuf_format(&title, "%s over commits", v->metric);
  jsonw_object(&w, NULL);
  jsonw_string(&w, "kind", "history");
  jsonw_array(&w, "groups");
  for (size_t number = 0; !error && history_panels(v, number, members) > 0; number++)
    error = write_group(&w, v, folder, number, &text, &figures);
  jsonw_end(&w);
  write_failures(&w, v, failures, &text);
  jsonw_end(&w);
  page_write(&(page_content){strbuf_string(&title), strbuf_string(&text), strbuf_string(&figures),
                             strbuf_string(&json)},
             out);
  strbuf *all[] = {&title, &text, &figures, &json};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    if (all[i]->is_broken) out->is_broken = true;
    strbuf_free(all[i]);
  }
  return error;
}
