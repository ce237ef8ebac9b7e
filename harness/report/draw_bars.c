/* Horizontal bars: a number per row with its interval; a speed next to what the FLOPs alone would
 * give; of the memory of a process the part that training plans. Horizontal, so that long names
 * fit. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "report/drawing.h"
#include "report/findings.h"
#include "report/measure.h"

typedef struct {
  const char *column, *ratio; /* the ratio to the baseline */
  const char *more, *less;    /* titles: "%s trains %.2f× as fast as %s" */
  bool rises_with_speed;      /* where the FLOPs predict a value */
  const char *part;           /* a column of what is included in the value, or NULL */
} bars;

typedef struct {
  size_t row;
  double at, ideal, part; /* part: NaN where none is shown */
  int colour;
  data_measure value, ratio;
  char name[96], text[128], planned[64]; /* planned: a part's text, which follows the other */
} bar;

/* A part is shown where it is not nearly all of the value. */
static const double most_part = 0.9;

/* " · 1.45× [1.44, 1.46]", " · 1.45× [1.20 or more]"; without a bound on either side, no number. */
static void write_ratio(const data_measure *ratio, char *text, size_t room) {
  strbuf range = {0};
  findings_name_range(ratio->low, ratio->high, &range);
  if (isfinite(ratio->high))
    snprintf(text, room, " · %.2f× [%.2f, %.2f]", ratio->value, ratio->low, ratio->high);
  else if (ratio->low > 0)
    snprintf(text, room, " · %.2f× [%s]", ratio->value, strbuf_string(&range));
  else
    snprintf(text, room, " · ratio not determined");
  strbuf_free(&range);
}

/* "1,426 samples/s · 1.45× [1.44, 1.46]" */
static void write_text(const column *c, bool is_baseline, bool is_short, bar *b) {
  char number[32];
  drawing_number(b->value.value, c->digits, number, sizeof number);
  int used = snprintf(b->text, sizeof b->text, "%s", number);
  if (is_baseline || isnan(b->ratio.value) || used < 0) return;
  size_t room = sizeof b->text - (size_t)used;
  if (isnan(b->ratio.low) || is_short)
    snprintf(b->text + used, room, " · %.2f×", b->ratio.value);
  else
    write_ratio(&b->ratio, b->text + used, room);
}

/* The first rows that have a value, with it; how many have none is told. */
static err find_rows(drawing *g, const column *c, bar made[FIGURE_MOST_SERIES], size_t *count) {
  size_t found = 0, all = g->d->row_count;
  for (size_t row = 0; row < all; row++) {
    data_measure m;
    err error = measure_row(g->d, row, c, &m);
    if (error) return error;
    if (!isfinite(m.value)) continue;
    if (found < FIGURE_MOST_SERIES)
      made[found] = (bar){.row = row, .ideal = NAN, .part = NAN, .value = m};
    found++;
  }
  if (found && found < all)
    strbuf_format(&g->f.left_out, "%zu row%s left out: no value", all - found,
                  all - found == 1 ? "" : "s");
  *count = figure_limit(&g->f, found, "rows");
  return NULL;
}

/* Parts of all bars, if each has one and one of them is worth it. */
static err find_parts(const drawing *g, const char *name, bar *made, size_t count) {
  bool are_shown = false, are_known = true;
  for (size_t i = 0; i < count; i++) {
    data_measure part;
    err error = measure_row(g->d, made[i].row, columns_find(name), &part);
    if (error) return error;
    made[i].part = part.value;
    are_known = are_known && part.value <= made[i].value.value;
    are_shown = are_shown || part.value < most_part * made[i].value.value;
  }
  for (size_t i = 0; i < count && !(are_shown && are_known); i++) made[i].part = NAN;
  return NULL;
}

/* "; planned 172 · 0.36×": the ratio is exact, without an interval. */
static void write_part(const column *c, double base, bool is_baseline, bar *b) {
  char number[32];
  drawing_number(b->part, c->digits, number, sizeof number);
  if (is_baseline || !(base > 0))
    snprintf(b->planned, sizeof b->planned, "; planned %s", number);
  else
    snprintf(b->planned, sizeof b->planned, "; planned %s · %.2f×", number, b->part / base);
}

