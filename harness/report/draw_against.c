/* Plots one number against another (accuracy against time, memory, energy) or against a numeric
 * axis. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "config/yaml.h"
#include "report/drawing.h"
#include "report/measure.h"
#include "report/write.h"

typedef struct {
  size_t row;
  data_measure x, y;
  double place; /* x as recorded; x.value may be shifted aside */
  int series;
} mark;

/* Why a row has no point. */
typedef enum { HAS_POINT, IS_NO_NUMBER, HAS_SEVERAL, HAS_NO_VALUE, REASONS } reason;

/* The number of a cell on an axis; NaN: the axis is not numeric. */
static double axis_number(const drawing *g, size_t cell, const char *axis) {
  strbuf scratch = {0};
  double number = NAN;
  const char *value = spec_cell_value(&g->d->e->cells[cell], axis, &scratch);
  if (!value || !yml_as_real(value, &number)) number = NAN;
  strbuf_free(&scratch);
  return number;
}

/* The place of a row on an axis: the number that all its cells share. */
static reason find_place(const drawing *g, size_t row, const char *axis, double *place) {
  const data_row *r = &g->d->rows[row];
  *place = axis_number(g, r->cells[0], axis);
  if (!isfinite(*place)) return IS_NO_NUMBER;
  for (size_t i = 1; i < r->count; i++)
    if (axis_number(g, r->cells[i], axis) != *place) return HAS_SEVERAL;
  return HAS_POINT;
}

/* Rows that agree in every key except the axis, and had the same inputs, form a series. */
static bool is_same_series(const drawing *g, size_t a, size_t b, const char *axis) {
  if (g->d->rows[a].group != g->d->rows[b].group) return false;
  for (size_t k = 0; k < g->t->key_count; k++)
    if (strcmp(g->t->key_names[k], axis) != 0 &&
        strcmp(g->t->rows[a].key_values[k], g->t->rows[b].key_values[k]) != 0)
      return false;
  return true;
}

/* By the last of its points, which are together in `marks`. */
static void name_series(const drawing *g, const mark *marks, size_t last, const char *axis,
                        char *text, size_t size) {
  const size_t row = marks[last].row;
  bool is_disturbed = false;
  strbuf name = {0};
  for (size_t i = last + 1; i-- > 0 && marks[i].series == marks[last].series;)
    is_disturbed = is_disturbed || g->t->rows[marks[i].row].disturbed;
  for (size_t k = 0; k < g->t->key_count; k++) {
    if (strcmp(g->t->key_names[k], axis) == 0) continue;
    if (name.length) strbuf_append(&name, ", ");
    if (settings_find(g->t->key_names[k]) || spec_is_ranks_key(g->t->key_names[k]))
      strbuf_format(&name, "%s ", g->t->key_headings[k]);
    strbuf_append(&name, g->t->rows[row].keys[k]);
  }
  report_add_marks(is_disturbed, g->t->rows[row].has_other_inputs, &name);
  figure_keep_name(&name, text, size);
}

static err find_mark(drawing *g, const column *y, const column *x, const char *axis, mark *own,
                     reason *why) {
  own->x = (data_measure){.value = NAN, .low = NAN, .high = NAN};
  *why = x ? HAS_POINT : find_place(g, own->row, axis, &own->x.value);
  err error = measure_row(g->d, own->row, y, &own->y);
  if (!error && x) error = measure_row(g->d, own->row, x, &own->x);
  own->place = own->x.value;
  if (*why == HAS_POINT && (!isfinite(own->place) || !isfinite(own->y.value))) *why = HAS_NO_VALUE;
  return error;
}

/* The points of rows, by reason how many rows have none, and the number of series. Each point
 * against a column is a series. */
static err find_marks(drawing *g, const column *y, const column *x, const char *axis, mark *marks,
                      size_t *count, size_t left_out[REASONS], size_t *series) {
  *count = *series = 0;
  for (size_t row = 0; row < g->d->row_count; row++) {
    mark *own = &marks[*count];
    reason why;
    *own = (mark){.row = row, .series = (int)*series};
    err error = find_mark(g, y, x, axis, own, &why);
    if (error) return error;
    left_out[why]++;
    if (why != HAS_POINT) continue;
    for (size_t i = 0; i < *count && !x; i++)
      if (is_same_series(g, marks[i].row, row, axis)) own->series = marks[i].series;
    if (own->series == (int)*series) ++*series;
    ++*count;
  }
  return NULL;
}

