/* The HTML page of an experiment. */
#include "report/html.h"

#include <stdlib.h>
#include <string.h>

#include "report/claims.h"
#include "report/html_parts.h"
#include "report/page.h"
#include "report/plot.h"
#include "report/results.h"
#include "report/write.h"

static err write_figures(const spec_experiment *e, store *s, const char *folder, strbuf *out) {
  plot_results results = {0};
  plot_options options = {.folder = folder, .formats = "svg"};
  err error = plot_all(e, s, &options, &results);
  for (size_t i = 0; i < results.count && !error; i++)
    if (results.items[i].why)
      page_figure_missing(results.items[i].name, results.items[i].why, out);
    else
      error = page_figure(folder, results.items[i].name, i, out);
  plot_free(&results);
  return error;
}

static err write_run(json_writer *w, store *s, const spec_cell *cell, const store_run *run) {
  if (run->run_id) return html_write_run(w, s, run, cell->label);
  jsonw_object(w, NULL);
  jsonw_integer(w, "id", 0);
  jsonw_string(w, "label", cell->label);
  jsonw_string(w, "status", "not run");
  if (*run->message) jsonw_string(w, "message", run->message);
  jsonw_end(w);
  return NULL;
}

/* Every cell's run, and the count of each status. */
static err write_runs(json_writer *w, const spec_experiment *e, store *s) {
  static const char *const states[] = {"finished", "running", "interrupted", "failed", "not run"};
  size_t counts[5] = {0};
  store_result *results = NULL;
  err error = results_find(e, s, &results);
  jsonw_array(w, "runs");
  for (size_t i = 0; i < e->cell_count && !error; i++) {
    store_run run;
    error = store_load_result(s, &results[i], &run);
    if (!error) error = write_run(w, s, &e->cells[i], &run);
    for (size_t k = 0; !error && k < 5; k++)
      counts[k] += strcmp(run.run_id ? run.status : "not run", states[k]) == 0;
    store_free_run(&run);
  }
  jsonw_end(w);
  jsonw_array(w, "states");
  for (size_t k = 0; k < 5; k++) {
    strbuf text = {0};
    if (!counts[k]) continue;
    strbuf_format(&text, "%zu %s", counts[k], states[k]);
    jsonw_object(w, NULL);
    jsonw_string(w, "style", states[k]);
    jsonw_string(w, "text", strbuf_string(&text));
    jsonw_end(w);
    strbuf_free(&text);
  }
  jsonw_end(w);
  free(results);
  return error;
}

static void write_texts(json_writer *w, const char *key, const char *first, const char *second) {
  jsonw_array(w, key);
  if (first) jsonw_string(w, NULL, first);
  if (second) jsonw_string(w, NULL, second);
  jsonw_end(w);
}

/* The top of the page: provenance and findings. */
static void write_summary(json_writer *w, const spec_experiment *e, const report_table *t,
                          const char *index) {
  jsonw_string(w, "kind", "experiment");
  if (index) {
    jsonw_object(w, "up");
    jsonw_string(w, "href", index);
    jsonw_string(w, "name", "all experiments");
    jsonw_end(w);
  }
  jsonw_string(w, "source", e->source);
  jsonw_string(w, "provenance", t->notes.provenance);
  write_texts(w, "warnings", t->notes.mixed, t->notes.disturbed);
  write_texts(w, "findings", t->notes.iso, t->notes.accuracy);
  write_texts(w, "finding_names", t->notes.iso ? "speed-ups" : NULL,
              t->notes.accuracy ? "differences" : NULL);
  jsonw_object(w, "file");
  jsonw_string(w, "path", e->path);
  jsonw_string(w, "text", e->text);
  jsonw_end(w);
}

static err write_json(const spec_experiment *e, store *s, const report_table *t, const char *index,
                      strbuf *json, strbuf *text) {
  char recorded[CLOCK_STAMP_SIZE] = "";
  report_data d = {0};
  json_writer w = jsonw_start(json);
  err error = data_load(e, s, &d);
  if (error) return error;
  jsonw_object(&w, NULL);
  write_summary(&w, e, t, index);
  TRY(results_find_last_event(e, s, recorded));
  page_recorded(&w, recorded, text);
  html_write_table(&w, &d, t);
  TRY(claims_write_json(e, s, &w));
  TRY(html_write_curves(&w, &d, t));
  TRY(write_runs(&w, e, s));
  jsonw_end(&w);
cleanup:
  data_free(&d);
  return error;
}

enum { TEXT_COLUMNS = 100 }; /* of the table for browsers without JavaScript */

static err write_page(const spec_experiment *e, store *s, const char *plots, const char *index,
                      strbuf *out) {
  report_table *t = NULL;
  strbuf text = {0}, figures = {0}, json = {0};
  err error = report_build(e, s, &t);
  if (error) return error;
  report_write_text(t, &(report_style){.columns = TEXT_COLUMNS}, &text);
  TRY(claims_write(e, s, false, &text));
  TRY(write_figures(e, s, plots, &figures));
  TRY(write_json(e, s, t, index, &json, &text));
  page_write(&(page_content){t->title, strbuf_string(&text), strbuf_string(&figures),
                             strbuf_string(&json)},
             out);
  if (text.is_broken || figures.is_broken || json.is_broken) out->is_broken = true;
cleanup:
  strbuf_free(&text);
  strbuf_free(&figures);
  strbuf_free(&json);
  report_free(t);
  return error;
}

/* The table, the claims, the figures and the runs of a page are those of one moment: rows would not
 * fit together if another process changed the record while the figures are drawn. */
err html_write(const spec_experiment *e, store *s, const char *plots, const char *index,
               strbuf *out) {
  err error = store_begin_reading(s);
  return error ? error : store_end(s, write_page(e, s, plots, index, out));
}
