#include "eval/logistic.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <lbfgs.h>

#include "base/mem.h"
#include "base/processor.h"
#include "base/rng.h"
#include "eval/logistic_sums.h"
#include "eval/share.h"

enum { TILE = 256, FOLD = 5 };
/* Ranks divide the rows and classes of a tile from this many multiply-adds on: a few hundred
 * microseconds, several times the duration of the exchange. */
static const int64_t least_shared = 1 << 20;

typedef struct {
  const logistic_data *data;
  const logistic_sums *sums;
  double penalty;   /* 1 / (C n) */
  comm *ranks;      /* that divide it; NULL: each rank computes all of it, or there is only one */
  int64_t span;     /* rows at once: a tile for each of those ranks */
  double *scores;   /* [span, classes]: scores, then residuals */
  double *losses;   /* [span] of rows */
  double tolerance; /* of the largest component of the gradient */
  int iterations;
  err failure; /* of an exchange: nothing more is computed */
} objective;

static const logistic_sums *sums_of_this_processor(void) {
#define DECLARE(suffix, name) extern const logistic_sums logistic_##suffix##_sums;
#define LIST(suffix, name) &logistic_##suffix##_sums,
  PROCESSOR_VARIANTS(DECLARE)
  static const logistic_sums *const all[] = {PROCESSOR_VARIANTS(LIST)};
#undef DECLARE
#undef LIST
  return all[processor_variant()];
}

/* Residuals of one row (probability minus one-hot) in place of its scores; returns its loss. */
static double row_loss(const objective *o, const double *weights, int64_t row, double *residuals) {
  const logistic_data *d = o->data;
  double most = -INFINITY, sum = 0;
  int64_t k;
  o->sums->score(weights, d->classes, d->rows + row * d->width, d->width, residuals);
  for (k = 0; k < d->classes; k++) most = residuals[k] > most ? residuals[k] : most;
  double own = residuals[d->labels[row]];
  for (k = 0; k < d->classes; k++) sum += residuals[k] = exp(residuals[k] - most);
  for (k = 0; k < d->classes; k++) residuals[k] /= sum;
  residuals[d->labels[row]] -= 1;
  return most + log(sum) - own;
}

/* Losses and residuals of rows [first, first + count), a tile from each rank. */
static err score_span(objective *o, const double *weights, int64_t first, int64_t count) {
  int64_t classes = o->data->classes;
  const comm_slice own = share_of(count, TILE, comm_size(o->ranks), comm_rank(o->ranks));
#pragma omp parallel for schedule(static)
  for (int64_t i = own.first; i < own.first + own.count; i++)
    o->losses[i] = row_loss(o, weights, first + i, o->scores + i * classes);
  err error =
      share_gather(o->ranks, NULL, count, TILE, (size_t)classes * sizeof *o->scores, o->scores);
  return error ? error : share_gather(o->ranks, NULL, count, TILE, sizeof *o->losses, o->losses);
}

/* Adds rows [first, first + count) to the gradients of some classes, tile by tile. */
static void add_span(const objective *o, comm_slice classes, int64_t first, int64_t count,
                     double *gradient) {
  const logistic_data *d = o->data;
#pragma omp parallel for schedule(static)
  for (int64_t k = classes.first; k < classes.first + classes.count; k++)
    for (int64_t at = 0; at < count; at += TILE)
      o->sums->add_rows(d, o->scores + at * d->classes + k, first + at,
                        count - at < TILE ? count - at : TILE, 1 / (double)d->count,
                        gradient + k * (d->width + 1));
}

/* For liblbfgs: the value at `weights`, and its gradient. */
static double evaluate(void *context, const double *weights, double *gradient, const int n,
                       const double step) {
  objective *o = context;
  (void)n;
  (void)step;
  const logistic_data *d = o->data;
  int64_t stride = d->width + 1;
  double loss = 0, square = 0, share = 1 / (double)d->count;
  memset(gradient, 0, (size_t)(d->classes * stride) * sizeof *gradient);
  const comm_slice own = share_of(d->classes, 1, comm_size(o->ranks), comm_rank(o->ranks));
  for (int64_t first = 0; first < d->count && !o->failure; first += o->span) {
    int64_t count = d->count - first < o->span ? d->count - first : o->span;
    o->failure = score_span(o, weights, first, count);
    if (o->failure) break;
    add_span(o, own, first, count, gradient);
    for (int64_t i = 0; i < count; i++) loss += o->losses[i];
  }
  if (!o->failure)
    o->failure =
        share_gather(o->ranks, NULL, d->classes, 1, (size_t)stride * sizeof *gradient, gradient);
  if (o->failure) return NAN;
  for (int64_t k = 0; k < d->classes; k++)
    for (int64_t j = 0; j < d->width; j++) {
      double w = weights[k * stride + j];
      square += w * w;
      gradient[k * stride + j] += o->penalty * w;
    }
  return loss * share + 0.5 * o->penalty * square;
}

