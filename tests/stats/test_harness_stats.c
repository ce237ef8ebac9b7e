#include "numbers.h"

#include <stdlib.h>

#include "base/rng.h"
#include "stats/bounded.h"
#include "stats/crossed.h"
#include "stats/paired.h"
#include "stats/ratio.h"
#include "stats/resampled.h"
#include "stats/student.h"
#include "stats/summary.h"

static void medians_and_quantiles_interpolate_between_order_statistics(void **state) {
  (void)state;
  const double values[] = {7, 1, 3, 10};
  double result;
  assert_ok(stats_median(values, 4, &result));
  assert_near(result, 5, 0); /* between 3 and 7 */
  assert_ok(stats_quantile(values, 4, 0.25, &result));
  assert_near(result, 2.5, 0); /* position 0.75: 1 + 0.75 (3 - 1) */
  assert_ok(stats_quantile(values, 4, 1, &result));
  assert_near(result, 10, 0);
  assert_ok(stats_quantile(values, 1, 0.9, &result));
  assert_near(result, 7, 0);
  assert_ok(stats_median(values, 0, &result));
  assert_true(isnan(result));
}

static void the_t_interval_is_that_of_a_hand_computation(void **state) {
  (void)state;
  /* mean 3, deviation 1, so the half width is 4.3027 / sqrt(3) */
  const double values[] = {2, 3, 4};
  assert_near(stats_mean(values, 3), 3, 0);
  assert_near(stats_deviation(values, 3), 1, 1e-15);
  assert_near(stats_half_width(values, 3), 2.48416, 1e-4);
  assert_true(isnan(stats_half_width(values, 1)));
}

static void t_quantiles_agree_with_printed_tables(void **state) {
  (void)state;
  assert_near(student_quantile(0.05, 1), 12.706, 5e-4);
  assert_near(student_quantile(0.05, 2), 4.303, 5e-4);
  assert_near(student_quantile(0.05, 11), 2.201, 5e-4);
  assert_near(student_quantile(0.05, 30), 2.042, 5e-4);
  assert_near(student_quantile(0.05, 1000000), 1.960, 5e-4);
}

static void an_accuracy_of_one_seed_has_the_interval_of_its_items(void **state) {
  (void)state;
  double hits[100] = {0};
  crossed_mean m;
  for (int i = 0; i < 20; i++) hits[5 * i] = 1;
  assert_ok(crossed_of(&(crossed_table){hits, NULL, 1, 100}, &m));
  assert_near(m.mean, 0.2, 1e-12);
  assert_near(m.error, sqrt(0.2 * 0.8 / 99), 1e-9);
  assert_ok(crossed_share(&(crossed_table){hits, NULL, 1, 100}, &m));
  assert_near(m.low, 0.1331, 1e-3); /* Wilson's interval of 20 of 100: 0.1334 to 0.2888 */
  assert_near(m.high, 0.2895, 1e-3);
  memset(hits, 0, sizeof hits);
  assert_ok(crossed_share(&(crossed_table){hits, NULL, 1, 100}, &m));
  assert_true(m.low == 0 && m.high > 0.03 && m.high < 0.04); /* none of 100 is not zero */
}

/* The weights 1/N of N hits need not add up to 1 in the last digit. Wilson's interval of N of N is
 * [N / (N + z²), 1], as narrow with more seeds as with one where all are right. */
static void all_hits_or_none_have_the_interval_of_so_many_items(void **state) {
  (void)state;
  enum { MOST = 2000, SEEDS = 3, CLASSES = 7 };
  static double values[SEEDS * MOST];
  static uint16_t strata[MOST];
  const double z2 = 1.959964 * 1.959964;
  for (size_t i = 0; i < MOST; i++) strata[i] = (uint16_t)(i % CLASSES);
  for (size_t share = 0; share < 2; share++) {
    for (size_t i = 0; i < SEEDS * MOST; i++) values[i] = (double)share;
    for (size_t k = 0; k < 4; k++)
      for (size_t n = 2; n <= MOST; n++) {
        crossed_mean m;
        assert_ok(crossed_share(
            &(crossed_table){values, k < 2 ? NULL : strata, k % 2 ? SEEDS : 1, n}, &m));
        assert_true(m.mean == (double)share);
        assert_near(share ? 1 - m.low : m.high, z2 / ((double)n + z2), 1e-12);
        assert_true(share ? m.high == 1 : m.low == 0);
      }
  }
}

