/* The table for a terminal: aligned decimals, wrapped headings, split into parts that fit the
 * width. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "report/write.h"

enum { GAP = 2, MOST_HEADING_LINES = 4, LONGEST_CELL = 160 };

enum { MOST_MORE = 3 };

/* As many more than the column's that the interval has a width, unless that is rounding; or,
 * without one, that a number below ten in a column of whole numbers has two digits that count. */
static int shown_digits(const report_column *c, const report_value *v) {
  double half = isnan(v->half_width) ? (v->high - v->low) / 2 : v->half_width;
  int digits = c->digits;
  while (half > 1e-9 * fabs(v->value) && half * pow(10, digits) < 0.5 &&
         digits < c->digits + MOST_MORE)
    digits++;
  const double size = fabs(v->value);
  const bool is_whole = fabs(v->value - round(v->value)) <= 1e-9 * size;
  if (isnan(half) && c->digits == 0 && !is_whole)
    while (size * pow(10, digits) < 9.95 && digits < MOST_MORE) digits++;
  return digits;
}

/* A published number is printed as it was published: with fewer digits it would be another one. */
static int published_digits(const report_column *c, double published) {
  int digits = c->digits;
  while (digits < c->digits + MOST_MORE) {
    const double shift = pow(10, digits), shown = round(published * shift) / shift;
    if (fabs(shown - published) <= 1e-9 * fabs(published)) break;
    digits++;
  }
  return digits;
}

void report_format_signed(double value, int digits, strbuf *out) {
  const bool is_zero = round(fabs(value) * pow(10, digits)) <= 0;
  strbuf_format(out, "%s%.*f", is_zero ? "" : value < 0 ? "−" : "+", digits, fabs(value));
}

void report_format_value(const report_column *c, const report_value *v, strbuf *out) {
  const int digits = shown_digits(c, v);
  report_format_bare(c, v, out);
  if (!isnan(v->half_width))
    strbuf_format(out, " ± %.*f", digits, v->half_width);
  else if (isinf(v->high))
    strbuf_format(out, " [%.*f, ∞]", digits, v->low);
  else if (!isnan(v->low))
    strbuf_format(out, " [%.*f, %.*f]", digits, v->low, digits, v->high);
}

void report_format_bare(const report_column *c, const report_value *v, strbuf *out) {
  if (v->text)
    strbuf_append(out, v->text);
  else if (isnan(v->value))
    strbuf_append(out, "–");
  else
    strbuf_format(out, "%.*f", shown_digits(c, v), v->value);
}

void report_add_marks(bool is_disturbed, bool has_other_inputs, strbuf *out) {
  if ((is_disturbed || has_other_inputs) && out->length) strbuf_append_char(out, ' ');
  strbuf_format(out, "%s%s", is_disturbed ? "†" : "", has_other_inputs ? "‡" : "");
}

void report_format_key(const report_row *row, size_t key, strbuf *out) {
  strbuf_append(out, row->keys[key]);
  if (!key) report_add_marks(row->disturbed > 0, row->has_other_inputs, out);
}

const char *report_reference_note(const report_table *t) {
  return t->reference_note ? t->reference_note : "";
}

double report_reference_difference(const report_value *v) {
  const bool is_unbounded = isinf(v->high) && !(v->low > 0);
  return is_unbounded ? (double)NAN : v->value - v->reference;
}

void report_format_reference(const report_column *c, const report_value *v, strbuf *out) {
  if (isnan(v->reference)) return;
  double difference = report_reference_difference(v);
  const int own = shown_digits(c, v), digits = published_digits(c, v->reference);
  strbuf_format(out, "%s%.*f", v->is_reference_verified ? "" : "~", digits, v->reference);
  if (isnan(difference)) return;
  strbuf_append(out, ", ");
  report_format_signed(difference, own > digits ? own : digits, out);
}

/* A column is laid out as measured value | interval | (published), each as wide as its widest
 * entry, so that decimals are aligned. */
typedef struct {
  size_t value_width, interval_width, reference_width, width;
  char heading[MOST_HEADING_LINES][64];
  size_t heading_lines;
} layout;

static size_t width_of(const char *text) {
  return text_columns(text);
}

static void widen(size_t *width, size_t other) {
  if (other > *width) *width = other;
}

