/* Curves: accuracy by time and by samples, loss. With two row keys and many rows, each value of the
 * first key gets its own panel. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "report/curves.h"
#include "report/drawing.h"
#include "report/findings.h"
#include "report/measure.h"
#include "report/write.h"

enum { LOSS_BINS = 120, MOST_IN_ONE_PANEL = 4, MOST_LEGEND_LINES = 4 };

static size_t drawn_rows(drawing *g) {
  return figure_limit(&g->f, g->d->row_count, "rows");
}

/* ---- panels ---- */

typedef struct {
  size_t rows[FIGURE_MOST_PANELS], count;   /* a row per panel */
  size_t first[FIGURE_MOST_SERIES], series; /* a row per kind of series */
} faceting;

/* Rows of a panel share the first key; of a kind of series the others, and their inputs. */
static bool is_alike(const drawing *g, size_t a, size_t b, bool is_rest) {
  if (is_rest && g->d->rows[a].group != g->d->rows[b].group) return false;
  return drawing_is_alike(g, a, b, 1, is_rest);
}

/* Puts each row into the panel of its first key; false: there would be too many, or one. */
static bool sort_into_panels(drawing *g, faceting *found) {
  figure *f = &g->f;
  const size_t rows = drawn_rows(g);
  for (size_t row = 0; row < rows; row++) {
    size_t panel = 0, kind = 0;
    while (panel < found->count && !is_alike(g, found->rows[panel], row, false)) panel++;
    while (kind < found->series && !is_alike(g, found->first[kind], row, true)) kind++;
    if (panel == FIGURE_MOST_PANELS) return false;
    if (panel == found->count) found->rows[found->count++] = row;
    if (kind == found->series) found->first[found->series++] = row;
    f->panel_of[row] = (int)panel;
    f->colour_of[row] = (int)kind;
  }
  return found->count > 1;
}

/* A kind of series with its marks: † when one of its rows has it. */
static void name_kind(const drawing *g, size_t first, char *text, size_t size) {
  const size_t rows = g->d->row_count < FIGURE_MOST_SERIES ? g->d->row_count : FIGURE_MOST_SERIES;
  bool is_disturbed = false;
  strbuf name = {0};
  for (size_t row = 0; row < rows; row++)
    is_disturbed = is_disturbed || (is_alike(g, first, row, true) && g->t->rows[row].disturbed);
  drawing_name_part(g, first, 1, true, text, size);
  strbuf_append(&name, text);
  report_add_marks(is_disturbed, g->t->rows[first].has_other_inputs, &name);
  figure_keep_name(&name, text, size);
}

typedef struct {
  char name[96];
  double at;
  size_t line;
} legend_entry;

/* One legend for all panels, in as many lines as it takes: how many. */
static size_t lay_out_legend(drawing *g, const faceting *found, legend_entry *entries) {
  const double start = 0.022, gap = 0.025, end = 0.985, size = figure_legend_size(&g->f);
  const double mark = figure_legend_share(&g->f, "");
  double at = start;
  size_t lines = 1;
  for (size_t i = 0; i < found->series; i++) {
    char *name = entries[i].name;
    name_kind(g, found->first[i], name, sizeof entries->name);
    figure_fit_name(&g->f, name, sizeof entries->name, size, end - start - mark);
    const double share = figure_legend_share(&g->f, name);
    if (at > start && at + share > end) {
      lines++;
      at = start;
    }
    entries[i].at = at;
    entries[i].line = lines - 1;
    at += share + gap;
  }
  return lines;
}

static void set_legend(drawing *g, const faceting *found) {
  figure *f = &g->f;
  legend_entry entries[FIGURE_MOST_SERIES];
  f->legend_lines = lay_out_legend(g, found, entries);
  for (size_t i = 0; i < found->series; i++)
    figure_set_legend(f, entries[i].name, entries[i].at, entries[i].line, (int)i);
}