static err measure_bars(drawing *g, const bars *b, bar *made, size_t *count) {
  report_data *d = g->d;
  const column *c = columns_find(b->column), *flops = columns_find("flops_per_sample");
  data_measure base = {.value = NAN}, base_flops = {.value = NAN}, own_flops;
  data_measure base_part = {.value = NAN};
  err error = NULL;
  double at = 0;
  *count = 0;
  TRY(find_rows(g, c, made, count));
  if (b->part) TRY(find_parts(g, b->part, made, *count));
  if (b->part && d->baseline >= 0)
    TRY(measure_row(d, (size_t)d->baseline, columns_find(b->part), &base_part));
  if (d->baseline >= 0) {
    TRY(measure_row(d, (size_t)d->baseline, c, &base));
    TRY(measure_row(d, (size_t)d->baseline, flops, &base_flops));
  }
  for (size_t i = 0; i < *count; i++) {
    bar *own = &made[i];
    const size_t row = own->row;
    TRY(measure_row(d, row, flops, &own_flops));
    TRY(measure_row(d, row, columns_find(b->ratio), &own->ratio));
    if ((ptrdiff_t)row != d->baseline && d->baseline >= 0 && b->rises_with_speed &&
        data_is_comparable(d, row, (size_t)d->baseline, true))
      own->ideal = base.value * base_flops.value / own_flops.value;
    /* with two keys, a gap where the first one changes */
    if (i && g->t->key_count > 1 &&
        strcmp(g->t->rows[row].keys[0], g->t->rows[own[-1].row].keys[0]) != 0)
      at += 0.5;
    own->at = at++;
    drawing_name_row(g, row, own->name, sizeof own->name);
    bool is_baseline = (ptrdiff_t)row == d->baseline;
    write_text(c, is_baseline, g->f.is_column, own);
    if (isnan(own->part) || g->f.is_column) continue;
    const bool has_ratio =
        d->baseline >= 0 && data_has_comparable_memory(d, row, (size_t)d->baseline);
    write_part(c, has_ratio ? base_part.value : (double)NAN, is_baseline, own);
  }
cleanup:
  return error;
}

/* The title states the greatest (or least) ratio whose interval excludes 1. */
static void set_title(drawing *g, const bars *b, const bar *made, size_t count) {
  const column *c = columns_find(b->column);
  const bar *best = NULL;
  char base[96] = "";
  for (size_t i = 0; i < count; i++) {
    double ratio = made[i].ratio.value;
    finding told = findings_of(made[i].ratio.low, made[i].ratio.high, 1);
    if (told != (b->rises_with_speed ? FINDING_ABOVE : FINDING_BELOW)) continue;
    if (!best || (b->rises_with_speed ? ratio > best->ratio.value : ratio < best->ratio.value))
      best = &made[i];
  }
  if (g->d->baseline >= 0) drawing_name_row(g, (size_t)g->d->baseline, base, sizeof base);
  strbuf text = {0}, shorter = {0};
  if (best) {
    strbuf_format(&text, "%s %s %.2f%s %s", best->name, b->more, best->ratio.value, b->less, base);
    strbuf_format(&shorter, "%s %s %.2f%s the baseline", best->name, b->more, best->ratio.value,
                  b->less);
  } else {
    strbuf_format(&text, "%s by row", c->heading);
  }
  figure_set_title(&g->f, strbuf_string(&text), best ? strbuf_string(&shorter) : NULL);
  strbuf_free(&text);
  strbuf_free(&shorter);
}

/* Names longer than `room`, a share of the figure, are cut. */
static void shorten_names(figure *f, bar *made, size_t count, double size, double room) {
  for (size_t i = 0; i < count; i++)
    figure_fit_name(f, made[i].name, sizeof made[i].name, size, room);
}

/* The widest text with what is planned, as a share of the figure in letters of 11.5 points. */
static double widest_text(const figure *f, const bar *made, size_t count) {
  double widest = 0;
  for (size_t i = 0; i < count; i++)
    widest =
        fmax(widest, figure_text_share(f, made[i].text) + figure_text_share(f, made[i].planned));
  return widest;
}

/* Where names and texts leave no room for bars, these show alone what is planned, and if that is
 * not enough, names are cut: numbers are not. Returns the width of the texts. */
static double set_left_edge(figure *f, bar *made, size_t count, double size) {
  const double margin = f->is_column ? 0.06 : 0.05, gap = 0.03, small = size / 11.5;
  const double most_left = 0.5, least_left = 0.2, most_texts = 0.7; /* texts: of the plot */
  double names = 0, texts = small * widest_text(f, made, count) + gap;
  for (size_t i = 0; i < count; i++)
    names = fmax(names, figure_text_share(f, made[i].name) * small);
  if (fmin(margin + names, most_left) + texts / most_texts > f->right_edge) {
    for (size_t i = 0; i < count; i++) made[i].planned[0] = '\0';
    texts = small * widest_text(f, made, count) + gap;
  }
  const double left = fmin(most_left, f->right_edge - texts / most_texts);
  f->left_edge = fmin(margin + names, fmax(left, least_left));
  shorten_names(f, made, count, size, f->left_edge - margin);
  return texts;
}

