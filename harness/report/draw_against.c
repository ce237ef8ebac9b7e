/* Plots one number against another (accuracy against time, memory, energy) or against a numeric
 * axis. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "config/yaml.h"
#include "report/drawing.h"
#include "report/measure.h"

typedef struct {
  size_t row;
  data_measure x, y;
  int series;
} mark;

/* The value of a row on an axis; NaN: the axis is not numeric. */
static double axis_value(const drawing *g, size_t row, const char *axis) {
  strbuf scratch = {0};
  double number = NAN;
  const report_data *d = g->d;
  const char *value = spec_cell_value(&d->e->cells[d->rows[row].cells[0]], axis, &scratch);
  if (!value || !yml_as_real(value, &number)) number = NAN;
  strbuf_free(&scratch);
  return number;
}

/* Rows that agree in every key except the axis form a series. */
static bool is_same_series(const drawing *g, size_t a, size_t b, const char *axis) {
  for (size_t k = 0; k < g->t->key_count; k++)
    if (strcmp(g->t->key_names[k], axis) != 0 &&
        strcmp(g->t->rows[a].key_values[k], g->t->rows[b].key_values[k]) != 0)
      return false;
  return true;
}

static void name_series(const drawing *g, size_t row, const char *axis, char *text, size_t size) {
  strbuf name = {0};
  for (size_t k = 0; k < g->t->key_count; k++) {
    if (strcmp(g->t->key_names[k], axis) == 0) continue;
    if (name.length) strbuf_append(&name, ", ");
    if (settings_find(g->t->key_names[k]) || spec_is_ranks_key(g->t->key_names[k]))
      strbuf_format(&name, "%s ", g->t->key_headings[k]);
    strbuf_append(&name, g->t->rows[row].keys[k]);
  }
  snprintf(text, size, "%s", strbuf_string(&name));
  strbuf_free(&name);
}

static err find_marks(drawing *g, const column *y, const column *x, const char *axis, mark *marks,
                      size_t *count) {
  *count = 0;
  for (size_t row = 0; row < g->d->row_count && row < FIGURE_MOST_SERIES; row++) {
    mark *own = &marks[*count];
    *own = (mark){.row = row, .series = (int)*count};
    err error = measure_row(g->d, row, y, &own->y);
    if (!error && x) error = measure_row(g->d, row, x, &own->x);
    if (error) return error;
    if (!x) own->x = (data_measure){.value = axis_value(g, row, axis), .low = NAN, .high = NAN};
    if (!isfinite(own->x.value) || !isfinite(own->y.value)) continue;
    int highest = -1;
    for (size_t i = 0; i < *count; i++) {
      highest = marks[i].series > highest ? marks[i].series : highest;
      if (!x && is_same_series(g, marks[i].row, row, axis)) own->series = marks[i].series;
    }
    if (own->series == (int)*count) own->series = highest + 1;
    ++*count;
  }
  return NULL;
}

/* Sorts the points of a series by x; other series keep their places. */
static void sort_marks(mark *marks, size_t count) {
  for (size_t i = 1; i < count; i++)
    for (size_t k = i; k > 0; k--) {
      mark *a = &marks[k - 1], *b = &marks[k], swapped = *a;
      bool is_later = a->series > b->series || (a->series == b->series && a->x.value > b->x.value);
      if (!is_later) break;
      *a = *b;
      *b = swapped;
    }
}

/* Values that span more than a decade and a half are easier to read on a log scale. */
static bool is_spread(const mark *marks, size_t count) {
  double least = INFINITY, most = 0;
  for (size_t i = 0; i < count; i++) {
    least = fmin(least, marks[i].x.value);
    most = fmax(most, marks[i].x.value);
  }
  return least > 0 && most / least >= 16;
}

/* Points of several series share one value on the axis: they are shifted sideways so that no
 * interval hides another. The axis is labelled at its values. */
static void spread_series(drawing *g, mark *marks, size_t count, const char *axis, bool is_log) {
  double least = INFINITY, most = -INFINITY;
  strbuf tics = {0};
  int last = marks[count - 1].series;
  for (size_t i = 0; i < count; i++) {
    least = fmin(least, marks[i].x.value);
    most = fmax(most, marks[i].x.value);
  }
  for (size_t i = 0; i < count; i++) {
    strbuf name = {0};
    bool is_known = false;
    for (size_t k = 0; k < i; k++)
      is_known = is_known || axis_value(g, marks[k].row, axis) == marks[i].x.value;
    if (!is_known) {
      char number[32];
      snprintf(number, sizeof number, "%.10g", marks[i].x.value);
      report_name_value(axis, number, &name);
      strbuf_append(&tics, tics.length ? ", \"" : "(\"");
      for (const char *at = strbuf_string(&name); *at; at++) { /* labels are gnuplot formats */
        if (*at == '%') strbuf_append_char(&tics, '%');
        if (*at != '"' && *at != '\\') strbuf_append_char(&tics, *at);
      }
      strbuf_format(&tics, "\" %s", number);
    }
    strbuf_free(&name);
    double aside = 0.008 * (marks[i].series - last / 2.0);
    marks[i].x.value = is_log ? marks[i].x.value * pow(most / least, aside)
                              : marks[i].x.value + aside * (most - least);
  }
  strbuf_append_char(&tics, ')');
  figure_set_text(&g->f, "axis_tics", "%s", strbuf_string(&tics));
  strbuf_free(&tics);
}

