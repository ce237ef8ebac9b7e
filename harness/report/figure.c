#include "report/figure.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "report/figure_script.h"

/* A script is read line by line, and what begins a line may be a command: "!rm". */
static char without_controls(char c) {
  return (unsigned char)c < ' ' || c == 0x7F ? ' ' : c;
}

/* Quotes for gnuplot's single-quoted strings, where only the quote itself needs escaping. */
void figure_append_quoted(strbuf *out, const char *text) {
  strbuf_append_char(out, '\'');
  for (const char *at = text; *at; at++) {
    if (*at == '\'') strbuf_append_char(out, '\'');
    strbuf_append_char(out, without_controls(*at));
  }
  strbuf_append_char(out, '\'');
}

void figure_keep_name(strbuf *name, char *text, size_t size) {
  static const char dots[] = "…";
  size_t length = strlen(strbuf_string(name)), kept = size - sizeof dots;
  if (length >= size) {
    while (kept && (name->data[kept] & 0xC0) == 0x80) kept--;
    snprintf(text, size, "%.*s%s", (int)kept, name->data, dots);
  } else {
    snprintf(text, size, "%s", strbuf_string(name));
  }
  for (char *at = text; *at; at++) *at = *at == '"' || *at == '\\' ? '\'' : without_controls(*at);
  strbuf_free(name);
}

double figure_legend_size(const figure *f) {
  return f->is_column ? 10 : 11.5;
}

/* The mark of a series (shape_of in plots/theme.gp) as a letter; a square where lines have none. */
static const char *mark_letter(const figure *f, int series) {
  static const char *const letters[] = {"●", "■", "▲", "◆", "▼", "⬟"};
  return f->has_marks ? letters[(series % FIGURE_COLOURS + 2 * (series / FIGURE_COLOURS)) % 6]
                      : "■";
}

void figure_set_legend(figure *f, const char *name, double at, size_t line, int colour) {
  const double first = f->is_column ? 0.95 : 0.85, step = f->is_column ? 0.042 : 0.033;
  const double up = f->legend_lines > 1 && !f->is_column ? 0.014 : 0;
  strbuf text = {0};
  strbuf_format(&text, "%s %s", mark_letter(f, colour), name);
  strbuf_format(&f->ends, "set label %d ", 201 + colour);
  figure_append_quoted(&f->ends, strbuf_string(&text));
  strbuf_free(&text);
  strbuf_format(&f->ends,
                " noenhanced at screen %.4f,%.4g left font ',%g' textcolor rgb colour(%d) front\n",
                at, first + up - step * (double)line, figure_legend_size(f), colour);
}

void figure_set_text(figure *f, const char *name, const char *format, ...) {
  strbuf text = {0};
  va_list arguments;
  va_start(arguments, format);
  strbuf_format_list(&text, format, arguments);
  va_end(arguments);
  strbuf_format(&f->variables, "%s = ", name);
  figure_append_quoted(&f->variables, strbuf_string(&text));
  strbuf_append_char(&f->variables, '\n');
  strbuf_free(&text);
}

void figure_set_number(figure *f, const char *name, double value) {
  if (isnan(value)) /* as gnuplot spells it */
    strbuf_format(&f->variables, "%s = NaN\n", name);
  else
    strbuf_format(&f->variables, "%s = %.10g\n", name, value);
}

/* Is the first word the name of a setting ("mask_ratio=0:"), which is written in lower case? */
static bool begins_with_key(const char *text) {
  size_t word = strcspn(text, " ");
  return memchr(text, '_', word) || memchr(text, '=', word);
}

static void begin_large(strbuf *text) {
  if (text->length && !begins_with_key(text->data))
    text->data[0] = (char)toupper((unsigned char)text->data[0]);
}

void figure_set_title(figure *f, const char *title, const char *shorter) {
  enum { FITS = 62, FITS_SMALL = 84 }; /* letters at 15.5 and at 11.6 points */
  size_t width = text_columns(title);
  strbuf text = {0};
  strbuf_clear(&f->title);
  strbuf_append(&f->title, title);
  if (width > FITS_SMALL && shorter) {
    title = shorter;
    width = text_columns(title);
  }
  strbuf_append(&text, title);
  if (width > FITS_SMALL) {
    text_cut(&text, 0, FITS_SMALL - 1);
    strbuf_append(&text, "…");
  }
  begin_large(&text);
  begin_large(&f->title);
  figure_set_text(f, "title_text", "%s", strbuf_string(&text));
  figure_set_number(f, "title_size",
                    width <= FITS ? 15.5 : fmax(15.5 * FITS / (double)width, 11.6));
  strbuf_free(&text);
}

