#include "report/data.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "report/load.h"
#include "report/results.h"
#include "report/table.h"

void data_free(report_data *d) {
  for (size_t i = 0; d->cells && i < d->e->cell_count; i++) load_free_cell(&d->cells[i]);
  for (size_t i = 0; i < d->row_count; i++) free(d->rows[i].cells);
  for (size_t i = 0; i < d->group_count; i++) free(d->group_names[i]);
  free(d->group_names);
  free(d->cells);
  free(d->rows);
  *d = (report_data){0};
}

/* ---- rows ---- */

/* A matrix cell and the text of its row, so that rows are found by sorting: the group, and each
 * value with its length, which no value can imitate. */
typedef struct {
  char *row;
  size_t cell, first; /* first: the first cell of its row */
} placed;

static int compare_placed(const void *a, const void *b) {
  const placed *x = a, *y = b;
  int order = strcmp(x->row, y->row);
  return order ? order : (x->cell > y->cell) - (x->cell < y->cell);
}

static int compare_order(const void *a, const void *b) {
  const placed *x = a, *y = b;
  if (x->first != y->first) return x->first < y->first ? -1 : 1;
  return (x->cell > y->cell) - (x->cell < y->cell);
}

static char *name_place(const report_data *d, size_t cell, strbuf *scratch) {
  const spec_names *keys = &d->e->report.rows;
  strbuf row = {0};
  strbuf_format(&row, "%zu", d->cells[cell].group);
  for (size_t k = 0; k < keys->count; k++) {
    const char *value = spec_cell_value(&d->e->cells[cell], keys->items[k], scratch);
    if (value)
      strbuf_format(&row, "\n%zu:%s", strlen(value), value);
    else
      strbuf_append(&row, "\n");
  }
  return strbuf_take(&row);
}

/* Cells in the order of their rows, and these in that of their first cells. */
static err place_cells(const report_data *d, placed *places, size_t *count) {
  strbuf scratch = {0};
  bool is_lost = false;
  for (size_t i = 0; i < d->e->cell_count && !is_lost; i++) {
    if (d->e->cells[i].tuning) continue;
    places[*count] = (placed){name_place(d, i, &scratch), i, i};
    is_lost = !places[(*count)++].row;
  }
  strbuf_free(&scratch);
  if (is_lost) return mem_error(0, "the report");
  qsort(places, *count, sizeof *places, compare_placed);
  for (size_t i = 1; i < *count; i++)
    if (strcmp(places[i].row, places[i - 1].row) == 0) places[i].first = places[i - 1].first;
  qsort(places, *count, sizeof *places, compare_order);
  return NULL;
}

static err make_row(report_data *d, const placed *places, size_t count) {
  data_row *row = &d->rows[d->row_count];
  *row = (data_row){mem_zeroed(count, sizeof *row->cells), count, d->cells[places->cell].group};
  if (!row->cells) return mem_error(count * sizeof *row->cells, "the report");
  d->row_count++;
  for (size_t i = 0; i < count; i++) row->cells[i] = places[i].cell;
  return NULL;
}

static err make_rows(report_data *d) {
  placed *places = mem_zeroed(d->e->cell_count, sizeof *places);
  size_t count = 0;
  if (!places) return mem_error(d->e->cell_count * sizeof *places, "the report");
  err error = place_cells(d, places, &count);
  for (size_t i = 0, next = 0; i < count && !error; i = next) {
    while (next < count && places[next].first == places[i].first) next++;
    error = make_row(d, &places[i], next - i);
  }
  for (size_t i = 0; i < count; i++) free(places[i].row);
  free(places);
  return error;
}

/* The classifier trained from a cell, or from what was tuned from it; -1: none. */
static ptrdiff_t fine_tuned_from(const report_data *d, size_t cell) {
  const data_cell *own = &d->cells[cell];
  if (own->fine_tuned >= 0 || own->tuned < 0) return own->fine_tuned;
  return d->cells[own->tuned].fine_tuned;
}

bool data_is_measurement(const spec_cell *cell) {
  return cell->parent != SPEC_NO_PARENT && spec_use_of(cell) == SPEC_MEASURES;
}

