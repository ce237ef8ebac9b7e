#include "report/measure.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/pace.h"
#include "report/accuracy.h"
#include "report/curves.h"
#include "stats/student.h"
#include "stats/summary.h"

static bool is_one_of(const char *name, const char *const *names, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (strcmp(name, names[i]) == 0) return true;
  return false;
}

bool measure_is_exact(const column *c) {
  static const char *const names[] = {"flops_per_sample_total", "planned_bytes", "samples",
                                      "parameters_total"};
  if (c->kind == COLUMN_RATIO || c->kind == COLUMN_INVERSE)
    return measure_is_exact(columns_find(c->argument));
  return c->kind == COLUMN_SUMMARY && is_one_of(c->argument, names, sizeof names / sizeof *names);
}

bool measure_is_label(const column *c) {
  static const char *const names[] = {"ranks", "nodes", "slowest_rank", "peak_rank"};
  return c->kind == COLUMN_SUMMARY && is_one_of(c->argument, names, sizeof names / sizeof *names);
}

bool measure_is_accuracy(const column *c) {
  return c->kind == COLUMN_EVAL || c->kind == COLUMN_CHANCE || c->kind == COLUMN_SHIFTED ||
         column_is_of_tuning(c->kind);
}

const char *measure_items(const column *c) {
  bool is_of_texts =
      c && measure_is_accuracy(c) && c->argument && strstr(c->argument, "text_to_image");
  return is_of_texts ? "captions" : "images";
}

static const char *const speeds[] = {"samples_per_second", "samples_per_second_median",
                                     "samples_per_second_per_rank", "flops_per_second", "mfu"};
static const char *const times[] = {"steady_seconds", "steady_step_seconds"};

static bool is_speed(const char *name) {
  return is_one_of(name, speeds, sizeof speeds / sizeof *speeds);
}

static bool is_steady_time(const char *name) {
  return is_one_of(name, times, sizeof times / sizeof *times);
}

bool measure_is_of_time(const column *c) {
  if (c->kind == COLUMN_ISO) return true;
  if (c->kind == COLUMN_RATIO || c->kind == COLUMN_INVERSE)
    return measure_is_of_time(columns_find(c->argument));
  return c->kind == COLUMN_SUMMARY && (is_speed(c->argument) || is_steady_time(c->argument));
}

bool measure_is_timed(const column *c) {
  static const char *const elapsed[] = {"train_seconds",       "samples_per_second_run",
                                        "start_seconds_total", "cpu_seconds",
                                        "energy_per_sample",   "energy_joules",
                                        "power_watts",         "utilisation",
                                        "comm_share",          "rank_spread",
                                        "slowest_rank"};
  if (c->kind == COLUMN_RATIO || c->kind == COLUMN_INVERSE)
    return measure_is_timed(columns_find(c->argument));
  return measure_is_of_time(c) ||
         (c->kind == COLUMN_SUMMARY &&
          is_one_of(c->argument, elapsed, sizeof elapsed / sizeof *elapsed));
}

bool measure_is_training_loss(const column *c) {
  return c->kind == COLUMN_SUMMARY && strcmp(c->argument, "final_loss") == 0;
}

static const settings *settings_of(const report_data *d, size_t row) {
  return &d->e->cells[d->rows[row].cells[0]].settings;
}

bool measure_is_of_classifier(const report_data *d, size_t row) {
  return settings_of(d, row)->classification_classes > 0;
}

/* A contrastive loss is of its batch, a classifier's of its images. */
static bool has_same_loss(const report_data *d, size_t row, size_t other) {
  if (measure_is_of_classifier(d, row) || measure_is_of_classifier(d, other))
    return measure_is_of_classifier(d, row) && measure_is_of_classifier(d, other);
  return settings_of(d, row)->batch_size == settings_of(d, other)->batch_size;
}