static void set_small_text(figure *f, const char *name, const char *size_name, double size,
                           size_t fits, const char *text) {
  strbuf cut = {0};
  double width = (double)text_columns(text);
  double scaled = width > (double)fits ? size * (double)fits / width : size;
  strbuf_append(&cut, text);
  if (scaled < 0.72 * size) {
    scaled = 0.72 * size;
    text_cut(&cut, 0, (size_t)((double)fits / 0.72) - 1);
    strbuf_append(&cut, "…");
  }
  figure_set_text(f, name, "%s", strbuf_string(&cut));
  figure_set_number(f, size_name, scaled);
  strbuf_free(&cut);
}

void figure_set_subtitle(figure *f, const char *text) {
  set_small_text(f, "subtitle_text", "subtitle_size", 11.5, 86, text);
}

void figure_set_source(figure *f, const char *text) {
  set_small_text(f, "source_line", "source_size", 8.5, 118, text);
}

size_t figure_limit(figure *f, size_t count, const char *what) {
  if (count <= FIGURE_MOST_SERIES) return count;
  strbuf_clear(&f->limit);
  strbuf_format(&f->limit, "first %d of %zu %s", FIGURE_MOST_SERIES, count, what);
  return FIGURE_MOST_SERIES;
}

void figure_set_note(figure *f, const char *text) {
  const double room = 0.96, share = figure_text_share(f, text) * 8.5 / 11.5;
  const double size = share > room ? fmax(8.5 * room / share, 6) : 8.5;
  strbuf fitting = {0};
  figure_fit_text(f, text, size, room, &fitting);
  strbuf_append(&f->ends, "set label 107 ");
  figure_append_quoted(&f->ends, strbuf_string(&fitting));
  strbuf_format(&f->ends,
                " noenhanced at screen 0.022,0.025 left font ',%.3g' textcolor rgb faint\n", size);
  if (fitting.is_broken) f->ends.is_broken = true;
  strbuf_free(&fitting);
}

static err remember(figure *f, const figure_point *points, size_t count) {
  figure_point *grown = mem_resize(f->drawn, f->drawn_count + count + 1, sizeof *grown);
  if (!grown) return mem_error((f->drawn_count + count) * sizeof *grown, "a figure");
  f->drawn = grown;
  if (count) memcpy(grown + f->drawn_count, points, count * sizeof *points);
  f->drawn_count += count;
  grown[f->drawn_count++] = (figure_point){NAN, NAN, NAN, NAN, false};
  return NULL;
}

err figure_add_obstacle(figure *f, double x, double low, double high) {
  const figure_point bar[] = {{x, low, low, low, false}, {x, high, high, high, false}};
  return remember(f, bar, 2);
}

err figure_add_stretch(figure *f, double x0, double y0, double x1, double y1) {
  const figure_point line[] = {{x0, y0, y0, y0, false}, {x1, y1, y1, y1, false}};
  return remember(f, line, 2);
}

/* The intervals of a series as the outline of an area, which gnuplot cuts at the edge of the plot;
 * of an area between two lines it draws a wrong one there. */
static void add_band(figure *f, const figure_point *points, size_t count) {
  if (f->series) strbuf_append(&f->bands, "\n\n");
  for (size_t i = 0; i < count; i++)
    strbuf_format(&f->bands, "%.10g %.10g\n", points[i].x, points[i].high);
  for (size_t i = count; i-- > 0;)
    strbuf_format(&f->bands, "%.10g %.10g\n", points[i].x, points[i].low);
  if (!count) strbuf_append(&f->bands, "NaN NaN\n");
}

