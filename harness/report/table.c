#include "report/table.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "report/data.h"
#include "report/explain.h"
#include "report/findings.h"
#include "report/measure.h"
#include "report/sources.h"
#include "store/facts.h"

/* Short names of settings for display. */
static const struct {
  const char *key, *name;
  bool is_percent;
} spoken[] = {{"mask_ratio", "mask", true},
              {"text_mask_ratio", "text mask", true},
              {"eval.mask_ratio", "mask at evaluation", true},
              {"batch_size", "batch", false},
              {"image.size", "image size", false},
              {"reconstruction.weight", "weight of reconstruction", false}};

void report_name_key(const char *key, strbuf *out) {
  for (size_t i = 0; i < sizeof spoken / sizeof *spoken; i++)
    if (strcmp(spoken[i].key, key) == 0) {
      strbuf_append(out, spoken[i].name);
      return;
    }
  for (const char *at = key; *at; at++) strbuf_append_char(out, *at == '_' ? ' ' : *at);
}

void report_name_value(const char *key, const char *value, strbuf *out) {
  double number;
  for (size_t i = 0; i < sizeof spoken / sizeof *spoken; i++)
    if (strcmp(spoken[i].key, key) == 0 && spoken[i].is_percent && yml_as_real(value, &number)) {
      strbuf_format(out, "%.10g %%", number * 100); /* all digits: rows are told apart by it */
      return;
    }
  strbuf_append(out, value);
}

void report_free(report_table *t) {
  if (!t) return;
  for (size_t i = 0; i < t->row_count; i++) {
    for (size_t k = 0; t->rows[i].keys && k < t->key_count; k++) free(t->rows[i].keys[k]);
    for (size_t k = 0; t->rows[i].key_values && k < t->key_count; k++)
      free(t->rows[i].key_values[k]);
    free(t->rows[i].key_values);
    for (size_t c = 0; t->rows[i].values && c < t->column_count; c++) {
      free(t->rows[i].values[c].text);
      free(t->rows[i].values[c].reference_source);
      free(t->rows[i].values[c].parts);
      free(t->rows[i].values[c].runs);
    }
    for (size_t k = 0; t->rows[i].labels && k < t->rows[i].cells; k++) free(t->rows[i].labels[k]);
    free(t->rows[i].labels);
    free(t->rows[i].runs);
    free(t->rows[i].keys);
    free(t->rows[i].values);
    free(t->rows[i].missing);
  }
  for (size_t c = 0; c < t->column_count; c++) {
    free(t->columns[c].name);
    free(t->columns[c].heading);
    free(t->columns[c].unit);
  }
  for (size_t k = 0; t->key_headings && k < t->key_count; k++) free(t->key_headings[k]);
  for (size_t k = 0; t->key_names && k < t->key_count; k++) free(t->key_names[k]);
  free(t->key_headings);
  free(t->key_names);
  free(t->columns);
  free(t->rows);
  free(t->title);
  free(t->name);
  findings_free(&t->notes);
  free(t->source);
  free(t);
}

static err keep(strbuf *text, char **field) {
  *field = strbuf_take(text);
  return *field ? NULL : mem_error(0, "the report");
}

/* ---- columns ---- */

static err make_column(const char *name, report_column *made) {
  const column *known = columns_find(name);
  strbuf heading = {0};
  *made = (report_column){.known = known, .digits = known ? known->digits : 0};
  if (known)
    strbuf_append(&heading, known->heading);
  else
    report_name_key(name, &heading);
  made->name = mem_copy_string(name);
  made->unit = mem_copy_string(known ? known->unit : "");
  err error = keep(&heading, &made->heading);
  if (!error && (!made->name || !made->unit)) error = mem_error(0, "the report");
  return error;
}

