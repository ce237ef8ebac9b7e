#include "stats/crossed.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/numbers.h"
#include "stats/student.h"
#include "stats/summary.h"

/* Items form groups: the strata, except that strata with a single item are merged into one group,
 * because one item has no variance. The weight of an item is that of its own stratum. */
typedef struct {
  uint32_t *group; /* [items] */
  double *weight;  /* [items]; they sum to 1 */
  double *members; /* [groups] */
  size_t groups;
} grouping;

static void free_grouping(grouping *g) {
  free(g->group);
  free(g->weight);
  free(g->members);
}

static size_t highest_stratum(const crossed_table *t) {
  size_t highest = 0;
  for (size_t i = 0; t->strata && i < t->items; i++)
    if (t->strata[i] > highest) highest = t->strata[i];
  return highest;
}

static err make_grouping(const crossed_table *t, grouping *g) {
  size_t most = highest_stratum(t) + 1, present = 0;
  *g = (grouping){mem_zeroed(t->items, sizeof *g->group), mem_zeroed(t->items, sizeof *g->weight),
                  mem_zeroed(most + 1, sizeof *g->members), most + 1};
  if (!g->group || !g->weight || !g->members) {
    free_grouping(g);
    return mem_error(t->items * sizeof *g->weight, "an interval");
  }
  for (size_t i = 0; i < t->items; i++) {
    g->group[i] = t->strata ? t->strata[i] : 0;
    g->members[g->group[i]]++;
  }
  for (size_t c = 0; c < most; c++) present += g->members[c] > 0;
  for (size_t i = 0; i < t->items; i++)
    g->weight[i] = 1 / ((double)present * g->members[g->group[i]]);
  for (size_t i = 0; i < t->items; i++)
    if (t->strata && g->members[t->strata[i]] < 2) {
      g->group[i] = (uint32_t)most;
      g->members[most]++;
    }
  return NULL;
}

/* Σ w² n/(n−1) (x − group mean)²: the variance of Σ w x when the items of a group are resampled.
 * `scratch` holds one mean per group. */
static double drawn_variance(const grouping *g, const double *x, size_t items, double *scratch) {
  double sum = 0;
  memset(scratch, 0, g->groups * sizeof *scratch);
  for (size_t i = 0; i < items; i++) scratch[g->group[i]] += x[i] / g->members[g->group[i]];
  for (size_t i = 0; i < items; i++) {
    double n = g->members[g->group[i]], off = x[i] - scratch[g->group[i]];
    if (n > 1) sum += g->weight[i] * g->weight[i] * n / (n - 1) * off * off;
  }
  return sum;
}

static err measure(const crossed_table *t, const grouping *g, double *mean, crossed_squares *v) {
  size_t seeds = t->seeds, items = t->items;
  double *item_means = mem_zeroed(items, sizeof *item_means);
  double *off = mem_zeroed(items, sizeof *off), *scratch = mem_zeroed(g->groups, sizeof *scratch);
  double *seed_means = mem_zeroed(seeds, sizeof *seed_means);
  err error = NULL;
  if (!item_means || !off || !scratch || !seed_means)
    FAIL(ERR_MEMORY, "out of memory: an interval");
  for (size_t s = 0; s < seeds; s++)
    for (size_t i = 0; i < items; i++) {
      double value = t->values[s * items + i];
      item_means[i] += value / (double)seeds;
      seed_means[s] += g->weight[i] * value;
    }
  *mean = stats_mean(seed_means, seeds);
  *v = (crossed_squares){drawn_variance(g, item_means, items, scratch), NAN, NAN};
  if (seeds < 2) goto cleanup;
  v->seeds = pow(stats_deviation(seed_means, seeds), 2) / (double)seeds;
  v->rest = 0;
  for (size_t s = 0; s < seeds; s++) {
    for (size_t i = 0; i < items; i++) off[i] = t->values[s * items + i] - item_means[i];
    v->rest += drawn_variance(g, off, items, scratch) / (double)((seeds - 1) * seeds);
  }
cleanup:
  free(item_means);
  free(off);
  free(scratch);
  free(seed_means);
  return error;
}

static const double z95 = 1.959964;

