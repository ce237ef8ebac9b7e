/* A linear classifier trained as in MAE's linear probing (He et al. 2022, appendix A.1), whose
 * recipe FLIP's Table 11 has: BatchNorm without affine parameters, a linear layer, cross-entropy,
 * LARS (You et al. 2017), cosine schedule. All in double, in an order that no thread count changes.
 */
#ifndef FLIP_EVAL_LARS_H
#define FLIP_EVAL_LARS_H

#include <stdint.h>

#include "base/err.h"

typedef struct {
  int64_t classes, width, count;     /* count: rows of a batch at most */
  double *weights, *bias;            /* [classes, width], [classes] */
  double *weight_speed, *bias_speed; /* LARS's momentum buffers */
  double *mean, *variance;           /* [width] running, as BatchNorm1d keeps them */
  double *rows, *scores,
      *gradient; /* working: [count, width], [count, classes], [classes, width] */
} lars_probe;

/* Weights from normal(0, 0.01), biases 0. */
err lars_begin(int64_t classes, int64_t width, int64_t count, uint64_t seed,
               lars_probe *p) ERR_MUST_CHECK;
void lars_end(lars_probe *p);

/* One update on `count` rows at that learning rate: the rows are normalised by their own mean and
 * variance (eps 1e-6), which enter the running ones with weight 0.1; the weights' step is scaled by
 * 0.001 |W| / |gradient|, the bias's is not; momentum 0.9; no weight decay. *loss: before it. */
void lars_step(lars_probe *p, const float *rows, const int32_t *labels, int64_t count, double rate,
               double *loss);
/* The class with the largest score under the running statistics, the first of equals. */
void lars_predict(const lars_probe *p, const float *rows, int64_t count, int32_t *predicted);

/* The share of the peak rate after `epoch` epochs (fractions count): linear warm-up, then cosine.
 */
double lars_schedule(double epoch, double warmup_epochs, double epochs);

#endif