/* Classes of 5, 8, 11 … images; the mean over them is one of 10 in either case. */
enum { UNEQUAL_CLASSES = 10, UNEQUAL_ITEMS = 185 };
static void make_unequal_classes(uint16_t *classes) {
  for (size_t c = 0, i = 0; c < UNEQUAL_CLASSES; c++)
    for (size_t k = 0; k < 5 + 3 * c; k++) classes[i++] = (uint16_t)c;
}

/* A model that answers the same class for all images, as one does that has learnt nothing. */
static void one_answer_for_all_images_has_an_interval(void **state) {
  (void)state;
  static double hits[3 * UNEQUAL_ITEMS];
  static uint16_t classes[UNEQUAL_ITEMS];
  make_unequal_classes(classes);
  for (size_t answer = 0; answer < UNEQUAL_CLASSES; answer++)
    for (size_t seeds = 1; seeds <= 3; seeds++) {
      crossed_mean m;
      double of_one_more = 0; /* Σ w² / N */
      for (size_t i = 0; i < 3 * UNEQUAL_ITEMS; i++) hits[i] = classes[i % UNEQUAL_ITEMS] == answer;
      for (size_t k = 0; k < UNEQUAL_CLASSES; k++)
        of_one_more += 1.0 / (100.0 * (5 + 3 * (double)k) * UNEQUAL_ITEMS);
      assert_ok(crossed_share(&(crossed_table){hits, classes, seeds, UNEQUAL_ITEMS}, &m));
      assert_near(m.mean, 0.1, 1e-12);
      assert_near(m.error, sqrt(of_one_more), 1e-9);
      assert_near(m.high - m.low, 2 * 1.959964 * m.error, 1e-4); /* by Wilson: a little less */
    }
}

/* One image of the smallest weight that varies in one seed is no rounding. */
static void a_variance_of_one_image_is_kept(void **state) {
  (void)state;
  static double hits[3 * 20001];
  static uint16_t classes[20001];
  crossed_mean m;
  classes[0] = 1, hits[0] = hits[20001] = hits[2 * 20001] = 1; /* the other 20000 are one class */
  hits[1] = 1;
  assert_ok(crossed_share(&(crossed_table){hits, classes, 1, 20001}, &m));
  assert_near(m.error, 0.5 / 20000, 1e-9);
  assert_ok(crossed_share(&(crossed_table){hits, classes, 3, 20001}, &m));
  assert_true(m.error < 0.5 / 20000);
}

/* All images of a class more, all of another class less: the sum of the weights is rounded. */
static void as_many_classes_more_as_fewer_are_no_difference(void **state) {
  (void)state;
  static double differences[UNEQUAL_ITEMS];
  static uint16_t classes[UNEQUAL_ITEMS];
  make_unequal_classes(classes);
  for (size_t more = 0; more < UNEQUAL_CLASSES; more++)
    for (size_t less = 0; less < UNEQUAL_CLASSES; less++) {
      crossed_mean m;
      for (size_t i = 0; i < UNEQUAL_ITEMS; i++)
        differences[i] = (classes[i] == more) - (classes[i] == less);
      assert_ok(crossed_difference(&(crossed_table){differences, classes, 1, UNEQUAL_ITEMS}, &m));
      assert_true(m.mean == 0);
      assert_true(m.low == -m.high);
    }
}

static void a_difference_of_pairs_has_no_noise_that_both_share(void **state) {
  (void)state;
  double differences[3 * 200] = {0};
  crossed_mean m;
  for (int s = 0; s < 3; s++) differences[s * 200 + 7] = 1; /* one image, every seed */
  assert_ok(crossed_of(&(crossed_table){differences, NULL, 3, 200}, &m));
  assert_near(m.mean, 1.0 / 200, 1e-12);
  assert_near(m.error, 1.0 / 200, 1e-4); /* the image alone */
  assert_near(m.rest, 0, 1e-12);
  assert_int_equal(crossed_seeds_needed(&m, 3), 0); /* no number of seeds makes more images */
  assert_true(crossed_items_needed(&m, 200, 3) > 200);
}

/* Two runs with the same outcomes, or almost: an interval of no width would be certainty. */
static void equal_outcomes_are_no_proof_of_equality(void **state) {
  (void)state;
  double differences[2 * 50] = {0};
  crossed_mean m;
  for (size_t seeds = 1; seeds <= 2; seeds++) {
    assert_ok(crossed_difference(&(crossed_table){differences, NULL, seeds, 50}, &m));
    assert_near(m.mean, 0, 1e-12);
    assert_near(m.high, 1.96 / 50, 1e-4); /* as if one image had differed */
    assert_near(m.low, -1.96 / 50, 1e-4);
  }
  differences[7] = 1;
  assert_ok(crossed_difference(&(crossed_table){differences, NULL, 1, 50}, &m));
  assert_near(m.high - m.mean, 1.96 * sqrt(2) / 50, 2e-3);
}

