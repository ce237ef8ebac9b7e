#include "report/table.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "report/data.h"
#include "stats/summary.h"
#include "store/sql.h"

/* Settings that have a shorter name in everyday speech. */
static const struct {
  const char *key, *name;
  bool is_percent;
} spoken[] = {{"mask_ratio", "mask", true},
              {"text_mask_ratio", "text mask", true},
              {"eval.mask_ratio", "mask at evaluation", true},
              {"batch_size", "batch", false},
              {"image.size", "image size", false}};

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
      strbuf_format(out, "%.3g %%", number * 100);
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
      free(t->rows[i].values[c].parts);
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
  free(t->provenance);
  free(t->iso);
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
    bool is_row_key = false; /* shown already, as the row's name */
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

static err make_setting(const report_data *d, size_t row, const char *key, report_value *v) {
  strbuf scratch = {0}, text = {0};
  const char *value = spec_cell_value(&d->e->cells[d->rows[row].cells[0]], key, &scratch);
  report_name_value(key, value ? value : "", &text);
  strbuf_free(&scratch);
  return keep(&text, &v->text);
}

/* Follows from the settings, so that an interval over seeds would be noise of zero. */
static bool is_exact(const column *c) {
  static const char *const names[] = {"flops_per_sample_total", "planned_bytes", "samples",
                                      "parameters_total"};
  if (c->kind == COLUMN_RATIO || c->kind == COLUMN_INVERSE)
    return is_exact(columns_find(c->argument));
  for (size_t i = 0; c->kind == COLUMN_SUMMARY && i < sizeof names / sizeof *names; i++)
    if (strcmp(c->argument, names[i]) == 0) return true;
  return false;
}

static err make_mean(const report_data *d, size_t row, const column *c, report_value *v) {
  const data_row *cells = &d->rows[row];
  double *values = mem_zeroed(cells->count, sizeof *values);
  size_t count = 0;
  if (!values) return mem_error(cells->count * sizeof *values, "the report");
  err error = NULL;
  v->parts = mem_zeroed(cells->count, sizeof *v->parts);
  if (!v->parts) error = mem_error(cells->count * sizeof *values, "the report");
  for (size_t i = 0; i < cells->count && !error; i++) {
    double value;
    error = data_value(d, cells->cells[i], c, &value);
    if (error) break;
    v->parts[i] = value * c->scale;
    if (!isnan(value)) values[count++] = v->parts[i];
  }
  v->value = stats_mean(values, count);
  v->half_width = stats_half_width(values, count);
  if (is_exact(c)) v->half_width = NAN;
  bool is_own_ratio =
      (c->kind == COLUMN_RATIO || c->kind == COLUMN_INVERSE) && (ptrdiff_t)row == d->baseline;
  if (is_own_ratio) v->half_width = NAN; /* one, by definition */
  free(values);
  return error;
}

/* Why a column is empty in a row whose cells are finished. (What is not finished is told by the
 * row.) */
static const char *explain_empty(const report_data *d, size_t row, const column *c) {
  const data_row *cells = &d->rows[row];
  size_t finished = 0, tuned = 0;
  for (size_t i = 0; i < cells->count; i++) {
    finished += d->cells[cells->cells[i]].is_finished;
    tuned += d->cells[cells->cells[i]].tuned >= 0;
  }
  if (!finished) return "no finished run";
  bool needs_baseline =
      c->kind == COLUMN_RATIO || c->kind == COLUMN_INVERSE || c->kind == COLUMN_ISO;
  if (needs_baseline && d->baseline < 0) return "the experiment names no baseline";
  if (c->kind == COLUMN_ISO && d->baseline == (ptrdiff_t)row) return "this is the baseline";
  if (c->kind == COLUMN_ISO) return "no accuracy above zero that both reach";
  if (needs_baseline) return "the baseline, or this row, did not record it";
  if (c->kind == COLUMN_TUNED && !tuned) return "no tuning starts from this row";
  if (c->kind == COLUMN_TUNED) return "the tuning has no such evaluation yet";
  if (c->kind == COLUMN_SUMMARY) return "the run did not record it";
  return "no evaluation set of the run measures it";
}