static ptrdiff_t *place_of_child(const report_data *d, size_t child) {
  const spec_cell *cell = &d->e->cells[child];
  data_cell *parent = &d->cells[cell->parent];
  ptrdiff_t *const places[SPEC_USES] = {&parent->fine_tuned, &parent->measured, &parent->tuned};
  return places[spec_use_of(cell)];
}

/* The cell that has a cell's linear probe: itself, or the one that measures it. */
static ptrdiff_t probed_cell(const report_data *d, ptrdiff_t cell) {
  ptrdiff_t other = cell < 0 ? -1 : d->cells[cell].measured;
  if (other < 0 || *d->e->cells[cell].settings.eval_probe_train) return cell;
  return *d->e->cells[other].settings.eval_probe_train ? other : cell;
}

enum { CHILDREN = 4 };

/* Which inputs a row's numbers come from: those of its cell, and others among those of the cells
 * trained from it, ascending, 0: no more. All 0: the newest. */
typedef struct {
  size_t own[INPUT_KINDS];
  size_t others[INPUT_KINDS][CHILDREN];
} input_key;

static void add_other(size_t others[CHILDREN], size_t input) {
  size_t at = 0;
  while (others[at] && others[at] < input) at++;
  if (others[at] == input) return;
  for (size_t moved; input; input = moved, at++) {
    moved = others[at];
    others[at] = input;
  }
}

static input_key key_of(const report_data *d, size_t cell) {
  const data_cell *own = &d->cells[cell];
  const ptrdiff_t children[CHILDREN] = {own->tuned, probed_cell(d, own->tuned),
                                        fine_tuned_from(d, cell), probed_cell(d, (ptrdiff_t)cell)};
  input_key key = {0};
  for (input_kind k = 0; k < INPUT_KINDS; k++) {
    if (!store_input_decides(k)) continue;
    key.own[k] = own->inputs[k];
    for (size_t i = 0; i < CHILDREN; i++) {
      size_t input = children[i] < 0 ? 0 : d->cells[children[i]].inputs[k];
      if (input && input != own->inputs[k]) add_other(key.others[k], input);
    }
  }
  return key;
}

/* "training data and evaluation sets". */
static char *name_group(const input_key *key) {
  strbuf name = {0};
  for (input_kind k = 0; k < INPUT_KINDS; k++)
    if (key->own[k] || key->others[k][0])
      strbuf_format(&name, "%s%s", name.length ? " and " : "", store_input_name(k));
  return strbuf_take(&name);
}

/* The group of the key, a new one if no cell before had it. keys: of groups 1, 2, … */
static err find_group(report_data *d, const input_key *key, input_key *keys, size_t *group) {
  static const input_key newest = {0};
  *group = 0;
  if (memcmp(key, &newest, sizeof newest) == 0) return NULL;
  for (size_t i = 0; i < d->group_count && !*group; i++)
    if (memcmp(key, &keys[i], sizeof *key) == 0) *group = i + 1;
  if (*group) return NULL;
  d->group_names[d->group_count] = name_group(key);
  if (!d->group_names[d->group_count]) return mem_error(0, "the report");
  keys[d->group_count] = *key;
  *group = ++d->group_count;
  return NULL;
}

/* Compares the inputs of each finished run with those of the newest run with the same settings. */
static err compare_inputs(report_data *d) {
  size_t room = d->e->cell_count, count = 0;
  int64_t *runs = mem_zeroed(room, sizeof *runs);
  size_t *cells = mem_zeroed(room, sizeof *cells), *groups = mem_zeroed(room, sizeof *groups);
  err error = runs && cells && groups ? NULL : mem_error(0, "the report");
  for (size_t i = 0; i < room && !error; i++) {
    if (!d->cells[i].is_finished) continue;
    cells[count] = i;
    runs[count++] = d->cells[i].run_id;
  }
  for (input_kind k = 0; k < INPUT_KINDS && count && !error; k++) {
    error = store_group_inputs(d->s, runs, count, k, groups, &d->is_mixed[k]);
    for (size_t i = 0; i < count && !error; i++) d->cells[cells[i]].inputs[k] = groups[i];
  }
  free(runs);
  free(cells);
  free(groups);
  return error;
}

