#include "report/html.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/json.h"
#include "report/html_parts.h"
#include "report/page.h"
#include "report/plot.h"
#include "report/write.h"

/* ---- the table ---- */

/* A number that leads to its runs: the script opens the dialog, without it the first run. */
static void write_value(const report_table *t, size_t r, size_t c, strbuf *out) {
  const report_column *shown = &t->columns[c];
  const report_value *v = &t->rows[r].values[c];
  char number[32] = "";
  strbuf text = {0}, whole = {0};
  report_format_bare(shown, v, &text);
  report_format_value(shown, v, &whole);
  if (!isnan(v->value)) jsonw_shortest(v->value, number);
  if (v->missing) {
    page_element("<td class=\"none\" data-value=\"\" title=\"", v->missing, "\">–", out);
  } else if (v->text) {
    page_element("<td>", v->text, "", out);
  } else {
    int64_t run = 0;
    for (size_t i = 0; i < t->rows[r].cells && !run; i++) run = t->rows[r].runs[i];
    strbuf_format(out,
                  "<td%s data-value=\"%s\"><a class=\"number\" href=\"#run-%lld\" "
                  "data-row=\"%zu\" data-column=\"%zu\">%s</a>",
                  v->is_best ? " class=\"best\"" : "", number, (long long)run, r, c,
                  strbuf_string(&text));
    if (whole.length > text.length)
      page_element("<span class=\"plus\">", whole.data + text.length, "</span>", out);
  }
  strbuf_clear(&text);
  report_format_reference(shown, v, &text);
  if (text.length) page_element(" <span class=\"ref\">(", strbuf_string(&text), ")</span>", out);
  strbuf_append(out, "</td>");
  strbuf_free(&text);
  strbuf_free(&whole);
}

static void write_head(const report_table *t, strbuf *out) {
  page_filter("table", "filter the rows", out);
  strbuf_append(out, "<div class=\"wide\" tabindex=\"-1\"><table id=\"table\" class=\"sortable\">"
                     "<thead><tr>");
  for (size_t k = 0; k < t->key_count; k++)
    page_element(k ? "<th class=\"text\" scope=\"col\"><span>"
                   : "<th class=\"key\" scope=\"col\"><span>",
                 t->key_headings[k], "</span></th>", out);
  for (size_t c = 0; c < t->column_count; c++) {
    page_element("<th scope=\"col\" title=\"",
                 t->columns[c].known ? t->columns[c].known->help : "a setting", "\"><span>", out);
    page_element("", t->columns[c].heading, "<small>", out);
    page_element("", t->columns[c].unit, "</small></span></th>", out);
  }
  strbuf_append(out, "</tr></thead><tbody>\n");
}

static void write_notes(const report_table *t, strbuf *out) {
  for (size_t r = 0; r < t->row_count; r++)
    if (t->rows[r].missing)
      page_element("<p class=\"warning\" style=\"white-space:pre-line\">Missing: ",
                   t->rows[r].missing, "</p>\n", out);
  if (t->source) {
    page_element("<p class=\"faint\">In brackets: ", t->source, ", and the difference from it",
                 out);
    strbuf_append(out, t->has_unverified ? "; ~ unverified.</p>\n" : ".</p>\n");
  }
  if (t->notes.basis) page_element("<p class=\"faint\">", t->notes.basis, ".</p>\n", out);
  strbuf_append(out,
                "<p class=\"faint\">● better than every other row by more than its interval. A "
                "number leads to the runs it comes from.</p>\n");
}