bool measure_has_other_batches(const report_data *d, size_t rows) {
  for (size_t r = 0; r < rows; r++)
    for (size_t first = 0; first < r && !measure_is_of_classifier(d, r); first++)
      if (!measure_is_of_classifier(d, first) && !has_same_loss(d, first, r)) return true;
  return false;
}

bool measure_is_comparable(const report_data *d, size_t row, size_t other, const column *c) {
  if (c->kind == COLUMN_ISO) return data_has_comparable_curves(d, row, other);
  if (c->kind == COLUMN_RATIO || c->kind == COLUMN_INVERSE)
    return measure_is_comparable(d, row, other, columns_find(c->argument));
  bool is_memory = c->kind == COLUMN_SUMMARY && strcmp(c->argument, "peak_bytes") == 0;
  if (measure_is_exact(c)) return true;
  if (measure_is_training_loss(c) && !has_same_loss(d, row, other)) return false;
  if (is_memory && !data_has_comparable_memory(d, row, other)) return false;
  return data_is_comparable(d, row, other, measure_is_timed(c));
}

/* A cell's number, with the interval over its steps if it is a steady-pace number. Where hardly a
 * row is undisturbed the interval is unbounded, also that of a single row, which has no other. */
static paired_value paced(const report_data *d, size_t cell, const column *c) {
  const data_cell *own = &d->cells[cell];
  const bool has_pace = data_has_pace(own);
  paired_value v = {data_value(d, cell, c), NAN, NAN};
  double steady = data_number_of(own, "steady_step_seconds");
  double least = data_number_of(own, "steady_low"), low = least / steady;
  double high = data_number_of(own, "steady_high") / steady;
  if (!has_pace && isnan(high)) high = 1; /* undisturbed it would have been no slower */
  if (c->kind != COLUMN_SUMMARY || !(high > 0) || (has_pace && !(low > 0))) return v;
  if (!has_pace || least <= PACE_SHORTEST) low = 0; /* few rows, which differ */
  if (is_steady_time(c->argument)) return (paired_value){v.value, v.value * low, v.value * high};
  if (is_speed(c->argument)) return (paired_value){v.value, v.value / high, v.value / low};
  return v;
}

/* Two lists of cells with room for a row's. */
typedef struct {
  size_t *own, *other, count;
  paired_value *own_values, *other_values;
} pairing;

static void free_pairing(pairing *p) {
  free(p->own);
  free(p->other);
  free(p->own_values);
  free(p->other_values);
}

static err make_pairing(size_t room, pairing *p) {
  *p =
      (pairing){mem_zeroed(room, sizeof *p->own), mem_zeroed(room, sizeof *p->other), 0,
                mem_zeroed(room, sizeof *p->own_values), mem_zeroed(room, sizeof *p->other_values)};
  if (p->own && p->other && p->own_values && p->other_values) return NULL;
  free_pairing(p);
  return mem_error(room * sizeof *p->own, "a comparison");
}

bool measure_is_of_two_sets(const report_data *d, size_t own, const column *c, size_t other,
                            const column *of) {
  const data_evaluation *a = data_find_evaluation(d, own, c);
  const data_evaluation *b = data_find_evaluation(d, other, of);
  return a && b && strcmp(a->set, b->set) != 0;
}

/* Whether the columns' names ask for different sets, as those of one column in two rows do not. */
static bool names_other_set(const column *c, const column *of) {
  if ((c->kind == COLUMN_SHIFTED) != (of->kind == COLUMN_SHIFTED)) return true;
  return c->set && of->set ? strcmp(c->set, of->set) != 0 : c->set != of->set;
}