static err group_cells(report_data *d) {
  input_key *keys = mem_zeroed(d->e->cell_count, sizeof *keys); /* as many as cells at most */
  d->group_names = mem_zeroed(d->e->cell_count, sizeof *d->group_names);
  err error = keys && d->group_names ? compare_inputs(d) : mem_error(0, "the report");
  for (size_t i = 0; i < d->e->cell_count && !error; i++) {
    input_key key = key_of(d, i);
    if (!d->e->cells[i].tuning) error = find_group(d, &key, keys, &d->cells[i].group);
  }
  free(keys);
  return error;
}

/* The baseline's row; if several have different inputs, the one with the newest data. */
static void find_baseline(report_data *d) {
  for (size_t i = 0; i < d->row_count && d->e->report.baseline.count; i++) {
    const spec_cell *cell = &d->e->cells[d->rows[i].cells[0]];
    if (!spec_cell_matches(cell, &d->e->report.baseline)) continue;
    if (d->baseline < 0 || d->rows[i].group < d->rows[d->baseline].group)
      d->baseline = (ptrdiff_t)i;
  }
}

err data_load(const spec_experiment *e, store *s, report_data *d) {
  *d = (report_data){.e = e, .s = s, .baseline = -1};
  err error = NULL;
  store_result *results = NULL;
  d->cells = mem_zeroed(e->cell_count, sizeof *d->cells);
  d->rows = mem_zeroed(e->cell_count, sizeof *d->rows);
  if (!d->cells || !d->rows) FAIL(ERR_MEMORY, "out of memory: the report");
  TRY(results_find(e, s, &results));
  for (size_t i = 0; i < e->cell_count; i++)
    TRY(load_cell(s, &e->cells[i], &results[i], &d->cells[i]));
  for (size_t i = 0; i < e->cell_count; i++) {
    ptrdiff_t parent = e->cells[i].parent;
    if (parent == SPEC_NO_PARENT) continue;
    ptrdiff_t *child = place_of_child(d, i);
    if (*child < 0) *child = (ptrdiff_t)i;
  }
  TRY(group_cells(d));
  TRY(make_rows(d));
  find_baseline(d);
cleanup:
  free(results);
  if (error) data_free(d);
  return error;
}

void data_name_row(const report_data *d, size_t row, strbuf *out) {
  const spec_names *keys = &d->e->report.rows;
  strbuf scratch = {0};
  for (size_t k = 0; k < keys->count; k++) {
    const char *value =
        spec_cell_value(&d->e->cells[d->rows[row].cells[0]], keys->items[k], &scratch);
    if (k) strbuf_append(out, ", ");
    bool is_bare_none = value && strcmp(value, "none") == 0; /* says nothing without its key */
    if (settings_find(keys->items[k]) || spec_is_ranks_key(keys->items[k]) || is_bare_none) {
      report_name_key(keys->items[k], out);
      strbuf_append_char(out, ' ');
    }
    report_name_value(keys->items[k], value ? value : "", out);
  }
  if (!keys->count) strbuf_append(out, d->e->name);
  strbuf_free(&scratch);
}

/* ---- seeds ---- */

size_t data_finished(const report_data *d, size_t row, size_t *cells) {
  size_t count = 0;
  for (size_t i = 0; i < d->rows[row].count; i++)
    if (d->cells[d->rows[row].cells[i]].is_finished) cells[count++] = d->rows[row].cells[i];
  return count;
}

ptrdiff_t data_partner(const report_data *d, size_t cell, size_t other) {
  const data_cell *c = &d->cells[cell];
  for (size_t i = 0; i < d->rows[other].count && c->is_finished; i++) {
    const data_cell *partner = &d->cells[d->rows[other].cells[i]];
    if (partner->is_finished && partner->cell->settings.seed == c->cell->settings.seed)
      return (ptrdiff_t)d->rows[other].cells[i];
  }
  return -1;
}