void crossed_combine(const crossed_squares *v, size_t seeds, crossed_mean *m) {
  double square = z95 * z95 * v->items;
  m->items = v->items;
  m->seeds = m->rest = NAN;
  if (seeds > 1) {
    double t95 = student_quantile(0.05, seeds - 1);
    if (v->seeds > 0) square += t95 * t95 * fmax(v->seeds - 0.8 * v->rest * v->rest / v->seeds, 0);
    m->rest = fmin(v->rest, v->items); /* the interaction is counted once */
    m->items = v->items - m->rest;
    m->seeds = fmax(v->seeds - m->rest, 0);
  }
  m->error = sqrt(square) / z95;
}

/* Without items (the run recorded no outcomes), seeds only. Equal seeds (shares are recorded to far
 * more digits) give no interval: nothing shows how far other images would lead. */
static void from_seeds(const crossed_table *t, crossed_mean *m) {
  static const double rounding = 1e-12;
  m->mean = stats_mean(t->values, t->seeds);
  if (t->seeds < 2) return;
  double error = stats_deviation(t->values, t->seeds) / sqrt((double)t->seeds);
  if (error < rounding) return;
  m->error = student_quantile(0.05, t->seeds - 1) * error / z95;
  m->seeds = error * error;
  m->items = m->rest = 0;
}

/* As if one more item had differed by 1: where few do, or none, their variance is far too small
 * (after the pseudo-counts of Agresti and Min for pairs). Of many it is nothing. */
static double one_more(const grouping *g, size_t items) {
  double sum = 0;
  for (size_t i = 0; i < items; i++) sum += g->weight[i] * g->weight[i];
  return sum / (double)items;
}

typedef enum { OF_NUMBERS, OF_SHARE, OF_DIFFERENCE } quantity;

/* The least variance of a share of hits that vary is that of one item in the largest class for one
 * of the seeds. A model that answers one class for all images hits all of that class and none of
 * the others: what is left is rounding, and says nothing about other items. */
static bool is_rounding(double variance, double of_one_more) {
  return variance < 1e-15 * of_one_more;
}

static err find_squares(const crossed_table *table, quantity of, double *mean, crossed_squares *v) {
  grouping g;
  *v = (crossed_squares){NAN, NAN, NAN};
  err error = make_grouping(table, &g);
  if (error) return error;
  error = measure(table, &g, mean, v);
  const double of_one_more = one_more(&g, table->items);
  if (of == OF_DIFFERENCE || (of == OF_SHARE && is_rounding(v->items, of_one_more)))
    v->items += of_one_more;
  free_grouping(&g);
  return error;
}

/* As many hits more as fewer make no difference, but weights that differ leave rounding. */
static void snap_to_zero(double *difference) {
  static const double rounding = 1e-12;
  if (fabs(*difference) < rounding) *difference = 0;
}

static void set_ends(crossed_mean *m) {
  m->low = m->mean - z95 * m->error;
  m->high = m->mean + z95 * m->error;
}

static err combine(const crossed_table *table, quantity of, crossed_mean *m) {
  *m = (crossed_mean){NAN, NAN, NAN, NAN, NAN, NAN, NAN};
  if (!table->seeds || !table->items) return NULL;
  if (table->items == 1) {
    from_seeds(table, m);
  } else {
    crossed_squares v;
    err error = find_squares(table, of, &m->mean, &v);
    if (error) return error;
    crossed_combine(&v, table->seeds, m);
  }
  if (of == OF_DIFFERENCE) snap_to_zero(&m->mean);
  set_ends(m);
  return NULL;
}

err crossed_of(const crossed_table *table, crossed_mean *m) {
  return combine(table, OF_NUMBERS, m);
}

err crossed_difference(const crossed_table *table, crossed_mean *m) {
  return combine(table, OF_DIFFERENCE, m);
}

err crossed_unpaired(const double *differences, const crossed_table *own,
                     const crossed_table *other, crossed_mean *m) {
  crossed_squares mine, theirs;
  double mean; /* of one table: not used, the recorded values are exact */
  *m = (crossed_mean){NAN, NAN, NAN, NAN, NAN, NAN, NAN};
  if (!own->seeds || own->items < 2 || other->items < 2) return NULL;
  err error = find_squares(own, OF_DIFFERENCE, &mean, &mine);
  if (!error) error = find_squares(other, OF_DIFFERENCE, &mean, &theirs);
  if (error) return error;
  crossed_squares v = {mine.items + theirs.items, NAN, mine.rest + theirs.rest};
  if (own->seeds > 1)
    v.seeds = pow(stats_deviation(differences, own->seeds), 2) / (double)own->seeds;
  m->mean = stats_mean(differences, own->seeds);
  snap_to_zero(&m->mean);
  crossed_combine(&v, own->seeds, m);
  set_ends(m);
  return NULL;
}

