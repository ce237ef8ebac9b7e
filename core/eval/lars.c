#include "eval/lars.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "eval/share.h"

static const double momentum = 0.9, trust = 0.001, epsilon = 1e-6, forgetting = 0.1;

err lars_begin(int64_t classes, int64_t width, int64_t count, uint64_t seed, lars_probe *p) {
  size_t cells = (size_t)(classes * width);
  *p = (lars_probe){.classes = classes,
                    .width = width,
                    .count = count,
                    .weights = mem_zeroed(cells, sizeof(double)),
                    .bias = mem_zeroed((size_t)classes, sizeof(double)),
                    .weight_speed = mem_zeroed(cells, sizeof(double)),
                    .bias_speed = mem_zeroed((size_t)classes, sizeof(double)),
                    .mean = mem_zeroed((size_t)width, sizeof(double)),
                    .variance = mem_zeroed((size_t)width, sizeof(double)),
                    .rows = mem_zeroed((size_t)(count * width), sizeof(double)),
                    .scores = mem_zeroed((size_t)(count * classes), sizeof(double)),
                    .losses = mem_zeroed((size_t)count, sizeof(double)),
                    .gradient = mem_zeroed(cells, sizeof(double))};
  if (!p->weights || !p->bias || !p->weight_speed || !p->bias_speed || !p->mean || !p->variance ||
      !p->rows || !p->scores || !p->losses || !p->gradient) {
    lars_end(p);
    return mem_error((size_t)count * (size_t)(width + classes) * sizeof(double), "a linear probe");
  }
  rng random = rng_at(seed, RNG_INIT, 0, 0);
  for (size_t i = 0; i < cells; i++) p->weights[i] = 0.01 * rng_normal(&random);
  for (int64_t k = 0; k < width; k++) p->variance[k] = 1;
  return NULL;
}

void lars_end(lars_probe *p) {
  free(p->weights);
  free(p->bias);
  free(p->weight_speed);
  free(p->bias_speed);
  free(p->mean);
  free(p->variance);
  free(p->rows);
  free(p->scores);
  free(p->losses);
  free(p->gradient);
  *p = (lars_probe){0};
}

/* p->rows: the batch, each column of mean 0 and variance 1. */
static void normalise_batch(lars_probe *p, const float *rows, int64_t count) {
#pragma omp parallel for schedule(static)
  for (int64_t k = 0; k < p->width; k++) {
    double mean = 0, variance = 0, n = (double)count;
    for (int64_t i = 0; i < count; i++) mean += (double)rows[i * p->width + k];
    mean /= n;
    for (int64_t i = 0; i < count; i++) {
      double d = (double)rows[i * p->width + k] - mean;
      variance += d * d;
    }
    variance /= n;
    for (int64_t i = 0; i < count; i++)
      p->rows[i * p->width + k] =
          ((double)rows[i * p->width + k] - mean) / sqrt(variance + epsilon);
    double unbiased = count > 1 ? variance * n / (n - 1) : variance;
    p->mean[k] += forgetting * (mean - p->mean[k]);
    p->variance[k] += forgetting * (unbiased - p->variance[k]);
  }
}

/* Scores of one normalised row. */
static void score_row(const lars_probe *p, const double *row, double *scores) {
  for (int64_t c = 0; c < p->classes; c++) {
    double sum = p->bias[c];
    const double *weights = p->weights + c * p->width;
#pragma omp simd reduction(+ : sum)
    for (int64_t k = 0; k < p->width; k++) sum += weights[k] * row[k];
    scores[c] = sum;
  }
}

/* Replaces scores by the loss gradient with respect to them; returns the row's loss. */
static double cross_entropy(double *scores, int64_t classes, int32_t label, int64_t count) {
  double most = scores[0], sum = 0;
  for (int64_t c = 1; c < classes; c++) most = scores[c] > most ? scores[c] : most;
  for (int64_t c = 0; c < classes; c++) sum += exp(scores[c] - most);
  double loss = log(sum) + most - scores[label];
  for (int64_t c = 0; c < classes; c++)
    scores[c] = (exp(scores[c] - most) / sum - (c == label)) / (double)count;
  return loss;
}

static double length_of(const double *values, int64_t count) {
  double sum = 0;
  for (int64_t i = 0; i < count; i++) sum += values[i] * values[i];
  return sqrt(sum);
}

