#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/numbers.h"
#include "report/figure.h"
#include "report/history.h"
#include "stats/student.h"

static bool is_same_group(const sample_series *a, const sample_series *b) {
  return strcmp(a->machine, b->machine) == 0 && strcmp(a->words, b->words) == 0 &&
         strcmp(a->build, b->build) == 0;
}

size_t history_panels(const history_view *v, size_t number, size_t members[HISTORY_PANELS]) {
  size_t done = 0, count = 0;
  for (size_t leader = 0; leader < v->count; leader++) {
    bool is_first = true;
    for (size_t i = 0; i < leader && is_first; i++)
      is_first = !is_same_group(&v->series[i], &v->series[leader]);
    if (!is_first) continue;
    count = 0;
    for (size_t i = leader; i < v->count; i++) {
      if (!v->series[i].count || !is_same_group(&v->series[i], &v->series[leader])) continue;
      if (count == HISTORY_PANELS) {
        if (done == number) return count;
        done++;
        count = 0;
      }
      members[count++] = i;
    }
    if (count && done++ == number) return count;
  }
  return 0;
}

void history_name_group(const sample_series *series, strbuf *out) {
  strbuf_append(out, series->machine);
  if (*series->build) strbuf_format(out, " · %s", series->build);
  if (*series->words) strbuf_format(out, " · %s", series->words);
}

/* Most of the points from `first` on that were measured alone: less than an hour from each to the
 * next? */
static bool are_in_a_row(const sample_series *series, size_t first) {
  const double hour = 1.0 / 24;
  double *times = mem_zeroed(series->count - first + 1, sizeof *times);
  size_t known = 0, close = 0;
  if (!times) return true;
  for (size_t i = first; i < series->count; i++)
    if (series->points[i].is_alone && !isnan(series->points[i].measured))
      times[known++] = series->points[i].measured;
  numbers_sort(times, known);
  for (size_t i = 1; i < known; i++) close += times[i] - times[i - 1] < hour;
  free(times);
  return known > 1 && 2 * close >= known - 1;
}

bool history_may_drift(const sample_series *series, const series_levels *l, size_t level) {
  return are_in_a_row(series, l->levels[level].first) ||
         are_in_a_row(series, l->levels[l->level_count - 1].first);
}

void history_title(const history_view *v, const size_t *members, size_t count, strbuf *out) {
  double most = 0;
  size_t at = 0, changed = 0;
  for (size_t k = 0; k < count; k++) {
    const series_levels *l = &v->levels[members[k]];
    if (l->level_count < 2) continue;
    const series_level *newest = &l->levels[l->level_count - 1];
    double change = newest->mean / (newest - 1)->mean - 1;
    changed++;
    if (fabs(change) <= fabs(most)) continue;
    most = change;
    at = members[k];
  }
  if (!changed) {
    strbuf_format(out, "%s: no change detected", v->metric);
    return;
  }
  const sample_series *s = &v->series[at];
  const series_levels *l = &v->levels[at];
  const sample_point *since = &s->points[l->levels[l->level_count - 1].first];
  strbuf_format(out, "%s: %+.1f %% since %.8s%s%s", s->series, 100 * most, since->commit,
                strchr(since->label, '+') ? "+" : "",
                history_may_drift(s, l, l->level_count - 2) ? ", or the machine's drift" : "");
  if (count > 1) strbuf_format(out, " (%zu of %zu series changed)", changed, count);
}

/* Text for a data block: in double quotes, which it must not contain, and in one line. */
static void append_text(const char *text, strbuf *out) {
  strbuf_append_char(out, '"');
  for (; *text; text++) {
    bool is_control = (unsigned char)*text < ' ';
    strbuf_append_char(out, *text == '"' || *text == '\\' ? '\'' : is_control ? ' ' : *text);
  }
  strbuf_append_char(out, '"');
}

/* The smallest of 1, 2, 5 · 10^k that divides `span` into at most `most` pieces. */
static double round_step(double span, int most) {
  static const double steps[] = {1, 2, 5, 10};
  double unit = pow(10, floor(log10(span / most)));
  for (size_t i = 0; i < 4; i++)
    if (steps[i] * unit * most >= span) return steps[i] * unit;
  return 10 * unit;
}

/* A panel's range: all samples, plus room above them for the changes. */
static void find_range(const sample_series *s, bool is_column, double *low, double *high) {
  *low = INFINITY;
  *high = -INFINITY;
  for (size_t i = 0; i < s->count; i++) {
    *low = fmin(*low, s->points[i].least);
    *high = fmax(*high, s->points[i].most);
  }
  double pad = *high > *low ? 0.12 * (*high - *low) : 0.05 * *high;
  *low -= pad;
  *high += (is_column ? 5 : 2.5) * pad;
}