/* "2 rows left out: runs of one row differ in seed". Where nothing is drawn, the figure's absence
 * says that there are no values. */
static void tell_left_out(drawing *g, const char *axis, const size_t left_out[REASONS]) {
  strbuf name = {0};
  report_name_key(axis, &name);
  for (reason why = IS_NO_NUMBER; why < REASONS; why++) {
    strbuf *out = &g->f.left_out;
    if (!left_out[why] || (why == HAS_NO_VALUE && !left_out[HAS_POINT])) continue;
    strbuf_format(out, "%s%zu row%s left out: ", out->length ? " · " : "", left_out[why],
                  left_out[why] == 1 ? "" : "s");
    if (why == IS_NO_NUMBER)
      strbuf_format(out, "%s is not a number", strbuf_string(&name));
    else if (why == HAS_SEVERAL)
      strbuf_format(out, "runs of one row differ in %s", strbuf_string(&name));
    else
      strbuf_append(out, "no value");
  }
  strbuf_free(&name);
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
 * interval hides another. */
static void spread_series(mark *marks, size_t count, bool is_log) {
  double least = INFINITY, most = -INFINITY;
  int last = marks[count - 1].series;
  for (size_t i = 0; i < count; i++) {
    least = fmin(least, marks[i].place);
    most = fmax(most, marks[i].place);
  }
  for (size_t i = 0; i < count; i++) {
    double aside = 0.008 * (marks[i].series - last / 2.0);
    marks[i].x.value = is_log ? marks[i].place * pow(most / least, aside)
                              : marks[i].place + aside * (most - least);
  }
}

static int compare_places(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* A tic at a value; `end`: where the label before it ends. A label that would touch that is left
 * out. */
static void add_tic(const figure *f, const char *axis, double place, double *end, strbuf *tics) {
  strbuf name = {0};
  char number[32];
  snprintf(number, sizeof number, "%.10g", place);
  report_name_value(axis, number, &name);
  double half = figure_text_share(f, strbuf_string(&name)) / 2, at = figure_across(f, place);
  bool has_room = at - half > *end + 0.01;
  strbuf_append(tics, tics->length ? ", \"" : "(\"");
  for (const char *c = strbuf_string(&name); *c && has_room; c++) { /* labels are gnuplot formats */
    if (*c == '%') strbuf_append_char(tics, '%');
    if (*c != '"' && *c != '\\') strbuf_append_char(tics, *c);
  }
  strbuf_format(tics, "\" %s", number);
  if (has_room) *end = at + half;
  strbuf_free(&name);
}

/* The axis has a tic at each of its values. Set ranges and edges first. */
static err label_axis(drawing *g, const mark *marks, size_t count, const char *axis) {
  double *places = mem_zeroed(count, sizeof *places), end = -INFINITY;
  strbuf tics = {0};
  if (!places) return mem_error(count * sizeof *places, "a figure");
  for (size_t i = 0; i < count; i++) places[i] = marks[i].place;
  qsort(places, count, sizeof *places, compare_places);
  for (size_t i = 0; i < count; i++)
    if (i == 0 || places[i] != places[i - 1]) add_tic(&g->f, axis, places[i], &end, &tics);
  strbuf_append_char(&tics, ')');
  figure_set_text(&g->f, "axis_tics", "%s", strbuf_string(&tics));
  strbuf_free(&tics);
  free(places);
  return NULL;
}

/* A bar of an interval without an end would seem to end somewhere. */
static bool has_bar(const data_measure *m) {
  return isfinite(m->low) && isfinite(m->high);
}

static void tell_unbounded(figure *f, const mark *marks, size_t count) {
  size_t unbounded = 0;
  for (size_t i = 0; i < count; i++)
    unbounded += (size_t)isinf(marks[i].y.high) + (size_t)isinf(marks[i].x.high);
  if (unbounded)
    strbuf_format(&f->left_out, "%s%zu unbounded %s not drawn", f->left_out.length ? " · " : "",
                  unbounded, unbounded == 1 ? "interval is" : "intervals are");
}

static err add_marks(drawing *g, const mark *marks, size_t count, bool is_joined) {
  figure *f = &g->f;
  for (size_t i = 0; i < count; i++) {
    const mark *m = &marks[i];
    bool is_new = i == 0 || marks[i - 1].series != m->series;
    double low = has_bar(&m->y) ? m->y.low : m->y.value;
    double high = has_bar(&m->y) ? m->y.high : m->y.value;
    double left = has_bar(&m->x) ? m->x.low : m->x.value;
    double right = has_bar(&m->x) ? m->x.high : m->x.value;
    if (is_new && f->series) strbuf_append(&f->points, "\n\n");
    if (is_new) f->colour_of[f->series] = f->series, f->series++;
    strbuf_format(&f->points, "%.10g %.10g %.10g %.10g %.10g %.10g\n", m->x.value, m->y.value, low,
                  high, left, right);
    err error = figure_add_obstacle(f, m->x.value, low, high);
    if (!error && right > left) error = figure_add_stretch(f, left, m->y.value, right, m->y.value);
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

/* The name of each series next to its last point. */
static void place_names(drawing *g, const column *y, const column *x, const char *axis,
                        const mark *marks, size_t count) {
  figure_end ends[FIGURE_MOST_SERIES];
  size_t end_count = 0;
  strbuf y_label = {0};
  for (size_t i = 0; i < count; i++) {
    if (i + 1 < count && marks[i + 1].series == marks[i].series) continue;
    figure_end *end = &ends[end_count];
    *end = (figure_end){marks[i].x.value, marks[i].y.value, "", marks[i].series};
    if (x)
      drawing_name_row(g, marks[i].row, end->text, sizeof end->text);
    else
      name_series(g, marks, i, axis, end->text, sizeof end->text);
    end_count += *end->text != '\0';
  }
  drawing_set_right_edge(&g->f, ends, end_count);
  name_with_unit(y, &y_label);
  figure_place_ends(&g->f, strbuf_string(&y_label), ends, end_count);
  strbuf_free(&y_label);
}

static err draw_marks(drawing *g, const column *y, const column *x, const char *axis, mark *marks,
                      size_t count) {
  figure *f = &g->f;
  bool has_ends = false;
  f->is_x_log = !x && is_spread(marks, count);
  if (!x) spread_series(marks, count, f->is_x_log);
  drawing_start_range(f);
  err error = add_marks(g, marks, count, !x);
  if (error) return error;
  double least = f->x_least;
  f->has_data = drawing_pad(f, false);
  if (!f->has_data) return NULL;
  if (f->is_x_log) f->x_least = least / 1.15, f->x_most *= 1.1;
  for (size_t i = 0; i < count; i++)
    has_ends = has_ends || has_bar(&marks[i].y) || has_bar(&marks[i].x);
  tell_unbounded(f, marks, count);
  f->has_marks = true;
  place_names(g, y, x, axis, marks, count);
  figure_set_number(f, "is_joined", !x);
  set_texts(g, y, x, axis, has_ends);
  if (!x) return label_axis(g, marks, count, axis);
  figure_set_text(f, "axis_tics", "%s", "");
  return NULL;
}

err drawing_against(drawing *g, const column *y, const char *x_name) {
  const column *x = columns_find(x_name);
  mark *marks = mem_zeroed(g->d->row_count, sizeof *marks);
  size_t count, series, left_out[REASONS] = {0};
  if (!marks) return mem_error(g->d->row_count * sizeof *marks, "a figure");
  err error = find_marks(g, y, x, x_name, marks, &count, left_out, &series);
  if (error) goto cleanup;
  tell_left_out(g, x_name, left_out);
  sort_marks(marks, count);
  series = figure_limit(&g->f, series, x ? "rows" : "series");
  while (count && marks[count - 1].series >= (int)series) count--;
  if (count) error = draw_marks(g, y, x, x_name, marks, count);
cleanup:
  free(marks);
  return error;
}
