/* The page over all experiments of a results folder: what there is, what it cost, what it found. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "report/html.h"
#include "report/page.h"
#include "store/sql.h"

static const char experiments_sql[] =
    "SELECT experiment.name, title, source, count(*), sum(latest.status = 'finished'),"
    " sum(latest.status = 'failed'), sum(latest.status = 'running'), max(coalesce(latest.ended,"
    " latest.started)), (SELECT wall_seconds FROM v_cost WHERE v_cost.experiment = name),"
    " (SELECT group_concat(DISTINCT substr(commit_id, 1, 10)) FROM v_provenance"
    "  WHERE v_provenance.experiment = name)"
    " FROM experiment JOIN v_cell_latest AS latest ON latest.experiment = experiment.name"
    " GROUP BY experiment.name ORDER BY 8 DESC";

static const char runs_sql[] =
    "SELECT latest.experiment, latest.label, latest.status, latest.run_id, samples_per_second,"
    " train_seconds, peak_bytes, final_loss, zero_shot_mean_per_class, retrieval_i2t_r1,"
    " latest.ended, latest.message FROM v_cell_latest AS latest JOIN v_cell_summary AS summary"
    " USING (experiment, position) ORDER BY latest.ended DESC";

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
  sqlite3_stmt *rows;
  bool more;
  page_filter("experiments", "filter the experiments", out);
  head("experiments", names, 2, out);
  err error = sql_query(s, &rows, experiments_sql, "");
  while (!error && !(error = sql_next(s, rows, &more)) && more) {
    name_cell(results, sql_text(rows, 0), out);
    page_element("<td class=\"text\">", sql_text(rows, 1), "", out);
    if (*sql_text(rows, 2)) page_element("<br><small>", sql_text(rows, 2), "</small>", out);
    strbuf_append(out, "</td>");
    for (int c = 3; c < 6; c++) {
      bool is_bad = c == 5 && sqlite3_column_int64(rows, c) > 0;
      strbuf_format(out, "<td%s>%lld</td>", is_bad ? " class=\"warning\"" : "",
                    (long long)sqlite3_column_int64(rows, c));
    }
    time_cell(sql_real(rows, 8), out);
    day_cell(sql_text(rows, 7), out);
    page_element("<td class=\"mono\">", sql_text(rows, 9), "</td></tr>\n", out);
  }
  strbuf_append(out, "</tbody></table></div>\n");
  return error;
}

static err write_runs(store *s, const char *results, strbuf *out) {
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
  sqlite3_stmt *rows;
  bool more;
  page_filter("cells", "filter the cells", out);
  head("cells", names, 3, out);
  err error = sql_query(s, &rows, runs_sql, "");
  while (!error && !(error = sql_next(s, rows, &more)) && more) {
    const char *status = sql_text(rows, 2);
    name_cell(results, sql_text(rows, 0), out);
    strbuf_append(out, "<td class=\"text\">");
    if (sqlite3_column_int64(rows, 3)) {
      page_element("<a href=\"", sql_text(rows, 0), "/report.html#run-", out);
      page_element("", sql_text(rows, 3), "\">", out);
      page_element("", sql_text(rows, 1), "</a>", out);
    } else {
      page_element("", sql_text(rows, 1), "", out);
    }
    strbuf_format(out, "</td><td class=\"text\"><span class=\"chip %s\" title=\"", status);
    page_element("", sql_text(rows, 11), "", out);
    strbuf_format(out, "\">%s</span></td>", status);
    number_cell(sql_real(rows, 4), 1, 0, out);
    time_cell(sql_real(rows, 5), out);
    number_cell(sql_real(rows, 6), 1.0 / 1048576, 0, out);
    number_cell(sql_real(rows, 7), 1, 3, out);
    number_cell(sql_real(rows, 8), 100, 1, out);
    number_cell(sql_real(rows, 9), 100, 1, out);
    day_cell(sql_text(rows, 10), out);
    strbuf_append(out, "</tr>\n");
  }
  strbuf_append(out, "</tbody></table></div>\n");
  return error;
}

err html_write_index(store *s, const char *results, strbuf *out) {
  static const char *const sections[] = {"all", "Experiments", "runs", "Cells", NULL};
  page_begin("Experiments", NULL, NULL, sections, out);
  strbuf_append(out, "<h2 id=\"all\">Experiments</h2>\n");
  err error = write_experiments(s, results, out);
  strbuf_append(out, "<h2 id=\"runs\">Cells</h2>\n");
  if (!error) error = write_runs(s, results, out);
  page_end("{}", out);
  return error;
}
