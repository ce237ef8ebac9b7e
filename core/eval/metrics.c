/* The metrics of classification sets other than top-1, and their output. */
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "eval/eval.h"
#include "eval/interval.h"
#include "eval/outcomes.h"
#include "eval/share.h"

static const struct {
  const char *name, *heading;
} metrics[EVAL_METRICS] = {{"top1", "top-1"},
                           {"top5", "top-5"},
                           {"mean_per_class", "mean per class"},
                           {"mean_top1_top5", "mean of top-1 and top-5"},
                           {"roc_auc", "ROC AUC"},
                           {"map_11point", "11-point mAP"}};

const char *eval_metric_name(eval_metric metric) {
  return metrics[metric].name;
}

const char *eval_metric_heading(eval_metric metric) {
  return metrics[metric].heading;
}

double eval_zeroshot_value(const eval_zeroshot *z, eval_metric metric) {
  bool is_multilabel = z->metric == EVAL_MAP_11POINT;
  if (is_multilabel != (metric == EVAL_MAP_11POINT)) return NAN;
  switch (metric) {
  case EVAL_TOP1:
    return z->top1;
  case EVAL_TOP5:
    return z->top5;
  case EVAL_MEAN_PER_CLASS:
    return z->mean_per_class;
  case EVAL_MEAN_TOP1_TOP5:
    return 0.5 * (z->top1 + z->top5);
  case EVAL_ROC_AUC:
    return z->metric == EVAL_ROC_AUC ? z->roc_auc : (double)NAN;
  default:
    return z->map_11point;
  }
}

typedef struct {
  float score;
  int32_t index; /* of the image */
} scored;

/* Best first; ties in the order of the images, as a stable sort leaves them. */
static int by_score(const void *a, const void *b) {
  const scored *x = a, *y = b;
  if (x->score != y->score) return x->score > y->score ? -1 : 1;
  return (x->index > y->index) - (x->index < y->index);
}

/* Scores of two classes, sorted. */
typedef struct {
  const scored *order;
  const int32_t *labels;
  int64_t count;
} curve;

/* weights NULL: each image once. */
static double area_of(const void *data, const int32_t *weights) {
  const curve *c = data;
  const scored *order = c->order;
  int64_t positives = 0, negatives = 0;
  double won = 0; /* pairs ranked correctly, ties count half */
  for (int64_t first = 0, next; first < c->count; first = next) {
    int64_t tied[2] = {0, 0};
    for (next = first; next < c->count && !(order[next].score < order[first].score); next++)
      tied[c->labels[order[next].index] == 1] += weights ? weights[order[next].index] : 1;
    won += (double)tied[0] * ((double)positives + 0.5 * (double)tied[1]);
    positives += tied[1];
    negatives += tied[0];
  }
  return won / ((double)positives * (double)negatives); /* 0/0: NaN */
}

err eval_score_auc(comm *ranks, const float *scores, const int32_t *labels, int64_t count,
                   double *auc, double bounds[2], eval_outcomes *outcomes) {
  scored *order = mem_zeroed((size_t)count, sizeof *order);
  err error = order ? NULL : mem_error((size_t)count * sizeof *order, "scores");
  error = share_agree(ranks, error);
  if (error) {
    free(order);
    return error;
  }
  bool is_number = true;
  for (int64_t i = 0; i < count; i++) {
    order[i] = (scored){scores[i], (int32_t)i};
    is_number = is_number && !isnan(scores[i]);
  }
  qsort(order, (size_t)count, sizeof *order, by_score);
  const curve c = {order, labels, count};
  *auc = is_number ? area_of(&c, NULL) : (double)NAN;
  if (bounds) bounds[0] = bounds[1] = NAN;
  if (bounds && is_number)
    error = interval_of(ranks, count, area_of, &c, *auc, false, bounds,
                        outcomes ? &outcomes->resampled : NULL);
  free(order);
  return error;
}

/* As in the VOC2007 devkit: the mean over recalls 0, 0.1, … 1 of the maximum precision at that
 * recall or a higher one. Recalls are compared exactly, in integers. NaN: no image has the
 * class. */
static double average_precision(const scored *order, const int8_t *truths, int64_t stride,
                                int64_t count, const int32_t *weights) {
  double best[11] = {0}, sum = 0;
  int64_t all = 0, found = 0, wrong = 0;
  for (int64_t i = 0; i < count; i++)
    if (truths[i * stride] > 0) all += weights ? weights[i] : 1;
  for (int64_t i = 0; i < count; i++) {
    int8_t truth = truths[order[i].index * stride];
    int64_t weight = weights ? weights[order[i].index] : 1;
    if (truth > 0) found += weight;
    if (truth < 0) wrong += weight;
    if (truth == 0 || found == 0 || weight == 0) continue;
    double precision = (double)found / (double)(found + wrong);
    for (int64_t level = 0; level <= 10 * found / all; level++)
      if (precision > best[level]) best[level] = precision;
  }
  for (int level = 0; level < 11; level++) sum += best[level];
  return all ? sum / 11 : (double)NAN;
}

