/* The index of all experiments of a results folder: contents, cost and findings. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "report/html.h"
#include "report/page.h"
#include "store/experiments.h"
#include "store/facts.h"

static void number_cell(page_table *t, double value, double scale, int digits, const char *help) {
  char text[64] = "–";
  page_cell cell = {.text = text, .order = PAGE_LAST, .style = "none"};
  if (!isnan(value)) {
    snprintf(text, sizeof text, "%.*f", digits, value * scale);
    cell = (page_cell){.text = text, .order = PAGE_BY_NUMBER, .number = value, .help = help};
  }
  page_table_cell(t, &cell);
}

/* An accuracy, of the set of that name. */
static void accuracy_cell(page_table *t, double value, const char *set) {
  strbuf help = {0};
  strbuf_format(&help, "of the set '%s'", set);
  number_cell(t, value, 100, 1, strbuf_string(&help));
  strbuf_free(&help);
}

static void time_cell(page_table *t, double seconds) {
  char text[TEXT_NUMBER_SIZE];
  page_cell cell = {.text = "–", .order = PAGE_LAST, .style = "none"};
  if (!isnan(seconds))
    cell = (page_cell){
        .text = text_duration(seconds, text), .order = PAGE_BY_NUMBER, .number = seconds};
  page_table_cell(t, &cell);
}

static void count_cell(page_table *t, int64_t count, const char *style) {
  char text[32];
  snprintf(text, sizeof text, "%lld", (long long)count);
  page_table_cell(t, &(page_cell){.text = text, .style = style});
}

/* The page of an experiment, from the index; empty while there is none, as during its first sweep.
 */
static void link_page(const char *results, const char *name, strbuf *link) {
  strbuf page = {0};
  strbuf_format(&page, "%s/%s/report.html", results, name);
  if (fs_exists(strbuf_string(&page))) strbuf_format(link, "%s/report.html", name);
  strbuf_free(&page);
}

static void name_cell(page_table *t, const char *results, const char *name) {
  strbuf link = {0};
  link_page(results, name, &link);
  page_table_cell(t, &(page_cell){.text = name, .href = strbuf_string(&link)});
  strbuf_free(&link);
}

static void day_cell(page_table *t, const char *stamp) {
  char day[11];
  snprintf(day, sizeof day, "%s", stamp);
  page_table_cell(t,
                  &(page_cell){.text = day, .order = PAGE_BY_STAMP, .stamp = stamp, .help = stamp});
}

static err write_experiments(json_writer *w, store *s, const char *results, strbuf *text) {
  static const page_column columns[] = {
      {PAGE_KEY, "experiment", NULL, NULL}, {PAGE_TEXT, "title", NULL, NULL},
      {PAGE_NUMBER, "cells", NULL, NULL},   {PAGE_NUMBER, "finished", NULL, NULL},
      {PAGE_NUMBER, "failed", NULL, NULL},  {PAGE_NUMBER, "process time", NULL, NULL},
      {PAGE_NUMBER, "last", NULL, NULL},    {PAGE_NUMBER, "commits", NULL, NULL}};
  store_overview *all;
  size_t count;
  page_table t;
  page_table_begin(&t, w, "experiments", "experiments", "filter the experiments", columns,
                   sizeof columns / sizeof *columns);
  err error = store_list_overviews(s, &all, &count);
  for (size_t i = 0; i < count; i++) {
    const store_overview *x = &all[i];
    name_cell(&t, results, x->name);
    page_table_cell(&t, &(page_cell){.text = x->title, .small = x->source});
    count_cell(&t, x->cells, NULL);
    count_cell(&t, x->finished, NULL);
    count_cell(&t, x->failed, x->failed > 0 ? "warning" : NULL);
    time_cell(&t, x->wall_seconds);
    day_cell(&t, x->last);
    page_table_cell(&t, &(page_cell){.text = x->commits, .style = "mono"});
  }
  store_free_overviews(all, count);
  page_table_end_rows(&t);
  jsonw_end(w);
  page_table_end(&t, text);
  return error;
}

/* A disturbed run is marked † as in the comparison tables, one whose record was damaged in words.
 */