/* As many labels as a panel of plots/history.gp has room for, one above the other. */
static int most_tics(const figure *f) {
  if (!f->is_column) return 5;
  return f->panels < 3 ? 4 : 3;
}

/* The places of the panels' points on the axis that they share: that of a commit is the same in all
 * of them. */
typedef struct {
  size_t *of[HISTORY_PANELS]; /* of each series' points */
  size_t count;               /* of commits in all */
} shared_places;

static bool is_same_program(const sample_point *a, const sample_point *b) {
  return strcmp(a->commit, b->commit) == 0 && strcmp(a->label, b->label) == 0;
}

/* Does another series have the point's commit, but others before it? */
static bool is_awaited(const sample_series *const *all, const size_t *heads, size_t count,
                       const sample_point *p) {
  for (size_t k = 0; k < count; k++) {
    if (heads[k] < all[k]->count && is_same_program(&all[k]->points[heads[k]], p)) continue;
    for (size_t i = heads[k] + 1; i < all[k]->count; i++)
      if (is_same_program(&all[k]->points[i], p)) return true;
  }
  return false;
}

/* The next commit of all series: the oldest of their first ones, and of a second, one that no other
 * series has later on. */
static const sample_point *next_commit(const sample_series *const *all, const size_t *heads,
                                       size_t count) {
  const sample_point *next = NULL;
  bool is_next_awaited = false;
  for (size_t k = 0; k < count; k++) {
    if (heads[k] == all[k]->count) continue;
    const sample_point *p = &all[k]->points[heads[k]];
    bool is_late = is_awaited(all, heads, count, p);
    if (next && (is_late > is_next_awaited ||
                 (is_late == is_next_awaited && p->committed >= next->committed)))
      continue;
    next = p;
    is_next_awaited = is_late;
  }
  return next;
}

static err find_places(const sample_series *const *all, size_t count, shared_places *places) {
  size_t heads[HISTORY_PANELS] = {0};
  const sample_point *next;
  *places = (shared_places){0};
  for (size_t k = 0; k < count; k++)
    if (!(places->of[k] = mem_zeroed(all[k]->count, sizeof *places->of[k])))
      return mem_error(all[k]->count, "a figure");
  for (; (next = next_commit(all, heads, count)); places->count++)
    for (size_t k = 0; k < count; k++)
      if (heads[k] < all[k]->count && is_same_program(&all[k]->points[heads[k]], next))
        places->of[k][heads[k]++] = places->count;
  return NULL;
}

static void add_points(const sample_series *s, const series_levels *l, const size_t *places,
                       size_t k, figure *f) {
  double low, high;
  find_range(s, f->is_column, &low, &high);
  strbuf_format(&f->variables, "$points%zu << EOD\n", k);
  for (size_t i = 0; i < s->count; i++) {
    const sample_point *p = &s->points[i];
    int kind = l->is_aside[i] ? 2 : (p->disturbed ? 1 : 0) + (p->is_alone ? 3 : 0);
    strbuf_format(&f->variables, "%zu %.10g %.10g %.10g %d\n", places[i], p->value, p->least,
                  p->most, kind);
  }
  strbuf_append(&f->variables, "EOD\n");
  char name[32];
  snprintf(name, sizeof name, "low%zu", k);
  figure_set_number(f, name, low);
  snprintf(name, sizeof name, "high%zu", k);
  figure_set_number(f, name, high);
  snprintf(name, sizeof name, "step%zu", k);
  figure_set_number(f, name, round_step(high - low, most_tics(f)));
}

static void add_levels(const sample_series *s, const series_levels *l, const size_t *places,
                       size_t k, figure *f) {
  strbuf changes = {0};
  double low, high;
  find_range(s, f->is_column, &low, &high);
  strbuf_format(&f->variables, "$levels%zu << EOD\n", k);
  for (size_t i = 0; i < l->level_count; i++) {
    const series_level *one = &l->levels[i];
    double half = one->used > 1 ? student_quantile(0.05, one->used - 1) * one->deviation /
                                      sqrt((double)one->used)
                                : 0;
    strbuf_format(&f->variables, "%.2f %.2f %.10g %.10g %.10g\n", (double)places[one->first] - 0.4,
                  (double)places[one->last - 1] + 0.4, one->mean, one->mean - half,
                  one->mean + half);
    if (!i) continue;
    char text[64];
    snprintf(text, sizeof text, "%+.1f %%", 100 * (one->mean / (one - 1)->mean - 1));
    strbuf_format(&changes, "%.2f %.10g %.10g ", (double)places[one->first] - 0.5, low, high);
    append_text(text, &changes);
    strbuf_append_char(&changes, '\n');
  }
  /* gnuplot 5.4 crashes when no label is visible: add an empty one */
  if (!changes.length) strbuf_format(&changes, "0 %.10g %.10g \" \"\n", low, low);
  strbuf_format(&f->variables, "EOD\n$changes%zu << EOD\n%sEOD\n", k, strbuf_string(&changes));
  strbuf_free(&changes);
}

