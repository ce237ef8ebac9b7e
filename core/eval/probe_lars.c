/* The linear probe of FLIP's Table 11, following MAE. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "eval/eval.h"
#include "eval/lars.h"
#include "eval/outcomes.h"
#include "eval/probe_inside.h"
#include "eval/share.h"

/* For ImageNet at batch 16,384; the rate is 0.01 * 16,384 / 256. */
enum { EPOCHS = 90, BATCH = 16384, UPDATES = 78 };
static const double peak_rate = 0.64, warmup_share = 1.0 / 9;

static void shuffle(uint64_t seed, int64_t epoch, int64_t count, int64_t *order) {
  rng random = rng_at(seed, RNG_SHUFFLE, (uint64_t)epoch, 0);
  for (int64_t i = 0; i < count; i++) order[i] = i;
  for (int64_t i = count - 1; i > 0; i--) {
    int64_t other = rng_below(&random, (uint32_t)(i + 1)), kept = order[i];
    order[i] = order[other];
    order[other] = kept;
  }
}

/* A batch of rows, gathered in the epoch's order. */
typedef struct {
  float *rows;
  int32_t *labels;
  int64_t *order;
} gathered;

static err make_room(int64_t batch, int64_t width, int64_t count, gathered *g) {
  g->rows = mem_aligned((size_t)(batch * width) * sizeof *g->rows);
  g->labels = mem_zeroed((size_t)batch, sizeof *g->labels);
  g->order = mem_zeroed((size_t)count, sizeof *g->order);
  if (g->rows && g->labels && g->order) return NULL;
  return mem_error((size_t)(batch * width) * sizeof *g->rows, "a linear probe");
}

/* Full batches in a new order; the remainder is not used in this epoch. */
static err train_epoch(lars_probe *probe, const probe_features *f, const eval_probe *p,
                       uint64_t seed, int64_t epoch, gathered *g, double *mean_loss) {
  int64_t updates = f->count / p->batch, width = probe->width;
  double sum = 0, loss;
  err error = NULL;
  shuffle(seed, epoch, f->count, g->order);
  for (int64_t u = 0; u < updates && !error; u++) {
    for (int64_t i = 0; i < p->batch; i++) {
      int64_t row = g->order[u * p->batch + i];
      memcpy(g->rows + i * width, f->rows + row * width, (size_t)width * sizeof *g->rows);
      g->labels[i] = f->labels[row];
    }
    double at = (double)epoch + (double)u / (double)updates, epochs = (double)p->epochs;
    error = lars_step(probe, g->rows, g->labels, p->batch,
                      p->rate * lars_schedule(at, warmup_share * epochs, epochs), &loss);
    if (!error) sum += loss;
  }
  *mean_loss = sum / (double)updates;
  return error;
}

/* A probe that diverged would predict the first class, or any: no accuracy is its. After the last
 * update there is no loss any more, so that the weights are looked at. */
static err check_converged(const lars_probe *probe, const eval_probe *p, int64_t epoch) {
  bool is_finite = isfinite(p->loss);
  for (int64_t i = 0; i < probe->classes * probe->width; i++)
    is_finite = is_finite && isfinite(probe->weights[i]);
  for (int64_t c = 0; c < probe->classes; c++) is_finite = is_finite && isfinite(probe->bias[c]);
  if (is_finite) return NULL;
  return err_new(ERR_NUMERIC,
                 "epoch %ld of %ld: the linear probe diverged: its loss or its weights are not "
                 "finite at a peak rate of %g (flip eval probe: a lower --rate)",
                 (long)epoch + 1, (long)p->epochs, p->rate);
}

static int64_t default_batch(int64_t images) {
  int64_t batch = images / UPDATES;
  return batch < 2 ? (images < 2 ? images : 2) : batch < BATCH ? batch : BATCH;
}

