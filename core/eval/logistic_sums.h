/* Inner loops of logistic.c: sums over all rows and classes, compiled once per variant of
 * base/processor.h. */
#ifndef FLIP_EVAL_LOGISTIC_SUMS_H
#define FLIP_EVAL_LOGISTIC_SUMS_H

#include "eval/logistic.h"

typedef struct {
  /* scores [classes] of one row [width]; weights [classes, width + 1], a class's intercept last */
  void (*score)(const double *weights, int64_t classes, const float *row, int64_t width,
                double *scores);
  /* gradient [width + 1] of one class += share * residuals of rows first to first + count times the
   * rows; residuals [count, classes], from that class's on */
  void (*add_rows)(const logistic_data *data, const double *residuals, int64_t first, int64_t count,
                   double share, double *gradient);
} logistic_sums;

#endif