/* The commits labelled on the axis: the first, the last, and the first of each level, where there
 * is room. */
static void add_commits(const sample_series *s, const series_levels *l, const shared_places *all,
                        size_t k, figure *f) {
  const size_t *places = all->of[k - 1], last = places[s->count - 1];
  size_t room = all->count / (f->is_column ? 4 : 9) + 1, next = 0;
  strbuf_format(&f->variables, "$commits%zu << EOD\n", k);
  for (size_t i = 0; i < s->count; i++) {
    bool is_named = i == 0 || i + 1 == s->count;
    for (size_t level = 1; level < l->level_count; level++) is_named |= l->levels[level].first == i;
    bool is_near_end = i + 1 < s->count && places[i] + room > last;
    if (!is_named || places[i] < next || is_near_end) continue;
    char text[16];
    snprintf(text, sizeof text, "%.7s%s", s->points[i].commit,
             strchr(s->points[i].label, '+') ? "+" : "");
    strbuf_format(&f->variables, "%zu ", places[i]);
    append_text(text, &f->variables);
    strbuf_append_char(&f->variables, '\n');
    next = places[i] + room;
  }
  strbuf_append(&f->variables, "EOD\n");
}

/* The name of a panel, next to that of the metric. */
static void name_panel(figure *f, size_t k, const char *series, const char *metric) {
  const double plot = f->is_column ? 0.785 : 0.885, gap = 0.02;
  char variable[32];
  strbuf name = {0};
  snprintf(variable, sizeof variable, "name%zu", k);
  figure_fit_text(f, series, 11, plot - gap - figure_text_share(f, metric) * 9 / 11.5, &name);
  figure_set_text(f, variable, "%s", strbuf_string(&name));
  if (name.is_broken) f->variables.is_broken = true;
  strbuf_free(&name);
}

static err fill_figure(const history_view *v, const size_t *members, size_t count, figure *f) {
  const sample_series *all[HISTORY_PANELS];
  shared_places places;
  strbuf text = {0};
  size_t alone = 0;
  f->panels = (int)count;
  for (size_t k = 0; k < count; k++) all[k] = &v->series[members[k]];
  err error = find_places(all, count, &places);
  if (error) goto cleanup;
  for (size_t k = 0; k < count; k++) {
    const series_levels *l = &v->levels[members[k]];
    name_panel(f, k + 1, all[k]->series, v->metric);
    add_points(all[k], l, places.of[k], k + 1, f);
    add_levels(all[k], l, places.of[k], k + 1, f);
    add_commits(all[k], l, &places, k + 1, f);
    alone += all[k]->alone;
  }
  history_title(v, members, count, &text);
  figure_set_title(f, strbuf_string(&text), NULL);
  strbuf_clear(&text);
  history_name_group(&v->series[members[0]], &text);
  figure_set_subtitle(f, strbuf_string(&text));
  strbuf_clear(&text);
  strbuf_format(&text,
                "point: a commit's median, bar: its samples · line%s band: a level's mean, "
                "95 %% interval · open: disturbed · ×: set aside%s",
                alone ? "," : " and", alone ? " · diamond: with drift" : "");
  figure_set_source(f, strbuf_string(&text));
  if (alone && f->is_column) figure_set_note(f, "diamonds: with the machine's drift");
  figure_set_text(f, "x_label", "%s", "");
  figure_set_text(f, "y_label", "%s", v->metric);
  f->right_edge = f->is_column ? 0.93 : 0.97;
  f->x_least = -0.7;
  f->x_most = (double)places.count - 0.3;
  f->y_least = 0;
  f->y_most = 1;
cleanup:
  for (size_t k = 0; k < HISTORY_PANELS; k++) free(places.of[k]);
  strbuf_free(&text);
  return error;
}

void history_name_file(const history_view *v, size_t number, char *name, size_t size) {
  snprintf(name, size, "history-%.100s-%zu", v->metric, number + 1);
  for (char *at = name; *at; at++)
    if (*at == '/' || (unsigned char)*at < ' ') *at = '_';
}

err history_draw(const history_view *v, const char *folder, const char *formats, bool is_column,
                 strbuf *drawn) {
  size_t members[HISTORY_PANELS], count;
  err error = fs_make_folders(folder);
  for (size_t number = 0; !error && (count = history_panels(v, number, members)) > 0; number++) {
    figure f = {.is_column = is_column};
    char name[160];
    error = fill_figure(v, members, count, &f);
    history_name_file(v, number, name, sizeof name);
    if (!error && f.variables.is_broken) error = mem_error(0, "a figure");
    if (!error) error = figure_draw(&f, name, folder, formats, "history", NULL);
    if (!error) strbuf_format(drawn, "%s\n", name);
    figure_free(&f);
  }
  return error;
}