static void append_spaces(strbuf *out, size_t count) {
  while (count-- > 0) strbuf_append_char(out, ' ');
}

static void append_right(strbuf *out, const char *text, size_t width) {
  size_t own = width_of(text);
  append_spaces(out, width > own ? width - own : 0);
  strbuf_append(out, text);
}

static void append_left(strbuf *out, const char *text, size_t width) {
  size_t own = width_of(text);
  strbuf_append(out, text);
  append_spaces(out, width > own ? width - own : 0);
}

/* Measured value without its interval, the interval, and the reference, as three texts. */
static void split_value(const report_column *c, const report_value *v, strbuf parts[3]) {
  for (int i = 0; i < 3; i++) strbuf_clear(&parts[i]);
  report_format_value(c, v, &parts[1]);
  report_format_bare(c, v, &parts[0]);
  char *interval = parts[1].data ? parts[1].data + parts[0].length : NULL;
  if (interval) {
    memmove(parts[1].data, interval, strlen(interval) + 1);
    parts[1].length -= parts[0].length;
  }
  if (!isnan(v->reference)) {
    strbuf_append(&parts[2], " (");
    report_format_reference(c, v, &parts[2]);
    strbuf_append_char(&parts[2], ')');
  }
}

/* Wraps the heading into lines no wider than `width` where possible; the unit goes last. */
static void wrap_heading(const char *heading, const char *unit, size_t width, layout *l) {
  char words[256];
  snprintf(words, sizeof words, "%s", heading);
  char *rest = words, *word;
  l->heading_lines = 0;
  while ((word = strsep(&rest, " "))) {
    char *line = l->heading_lines ? l->heading[l->heading_lines - 1] : NULL;
    bool fits = line && width_of(line) + 1 + width_of(word) <= width;
    if (!fits && l->heading_lines < MOST_HEADING_LINES - 1) {
      line = l->heading[l->heading_lines++];
      line[0] = '\0';
    }
    size_t used = strlen(line);
    snprintf(line + used, sizeof l->heading[0] - used, "%s%s", used ? " " : "", word);
  }
  if (*unit) snprintf(l->heading[l->heading_lines++], sizeof l->heading[0], "%s", unit);
  for (size_t i = 0; i < l->heading_lines; i++) widen(&l->width, width_of(l->heading[i]));
}

static void lay_out_column(const report_table *t, size_t c, layout *l) {
  strbuf parts[3] = {0};
  *l = (layout){0};
  for (size_t r = 0; r < t->row_count; r++) {
    split_value(&t->columns[c], &t->rows[r].values[c], parts);
    widen(&l->value_width, width_of(strbuf_string(&parts[0])));
    widen(&l->interval_width, width_of(strbuf_string(&parts[1])));
    widen(&l->reference_width, width_of(strbuf_string(&parts[2])));
  }
  for (int i = 0; i < 3; i++) strbuf_free(&parts[i]);
  l->width = l->value_width + l->interval_width + l->reference_width;
  wrap_heading(t->columns[c].heading, t->columns[c].unit, l->width > 9 ? l->width : 9, l);
}

static void append_value(const report_table *t, size_t r, size_t c, const layout *l,
                         const report_style *style, strbuf *out) {
  const report_value *v = &t->rows[r].values[c];
  strbuf parts[3] = {0};
  split_value(&t->columns[c], v, parts);
  bool is_bold = style->has_colour && v->is_best;
  append_spaces(out, l->width - l->value_width - l->interval_width - l->reference_width);
  if (is_bold) strbuf_append(out, "\033[1m");
  append_right(out, strbuf_string(&parts[0]), l->value_width);
  if (is_bold) strbuf_append(out, "\033[0m");
  append_left(out, strbuf_string(&parts[1]), l->interval_width);
  append_left(out, strbuf_string(&parts[2]), l->reference_width);
  for (int i = 0; i < 3; i++) strbuf_free(&parts[i]);
}

static void trim_line(strbuf *out) {
  while (out->length && out->data[out->length - 1] == ' ') out->data[--out->length] = '\0';
  strbuf_append_char(out, '\n');
}