static err make_value(const report_data *d, size_t row, const report_column *c, report_value *v) {
  curve_iso iso;
  *v = (report_value){.value = NAN, .half_width = NAN, .low = NAN, .high = NAN, .reference = NAN};
  if (!c->known) return make_setting(d, row, c->name, v);
  if (c->known->kind != COLUMN_ISO) return make_mean(d, row, c->known, v);
  err error = data_row_iso(d, row, &iso, &v->low, &v->high);
  v->value = iso.speedup;
  return error;
}

static void find_reference(const report_data *d, size_t row, report_column *c, report_value *v,
                           report_table *t) {
  const spec_report *r = &d->e->report;
  for (size_t i = 0; i < r->reference_count; i++) {
    const spec_reference *one = &r->references[i];
    if (one->column != c->known ||
        !spec_cell_matches(&d->e->cells[d->rows[row].cells[0]], &one->where))
      continue;
    v->reference = one->value;
    v->is_reference_verified = one->is_verified;
    c->has_reference = true;
    if (!one->is_verified) t->has_unverified = true;
  }
}

/* Why cells of the row, or the cells tuned from them, have no result. */
static err explain_missing(const report_data *d, size_t row, report_row *made) {
  strbuf why = {0};
  for (size_t i = 0; i < d->rows[row].count; i++) {
    ptrdiff_t chain[2] = {(ptrdiff_t)d->rows[row].cells[i], -1};
    chain[1] = d->cells[chain[0]].tuned;
    made->cells++;
    made->finished += d->cells[chain[0]].is_finished;
    for (int k = 0; k < 2; k++) {
      if (chain[k] < 0 || d->cells[chain[k]].is_finished) continue;
      const data_cell *c = &d->cells[chain[k]];
      strbuf_format(&why, "%s%s: %s", why.length ? "\n" : "", c->cell->label, c->status);
      if (*c->message) strbuf_format(&why, ": %s", c->message);
    }
  }
  return why.length ? keep(&why, &made->missing) : NULL;
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

static err make_row(const report_data *d, size_t row, report_table *t) {
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
    find_reference(d, row, &t->columns[c], &made->values[c], t);
    if (!isnan(made->values[c].half_width) || !isnan(made->values[c].low))
      t->columns[c].has_interval = true;
  }
  TRY(explain_missing(d, row, made));
  TRY(name_runs(d, row, made));
cleanup:
  strbuf_free(&scratch);
  return error;
}

static void mark_best(report_table *t) {
  for (size_t c = 0; c < t->column_count; c++) {
    const column *known = t->columns[c].known;
    if (!known || known->better == BETTER_NONE) continue;
    double sign = known->better == BETTER_HIGHER ? 1 : -1, best = NAN;
    size_t measured = 0;
    for (size_t r = 0; r < t->row_count; r++) {
      double value = sign * t->rows[r].values[c].value;
      if (isnan(value)) continue;
      measured++;
      if (!(value <= best)) best = value;
    }
    for (size_t r = 0; r < t->row_count && measured > 1; r++)
      t->rows[r].values[c].is_best = sign * t->rows[r].values[c].value == best;
  }
}

/* ---- below the table ---- */

static const char provenance_sql[] =
    "SELECT group_concat(DISTINCT substr(environment.commit_id, 1, 10) ||"
    "   CASE WHEN dirty = '' THEN '' ELSE '+' || dirty END),"
    " group_concat(DISTINCT CASE WHEN device = 'cpu' THEN cpu ELSE device_name END),"
    " group_concat(DISTINCT precision), group_concat(DISTINCT threads),"
    " min(substr(run.ended, 1, 10)), max(substr(run.ended, 1, 10)),"
    " max((SELECT value FROM summary WHERE run_id = run.id AND name = 'samples')),"
    " count(*)"
    " FROM experiment_cell JOIN experiment ON experiment.id = experiment_cell.experiment_id"
    " JOIN run ON run.id = (SELECT max(id) FROM run WHERE cell_id = experiment_cell.cell_id"
    "  AND status = 'finished')"
    " JOIN environment ON environment.id = run.environment_id WHERE experiment.name = ?";

