/* What a table leaves empty, and why. */
#include <math.h>
#include <string.h>

#include "report/write.h"

/* Why a row with results has no value; NULL: it has, or it is the baseline's speed-up over itself.
 */
static const char *reason_at(const report_table *t, size_t r, size_t c) {
  const char *reason = t->rows[r].finished ? t->rows[r].values[c].missing : NULL;
  return reason == report_is_baseline ? NULL : reason;
}

/* Are the same columns of both rows empty for this reason? */
static bool has_same_gaps(const report_table *t, size_t a, size_t b, const char *reason) {
  for (size_t c = 0; c < t->column_count; c++)
    if ((reason_at(t, a, c) == reason) != (reason_at(t, b, c) == reason)) return false;
  return true;
}

/* " of mask 50 %, way grid ‡": the mark may be all that two rows differ in. */
static void name_row(const report_table *t, size_t r, const char *before, strbuf *out) {
  const report_row *row = &t->rows[r];
  for (size_t k = 0; k < t->key_count; k++)
    strbuf_format(out, "%s%s %s", k ? ", " : before, t->key_headings[k], row->keys[k]);
  report_add_marks(false, row->has_other_inputs, out);
}

/* "loss", or, where another column has the same heading, with its unit: "time (s)". */
static void name_column(const report_table *t, size_t c, strbuf *out) {
  const report_column *own = &t->columns[c];
  size_t alike = 0;
  for (size_t other = 0; other < t->column_count; other++)
    alike += strcmp(t->columns[other].heading, own->heading) == 0;
  strbuf_append(out, own->heading);
  if (alike > 1 && own->unit && *own->unit) strbuf_format(out, " (%s)", own->unit);
}

/* "mask 50 %, way grid; mask 75 %, way grid; and 9 more rows": row r and those after it that have
 * the same gaps. */
static void name_rows_like(const report_table *t, size_t r, const char *reason, strbuf *out) {
  enum { MOST_NAMED = 4 };
  size_t count = 0, named = 0;
  for (size_t other = r; other < t->row_count; other++) count += has_same_gaps(t, r, other, reason);
  for (size_t other = r; other < t->row_count; other++) {
    if (!has_same_gaps(t, r, other, reason)) continue;
    if (named == MOST_NAMED - 1 && count > MOST_NAMED) {
      strbuf_format(out, "; and %zu more rows", count - named);
      return;
    }
    name_row(t, other, named++ ? "; " : " of ", out);
  }
}

static void name_columns(const report_table *t, size_t r, size_t first, const char *reason,
                         strbuf *out) {
  for (size_t c = first; c < t->column_count; c++) {
    if (reason_at(t, r, c) != reason) continue;
    if (c > first) strbuf_append(out, ", ");
    name_column(t, c, out);
  }
}

/* Values of fewer seeds than have finished. */
static void list_partial(const report_table *t, strbuf *out) {
  for (size_t r = 0; r < t->row_count; r++)
    for (size_t c = 0; c < t->column_count; c++) {
      const report_value *v = &t->rows[r].values[c];
      if (isnan(v->value) || !v->seeds || v->seeds >= t->rows[r].finished) continue;
      name_column(t, c, out);
      name_row(t, r, " of ", out);
      strbuf_format(out, ": of %zu of the %zu seeds that have finished\n", v->seeds,
                    t->rows[r].finished);
    }
}

void report_gaps(const report_table *t, strbuf *out) {
  for (size_t r = 0; r < t->row_count; r++)
    for (size_t c = 0; c < t->column_count; c++) {
      const char *reason = reason_at(t, r, c);
      for (size_t before = 0; before < c && reason; before++)
        if (reason_at(t, r, before) == reason) reason = NULL; /* listed with that one */
      for (size_t before = 0; before < r && reason; before++)
        if (has_same_gaps(t, before, r, reason)) reason = NULL; /* with that row */
      if (!reason) continue;
      name_columns(t, r, c, reason, out);
      name_rows_like(t, r, reason, out);
      strbuf_format(out, ": %s\n", reason);
    }
  list_partial(t, out);
}
