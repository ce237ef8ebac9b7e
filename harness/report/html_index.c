/* The page over all experiments of a results folder: what there is, what it cost, what it found. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "report/html.h"
#include "report/page.h"
#include "store/experiments.h"

/* A cell with the number that it is sorted by. */
static void number_cell(double value, double scale, int digits, strbuf *out) {
  if (isnan(value))
    strbuf_append(out, "<td class=\"none\" data-value=\"\">–</td>");
  else
    strbuf_format(out, "<td data-value=\"%.9g\">%.*f</td>", value, digits, value * scale);
}

static void time_cell(double seconds, strbuf *out) {
  char text[TEXT_NUMBER_SIZE];
  if (isnan(seconds))
    strbuf_append(out, "<td class=\"none\" data-value=\"\">–</td>");
  else
    strbuf_format(out, "<td data-value=\"%.9g\">%s</td>", seconds, text_duration(seconds, text));
}

static void head(const char *id, const char *const *names, size_t text_columns_count, strbuf *out) {
  strbuf_format(out, "<div class=\"wide\"><table id=\"%s\" class=\"sortable\"><thead><tr>", id);
  for (size_t i = 0; names[i]; i++)
    page_element(i == 0                   ? "<th class=\"key\" scope=\"col\"><span>"
                 : i < text_columns_count ? "<th class=\"text\" scope=\"col\"><span>"
                                          : "<th scope=\"col\"><span>",
                 names[i], "</span></th>", out);
  strbuf_append(out, "</tr></thead><tbody>\n");
}

static void name_cell(const char *results, const char *name, strbuf *out) {
  strbuf page = {0};
  strbuf_format(&page, "%s/%s/report.html", results, name);
  strbuf_append(out, "<tr><th scope=\"row\">");
  if (fs_exists(strbuf_string(&page))) {
    page_element("<a href=\"", name, "/report.html\">", out);
    page_element("", name, "</a>", out);
  } else {
    page_element("", name, "", out);
  }
  strbuf_append(out, "</th>");
  strbuf_free(&page);
}

static void day_cell(const char *stamp, strbuf *out) {
  strbuf text = {0};
  strbuf_format(&text, "%.10s", stamp);
  page_element("<td data-value=\"", stamp, "\" title=\"", out);
  page_element("", stamp, "\">", out);
  page_element("", strbuf_string(&text), "</td>", out);
  strbuf_free(&text);
}

static err write_experiments(store *s, const char *results, strbuf *out) {
  static const char *const names[] = {"experiment", "title", "cells",   "finished", "failed",
                                      "time",       "last",  "commits", NULL};
  store_overview *all;
  size_t count;
  page_filter("experiments", "filter the experiments", out);
  head("experiments", names, 2, out);
  err error = store_list_overviews(s, &all, &count);
  for (size_t i = 0; i < count; i++) {
    const store_overview *x = &all[i];
    name_cell(results, x->name, out);
    page_element("<td class=\"text\">", x->title, "", out);
    if (*x->source) page_element("<br><small>", x->source, "</small>", out);
    strbuf_format(out, "</td><td>%lld</td><td>%lld</td><td%s>%lld</td>", (long long)x->cells,
                  (long long)x->finished, x->failed > 0 ? " class=\"warning\"" : "",
                  (long long)x->failed);
    time_cell(x->wall_seconds, out);
    day_cell(x->last, out);
    page_element("<td class=\"mono\">", x->commits, "</td></tr>\n", out);
  }
  store_free_overviews(all, count);
  strbuf_append(out, "</tbody></table></div>\n");
  return error;
}

static void write_cell(const store_cell *c, const char *results, strbuf *out) {
  char run[24];
  name_cell(results, c->experiment, out);
  strbuf_append(out, "<td class=\"text\">");
  if (c->run_id) {
    snprintf(run, sizeof run, "%lld", (long long)c->run_id);
    page_element("<a href=\"", c->experiment, "/report.html#run-", out);
    page_element("", run, "\">", out);
    page_element("", c->label, "</a>", out);
  } else {
    page_element("", c->label, "", out);
  }
  strbuf_format(out, "</td><td class=\"text\"><span class=\"chip %s\" title=\"", c->status);
  page_element("", c->message, "", out);
  strbuf_format(out, "\">%s</span></td>", c->status);
  number_cell(c->samples_per_second, 1, 0, out);
  time_cell(c->train_seconds, out);
  number_cell(c->peak_bytes, 1.0 / 1048576, 0, out);
  number_cell(c->final_loss, 1, 3, out);
  number_cell(c->zero_shot, 100, 1, out);
  number_cell(c->image_to_text, 100, 1, out);
  day_cell(c->ended, out);
  strbuf_append(out, "</tr>\n");
}

static err write_cells(store *s, const char *results, strbuf *out) {
  static const char *const names[] = {"experiment",
                                      "cell",
                                      "state",
                                      "samples/s",
                                      "time",
                                      "memory (MiB)",
                                      "loss",
                                      "zero-shot (%)",
                                      "image→text R@1 (%)",
                                      "ended",
                                      NULL};
  store_cell *cells;
  size_t count;
  page_filter("cells", "filter the cells", out);
  head("cells", names, 3, out);
  err error = store_list_cells(s, NULL, &cells, &count);
  for (size_t i = 0; i < count; i++) write_cell(&cells[i], results, out);
  strbuf_append(out, "</tbody></table></div>\n");
  store_free_cells(cells, count);
  return error;
}

err html_write_index(store *s, const char *results, strbuf *out) {
  static const char *const sections[] = {"all", "Experiments", "runs", "Cells", NULL};
  page_begin("Experiments", NULL, NULL, sections, out);
  strbuf_append(out, "<h2 id=\"all\">Experiments</h2>\n");
  err error = write_experiments(s, results, out);
  strbuf_append(out, "<h2 id=\"runs\">Cells</h2>\n");
  if (!error) error = write_cells(s, results, out);
  page_end("{}", out);
  return error;
}