/* The pairs of seeds of two rows for which both have a value of the column. */
static err pair_columns(const report_data *d, size_t row, const column *c, size_t other,
                        const column *of, pairing *p) {
  bool is_across = names_other_set(c, of);
  err error = make_pairing(d->rows[row].count, p);
  if (error || !measure_is_comparable(d, row, other, c)) return error;
  size_t found = data_pair_seeds(d, row, other, p->own, p->other);
  for (size_t i = 0; i < found; i++) {
    paired_value a = paced(d, p->own[i], c), b = paced(d, p->other[i], of);
    if (isnan(a.value) || isnan(b.value)) continue;
    if (!is_across && measure_is_of_two_sets(d, p->own[i], c, p->other[i], of)) continue;
    p->own[p->count] = p->own[i];
    p->other[p->count] = p->other[i];
    p->own_values[p->count] = a;
    p->other_values[p->count++] = b;
  }
  return NULL;
}

static err pair_rows(const report_data *d, size_t row, size_t other, const column *c, pairing *p) {
  return pair_columns(d, row, c, other, c, p);
}

/* A cell's pace; its curve's time is unbounded below when a tuning that continues it lacks one. */
static paired_value paced_curve(const report_data *d, size_t cell) {
  static const column steady = {.kind = COLUMN_SUMMARY, .argument = "steady_step_seconds"};
  paired_value v = paced(d, cell, &steady);
  if (!data_has_curve_pace(d, cell)) v.low = 0;
  return v;
}

err measure_pace_ratio(const report_data *d, const size_t *above, const size_t *below, size_t count,
                       paired_result *ratio) {
  pairing p;
  *ratio = (paired_result){NAN, NAN, NAN};
  err error = make_pairing(count, &p);
  if (error) return error;
  for (size_t i = 0; i < count; i++) {
    p.own_values[i] = paced_curve(d, above[i]);
    p.other_values[i] = paced_curve(d, below[i]);
  }
  *ratio = paired_ratio(p.own_values, p.other_values, count);
  free_pairing(&p);
  return NULL;
}

/* ---- accuracies ---- */

static err find_places(const report_data *d, const size_t *cells, size_t count, const column *c,
                       accuracy_place **places) {
  *places = mem_zeroed(count, sizeof **places);
  if (!*places) return mem_error(count * sizeof **places, "an accuracy");
  for (size_t i = 0; i < count; i++) (*places)[i] = accuracy_find(d, cells[i], c);
  return NULL;
}

/* From a share to the column's unit. NaN: no chance level was recorded that it is divided by. */
static double scale_of(const report_data *d, const accuracy_place *places, size_t count,
                       const column *c) {
  double chance = NAN;
  for (size_t i = 0; i < count && isnan(chance); i++)
    if (places[i].evaluation)
      chance = data_chance(&d->cells[places[i].cell], places[i].evaluation, c);
  return c->scale / chance;
}

static err measure_accuracy(report_data *d, const size_t *cells, size_t count, const column *c,
                            data_measure *m) {
  accuracy_place *places;
  accuracy own;
  err error = find_places(d, cells, count, c, &places);
  if (!error) error = accuracy_mean(d, places, count, &own);
  double scale = error ? (double)NAN : scale_of(d, places, count, c);
  free(places);
  if (error) return error;
  m->value = own.mean.mean * scale;
  m->low = own.mean.low * scale;
  m->high = own.mean.high * scale;
  m->seeds = own.seeds;
  m->items = own.items;
  m->over = own.over;
  return NULL;
}

err measure_difference(report_data *d, size_t row, size_t other, const column *c,
                       data_difference *out) {
  return measure_columns_difference(d, row, c, other, c, out);
}

err measure_columns_difference(report_data *d, size_t row, const column *c, size_t other,
                               const column *of, data_difference *out) {
  pairing p;
  accuracy_place *own = NULL, *theirs = NULL;
  accuracy found;
  *out = (data_difference){.value = NAN, .low = NAN, .high = NAN, .scale = 1};
  err error = pair_columns(d, row, c, other, of, &p);
  if (error) return error;
  TRY(find_places(d, p.own, p.count, c, &own));
  TRY(find_places(d, p.other, p.count, of, &theirs));
  TRY(accuracy_difference(d, own, theirs, p.count, &found));
  double scale = scale_of(d, own, p.count, c), their_scale = scale_of(d, theirs, p.count, of);
  if (fabs(scale - their_scale) > 1e-9 * scale)
    goto cleanup; /* multiples of unequal chance levels */
  *out = (data_difference){.value = found.mean.mean * scale,
                           .low = found.mean.low * scale,
                           .high = found.mean.high * scale,
                           .seeds = found.seeds,
                           .items = found.items,
                           .mean = found.mean,
                           .scale = scale,
                           .over = found.over};
  measure_needed(out, 0, &out->seeds_needed, &out->items_needed);
cleanup:
  free(own);
  free(theirs);
  free_pairing(&p);
  return error;
}

