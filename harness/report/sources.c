#include "report/sources.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"

static bool is_same(const char *a, const char *b) {
  return a && b ? strcmp(a, b) == 0 : a == b;
}

static const report_value *value_at(const report_table *t, size_t r, size_t c) {
  return &t->rows[r].values[c];
}

/* Has the column a published value of this source, or with `is_other` one of another? */
static bool has_source(const report_table *t, size_t c, const char *source, bool is_other) {
  for (size_t r = 0; r < t->row_count; r++) {
    const report_value *v = value_at(t, r, c);
    if (!isnan(v->reference) && is_same(v->reference_source, source) != is_other) return true;
  }
  return false;
}

/* " of method CLIP; method FLIP": the rows with a value of this source. */
static void name_rows(const report_table *t, size_t c, const char *source, strbuf *out) {
  bool is_first = true;
  for (size_t r = 0; r < t->row_count; r++) {
    const report_value *v = value_at(t, r, c);
    if (isnan(v->reference) || !is_same(v->reference_source, source)) continue;
    for (size_t k = 0; k < t->key_count; k++)
      strbuf_format(out, "%s%s %s",
                    k          ? ", "
                    : is_first ? " of "
                               : " and ",
                    t->key_headings[k], t->rows[r].keys[k]);
    is_first = false;
  }
}

/* "of zero-shot top-1, tuned top-1: SOURCE". */
static void name_source(const report_table *t, const char *source, strbuf *out) {
  bool is_first = true;
  for (size_t c = 0; c < t->column_count; c++) {
    if (!has_source(t, c, source, false)) continue;
    strbuf_format(out, "%s%s", is_first ? "of " : ", ", t->columns[c].heading);
    if (has_source(t, c, source, true)) name_rows(t, c, source, out);
    is_first = false;
  }
  strbuf_format(out, ": %s", source ? source : "published values");
}

/* Does a value before this one, by column and row, have its source? */
static bool is_named(const report_table *t, size_t c, size_t r) {
  const char *source = value_at(t, r, c)->reference_source;
  for (size_t before = 0; before < c; before++)
    if (has_source(t, before, source, false)) return true;
  for (size_t before = 0; before < r; before++) {
    const report_value *v = value_at(t, before, c);
    if (!isnan(v->reference) && is_same(v->reference_source, source)) return true;
  }
  return false;
}

err sources_write(const char *source, report_table *t) {
  bool has_main = false;
  size_t others = 0;
  strbuf all = {0}, own = {0};
  const char *only = NULL;
  for (size_t c = 0; c < t->column_count; c++)
    for (size_t r = 0; r < t->row_count; r++) {
      const report_value *v = value_at(t, r, c);
      if (isnan(v->reference)) continue;
      bool is_main = is_same(v->reference_source, source);
      has_main = has_main || is_main;
      if (is_main || is_named(t, c, r)) continue;
      if (others++) strbuf_append(&own, "; ");
      name_source(t, v->reference_source, &own);
      only = v->reference_source;
    }
  if (has_main) strbuf_append(&all, source ? source : "published values");
  if (!has_main && others == 1)
    strbuf_append(&all, only);
  else if (others)
    strbuf_format(&all, "%s%s", has_main ? "; " : "", strbuf_string(&own));
  bool is_broken = all.is_broken || own.is_broken;
  strbuf_free(&own);
  if (!has_main && !others) return NULL;
  t->source = is_broken ? NULL : strbuf_take(&all);
  if (is_broken) strbuf_free(&all);
  return t->source ? NULL : mem_error(0, "the report");
}