static void update(lars_probe *p, const double *bias_gradient, double rate) {
  int64_t cells = p->classes * p->width;
  double own = length_of(p->weights, cells), step = length_of(p->gradient, cells);
  double scale = own > 0 && step > 0 ? trust * own / step : 1;
  for (int64_t i = 0; i < cells; i++) {
    p->weight_speed[i] = momentum * p->weight_speed[i] + scale * p->gradient[i];
    p->weights[i] -= rate * p->weight_speed[i];
  }
  for (int64_t c = 0; c < p->classes; c++) {
    p->bias_speed[c] = momentum * p->bias_speed[c] + bias_gradient[c];
    p->bias[c] -= rate * p->bias_speed[c];
  }
}

/* Ranks divide a product of the batch and the weights from this many multiply-adds on: a few
 * hundred microseconds, several times the duration of the exchange. */
static const int64_t least_shared = 1 << 20;

static comm *ranks_of(const lars_probe *p, int64_t count) {
  return count * p->width * p->classes < least_shared ? NULL : p->ranks;
}

/* The loss of each row, and its gradient in place of the scores: each rank computes some rows. */
static err score_rows(lars_probe *p, const int32_t *labels, int64_t count) {
  comm *ranks = ranks_of(p, count);
  const comm_slice own = share_of(count, 1, comm_size(ranks), comm_rank(ranks));
  size_t row = (size_t)p->classes * sizeof *p->scores;
#pragma omp parallel for schedule(static)
  for (int64_t i = own.first; i < own.first + own.count; i++) {
    score_row(p, p->rows + i * p->width, p->scores + i * p->classes);
    p->losses[i] = cross_entropy(p->scores + i * p->classes, p->classes, labels[i], count);
  }
  err error = share_gather(ranks, NULL, count, 1, row, p->scores);
  return error ? error : share_gather(ranks, NULL, count, 1, sizeof *p->losses, p->losses);
}

/* Of the weights: each rank computes some classes. */
static err sum_gradient(lars_probe *p, int64_t count) {
  comm *ranks = ranks_of(p, count);
  int64_t width = p->width, classes = p->classes;
  const comm_slice own = share_of(classes, 1, comm_size(ranks), comm_rank(ranks));
#pragma omp parallel for schedule(static)
  for (int64_t c = own.first; c < own.first + own.count; c++) {
    double *row = p->gradient + c * width;
    memset(row, 0, (size_t)width * sizeof *row);
    for (int64_t i = 0; i < count; i++) {
      double by = p->scores[i * classes + c];
#pragma omp simd
      for (int64_t k = 0; k < width; k++) row[k] += by * p->rows[i * width + k];
    }
  }
  return share_gather(ranks, NULL, classes, 1, (size_t)width * sizeof *p->gradient, p->gradient);
}

err lars_step(lars_probe *p, const float *rows, const int32_t *labels, int64_t count, double rate,
              double *loss) {
  double *bias_gradient = p->scores, sum = 0; /* stored in the place of the first row's gradient */
  normalise_batch(p, rows, count);
  err error = score_rows(p, labels, count);
  if (!error) error = sum_gradient(p, count);
  if (error) return error;
  for (int64_t i = 0; i < count; i++) sum += p->losses[i];
  for (int64_t i = 1; i < count; i++)
    for (int64_t c = 0; c < p->classes; c++) bias_gradient[c] += p->scores[i * p->classes + c];
  update(p, bias_gradient, rate);
  *loss = sum / (double)count;
  return NULL;
}

void lars_predict(const lars_probe *p, const float *rows, int64_t count, int32_t *predicted) {
#pragma omp parallel for schedule(static)
  for (int64_t i = 0; i < count; i++) {
    double best = -INFINITY;
    predicted[i] = 0;
    for (int64_t c = 0; c < p->classes; c++) {
      double sum = p->bias[c];
      for (int64_t k = 0; k < p->width; k++)
        sum += p->weights[c * p->width + k] * ((double)rows[i * p->width + k] - p->mean[k]) /
               sqrt(p->variance[k] + epsilon);
      if (sum <= best) continue;
      best = sum;
      predicted[i] = (int32_t)c;
    }
  }
}

double lars_schedule(double epoch, double warmup_epochs, double epochs) {
  if (epoch < warmup_epochs) return epoch / warmup_epochs;
  return 0.5 * (1 + cos(acos(-1) * (epoch - warmup_epochs) / (epochs - warmup_epochs)));
}