/* More than there are, and enough for an interval by Student's factor. */
static void what_would_decide_is_more_than_there_is(void **state) {
  (void)state;
  /* two seeds, factor 12.7: 4.85 +- 6.4; three have 4.3 */
  const crossed_mean two = {.mean = 4.85, .items = 0.4, .seeds = 0.25, .rest = 0};
  assert_int_equal(crossed_seeds_needed(&two, 2), 3);
  assert_int_equal(crossed_items_needed(&two, 2000, 2), 0); /* of these two seeds no images would */
  const crossed_mean many = {.mean = 1, .items = 0.01, .seeds = 0.04, .rest = 0};
  size_t seeds = crossed_seeds_needed(&many, 10);
  assert_in_range(seeds, 11, 12);
  /* half a point: (0.005 / 2.8)² = 3.19e-6; by hand 20 seeds leave 0.003550 + 0.001455, 21 0.00491
   */
  crossed_mean half_point = {.mean = 0.005, .items = 1e-6, .seeds = 4e-6, .rest = 0};
  assert_int_equal(crossed_seeds_needed(&half_point, 10), 21);
  half_point.items = 4e-6; /* more than that: the images alone leave it open */
  assert_int_equal(crossed_seeds_needed(&half_point, 10), 0);
  const crossed_mean hopeless = {.mean = 2.8, .items = 1 - 1e-12, .seeds = 1, .rest = 0};
  assert_int_equal(crossed_seeds_needed(&hopeless, 2), 0); /* 2e12 */
  const crossed_mean images = {.mean = 1, .items = 0.5, .seeds = 0.001, .rest = 0};
  size_t items = crossed_items_needed(&images, 1000, 50); /* 1000 * 0.5 / (1 / 2.8^2 - 0.001) */
  assert_in_range(items, 3900, 4100);
}

static void a_mean_over_classes_weighs_classes_alike(void **state) {
  (void)state;
  double hits[12] = {1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 1, 0}; /* 8 of 8; 1 of 3; 0 of 1 */
  const uint16_t classes[12] = {4, 4, 4, 4, 4, 4, 4, 4, 9, 9, 9, 2};
  crossed_mean m;
  assert_ok(crossed_of(&(crossed_table){hits, classes, 1, 12}, &m));
  assert_near(m.mean, (1 + 1.0 / 3 + 0) / 3, 1e-12);
  assert_near(m.error, sqrt(1.0 / 9 * (1.0 / 3) / 3), 1e-9); /* of the class that varies */
}

static void seeds_without_items_are_judged_by_student(void **state) {
  (void)state;
  const double values[] = {0.1, 0.2, 0.3};
  crossed_mean m;
  assert_ok(crossed_of(&(crossed_table){values, NULL, 3, 1}, &m));
  assert_near(m.high - m.mean, 4.3027 * 0.1 / sqrt(3), 1e-4);
  assert_ok(crossed_of(&(crossed_table){values, NULL, 1, 1}, &m));
  assert_true(isnan(m.low));
  /* a share of hits without its outcomes: Student's, within [0, 1]; none of equal seeds */
  assert_ok(crossed_share(&(crossed_table){values, NULL, 3, 1}, &m));
  assert_near(m.high - m.mean, 4.3027 * 0.1 / sqrt(3), 1e-4);
  assert_true(m.low == 0);
  const double equal[] = {0.5, 0.5};
  assert_ok(crossed_share(&(crossed_table){equal, NULL, 2, 1}, &m));
  assert_true(m.mean == 0.5 && isnan(m.low) && isnan(m.high));
  /* nor have equal differences, which rounding may set apart */
  const double alike[] = {0.1 + 0.2, 0.3, 0.3};
  assert_ok(crossed_difference(&(crossed_table){alike, NULL, 3, 1}, &m));
  assert_near(m.mean, 0.3, 1e-12);
  assert_true(isnan(m.low) && isnan(m.high));
}

/* By hand: 40 hits of 100 minus 200 of 400; with three seeds of the same hits, recorded to differ
 * by 0.01 from one another, only the spread over seeds is added. */