static err make_columns(const spec_experiment *e, report_table *t) {
  err error = NULL;
  const spec_report *r = &e->report;
  t->columns = mem_zeroed(r->columns.count, sizeof *t->columns);
  t->key_headings = mem_zeroed(r->rows.count, sizeof *t->key_headings);
  t->key_names = mem_zeroed(r->rows.count, sizeof *t->key_names);
  if (!t->columns || !t->key_headings || !t->key_names) return mem_error(0, "the report");
  for (size_t i = 0; i < r->columns.count; i++) {
    bool is_row_key = false; /* already shown as the row's name */
    for (size_t k = 0; k < r->rows.count; k++)
      is_row_key = is_row_key || strcmp(r->rows.items[k], r->columns.items[i]) == 0;
    if (!is_row_key) TRY(make_column(r->columns.items[i], &t->columns[t->column_count++]));
  }
  t->key_count = r->rows.count;
  for (size_t k = 0; k < t->key_count; k++) {
    strbuf heading = {0};
    report_name_key(r->rows.items[k], &heading);
    TRY(keep(&heading, &t->key_headings[k]));
    t->key_names[k] = mem_copy_string(r->rows.items[k]);
    if (!t->key_names[k]) FAIL(ERR_MEMORY, "out of memory: the report");
  }
cleanup:
  return error;
}

/* ---- values ---- */

/* What a cell has for a setting or an axis: its run's own value where the settings of a cell may
 * differ from run to run. */
static err value_of_cell(const report_data *d, size_t cell, const char *key, strbuf *out) {
  strbuf scratch = {0};
  char *own = NULL;
  const setting *known = settings_find(key);
  bool varies = known && !known->is_identity && d->cells[cell].run_id;
  err error = varies ? store_find_setting(d->s, d->cells[cell].run_id, key, &own) : NULL;
  const char *asked = spec_cell_value(&d->e->cells[cell], key, &scratch);
  strbuf_append(out, own ? own : asked ? asked : "");
  strbuf_free(&scratch);
  free(own);
  return error;
}

/* "0", or all that the row's cells have: "0, 1, 2". */
static err make_setting(const report_data *d, size_t row, const char *key, report_value *v) {
  spec_names values = {0};
  strbuf one = {0}, text = {0};
  err error = NULL;
  for (size_t i = 0; i < d->rows[row].count; i++) {
    strbuf_clear(&one);
    TRY(value_of_cell(d, d->rows[row].cells[i], key, &one));
    if (spec_names_has(&values, strbuf_string(&one))) continue;
    TRY(spec_names_add(&values, strbuf_string(&one)));
    if (i) strbuf_append(&text, ", ");
    report_name_value(key, strbuf_string(&one), &text);
  }
cleanup:
  spec_names_free(&values);
  strbuf_free(&one);
  if (!error) return keep(&text, &v->text);
  strbuf_free(&text);
  return error;
}

/* The value of each run of the row; for a ratio, relative to the baseline's run with the same
 * seed, if they may be compared. */
static err list_parts(report_data *d, size_t row, const column *c, report_value *v) {
  const data_row *cells = &d->rows[row];
  bool is_ratio = c->kind == COLUMN_RATIO || c->kind == COLUMN_INVERSE;
  size_t *own = mem_zeroed(cells->count, sizeof *own);
  size_t *base = mem_zeroed(cells->count, sizeof *base), pairs = 0;
  v->parts = mem_zeroed(cells->count, sizeof *v->parts);
  err error = own && base && v->parts ? NULL : mem_error(0, "the report");
  if (!error && is_ratio && d->baseline >= 0 &&
      measure_is_comparable(d, row, (size_t)d->baseline, c))
    pairs = data_pair_seeds(d, row, (size_t)d->baseline, own, base);
  for (size_t i = 0; i < cells->count && !error; i++) {
    v->parts[i] = is_ratio ? (double)NAN : data_value(d, cells->cells[i], c) * c->scale;
    for (size_t k = 0; k < pairs; k++) {
      const column *of = columns_find(c->argument);
      if (own[k] != cells->cells[i]) continue;
      double ratio = data_value(d, own[k], of) / data_value(d, base[k], of);
      v->parts[i] = (c->kind == COLUMN_RATIO ? ratio : 1 / ratio) * c->scale;
    }
  }
  free(own);
  free(base);
  return error;
}