void measure_needed(const data_difference *x, double bound, size_t *seeds, size_t *items) {
  crossed_mean from_bound = x->mean;
  from_bound.mean -= bound / x->scale;
  *seeds = crossed_seeds_needed(&from_bound, x->seeds);
  *items = x->items > 1 ? crossed_items_needed(&from_bound, x->items, x->seeds) : 0;
}

/* ---- other numbers ---- */

static void take(const paired_result *r, size_t seeds, double scale, data_measure *m) {
  *m = (data_measure){r->value * scale, r->low * scale, r->high * scale, false, seeds, 0, NULL};
}

/* Covers seeds and, of the runs that have them, their own intervals over steps. */
static void name_source(const pairing *p, data_measure *m) {
  bool has_steps = false;
  for (size_t i = 0; i < p->count; i++) has_steps = has_steps || !isnan(p->own_values[i].low);
  if (isnan(m->low)) return;
  m->over = !has_steps ? "seeds" : p->count > 1 ? "seeds and steps" : "steps";
}

static err measure_ratio(report_data *d, size_t row, const column *c, data_measure *m) {
  const column *of = columns_find(c->argument);
  pairing p;
  if (d->baseline < 0) return NULL;
  err error = pair_rows(d, row, (size_t)d->baseline, of, &p);
  if (error) return error;
  paired_result r = c->kind == COLUMN_RATIO ? paired_ratio(p.own_values, p.other_values, p.count)
                                            : paired_ratio(p.other_values, p.own_values, p.count);
  take(&r, p.count, c->scale, m);
  if (measure_is_exact(c) || (ptrdiff_t)row == d->baseline)
    m->low = m->high = NAN; /* no uncertainty: 1 by definition */
  name_source(&p, m);
  free_pairing(&p);
  return NULL;
}

/* The number that all runs have; a mean of ranks' numbers would be no rank's. */
static void measure_label(const report_data *d, const size_t *cells, size_t count, const column *c,
                          data_measure *m) {
  for (size_t i = 0; i < count; i++) {
    double value = data_value(d, cells[i], c);
    if (isnan(value)) continue;
    m->value = !m->seeds || m->value == value ? value : NAN;
    m->seeds++;
  }
}

/* No quantity of a run is below 0, and no share above 1. */
static bool cut_to_range(const column *c, paired_result *r) {
  bool is_share = strcmp(c->unit, "%") == 0;
  bool is_cut = r->low < 0 || (is_share && r->high > 1);
  if (!is_cut || r->value < 0) return false;
  r->low = fmax(r->low, 0);
  if (is_share) r->high = fmin(r->high, 1);
  return true;
}

static err measure_summary(report_data *d, const size_t *cells, size_t count, const column *c,
                           data_measure *m) {
  if (measure_is_label(c)) {
    measure_label(d, cells, count, c, m);
    return NULL;
  }
  pairing p;
  err error = make_pairing(count, &p);
  if (error) return error;
  double *plain = mem_zeroed(count, sizeof *plain);
  if (!plain) error = mem_error(0, "a number");
  for (size_t i = 0; i < count && !error; i++) {
    paired_value v = paced(d, cells[i], c);
    if (isnan(v.value)) continue;
    plain[p.count] = v.value;
    p.own_values[p.count++] = v;
  }
  if (!error && measure_is_of_time(c)) {
    paired_result r = paired_mean(p.own_values, p.count);
    take(&r, p.count, c->scale, m);
  } else if (!error) {
    double half = measure_is_exact(c) ? (double)NAN : stats_half_width(plain, p.count);
    paired_result r = {stats_mean(plain, p.count), NAN, NAN};
    r.low = r.value - half;
    r.high = r.value + half;
    bool is_cut = cut_to_range(c, &r);
    take(&r, p.count, c->scale, m);
    m->is_symmetric = !isnan(half) && !is_cut;
  }
  if (!error) name_source(&p, m);
  free(plain);
  free_pairing(&p);
  return error;
}