static void a_difference_of_two_sets_adds_the_variances_of_both(void **state) {
  (void)state;
  static double own[3 * 100], other[3 * 400];
  const double differences[] = {-0.1, -0.11, -0.09};
  crossed_mean m;
  for (int s = 0; s < 3; s++) {
    for (int i = 0; i < 40; i++) own[s * 100 + i] = 1;
    for (int i = 0; i < 200; i++) other[s * 400 + i] = 1;
  }
  const double items = 0.24 / 99 + 0.25 / 399 + 1.0 / 10000 + 1.0 / 160000;
  crossed_table mine = {own, NULL, 1, 100}, theirs = {other, NULL, 1, 400};
  assert_ok(crossed_unpaired(differences, &mine, &theirs, &m));
  assert_near(m.mean, -0.1, 1e-12);
  assert_near(m.high - m.mean, 1.959964 * sqrt(items), 1e-9);
  assert_near(m.mean - m.low, m.high - m.mean, 1e-12);
  mine.seeds = theirs.seeds = 3;
  assert_ok(crossed_unpaired(differences, &mine, &theirs, &m));
  assert_near(m.mean, -0.1, 1e-12);
  double of_seeds = 4.302653 * 0.01 / sqrt(3);
  assert_near(m.high - m.mean, sqrt(pow(1.959964, 2) * items + of_seeds * of_seeds), 1e-6);
  assert_near(m.rest, 0, 1e-12);
  /* two images have a variance, of which one is a hit here: 0.25 / 1 + 1 / 2² */
  other[0] = 1, other[1] = 0;
  mine.seeds = theirs.seeds = 1;
  theirs.items = 2;
  assert_ok(crossed_unpaired(differences, &mine, &theirs, &m));
  assert_near(m.high - m.mean, 1.959964 * sqrt(0.24 / 99 + 1.0 / 10000 + 0.25 + 0.25), 1e-9);
  /* a set of one image has no variance */
  mine.seeds = theirs.seeds = 3;
  theirs.items = 1;
  assert_ok(crossed_unpaired(differences, &mine, &theirs, &m));
  assert_true(isnan(m.low) && isnan(m.high));
}

/* Two seeds that hit opposite halves of 2 and of 4 images: the interactions are 2 (2 / 16) and
 * 4 (4 / 3) / 64, and the means of the images equal, so of those only the pseudo-counts are left.
 */
static void a_difference_of_two_sets_adds_the_interactions_of_both(void **state) {
  (void)state;
  const double own[] = {1, 0, 0, 1}, other[] = {1, 1, 0, 0, 0, 0, 1, 1},
               differences[] = {0.9, -0.9};
  const crossed_table mine = {own, NULL, 2, 2}, theirs = {other, NULL, 2, 4};
  const double items = 1. / 4 + 1. / 16, rest = 1. / 4 + 1. / 12, seeds = 2 * 0.9 * 0.9 / 2;
  crossed_mean m;
  assert_ok(crossed_unpaired(differences, &mine, &theirs, &m));
  assert_near(
      m.high - m.mean,
      sqrt(pow(1.959964, 2) * items + pow(12.7062047, 2) * (seeds - 0.8 * rest * rest / seeds)),
      1e-6);
  assert_near(m.rest, items, 1e-12); /* at most that */
  assert_near(m.seeds, seeds - items, 1e-12);
}

/* By hand: two seeds 0.70 and 0.74, each +- 0.03 and 0.05 over its images. */
static void bounds_over_items_are_added_to_the_spread_over_seeds(void **state) {
  (void)state;
  const double values[] = {0.70, 0.74}, halves[] = {0.03, 0.05}, unknown[] = {0.03, NAN};
  crossed_mean m = bounded_mean(values, halves, 1);
  assert_near(m.mean, 0.70, 1e-15);
  assert_near(m.low, 0.67, 1e-12);
  assert_near(m.high, 0.73, 1e-12);
  m = bounded_mean(values, halves, 2);
  /* 12.7062 * 0.028284 / sqrt(2) = 0.254124 of the seeds, 0.04 of the images */
  assert_near(m.high - m.mean, sqrt(0.254124 * 0.254124 + 0.04 * 0.04), 1e-6);
  assert_near(m.mean - m.low, m.high - m.mean, 1e-12);
  m = bounded_mean(values, unknown, 2); /* only seeds */
  assert_near(m.high - m.mean, 0.254124, 1e-6);
  m = bounded_mean(values, &unknown[1], 1);
  assert_true(isnan(m.low) && isnan(m.high));
}

