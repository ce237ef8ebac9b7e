/* The mean of a value measured on every item (an evaluation image) by every seed, with a confidence
 * interval over other items and other seeds.
 *
 * The table is crossed: all seeds see the same items. Its variance has three components (two-way
 * random-effects analysis of variance, one value per cell): items, seeds, and their interaction.
 * The square of the interval's half width is z² V_items + t² max(0, V_seeds − 0.8 V_rest² /
 * V_seeds): the variance of the item means, which has hundreds of degrees of freedom, with the
 * normal quantile; the spread over seeds beyond their share of the interaction with Student's at n
 * − 1 degrees of freedom (after Howe; the form of the difference was chosen for even coverage from
 * identical seeds to seeds that vary more than images do). tests/stats/test_intervals.c simulates
 * it: 93 to 97 % with 3 and 5 seeds; 88 to 97 % with 2. With one seed only the items can be
 * assessed: the interval then refers to this one run. A difference between two runs is such a mean
 * too, of the differences at each item and seed: common effects (hard images, lucky seeds)
 * cancel. */
#ifndef FLIPBENCH_STATS_CROSSED_H
#define FLIPBENCH_STATS_CROSSED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

typedef struct {
  const double *values;   /* [seeds][items] */
  const uint16_t *strata; /* [items] classes: the mean is over classes of their means; NULL: over
                             items */
  size_t seeds, items;
} crossed_table;

typedef struct {
  double mean, low, high;    /* 95 %; NaN without two items or two different seeds */
  double error;              /* half width over 1.96 */
  double items, seeds, rest; /* the variance of the mean due to each component; NaN: one seed */
} crossed_mean;

/* The variance of the mean in three ways, each including the interaction: of the means over seeds,
 * when the items are drawn again; of the seeds' means, over their number; and of the rest, which
 * is not common to the seeds. seeds and rest: ignored for one seed. */
typedef struct {
  double items, seeds, rest;
} crossed_squares;
/* Fills all but mean, low and high. */
void crossed_combine(const crossed_squares *v, size_t seeds, crossed_mean *m);

err crossed_of(const crossed_table *table, crossed_mean *out) ERR_MUST_CHECK;

/* The same for differences of outcomes that are 0 or 1, valid also where few of them differ: that
 * none of 50 does is no proof that none would. */
err crossed_difference(const crossed_table *table, crossed_mean *out) ERR_MUST_CHECK;

/* The difference of two shares that are of different items (two evaluation sets) and the same
 * seeds: differences [seeds] of their values. The variances of both items, and of both
 * interactions, add up. */
err crossed_unpaired(const double *differences, const crossed_table *own,
                     const crossed_table *other, crossed_mean *out) ERR_MUST_CHECK;

/* The same for a share of hits: Wilson's interval at the effective number of items, which stays
 * inside [0, 1] and is valid near the ends. */
err crossed_share(const crossed_table *table, crossed_mean *out) ERR_MUST_CHECK;

/* Seeds (with these items) or items (with these seeds) needed to detect a difference of this size
 * with about 80 % power; 0: no number suffices. */
size_t crossed_seeds_needed(const crossed_mean *m, size_t seeds);
size_t crossed_items_needed(const crossed_mean *m, size_t items, size_t seeds);

#endif
