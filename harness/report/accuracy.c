#include "report/accuracy.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "stats/bounded.h"
#include "stats/resampled.h"

accuracy_place accuracy_find(const report_data *d, size_t cell, const column *c) {
  ptrdiff_t shown = data_shown_cell(d, cell, c);
  accuracy_place at = {shown >= 0 ? (size_t)shown : cell, NULL};
  if (data_has_result(d, cell, c)) at.evaluation = data_final_evaluation(d, cell, c);
  if (at.evaluation && isnan(at.evaluation->value)) at.evaluation = NULL;
  return at;
}

/* ---- bounds recorded with the number ---- */

bool accuracy_recorded(const report_data *d, const accuracy_place *at, double bounds[2],
                       size_t *images) {
  static const char *const ends[] = {"low", "high"};
  const data_cell *c = &d->cells[at->cell];
  const data_evaluation *e = at->evaluation;
  char name[96];
  for (int i = 0; i < 2; i++) {
    snprintf(name, sizeof name, "%s_%s", e->metric, ends[i]);
    const data_evaluation *end = data_find_beside(c->evaluations, c->evaluation_count, e, name);
    bounds[i] = end ? end->value : (double)NAN;
  }
  const data_evaluation *shown = data_find_beside(c->evaluations, c->evaluation_count, e, "images");
  *images = shown && shown->value > 0 ? (size_t)shown->value : 0;
  return bounds[0] <= e->value && e->value <= bounds[1];
}

bool accuracy_is_bound(const data_evaluation *all, size_t count, const data_evaluation *e) {
  char name[96];
  size_t length = strlen(e->metric), cut = 0;
  if (length > 4 && strcmp(e->metric + length - 4, "_low") == 0) cut = 4;
  if (length > 5 && strcmp(e->metric + length - 5, "_high") == 0) cut = 5;
  snprintf(name, sizeof name, "%.*s", (int)(length - cut), e->metric);
  return cut && data_find_beside(all, count, e, name);
}

/* The wider side: the other may end at 0 or 1. */
static double half_width(const report_data *d, const accuracy_place *at, size_t *images) {
  double bounds[2];
  if (!accuracy_recorded(d, at, bounds, images)) return NAN;
  return fmax(at->evaluation->value - bounds[0], bounds[1] - at->evaluation->value);
}

/* ---- hits ---- */

/* One or two kinds of hits that are averaged. */
typedef struct {
  store_outcome kinds[2];
  size_t count, items; /* items 0: not recorded */
} hit_source;

static err add_kind(report_data *d, size_t cell, const data_evaluation *e, hit_source *h) {
  const store_outcome *o;
  err error = data_find_outcome(d, cell, e, &o);
  if (error) return error;
  h->items = h->count && h->items != o->items ? 0 : o->items;
  h->kinds[h->count++] = *o;
  return NULL;
}

static err find_hits(report_data *d, const accuracy_place *at, hit_source *h) {
  const data_evaluation *e = at->evaluation;
  const data_cell *c = &d->cells[at->cell];
  *h = (hit_source){0};
  if (strcmp(e->metric, "mean_top1_top5") != 0) return add_kind(d, at->cell, e, h);
  const data_evaluation *first = data_find_beside(c->evaluations, c->evaluation_count, e, "top1");
  const data_evaluation *five = data_find_beside(c->evaluations, c->evaluation_count, e, "top5");
  if (!first || !five || !(fabs((first->value + five->value) / 2 - e->value) < 1e-4)) return NULL;
  err error = add_kind(d, at->cell, first, h);
  return error ? error : add_kind(d, at->cell, five, h);
}

static double hit_at(const hit_source *h, size_t item) {
  double sum = 0;
  for (size_t k = 0; k < h->count; k++) sum += store_is_hit(&h->kinds[k], item);
  return sum / (double)h->count;
}

/* ---- values on resampled items ---- */

/* They must reproduce the recorded bounds; otherwise they belong to something else. */
static bool do_bounds_agree(const store_resampled *r, double half) {
  double sum = 0, squares = 0, used = 0;
  for (size_t k = 0; k < r->count; k++) {
    if (isnan(r->values[k])) continue;
    sum += (double)r->values[k];
    squares += (double)r->values[k] * (double)r->values[k];
    used++;
  }
  double variance = (squares - sum * sum / used) / (used - 1);
  return fabs(1.96 * sqrt(fmax(variance, 0)) - half) < 1e-4;
}

