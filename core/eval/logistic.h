/* Multinomial logistic regression by L-BFGS: the linear probe of CLIP's evaluation.
 *
 * Minimises mean cross-entropy + |W|² / (2 C n), without penalty on the intercepts, as
 * scikit-learn's LogisticRegression(C) does; agrees with it on the same embeddings (tests/parity).
 * All sums are in double precision and independent of the numbers of threads and ranks. */
#ifndef FLIP_EVAL_LOGISTIC_H
#define FLIP_EVAL_LOGISTIC_H

#include <stdint.h>

#include "base/err.h"
#include "comm/comm.h"

typedef struct {
  int64_t classes, width;
  double *weights; /* [classes, width + 1], a class's intercept last */
} logistic;

typedef struct {
  const float *rows;     /* [count, width] */
  const int32_t *labels; /* [count] in [0, classes) */
  int64_t count, width, classes;
  comm *ranks; /* that have the same data, fit the same model and divide the work; NULL: one */
} logistic_data;

/* Collective. Fits from model->weights if present (a warm start), else from zeros; the caller frees
 * them with logistic_free. Stops when no component of the gradient is above `tolerance`, or after
 * most_iterations. */
err logistic_fit(const logistic_data *data, double c, double tolerance, int most_iterations,
                 logistic *model) ERR_MUST_CHECK;
void logistic_free(logistic *model);
/* The class with the largest score for each row; the first one on ties. */
void logistic_predict(const logistic *model, const float *rows, int64_t count, int32_t *predicted);

typedef struct {
  double c;          /* the selected C */
  int tried;         /* number of values tried */
  double validation; /* its accuracy on the held-out part of the training rows */
} logistic_sweep;

/* Collective. CLIP's search for C: 10^-6 to 10^6 in steps of 100, then around the best in steps
 * halved down to 8 per decade; each is fitted on the first four fifths of the rows in a seeded
 * order and evaluated on the rest. Then fits `model` on all rows with the best. */
err logistic_fit_swept(const logistic_data *data, uint64_t seed, int most_iterations,
                       logistic *model, logistic_sweep *sweep) ERR_MUST_CHECK;

#endif