err figure_add_series(figure *f, const figure_point *points, size_t count) {
  const figure_point *last = NULL;
  size_t tuned = 0;
  if (f->series >= FIGURE_MOST_SERIES)
    return err_new(ERR_INTERNAL, "a figure with too many series");
  if (f->panels < 2) f->colour_of[f->series] = f->series;
  add_band(f, points, count);
  if (f->series++) { /* two blank lines separate the blocks of a data set */
    strbuf_append(&f->points, "\n\n");
    strbuf_append(&f->tuning, "\n\n");
  }
  for (size_t i = 0; i < count; i++) {
    const figure_point *p = &points[i];
    strbuf *out = p->is_tuning ? &f->tuning : &f->points;
    if (p->is_tuning && tuned++ == 0 && last)
      strbuf_format(out, "%.10g %.10g %.10g %.10g\n", last->x, last->y, last->low, last->high);
    strbuf_format(out, "%.10g %.10g %.10g %.10g\n", p->x, p->y, p->low, p->high);
    if (p->high - p->low > 1e-12) f->has_band = true;
    f->has_data = true;
    last = p;
  }
  if (!tuned) strbuf_append(&f->tuning, "NaN NaN NaN NaN\n");
  if (last == NULL) strbuf_append(&f->points, "NaN NaN NaN NaN\n");
  return remember(f, points, count);
}

/* ---- labels ---- */

/* The canvas sizes of plots/theme.gp in points, and the letter widths on them. */
typedef struct {
  double width, height, left, top, bottom;
} canvas;
static const canvas wide_canvas = {760, 500, 0.085, 0.815, 0.165};
static const canvas column_canvas = {396, 288, 0.145, 0.885, 0.215};
static const double em = 15.6, letter_height = 17; /* of labels, 11.5 points */

static const canvas *canvas_of(const figure *f) {
  return f->is_column ? &column_canvas : &wide_canvas;
}

typedef struct {
  double left, right, bottom, top;
} box;

double figure_left_edge(const figure *f) {
  return f->left_edge > 0 ? f->left_edge : canvas_of(f)->left;
}

/* Approximate width in DejaVu Sans, in points of the canvas; errs on the wide side. */
static double text_width(const char *text) {
  double width = 0;
  for (const char *at = text; *at; at++) {
    unsigned char c = (unsigned char)*at;
    if ((c & 0xc0) == 0x80) continue; /* other letters */
    width += strchr("mMwWQ@%&", c)             ? 0.97
             : strchr("ijlfrt .,:;'|()[]I", c) ? 0.38
             : c >= 0x80 || isupper(c)         ? 0.78
                                               : 0.63;
  }
  return em * width;
}

double figure_text_share(const figure *f, const char *text) {
  return text_width(text) / canvas_of(f)->width;
}

void figure_fit_text(const figure *f, const char *text, double size, double room, strbuf *out) {
  double share = figure_text_share(f, text) * size / 11.5;
  size_t start = out->length;
  strbuf_append(out, text);
  if (share <= room + 1e-6) return; /* not for rounding */
  text_cut(out, start, (size_t)((double)text_columns(text) * room / share) - 1);
  strbuf_append(out, "…");
}

void figure_fit_name(figure *f, char *name, size_t capacity, double size, double room) {
  strbuf fitting = {0};
  figure_fit_text(f, name, size, room, &fitting);
  if (fitting.is_broken) f->ends.is_broken = true;
  figure_keep_name(&fitting, name, capacity);
}

/* text_width is of 11.5 points; all marks are as wide. */
double figure_legend_share(const figure *f, const char *name) {
  return figure_legend_size(f) / 11.5 * (figure_text_share(f, "■ ") + figure_text_share(f, name));
}

static double across(const figure *f, double x) {
  const canvas *c = canvas_of(f);
  double width = c->width * (f->right_edge - figure_left_edge(f));
  double share = f->is_x_log ? log(x / f->x_least) / log(f->x_most / f->x_least)
                             : (x - f->x_least) / (f->x_most - f->x_least);
  return c->width * figure_left_edge(f) + width * share;
}

double figure_across(const figure *f, double x) {
  return across(f, x) / canvas_of(f)->width;
}

static double along(const figure *f, double y) {
  const canvas *c = canvas_of(f);
  double height = c->height * (c->top - c->bottom);
  return c->height * c->bottom + height * (y - f->y_least) / (f->y_most - f->y_least);
}

static bool do_touch(const box *a, const box *b) {
  return a->left < b->right && b->left < a->right && a->bottom < b->top && b->bottom < a->top;
}

/* Clips to the part of 0..1 in which a + t (b - a) lies between low and high; updates
 * *from..*to. */
static void clip(double a, double b, double low, double high, double *from, double *to) {
  double step = b - a;
  if (step == 0) {
    if (a <= low || a >= high) *to = -1;
    return;
  }
  double t0 = (low - a) / step, t1 = (high - a) / step;
  *from = fmax(*from, fmin(t0, t1));
  *to = fmin(*to, fmax(t0, t1));
}