/* r->count 0: none are recorded. Free r->values. */
static err find_resampled(report_data *d, const accuracy_place *at, store_resampled *r) {
  const data_evaluation *e = at->evaluation;
  size_t images;
  double half = half_width(d, at, &images);
  *r = (store_resampled){0};
  if (isnan(half)) return NULL;
  err error =
      store_load_resampled(d->s, d->cells[at->cell].run_id, e->task, e->metric, e->set, e->step, r);
  bool is_cut = e->value - half < 1e-9 || e->value + half > 1 - 1e-9; /* bounds at 0 or 1 */
  if (!error && r->count && !is_cut && !do_bounds_agree(r, half)) r->count = 0;
  return error;
}

/* ---- over seeds ---- */

/* [seeds][items]: of hits, or for a paired difference own minus the other's. */
typedef struct {
  double *values;
  size_t items;
  const uint16_t *strata;
} hit_table;

typedef struct {
  hit_table own, other;   /* other: of an unpaired difference */
  double *plain, *halves; /* [seeds]: the numbers themselves, and their recorded half widths */
  double *resampled;      /* [seeds][resamples]: the same numbers on resampled images */
  size_t resamples, resampled_images, seeds, images;
  bool has_items, has_resampled, is_unpaired;
} item_table;

static void free_table(item_table *t) {
  free(t->own.values);
  free(t->other.values);
  free(t->plain);
  free(t->halves);
  free(t->resampled);
}

/* Adds the hits to the seed's, or (sign -1) takes them away. */
static err add_hits(item_table *t, hit_table *to, size_t room, const hit_source *hits,
                    double sign) {
  if (!to->values) {
    to->items = hits->items;
    to->values = mem_zeroed(room * (to->items ? to->items : 1), sizeof *to->values);
    if (!to->values) return mem_error(0, "an accuracy");
  }
  t->has_items = t->has_items && hits->items > 1 && hits->items == to->items;
  for (size_t i = 0; t->has_items && i < to->items; i++)
    to->values[t->seeds * to->items + i] += sign * hit_at(hits, i);
  return NULL;
}

static err add_items(item_table *t, size_t room, const accuracy_place *own, const hit_source *mine,
                     const hit_source *theirs) {
  bool is_per_class = data_is_per_class(own->evaluation);
  if (is_per_class) t->own.strata = mine->kinds[0].labels;
  err error = add_hits(t, &t->own, room, mine, 1);
  if (error || !theirs) return error;
  if (is_per_class && t->is_unpaired) t->other.strata = theirs->kinds[0].labels;
  return t->is_unpaired ? add_hits(t, &t->other, room, theirs, 1)
                        : add_hits(t, &t->own, room, theirs, -1);
}

/* Are both of the same images, as far as is known? */
static err are_of_same_items(report_data *d, const accuracy_place *own, const accuracy_place *other,
                             bool *is_same) {
  hit_source mine = {0}, theirs = {0};
  *is_same = strcmp(own->evaluation->set, other->evaluation->set) == 0;
  if (!*is_same) return NULL;
  err error = find_hits(d, own, &mine);
  if (!error) error = find_hits(d, other, &theirs);
  if (error || !mine.items || !theirs.items) return error;
  const uint16_t *labels = mine.kinds[0].labels, *others = theirs.kinds[0].labels;
  *is_same = mine.items == theirs.items &&
             (!labels || !others || memcmp(labels, others, mine.items * sizeof *labels) == 0);
  return NULL;
}

static err find_pairing(report_data *d, const accuracy_place *own, const accuracy_place *other,
                        size_t count, item_table *t) {
  err error = NULL;
  for (size_t i = 0; other && i < count && !error && !t->is_unpaired; i++) {
    bool is_same = true;
    if (own[i].evaluation && other[i].evaluation)
      error = are_of_same_items(d, &own[i], &other[i], &is_same);
    t->is_unpaired = !is_same;
  }
  t->has_resampled =
      !t->is_unpaired; /* the same resamples of other images have nothing in common */
  return error;
}

static err add_resampled(report_data *d, item_table *t, size_t room, const accuracy_place *own,
                         const accuracy_place *other) {
  store_resampled mine = {0}, theirs = {0};
  err error = t->has_resampled ? find_resampled(d, own, &mine) : NULL;
  if (!error && other && mine.count) error = find_resampled(d, other, &theirs);
  if (!error && !t->seeds && mine.count) {
    t->resampled = mem_zeroed(room * mine.count, sizeof *t->resampled);
    t->resamples = mine.count;
    t->resampled_images = mine.items;
    if (!t->resampled) error = mem_error(0, "an accuracy");
  }
  t->has_resampled = t->resampled && mine.count == t->resamples &&
                     mine.items == t->resampled_images &&
                     (!other || (theirs.count == t->resamples && theirs.items == mine.items));
  for (size_t k = 0; k < t->resamples && t->has_resampled && !error; k++)
    t->resampled[t->seeds * t->resamples + k] =
        (double)mine.values[k] - (other ? (double)theirs.values[k] : 0);
  free(mine.values);
  free(theirs.values);
  return error;
}