/* Scores of every class, sorted. */
typedef struct {
  const scored *order; /* [classes, images] */
  const int8_t *truths;
  int64_t images, classes;
} ranking;

static double mean_precision(const void *data, const int32_t *weights) {
  const ranking *r = data;
  int64_t present = 0;
  double sum = 0;
  for (int64_t c = 0; c < r->classes; c++) {
    double precision =
        average_precision(r->order + c * r->images, r->truths + c, r->classes, r->images, weights);
    if (isnan(precision)) continue;
    sum += precision;
    present++;
  }
  return sum / (double)present;
}

/* The share of positives among the labels that count, of the classes that the mean has. */
static double positive_share(const int8_t *truths, int64_t images, int64_t classes) {
  int64_t positives = 0, counted = 0;
  for (int64_t c = 0; c < classes; c++) {
    int64_t own = 0, all = 0;
    for (int64_t i = 0; i < images; i++) {
      own += truths[i * classes + c] > 0;
      all += truths[i * classes + c] != 0;
    }
    positives += own;
    counted += own ? all : 0;
  }
  return (double)positives / (double)counted;
}

/* order [class_count, image_count]: each class's images, best first; every rank sorts some. */
static err rank_classes(comm *ranks, const float *images, int64_t image_count, const float *classes,
                        int64_t class_count, int64_t width, scored *order) {
  const comm_slice part = share_of(class_count, 1, comm_size(ranks), comm_rank(ranks));
  size_t bytes = (size_t)image_count * sizeof *order;
  for (int64_t c = part.first; c < part.first + part.count && order; c++) {
    scored *own = order + c * image_count;
    for (int64_t i = 0; i < image_count; i++) {
      float score = 0;
      for (int64_t k = 0; k < width; k++) score += images[i * width + k] * classes[c * width + k];
      own[i] = (scored){score, (int32_t)i};
    }
    qsort(own, (size_t)image_count, sizeof *own, by_score);
  }
  err error = order ? NULL : mem_error((size_t)class_count * bytes, "scores");
  return share_gather(ranks, error, class_count, 1, bytes, order);
}

err eval_score_multilabel(comm *ranks, const float *images, const int8_t *truths,
                          int64_t image_count, const float *classes, int64_t class_count,
                          int64_t width, eval_zeroshot *z, eval_outcomes *outcomes) {
  bool is_number = true;
  scored *order = mem_zeroed((size_t)(image_count * class_count), sizeof *order);
  err error = rank_classes(ranks, images, image_count, classes, class_count, width, order);
  for (int64_t i = 0; i < image_count * class_count && !error; i++)
    is_number = is_number && !isnan(order[i].score);
  if (error) {
    free(order);
    return error;
  }
  const ranking r = {order, truths, image_count, class_count};
  *z = (eval_zeroshot){.images = image_count,
                       .classes = class_count,
                       .metric = EVAL_MAP_11POINT,
                       .bounds = {NAN, NAN}};
  z->map_11point = is_number ? mean_precision(&r, NULL) : (double)NAN;
  z->chance = positive_share(truths, image_count, class_count);
  if (is_number)
    error = interval_of(ranks, image_count, mean_precision, &r, z->map_11point, false, z->bounds,
                        outcomes ? &outcomes->resampled : NULL);
  free(order);
  return error;
}

void eval_write_zeroshot(json_writer *w, const char *key, const eval_zeroshot *z) {
  jsonw_object(w, key);
  if (z->metric != EVAL_MAP_11POINT) {
    jsonw_number(w, "top1", z->top1);
    jsonw_number(w, "top5", z->top5);
    jsonw_number(w, "mean_per_class", z->mean_per_class);
    jsonw_number(w, "majority", z->majority);
  }
  if (z->metric > EVAL_MEAN_PER_CLASS)
    jsonw_number(w, eval_metric_name(z->metric), eval_zeroshot_value(z, z->metric));
  if (!isnan(z->bounds[0])) {
    jsonw_number(w, z->metric == EVAL_ROC_AUC ? "roc_auc_low" : "map_11point_low", z->bounds[0]);
    jsonw_number(w, z->metric == EVAL_ROC_AUC ? "roc_auc_high" : "map_11point_high", z->bounds[1]);
  }
  jsonw_number(w, "chance", z->chance);
  jsonw_integer(w, "classes", z->classes);
  jsonw_integer(w, "images", z->images);
  jsonw_end(w);
}

void eval_write_retrieval(json_writer *w, const char *key, const eval_retrieval *r) {
  jsonw_object(w, key);
  for (int i = 0; i < 3; i++) jsonw_number(w, outcomes_to_text[i], r->image_to_text[i]);
  for (int i = 0; i < 3; i++) jsonw_number(w, outcomes_to_image[i], r->text_to_image[i]);
  jsonw_number(w, "chance_r1", r->chance_r1);
  jsonw_integer(w, "images", r->images);
  jsonw_integer(w, "texts", r->texts);
  jsonw_end(w);
}