/* A column of tunings shows numbers of other runs than the row's; one of probes may. */
static err list_runs(const report_data *d, size_t row, const column *c, report_value *v) {
  const data_row *cells = &d->rows[row];
  bool has_others = column_is_of_tuning(c->kind);
  for (size_t i = 0; i < cells->count; i++)
    has_others = has_others || data_shown_cell(d, cells->cells[i], c) != (ptrdiff_t)cells->cells[i];
  if (!has_others) return NULL;
  v->runs = mem_zeroed(cells->count, sizeof *v->runs);
  if (!v->runs) return mem_error(cells->count * sizeof *v->runs, "the report");
  for (size_t i = 0; i < cells->count; i++) {
    ptrdiff_t shown = data_shown_cell(d, cells->cells[i], c);
    if (shown >= 0) v->runs[i] = d->cells[shown].run_id;
  }
  return NULL;
}

static err make_difference(report_data *d, size_t row, const column *c, report_value *v) {
  data_difference difference;
  if (d->baseline < 0 || (size_t)d->baseline == row || !measure_is_accuracy(c)) return NULL;
  err error = measure_difference(d, row, (size_t)d->baseline, c, &difference);
  if (error) return error;
  v->difference = (report_difference){difference.value, difference.low, difference.high,
                                      .over = difference.over};
  if (difference.low > 0 || difference.high < 0) return NULL;
  v->difference.seeds_needed = difference.seeds_needed;
  v->difference.items_needed = difference.items_needed;
  return NULL;
}

static err make_number(report_data *d, size_t row, const column *c, report_value *v) {
  data_measure m;
  err error = measure_row(d, row, c, &m);
  if (error) return error;
  v->value = m.value;
  v->low = m.low;
  v->high = m.high;
  if (m.is_symmetric) v->half_width = (m.high - m.low) / 2;
  v->seeds = m.seeds;
  v->items = m.items;
  v->over = m.over;
  error = make_difference(d, row, c, v);
  if (!error) error = list_runs(d, row, c, v);
  return error || c->kind == COLUMN_ISO ? error : list_parts(d, row, c, v);
}

static err make_value(report_data *d, size_t row, const report_column *c, report_value *v) {
  *v = (report_value){.value = NAN,
                      .half_width = NAN,
                      .low = NAN,
                      .high = NAN,
                      .reference = NAN,
                      .difference = {.value = NAN, .low = NAN, .high = NAN}};
  return c->known ? make_number(d, row, c->known, v) : make_setting(d, row, c->name, v);
}

static err find_reference(const report_data *d, size_t row, report_column *c, report_value *v,
                          report_table *t) {
  const spec_report *r = &d->e->report;
  for (size_t i = 0; i < r->reference_count; i++) {
    const spec_reference *one = &r->references[i];
    if (one->column != c->known ||
        !spec_cell_matches(&d->e->cells[d->rows[row].cells[0]], &one->where))
      continue;
    const char *source = one->source ? one->source : d->e->source;
    free(v->reference_source);
    v->reference_source = source ? mem_copy_string(source) : NULL;
    if (source && !v->reference_source) return mem_error(0, "the report");
    v->reference = one->value;
    v->is_reference_verified = one->is_verified;
    c->has_reference = true;
    if (!one->is_verified) t->has_unverified = true;
  }
  return NULL;
}