err measure_row(report_data *d, size_t row, const column *c, data_measure *m) {
  *m = (data_measure){.value = NAN, .low = NAN, .high = NAN};
  if (c->kind == COLUMN_RATIO || c->kind == COLUMN_INVERSE) return measure_ratio(d, row, c, m);
  if (c->kind == COLUMN_ISO) {
    data_iso iso;
    err error = curves_iso(d, row, &iso);
    *m = (data_measure){iso.at.speedup, iso.low, iso.high, false, iso.seeds, iso.items, NULL};
    if (!isnan(iso.low))
      m->over = iso.seeds < 2 ? "images and pace"
                : iso.items   ? "seeds, images and pace"
                              : "seeds and pace";
    return error;
  }
  size_t *cells = mem_zeroed(d->rows[row].count, sizeof *cells);
  if (!cells) return mem_error(0, "a row");
  size_t count = data_finished(d, row, cells);
  err error = NULL;
  if (measure_is_accuracy(c))
    error = measure_accuracy(d, cells, count, c, m);
  else if (c->kind == COLUMN_SUMMARY && !(measure_is_timed(c) && data_differing_pace(d, row)))
    error = measure_summary(d, cells, count, c, m);
  free(cells);
  return error;
}

/* ---- comparison ---- */

/* Student's t on the differences of paired seeds; one pair gives no interval. */
static bool is_above_by_seeds(const pairing *p) {
  double sum = 0, squares = 0, n = (double)p->count;
  for (size_t i = 0; i < p->count; i++) {
    double difference = p->own_values[i].value - p->other_values[i].value;
    sum += difference;
    squares += difference * difference;
  }
  if (p->count < 2) return false;
  double mean = sum / n, variance = fmax(squares - n * mean * mean, 0) / (n - 1);
  return mean > student_quantile(0.05, p->count - 1) * sqrt(variance / n);
}

err measure_is_above(report_data *d, size_t row, size_t other, const column *c, bool *is_above) {
  *is_above = false;
  if (measure_is_accuracy(c)) {
    data_difference difference;
    err error = measure_difference(d, row, other, c, &difference);
    *is_above = difference.low > 0;
    return error;
  }
  if (c->kind == COLUMN_ISO) {
    data_measure a, b;
    err error = measure_row(d, row, c, &a);
    if (!error) error = measure_row(d, other, c, &b);
    *is_above = !error && data_is_comparable(d, row, other, true) && a.low > b.high;
    return error;
  }
  bool is_ratio = c->kind == COLUMN_RATIO || c->kind == COLUMN_INVERSE;
  const column *of = is_ratio ? columns_find(c->argument) : c;
  pairing p;
  err error = pair_rows(d, row, other, of, &p);
  if (error) return error;
  if (c->kind == COLUMN_INVERSE) { /* above when its parts are below */
    paired_value *swapped = p.own_values;
    p.own_values = p.other_values;
    p.other_values = swapped;
  }
  if (p.count && measure_is_exact(of))
    *is_above = p.own_values[0].value > p.other_values[0].value;
  else if (measure_is_of_time(of))
    *is_above = paired_ratio(p.own_values, p.other_values, p.count).low > 1;
  else
    *is_above = is_above_by_seeds(&p);
  free_pairing(&p);
  return NULL;
}