static err predict(const lars_probe *probe, const probe_features *to, eval_probe *p,
                   eval_outcomes *outcomes) {
  err error = NULL;
  const comm_slice own = share_of(to->count, 1, comm_size(probe->ranks), comm_rank(probe->ranks));
  int32_t *predicted = mem_zeroed((size_t)to->count, sizeof *predicted);
  int64_t *places = mem_zeroed((size_t)to->count, sizeof *places);
  if (predicted && places)
    lars_predict(probe, to->rows + own.first * probe->width, own.count, predicted + own.first);
  else
    error = mem_error((size_t)to->count * sizeof *places, "predictions");
  p->test_images = to->count;
  TRY(probe_gather(probe->ranks, error, to, predicted));
  TRY(probe_count(to, predicted, p->classes, p));
  for (int64_t i = 0; i < to->count; i++) places[i] = predicted[i] != to->labels[i];
  if (outcomes) TRY(outcomes_take_zeroshot(outcomes, places, to->labels, to->count, p->classes));
  if (outcomes) { /* a probe predicts one class: there is no top 5 */
    free(outcomes->top[1]);
    outcomes->top[1] = NULL;
  }
cleanup:
  free(predicted);
  free(places);
  return error;
}

err eval_run_lars(eval_set *train, eval_set *test, clip_model *model, const eval_how *how,
                  const eval_lars *recipe, eval_probe *p) {
  return eval_run_lars_items(train, test, model, how, recipe, p, NULL);
}

err eval_run_lars_items(eval_set *train, eval_set *test, clip_model *model, const eval_how *how,
                        const eval_lars *recipe, eval_probe *p, eval_outcomes *outcomes) {
  probe_features from = {0}, to = {0};
  lars_probe probe = {0};
  gathered g = {0};
  int64_t width = eval_feature_width(model, how);
  err error = NULL;
  *p = (eval_probe){.validation = -1,
                    .classes = eval_set_classes(train),
                    .epochs = recipe->epochs ? recipe->epochs : EPOCHS,
                    .rate = recipe->rate > 0 ? recipe->rate : peak_rate};
  TRY(probe_allocate(how->ranks, train, width, &from));
  TRY(probe_allocate(how->ranks, test, width, &to));
  TRY(eval_features(test, model, how, to.rows, to.labels, &to.count));
  TRY(probe_renumber(how->ranks, train, test, width, &to));
  for (int64_t epoch = 0; epoch < p->epochs; epoch++) {
    if (!recipe->is_plain)
      TRY(eval_features_augmented(train, model, how, epoch, from.rows, from.labels, &from.count));
    else if (!epoch)
      TRY(eval_features(train, model, how, from.rows, from.labels, &from.count));
    if (!epoch) {
      p->train_images = from.count;
      p->batch = recipe->batch ? recipe->batch : default_batch(from.count);
      if (p->batch < 2) /* every feature of a batch of one is its own mean */
        FAIL(
            ERR_INPUT,
            "a batch of %ld cannot be normalised: the probe by LARS needs 2 images or more, and %s "
            "has %ld: %s",
            (long)p->batch, eval_set_name(train), (long)from.count,
            from.count < 2 ? "give a larger set" : "choose a larger --batch, or leave it out");
      if (p->batch > from.count)
        FAIL(ERR_INPUT, "a batch of %ld is more than the %ld images of %s", (long)p->batch,
             (long)from.count, eval_set_name(train));
      error = lars_begin(p->classes, width, p->batch, how->seed, &probe);
      if (!error) error = make_room(p->batch, width, from.count, &g);
      TRY(share_agree(how->ranks, error));
      probe.ranks = how->ranks;
    }
    TRY(train_epoch(&probe, &from, p, how->seed, epoch, &g, &p->loss));
    TRY(check_converged(&probe, p, epoch));
  }
  TRY(share_agree(how->ranks, predict(&probe, &to, p, outcomes)));
cleanup:
  lars_end(&probe);
  free(g.rows);
  free(g.labels);
  free(g.order);
  probe_free(&from);
  probe_free(&to);
  return error;
}