size_t data_pair_seeds(const report_data *d, size_t row, size_t other, size_t *own,
                       size_t *theirs) {
  const data_row *mine = &d->rows[row];
  size_t count = 0;
  for (size_t i = 0; i < mine->count; i++) {
    ptrdiff_t partner = data_partner(d, mine->cells[i], other);
    if (partner < 0) continue;
    own[count] = mine->cells[i];
    theirs[count++] = (size_t)partner;
  }
  return count;
}

/* ---- single values ---- */

double data_number_of(const data_cell *c, const char *name) {
  for (size_t i = 0; i < c->number_count; i++)
    if (strcmp(c->numbers[i].name, name) == 0) return c->numbers[i].value.real;
  return NAN;
}

bool data_is_disturbed(const data_cell *c) {
  return data_number_of(c, "disturbed") > 0;
}

bool data_has_mixed_paces(const data_cell *c) {
  return c->is_finished && data_number_of(c, "ranks") > 0 &&
         data_number_of(c, "train_seconds") > 0 && isnan(data_number_of(c, "steady_step_seconds"));
}

bool data_has_pace(const data_cell *c) {
  static const double most_disturbed = 0.9; /* of the rows: the remaining steps are not typical */
  return !data_is_disturbed(c) || data_number_of(c, "disturbed_share") < most_disturbed;
}

ptrdiff_t data_continued_by(const report_data *d, size_t cell) {
  ptrdiff_t tuned = d->cells[cell].tuned;
  return tuned >= 0 && d->cells[tuned].is_finished ? tuned : -1;
}

bool data_is_curve_disturbed(const report_data *d, size_t cell) {
  for (ptrdiff_t at = (ptrdiff_t)cell; at >= 0; at = data_continued_by(d, (size_t)at))
    if (data_is_disturbed(&d->cells[at])) return true;
  return false;
}

bool data_has_curve_pace(const report_data *d, size_t cell) {
  for (ptrdiff_t at = (ptrdiff_t)cell; at >= 0; at = data_continued_by(d, (size_t)at))
    if (!data_has_pace(&d->cells[at])) return false;
  return true;
}

data_metric data_parse_metric(const char *argument) {
  data_metric m = {0};
  const char *dot = strchr(argument, '.'), *slash = strchr(argument, '/');
  if (!dot) return m;
  snprintf(m.task, sizeof m.task, "%.*s", (int)(dot - argument), argument);
  size_t length = slash ? (size_t)(slash - dot - 1) : strlen(dot + 1);
  snprintf(m.metric, sizeof m.metric, "%.*s", (int)length, dot + 1);
  if (slash && strchr(slash, '.'))
    snprintf(m.chance, sizeof m.chance, "%s", strchr(slash, '.') + 1);
  return m;
}

/* The last value on the first set that has the metric, among the set `only` and all but
 * `other_than`; NULL: any. */
static const data_evaluation *find_last(const data_cell *c, const data_metric *m, const char *only,
                                        const char *other_than) {
  const data_evaluation *found = NULL;
  for (size_t i = 0; i < c->evaluation_count; i++) {
    const data_evaluation *e = &c->evaluations[i];
    if (strcmp(e->task, m->task) != 0 || strcmp(e->metric, m->metric) != 0) continue;
    if (only && strcmp(e->set, only) != 0) continue;
    if (other_than && strcmp(e->set, other_than) == 0) continue;
    if (found && strcmp(found->set, e->set) != 0) break;
    if (!found || e->step >= found->step) found = e;
  }
  return found;
}

/* Without a name, the main set is the first that has the metric and is not the shifted one. */
static const data_evaluation *find_main(const report_data *d, const data_cell *c,
                                        const data_metric *m) {
  const spec_report *r = &d->e->report;
  return r->main_set ? find_last(c, m, r->main_set, NULL) : find_last(c, m, NULL, r->shifted_set);
}

/* Without a name, the shifted set is the first other than the main set that has the metric. */
static const data_evaluation *find_shifted(const report_data *d, const data_cell *c,
                                           const data_metric *m) {
  const spec_report *r = &d->e->report;
  if (r->shifted_set) return find_last(c, m, r->shifted_set, NULL);
  if (r->main_set) return find_last(c, m, NULL, r->main_set);
  const data_evaluation *first = find_last(c, m, NULL, NULL);
  return first ? find_last(c, m, NULL, first->set) : NULL;
}