/* Panels by the first row key; none (count 0) when the rows fit into one, would need too many, or
 * have so many other keys that their legend would leave no room for the panels. */
static void find_panels(drawing *g, faceting *found) {
  figure *f = &g->f;
  legend_entry entries[FIGURE_MOST_SERIES];
  *found = (faceting){.count = 0};
  if (g->t->key_count < 2 || g->t->row_count <= MOST_IN_ONE_PANEL) return;
  if (sort_into_panels(g, found) && lay_out_legend(g, found, entries) <= MOST_LEGEND_LINES) return;
  found->count = 0;
  memset(f->panel_of, 0, sizeof f->panel_of);
}

/* Panel titles, and the legend. */
static void name_panels(drawing *g, const faceting *found) {
  figure *f = &g->f;
  strbuf_format(&f->variables, "array panel_name[%zu]\n", found->count);
  for (size_t i = 0; i < found->count; i++) {
    char name[96], variable[48];
    drawing_name_part(g, found->rows[i], 1, false, name, sizeof name);
    snprintf(variable, sizeof variable, "panel_name[%zu]", i + 1);
    figure_set_text(f, variable, "%s", name);
  }
  set_legend(g, found);
}

static void finish_lines(drawing *g, const faceting *panels, const char *y_label, figure_end *ends,
                         size_t count) {
  if (panels->count) {
    g->f.panels = (int)panels->count;
    g->f.right_edge = 0.97;
    name_panels(g, panels);
    return;
  }
  drawing_set_right_edge(&g->f, ends, count);
  figure_place_ends(&g->f, y_label, ends, count);
}

/* ---- accuracy ---- */

