/* The difference of two models' ROC AUC and 11-point mAP on the same images: its interval against a
 * paired bootstrap with numpy and scikit-learn and against DeLong's, and its coverage on simulated
 * sets. make_paired_fixture.py made the fixture. */
#define FIXTURE "paired"
#include "parity/fixture.h"

#include <math.h>
#include <stdlib.h>

#include "base/rng.h"
#include "eval/eval.h"
#include "stats/resampled.h"

/* Two models measured on the same images. */
typedef struct {
  double values[2];
  eval_outcomes outcomes[2];
} pair;

static void free_pair(pair *p) {
  for (int m = 0; m < 2; m++) eval_outcomes_free(&p->outcomes[m]);
}

static crossed_mean difference_of(const pair *p) {
  static double resampled[EVAL_RESAMPLES];
  const double value = p->values[0] - p->values[1];
  crossed_mean m;
  for (int k = 0; k < EVAL_RESAMPLES; k++)
    resampled[k] = (double)p->outcomes[0].resampled[k] - (double)p->outcomes[1].resampled[k];
  assert_ok(resampled_mean(&value, resampled, 1, EVAL_RESAMPLES, &m));
  return m;
}

/* The standard error from 1,000 resamples has one of its own of 2.2 %, theirs from 4,000 of 1.1 %:
 * three of both together. */
static void assert_error_near(double ours, double theirs) {
  if (!(fabs(ours / theirs - 1) < 0.075)) fail_msg("%.6g is not near %.6g", ours, theirs);
}

static void a_difference_of_areas_is_as_uncertain_as_for_scikit_learn_and_delong(void **state) {
  (void)state;
  int64_t count;
  const float *margins = data_of("margins", NULL, &count);
  const int32_t *labels = data_of("labels", NULL, NULL);
  const double *wanted = data_of("auc", NULL, NULL), *errors = data_of("auc_errors", NULL, NULL);
  pair p = {0};
  double bounds[2];
  for (int m = 0; m < 2; m++) {
    assert_ok(eval_score_auc(NULL, margins + m * count, labels, count, &p.values[m], bounds,
                             &p.outcomes[m]));
    assert_true(fabs(p.values[m] - wanted[m]) < 1e-12);
  }
  crossed_mean d = difference_of(&p);
  assert_true(fabs(d.mean - (wanted[0] - wanted[1])) < 1e-12);
  assert_error_near(d.error, errors[0]);  /* numpy's bootstrap */
  assert_error_near(d.error, errors[2]);  /* DeLong */
  assert_true(d.error < 0.8 * errors[1]); /* unpaired */
  free_pair(&p);
}

static void a_difference_of_precisions_is_as_uncertain_as_for_numpy(void **state) {
  (void)state;
  int64_t count, classes;
  const int8_t *truths = data_of("truths", &count, &classes);
  const float *models = data_of("models", NULL, NULL), *axes = data_of("classes", NULL, NULL);
  const double *wanted = data_of("map", NULL, NULL), *errors = data_of("map_errors", NULL, NULL);
  pair p = {0};
  for (int m = 0; m < 2; m++) {
    eval_zeroshot z;
    assert_ok(eval_score_multilabel(NULL, models + m * count * classes, truths, count, axes,
                                    classes, classes, &z, &p.outcomes[m]));
    p.values[m] = z.map_11point;
    assert_true(fabs(p.values[m] - wanted[m]) < 1e-12);
  }
  crossed_mean d = difference_of(&p);
  assert_error_near(d.error, errors[0]);
  assert_true(d.error < 0.8 * errors[1]);
  free_pair(&p);
}

/* ---- coverage ---- */

enum { SETS = 200, IMAGES = 120, SEEDS = 3 };

/* Scores of one run: strength for positives, then what all runs share of an image, what the runs of
 * one method share, and the run's own; of unit variance, so that the area is known. */