static void label_cell(page_table *t, const store_cell *c, const char *results) {
  strbuf label = {0}, link = {0}, help = {0};
  strbuf_format(&label, "%s%s%s", c->label, c->is_disturbed ? " †" : "",
                c->has_lost_events ? " (events lost)" : "");
  if (c->run_id) link_page(results, c->experiment, &link);
  if (link.length) strbuf_format(&link, "#run-%lld", (long long)c->run_id);
  if (c->is_disturbed && c->lost_share > 0)
    strbuf_format(&help, "%.0f %% of its time lost to other work", 100 * c->lost_share);
  page_table_cell(t, &(page_cell){.text = strbuf_string(&label),
                                  .href = strbuf_string(&link),
                                  .help = strbuf_string(&help)});
  strbuf_free(&label);
  strbuf_free(&link);
  strbuf_free(&help);
}

static void write_cell(page_table *t, const store_cell *c, const char *results) {
  name_cell(t, results, c->experiment);
  label_cell(t, c, results);
  page_table_cell(
      t, &(page_cell){.text = c->status, .style = c->status, .help = c->message, .is_state = true});
  number_cell(t, c->samples_per_second, 1, 0, NULL);
  time_cell(t, c->train_seconds);
  number_cell(t, c->peak_bytes, 1.0 / 1048576, 0, NULL);
  number_cell(t, c->final_loss, 1, 3, NULL);
  accuracy_cell(t, c->zero_shot, c->zero_shot_set);
  accuracy_cell(t, c->image_to_text, c->retrieval_set);
  day_cell(t, c->ended);
}

static void write_note(json_writer *w, const char *note, strbuf *text) {
  jsonw_object(w, NULL);
  jsonw_bool(w, "is_warning", true);
  jsonw_string(w, "text", note);
  jsonw_end(w);
  strbuf_format(text, "%s\n", note);
}

static void write_notes(json_writer *w, size_t disturbed, size_t lost, strbuf *text) {
  static const char note[] =
      "† disturbed by other work on the machine: samples/s is the steady pace (median undisturbed "
      "step), wall time is elapsed time.";
  static const char note_of_lost[] =
      "events lost: the run's events.jsonl was damaged; accuracies are of the last evaluation "
      "that it still has, which may not be that of the end of training.";
  if (!disturbed && !lost) return;
  jsonw_array(w, "notes");
  if (disturbed) write_note(w, note, text);
  if (lost) write_note(w, note_of_lost, text);
  jsonw_end(w);
}

static err write_cells(json_writer *w, store *s, const char *results, strbuf *text) {
  static const page_column columns[] = {{PAGE_KEY, "experiment", NULL, NULL},
                                        {PAGE_TEXT, "cell", NULL, NULL},
                                        {PAGE_TEXT, "state", NULL, NULL},
                                        {PAGE_NUMBER, "samples/s", NULL, NULL},
                                        {PAGE_NUMBER, "wall time", NULL, NULL},
                                        {PAGE_NUMBER, "memory (MiB)", NULL, NULL},
                                        {PAGE_NUMBER, "loss", NULL, NULL},
                                        {PAGE_NUMBER, "zero-shot per class (%)", NULL, NULL},
                                        {PAGE_NUMBER, "image→text R@1 (%)", NULL, NULL},
                                        {PAGE_NUMBER, "ended", NULL, NULL}};
  store_cell *cells;
  size_t count, disturbed = 0, lost = 0;
  page_table t;
  page_table_begin(&t, w, "cells", "cells", "filter the cells", columns,
                   sizeof columns / sizeof *columns);
  err error = store_list_cells(s, NULL, &cells, &count);
  for (size_t i = 0; i < count; i++) {
    write_cell(&t, &cells[i], results);
    disturbed += cells[i].is_disturbed;
    lost += cells[i].has_lost_events;
  }
  store_free_cells(cells, count);
  page_table_end_rows(&t);
  page_table_end(&t, text);
  write_notes(w, disturbed, lost, text);
  jsonw_end(w);
  return error;
}

err html_write_index(store *s, const char *results, strbuf *out) {
  char recorded[CLOCK_STAMP_SIZE] = "";
  strbuf json = {0}, text = {0};
  json_writer w = jsonw_start(&json);
  jsonw_object(&w, NULL);
  jsonw_string(&w, "kind", "index");
  err error = store_find_last_event(s, 0, recorded);
  page_recorded(&w, recorded, &text);
  if (!error) error = write_experiments(&w, s, results, &text);
  strbuf_append_char(&text, '\n');
  if (!error) error = write_cells(&w, s, results, &text);
  jsonw_end(&w);
  page_write(&(page_content){"Experiments", strbuf_string(&text), "", strbuf_string(&json)}, out);
  if (json.is_broken || text.is_broken) out->is_broken = true;
  strbuf_free(&json);
  strbuf_free(&text);
  return error;
}
