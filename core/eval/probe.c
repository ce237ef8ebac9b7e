/* The linear probe of eval.h: features of two sets, a fit on one, a count on the other. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "eval/eval.h"
#include "eval/logistic.h"
#include "eval/set.h"

enum { MOST_ITERATIONS = 1000 }; /* as CLIP's probe */

typedef struct {
  float *rows;
  int32_t *labels;
  int64_t count;
} features;

static err take_features(eval_set *set, clip_model *model, double mask_ratio, uint64_t seed,
                         features *f) {
  size_t rows = (size_t)eval_set_rows(set);
  size_t width = (size_t)clip_get_config(model)->image.embed;
  f->rows = mem_aligned(rows * width * sizeof *f->rows);
  f->labels = mem_zeroed(rows, sizeof *f->labels);
  if (!f->rows || !f->labels) return mem_error(rows * width * sizeof *f->rows, "features");
  return eval_features(set, model, mask_ratio, seed, f->rows, f->labels, &f->count);
}

/* A label of the training set, and its number. */
typedef struct {
  const char *label;
  int32_t number;
} known;

static int by_label(const void *a, const void *b) {
  return strcmp(((const known *)a)->label, ((const known *)b)->label);
}

/* The test set's classes in the training set's numbers, by label (two classes may bear one name);
 * rows of other classes are dropped, and counted. */
static err renumber(const eval_set *train, eval_set *test, int64_t width, features *f) {
  int64_t used = 0, classes = eval_set_classes(train);
  known *all = mem_zeroed((size_t)classes, sizeof *all);
  if (!all) return mem_error((size_t)classes * sizeof *all, "classes");
  for (int64_t c = 0; c < classes; c++) all[c] = (known){eval_set_label(train, c), (int32_t)c};
  qsort(all, (size_t)classes, sizeof *all, by_label);
  for (int64_t i = 0; i < f->count; i++) {
    const known wanted = {.label = eval_set_label(test, f->labels[i])};
    const known *found = bsearch(&wanted, all, (size_t)classes, sizeof *all, by_label);
    if (!found) continue;
    memmove(f->rows + used * width, f->rows + i * width, (size_t)width * sizeof *f->rows);
    f->labels[used++] = found->number;
  }
  if (used < f->count)
    eval_set_warn(test, "%s: %ld images are of classes that %s has not", eval_set_name(test),
                  (long)(f->count - used), eval_set_name(train));
  f->count = used;
  free(all);
  return NULL;
}

static err count_right(const logistic *model, const features *f, eval_probe *p) {
  size_t classes = (size_t)model->classes;
  int32_t *predicted = mem_zeroed((size_t)f->count, sizeof *predicted);
  int64_t *seen = mem_zeroed(classes, sizeof *seen), *right = mem_zeroed(classes, sizeof *right);
  err error = NULL;
  int64_t all = 0, present = 0;
  if (!predicted || !seen || !right) FAIL(ERR_MEMORY, "out of memory: predictions");
  logistic_predict(model, f->rows, f->count, predicted);
  for (int64_t i = 0; i < f->count; i++) {
    seen[f->labels[i]]++;
    right[f->labels[i]] += predicted[i] == f->labels[i];
    all += predicted[i] == f->labels[i];
  }
  for (size_t c = 0; c < classes; c++) {
    if (!seen[c]) continue;
    present++;
    p->mean_per_class += (double)right[c] / (double)seen[c];
  }
  p->top1 = (double)all / (double)f->count;
  p->mean_per_class /= (double)(present ? present : 1);
cleanup:
  free(predicted);
  free(seen);
  free(right);
  return error;
}

err eval_run_probe(eval_set *train, eval_set *test, clip_model *model, double mask_ratio,
                   uint64_t seed, double c, eval_probe *p) {
  features from = {0}, to = {0};
  logistic fitted = {0};
  int64_t width = clip_get_config(model)->image.embed;
  err error = NULL;
  *p = (eval_probe){.c = c, .validation = -1};
  TRY(take_features(train, model, mask_ratio, seed, &from));
  TRY(take_features(test, model, mask_ratio, seed, &to));
  TRY(renumber(train, test, width, &to));
  if (!to.count)
    FAIL(ERR_INPUT, "%s has no image of a class of %s", eval_set_name(test), eval_set_name(train));
  logistic_data data = {from.rows, from.labels, from.count, width, eval_set_classes(train)};
  if (c > 0) {
    TRY(logistic_fit(&data, c, 1e-5, MOST_ITERATIONS, &fitted));
    p->tried = 1;
  } else {
    logistic_sweep sweep;
    TRY(logistic_fit_swept(&data, seed, MOST_ITERATIONS, &fitted, &sweep));
    p->c = sweep.c;
    p->tried = sweep.tried;
    p->validation = sweep.validation;
  }
  p->train_images = from.count;
  p->test_images = to.count;
  p->classes = eval_set_classes(train);
  TRY(count_right(&fitted, &to, p));
cleanup:
  logistic_free(&fitted);
  free(from.rows);
  free(from.labels);
  free(to.rows);
  free(to.labels);
  return error;
}

void eval_write_probe(json_writer *w, const char *key, const eval_probe *p) {
  jsonw_object(w, key);
  jsonw_number(w, "top1", p->top1);
  jsonw_number(w, "mean_per_class", p->mean_per_class);
  jsonw_number(w, "c", p->c);
  if (p->validation >= 0) jsonw_number(w, "validation", p->validation);
  jsonw_integer(w, "tried", p->tried);
  jsonw_integer(w, "classes", p->classes);
  jsonw_integer(w, "train_images", p->train_images);
  jsonw_integer(w, "images", p->test_images);
  jsonw_end(w);
}