static err tabulate(report_data *d, const accuracy_place *own, const accuracy_place *other,
                    size_t count, item_table *t) {
  err error = NULL;
  *t = (item_table){.plain = mem_zeroed(count, sizeof *t->plain),
                    .halves = mem_zeroed(count, sizeof *t->halves),
                    .has_items = true};
  if (!t->plain || !t->halves) FAIL(ERR_MEMORY, "out of memory: an accuracy");
  TRY(find_pairing(d, own, other, count, t));
  for (size_t i = 0; i < count; i++) {
    hit_source mine, theirs = {0};
    if (!own[i].evaluation || (other && !other[i].evaluation)) continue;
    TRY(find_hits(d, &own[i], &mine));
    if (other) TRY(find_hits(d, &other[i], &theirs));
    TRY(add_items(t, count, &own[i], &mine, other ? &theirs : NULL));
    TRY(add_resampled(d, t, count, &own[i], other ? &other[i] : NULL));
    t->plain[t->seeds] = own[i].evaluation->value - (other ? other[i].evaluation->value : 0);
    t->halves[t->seeds] = half_width(d, &own[i], &t->images);
    size_t others = t->images;
    if (other) t->halves[t->seeds] = hypot(t->halves[t->seeds], half_width(d, &other[i], &others));
    if (others < t->images) t->images = others;
    t->seeds++;
  }
cleanup:
  if (error) free_table(t);
  return error;
}

static const char *name_interval(const item_table *t, bool is_difference, bool has_bounds) {
  bool is_of_seeds = t->seeds > 1;
  if (!t->has_items && !has_bounds) return is_of_seeds ? "seeds" : NULL;
  if (!is_difference) return is_of_seeds ? "seeds and images" : "images";
  if (!t->is_unpaired && (t->has_items || t->has_resampled))
    return is_of_seeds ? "seeds and paired images" : "paired images";
  return is_of_seeds ? "seeds and unpaired images" : "unpaired images";
}

/* A single run's own number keeps the bounds that it recorded. */
static err from_bounds(const item_table *t, bool is_difference, accuracy *out) {
  err error = NULL;
  out->items = t->images;
  if (t->has_resampled && (is_difference || t->seeds > 1))
    error = resampled_mean(t->plain, t->resampled, t->seeds, t->resamples, &out->mean);
  else
    out->mean = bounded_mean(t->plain, t->halves, t->seeds);
  if (isnan(out->mean.low)) out->over = NULL;
  if (error || is_difference || !out->over) return error;
  out->mean.low = fmax(out->mean.low, 0);
  out->mean.high = fmin(out->mean.high, 1);
  return NULL;
}

static err from_hits(const item_table *t, bool is_difference, accuracy *out) {
  crossed_table table = {t->own.values, t->own.strata, t->seeds, t->own.items};
  crossed_table other = {t->other.values, t->other.strata, t->seeds, t->other.items};
  out->items = t->own.items;
  if (!is_difference) return crossed_share(&table, &out->mean);
  if (!t->is_unpaired) return crossed_difference(&table, &out->mean);
  if (other.items < out->items) out->items = other.items;
  return crossed_unpaired(t->plain, &table, &other, &out->mean);
}

static err from_seeds(const item_table *t, bool is_difference, accuracy *out) {
  crossed_table table = {t->plain, NULL, t->seeds, 1};
  return is_difference ? crossed_difference(&table, &out->mean) : crossed_share(&table, &out->mean);
}

static err measure(report_data *d, const accuracy_place *own, const accuracy_place *other,
                   size_t count, accuracy *out) {
  item_table t;
  *out = (accuracy){.mean = {NAN, NAN, NAN, NAN, NAN, NAN, NAN}};
  err error = tabulate(d, own, other, count, &t);
  if (error) return error;
  bool has_bounds = t.seeds > 0;
  for (size_t i = 0; i < t.seeds; i++) has_bounds = has_bounds && !isnan(t.halves[i]);
  out->seeds = t.seeds;
  out->over = name_interval(&t, other, has_bounds);
  if (t.seeds && t.has_items)
    error = from_hits(&t, other, out);
  else if (has_bounds)
    error = from_bounds(&t, other, out);
  else if (t.seeds)
    error = from_seeds(&t, other, out);
  if (isnan(out->mean.low)) out->over = NULL;
  free_table(&t);
  return error;
}

err accuracy_mean(report_data *d, const accuracy_place *own, size_t count, accuracy *out) {
  return measure(d, own, NULL, count, out);
}

err accuracy_difference(report_data *d, const accuracy_place *own, const accuracy_place *other,
                        size_t count, accuracy *out) {
  return measure(d, own, other, count, out);
}
