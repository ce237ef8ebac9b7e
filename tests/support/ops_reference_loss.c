/* The losses of the reference backend: contrastive, and of dropped patches' pixels. */
#include "support/ops_reference_loss.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "support/ops_reference.h"

#define GET reference_get
#define SET reference_set

static double scale_of(const ops_contrastive *c) {
  double own = GET(c->scale_log, 0);
  return exp(own < c->scale_log_least  ? c->scale_log_least
             : own > c->scale_log_most ? c->scale_log_most
                                       : own);
}

err reference_contrastive_statistics(ops *o, const ops_contrastive *c) {
  (void)o;
  double scale = scale_of(c);
  for (int64_t i = 0; i < c->rows; i++) {
    double most = -INFINITY, sum = 0;
    for (int64_t j = 0; j < c->columns; j++) {
      double logit = scale * GET(c->cosines, i * c->columns + j), before = GET(c->column_max, j);
      double larger = fmax(logit, before);
      SET(c->column_sum, j, GET(c->column_sum, j) * exp(before - larger) + exp(logit - larger));
      SET(c->column_max, j, larger);
      most = fmax(most, logit);
    }
    for (int64_t j = 0; j < c->columns; j++)
      sum += exp(scale * GET(c->cosines, i * c->columns + j) - most);
    SET(c->row_lse, i, most + log(sum));
    SET(c->positive, i, scale * GET(c->cosines, i * c->columns + c->first_row + i));
  }
  return NULL;
}

err reference_contrastive_finish(ops *o, const ops_contrastive_end *c) {
  (void)o;
  double loss = 0;
  for (int64_t i = 0; i < c->count; i++) {
    double lse = GET(c->column_max, i) + log(GET(c->column_sum, i));
    SET(c->column_lse, i, lse);
    loss += c->row_weight * (GET(c->row_lse, i) - GET(c->positive, i)) +
            c->column_weight * (lse - GET(c->positive, i));
  }
  SET(c->loss, 0, loss);
  return NULL;
}

err reference_contrastive_gradient(ops *o, const ops_contrastive *c) {
  (void)o;
  double scale = scale_of(c);
  for (int64_t i = 0; i < c->rows; i++)
    for (int64_t j = 0; j < c->columns; j++) {
      int64_t at = i * c->columns + j;
      double logit = scale * GET(c->cosines, at);
      double g = c->row_weight * exp(logit - GET(c->row_lse, i)) +
                 c->column_weight * exp(logit - GET(c->column_lse, j)) -
                 (j == c->first_row + i ? c->row_weight + c->column_weight : 0);
      if (GET(c->scale_log, 0) >= c->scale_log_least && GET(c->scale_log, 0) <= c->scale_log_most)
        reference_add(c->dscale_log, 0, g * logit);
      SET(c->cosines, at, g * scale);
    }
  return NULL;
}

/* Of MAE's released code: each patch's own mean and unbiased variance. */
static void normalized_pixels(const ops_pixel_error *p, int64_t row, double *target) {
  int64_t length = 3 * p->patch * p->patch, side = p->size / p->patch;
  int64_t which = (int64_t)GET(p->index, row), image = row / p->count;
  double mean = 0, square = 0;
  for (int64_t i = 0; i < length; i++) {
    int64_t c = i / (p->patch * p->patch), y = i / p->patch % p->patch, x = i % p->patch;
    int64_t at_row = which / side * p->patch + y, at_column = which % side * p->patch + x;
    double pixel = GET(p->images, ((image * p->size + at_row) * p->size + at_column) * 3 + c);
    target[i] = (pixel / 255 - (double)p->mean[c]) / (double)p->deviation[c];
    mean += target[i] / (double)length;
  }
  for (int64_t i = 0; i < length; i++) square += (target[i] - mean) * (target[i] - mean);
  double deviation = sqrt(square / (double)(length - 1) + 1e-6);
  for (int64_t i = 0; i < length; i++) target[i] = (target[i] - mean) / deviation;
}

err reference_pixel_error(ops *o, const ops_pixel_error *p) {
  (void)o;
  int64_t length = 3 * p->patch * p->patch;
  double *target = malloc((size_t)length * sizeof *target), sum = 0;
  if (!target) return mem_error((size_t)length * sizeof *target, "a patch");
  for (int64_t row = 0; row < p->batch * p->count; row++) {
    double own = 0;
    normalized_pixels(p, row, target);
    for (int64_t i = 0; i < length; i++) {
      double difference = GET(p->predictions, row * length + i) - target[i];
      own += difference * difference;
      SET(p->dpredictions, row * length + i, p->scale * difference);
    }
    SET(p->row_errors, row, own);
    sum += own;
  }
  SET(p->error, 0, sum);
  free(target);
  return NULL;
}
