/* The linear probe of eval.h: extracts features of two sets, fits on one and evaluates on the
 * other. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "eval/eval.h"
#include "eval/logistic.h"
#include "eval/probe_inside.h"
#include "eval/set.h"
#include "eval/share.h"

enum { MOST_ITERATIONS = 1000 }; /* as CLIP's probe */

err probe_check_labels(const eval_set *set) {
  if (!set->has_labels)
    return err_new(ERR_INPUT, "%s: has no labels (tasks: zeroshot or probe)", set->name);
  if (set->is_multilabel)
    return err_new(ERR_INPUT, "%s: the probe requires one label per image", set->name);
  return NULL;
}

err probe_allocate(comm *ranks, const eval_set *set, int64_t width, probe_features *f) {
  size_t rows = (size_t)eval_set_rows(set);
  f->rows = mem_aligned(rows * (size_t)width * sizeof *f->rows);
  f->labels = mem_zeroed(rows, sizeof *f->labels);
  err error =
      f->rows && f->labels ? NULL : mem_error(rows * (size_t)width * sizeof *f->rows, "features");
  return share_agree(ranks, error);
}

void probe_free(probe_features *f) {
  free(f->rows);
  free(f->labels);
}

/* A label of the training set, and its class index. */
typedef struct {
  const char *label;
  int32_t number;
} known;

static int by_label(const void *a, const void *b) {
  return strcmp(((const known *)a)->label, ((const known *)b)->label);
}

/* The classes of a set by their labels, [eval_set_classes], which the caller frees. */
static err sort_classes(const eval_set *set, known **all) {
  int64_t classes = eval_set_classes(set);
  *all = mem_zeroed((size_t)classes, sizeof **all);
  if (!*all) return mem_error((size_t)classes * sizeof **all, "classes");
  for (int64_t c = 0; c < classes; c++) (*all)[c] = (known){eval_set_label(set, c), (int32_t)c};
  qsort(*all, (size_t)classes, sizeof **all, by_label);
  return NULL;
}

static const known *find(const known *all, const eval_set *train, const char *label) {
  const known wanted = {.label = label};
  return bsearch(&wanted, all, (size_t)eval_set_classes(train), sizeof *all, by_label);
}

static err share_no_class(const eval_set *train, const eval_set *test) {
  return err_new(ERR_INPUT, "no image of %s belongs to a class of %s", eval_set_name(test),
                 eval_set_name(train));
}

err eval_check_probe(const eval_set *train, const eval_set *test) {
  known *all = NULL;
  bool is_shared = false;
  err error = NULL;
  TRY(probe_check_labels(train));
  TRY(probe_check_labels(test));
  TRY(sort_classes(train, &all));
  for (int64_t row = 0; row < test->rows && !is_shared; row++) {
    const int32_t class = eval_set_class_of(test, row);
    is_shared = class >= 0 && find(all, train, eval_set_label(test, class));
  }
  if (!is_shared) error = share_no_class(train, test);
cleanup:
  free(all);
  return error;
}

err probe_renumber(comm *ranks, const eval_set *train, eval_set *test, int64_t width,
                   probe_features *f) {
  int64_t used = 0;
  known *all = NULL;
  err error = share_agree(ranks, sort_classes(train, &all));
  if (error) {
    free(all);
    return error;
  }
  for (int64_t i = 0; i < f->count; i++) {
    const known *found = find(all, train, eval_set_label(test, f->labels[i]));
    if (!found) continue;
    memmove(f->rows + used * width, f->rows + i * width, (size_t)width * sizeof *f->rows);
    f->labels[used++] = found->number;
  }
  if (used < f->count && !test->has_told_classes && comm_rank(ranks) == 0)
    eval_set_warn(test, "%s: %ld %s to classes that are not in %s", eval_set_name(test),
                  (long)(f->count - used),
                  text_plural(f->count - used, "image belongs", "images belong"),
                  eval_set_name(train));
  test->has_told_classes = used < f->count;
  f->count = used;
  free(all);
  return used ? NULL : share_no_class(train, test);
}

err probe_gather(comm *ranks, err own, const probe_features *f, int32_t *predicted) {
  return share_gather(ranks, own, f->count, 1, sizeof *predicted, predicted);
}

err probe_count(const probe_features *f, const int32_t *predicted, int64_t class_count,
                eval_probe *p) {
  size_t classes = (size_t)class_count;
  int64_t *seen = mem_zeroed(classes, sizeof *seen), *right = mem_zeroed(classes, sizeof *right);
  err error = NULL;
  int64_t all = 0, present = 0;
  if (!seen || !right) FAIL(ERR_MEMORY, "out of memory: predictions");
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
  free(seen);
  free(right);
  return error;
}

err eval_run_probe(eval_set *train, eval_set *test, clip_model *model, const eval_how *how,
                   double c, eval_probe *p) {
  probe_features from = {0}, to = {0};
  int32_t *predicted = NULL;
  logistic fitted = {0};
  int64_t width = eval_feature_width(model, how);
  err error = NULL;
  *p = (eval_probe){.c = c, .validation = -1};
  TRY(probe_allocate(how->ranks, train, width, &from));
  TRY(probe_allocate(how->ranks, test, width, &to));
  TRY(eval_features(train, model, how, from.rows, from.labels, &from.count));
  TRY(eval_features(test, model, how, to.rows, to.labels, &to.count));
  TRY(probe_renumber(how->ranks, train, test, width, &to));
  logistic_data data = {from.rows, from.labels, from.count, width, eval_set_classes(train),
                        how->ranks};
  if (c > 0) {
    TRY(logistic_fit(&data, c, 1e-5, MOST_ITERATIONS, &fitted));
    p->tried = 1;
  } else {
    logistic_sweep sweep;
    TRY(logistic_fit_swept(&data, how->seed, MOST_ITERATIONS, &fitted, &sweep));
    p->c = sweep.c;
    p->tried = sweep.tried;
    p->validation = sweep.validation;
  }
  p->train_images = from.count;
  p->test_images = to.count;
  p->classes = eval_set_classes(train);
  predicted = mem_zeroed((size_t)to.count, sizeof *predicted);
  const comm_slice own = share_of(to.count, 1, comm_size(how->ranks), comm_rank(how->ranks));
  if (predicted)
    logistic_predict(&fitted, to.rows + own.first * width, own.count, predicted + own.first);
  else
    error = mem_error((size_t)to.count * sizeof *predicted, "predictions");
  TRY(probe_gather(how->ranks, error, &to, predicted));
  TRY(share_agree(how->ranks, probe_count(&to, predicted, p->classes, p)));
cleanup:
  logistic_free(&fitted);
  free(predicted);
  probe_free(&from);
  probe_free(&to);
  return error;
}

void eval_write_probe(json_writer *w, const char *key, const eval_probe *p) {
  jsonw_object(w, key);
  jsonw_number(w, "top1", p->top1);
  jsonw_number(w, "mean_per_class", p->mean_per_class);
  if (p->epochs) {
    jsonw_integer(w, "epochs", p->epochs);
    jsonw_integer(w, "batch", p->batch);
    jsonw_number(w, "rate", p->rate);
    jsonw_number(w, "loss", p->loss);
  } else {
    jsonw_number(w, "c", p->c);
    if (p->validation >= 0) jsonw_number(w, "validation", p->validation);
    jsonw_integer(w, "tried", p->tried);
  }
  jsonw_integer(w, "classes", p->classes);
  jsonw_integer(w, "train_images", p->train_images);
  jsonw_integer(w, "images", p->test_images);
  jsonw_end(w);
}
