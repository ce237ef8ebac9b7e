#include "report/plot.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "report/figure.h"
#include "report/table.h"
#include "store/sql.h"

enum { MOST_SERIES = 24 };

typedef struct {
  const report_data *d;
  const report_table *t; /* for the provenance line */
  figure f;
} drawing;

/* Seconds in the unit that reads best for the longest of them. */
static double time_unit(double longest, const char **name) {
  *name = longest < 180 ? "seconds" : longest < 3 * 3600 ? "minutes" : "hours";
  return longest < 180 ? 1 : longest < 3 * 3600 ? 60 : 3600;
}

static double count_unit(double most, const char **name) {
  *name = most < 1e4 ? "samples" : most < 1e7 ? "thousand samples" : "million samples";
  return most < 1e4 ? 1 : most < 1e7 ? 1e3 : 1e6;
}

static void set_source(drawing *g) {
  figure_set_text(&g->f, "subtitle_text", "%s", g->t->title);
  figure_set_text(&g->f, "source_line", "%s%s%s", g->d->e->name, g->t->provenance ? " · " : "",
                  g->t->provenance ? g->t->provenance : "");
}

static void name_series(const report_data *d, size_t row, char *text, size_t size) {
  strbuf name = {0};
  data_name_row(d, row, &name);
  snprintf(text, size, "%s", strbuf_string(&name));
  for (char *at = text; *at; at++)
    if (*at == '"' || *at == '\\') *at = '\'';
  strbuf_free(&name);
}

static void widen_range(figure *f, const figure_point *points, size_t count, bool is_first) {
  if (is_first) {
    f->x_least = 0;
    f->x_most = -INFINITY;
    f->y_least = INFINITY;
    f->y_most = -INFINITY;
  }
  for (size_t i = 0; i < count; i++) {
    f->x_most = fmax(f->x_most, points[i].x);
    f->y_least = fmin(f->y_least, points[i].low);
    f->y_most = fmax(f->y_most, points[i].high);
  }
}

/* The mean curve of a row as points of a figure, x in its unit. */
static err row_points(const report_data *d, size_t row, bool is_time, double unit,
                      figure_point **points, size_t *count) {
  data_curve c;
  *points = NULL;
  *count = 0;
  err error = data_row_curve(d, row, NULL, 0, &c);
  if (error) return error;
  *points = mem_zeroed(c.count, sizeof **points);
  if (!*points) error = mem_error(c.count * sizeof **points, "a figure");
  for (size_t i = 0; !error && i < c.count; i++) {
    const data_point *p = &c.points[i];
    (*points)[(*count)++] = (figure_point){(is_time ? p->seconds : p->samples) / unit, p->accuracy,
                                           p->low, p->high, p->is_tuning};
  }
  data_free_curve(&c);
  return error;
}

static err longest_x(const report_data *d, bool is_time, double *longest) {
  err error = NULL;
  *longest = 0;
  for (size_t row = 0; row < d->row_count && !error; row++) {
    data_curve c;
    error = data_row_curve(d, row, NULL, 0, &c);
    if (!error && c.count)
      *longest =
          fmax(*longest, is_time ? c.points[c.count - 1].seconds : c.points[c.count - 1].samples);
    data_free_curve(&c);
  }
  return error;
}

/* The arrow of the row with the greatest speed-up, and the title that says it. */
static err mark_iso(drawing *g, double unit) {
  const report_data *d = g->d;
  const column *c = d->e->report.iso;
  curve_iso best = {NAN, NAN, NAN, NAN};
  size_t best_row = 0;
  err error = NULL;
  for (size_t row = 0; row < d->row_count && !error; row++) {
    curve_iso iso;
    double low, high;
    error = data_row_iso(d, row, &iso, &low, &high);
    if (error || isnan(iso.speedup) || iso.speedup <= best.speedup) continue;
    best = iso;
    best_row = row;
  }
  bool is_faster = best.speedup > 1.005;
  figure_set_number(&g->f, "has_iso", is_faster);
  figure_set_number(&g->f, "iso_from", best.baseline_seconds / unit);
  figure_set_number(&g->f, "iso_to", best.seconds / unit);
  figure_set_number(&g->f, "iso_at", best.accuracy);
  figure_set_text(&g->f, "iso_text", "%.1f× sooner", best.speedup);
  if (is_faster) {
    char own[96], base[96];
    name_series(d, best_row, own, sizeof own);
    name_series(d, (size_t)d->baseline, base, sizeof base);
    figure_set_text(&g->f, "title_text", "%s reaches %.*f%s%s %.1f× sooner than %s", own, c->digits,
                    best.accuracy, strcmp(c->unit, "%") == 0 ? " " : "", c->unit, best.speedup,
                    base);
  } else {
    figure_set_text(&g->f, "title_text", "Accuracy against training time");
  }
  return error;
}