/* The variances of the seeds and of the images, from which crossed_seeds_needed and its like go
 * on: those two seeds scatter by 0.02, and their images by 0.04 / 1.96. */
static void bounds_over_items_are_divided_into_their_variances(void **state) {
  (void)state;
  const double values[] = {0.70, 0.74}, halves[] = {0.03, 0.05}, unknown[] = {NAN, NAN};
  crossed_mean m = bounded_mean(values, halves, 1);
  assert_near(m.error, 0.03 / 1.959964, 1e-12);
  assert_near(m.items, pow(0.03 / 1.959964, 2), 1e-12);
  assert_true(isnan(m.seeds) && isnan(m.rest));
  m = bounded_mean(values, halves, 2);
  assert_near(m.error, sqrt(0.254124 * 0.254124 + 0.04 * 0.04) / 1.959964, 1e-6);
  assert_near(m.items, pow(0.04 / 1.959964, 2), 1e-12);
  assert_near(m.seeds, 0.02 * 0.02, 1e-12);
  assert_near(m.rest, 0, 0);
  m = bounded_mean(values, unknown, 2);
  assert_near(m.items, 0, 0);
  assert_near(m.seeds, 0.02 * 0.02, 1e-12);
}

/* Two seeds on four resamples, by hand: their means 0.55, 0.58, 0.54, 0.57 have the squares 0.001
 * about 0.56; each seed is off its mean distance of 0.06 by 0.01, 0, 0, -0.01. */
static void a_mean_over_resamples_has_three_variances(void **state) {
  (void)state;
  const double values[] = {0.50, 0.62};
  double resampled[] = {0.50, 0.52, 0.48, 0.50, 0.60, 0.64, 0.60, 0.64};
  const double items = 0.001 / 3, rest = 0.0002 / 3, seeds = 0.12 * 0.12 / 4;
  crossed_mean m;
  assert_ok(resampled_mean(values, resampled, 2, 4, &m));
  assert_near(m.mean, 0.56, 1e-12);
  assert_near(m.rest, rest, 1e-12);
  assert_near(m.items, items - rest, 1e-12);
  assert_near(m.seeds, seeds - rest, 1e-12);
  double half =
      sqrt(pow(1.959964, 2) * items + pow(12.7062047, 2) * (seeds - 0.8 * rest * rest / seeds));
  assert_near(m.high - m.mean, half, 1e-7);
  assert_near(m.mean - m.low, half, 1e-7);
  resampled[6] = NAN; /* of one seed: undefined for both, and more than a twentieth */
  assert_ok(resampled_mean(values, resampled, 2, 4, &m));
  assert_near(m.mean, 0.56, 1e-12);
  assert_true(isnan(m.low) && isnan(m.high) && isnan(m.items));
}

/* Of a seed without a value at a resample, the others' values there are left out too. */
static void a_resample_that_one_seed_lacks_is_left_out_of_all(void **state) {
  (void)state;
  enum { COUNT = 20 };
  const double values[] = {0.5, 0.6};
  double resampled[2 * COUNT];
  crossed_mean m;
  for (int k = 0; k < COUNT; k++) {
    resampled[k] = k % 2 ? 0.49 : 0.51;
    resampled[COUNT + k] = k % 2 ? 0.61 : 0.59;
  }
  resampled[3] = 7; /* left out, as its partner is */
  resampled[COUNT + 3] = NAN;
  assert_ok(resampled_mean(values, resampled, 2, COUNT, &m));
  /* the means do not vary; each seed is 0.05 off them, 10 times by 0.01 more and 9 by 0.01 less */
  const double rest = 0.01 * 0.01 * (19 - 1.0 / 19) / 18, seeds = 0.1 * 0.1 / 4;
  assert_near(m.items, 0, 1e-12);
  assert_near(m.seeds, seeds, 1e-12);
  assert_near(m.high - m.mean, 12.7062047 * sqrt(seeds - 0.8 * rest * rest / seeds), 1e-7);
}

