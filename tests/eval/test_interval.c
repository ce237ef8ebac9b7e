/* Intervals over images: their coverage of the true value on simulated sets. */
#include "support/test.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/rng.h"
#include "eval/interval.h"

enum { SETS = 200, IMAGES = 100, CLASSES = 3 };

/* Of 200 sets, 95 % +- three standard deviations of 1.5 %, and two more for so few images. */
static void assert_covers(int covered) {
  if (covered < 0.88 * SETS || covered > 0.995 * SETS)
    fail_msg("%d of %d intervals contain the true value", covered, SETS);
}

/* Scores of two normal distributions, one deviation apart: their area is the normal distribution
 * function of 1 / sqrt(2). */
static void areas_are_covered(void **state) {
  (void)state;
  double truth = 0.5 * erfc(-0.5);
  int covered = 0;
  for (int k = 0; k < SETS; k++) {
    float scores[IMAGES];
    int32_t labels[IMAGES];
    double area, bounds[2];
    rng random = rng_at(1, RNG_TEST, (uint64_t)k, 0);
    for (int i = 0; i < IMAGES; i++) {
      labels[i] = i % 3 == 0;
      scores[i] = (float)(rng_normal(&random) + labels[i]);
    }
    assert_ok(eval_score_auc(NULL, scores, labels, IMAGES, &area, bounds, NULL));
    assert_true(bounds[0] < area && area < bounds[1]);
    covered += bounds[0] <= truth && truth <= bounds[1];
  }
  assert_covers(covered);
}

/* The true value is the mean over sets of the same size: the precision of a small set is biased. */
static void mean_precisions_are_covered(void **state) {
  (void)state;
  double values[SETS], lows[SETS], highs[SETS], mean = 0;
  const float axes[CLASSES * CLASSES] = {1, 0, 0, 0, 1, 0, 0, 0, 1};
  for (int k = 0; k < SETS; k++) {
    float images[IMAGES * CLASSES];
    int8_t truths[IMAGES * CLASSES];
    eval_zeroshot z;
    rng random = rng_at(2, RNG_TEST, (uint64_t)k, 0);
    for (int i = 0; i < IMAGES * CLASSES; i++) {
      truths[i] = rng_below(&random, 4) == 0 ? 1 : -1;
      images[i] = (float)(rng_normal(&random) + truths[i]);
    }
    assert_ok(
        eval_score_multilabel(NULL, images, truths, IMAGES, axes, CLASSES, CLASSES, &z, NULL));
    values[k] = z.map_11point, lows[k] = z.bounds[0], highs[k] = z.bounds[1];
    assert_true(lows[k] < values[k] && values[k] < highs[k]);
    mean += values[k] / SETS;
  }
  int covered = 0;
  for (int k = 0; k < SETS; k++) covered += lows[k] <= mean && mean <= highs[k];
  assert_covers(covered);
}

/* By hand: nine hits of ten; and a metric that is not made of hits. */
static void shares_stay_between_0_and_1(void **state) {
  (void)state;
  uint8_t bits[2] = {0xff, 0x01};
  uint16_t labels[10] = {0};
  double bounds[2];
  eval_outcomes o = {.labelled = 10, .top = {bits, bits}, .labels = labels};
  static const char *const names[] = {"top1", "top5", "mean_top1_top5", "mean_per_class"};
  for (int i = 0; i < 4; i++) {
    assert_ok(interval_of_hits(NULL, &o, names[i], bounds));
    /* Wilson's: 0.596 to 0.982, as far as a thousand resamples tell the deviation */
    assert_true(fabs(bounds[0] - 0.596) < 0.02 && fabs(bounds[1] - 0.982) < 0.005);
  }
  bits[1] = 0x03; /* ten of ten is no certainty */
  for (int i = 0; i < 4; i++) {
    assert_ok(interval_of_hits(NULL, &o, names[i], bounds));
    assert_true(fabs(bounds[0] - 0.7225) < 1e-3 && bounds[1] > 1 - 1e-9);
  }
  assert_ok(interval_of_hits(NULL, &o, "roc_auc", bounds));
  assert_true(isnan(bounds[0]) && isnan(bounds[1]));
}