/* Division of the plot: names on the left, texts right of the bars. */
static void lay_out(figure *f, bar *made, size_t count) {
  const double size =
      f->is_column ? fmin(9.5, 100.0 / (double)count) : fmin(11.5, 190.0 / (double)count);
  double most = 0;
  for (size_t i = 0; i < count; i++) {
    double high = isfinite(made[i].value.high) ? made[i].value.high : made[i].value.value;
    most = fmax(most, fmax(high, isnan(made[i].ideal) ? 0 : made[i].ideal));
  }
  f->right_edge = 0.97;
  const double texts = set_left_edge(f, made, count, size);
  const double share = fmin(texts / (f->right_edge - f->left_edge), 0.8);
  f->x_least = 0;
  f->x_most = (most > 0 ? most : 1) / (1 - share);
  f->y_least = made[count - 1].at + 0.6; /* the first row is the topmost */
  f->y_most = -0.6;
  figure_set_number(f, "name_size", size);
}

/* With two keys, bars that differ only in the first one share a colour. */
static void colour_bars(const drawing *g, bar *made, size_t count) {
  int kinds = 0;
  for (size_t i = 0; i < count; i++) {
    made[i].colour = -1;
    for (size_t k = 0; k < i && g->t->key_count > 1; k++)
      if (drawing_is_alike(g, made[i].row, made[k].row, 1, true)) made[i].colour = made[k].colour;
    if (g->t->key_count < 2) made[i].colour = (int)made[i].row;
    if (made[i].colour < 0) made[i].colour = kinds++;
  }
}

static err draw_bars(drawing *g, const bars *b) {
  const column *c = columns_find(b->column);
  bar made[FIGURE_MOST_SERIES];
  strbuf bar_block = {0}, ideal_block = {0}, part_block = {0};
  size_t count;
  bool has_interval = false, has_ideal = false, has_part = false;
  err error = measure_bars(g, b, made, &count);
  if (error || !count) return error;
  g->f.has_data = true;
  set_title(g, b, made, count); /* with names that have not been cut */
  lay_out(&g->f, made, count);
  colour_bars(g, made, count);
  for (size_t i = 0; i < count; i++) {
    const bar *own = &made[i];
    bool has_ends = isfinite(own->value.low) && isfinite(own->value.high);
    double end =
        fmax(has_ends ? own->value.high : own->value.value, isnan(own->ideal) ? 0 : own->ideal);
    has_interval = has_interval || has_ends;
    has_ideal = has_ideal || !isnan(own->ideal);
    strbuf_format(&bar_block, "%.10g %.10g %.10g %.10g \"%s\" \"%s%s\" %.10g %d\n", own->at,
                  own->value.value, has_ends ? own->value.low : NAN,
                  has_ends ? own->value.high : NAN, own->name, own->text, own->planned,
                  end + (g->f.is_column ? 0.022 : 0.012) * g->f.x_most, own->colour);
    if (!isnan(own->ideal)) strbuf_format(&ideal_block, "%.10g %.10g\n", own->at, own->ideal);
    has_part = has_part || !isnan(own->part);
    strbuf_format(&part_block, "%.10g %.10g %d\n", own->at, own->part, own->colour);
  }
  if (!has_ideal) strbuf_append(&ideal_block, "0 NaN\n");
  figure_set_number(&g->f, "has_part", has_part);
  figure_set_text(&g->f, "x_label", "%s (%s)%s%s%s", c->heading, c->unit,
                  has_part && g->f.is_column ? ", darker: planned"
                  : has_part                 ? ", darker: planned for training"
                                             : "",
                  has_ideal && !g->f.is_column ? "; dashed: FLOPs alone" : "",
                  has_interval && !g->f.is_column ? "; line: 95 % interval" : "");
  figure_set_text(&g->f, "y_label", "%s", "");
  strbuf_format(&g->f.variables, "$bars << EOD\n%sEOD\n$ideal << EOD\n%sEOD\n$part << EOD\n%sEOD\n",
                bar_block.data, ideal_block.data, part_block.data);
  strbuf_free(&bar_block);
  strbuf_free(&ideal_block);
  strbuf_free(&part_block);
  return NULL;
}

err drawing_throughput(drawing *g) {
  static const bars b = {"samples_per_second", "speedup", "trains", "× as fast as", true, NULL};
  return draw_bars(g, &b);
}

err drawing_memory(drawing *g) {
  static const bars b = {"peak_memory",     "memory_ratio", "needs",
                         "× the memory of", false,          "planned_memory"};
  return draw_bars(g, &b);
}
