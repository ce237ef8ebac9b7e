/* The page of measurements over commits: a section a group of series, with its figures and all of
 * its commits. Self-contained: the figures are inside. */
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "report/history.h"
#include "report/page.h"

/* A drawing as a picture of its own, so that its names do not meet those of another. */
static err append_picture(const char *path, const char *what, strbuf *out) {
  char *text = NULL;
  size_t length;
  err error = fs_read(path, &text, &length);
  if (error) return error;
  page_element("<figure><img style=\"width:100%;height:auto\" alt=\"", what,
               "\" src=\"data:image/svg+xml,", out);
  for (const char *at = text; *at; at++) {
    bool is_plain = isalnum((unsigned char)*at) || strchr("-_.~/:=;,() ", *at);
    if (is_plain)
      strbuf_append_char(out, *at);
    else
      strbuf_format(out, "%%%02X", (unsigned)(unsigned char)*at);
  }
  strbuf_append(out, "\"></figure>\n");
  free(text);
  return NULL;
}

static void write_head(size_t id, strbuf *out) {
  static const char *const names[] = {"commit",   "day",     "median",    "least",
                                      "greatest", "samples", "disturbed", "level"};
  char table[32];
  snprintf(table, sizeof table, "series-%zu", id);
  page_filter(table, "filter the commits", out);
  strbuf_format(out, "<div class=\"wide\"><table id=\"%s\" class=\"sortable\"><thead><tr>", table);
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    page_element(i == 0   ? "<th class=\"key\" scope=\"col\"><span>"
                 : i == 1 ? "<th class=\"text\" scope=\"col\"><span>"
                          : "<th scope=\"col\"><span>",
                 names[i], "</span></th>", out);
  strbuf_append(out, "</tr></thead><tbody>\n");
}

static void write_commits(const sample_series *s, const series_levels *l, size_t id, strbuf *out) {
  size_t level = 0;
  write_head(id, out);
  for (size_t i = 0; i < s->count; i++) {
    const sample_point *p = &s->points[i];
    bool begins = level + 1 < l->level_count && l->levels[level + 1].first == i;
    level += begins;
    page_element("<tr><th scope=\"row\" class=\"mono\">", p->label, "</th>", out);
    page_element("<td class=\"text\">", p->day, "</td>", out);
    strbuf_format(out,
                  "<td data-value=\"%.9g\">%.6g</td><td data-value=\"%.9g\">%.6g</td>"
                  "<td data-value=\"%.9g\">%.6g</td><td>%zu</td><td>%zu</td>",
                  p->value, p->value, p->least, p->least, p->most, p->most, p->samples,
                  p->disturbed);
    if (l->is_aside[i])
      strbuf_append(out, "<td data-value=\"\">alone: set aside</td></tr>\n");
    else if (begins)
      strbuf_format(out, "<td data-value=\"%zu\"><b>%+.1f %%</b> (p %s %.3f)</td></tr>\n",
                    level + 1, 100 * (l->levels[level].mean / l->levels[level - 1].mean - 1),
                    l->levels[level].p < 0.001 ? "&lt;" : "=", fmax(0.001, l->levels[level].p));
    else
      strbuf_format(out, "<td data-value=\"%zu\">%zu</td></tr>\n", level + 1, level + 1);
  }
  strbuf_append(out, "</tbody></table></div>\n");
}

static err write_figure(const history_view *v, const char *folder, size_t number,
                        const size_t *members, size_t count, strbuf *out) {
  strbuf text = {0}, path = {0};
  history_title(v, members, count, &text);
  page_element("<p class=\"finding\">", strbuf_string(&text), "</p>\n", out);
  strbuf_clear(&text);
  history_name_group(&v->series[members[0]], &text);
  page_element("<p class=\"faint mono\">", strbuf_string(&text), "</p>\n", out);
  char name[160];
  history_name_file(v, number, name, sizeof name);
  strbuf_format(&path, "%s/%s.svg", folder, name);
  err error = append_picture(strbuf_string(&path), strbuf_string(&text), out);
  for (size_t k = 0; k < count && !error; k++) {
    const sample_series *s = &v->series[members[k]];
    page_element("<details><summary>", s->series, ": every commit", out);
    if (s->left_out) strbuf_format(out, "; %zu samples left out: no positive number", s->left_out);
    strbuf_append(out, "</summary>\n");
    write_commits(s, &v->levels[members[k]], members[k], out);
    strbuf_append(out, "</details>\n");
  }
  strbuf_free(&text);
  strbuf_free(&path);
  return error;
}

err history_page(const history_view *v, const char *folder, const char *failures, strbuf *out) {
  const char *const sections[] = {"history", "History", failures ? "failures" : NULL, "Failures",
                                  NULL};
  size_t members[HISTORY_PANELS], count;
  strbuf title = {0};
  err error = NULL;
  strbuf_format(&title, "%s over commits", v->metric);
  page_begin(strbuf_string(&title), NULL, NULL, sections, out);
  strbuf_append(out, "<h2 id=\"history\">History</h2>\n<p>A point is the median of a commit's "
                     "samples, its bar all of them; a line is the mean of a level with its 95 % "
                     "interval. Only what was measured with the same words, by programs of the "
                     "same compiler and flags, on the same machine is drawn together.</p>\n");
  for (size_t number = 0; !error && (count = history_panels(v, number, members)) > 0; number++)
    error = write_figure(v, folder, number, members, count, out);
  if (failures) {
    strbuf_append(out, "<h2 id=\"failures\">Commits that could not be measured</h2>\n");
    page_element("<pre>", failures, "</pre>\n", out);
  }
  page_end("{}", out);
  strbuf_free(&title);
  return error;
}