/* Why cells of the row, or the cells trained from them, have no result. */
static err explain_missing(const report_data *d, size_t row, report_row *made) {
  static const column classifier = {.kind = COLUMN_FINE_TUNED}, tuned = {.kind = COLUMN_TUNED},
                      probed = {.kind = COLUMN_TUNED, .argument = "probe.top1"},
                      probe = {.kind = COLUMN_EVAL, .argument = "probe.top1"};
  strbuf why = {0};
  for (size_t i = 0; i < d->rows[row].count; i++) {
    const size_t own = d->rows[row].cells[i];
    const ptrdiff_t chain[] = {
        (ptrdiff_t)own, data_shown_cell(d, own, &tuned), data_shown_cell(d, own, &probed),
        data_shown_cell(d, own, &classifier), data_shown_cell(d, own, &probe)};
    made->cells++;
    made->finished += d->cells[chain[0]].is_finished;
    for (int k = 0; k < 5; k++) {
      bool is_named = (k == 2 && chain[2] == chain[1]) || (k == 4 && chain[4] == chain[0]);
      const data_cell *c = chain[k] < 0 || is_named ? NULL : &d->cells[chain[k]];
      if (!c || (c->is_finished && !c->lost)) continue;
      strbuf_format(&why, "%s%s: %s", why.length ? "\n" : "", c->cell->label,
                    c->is_finished ? c->lost : c->status);
      if (!c->is_finished && *c->message) strbuf_format(&why, ": %s", c->message);
    }
  }
  return why.length ? keep(&why, &made->missing) : NULL;
}

/* A seed's run and those that continue its curve count as one. */
static void find_disturbed(const report_data *d, size_t row, report_row *made) {
  made->lost_share = NAN;
  for (size_t i = 0; i < d->rows[row].count; i++) {
    ptrdiff_t at = (ptrdiff_t)d->rows[row].cells[i];
    if (!d->cells[at].is_finished) continue;
    made->disturbed += data_is_curve_disturbed(d, (size_t)at);
    for (; at >= 0; at = data_continued_by(d, (size_t)at)) /* of NaN and a number fmax has this */
      made->lost_share = fmax(made->lost_share, data_number_of(&d->cells[at], "lost_share"));
  }
}

static err name_runs(const report_data *d, size_t row, report_row *made) {
  const data_row *cells = &d->rows[row];
  made->runs = mem_zeroed(cells->count, sizeof *made->runs);
  made->labels = mem_zeroed(cells->count, sizeof *made->labels);
  if (!made->runs || !made->labels) return mem_error(0, "the report");
  for (size_t i = 0; i < cells->count; i++) {
    made->runs[i] = d->cells[cells->cells[i]].run_id;
    made->labels[i] = mem_copy_string(d->cells[cells->cells[i]].cell->label);
    if (!made->labels[i]) return mem_error(0, "the report");
  }
  return NULL;
}

static err make_row(report_data *d, size_t row, report_table *t) {
  err error = NULL;
  report_row *made = &t->rows[t->row_count++];
  const spec_names *keys = &d->e->report.rows;
  strbuf scratch = {0};
  made->keys = mem_zeroed(t->key_count, sizeof *made->keys);
  made->key_values = mem_zeroed(t->key_count, sizeof *made->key_values);
  made->values = mem_zeroed(t->column_count, sizeof *made->values);
  if (!made->keys || !made->key_values || !made->values)
    FAIL(ERR_MEMORY, "out of memory: the report");
  for (size_t k = 0; k < t->key_count; k++) {
    strbuf text = {0};
    const char *value =
        spec_cell_value(&d->e->cells[d->rows[row].cells[0]], keys->items[k], &scratch);
    report_name_value(keys->items[k], value ? value : "", &text);
    TRY(keep(&text, &made->keys[k]));
    made->key_values[k] = mem_copy_string(value ? value : "");
    if (!made->key_values[k]) FAIL(ERR_MEMORY, "out of memory: the report");
  }
  for (size_t c = 0; c < t->column_count; c++) {
    TRY(make_value(d, row, &t->columns[c], &made->values[c]));
    if (!made->values[c].text && isnan(made->values[c].value))
      made->values[c].missing = explain_empty(d, row, t->columns[c].known);
    TRY(find_reference(d, row, &t->columns[c], &made->values[c], t));
    if (!isnan(made->values[c].low)) t->columns[c].has_interval = true;
  }
  find_disturbed(d, row, made);
  made->has_other_inputs = d->rows[row].group > 0;
  TRY(explain_missing(d, row, made));
  TRY(name_runs(d, row, made));
cleanup:
  strbuf_free(&scratch);
  return error;
}