static void make_scores(rng *random, double strength, const double *shared, const double *method,
                        const int32_t *labels, float *scores) {
  for (int i = 0; i < IMAGES; i++)
    scores[i] = (float)(strength * labels[i] + sqrt(0.5) * shared[i] + sqrt(0.3) * method[i] +
                        sqrt(0.2) * rng_normal(random));
}

static double area_of(double strength) {
  return 0.5 * erfc(-strength / 2);
}

/* One seed: about this run, so its luck is none. Several: strengths scatter over seeds. */
static bool is_covered(uint64_t set, size_t seeds, double truth[2]) {
  static double resampled[SEEDS * EVAL_RESAMPLES];
  double shared[IMAGES], method[2][IMAGES], values[SEEDS];
  int32_t labels[IMAGES];
  rng random = rng_at(31, RNG_TEST, set, seeds);
  for (int i = 0; i < IMAGES; i++) {
    labels[i] = i % 3 == 0;
    shared[i] = rng_normal(&random);
    for (int m = 0; m < 2; m++) method[m][i] = rng_normal(&random);
  }
  for (size_t s = 0; s < seeds; s++) {
    pair p = {0};
    for (int m = 0; m < 2; m++) {
      float scores[IMAGES];
      double bounds[2], scatter = seeds > 1 ? 0.05 * rng_normal(&random) : 0;
      make_scores(&random, truth[m] + scatter, shared, method[m], labels, scores);
      assert_ok(eval_score_auc(NULL, scores, labels, IMAGES, &p.values[m], bounds, &p.outcomes[m]));
    }
    values[s] = p.values[0] - p.values[1];
    for (int k = 0; k < EVAL_RESAMPLES; k++)
      resampled[s * EVAL_RESAMPLES + (size_t)k] =
          (double)p.outcomes[0].resampled[k] - (double)p.outcomes[1].resampled[k];
    free_pair(&p);
  }
  crossed_mean m;
  double wanted = area_of(truth[0]) - area_of(truth[1]);
  assert_ok(resampled_mean(values, resampled, seeds, EVAL_RESAMPLES, &m));
  return m.low <= wanted && wanted <= m.high;
}

static void intervals_of_differences_cover(void **state) {
  (void)state;
  for (size_t seeds = 1; seeds <= SEEDS; seeds += 2) {
    int covered = 0;
    for (uint64_t set = 0; set < SETS; set++)
      covered += is_covered(set, seeds, (double[]){1.2, 0.9});
    printf("%zu seeds: %d of %d intervals cover\n", seeds, covered, SETS);
    /* 95 % +- three standard errors of 1.5 % */
    assert_true(covered >= 0.905 * SETS && covered <= 0.995 * SETS);
  }
}

static void resamples_without_a_value_are_left_out(void **state) {
  (void)state;
  double resampled[40], value = 0.5;
  crossed_mean m;
  for (int k = 0; k < 40; k++) resampled[k] = k % 2 ? 0.4 : 0.6;
  assert_ok(resampled_mean(&value, resampled, 1, 40, &m));
  assert_true(fabs(m.error - 0.1 * sqrt(40.0 / 39)) < 1e-12);
  resampled[6] = resampled[7] = NAN; /* a twentieth */
  assert_ok(resampled_mean(&value, resampled, 1, 40, &m));
  assert_true(fabs(m.error - 0.1 * sqrt(38.0 / 37)) < 1e-12);
  resampled[8] = NAN;
  assert_ok(resampled_mean(&value, resampled, 1, 40, &m));
  assert_true(isnan(m.low) && m.mean == value);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_difference_of_areas_is_as_uncertain_as_for_scikit_learn_and_delong),
      cmocka_unit_test(a_difference_of_precisions_is_as_uncertain_as_for_numpy),
      cmocka_unit_test(intervals_of_differences_cover),
      cmocka_unit_test(resamples_without_a_value_are_left_out),
  };
  return cmocka_run_group_tests(tests, open_file, close_file);
}