/* The length of a line inside a box, in points of the canvas; -1 when it misses it. */
static double length_inside(const box *b, double x0, double y0, double x1, double y1) {
  double from = 0, to = 1;
  clip(x0, x1, b->left, b->right, &from, &to);
  clip(y0, y1, b->bottom, b->top, &from, &to);
  return to < from ? -1 : (to - from) * hypot(x1 - x0, y1 - y0);
}

/* How much a box overlaps: lines that cross it, and points, which weigh more. */
static double crossing(const figure *f, const box *b) {
  enum { LINE = 40, POINT = 80 };
  const box around = {b->left - 3, b->right + 3, b->bottom, b->top};
  double found = 0;
  for (size_t i = 1; i < f->drawn_count; i++) {
    double x0 = across(f, f->drawn[i - 1].x), y0 = along(f, f->drawn[i - 1].y);
    double x1 = across(f, f->drawn[i].x), y1 = along(f, f->drawn[i].y);
    double inside = isfinite(x0 + x1 + y0 + y1) ? length_inside(&around, x0, y0, x1, y1) : -1;
    if (inside >= 0) found += LINE + inside;
    bool is_near = x0 > b->left - 6 && x0 < b->right + 6 && y0 > b->bottom - 5 && y0 < b->top + 5;
    if (is_near) found += POINT;
  }
  return found;
}

/* Tries positions around the end, nearest first, and takes the one with the least overlap. */
static box best_place(const figure *f, const figure_end *end, double width, const box *taken,
                      size_t count, double *least) {
  enum { RINGS = 9, SIDES = 6 };
  const canvas *c = canvas_of(f);
  double x = across(f, end->x), y = along(f, end->y);
  box best = {0};
  *least = INFINITY;
  for (int ring = 0; ring < RINGS; ring++) {
    for (int side = 0; side < SIDES; side++) {
      double lift = letter_height * (0.85 + 0.4 * ring);
      double left = side < 3 ? x + 9 : side < 5 ? x - width / 2 : x - width - 9;
      double middle = side == 0 || side == 5 ? y : side == 1 || side == 3 ? y + lift : y - lift;
      box b = {left, left + width, middle - letter_height / 2, middle + letter_height / 2};
      double cost = crossing(f, &b) + 3.0 * ring + 1.0 * side;
      for (size_t i = 0; i < count; i++) cost += do_touch(&b, &taken[i]) ? 1000 : 0;
      if (b.right > c->width - 4 || b.left < c->width * figure_left_edge(f)) cost += 5000;
      if (b.top > c->height * (c->top + 0.02)) cost += 500;
      if (b.bottom < c->height * c->bottom) cost += 500;
      if (cost >= *least) continue;
      *least = cost;
      best = b;
    }
  }
  return best;
}

static int compare_ends(const void *a, const void *b) {
  const figure_end *x = a, *y = b;
  return (x->x < y->x) - (x->x > y->x); /* the rightmost has the fewest positions to choose from */
}

/* A row of names next to the y axis label; false when they do not fit. */
static bool place_legend(figure *f, const char *y_label, const figure_end *ends, size_t count) {
  double at = 0.022 + figure_text_share(f, y_label) + 0.03, width = 0;
  for (size_t i = 0; i < count; i++) width += figure_text_share(f, ends[i].text) + 0.055;
  if (at + width > 0.98) return false;
  for (size_t i = 0; i < count; i++) {
    figure_set_legend(f, ends[i].text, at, 0, ends[i].series);
    at += figure_text_share(f, ends[i].text) + 0.055;
  }
  f->right_edge = 0.97;
  return true;
}

/* A text at a place, in the colour of a series; cut when it is wider than `room`. */
typedef struct {
  double left, middle, size, room;
} label_place;

static void set_label(const figure *f, int series, const char *name, const label_place *at,
                      strbuf *out) {
  strbuf text = {0};
  figure_fit_text(f, name, at->size, at->room, &text);
  strbuf_format(out, "set label %d ", 201 + series);
  figure_append_quoted(out, strbuf_string(&text));
  strbuf_format(out,
                " noenhanced at screen %.4f,%.4f left font ',%.4g' textcolor rgb colour(%d) "
                "front\n",
                at->left, at->middle, at->size, series);
  strbuf_free(&text);
}

/* "● mask 50 %" */
static void name_with_mark(const figure *f, const figure_end *end, strbuf *name) {
  strbuf_clear(name);
  strbuf_format(name, "%s %s", mark_letter(f, end->series), end->text);
}