/* Not the interval of an unknown share. */
/* Of items 0 to 99 the mean, in hundredths; each resample has 100 of them. */
static double mean_item(const void *data, const int32_t *weights) {
  (void)data;
  double sum = 0, count = 0;
  for (int i = 0; i < IMAGES; i++) sum += 0.01 * i * weights[i], count += weights[i];
  assert_true(count == IMAGES);
  return sum / count;
}

static int by_value(const void *a, const void *b) {
  float x = *(const float *)a, y = *(const float *)b;
  return (x > y) - (x < y);
}

/* 1,000 draws: of a mean with a standard error of sqrt((100² - 1) / 12 / 100) hundredths. Two have
 * the same sum of whole numbers now and then; if each had a twin, half would be different. */
static void each_resample_is_a_draw_of_its_own(void **state) {
  (void)state;
  const double error = sqrt(9999. / 1200) / 100;
  double bounds[2];
  float *resampled;
  int twins = 0, different = 1;
  assert_ok(interval_of(NULL, IMAGES, mean_item, NULL, 0.495, false, bounds, &resampled));
  assert_true(fabs((bounds[1] - 0.495) / (1.96 * error) - 1) < 0.07); /* three of 2.2 % */
  for (int k = 1; k < EVAL_RESAMPLES; k++) twins += resampled[k] == resampled[k - 1];
  assert_true(twins < 20);
  qsort(resampled, EVAL_RESAMPLES, sizeof *resampled, by_value);
  for (int k = 1; k < EVAL_RESAMPLES; k++) different += resampled[k] != resampled[k - 1];
  assert_true(different > 550); /* of about 1,150 sums within two standard errors */
  free(resampled);
}

static void short_memory_gives_no_interval(void **state) {
  (void)state;
  uint8_t bits[2] = {0xff, 0x01};
  uint16_t labels[10] = {0};
  double bounds[2];
  eval_outcomes o = {.labelled = 10, .top = {bits, bits}, .labels = labels};
  for (long n = 0; n < 3; n++) {
    mem_fail_once_after(n);
    err error = interval_of_hits(NULL, &o, "top1", bounds);
    mem_fail_after(-1);
    if (!error) fail_msg("allocation %ld: [%g, %g]", n, bounds[0], bounds[1]);
    assert_int_equal(err_kind_of(error), ERR_MEMORY);
    err_free(error);
  }
}

/* A perfect area is perfect in every resample too: no interval, rather than one of no width. */
static void a_perfect_area_has_no_interval(void **state) {
  (void)state;
  float scores[20];
  int32_t labels[20];
  double area, bounds[2];
  for (int i = 0; i < 20; i++) scores[i] = (float)(labels[i] = i >= 10);
  assert_ok(eval_score_auc(NULL, scores, labels, 20, &area, bounds, NULL));
  assert_true(area == 1 && isnan(bounds[0]) && isnan(bounds[1]));
}

static void one_class_alone_has_no_area(void **state) {
  (void)state;
  const float scores[3] = {1, 2, 3};
  const int32_t labels[3] = {1, 1, 1};
  double area, bounds[2];
  assert_ok(eval_score_auc(NULL, scores, labels, 3, &area, bounds, NULL));
  assert_true(isnan(area) && isnan(bounds[0]) && isnan(bounds[1]));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(areas_are_covered),
      cmocka_unit_test(mean_precisions_are_covered),
      cmocka_unit_test(shares_stay_between_0_and_1),
      cmocka_unit_test(each_resample_is_a_draw_of_its_own),
      cmocka_unit_test(short_memory_gives_no_interval),
      cmocka_unit_test(a_perfect_area_has_no_interval),
      cmocka_unit_test(one_class_alone_has_no_area),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