static void write_table(const report_table *t, strbuf *out) {
  write_head(t, out);
  for (size_t r = 0; r < t->row_count; r++) {
    strbuf_append(out, "<tr>");
    for (size_t k = 0; k < t->key_count; k++) {
      double number;
      bool is_number = yml_as_real(t->rows[r].key_values[k], &number);
      strbuf_append(out, k ? "<td class=\"text\"" : "<th scope=\"row\"");
      if (is_number) page_element(" data-value=\"", t->rows[r].key_values[k], "\"", out);
      strbuf name = {0};
      report_format_key(&t->rows[r], k, &name);
      page_element(">", strbuf_string(&name), k ? "</td>" : "</th>", out);
      strbuf_free(&name);
    }
    for (size_t c = 0; c < t->column_count; c++) write_value(t, r, c, out);
    strbuf_append(out, "</tr>\n");
  }
  strbuf_append(out, "</tbody></table></div>\n");
  write_notes(t, out);
}

/* ---- figures ---- */

/* Colours of plots/theme.gp as the page's own, so that figures follow light and dark. */
static const struct {
  const char *rgb, *name;
} page_colours[] = {{"34,34,34", "ink"},  {"138,138,138", "faint"}, {"228,228,228", "line"},
                    {"77,77,77", "c0"},   {"0,114,178", "c1"},      {"213,94,0", "c2"},
                    {"0,158,115", "c3"},  {"204,121,167", "c4"},    {"230,159,0", "c5"},
                    {"86,180,233", "c6"}, {"0,0,0", "c7"},          {"255,255,255", "paper"}};

/* "rgb( 34,  34,  34)" at `at`: its length, and what it becomes; 0 for a colour of its own. */
static size_t known_colour(const char *at, strbuf *out) {
  char digits[32];
  size_t used = 0, length = strcspn(at, ")");
  if (strncmp(at, "rgb(", 4) != 0 || length > sizeof digits) return 0;
  for (size_t i = 4; i < length; i++)
    if (!isspace((unsigned char)at[i])) digits[used++] = at[i];
  digits[used] = '\0';
  for (size_t i = 0; i < sizeof page_colours / sizeof *page_colours; i++)
    if (strcmp(page_colours[i].rgb, digits) == 0) {
      strbuf_format(out, "var(--%s)", page_colours[i].name);
      return length + 1;
    }
  return 0;
}

/* The drawing itself, without the XML declaration before it; ids are made to differ from figure to
 * figure, and its ground is the page's. */
static void inline_svg(const char *svg, const char *name, strbuf *out) {
  static const char *const marks[] = {"id='", "id=\"", "url(#", "href='#", "href=\"#"};
  const char *at = strstr(svg, "<svg");
  while (at && *at) {
    size_t used = known_colour(at, out);
    for (size_t i = 0; i < sizeof marks / sizeof *marks && !used; i++) {
      size_t length = strlen(marks[i]);
      if (strncmp(at, marks[i], length) != 0) continue;
      strbuf_format(out, "%s%s-", marks[i], name);
      used = length;
    }
    if (!used && strncasecmp(at, "#ffffff", 7) == 0) {
      strbuf_append(out, "var(--paper)");
      used = 7;
    }
    if (!used && strncmp(at, "<title>Gnuplot</title>", 22) == 0) used = 22;
    if (!used) strbuf_append_char(out, *at);
    at += used ? used : 1;
  }
}

static err write_figure(const char *folder, const plot_result *figure, strbuf *out) {
  strbuf path = {0};
  char *svg = NULL;
  size_t length;
  if (figure->why) { /* in its place, why it is not there */
    page_element("<p class=\"faint\">", figure->name, ": not drawn: ", out);
    page_element("", figure->why, "</p>\n", out);
    return NULL;
  }
  strbuf_format(&path, "%s/%s.svg", folder, figure->name);
  err error = fs_read(strbuf_string(&path), &svg, &length);
  if (!error) {
    page_element("<figure role=\"img\" aria-label=\"", figure->name, "\">", out);
    inline_svg(svg, figure->name, out);
    strbuf_append(out, "</figure>\n");
  }
  free(svg);
  strbuf_free(&path);
  return error;
}