static void set_title(drawing *g, const char *shorter, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void set_title(drawing *g, const char *shorter, const char *format, ...) {
  strbuf text = {0};
  va_list arguments;
  va_start(arguments, format);
  strbuf_format_list(&text, format, arguments);
  va_end(arguments);
  figure_set_title(&g->f, strbuf_string(&text), shorter);
  strbuf_free(&text);
}

/* Any speed-up before any slow-down. */
static bool is_clearer(const data_iso *a, const data_iso *than) {
  bool is_slower = than->at.speedup <= 1;
  if (a->at.speedup > 1) return is_slower || a->at.speedup > than->at.speedup;
  return is_slower && a->at.accuracy > than->at.accuracy;
}

/* Of the rows that are drawn, but the baseline: how many have a speed-up whose interval has two
 * ends, one (0.80 or more) or none. */
typedef struct {
  size_t rows, two_ends, one_end, no_end;
} iso_counts;

/* The row that a title tells of, among those that are drawn: the one with the greatest speed-up
 * among those whose interval excludes 1, or if all of these are slow-downs, the one that reaches
 * the highest accuracy: factors are greatest where little has been learnt. */
static err find_clearest(drawing *g, data_iso *best, size_t *best_row, iso_counts *counts) {
  err error = NULL;
  size_t rows = drawn_rows(g);
  *best = (data_iso){{NAN, NAN, NAN, NAN}, NAN, NAN, 0, 0};
  *counts = (iso_counts){0};
  if (g->d->baseline >= (ptrdiff_t)rows) return NULL;
  for (size_t row = 0; row < rows && !error; row++) {
    data_iso iso;
    error = curves_iso(g->d, row, &iso);
    counts->rows += (ptrdiff_t)row != g->d->baseline;
    if (error || isnan(iso.at.speedup)) continue;
    counts->two_ends += isfinite(iso.low) && isfinite(iso.high);
    counts->one_end += isinf(iso.high) && iso.low > 0;
    counts->no_end += isinf(iso.high) && !(iso.low > 0);
    finding clear = findings_of(iso.low, iso.high, 1);
    if (clear != FINDING_ABOVE && clear != FINDING_BELOW) continue;
    if (!isnan(best->at.speedup) && !is_clearer(&iso, best)) continue;
    *best = iso;
    *best_row = row;
  }
  return error;
}

/* Where no interval excludes 1. Nothing is said where it holds for some of the rows only. */
static const char *without_speedup(const iso_counts *counts) {
  if (counts->rows && counts->two_ends == counts->rows) return ": no significant speed-up";
  if (!counts->no_end || counts->two_ends || counts->one_end) return "";
  return counts->rows > 1 ? ": speed-ups not determined" : ": speed-up not determined";
}

/* What plots/accuracy_vs_time.gp draws besides the lines. */
static err keep_clear_of_iso(drawing *g, const curve_iso *at, double unit) {
  figure *f = &g->f;
  double from = at->baseline_seconds / unit, to = at->seconds / unit, y = at->accuracy;
  err error = figure_add_stretch(f, from, y, from, f->y_least);
  if (!error) error = figure_add_stretch(f, to, y, to, f->y_least);
  if (!error) error = figure_add_stretch(f, from, y, to, y);
  return error;
}

/* With one decimal a factor of 1.04 would seem to be none. */
static int factor_digits(double factor) {
  return factor < 1.95 ? 2 : 1;
}

/* "Block reaches top-1 15.6 % 1.40× sooner than 32 tokens" */
static void tell_iso(drawing *g, const data_iso *best, size_t row) {
  const column *c = g->d->e->report.iso;
  const bool is_sooner = best->at.speedup > 1;
  const double ratio = is_sooner ? best->at.speedup : 1 / best->at.speedup;
  char own[96], base[96], when[32];
  strbuf shorter = {0};
  snprintf(when, sizeof when, "%.*f× %s", factor_digits(ratio), ratio,
           is_sooner ? "sooner" : "later");
  drawing_name_row(g, row, own, sizeof own);
  drawing_name_row(g, (size_t)g->d->baseline, base, sizeof base);
  strbuf_format(&shorter, "%s: %s %s", c->heading, own, when);
  set_title(g, strbuf_string(&shorter), "%s reaches %s %.*f%s%s %s than %s", own, c->heading,
            c->digits, best->at.accuracy, strcmp(c->unit, "%") == 0 ? " " : "", c->unit, when,
            base);
  strbuf_free(&shorter);
}

/* The title, and the arrow of a speed-up; both only when the interval supports it. */
static err mark_iso(drawing *g, double unit) {
  const column *c = g->d->e->report.iso;
  data_iso best;
  size_t row = 0;
  iso_counts counts;
  err error = find_clearest(g, &best, &row, &counts);
  bool is_told = best.at.speedup > 1 && g->f.panels < 2;
  const int digits = factor_digits(best.at.speedup);
  figure_set_number(&g->f, "has_iso", is_told);
  figure_set_number(&g->f, "iso_from", best.at.baseline_seconds / unit);
  figure_set_number(&g->f, "iso_to", best.at.seconds / unit);
  figure_set_number(&g->f, "iso_at", best.at.accuracy);
  if (is_told && !error) error = keep_clear_of_iso(g, &best.at, unit);
  if (isinf(best.high))
    figure_set_text(&g->f, "iso_text", "%.*f× sooner (%.*f or more)", digits, best.at.speedup,
                    digits, best.low);
  else
    figure_set_text(&g->f, "iso_text", "%.*f× sooner (%.*f to %.*f)", digits, best.at.speedup,
                    digits, best.low, digits, best.high);
  if (!isnan(best.at.speedup))
    tell_iso(g, &best, row);
  else
    set_title(g, NULL, "%s against training time%s", c->heading, without_speedup(&counts));
  return error;
}

/* The caption below the axis: what is drawn. */
static void explain(drawing *g, const char *what, bool has_tuning) {
  strbuf text = {0};
  strbuf_append(&text, what);
  if (!g->f.is_column && g->f.has_band)
    strbuf_append(&text, g->f.is_cut ? "; shaded: 95 % interval, cut" : "; shaded: 95 % interval");
  if (!g->f.is_column && has_tuning) strbuf_append(&text, "; dashed: tuning");
  figure_set_text(&g->f, "x_label", "%s", strbuf_string(&text));
  strbuf_free(&text);
}

/* Rows that a figure against time does not draw, or not to the end. */
static void tell_without_pace(drawing *g, size_t rows) {
  strbuf *out = &g->f.left_out;
  if (rows)
    strbuf_format(out, "%s%zu row%s left out or cut short: no single steady pace",
                  out->length ? " · " : "", rows, rows == 1 ? "" : "s");
}

/* Rows whose runs have recorded no value, or have not finished. */
static void tell_without_value(drawing *g, size_t rows) {
  strbuf *out = &g->f.left_out;
  if (rows && g->f.has_data)
    strbuf_format(out, "%s%zu row%s left out: no value", out->length ? " · " : "", rows,
                  rows == 1 ? "" : "s");
}

/* *is_short: points have no place on the axis. */
static err add_curve(drawing *g, size_t row, bool is_time, double unit, figure_end *end,
                     bool *has_points, bool *is_short, bool *has_tuning, double *highest) {
  data_curve c;
  err error = curves_of_row(g->d, row, &c);
  figure_point *points = mem_zeroed(c.points, sizeof *points);
  size_t count = 0;
  *has_points = *is_short = false;
  if (!error && !points) error = mem_error(0, "a figure");
  for (size_t i = 0; i < c.points && !error; i++) {
    double x = (is_time ? c.seconds[i] : c.samples[i]) / unit, y = c.mean[i];
    *is_short = *is_short || !isfinite(x);
    if (!isfinite(x) || !isfinite(y)) continue;
    bool is_tuning = i >= c.tuned_from;
    points[count++] = (figure_point){x, y, isnan(c.low[i]) ? y : c.low[i],
                                     isnan(c.high[i]) ? y : c.high[i], is_tuning};
    drawing_widen(&g->f, x, points[count - 1].low, points[count - 1].high);
    *highest = fmax(*highest, y);
    *has_tuning = *has_tuning || is_tuning;
    *end = (figure_end){x, y, "", (int)row};
    *has_points = true;
  }
  if (!error) error = figure_add_series(&g->f, points, count);
  if (*has_points) drawing_name_row(g, row, end->text, sizeof end->text);
  free(points);
  curves_free(&c);
  return error;
}

static err longest_x(drawing *g, bool is_time, double *longest) {
  err error = NULL;
  const size_t rows = drawn_rows(g);
  *longest = 0;
  for (size_t row = 0; row < rows && !error; row++) {
    data_curve c;
    error = curves_of_row(g->d, row, &c);
    if (!error && c.points)
      *longest = fmax(*longest, is_time ? c.seconds[c.points - 1] : c.samples[c.points - 1]);
    curves_free(&c);
  }
  return error;
}

/* The interval of two seeds may be ten times as long as what the lines rise to: the plot ends above
 * the highest line, and the caption says that the shading goes on. */
static bool pad_and_cut(figure *f, double highest) {
  const double of_intervals = f->y_most;
  if (highest > 0) f->y_most = fmin(f->y_most, 1.6 * highest);
  if (!drawing_pad(f, true)) return false;
  f->is_cut = of_intervals > f->y_most;
  return true;
}

static err draw_accuracy(drawing *g, bool is_time) {
  const column *c = g->d->e->report.iso;
  figure_end ends[FIGURE_MOST_SERIES];
  const char *unit_name;
  double longest;
  size_t end_count = 0, short_rows = 0, empty_rows = 0;
  bool has_tuning = false;
  double highest = 0;
  const size_t rows = drawn_rows(g);
  faceting panels;
  err error = longest_x(g, is_time, &longest);
  if (error) return error;
  double unit =
      is_time ? drawing_time_unit(longest, &unit_name) : drawing_count_unit(longest, &unit_name);
  find_panels(g, &panels);
  g->f.panels = (int)panels.count;
  drawing_start_range(&g->f);
  for (size_t row = 0; row < rows && !error; row++) {
    bool has_points, is_short;
    error = add_curve(g, row, is_time, unit, &ends[end_count], &has_points, &is_short, &has_tuning,
                      &highest);
    end_count += has_points;
    short_rows += is_short;
    empty_rows += !has_points && !is_short;
  }
  tell_without_pace(g, short_rows);
  g->f.has_data = !error && pad_and_cut(&g->f, highest);
  tell_without_value(g, empty_rows);
  if (!g->f.has_data) return error;
  g->f.has_marks = true;
  figure_set_number(&g->f, "mark_every", 1);
  if (is_time)
    error = mark_iso(g, unit);
  else
    set_title(g, NULL, "%s at equal samples seen", c->heading);
  strbuf what = {0};
  strbuf_append(&what, c->heading);
  if (*c->unit) strbuf_format(&what, " (%s)", c->unit);
  figure_set_text(&g->f, "y_label", "%s", strbuf_string(&what));
  finish_lines(g, &panels, strbuf_string(&what), ends, end_count);
  strbuf_clear(&what);
  strbuf_format(&what, is_time ? "training time, steady pace (%s)" : "%s seen", unit_name);
  explain(g, strbuf_string(&what), has_tuning);
  strbuf_free(&what);
  return error;
}

err drawing_accuracy_vs_time(drawing *g) {
  return draw_accuracy(g, true);
}

err drawing_accuracy_vs_samples(drawing *g) {
  return draw_accuracy(g, false);
}

/* ---- loss ---- */

/* A seed's loss in each range of steps from its first recorded one to its last: those in between
 * without a record (log_every is longer than a range) are interpolated. Empty: first > last. */
typedef struct {
  double samples[LOSS_BINS], value[LOSS_BINS];
  bool is_recorded[LOSS_BINS];
  size_t first, last;
} seed_loss;

static void fill_between(seed_loss *own, const store_point *from, const store_point *to) {
  double steps = (double)(to->bin - from->bin);
  for (size_t k = from->bin; k <= to->bin; k++) {
    double share = (double)(k - from->bin) / steps;
    own->samples[k] = from->samples + share * (to->samples - from->samples);
    own->value[k] = from->value + share * (to->value - from->value);
  }
}

static err load_seed(const report_data *d, const data_cell *c, seed_loss *own) {
  store_point points[LOSS_BINS];
  size_t count;
  *own = (seed_loss){.first = LOSS_BINS};
  err error = store_load_loss(d->s, c->run_id, LOSS_BINS, points, &count);
  if (error || !count) return error;
  own->first = points[0].bin;
  own->last = points[count - 1].bin;
  for (size_t i = 1; i < count; i++) fill_between(own, &points[i - 1], &points[i]);
  for (size_t i = 0; i < count; i++) { /* exact where it was recorded */
    own->samples[points[i].bin] = points[i].samples;
    own->value[points[i].bin] = points[i].value;
    own->is_recorded[points[i].bin] = true;
  }
  return NULL;
}

/* The sums over seeds; the band spans the smallest and greatest seed. */
typedef struct {
  figure_point points[LOSS_BINS];
  bool is_recorded[LOSS_BINS];
  size_t seeds, first, last; /* the ranges that all seeds have */
} row_loss;

static void add_seed(row_loss *all, const seed_loss *own) {
  for (size_t k = own->first; k <= own->last; k++) {
    figure_point *p = &all->points[k];
    if (!all->seeds) *p = (figure_point){0, 0, INFINITY, -INFINITY, false};
    p->x += own->samples[k];
    p->y += own->value[k];
    p->low = fmin(p->low, own->value[k]);
    p->high = fmax(p->high, own->value[k]);
    all->is_recorded[k] = all->is_recorded[k] || own->is_recorded[k];
  }
  all->first = all->seeds && all->first > own->first ? all->first : own->first;
  all->last = all->seeds && all->last < own->last ? all->last : own->last;
  all->seeds++;
}

/* The mean over a row's seeds of the loss in LOSS_BINS ranges of steps. Seeds may differ in
 * log_every: they are averaged range by range, where one of them has recorded its loss. */
static err loss_points(const report_data *d, size_t row, figure_point *points, size_t *count) {
  row_loss all = {.seeds = 0};
  *count = 0;
  for (size_t i = 0; i < d->rows[row].count; i++) {
    const data_cell *c = &d->cells[d->rows[row].cells[i]];
    seed_loss own;
    if (!c->is_finished) continue;
    err error = load_seed(d, c, &own);
    if (error) return error;
    if (own.first < LOSS_BINS) add_seed(&all, &own);
  }
  for (size_t k = all.first; all.seeds && k <= all.last; k++) {
    if (!all.is_recorded[k]) continue;
    figure_point *p = &points[(*count)++];
    *p = all.points[k];
    p->x /= (double)all.seeds;
    p->y /= (double)all.seeds;
  }
  return NULL;
}

/* That of classifiers is a cross-entropy over their classes. */
static const char *name_loss(const report_data *d, size_t rows) {
  for (size_t row = 0; row < rows; row++)
    if (measure_is_of_classifier(d, row)) return "training loss";
  return "contrastive loss";
}

err drawing_loss(drawing *g) {
  const report_data *d = g->d;
  figure_end ends[FIGURE_MOST_SERIES];
  figure_point points[LOSS_BINS];
  size_t end_count = 0, empty_rows = 0, count;
  const char *unit_name;
  double longest = 0;
  size_t fewest = LOSS_BINS, most = 0;
  const size_t rows = drawn_rows(g);
  faceting panels;
  err error = NULL;
  for (size_t row = 0; row < rows; row++) {
    error = loss_points(d, row, points, &count);
    if (error) return error;
    if (count) longest = fmax(longest, points[count - 1].x);
  }
  double unit = drawing_count_unit(longest, &unit_name);
  find_panels(g, &panels);
  g->f.panels = (int)panels.count;
  drawing_start_range(&g->f);
  for (size_t row = 0; row < rows; row++) {
    error = loss_points(d, row, points, &count);
    for (size_t i = 0; i < count && !error; i++) points[i].x /= unit;
    if (!error) error = figure_add_series(&g->f, points, count);
    if (error) return error;
    for (size_t i = 0; i < count; i++)
      drawing_widen(&g->f, points[i].x, points[i].low, points[i].high);
    empty_rows += !count;
    if (!count) continue;
    fewest = count < fewest ? count : fewest;
    most = count > most ? count : most;
    figure_end *end = &ends[end_count++];
    *end = (figure_end){points[count - 1].x, points[count - 1].y, "", (int)row};
    drawing_name_row(g, row, end->text, sizeof end->text);
  }
  g->f.has_data = drawing_pad(&g->f, false);
  tell_without_value(g, empty_rows);
  if (!g->f.has_data) return NULL;
  g->f.x_least = 0;
  /* lines that share a colour differ in their marks; a single point is no line */
  const bool is_short = fewest == 1 && most <= LOSS_BINS / 10;
  g->f.has_marks = (panels.count ? panels.series : rows) > FIGURE_COLOURS || is_short;
  figure_set_number(&g->f, "mark_every", is_short ? 1 : LOSS_BINS / 10);
  const char *loss = name_loss(d, rows);
  finish_lines(g, &panels, loss, ends, end_count);
  figure_set_text(&g->f, "x_label", "%s seen%s", unit_name,
                  g->f.has_band && !g->f.is_column ? "; shaded: range over seeds" : "");
  figure_set_text(&g->f, "y_label", "%s%s", loss,
                  !measure_has_other_batches(g->d, rows) ? ""
                  : g->f.is_column                       ? " (batch sizes differ)"
                                   : " (its level depends on the batch size, which differs)");
  figure_set_title(&g->f, "Training loss by samples seen", NULL);
  return NULL;
}
