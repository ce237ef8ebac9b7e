/* An accuracy of several runs, or the difference of two, with its interval over seeds and images.
 *
 * Metrics computed from hits (shares, means over classes, the mean of top-1 and top-5): over the
 * images of the recorded hits (stats/crossed.h); a difference is paired by image. Other metrics
 * (ROC AUC, 11-point mAP): from the values on resampled images that each run recorded with its
 * number (stats/resampled.h); a difference is paired, since all runs draw the same resamples. Runs
 * made before these were recorded have only bounds (stats/bounded.h): a difference is not paired.
 * Neither is one between two sets of images (the shifted set minus the main one). Internal to
 * report/. */
#ifndef FLIPBENCH_REPORT_ACCURACY_H
#define FLIPBENCH_REPORT_ACCURACY_H

#include "report/data.h"

/* A number of one run. */
typedef struct {
  size_t cell;                       /* whose evaluation it is */
  const data_evaluation *evaluation; /* NULL: there is none */
} accuracy_place;

typedef struct {
  crossed_mean mean;   /* as shares */
  size_t seeds, items; /* of two sets of images: those of the smaller one */
  const char *over;    /* what the interval covers: "seeds and images"; NULL: there is none */
} accuracy;

/* The number that a column shows for a cell; if the column is about a cell trained from it, that
 * one's. */
accuracy_place accuracy_find(const report_data *d, size_t cell, const column *c);

/* Places without a value are ignored. */
err accuracy_mean(report_data *d, const accuracy_place *own, size_t count,
                  accuracy *out) ERR_MUST_CHECK;
/* own[i] and other[i] belong to one seed. */
err accuracy_difference(report_data *d, const accuracy_place *own, const accuracy_place *other,
                        size_t count, accuracy *out) ERR_MUST_CHECK;

/* The 95 % bounds over images that a run recorded with a number, as shares, and the images; false:
 * none. */
bool accuracy_recorded(const report_data *d, const accuracy_place *at, double bounds[2],
                       size_t *images);
/* Whether it is such a bound ("roc_auc_low") of a metric that is also present. */
bool accuracy_is_bound(const data_evaluation *all, size_t count, const data_evaluation *e);

#endif