/* An area with an effect of the seed and one of the images, half of which the seeds share. */
static void intervals_of_bounds_cover(void **state) {
  (void)state;
  enum { SETS = 2000, SEEDS = 3 };
  const double truth = 0.7, of_images = 0.02, of_seeds = 0.01;
  for (size_t seeds = 1; seeds <= SEEDS; seeds += 2) {
    size_t covered = 0;
    for (uint64_t k = 0; k < SETS; k++) {
      double values[SEEDS], halves[SEEDS];
      rng random = rng_at(9, RNG_TEST, k, seeds);
      double shared = rng_normal(&random);
      for (size_t s = 0; s < seeds; s++) {
        double luck = sqrt(0.5) * shared + sqrt(0.5) * rng_normal(&random);
        double scatter = seeds > 1 ? of_seeds * rng_normal(&random) : 0;
        values[s] = truth + of_images * luck + scatter;
        halves[s] = 1.96 * of_images;
      }
      crossed_mean m = bounded_mean(values, halves, seeds);
      covered += m.low <= truth && truth <= m.high;
    }
    double share = (double)covered / SETS;
    /* at least 95 % +- three standard errors; more, since the seeds' share is assumed to be all */
    if (share < 0.935 || (seeds == 1 && share > 0.965))
      fail_msg("%zu seeds: %.3f of the intervals cover", seeds, share);
  }
}

static void a_ratio_of_means_is_paired_and_includes_the_runs_uncertainty(void **state) {
  (void)state;
  const paired_value own[] = {{2, 1.9, 2.1}, {4, 3.9, 4.1}}, base[] = {{1, 1, 1}, {2, 2, 2}};
  paired_result r = paired_ratio(own, base, 2);
  assert_near(r.value, 2, 1e-12);
  assert_true(r.low < 1.97 && r.high > 2.03); /* the seeds agree; the runs leave 2 to 5 % */
  const paired_value bare[] = {{1.9, NAN, NAN}, {4.4, NAN, NAN}},
                     none[] = {{1, NAN, NAN}, {2, NAN, NAN}};
  r = paired_ratio(bare, none, 2);
  assert_near(r.value, 6.3 / 3, 1e-12); /* not 2.05, the mean of the ratios */
  assert_true(isnan(paired_ratio(bare, none, 1).low));
  const paired_value open = {1, 0, 2};
  r = paired_ratio(&open, base, 1);
  assert_true(r.low == 0 && r.high > 1.9 && r.high < 2.1);
  r = paired_ratio(base, &open, 1);
  assert_true(isinf(r.high) && r.low > 0.49);
}

/* Relative to their means 3.15 and 1.5 the pairs differ by 0.0634921 either way: a standard error
 * of the logarithm of 0.0634921, times Student's 12.7062. */
static void ratios_and_means_of_pairs_have_the_interval_of_a_hand_computation(void **state) {
  (void)state;
  const paired_value own[] = {{1.9, NAN, NAN}, {4.4, NAN, NAN}},
                     base[] = {{1, NAN, NAN}, {2, NAN, NAN}};
  paired_result r = paired_ratio(own, base, 2);
  assert_near(log(r.high / 2.1), 12.7062047 * 0.0634920635, 1e-6);
  assert_near(log(r.low / 2.1), -12.7062047 * 0.0634920635, 1e-6);
  /* of three the squares are divided by 2, and by 3: sqrt(0.02 / 6), times 4.30265 */
  const paired_value three[] = {{9, NAN, NAN}, {10, NAN, NAN}, {11, NAN, NAN}},
                     equal[] = {{4, NAN, NAN}, {4, NAN, NAN}, {4, NAN, NAN}};
  r = paired_ratio(three, equal, 3);
  assert_near(log(r.high / 2.5), 4.30265273 * sqrt(0.02 / 6), 1e-6);
  r = paired_mean(three, 3);
  assert_near(log(r.high / 10), 4.30265273 * sqrt(0.02 / 6), 1e-6);
  r = paired_ratio(three, equal, 1); /* one pair: a value alone */
  assert_true(r.value == 2.25 && isnan(r.low) && isnan(r.high));
}

/* The pairs agree; what is left is how far the runs' own intervals move the mean: run i by its
 * share of the mean. Down: the own runs' lower ends and the base's upper ones. */