static void pad_range(figure *f, bool from_zero) {
  double span = f->y_most - (from_zero ? 0 : f->y_least);
  if (!(span > 0)) span = f->y_most > 0 ? f->y_most : 1;
  f->y_least = from_zero ? 0 : f->y_least - 0.06 * span;
  f->y_most += 0.09 * span;
  f->x_most *= 1.01;
}

/* The right edge leaves room for the longest label at a line's end. */
static void set_right_edge(figure *f, const figure_end *ends, size_t count) {
  size_t longest = 0;
  for (size_t i = 0; i < count; i++) {
    size_t width = text_columns(ends[i].text);
    if (width > longest) longest = width;
  }
  if (longest > 30) longest = 30;
  double share = f->is_column ? 0.0245 : 0.0115; /* a letter's width of the canvas */
  f->right_edge = fmax(0.6, 0.97 - share * (double)longest);
  figure_set_number(f, "right_edge", f->right_edge);
}

static err draw_curves(drawing *g, bool is_time) {
  const report_data *d = g->d;
  const column *c = d->e->report.iso;
  figure_end ends[MOST_SERIES];
  const char *unit_name;
  double longest, unit;
  size_t end_count = 0;
  err error = longest_x(d, is_time, &longest);
  if (error) return error;
  unit = is_time ? time_unit(longest, &unit_name) : count_unit(longest, &unit_name);
  for (size_t row = 0; row < d->row_count && row < MOST_SERIES && !error; row++) {
    figure_point *points;
    size_t count;
    error = row_points(d, row, is_time, unit, &points, &count);
    if (error) break;
    error = figure_add_series(&g->f, points, count);
    widen_range(&g->f, points, count, row == 0);
    if (count && !error) {
      figure_end *end = &ends[end_count++];
      *end = (figure_end){points[count - 1].x, points[count - 1].y, "", (int)row};
      name_series(d, row, end->text, sizeof end->text);
    }
    free(points);
  }
  if (error || !end_count) return error;
  pad_range(&g->f, true);
  set_right_edge(&g->f, ends, end_count);
  figure_place_ends(&g->f, ends, end_count);
  g->f.has_marks = true;
  figure_set_text(&g->f, "y_label", "%s%s%s%s", c->heading, *c->unit ? " (" : "", c->unit,
                  *c->unit ? ")" : "");
  if (is_time) {
    figure_set_text(&g->f, "x_label", "training time (%s)%s", unit_name,
                    g->f.is_column ? "" : "; dashed: unmasked tuning");
    return mark_iso(g, unit);
  }
  figure_set_text(&g->f, "x_label", "%s seen%s", unit_name,
                  g->f.is_column ? "" : "; dashed: unmasked tuning");
  figure_set_text(&g->f, "title_text", "%s at equal samples seen", c->heading);
  return NULL;
}

static err draw_accuracy_vs_time(drawing *g) {
  return draw_curves(g, true);
}

static err draw_accuracy_vs_samples(drawing *g) {
  return draw_curves(g, false);
}

/* ---- loss ---- */

static const char loss_sql[] =
    "SELECT avg(samples), avg(loss), min(loss), max(loss) FROM step WHERE run_id = ?1"
    " GROUP BY (step - 1) * ?2 / (SELECT max(step) FROM step WHERE run_id = ?1)"
    " HAVING avg(loss) IS NOT NULL ORDER BY 1";

/* The mean over a row's seeds of the loss in MOST_BINS stretches of steps. */
static err loss_points(const report_data *d, size_t row, figure_point *points, size_t most,
                       size_t *count) {
  size_t added = 0;
  err error = NULL;
  *count = 0;
  for (size_t i = 0; i < d->rows[row].count && !error; i++) {
    const data_cell *c = &d->cells[d->rows[row].cells[i]];
    sqlite3_stmt *rows;
    size_t bin = 0;
    bool more;
    if (!c->is_finished) continue;
    error = sql_query(d->s, &rows, loss_sql, "ii", c->run_id, (int64_t)most);
    while (!error && !(error = sql_next(d->s, rows, &more)) && more && bin < most) {
      figure_point *p = &points[bin++];
      if (!added) *p = (figure_point){0};
      p->x += sql_real(rows, 0);
      p->y += sql_real(rows, 1);
    }
    if (bin == most) sql_stop(rows);
    *count = added && *count < bin ? *count : bin;
    added++;
  }
  for (size_t i = 0; i < *count; i++) {
    points[i].x /= (double)added;
    points[i].low = points[i].high = points[i].y /= (double)added;
  }
  return error;
}