ptrdiff_t data_shown_cell(const report_data *d, size_t cell, const column *c) {
  if (c->kind == COLUMN_FINE_TUNED) return fine_tuned_from(d, cell);
  const ptrdiff_t tuned = d->cells[cell].tuned;
  bool is_tuned = c->kind == COLUMN_TUNED || (c->kind == COLUMN_FINAL && tuned >= 0);
  ptrdiff_t own = is_tuned ? tuned : (ptrdiff_t)cell;
  return column_is_of_probe(c) ? probed_cell(d, own) : own;
}

/* NULL: never run. */
static const data_cell *shown_cell(const report_data *d, size_t cell, const column *c) {
  ptrdiff_t shown = data_shown_cell(d, cell, c);
  return shown >= 0 && d->cells[shown].run_id ? &d->cells[shown] : NULL;
}

const data_evaluation *data_find_evaluation(const report_data *d, size_t cell, const column *c) {
  const data_cell *own = shown_cell(d, cell, c);
  bool is_evaluated = c->kind == COLUMN_EVAL || c->kind == COLUMN_CHANCE ||
                      c->kind == COLUMN_SHIFTED || column_is_of_tuning(c->kind);
  if (!own || !is_evaluated) return NULL;
  data_metric m = data_parse_metric(c->argument);
  if (c->set) return find_last(own, &m, c->set, NULL);
  return c->kind == COLUMN_SHIFTED ? find_shifted(d, own, &m) : find_main(d, own, &m);
}

const data_evaluation *data_final_evaluation(const report_data *d, size_t cell, const column *c) {
  const data_evaluation *e = data_find_evaluation(d, cell, c);
  const data_cell *own = e ? shown_cell(d, cell, c) : NULL;
  for (size_t i = 0; own && i < own->evaluation_count; i++)
    if (own->evaluations[i].step > e->step) return NULL;
  if (own && own->lost && !((double)e->step >= data_number_of(own, "total_steps")))
    return NULL; /* all of the last step are lost, or which one that was */
  return e;
}

const data_evaluation *data_find_beside(const data_evaluation *all, size_t count,
                                        const data_evaluation *e, const char *metric) {
  for (size_t i = 0; i < count; i++)
    if (all[i].step == e->step && strcmp(all[i].metric, metric) == 0 &&
        strcmp(all[i].set, e->set) == 0 && strcmp(all[i].task, e->task) == 0)
      return &all[i];
  return NULL;
}

double data_chance(const data_cell *own, const data_evaluation *e, const column *c) {
  data_metric m = data_parse_metric(c->argument);
  if (!*m.chance) return 1;
  const data_evaluation *chance =
      data_find_beside(own->evaluations, own->evaluation_count, e, m.chance);
  return chance ? chance->value : (double)NAN;
}

double data_start(const data_cell *own, const data_evaluation *e) {
  static const struct {
    const char *task, *metric, *chance;
    double times, other; /* of the first k candidates one in k times as many is right, at most all;
                            of a mean of two both, otherwise 0 */
  } starts[] = {
      {"zeroshot", "top1", "chance", 1, 0},
      {"zeroshot", "top5", "chance", 5, 0},
      {"zeroshot", "mean_top1_top5", "chance", 1, 5},
      {"zeroshot", "mean_per_class", "chance", 1, 0},
      {"zeroshot", "map_11point", "chance", 1, 0},
      {"classification", "top1", "chance", 1, 0},
      {"classification", "top5", "chance", 5, 0},
      {"classification", "mean_per_class", "chance", 1, 0},
      {"retrieval", "image_to_text_r1", "chance_r1", 1, 0},
      {"retrieval", "image_to_text_r5", "chance_r1", 5, 0},
      {"retrieval", "image_to_text_r10", "chance_r1", 10, 0},
      {"retrieval", "text_to_image_r1", "chance_r1", 1, 0},
      {"retrieval", "text_to_image_r5", "chance_r1", 5, 0},
      {"retrieval", "text_to_image_r10", "chance_r1", 10, 0},
  };
  if (strcmp(e->metric, "roc_auc") == 0) return 0.5;
  for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
    if (strcmp(e->task, starts[i].task) != 0 || strcmp(e->metric, starts[i].metric) != 0) continue;
    const data_evaluation *chance =
        data_find_beside(own->evaluations, own->evaluation_count, e, starts[i].chance);
    if (!chance) return 0;
    const double start = fmin(starts[i].times * chance->value, 1);
    return starts[i].other > 0 ? (start + fmin(starts[i].other * chance->value, 1)) / 2 : start;
  }
  return 0;
}

