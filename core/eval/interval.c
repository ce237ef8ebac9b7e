#include "eval/interval.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/numbers.h"
#include "base/rng.h"
#include "eval/outcomes.h"
#include "eval/share.h"

enum { RESAMPLES = EVAL_RESAMPLES, LEAST_DEFINED = RESAMPLES * 19 / 20 };

static double deviation_of(const double *values, size_t count) {
  double mean = 0, sum = 0;
  for (size_t i = 0; i < count; i++) mean += values[i] / (double)count;
  for (size_t i = 0; i < count; i++) sum += (values[i] - mean) * (values[i] - mean);
  return sqrt(sum / (double)(count - 1));
}

/* values [RESAMPLES], of which this rank computes its part. */
static err resample(comm *ranks, int64_t items, interval_measure *measure, const void *data,
                    double *values) {
  const comm_slice own = share_of(RESAMPLES, 1, comm_size(ranks), comm_rank(ranks));
  int32_t *weights = values ? mem_zeroed((size_t)items, sizeof *weights) : NULL;
  for (int64_t k = own.first; k < own.first + own.count && weights; k++) {
    rng random = rng_at(0, RNG_BOOTSTRAP, (uint64_t)k, 0);
    memset(weights, 0, (size_t)items * sizeof *weights);
    for (int64_t i = 0; i < items; i++) weights[rng_below(&random, (uint32_t)items)]++;
    values[k] = measure(data, weights);
  }
  err error = weights ? NULL : mem_error((size_t)items * sizeof *weights, "an interval");
  free(weights);
  return share_gather(ranks, error, RESAMPLES, 1, sizeof *values, values);
}

err interval_of(comm *ranks, int64_t items, interval_measure *measure, const void *data,
                double value, bool is_share, double bounds[2], float **resampled) {
  bounds[0] = bounds[1] = NAN;
  if (resampled) *resampled = NULL;
  if (items < 2 || items > INT32_MAX) return NULL;
  double *values = mem_zeroed(RESAMPLES, sizeof *values);
  float *kept = mem_zeroed(RESAMPLES, sizeof *kept);
  size_t defined = 0;
  err error = resample(ranks, items, measure, data, kept ? values : NULL);
  for (int k = 0; k < RESAMPLES && !error; k++) {
    kept[k] = (float)values[k];
    if (!isnan(values[k])) values[defined++] = values[k];
  }
  double deviation = defined >= LEAST_DEFINED ? deviation_of(values, defined) : NAN;
  if (is_share && !isnan(deviation)) {
    numbers_wilson(value, deviation, (double)items, bounds);
  } else if (deviation > 1e-12) { /* not that of an area of 1, which every resample has too */
    bounds[0] = fmax(0, value - 1.96 * deviation);
    bounds[1] = fmin(1, value + 1.96 * deviation);
  }
  free(values);
  if (resampled && defined >= LEAST_DEFINED)
    *resampled = kept;
  else
    free(kept);
  return error;
}

/* One or two bit strings, whose shares are averaged; or, with labels, the mean over classes. */
typedef struct {
  const uint8_t *bits[2];
  int64_t items;
  const uint16_t *labels;
  int64_t *seen, *right; /* [classes] */
  int64_t classes;
} hits;

static int is_hit(const uint8_t *bits, int64_t i) {
  return bits[i / 8] >> i % 8 & 1;
}

static double share(const void *data, const int32_t *weights) {
  const hits *h = data;
  int64_t right = 0, count = 0, strings = h->bits[1] ? 2 : 1;
  for (int64_t i = 0; i < h->items; i++) {
    count += weights[i];
    right += weights[i] * is_hit(h->bits[0], i);
    if (h->bits[1]) right += weights[i] * is_hit(h->bits[1], i);
  }
  return (double)right / (double)(count * strings);
}

/* The metric itself: every item once. */
static err of_all(interval_measure *measure, const hits *h, double *value) {
  int32_t *weights = mem_zeroed((size_t)h->items, sizeof *weights);
  if (!weights) return mem_error((size_t)h->items * sizeof *weights, "an interval");
  for (int64_t i = 0; i < h->items; i++) weights[i] = 1;
  *value = measure(h, weights);
  free(weights);
  return NULL;
}

static err interval_of_share(comm *ranks, interval_measure *measure, const hits *h,
                             double bounds[2]) {
  double value = NAN;
  err error = share_agree(ranks, h->items ? of_all(measure, h, &value) : NULL);
  return error ? error : interval_of(ranks, h->items, measure, h, value, true, bounds, NULL);
}

static double mean_per_class(const void *data, const int32_t *weights) {
  const hits *h = data;
  double sum = 0;
  int64_t present = 0;
  memset(h->seen, 0, (size_t)h->classes * sizeof *h->seen);
  memset(h->right, 0, (size_t)h->classes * sizeof *h->right);
  for (int64_t i = 0; i < h->items; i++) {
    h->seen[h->labels[i]] += weights[i];
    h->right[h->labels[i]] += weights[i] * is_hit(h->bits[0], i);
  }
  for (int64_t c = 0; c < h->classes; c++) {
    if (!h->seen[c]) continue;
    sum += (double)h->right[c] / (double)h->seen[c];
    present++;
  }
  return sum / (double)present;
}

static err interval_per_class(comm *ranks, hits *h, double bounds[2]) {
  for (int64_t i = 0; i < h->items; i++)
    if (h->labels[i] >= h->classes) h->classes = h->labels[i] + 1;
  h->seen = mem_zeroed((size_t)h->classes, sizeof *h->seen);
  h->right = mem_zeroed((size_t)h->classes, sizeof *h->right);
  err error =
      h->seen && h->right ? NULL : mem_error((size_t)h->classes * sizeof *h->seen, "an interval");
  error = share_agree(ranks, error);
  if (!error) error = interval_of_share(ranks, mean_per_class, h, bounds);
  free(h->seen);
  free(h->right);
  return error;
}

err interval_of_hits(comm *ranks, const eval_outcomes *o, const char *metric, double bounds[2]) {
  hits h = {.items = o->labelled};
  bool is_per_class = strcmp(metric, "mean_per_class") == 0;
  bounds[0] = bounds[1] = NAN;
  if (strcmp(metric, "top1") == 0 || is_per_class) h.bits[0] = o->top[0];
  if (strcmp(metric, "top5") == 0) h.bits[0] = o->top[1];
  if (strcmp(metric, "mean_top1_top5") == 0 && o->top[1]) {
    h.bits[0] = o->top[0];
    h.bits[1] = o->top[1];
  }
  for (int k = 0; k < 3; k++) {
    if (strcmp(metric, outcomes_to_text[k]) == 0)
      h = (hits){.bits = {o->image_to_text[k]}, .items = o->images};
    if (strcmp(metric, outcomes_to_image[k]) == 0)
      h = (hits){.bits = {o->text_to_image[k]}, .items = o->texts};
  }
  if (!h.bits[0]) return NULL;
  if (!is_per_class) return interval_of_share(ranks, share, &h, bounds);
  h.labels = o->labels;
  return h.labels ? interval_per_class(ranks, &h, bounds) : NULL;
}