static err write_figures(const spec_experiment *e, store *s, const char *folder, strbuf *out) {
  plot_results results = {0};
  plot_options options = {.folder = folder, .formats = "svg"};
  err error = plot_all(e, s, &options, &results);
  strbuf_append(out, "<div class=\"figures\">\n");
  for (size_t i = 0; i < results.count && !error; i++)
    error = write_figure(folder, &results.items[i], out);
  strbuf_append(out, "</div>\n");
  plot_free(&results);
  return error;
}

/* ---- the page ---- */

static err write_runs(const spec_experiment *e, store *s, strbuf *out) {
  err error = NULL;
  for (size_t i = 0; i < e->cell_count && !error; i++) {
    store_run run;
    error = store_find_run(s, e->cells[i].id, &run);
    if (!error && run.run_id)
      error = html_write_run(s, &run, e->cells[i].label, out);
    else if (!error)
      page_element("<details><summary>", e->cells[i].label,
                   "<span class=\"chip\">not run</span></summary></details>\n", out);
    store_free_run(&run);
  }
  return error;
}

static err write_summary(const spec_experiment *e, store *s, const report_table *t, strbuf *out) {
  static const char *const states[] = {"finished", "running", "interrupted", "failed", "not run"};
  size_t counts[5] = {0};
  err error = NULL;
  for (size_t i = 0; i < e->cell_count && !error; i++) {
    store_run run;
    error = store_find_run(s, e->cells[i].id, &run);
    for (size_t k = 0; !error && k < 5; k++)
      counts[k] += strcmp(run.run_id ? run.status : "not run", states[k]) == 0;
    store_free_run(&run);
  }
  if (e->source) page_element("<p class=\"faint\">", e->source, "</p>\n", out);
  strbuf_append(out, "<ul class=\"chips\">");
  for (size_t k = 0; k < 5; k++)
    if (counts[k])
      strbuf_format(out, "<li class=\"chip %s\">%zu %s</li>", states[k], counts[k], states[k]);
  if (t->notes.provenance) page_element("<li class=\"chip\">", t->notes.provenance, "</li>", out);
  strbuf_append(out, "</ul>\n");
  const char *const warnings[] = {t->notes.mixed, t->notes.disturbed};
  for (size_t i = 0; i < 2; i++)
    if (warnings[i])
      page_element("<p class=\"warning\" style=\"white-space:pre-line\">", warnings[i], "</p>\n",
                   out);
  const char *const said[] = {t->notes.iso, t->notes.accuracy};
  for (size_t i = 0; i < 2; i++)
    if (said[i])
      page_element("<p class=\"finding\" style=\"white-space:pre-line\">", said[i], "</p>\n", out);
  return error;
}

err html_write(const spec_experiment *e, store *s, const char *plots, strbuf *out) {
  static const char *const sections[] = {"results", "Results", "curves", "Curves",
                                         "figures", "Figures", "runs",   "Runs",
                                         "file",    "File",    NULL};
  report_table *t = NULL;
  strbuf json = {0};
  err error = report_build(e, s, &t);
  if (error) return error;
  page_begin(t->title, "../index.html", "all experiments", sections, out);
  TRY(write_summary(e, s, t, out));
  strbuf_append(out, "<h2 id=\"results\">Results</h2>\n");
  write_table(t, out);
  strbuf_append(out, "<h2 id=\"curves\">Curves</h2>\n<div id=\"charts\"><noscript><p "
                     "class=\"faint\">The curves need the page's script; the figures below do "
                     "not.</p></noscript></div>\n<h2 id=\"figures\">Figures</h2>\n");
  TRY(write_figures(e, s, plots, out));
  strbuf_append(out, "<h2 id=\"runs\">Runs: where each number comes from</h2>\n");
  TRY(write_runs(e, s, out));
  page_element("<h2 id=\"file\">Experiment file</h2>\n<details><summary>", e->path,
               "</summary><div class=\"inside\">", out);
  page_element("<pre>", e->text, "</pre></div></details>\n", out);
  TRY(html_write_data(e, s, t, &json));
  page_end(strbuf_string(&json), out);
cleanup:
  strbuf_free(&json);
  report_free(t);
  return error;
}