static void a_ratio_is_as_uncertain_as_its_runs(void **state) {
  (void)state;
  const paired_value own[] = {{2, 1.8, 2.1}, {4, 3.9, 4.4}},
                     base[] = {{1, 0.9, 1.3}, {2, 1.9, 2.02}};
  const double down = hypot(1 / 3. * log(2 / 1.8), 2 / 3. * log(4 / 3.9)),
               up = hypot(1 / 3. * log(2.1 / 2), 2 / 3. * log(4.4 / 4)),
               base_down = hypot(1 / 3. * log(1 / 0.9), 2 / 3. * log(2 / 1.9)),
               base_up = hypot(1 / 3. * log(1.3), 2 / 3. * log(2.02 / 2));
  paired_result r = paired_ratio(own, base, 2);
  assert_near(r.value, 2, 1e-12);
  assert_near(r.low, 2 * exp(-hypot(down, base_up)), 1e-12);
  assert_near(r.high, 2 * exp(hypot(up, base_down)), 1e-12);
  r = paired_ratio(own, base, 1); /* one pair: of the runs alone */
  assert_near(r.low, 2 * exp(-hypot(log(2 / 1.8), log(1.3))), 1e-12);
  r = paired_ratio((paired_value[]){{0, 0, 0}}, base, 1);
  assert_true(isnan(r.value) && isnan(r.low));
  r = paired_ratio(own, (paired_value[]){{0, 0, 0}}, 1);
  assert_true(isnan(r.value) && isnan(r.low));
}

/* 4 and 6 are 0.2 of their mean off it: a standard error of the logarithm of 0.2. */
static void a_mean_of_times_has_the_interval_of_a_hand_computation(void **state) {
  (void)state;
  const paired_value bare[] = {{4, NAN, NAN}, {6, NAN, NAN}}, wide[] = {{4, 1, 8}, {4, 2, 12}},
                     half_known[] = {{4, 3, NAN}};
  paired_result r = paired_mean(bare, 2);
  assert_near(r.value, 5, 1e-12);
  assert_near(log(r.high / 5), 12.7062047 * 0.2, 1e-6);
  assert_near(log(r.low / 5), -12.7062047 * 0.2, 1e-6);
  r = paired_mean(wide, 2); /* equal: of the runs alone, each half of the mean */
  assert_near(r.low, 4 * exp(-hypot(log(4), log(2)) / 2), 1e-12);
  assert_near(r.high, 4 * exp(hypot(log(2), log(3)) / 2), 1e-12);
  /* the wider of both, here that over seeds, who differ by 0.2 of the mean either way */
  const paired_value seeds[] = {{4, 3.9, 4.1}, {6, 5.9, 6.1}};
  r = paired_mean(seeds, 2);
  assert_near(log(r.high / 5), 12.7062047 * 0.2, 1e-6);
  r = paired_mean(wide, 1);
  assert_near(r.low, 1, 1e-12);
  assert_near(r.high, 8, 1e-12);
  r = paired_mean(bare, 1);
  assert_true(r.value == 4 && isnan(r.low) && isnan(r.high));
  assert_true(isnan(paired_mean(half_known, 1).low));
  r = paired_mean((paired_value[]){{0, 0, 0}, {0, 0, 0}}, 2);
  assert_true(r.value == 0 && isnan(r.low) && isnan(r.high));
  assert_true(isnan(paired_mean(bare, 0).value));
}

static void a_ratio_is_paired_and_its_interval_covers_it(void **state) {
  (void)state;
  double a[12], b[12];
  stats_ratio_result r;
  make_series(a, 12, 12, 0, 3);
  for (size_t i = 0; i < 12; i++) b[i] = 1.1 * a[i]; /* what disturbs a round disturbs both */
  assert_ok(stats_ratio(a, b, 12, &r));
  assert_near(r.ratio, 1.1, 1e-12);
  assert_near(r.low, 1.1, 1e-12); /* paired: no noise is left */
  make_series(b, 12, 0, 10, 4);
  assert_ok(stats_ratio(a, b, 12, &r));
  assert_true(r.low < 1.1 && 1.1 < r.high && r.low > 1.05);
  assert_true(r.detectable > (r.high - r.low) / 2 / r.ratio); /* found in four of five cases */
  assert_int_equal(r.rounds, 12);
}

/* Five pairs without trimming: mean and t-interval of the logarithms, by hand. */
static void five_rounds_give_the_t_interval_of_a_hand_computation(void **state) {
  (void)state;
  const double a[] = {100, 100, 100, 100, 100};
  double b[5];
  stats_ratio_result r;
  for (int i = 0; i < 5; i++) b[i] = 100 * exp(0.01 * (i + 1)); /* logs: mean 0.03, s 0.0158114 */
  assert_ok(stats_ratio(a, b, 5, &r));
  assert_near(r.ratio, exp(0.03), 1e-12);
  assert_near(r.high, exp(0.03 + 3.74695 * 0.0158114 / sqrt(5)), 1e-6); /* t of 2 %, 4 degrees */
  /* with a power of 80 %, whose one-sided t of 4 degrees is 0.94096 */
  assert_near(r.detectable, expm1((3.74695 + 0.94096) * 0.0158114 / sqrt(5)), 1e-6);
  assert_ok(stats_ratio(a, b, 4, &r)); /* too few to claim anything */
  assert_true(isnan(r.ratio) && isnan(r.low) && isnan(r.high));
}