/* Columns [first, last), preceded by the rows' names. */
static void write_part(const report_table *t, const layout *layouts, const size_t *key_widths,
                       size_t first, size_t last, const report_style *style, strbuf *out) {
  size_t lines = 1, total = 0;
  for (size_t k = 0; k < t->key_count; k++) total += key_widths[k] + GAP;
  for (size_t c = first; c < last; c++) {
    widen(&lines, layouts[c].heading_lines);
    total += layouts[c].width + GAP;
  }
  for (size_t line = 0; line < lines; line++) {
    for (size_t k = 0; k < t->key_count; k++) {
      append_right(out, line + 1 == lines ? t->key_headings[k] : "", key_widths[k]);
      append_spaces(out, GAP);
    }
    for (size_t c = first; c < last; c++) {
      size_t skipped = lines - layouts[c].heading_lines;
      append_right(out, line < skipped ? "" : layouts[c].heading[line - skipped], layouts[c].width);
      append_spaces(out, GAP);
    }
    trim_line(out);
  }
  for (size_t i = GAP; i < total; i++) strbuf_append(out, "─");
  strbuf_append_char(out, '\n');
  for (size_t r = 0; r < t->row_count; r++) {
    for (size_t k = 0; k < t->key_count; k++) {
      strbuf name = {0};
      report_format_key(&t->rows[r], k, &name);
      append_right(out, strbuf_string(&name), key_widths[k]);
      strbuf_free(&name);
      append_spaces(out, GAP);
    }
    for (size_t c = first; c < last; c++) {
      append_value(t, r, c, &layouts[c], style, out);
      append_spaces(out, GAP);
    }
    trim_line(out);
  }
}

static void write_dashed(const char *lines, strbuf *out) {
  for (const char *at = lines; at && *at;) {
    size_t length = strcspn(at, "\n");
    strbuf_format(out, "– %.*s\n", (int)length, at);
    at += length + (at[length] == '\n');
  }
}

static void write_gaps(const report_table *t, strbuf *out) {
  strbuf lines = {0};
  report_gaps(t, &lines);
  write_dashed(strbuf_string(&lines), out);
  out->is_broken = out->is_broken || lines.is_broken;
  strbuf_free(&lines);
}

static void write_notes(const report_table *t, strbuf *out) {
  for (size_t r = 0; r < t->row_count; r++) write_dashed(t->rows[r].missing, out);
  if (t->source)
    strbuf_format(out, "(in brackets: %s, and the difference from it%s%s)\n", t->source,
                  report_reference_note(t), t->has_unverified ? "; ~ unverified" : "");
  write_gaps(t, out);
  const report_notes *n = &t->notes;
  const char *const notes[] = {n->mixed, n->disturbed, n->iso,       n->accuracy,
                               n->basis, n->recorded,  n->provenance};
  for (size_t i = 0; i < sizeof notes / sizeof *notes; i++)
    if (notes[i]) strbuf_format(out, "%s\n", notes[i]);
}

void report_write_text(const report_table *t, const report_style *style, strbuf *out) {
  layout *layouts = mem_zeroed(t->column_count, sizeof *layouts);
  size_t *key_widths = mem_zeroed(t->key_count, sizeof *key_widths), names = 0;
  if (!layouts || !key_widths) {
    out->is_broken = true;
    goto cleanup;
  }
  for (size_t c = 0; c < t->column_count; c++) lay_out_column(t, c, &layouts[c]);
  for (size_t k = 0; k < t->key_count; k++) {
    widen(&key_widths[k], width_of(t->key_headings[k]));
    for (size_t r = 0; r < t->row_count; r++) {
      strbuf name = {0};
      report_format_key(&t->rows[r], k, &name);
      widen(&key_widths[k], width_of(strbuf_string(&name)));
      strbuf_free(&name);
    }
    names += key_widths[k] + GAP;
  }
  strbuf_format(out, "%s%s%s\n\n", style->has_colour ? "\033[1m" : "", t->title,
                style->has_colour ? "\033[0m" : "");
  size_t first = 0;
  do { /* once also where the names of the rows are all that is shown */
    size_t last = first, total = names;
    while (last < t->column_count && (last == first || !style->columns ||
                                      total + layouts[last].width <= (size_t)style->columns))
      total += layouts[last++].width + GAP;
    if (first) strbuf_append_char(out, '\n');
    write_part(t, layouts, key_widths, first, last, style, out);
    first = last;
  } while (first < t->column_count);
  strbuf_append_char(out, '\n');
  write_notes(t, out);
cleanup:
  free(layouts);
  free(key_widths);
}