/* Where all outcomes are hits or none is, weights of 1/N need not add up to exactly 1, and what is
 * left of the variance is rounding: it says nothing about other items. */
static void snap_to_end(crossed_mean *m) {
  static const double rounding = 1e-9; /* one miss of a million items is 1e-6 */
  const double end = round(m->mean);
  if (fabs(m->mean - end) > rounding) return;
  m->mean = end;
  m->error = m->items = 0;
  if (!isnan(m->seeds)) m->seeds = m->rest = 0;
}

err crossed_share(const crossed_table *table, crossed_mean *m) {
  err error = combine(table, OF_SHARE, m);
  if (error || isnan(m->error)) return error;
  if (table->items < 2) {
    m->low = fmax(m->low, 0);
    m->high = fmin(m->high, 1);
    return NULL;
  }
  snap_to_end(m);
  double bounds[2];
  numbers_wilson(m->mean, m->error, (double)table->items, bounds);
  m->low = bounds[0];
  m->high = bounds[1];
  return NULL;
}

/* Would as much more data most likely (with 80 % power) give an interval without 0? items, seeds:
 * the variances that it leaves. The interval is that of crossed_combine, whose factor for few seeds
 * is far above the normal's. */
static bool is_enough(const crossed_mean *m, double items, double of_seeds, size_t seeds) {
  const double t95 = seeds > 1 ? student_quantile(0.05, seeds - 1) : z95, power = 0.84;
  return sqrt(z95 * z95 * items + t95 * t95 * of_seeds) + power * sqrt(items + of_seeds) <=
         fabs(m->mean);
}

static size_t whole_number(double wanted) {
  return wanted > 0 && wanted < 1e9 ? (size_t)ceil(wanted) : 0;
}

size_t crossed_seeds_needed(const crossed_mean *m, size_t seeds) {
  enum { MANY = 1000 }; /* beyond these the factor is the normal's */
  const double allowed = pow(fabs(m->mean) / 2.8, 2), left = allowed - m->items;
  if (isnan(m->seeds) || left <= 0) return 0;
  const double one = (double)seeds * (m->seeds + m->rest);
  size_t wanted = whole_number(one / left);
  if (!wanted) return 0;
  if (wanted <= seeds) wanted = seeds + 1;
  while (wanted < MANY && !is_enough(m, m->items, one / (double)wanted, wanted)) wanted++;
  return wanted;
}

/* By Wilson and Hilferty's approximation, as a share of the degrees of freedom. */
static double chi_square_of_80_percent(size_t degrees) {
  const double z80 = 0.8416, spread = 2 / (9 * (double)degrees);
  return pow(1 - spread + z80 * sqrt(spread), 3);
}

/* Would `times` as many items do with these seeds? The interval is that of crossed_combine. The
 * spread over so few seeds is often found larger than it is, and its factor is large: it is taken
 * at its 80 % quantile, with the less left for the chance of the difference itself the fewer the
 * seeds are. Simulated with 2 to 5 seeds and mixtures of the components: a power of 75 to 82 %. */
static bool are_items_enough(const crossed_mean *m, double times, size_t seeds) {
  if (seeds < 2) return is_enough(m, m->items / times, 0, seeds);
  const double items = m->items / times, rest = m->rest / times, of_seeds = m->seeds + rest;
  const double t95 = student_quantile(0.05, seeds - 1),
               power = fmax(0.84 - 0.96 / (double)(seeds - 1), 0.3);
  const double found = of_seeds * chi_square_of_80_percent(seeds - 1);
  double square = z95 * z95 * (items + rest);
  if (found > 0) square += t95 * t95 * fmax(found - 0.8 * rest * rest / found, 0);
  return sqrt(square) + power * sqrt(items + of_seeds) <= fabs(m->mean);
}

size_t crossed_items_needed(const crossed_mean *m, size_t items, size_t seeds) {
  double enough = 1e9, few = (double)items;
  if (!are_items_enough(m, enough / (double)items, seeds)) return 0;
  while (enough - few > 0.01 * few) {
    const double middle = sqrt(few * enough);
    if (are_items_enough(m, middle / (double)items, seeds))
      enough = middle;
    else
      few = middle;
  }
  return whole_number(enough);
}
