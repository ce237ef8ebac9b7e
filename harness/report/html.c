#include "report/html.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "report/plot.h"
#include "report/provenance.h"
#include "report/write.h"

static const char style[] =
    ":root{color-scheme:light "
    "dark;--ink:#222;--faint:#6b6b6b;--line:#ddd;--paper:#fff;--best:#0072b2}"
    "@media(prefers-color-scheme:dark){:root{--ink:#e6e6e6;--faint:#9a9a9a;--line:#3a3a3a;"
    "--paper:#16181a;--best:#6cb8ec}}"
    "body{margin:2rem auto;max-width:62rem;padding:0 1rem;background:var(--paper);color:var(--ink);"
    "font:16px/1.5 system-ui,'DejaVu Sans',sans-serif}"
    "h1{font-size:1.5rem;margin:0}h2{font-size:1.1rem;margin:2.2rem 0 .6rem}"
    ".faint{color:var(--faint);font-size:.85rem}.wide{overflow-x:auto}"
    "table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.9rem}"
    "th,td{text-align:right;padding:.3rem .7rem;border-bottom:1px solid var(--line);"
    "white-space:nowrap}"
    "thead th{vertical-align:bottom;white-space:normal;font-weight:600;border-bottom-width:2px}"
    "thead small{display:block;font-weight:400;color:var(--faint)}"
    "td.best{font-weight:700;color:var(--best)}td span{color:var(--faint);font-weight:400}"
    "figure{margin:1.2rem 0}figure svg{width:100%;height:auto;max-width:47rem}"
    "details{border:1px solid var(--line);border-radius:6px;margin:.4rem 0;padding:.3rem .8rem}"
    "summary{cursor:pointer}pre{overflow-x:auto;font-size:.8rem}"
    "a{color:var(--best)}"
    "@media(prefers-color-scheme:dark){figure svg{filter:invert(1) hue-rotate(180deg);"
    "mix-blend-mode:screen}}";

static void escape(const char *text, strbuf *out) {
  for (; *text; text++)
    if (*text == '<')
      strbuf_append(out, "&lt;");
    else if (*text == '>')
      strbuf_append(out, "&gt;");
    else if (*text == '&')
      strbuf_append(out, "&amp;");
    else if (*text == '"')
      strbuf_append(out, "&quot;");
    else
      strbuf_append_char(out, *text);
}

static void element(const char *open, const char *text, const char *close, strbuf *out) {
  strbuf_append(out, open);
  escape(text, out);
  strbuf_append(out, close);
}

static void write_value(const report_column *c, const report_value *v, strbuf *out) {
  strbuf text = {0};
  strbuf_append(out, v->is_best ? "<td class=\"best\">" : "<td>");
  report_format_value(c, v, &text);
  escape(strbuf_string(&text), out);
  strbuf_clear(&text);
  report_format_reference(c, v, &text);
  if (text.length) strbuf_format(out, " <span>(%s)</span>", strbuf_string(&text));
  strbuf_append(out, "</td>");
  strbuf_free(&text);
}

static void write_table(const report_table *t, strbuf *out) {
  strbuf_append(out, "<div class=\"wide\"><table><thead><tr>");
  for (size_t k = 0; k < t->key_count; k++) element("<th>", t->key_headings[k], "</th>", out);
  for (size_t c = 0; c < t->column_count; c++) {
    element("<th>", t->columns[c].heading, "<small>", out);
    element("", t->columns[c].unit, "</small></th>", out);
  }
  strbuf_append(out, "</tr></thead><tbody>\n");
  for (size_t r = 0; r < t->row_count; r++) {
    strbuf_append(out, "<tr>");
    for (size_t k = 0; k < t->key_count; k++) element("<th>", t->rows[r].keys[k], "</th>", out);
    for (size_t c = 0; c < t->column_count; c++)
      write_value(&t->columns[c], &t->rows[r].values[c], out);
    strbuf_append(out, "</tr>\n");
  }
  strbuf_append(out, "</tbody></table></div>\n");
  for (size_t r = 0; r < t->row_count; r++)
    if (t->rows[r].missing) element("<p>Missing: ", t->rows[r].missing, "</p>\n", out);
  if (t->source) {
    element("<p class=\"faint\">In brackets: ", t->source, "", out);
    strbuf_append(out, t->has_unverified ? "; ~ unverified.</p>\n" : ".</p>\n");
  }
  if (t->iso) element("<p style=\"white-space:pre-line\">", t->iso, "</p>\n", out);
  if (t->provenance) element("<p class=\"faint\">", t->provenance, "</p>\n", out);
}