static err draw_loss(drawing *g) {
  enum { MOST_BINS = 120 };
  const report_data *d = g->d;
  figure_end ends[MOST_SERIES];
  figure_point points[MOST_BINS];
  size_t end_count = 0, count;
  const char *unit_name;
  double longest = 0, unit;
  err error = NULL;
  for (size_t row = 0; row < d->row_count && row < MOST_SERIES; row++) {
    error = loss_points(d, row, points, MOST_BINS, &count);
    if (error) return error;
    if (count) longest = fmax(longest, points[count - 1].x);
  }
  unit = count_unit(longest, &unit_name);
  for (size_t row = 0; row < d->row_count && row < MOST_SERIES; row++) {
    error = loss_points(d, row, points, MOST_BINS, &count);
    if (error) return error;
    for (size_t i = 0; i < count; i++) points[i].x /= unit;
    error = figure_add_series(&g->f, points, count);
    if (error) return error;
    widen_range(&g->f, points, count, row == 0);
    if (!count) continue;
    figure_end *end = &ends[end_count++];
    *end = (figure_end){points[count - 1].x, points[count - 1].y, "", (int)row};
    name_series(d, row, end->text, sizeof end->text);
  }
  if (!end_count) return NULL;
  pad_range(&g->f, false);
  set_right_edge(&g->f, ends, end_count);
  figure_place_ends(&g->f, ends, end_count);
  figure_set_text(&g->f, "x_label", "%s seen", unit_name);
  figure_set_text(&g->f, "y_label", "contrastive loss");
  figure_set_text(&g->f, "title_text", "Training loss by samples seen");
  return NULL;
}

/* ---- bars ---- */

typedef struct {
  const char *column, *title, *ideal; /* ideal: what the dashed line says */
  bool rises_with_speed;              /* ideal = baseline / flops ratio, else baseline * ratio */
} bars;

static err mean_of(const report_data *d, size_t row, const char *name, double *mean) {
  const column *c = columns_find(name);
  double sum = 0;
  size_t count = 0;
  err error = NULL;
  for (size_t i = 0; i < d->rows[row].count && !error; i++) {
    double value;
    error = data_value(d, d->rows[row].cells[i], c, &value);
    if (isnan(value)) continue;
    sum += value * c->scale;
    count++;
  }
  *mean = count ? sum / (double)count : (double)NAN;
  return error;
}

static void group_thousands(double value, char *text, size_t size) {
  if (value >= 999.5 && value < 999999.5)
    snprintf(text, size, "%d,%03d", (int)(value + 0.5) / 1000, (int)(value + 0.5) % 1000);
  else
    snprintf(text, size, "%.3g", value);
}