enum { IS_FLAT = 1 }; /* our own stop code; liblbfgs's codes are 0, 2 and negative */

/* For liblbfgs, after each iteration. */
static int is_flat(void *context, const double *x, const double *gradient, const double fx,
                   const double xnorm, const double gnorm, const double step, int n, int k,
                   int tries) {
  objective *o = context;
  (void)x, (void)fx, (void)xnorm, (void)gnorm, (void)step, (void)k, (void)tries;
  o->iterations++;
  if (o->failure) return IS_FLAT;
  for (int i = 0; i < n; i++)
    if (!(fabs(gradient[i]) <= o->tolerance)) return 0;
  return IS_FLAT;
}

/* The line search found no lower point: x is optimal to machine precision, or the L-BFGS history is
 * misleading. */
static bool is_stuck(int code) {
  return code == LBFGSERR_ROUNDING_ERROR || code == LBFGSERR_MINIMUMSTEP ||
         code == LBFGSERR_MAXIMUMSTEP || code == LBFGSERR_MAXIMUMLINESEARCH ||
         code == LBFGSERR_WIDTHTOOSMALL || code == LBFGSERR_INCREASEGRADIENT ||
         code == LBFGSERR_OUTOFINTERVAL || code == LBFGSERR_INCORRECT_TMINMAX;
}

/* Iterates until the gradient is flat, most_iterations is reached, or the line search fails even
 * along the steepest descent. x comes from lbfgs_malloc. */
static err minimise(objective *o, int n, int most_iterations, double *x) {
  lbfgs_parameter_t p;
  lbfgs_parameter_init(&p);
  p.m = 10;      /* history size */
  p.epsilon = 0; /* is_flat decides when to stop */
  for (int code = 0, before = -1; o->iterations < most_iterations && o->iterations > before;) {
    before = o->iterations;
    p.max_iterations = most_iterations - o->iterations;
    code = lbfgs(n, x, NULL, evaluate, is_flat, o, &p);
    if (o->failure) return o->failure;
    if (code == LBFGSERR_OUTOFMEMORY)
      return mem_error((size_t)n * 24 * sizeof *x, "a linear probe's L-BFGS");
    if (code < 0 && code != LBFGSERR_MAXIMUMITERATION && !is_stuck(code))
      return err_new(ERR_INTERNAL, "liblbfgs ended with %d", code);
    if (!is_stuck(code)) break;
  }
  return NULL;
}

err logistic_fit(const logistic_data *d, double c, double tolerance, int most_iterations,
                 logistic *model) {
  int64_t parameters = d->classes * (d->width + 1);
  objective o = {.data = d,
                 .sums = sums_of_this_processor(),
                 /* two rows of weights mirror each other, and have half the square of the one that
                  * scikit-learn fits for two classes */
                 .penalty = (d->classes == 2 ? 2 : 1) / (c * (double)d->count),
                 .ranks = d->classes * d->width * TILE < least_shared ? NULL : d->ranks,
                 .tolerance = tolerance};
  if (parameters > INT_MAX - 16)
    return err_new(ERR_UNSUPPORTED, "a linear probe of %lld parameters is too large",
                   (long long)parameters);
  size_t bytes = (size_t)parameters * sizeof *model->weights;
  double *x = lbfgs_malloc((int)parameters);
  o.span = (int64_t)TILE * comm_size(o.ranks);
  o.scores = mem_zeroed((size_t)(o.span * d->classes), sizeof *o.scores);
  o.losses = mem_zeroed((size_t)o.span, sizeof *o.losses);
  if (!model->weights) model->weights = mem_zeroed((size_t)parameters, sizeof *model->weights);
  model->classes = d->classes;
  model->width = d->width;
  bool is_short = !x || !o.scores || !o.losses || !model->weights;
  err error = share_agree(d->ranks, is_short ? mem_error(bytes, "a linear probe") : NULL);
  if (!error) {
    memcpy(x, model->weights, bytes);
    error = share_agree(d->ranks, minimise(&o, (int)parameters, most_iterations, x));
    memcpy(model->weights, x, bytes);
  }
  lbfgs_free(x);
  free(o.scores);
  free(o.losses);
  return error;
}