/* A column of names right of the plot, in letters small enough for all of them; only the longest
 * names are cut. */
static void place_side_legend(figure *f, const figure_end *ends, size_t count) {
  const double gap = 0.015, end = 0.985, room = 0.42, least_size = 0.65 * figure_legend_size(f);
  const canvas *c = canvas_of(f);
  const double down = fmin(1.1 * letter_height / c->height, (c->top - c->bottom) / (double)count);
  double widest = 0;
  strbuf name = {0};
  for (size_t i = 0; i < count; i++) widest = fmax(widest, figure_legend_share(f, ends[i].text));
  double size = widest > room ? fmax(figure_legend_size(f) * room / widest, least_size)
                              : figure_legend_size(f);
  size = fmin(size, 11.5 * down * c->height / letter_height);
  widest *= size / figure_legend_size(f);
  f->right_edge = end - gap - fmin(widest, room);
  label_place at = {f->right_edge + gap, c->top - down / 2, size, end - gap - f->right_edge};
  for (size_t i = 0; i < count; i++, at.middle -= down) {
    name_with_mark(f, &ends[i], &name);
    set_label(f, ends[i].series, strbuf_string(&name), &at, &f->ends);
  }
  strbuf_free(&name);
}

static int compare_series(const void *a, const void *b) {
  const figure_end *x = a, *y = b;
  return x->series - y->series;
}

/* Where labels of lines that end at one x were moved apart, they stand in the order of the ends. */
static void put_in_order(const figure *f, const figure_end *ends, size_t count, box *taken) {
  for (size_t i = 0; i < count; i++)
    for (size_t k = i + 1; k < count; k++) {
      bool is_column = fabs(across(f, ends[i].x) - across(f, ends[k].x)) < 1 &&
                       fabs(taken[i].left - taken[k].left) < 1;
      bool is_in_order = (ends[i].y > ends[k].y) == (taken[i].top > taken[k].top);
      if (!is_column || is_in_order || ends[i].y == ends[k].y) continue;
      const box was = taken[i];
      taken[i].top = taken[k].top;
      taken[i].bottom = taken[k].bottom;
      taken[k].top = was.top;
      taken[k].bottom = was.bottom;
    }
}

/* Where colours repeat, each end shows its mark. */
static void name_end(const figure *f, const figure_end *end, size_t count, strbuf *name) {
  strbuf_clear(name);
  if (count > FIGURE_COLOURS)
    name_with_mark(f, end, name);
  else
    strbuf_append(name, end->text);
}

/* Labels at the ends of lines; false: there is no place for one of them. */
static bool place_labels(figure *f, figure_end *ends, size_t count, box *taken) {
  enum { CLEAR = 40 }; /* the overlap above which a legend is better */
  const canvas *c = canvas_of(f);
  strbuf name = {0};
  double worst = 0, cost;
  qsort(ends, count, sizeof *ends, compare_ends);
  for (size_t i = 0; i < count; i++) {
    name_end(f, &ends[i], count, &name);
    taken[i] = best_place(f, &ends[i], text_width(strbuf_string(&name)), taken, i, &cost);
    worst = fmax(worst, cost);
  }
  put_in_order(f, ends, count, taken);
  for (size_t i = 0; i < count && worst < CLEAR; i++) {
    name_end(f, &ends[i], count, &name);
    label_place at = {taken[i].left / c->width, (taken[i].top + taken[i].bottom) / 2 / c->height,
                      11.5, 1};
    set_label(f, ends[i].series, strbuf_string(&name), &at, &f->ends);
  }
  strbuf_free(&name);
  return worst < CLEAR;
}

void figure_place_ends(figure *f, const char *y_label, figure_end *ends, size_t count) {
  box *taken = mem_zeroed(count, sizeof *taken);
  if (!taken) {
    f->ends.is_broken = true;
    return;
  }
  if (!place_labels(f, ends, count, taken)) {
    qsort(ends, count, sizeof *ends, compare_series);
    if (!place_legend(f, y_label, ends, count)) place_side_legend(f, ends, count);
  }
  free(taken);
}

void figure_free(figure *f) {
  strbuf_free(&f->variables);
  strbuf_free(&f->points);
  strbuf_free(&f->tuning);
  strbuf_free(&f->bands);
  strbuf_free(&f->ends);
  strbuf_free(&f->title);
  strbuf_free(&f->limit);
  strbuf_free(&f->left_out);
  free(f->drawn);
}