static err draw_bars(drawing *g, const bars *b) {
  const report_data *d = g->d;
  const column *c = columns_find(b->column);
  strbuf bar_block = {0}, ideal_block = {0};
  double base = NAN, base_flops = NAN, most = 0, best = NAN, best_ideal = NAN;
  size_t best_row = 0, count = 0;
  err error = NULL;
  if (d->baseline >= 0) {
    TRY(mean_of(d, (size_t)d->baseline, b->column, &base));
    TRY(mean_of(d, (size_t)d->baseline, "flops_per_sample", &base_flops));
  }
  for (size_t row = 0; row < d->row_count && row < MOST_SERIES; row++) {
    double value, flops;
    char name[96], text[32], ratio[32] = "";
    TRY(mean_of(d, row, b->column, &value));
    TRY(mean_of(d, row, "flops_per_sample", &flops));
    if (isnan(value)) continue;
    double ideal = base * (b->rises_with_speed ? base_flops / flops : flops / base_flops);
    name_series(d, row, name, sizeof name);
    group_thousands(value, text, sizeof text);
    if (!isnan(base) && (ptrdiff_t)row != d->baseline)
      snprintf(ratio, sizeof ratio, "%.2f×", value / base);
    bool has_ideal = !isnan(ideal) && (ptrdiff_t)row != d->baseline;
    strbuf_format(&bar_block, "%zu %.10g \"%s\" \"%s\" \"%s\" %.10g\n", count, value, name, text,
                  ratio, has_ideal ? fmax(value, ideal) : value);
    if (!has_ideal)
      strbuf_format(&ideal_block, "%zu NaN\n", count);
    else
      strbuf_format(&ideal_block, "%zu %.10g\n", count, ideal);
    most = fmax(most, fmax(value, isnan(ideal) ? 0 : ideal));
    bool is_better = b->rises_with_speed ? !(value <= best) : !(value >= best);
    if (is_better) {
      best = value;
      best_ideal = ideal;
      best_row = row;
    }
    count++;
  }
  if (!count) goto cleanup;
  g->f.has_data = true;
  g->f.x_least = -0.6;
  g->f.x_most = (double)count - 0.4;
  g->f.y_most = most * 1.14;
  char name[96];
  name_series(d, best_row, name, sizeof name);
  if (!isnan(base) && (ptrdiff_t)best_row != d->baseline)
    figure_set_text(&g->f, "title_text", b->title, name, best / base, best_ideal / base);
  else
    figure_set_text(&g->f, "title_text", "%s", c->heading);
  figure_set_text(&g->f, "ideal_text", "%s", isnan(base) ? "" : b->ideal);
  figure_set_text(&g->f, "x_label", "%s", "");
  figure_set_text(&g->f, "y_label", "%s (%s)", c->heading, c->unit);
  figure_set_number(&g->f, "right_edge", isnan(base) ? 0.97 : g->f.is_column ? 0.78 : 0.85);
  figure_set_number(&g->f, "bars", (double)count);
  strbuf_format(&g->f.variables, "$bars << EOD\n%sEOD\n$ideal << EOD\n%sEOD\n", bar_block.data,
                ideal_block.data);
cleanup:
  strbuf_free(&bar_block);
  strbuf_free(&ideal_block);
  return error;
}

static err draw_throughput(drawing *g) {
  static const bars b = {"samples_per_second",
                         "%s trains %.2f× as fast; its FLOPs alone would allow %.2f×",
                         "FLOPs alone", true};
  return draw_bars(g, &b);
}

static err draw_memory(drawing *g) {
  static const bars b = {"peak_memory", "%s needs %.2f of the memory; its FLOPs fall to %.2f",
                         "FLOPs alone", false};
  return draw_bars(g, &b);
}

/* ---- all of them ---- */

static const plot_figure names[] = {
    {"accuracy_vs_time", "accuracy against training time, with the iso-accuracy speed-up"},
    {"accuracy_vs_samples", "accuracy at equal samples seen: what masking costs"},
    {"throughput", "samples a second, beside what the FLOPs alone would allow"},
    {"memory", "peak memory, beside the fall of the FLOPs"},
    {"loss", "training loss by samples seen"}};
static err (*const drawers[])(drawing *) = {draw_accuracy_vs_time, draw_accuracy_vs_samples,
                                            draw_throughput, draw_memory, draw_loss};
enum { FIGURE_COUNT = sizeof names / sizeof *names };
_Static_assert(FIGURE_COUNT == sizeof drawers / sizeof *drawers, "a drawer for each figure");

const plot_figure *plot_figures(size_t *count) {
  *count = FIGURE_COUNT;
  return names;
}

static err draw_one(const report_data *d, const report_table *t, const plot_options *options,
                    size_t index, spec_names *drawn, strbuf *skipped) {
  drawing g = {.d = d, .t = t, .f = {.is_column = options->is_column}};
  err error = NULL;
  set_source(&g);
  TRY(drawers[index](&g));
  if (g.f.has_data) {
    TRY(figure_draw(&g.f, names[index].name, options->folder, options->formats,
                    options->template_path));
    TRY(spec_names_add(drawn, names[index].name));
  } else {
    strbuf_format(skipped, "%s: no finished cell has its numbers\n", names[index].name);
  }
cleanup:
  figure_free(&g.f);
  return error;
}

err plot_all(const spec_experiment *e, store *s, const plot_options *options, spec_names *drawn,
             strbuf *skipped) {
  report_data d = {0};
  report_table *t = NULL;
  err error = NULL;
  TRY(fs_make_folders(options->folder));
  TRY(data_load(e, s, &d));
  TRY(report_build(e, s, &t));
  for (size_t i = 0; i < FIGURE_COUNT; i++) {
    bool is_wanted = options->figure && strcmp(options->figure, names[i].name) == 0;
    for (size_t k = 0; !options->figure && k < e->report.plots.count; k++)
      is_wanted = is_wanted || strcmp(e->report.plots.items[k], names[i].name) == 0;
    if (is_wanted) TRY(draw_one(&d, t, options, i, drawn, skipped));
  }
cleanup:
  report_free(t);
  data_free(&d);
  return error;
}