static err add_marks(drawing *g, const mark *marks, size_t count, bool is_joined) {
  figure *f = &g->f;
  for (size_t i = 0; i < count; i++) {
    const mark *m = &marks[i];
    bool is_new = i == 0 || marks[i - 1].series != m->series;
    double low = isfinite(m->y.low) ? m->y.low : m->y.value;
    double high = isfinite(m->y.high) ? m->y.high : m->y.value;
    double left = isfinite(m->x.low) ? m->x.low : m->x.value;
    double right = isfinite(m->x.high) ? m->x.high : m->x.value;
    if (is_new && f->series) strbuf_append(&f->points, "\n\n");
    if (is_new) f->colour_of[f->series] = f->series, f->series++;
    strbuf_format(&f->points, "%.10g %.10g %.10g %.10g %.10g %.10g\n", m->x.value, m->y.value, low,
                  high, left, right);
    err error = figure_add_obstacle(f, m->x.value, low, high);
    if (!error && is_joined && !is_new) {
      const mark *before = &marks[i - 1];
      error = figure_add_stretch(f, before->x.value, before->y.value, m->x.value, m->y.value);
    }
    if (error) return error;
    drawing_widen(f, left, low, high);
    drawing_widen(f, right, low, high);
  }
  return NULL;
}

static void name_axis(const column *c, const char *axis, strbuf *out) {
  if (c && measure_is_of_time(c) && c->kind == COLUMN_SUMMARY &&
      strcmp(c->argument, "steady_seconds") == 0)
    strbuf_append(out, "training time, steady pace");
  else if (c)
    strbuf_append(out, c->heading);
  else
    report_name_key(axis, out);
}

static void name_with_unit(const column *c, strbuf *out) {
  strbuf_append(out, c->heading);
  if (*c->unit) strbuf_format(out, " (%s)", c->unit);
}

static void set_texts(drawing *g, const column *y, const column *x, const char *axis,
                      bool has_ends) {
  strbuf name = {0}, title = {0};
  name_axis(x, axis, &name);
  strbuf_format(&title, "%s against %s", y->heading, strbuf_string(&name));
  figure_set_title(&g->f, strbuf_string(&title), NULL);
  figure_set_text(&g->f, "x_label", "%s%s%s%s%s", strbuf_string(&name), x && *x->unit ? " (" : "",
                  x ? x->unit : "", x && *x->unit ? ")" : "",
                  has_ends && !g->f.is_column ? "; lines: 95 % intervals" : "");
  strbuf_clear(&name);
  name_with_unit(y, &name);
  figure_set_text(&g->f, "y_label", "%s", strbuf_string(&name));
  strbuf_free(&name);
  strbuf_free(&title);
}

err drawing_against(drawing *g, const column *y, const char *x_name) {
  const column *x = columns_find(x_name);
  mark marks[FIGURE_MOST_SERIES];
  figure_end ends[FIGURE_MOST_SERIES];
  size_t count, end_count = 0;
  bool has_ends = false;
  err error = find_marks(g, y, x, x_name, marks, &count);
  if (error || !count) return error;
  sort_marks(marks, count);
  g->f.is_x_log = !x && is_spread(marks, count);
  if (x)
    figure_set_text(&g->f, "axis_tics", "%s", "");
  else
    spread_series(g, marks, count, x_name, g->f.is_x_log);
  drawing_start_range(&g->f);
  error = add_marks(g, marks, count, !x);
  if (error) return error;
  double least = g->f.x_least;
  g->f.has_data = drawing_pad(&g->f, false);
  if (!g->f.has_data) return NULL;
  if (g->f.is_x_log) g->f.x_least = least / 1.15, g->f.x_most *= 1.1;
  for (size_t i = 0; i < count; i++) {
    has_ends = has_ends || isfinite(marks[i].y.low) || isfinite(marks[i].x.low);
    if (!x && i + 1 < count && marks[i + 1].series == marks[i].series) continue;
    figure_end *end = &ends[end_count];
    *end = (figure_end){marks[i].x.value, marks[i].y.value, "", marks[i].series};
    if (x)
      drawing_name_row(g, marks[i].row, end->text, sizeof end->text);
    else
      name_series(g, marks[i].row, x_name, end->text, sizeof end->text);
    end_count += *end->text != '\0';
  }
  drawing_set_right_edge(&g->f, ends, end_count);
  strbuf y_label = {0};
  name_with_unit(y, &y_label);
  figure_place_ends(&g->f, strbuf_string(&y_label), ends, end_count);
  strbuf_free(&y_label);
  figure_set_number(&g->f, "is_joined", !x);
  set_texts(g, y, x, x_name, has_ends);
  return NULL;
}
