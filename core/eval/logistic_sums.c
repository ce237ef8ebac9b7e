/* Bound: the multiply-add rate in double, from the first-level cache. */
#include "eval/logistic_sums.h"

#include "base/processor.h"

enum { CLASSES_AT_ONCE = 4, ROWS_AT_ONCE = 4 };

static double score_one(const double *weights, const float *row, int64_t width) {
  double sum = weights[width];
#pragma omp simd reduction(+ : sum)
  for (int64_t j = 0; j < width; j++) sum += weights[j] * (double)row[j];
  return sum;
}

/* Scores of CLASSES_AT_ONCE classes: a row is loaded once for all of them. */
static void score_four(const double *weights, int64_t stride, const float *row, int64_t width,
                       double *scores) {
  const double *w0 = weights, *w1 = w0 + stride, *w2 = w1 + stride, *w3 = w2 + stride;
  double s0 = w0[width], s1 = w1[width], s2 = w2[width], s3 = w3[width];
#pragma omp simd reduction(+ : s0, s1, s2, s3)
  for (int64_t j = 0; j < width; j++) {
    double x = (double)row[j];
    s0 += w0[j] * x;
    s1 += w1[j] * x;
    s2 += w2[j] * x;
    s3 += w3[j] * x;
  }
  scores[0] = s0, scores[1] = s1, scores[2] = s2, scores[3] = s3;
}

static void score(const double *weights, int64_t classes, const float *row, int64_t width,
                  double *scores) {
  int64_t stride = width + 1, k = 0;
  for (; k + CLASSES_AT_ONCE <= classes; k += CLASSES_AT_ONCE)
    score_four(weights + k * stride, stride, row, width, scores + k);
  for (; k < classes; k++) scores[k] = score_one(weights + k * stride, row, width);
}

/* gradient of one class += the tile's residuals times its rows, four rows at a time. */
static void add_rows(const logistic_data *d, const double *residuals, int64_t first, int64_t count,
                     double share, double *gradient) {
  int64_t i = 0, width = d->width;
  for (; i + ROWS_AT_ONCE <= count; i += ROWS_AT_ONCE) {
    const float *x0 = d->rows + (first + i) * width, *x1 = x0 + width, *x2 = x1 + width,
                *x3 = x2 + width;
    const double *r = residuals + i * d->classes;
    double r0 = share * r[0], r1 = share * r[d->classes], r2 = share * r[2 * d->classes],
           r3 = share * r[3 * d->classes];
#pragma omp simd
    for (int64_t j = 0; j < width; j++)
      gradient[j] +=
          r0 * (double)x0[j] + r1 * (double)x1[j] + r2 * (double)x2[j] + r3 * (double)x3[j];
    gradient[width] += r0 + r1 + r2 + r3;
  }
  for (; i < count; i++) {
    const float *row = d->rows + (first + i) * width;
    double r = residuals[i * d->classes] * share;
#pragma omp simd
    for (int64_t j = 0; j < width; j++) gradient[j] += r * (double)row[j];
    gradient[width] += r;
  }
}

extern const logistic_sums PROCESSOR_KERNEL(logistic, sums);
const logistic_sums PROCESSOR_KERNEL(logistic, sums) = {.score = score, .add_rows = add_rows};
