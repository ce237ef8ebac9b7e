/* The value of a column for a row with its interval, and how two rows compare. Internal to report/.
 * docs/results.md explains how each interval is computed. */
#ifndef FLIPBENCH_REPORT_MEASURE_H
#define FLIPBENCH_REPORT_MEASURE_H

#include "report/data.h"

/* In the column's unit. */
typedef struct {
  double value, low, high; /* NaN ends: no interval; high may be infinite */
  bool is_symmetric;       /* the ends are value ± half the width */
  size_t seeds, items;     /* that it is based on; items 0: none */
  const char *over;        /* what the interval covers: "seeds and steps"; NULL: no interval */
} data_measure;

err measure_row(report_data *d, size_t row, const column *c, data_measure *m) ERR_MUST_CHECK;

/* The row's accuracy minus the other's, over their common seeds, paired by item if the hits were
 * recorded on the same items (report/accuracy.h). The ends are NaN where seeds or items do not
 * suffice for an interval. */
typedef struct {
  double value, low, high;
  size_t seeds, items;
  size_t seeds_needed,
      items_needed;  /* needed to distinguish it from zero with 80 % power; 0: none */
  crossed_mean mean; /* what the value is computed from, as shares */
  double scale;      /* to the column's unit */
  const char *over;  /* what the interval covers; NULL: there is none */
} data_difference;
err measure_difference(report_data *d, size_t row, size_t other, const column *c,
                       data_difference *out) ERR_MUST_CHECK;

/* The number of seeds (with these items) or items (with these seeds) needed to distinguish the
 * difference from `bound`, in the column's unit, with 80 % power; 0: no number suffices. */
void measure_needed(const data_difference *x, double bound, size_t *seeds, size_t *items);

/* The same for two columns of one task: tuned minus untuned, or the shifted set minus the main one.
 */
err measure_columns_difference(report_data *d, size_t row, const column *c, size_t other,
                               const column *of, data_difference *out) ERR_MUST_CHECK;

/* Is the row's value significantly above the other's? */
err measure_is_above(report_data *d, size_t row, size_t other, const column *c,
                     bool *is_above) ERR_MUST_CHECK;

/* The ratio of the steady step times of two lists of cells, paired; unbounded where a run of their
 * curves has no pace. */
err measure_pace_ratio(const report_data *d, const size_t *above, const size_t *below, size_t count,
                       paired_result *ratio) ERR_MUST_CHECK;

/* May a column's numbers of two rows be compared? What follows from the settings always; times only
 * on one machine, those of an iso-accuracy speed-up along the whole curves; memory only of one kind
 * of device and number of ranks; the training loss only of one batch size. */
bool measure_is_comparable(const report_data *d, size_t row, size_t other, const column *c);

/* Are the accuracies of two cells, each in its column, measured on sets of different names? Their
 * difference is none of the two rows, unless one column is of the shifted set. */
bool measure_is_of_two_sets(const report_data *d, size_t own, const column *c, size_t other,
                            const column *of);

/* A contrastive loss depends on the number of candidates: at chance it is the batch's logarithm. A
 * classifier's does not. */
bool measure_is_training_loss(const column *c);
bool measure_is_of_classifier(const report_data *d, size_t row);
/* Have the first `rows` rows, without classifiers, several batch sizes? */
bool measure_has_other_batches(const report_data *d, size_t rows);

/* Names or counts ranks: shown where all runs of a row agree, without an interval. */
bool measure_is_label(const column *c);
/* Follows from the settings and has no uncertainty. */
bool measure_is_exact(const column *c);
/* Is it the result of an evaluation (or a multiple of one)? */
bool measure_is_accuracy(const column *c);
/* What its items are: "images", or "captions" of text-to-image retrieval; c may be NULL. */
const char *measure_items(const column *c);
/* Is it a time or a speed at the steady pace? */
bool measure_is_of_time(const column *c);
/* Is it a time or a speed of any kind, also elapsed or of the CPU? Other load on the machine
 * changes it, and it is not compared across machines. */
bool measure_is_timed(const column *c);

#endif
