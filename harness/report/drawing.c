#include "report/drawing.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "report/write.h"

double drawing_time_unit(double longest, const char **name) {
  *name = longest < 180 ? "seconds" : longest < 3 * 3600 ? "minutes" : "hours";
  return longest < 180 ? 1 : longest < 3 * 3600 ? 60 : 3600;
}

double drawing_count_unit(double most, const char **name) {
  *name = most < 1e4 ? "samples" : most < 1e7 ? "thousand samples" : "million samples";
  return most < 1e4 ? 1 : most < 1e7 ? 1e3 : 1e6;
}

static bool has_heading(const drawing *g, size_t k) {
  return settings_find(g->t->key_names[k]) || spec_is_ranks_key(g->t->key_names[k]);
}

void drawing_shorten_names(drawing *g) {
  const double room = g->f.is_column ? 0.74 : 0.6; /* in the smallest letters of a legend */
  bool has_headings = false;
  for (size_t k = 0; k < g->t->key_count; k++) has_headings = has_headings || has_heading(g, k);
  for (size_t row = 0; row < g->t->row_count && has_headings && g->t->key_count > 1; row++) {
    strbuf name = {0};
    data_name_row(g->d, row, &name);
    g->is_brief = g->is_brief || figure_text_share(&g->f, strbuf_string(&name)) > room;
    if (name.is_broken) g->f.ends.is_broken = true;
    strbuf_free(&name);
  }
}

void drawing_name_keys(const drawing *g, strbuf *out) {
  for (size_t k = 0; k < g->t->key_count && g->is_brief; k++)
    strbuf_format(out, "%s%s", k ? ", " : "rows: ", g->t->key_headings[k]);
}

bool drawing_is_alike(const drawing *g, size_t a, size_t b, size_t count, bool is_rest) {
  for (size_t k = is_rest ? count : 0; k < (is_rest ? g->t->key_count : count); k++)
    if (strcmp(g->t->rows[a].keys[k], g->t->rows[b].keys[k]) != 0) return false;
  return true;
}

void drawing_name_row(const drawing *g, size_t row, char *text, size_t size) {
  strbuf name = {0};
  const report_row *r = &g->t->rows[row];
  if (!g->is_brief) data_name_row(g->d, row, &name);
  for (size_t k = 0; k < g->t->key_count && g->is_brief; k++)
    strbuf_format(&name, "%s%s", k ? ", " : "", r->keys[k]);
  report_add_marks(r->disturbed > 0, r->has_other_inputs, &name);
  figure_keep_name(&name, text, size);
}

void drawing_name_part(const drawing *g, size_t row, size_t count, bool is_rest, char *text,
                       size_t size) {
  const report_row *r = &g->t->rows[row];
  strbuf name = {0};
  for (size_t k = is_rest ? count : 0; k < (is_rest ? g->t->key_count : count); k++) {
    if (name.length) strbuf_append(&name, ", ");
    if (has_heading(g, k)) strbuf_format(&name, "%s ", g->t->key_headings[k]);
    strbuf_append(&name, r->keys[k]);
  }
  figure_keep_name(&name, text, size);
}

void drawing_number(double value, int digits, char *text, size_t size) {
  if (value >= 999.5 && value < 999999.5)
    snprintf(text, size, "%d,%03d", (int)(value + 0.5) / 1000, (int)(value + 0.5) % 1000);
  else if (value >= 100 || value < 0.001)
    snprintf(text, size, "%.3g", value);
  else if (digits == 0 && value < 10)
    snprintf(text, size, "%.2g", value);
  else
    snprintf(text, size, "%.*f", digits, value);
}

void drawing_start_range(figure *f) {
  f->x_least = f->y_least = INFINITY;
  f->x_most = f->y_most = -INFINITY;
}

void drawing_widen(figure *f, double x, double low, double high) {
  if (!isfinite(x) || (!isfinite(low) && !isfinite(high))) return;
  f->x_least = fmin(f->x_least, x);
  f->x_most = fmax(f->x_most, x);
  f->y_least = fmin(f->y_least, low);
  if (isfinite(high)) f->y_most = fmax(f->y_most, high);
}

bool drawing_pad(figure *f, bool is_from_zero) {
  if (!isfinite(f->x_most) || !isfinite(f->y_most) || !isfinite(f->y_least)) return false;
  if (is_from_zero) f->x_least = fmin(f->x_least, 0);
  if (is_from_zero) f->y_least = fmin(f->y_least, 0);
  double span = f->y_most - f->y_least, width = f->x_most - f->x_least;
  if (!(span > 0)) span = fabs(f->y_most) > 0 ? fabs(f->y_most) : 1;
  if (!(width > 0)) width = fabs(f->x_most) > 0 ? fabs(f->x_most) : 1;
  if (!is_from_zero || f->y_least < 0) f->y_least -= 0.06 * span;
  f->y_most += 0.09 * span;
  if (!is_from_zero) f->x_least -= 0.04 * width;
  f->x_most += 0.02 * width;
  return true;
}

void drawing_set_right_edge(figure *f, const figure_end *ends, size_t count) {
  double longest = 0;
  for (size_t i = 0; i < count; i++) longest = fmax(longest, figure_text_share(f, ends[i].text));
  f->right_edge = fmax(0.6, 0.96 - longest);
}