static void pairs_without_positive_numbers_are_left_out(void **state) {
  (void)state;
  double a[] = {100, NAN, 100, 0, 100, 100, -1, 100, INFINITY};
  double b[] = {100, 100, 0, 100, 100, 100, 100, 100, 100};
  stats_ratio_result r;
  assert_ok(stats_ratio(a, b, 9, &r));
  assert_int_equal(r.rounds, 4);
  assert_int_equal(r.left_out, 5);
  assert_true(isnan(r.ratio));
  a[1] = 100;
  assert_ok(stats_ratio(a, b, 9, &r));
  assert_near(r.ratio, 1, 1e-12);
}

static void one_disturbed_round_of_eight_hides_nothing(void **state) {
  (void)state;
  double a[8], b[8];
  stats_ratio_result r;
  make_series(a, 8, 8, 0, 7);
  make_series(b, 8, 0, -5, 8);
  a[2] = 55;
  assert_ok(stats_ratio(a, b, 8, &r));
  assert_true(r.high < 1);
}

static void tails_of_t_agree_with_printed_tables(void **state) {
  (void)state;
  assert_near(student_tail(12.7062, 1), 0.05, 1e-6);
  assert_near(student_tail(2.7764, 4), 0.05, 1e-5);
  assert_near(student_tail(4.0321, 5), 0.01, 1e-6);
  assert_near(student_tail(2.0086, 50), 0.05, 1e-5);
  assert_near(student_tail(-2.0086, 50), 0.05, 1e-5);
  assert_near(student_quantile(0.02, 7), 2.99795, 1e-5);
  assert_true(student_tail(INFINITY, 3) == 0 && isnan(student_tail(1, 0)));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(medians_and_quantiles_interpolate_between_order_statistics),
      cmocka_unit_test(the_t_interval_is_that_of_a_hand_computation),
      cmocka_unit_test(t_quantiles_agree_with_printed_tables),
      cmocka_unit_test(an_accuracy_of_one_seed_has_the_interval_of_its_items),
      cmocka_unit_test(all_hits_or_none_have_the_interval_of_so_many_items),
      cmocka_unit_test(one_answer_for_all_images_has_an_interval),
      cmocka_unit_test(a_variance_of_one_image_is_kept),
      cmocka_unit_test(as_many_classes_more_as_fewer_are_no_difference),
      cmocka_unit_test(a_difference_of_pairs_has_no_noise_that_both_share),
      cmocka_unit_test(equal_outcomes_are_no_proof_of_equality),
      cmocka_unit_test(what_would_decide_is_more_than_there_is),
      cmocka_unit_test(a_mean_over_classes_weighs_classes_alike),
      cmocka_unit_test(seeds_without_items_are_judged_by_student),
      cmocka_unit_test(a_difference_of_two_sets_adds_the_variances_of_both),
      cmocka_unit_test(a_difference_of_two_sets_adds_the_interactions_of_both),
      cmocka_unit_test(bounds_over_items_are_added_to_the_spread_over_seeds),
      cmocka_unit_test(bounds_over_items_are_divided_into_their_variances),
      cmocka_unit_test(a_mean_over_resamples_has_three_variances),
      cmocka_unit_test(a_resample_that_one_seed_lacks_is_left_out_of_all),
      cmocka_unit_test(intervals_of_bounds_cover),
      cmocka_unit_test(a_ratio_of_means_is_paired_and_includes_the_runs_uncertainty),
      cmocka_unit_test(ratios_and_means_of_pairs_have_the_interval_of_a_hand_computation),
      cmocka_unit_test(a_ratio_is_as_uncertain_as_its_runs),
      cmocka_unit_test(a_mean_of_times_has_the_interval_of_a_hand_computation),
      cmocka_unit_test(a_ratio_is_paired_and_its_interval_covers_it),
      cmocka_unit_test(five_rounds_give_the_t_interval_of_a_hand_computation),
      cmocka_unit_test(pairs_without_positive_numbers_are_left_out),
      cmocka_unit_test(one_disturbed_round_of_eight_hides_nothing),
      cmocka_unit_test(tails_of_t_agree_with_printed_tables),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
