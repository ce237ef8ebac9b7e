/* A linear classifier trained as in MAE's linear probing (He et al. 2022, appendix A.1), the recipe
 * of FLIP's Table 11: BatchNorm without affine parameters, a linear layer, cross-entropy, LARS (You
 * et al. 2017), cosine schedule. All in double precision; results are independent of the numbers
 * of threads and ranks. */
#ifndef FLIP_EVAL_LARS_H
#define FLIP_EVAL_LARS_H

#include <stdint.h>

#include "base/err.h"
#include "comm/comm.h"

typedef struct {
  int64_t classes, width, count;     /* count: maximum rows per batch */
  double *weights, *bias;            /* [classes, width], [classes] */
  double *weight_speed, *bias_speed; /* LARS's momentum buffers */
  double *mean, *variance;           /* [width] running statistics, as in BatchNorm1d */
  double *rows, *scores, *losses,
      *gradient; /* scratch: [count, width], [count, classes], [count], [classes, width] */
  comm *ranks;   /* NULL after lars_begin. If set, every rank has this probe, calls lars_step with
                  * the same arguments, and computes a part of each step that is long enough */
} lars_probe;

/* Weights from normal(0, 0.01), biases 0. */
err lars_begin(int64_t classes, int64_t width, int64_t count, uint64_t seed,
               lars_probe *p) ERR_MUST_CHECK;
void lars_end(lars_probe *p);

/* One update on `count` rows at that learning rate: the rows are normalised by their own mean and
 * variance (eps 1e-6), which update the running ones with momentum 0.1; the weight update is scaled
 * by 0.001 |W| / |gradient|, the bias update is not; momentum 0.9; no weight decay. *loss: before
 * the update. */
err lars_step(lars_probe *p, const float *rows, const int32_t *labels, int64_t count, double rate,
              double *loss) ERR_MUST_CHECK;
/* The class with the largest score under the running statistics; the first one on ties. */
void lars_predict(const lars_probe *p, const float *rows, int64_t count, int32_t *predicted);

/* The fraction of the peak rate after `epoch` epochs (may be fractional): linear warm-up, then
 * cosine. */
double lars_schedule(double epoch, double warmup_epochs, double epochs);

#endif