/* The row with the best value of a column; -1: fewer than two have one. */
static ptrdiff_t find_best(const report_table *t, size_t c, double sign) {
  ptrdiff_t best = -1;
  size_t measured = 0;
  for (size_t r = 0; r < t->row_count; r++) {
    double value = sign * t->rows[r].values[c].value;
    if (isnan(value)) continue;
    measured++;
    if (best < 0 || value > sign * t->rows[best].values[c].value) best = (ptrdiff_t)r;
  }
  return measured > 1 ? best : -1;
}

/* Best: significantly better than every other row. */
static err mark_best(report_data *d, report_table *t) {
  for (size_t c = 0; c < t->column_count; c++) {
    const column *known = t->columns[c].known;
    if (!known || known->better == BETTER_NONE) continue;
    bool is_higher = known->better == BETTER_HIGHER, is_best = true;
    ptrdiff_t best = find_best(t, c, is_higher ? 1 : -1);
    if (best < 0) continue;
    /* the baseline's own, which is not shown, is 1 */
    if (known->kind == COLUMN_ISO) is_best = t->rows[best].values[c].low > 1;
    for (size_t r = 0; r < t->row_count && is_best; r++) {
      if ((ptrdiff_t)r == best || isnan(t->rows[r].values[c].value)) continue;
      err error = is_higher ? measure_is_above(d, (size_t)best, r, known, &is_best)
                            : measure_is_above(d, r, (size_t)best, known, &is_best);
      if (error) return error;
    }
    t->rows[best].values[c].is_best = is_best;
  }
  return NULL;
}

/* Published values are of the profile called "paper", where a file has one. */
static bool is_of_other_scale(const spec_experiment *e) {
  bool has_paper = false;
  for (size_t i = 0; i < e->profiles.count; i++)
    has_paper = has_paper || strcmp(e->profiles.items[i], "paper") == 0;
  return has_paper && !(e->profile && strcmp(e->profile, "paper") == 0);
}

err report_build(const spec_experiment *e, store *s, report_table **out) {
  err error = NULL;
  report_data d = {0};
  report_table *t = mem_zeroed(1, sizeof *t);
  if (!t) return mem_error(sizeof *t, "the report");
  TRY(data_load(e, s, &d));
  t->name = mem_copy_string(e->name);
  strbuf title = {0};
  strbuf_append(&title, e->title ? e->title : e->name);
  if (e->profile) strbuf_format(&title, " (profile %s)", e->profile);
  TRY(keep(&title, &t->title));
  if (!t->name) FAIL(ERR_MEMORY, "out of memory: the report");
  TRY(make_columns(e, t));
  t->rows = mem_zeroed(d.row_count, sizeof *t->rows);
  if (!t->rows) FAIL(ERR_MEMORY, "out of memory: the report");
  for (size_t row = 0; row < d.row_count; row++) TRY(make_row(&d, row, t));
  t->cells = e->cell_count;
  for (size_t i = 0; i < e->cell_count; i++) t->finished += d.cells[i].is_finished;
  TRY(mark_best(&d, t));
  TRY(findings_write(&d, t));
  TRY(sources_write(e->source, t));
  t->reference_note = !is_of_other_scale(e)
                          ? ""
                          : "; another model and other data: compare differences between rows, "
                            "not values";
  *out = t;
cleanup:
  data_free(&d);
  if (error) report_free(t);
  return error;
}