/* The drawing itself, without the XML declaration before it and without its white ground; ids are
 * made to differ from figure to figure. */
static void inline_svg(const char *svg, const char *name, strbuf *out) {
  const char *at = strstr(svg, "<svg");
  static const char *const marks[] = {"id='", "id=\"", "url(#", "href='#", "href=\"#"};
  while (at && *at) {
    bool is_mark = false;
    for (size_t i = 0; i < sizeof marks / sizeof *marks && !is_mark; i++) {
      size_t length = strlen(marks[i]);
      if (strncmp(at, marks[i], length) != 0) continue;
      strbuf_format(out, "%s%s-", marks[i], name);
      at += length;
      is_mark = true;
    }
    if (!is_mark) strbuf_append_char(out, *at++);
  }
}

static err write_figures(const spec_experiment *e, store *s, const char *folder, strbuf *out) {
  spec_names drawn = {0};
  strbuf skipped = {0};
  plot_options options = {folder, "svg"};
  err error = plot_all(e, s, &options, &drawn, &skipped);
  if (error && err_kind_of(error) == ERR_UNSUPPORTED) {
    element("<p class=\"faint\">No figures: ", err_message(error), ".</p>\n", out);
    err_free(error);
    error = NULL;
  }
  for (size_t i = 0; i < drawn.count && !error; i++) {
    strbuf path = {0};
    char *svg = NULL;
    size_t length;
    strbuf_format(&path, "%s/%s.svg", folder, drawn.items[i]);
    error = fs_read(strbuf_string(&path), &svg, &length);
    if (!error) {
      strbuf_append(out, "<figure>");
      inline_svg(svg, drawn.items[i], out);
      strbuf_append(out, "</figure>\n");
    }
    free(svg);
    strbuf_free(&path);
  }
  spec_names_free(&drawn);
  strbuf_free(&skipped);
  return error;
}

static err write_runs(const spec_experiment *e, store *s, strbuf *out) {
  err error = NULL;
  for (size_t i = 0; i < e->cell_count && !error; i++) {
    store_run run;
    strbuf text = {0};
    error = store_find_run(s, e->cells[i].id, &run);
    if (!error && run.run_id) error = provenance_text(s, run.run_id, &text);
    if (!error) {
      element("<details><summary>", e->cells[i].label, "", out);
      element(" <span class=\"faint\">", run.run_id ? run.status : "not run", "</span></summary>",
              out);
      element("<pre>", strbuf_string(&text), "</pre></details>\n", out);
    }
    store_free_run(&run);
    strbuf_free(&text);
  }
  return error;
}

err html_write(const spec_experiment *e, store *s, const char *plots, strbuf *out) {
  report_table *t = NULL;
  err error = report_build(e, s, &t);
  if (error) return error;
  strbuf_append(out, "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
                     "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">");
  element("<title>", t->title, "</title>", out);
  strbuf_format(out, "<style>%s</style></head>\n<body>", style);
  element("<h1>", t->title, "</h1>\n", out);
  if (e->source) element("<p class=\"faint\">", e->source, "</p>\n", out);
  strbuf_append(out, "<h2>Results</h2>\n");
  write_table(t, out);
  strbuf_append(out, "<h2>Figures</h2>\n");
  error = write_figures(e, s, plots, out);
  strbuf_append(out, "<h2>Where each number comes from</h2>\n");
  if (!error) error = write_runs(e, s, out);
  element("<h2>Experiment file</h2>\n<details><summary>", e->path, "</summary>", out);
  element("<pre>", e->text, "</pre></details>\n</body></html>\n", out);
  report_free(t);
  return error;
}