static err describe_provenance(const report_data *d, report_table *t) {
  sqlite3_stmt *rows;
  bool has_row;
  strbuf text = {0};
  char samples[TEXT_NUMBER_SIZE];
  err error = sql_query(d->s, &rows, provenance_sql, "t", d->e->name);
  if (!error) error = sql_next(d->s, rows, &has_row);
  if (error || !has_row) return error;
  if (sqlite3_column_int64(rows, 7) > 0) {
    const char *threads = sql_text(rows, 3), *first = sql_text(rows, 4), *last = sql_text(rows, 5);
    strbuf_format(&text, "commit %s · %s · %s · %s thread%s · %s samples · %s", sql_text(rows, 0),
                  sql_text(rows, 1), sql_text(rows, 2), threads,
                  strcmp(threads, "1") == 0 ? "" : "s", text_count(sql_real(rows, 6), samples),
                  first);
    if (strcmp(first, last) != 0) strbuf_format(&text, " to %s", last);
    error = keep(&text, &t->provenance);
  }
  sql_stop(rows);
  return error;
}

/* "mask 75 % reaches zero-shot per class 12.1 %, the best that both reach, in 41 s instead of
 * 2 m 30 s: 3.66 times sooner." */
static err describe_iso(const report_data *d, report_table *t) {
  const column *c = d->e->report.iso;
  strbuf text = {0};
  err error = NULL;
  for (size_t row = 0; row < d->row_count && !error; row++) {
    curve_iso iso;
    double low, high;
    char own[TEXT_NUMBER_SIZE], base[TEXT_NUMBER_SIZE];
    error = data_row_iso(d, row, &iso, &low, &high);
    if (error || isnan(iso.speedup)) continue;
    if (text.length) strbuf_append_char(&text, '\n');
    data_name_row(d, row, &text);
    strbuf_format(&text, " reaches %s %.*f %s in %s, ", c->heading, c->digits, iso.accuracy,
                  c->unit, text_duration(iso.seconds, own));
    data_name_row(d, (size_t)d->baseline, &text);
    strbuf_format(&text, " in %s: ", text_duration(iso.baseline_seconds, base));
    if (iso.speedup >= 1)
      strbuf_format(&text, "%.2f times sooner", iso.speedup);
    else
      strbuf_format(&text, "%.2f times later", 1 / iso.speedup);
    if (!isnan(low)) strbuf_format(&text, " (95 %% interval %.2f to %.2f)", low, high);
  }
  if (!error && text.length) return keep(&text, &t->iso);
  strbuf_free(&text);
  return error;
}

err report_build(const spec_experiment *e, store *s, report_table **out) {
  err error = NULL;
  report_data d = {0};
  report_table *t = mem_zeroed(1, sizeof *t);
  if (!t) return mem_error(sizeof *t, "the report");
  TRY(data_load(e, s, &d));
  t->name = mem_copy_string(e->name);
  t->title = mem_copy_string(e->title ? e->title : e->name);
  if (!t->name || !t->title) FAIL(ERR_MEMORY, "out of memory: the report");
  TRY(make_columns(e, t));
  t->rows = mem_zeroed(d.row_count, sizeof *t->rows);
  if (!t->rows) FAIL(ERR_MEMORY, "out of memory: the report");
  for (size_t row = 0; row < d.row_count; row++) TRY(make_row(&d, row, t));
  mark_best(t);
  TRY(describe_provenance(&d, t));
  TRY(describe_iso(&d, t));
  if (e->report.reference_count && e->source) {
    t->source = mem_copy_string(e->source);
    if (!t->source) FAIL(ERR_MEMORY, "out of memory: the report");
  }
  *out = t;
cleanup:
  data_free(&d);
  if (error) report_free(t);
  return error;
}