void logistic_free(logistic *model) {
  free(model->weights);
  *model = (logistic){0};
}

void logistic_predict(const logistic *m, const float *rows, int64_t count, int32_t *predicted) {
  const logistic_sums *sums = sums_of_this_processor();
#pragma omp parallel for schedule(static)
  for (int64_t i = 0; i < count; i++) {
    double best = -INFINITY;
    predicted[i] = 0;
    for (int64_t k = 0; k < m->classes; k++) {
      double own;
      sums->score(m->weights + k * (m->width + 1), 1, rows + i * m->width, m->width, &own);
      if (own > best) best = own, predicted[i] = (int32_t)k;
    }
  }
}

/* The rows in a seeded order, of which every fifth is held out: `fit` first, then the others. */
typedef struct {
  float *rows;
  int32_t *labels, *predicted;
  logistic_data fit;
  int64_t held;
} split;

static err make_split(const logistic_data *d, uint64_t seed, split *s) {
  int64_t *order = mem_zeroed((size_t)d->count, sizeof *order);
  *s = (split){.rows = mem_aligned((size_t)(d->count * d->width) * sizeof(float)),
               .labels = mem_zeroed((size_t)d->count, sizeof(int32_t)),
               .predicted = mem_zeroed((size_t)d->count, sizeof(int32_t)),
               .fit = *d,
               .held = d->count / FOLD};
  if (!order || !s->rows || !s->labels || !s->predicted) {
    free(order);
    return mem_error((size_t)(d->count * d->width) * sizeof(float), "a validation split");
  }
  rng random = rng_at(seed, RNG_SHUFFLE, 0, 0);
  for (int64_t i = 0; i < d->count; i++) { /* inside-out Fisher-Yates */
    int64_t j = rng_below(&random, (uint32_t)i + 1);
    order[i] = order[j];
    order[j] = i;
  }
  for (int64_t i = 0; i < d->count; i++) {
    memcpy(s->rows + i * d->width, d->rows + order[i] * d->width, (size_t)d->width * sizeof(float));
    s->labels[i] = d->labels[order[i]];
  }
  s->fit.rows = s->rows;
  s->fit.labels = s->labels;
  s->fit.count = d->count - s->held;
  free(order);
  return NULL;
}

static void free_split(split *s) {
  free(s->rows);
  free(s->labels);
  free(s->predicted);
}

/* Accuracy on the held-out rows with C = 10^exponent; warm-started from the previous fit. */
static err judge(split *s, double exponent, int most_iterations, logistic *model,
                 double *accuracy) {
  err error = logistic_fit(&s->fit, pow(10, exponent), 1e-4, most_iterations, model);
  if (error) return error;
  int64_t right = 0, start = s->fit.count;
  logistic_predict(model, s->rows + start * s->fit.width, s->held, s->predicted);
  for (int64_t i = 0; i < s->held; i++) right += s->predicted[i] == s->labels[start + i];
  *accuracy = (double)right / (double)(s->held ? s->held : 1);
  return NULL;
}

err logistic_fit_swept(const logistic_data *d, uint64_t seed, int most_iterations, logistic *model,
                       logistic_sweep *sweep) {
  enum { DECADES = 6 };
  split s;
  logistic warm = {0};
  double best = -DECADES, step = 2, accuracy;
  *sweep = (logistic_sweep){.validation = -1};
  err error = share_agree(d->ranks, make_split(d, seed, &s));
  if (error) {
    free_split(&s);
    return error;
  }
  /* starts with the strongest regulariser: warm starts make the fits cheap */
  for (double exponent = -DECADES; exponent <= DECADES; exponent += step) {
    TRY(judge(&s, exponent, most_iterations, &warm, &accuracy));
    sweep->tried++;
    if (accuracy > sweep->validation) sweep->validation = accuracy, best = exponent;
  }
  for (step = 1; step >= 0.125; step /= 2) {
    double centre = best;
    for (int side = -1; side <= 1; side += 2) {
      if (fabs(centre + side * step) > DECADES) continue;
      TRY(judge(&s, centre + side * step, most_iterations, &warm, &accuracy));
      sweep->tried++;
      if (accuracy > sweep->validation) sweep->validation = accuracy, best = centre + side * step;
    }
  }
  sweep->c = pow(10, best);
  error = logistic_fit(d, sweep->c, 1e-5, most_iterations, model);
cleanup:
  logistic_free(&warm);
  free_split(&s);
  return error;
}