bool data_has_result(const report_data *d, size_t cell, const column *c) {
  const data_cell *own = shown_cell(d, cell, c);
  return own && own->is_finished;
}

double data_value(const report_data *d, size_t cell, const column *c) {
  if (!data_has_result(d, cell, c)) return NAN;
  if (c->kind == COLUMN_SUMMARY) return data_number_of(&d->cells[cell], c->argument);
  const data_evaluation *e = data_final_evaluation(d, cell, c);
  return e ? e->value / data_chance(shown_cell(d, cell, c), e, c) : (double)NAN;
}

/* ---- outcomes ---- */

bool data_is_per_class(const data_evaluation *e) {
  return strcmp(e->metric, "mean_per_class") == 0;
}

/* The mean over the non-empty classes of their share of hits. */
static double mean_per_class(const store_outcome *o) {
  enum { CLASSES = UINT16_MAX + 1 };
  double *hits = mem_zeroed(CLASSES, sizeof *hits), *items = mem_zeroed(CLASSES, sizeof *items);
  double sum = 0, present = 0;
  for (size_t i = 0; hits && items && i < o->items; i++) {
    hits[o->labels[i]] += store_is_hit(o, i);
    items[o->labels[i]]++;
  }
  for (size_t c = 0; hits && items && c < CLASSES; c++) {
    if (!(items[c] > 0)) continue;
    sum += hits[c] / items[c];
    present++;
  }
  free(hits);
  free(items);
  return sum / present; /* NaN: no items, or out of memory: equal to nothing */
}

/* The hits must reproduce the recorded value; otherwise they belong to something else. */
static bool do_hits_agree(const store_outcome *o, const data_evaluation *e) {
  double hits = 0;
  if (data_is_per_class(e)) return o->labels && fabs(mean_per_class(o) - e->value) < 1e-4;
  for (size_t i = 0; i < o->items; i++) hits += store_is_hit(o, i);
  return fabs(hits / (double)o->items - e->value) < 1e-4;
}

/* Cached under the evaluation's name, also when there are none (items 0). */
static err file_outcome(store_outcome *o, const data_evaluation *e) {
  if (!o->items) store_free_outcome(o);
  free(o->set);
  free(o->metric);
  free(o->task);
  o->set = mem_copy_string(e->set);
  o->metric = mem_copy_string(e->metric);
  o->task = mem_copy_string(e->task);
  o->step = e->step;
  return o->set && o->metric && o->task ? NULL : mem_error(0, "the report");
}

err data_find_outcome(report_data *d, size_t cell, const data_evaluation *e,
                      const store_outcome **outcome) {
  data_cell *c = &d->cells[cell];
  const char *metric = data_is_per_class(e) ? "top1" : e->metric;
  for (size_t i = 0; i < c->outcome_count; i++) {
    const store_outcome *o = &c->outcomes[i];
    *outcome = o;
    if (o->step == e->step && strcmp(o->metric, e->metric) == 0 && strcmp(o->set, e->set) == 0 &&
        strcmp(o->task, e->task) == 0)
      return NULL;
  }
  store_outcome *grown = mem_resize(c->outcomes, c->outcome_count + 1, sizeof *grown);
  if (!grown) return mem_error(sizeof *grown, "the report");
  c->outcomes = grown;
  store_outcome *o = &grown[c->outcome_count];
  err error = store_load_outcome(d->s, c->run_id, e->task, metric, e->set, e->step, o);
  if (!error && o->items && !do_hits_agree(o, e)) o->items = 0;
  if (!error) error = file_outcome(o, e);
  if (error)
    store_free_outcome(o);
  else
    c->outcome_count++;
  *outcome = error ? NULL : o;
  return error;
}
