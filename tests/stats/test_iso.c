/* Curves of accuracy, and speed-ups to equal accuracy. */
#include "numbers.h"

#include <stdlib.h>

#include "stats/curve.h"
#include "stats/iso.h"

static void a_curve_reaches_an_accuracy_on_the_line_between_two_points(void **state) {
  (void)state;
  curve_point points[] = {{10, 0.2}, {20, 0.4}, {30, 0.3}, {40, 0.5}};
  accuracy_curve c = {points, 4, 0};
  assert_near(curve_best(&c), 0.5, 0);
  assert_near(curve_time_to(&c, 0.1), 5, 1e-12); /* from (0, 0) */
  assert_near(curve_time_to(&c, 0.3), 15, 1e-12);
  assert_near(curve_time_to(&c, 0.4), 20, 1e-12);
  assert_near(curve_time_to(&c, 0.45), 37.5, 1e-12); /* from (30, 0.3) to (40, 0.5) */
  assert_true(isnan(curve_time_to(&c, 0.51)));
}

static void the_speedup_is_taken_at_the_highest_accuracy_that_both_reach(void **state) {
  (void)state;
  curve_point slow[] = {{100, 0.3}, {200, 0.5}}, fast[] = {{20, 0.2}, {40, 0.4}};
  accuracy_curve baseline = {slow, 2, 0}, own = {fast, 2, 0}, none = {NULL, 0, 0};
  curve_iso iso = curve_compare(&baseline, &own);
  assert_near(iso.accuracy, 0.4, 0);
  assert_near(iso.baseline_seconds, 150, 1e-12);
  assert_near(iso.seconds, 40, 1e-12);
  assert_near(iso.speedup, 3.75, 1e-12);
  assert_true(isnan(curve_compare(&baseline, &none).speedup));
  assert_near(curve_compare(&baseline, &baseline).speedup, 1, 1e-15);
  fast[0].seconds = 0.2, fast[1].seconds = 0.4; /* within a second */
  assert_near(curve_compare(&baseline, &own).speedup, 375, 1e-9);
  assert_near(curve_compare(&own, &baseline).speedup, 1 / 375., 1e-12);
}

/* Curves of 8 points; `level` items of 100 are hit at the end, from the item `first` on. */
static void make_hits(uint8_t bits[8][13], const uint8_t *hits[8], double accuracy[8], int level,
                      int first) {
  memset(bits, 0, 8 * 13);
  for (int p = 0; p < 8; p++) {
    int count = level * (p + 1) / 8;
    for (int k = 0; k < count; k++) {
      int i = (first + k) % 100;
      bits[p][i / 8] |= (uint8_t)(1 << i % 8);
    }
    hits[p] = bits[p];
    accuracy[p] = count / 100.0;
  }
}

static void the_interval_of_an_iso_speedup_contains_the_unrefuted_values(void **state) {
  (void)state;
  static uint8_t bits[2][8][13];
  const uint8_t *hits[2][8];
  double accuracy[2][8], slow[8], fast[8], low, high;
  const paired_result no_pace = {NAN, NAN, NAN}, pace = {3, 1.5, 6}, open = {2, 0, 4};
  for (int p = 0; p < 8; p++) slow[p] = 20 * (p + 1), fast[p] = 10 * (p + 1);
  make_hits(bits[0], hits[0], accuracy[0], 64, 0);
  make_hits(bits[1], hits[1], accuracy[1], 64, 20);
  iso_rows base = {8, 1, slow, accuracy[0], hits[0], NULL, 100, 0};
  iso_rows own = {8, 1, fast, accuracy[1], hits[1], NULL, 100, 0};
  assert_ok(iso_interval(&base, &own, 2, &no_pace, &low, &high));
  assert_true(low > 1.2 && low < 1.9 && high > 2.1 && high < 3.5);
  double alone_low = low, alone_high = high;
  assert_ok(iso_interval(&base, &own, 2, &pace, &low, &high)); /* the pace is uncertain by 2 */
  assert_near(log(low / 2), -hypot(log(alone_low / 2), log(2)), 1e-9);
  assert_near(log(high / 2), hypot(log(alone_high / 2), log(2)), 1e-9);
  assert_ok(iso_interval(&base, &own, 2, &open, &low, &high));
  assert_true(low == 0 && high > 4);
  base.items = own.items = 0; /* one seed and no items: nothing is known */
  assert_ok(iso_interval(&base, &own, 2, &no_pace, &low, &high));
  assert_true(isnan(low));
}

static void a_curve_that_may_never_get_there_has_an_open_interval(void **state) {
  (void)state;
  static uint8_t bits[2][8][13];
  const uint8_t *hits[2][8];
  double accuracy[2][8], slow[8], fast[8], low, high;
  const paired_result no_pace = {NAN, NAN, NAN};
  for (int p = 0; p < 8; p++) slow[p] = 20 * (p + 1), fast[p] = 10 * (p + 1);
  make_hits(bits[0], hits[0], accuracy[0], 3, 0); /* hardly above nothing */
  make_hits(bits[1], hits[1], accuracy[1], 64, 20);
  iso_rows base = {8, 1, slow, accuracy[0], hits[0], NULL, 100, 0};
  iso_rows own = {8, 1, fast, accuracy[1], hits[1], NULL, 100, 0};
  assert_ok(iso_interval(&base, &own, 20, &no_pace, &low, &high));
  assert_true(isinf(high) && low > 1);
}

/* The first `count` of 100 items are hits. */
static void set_hits(uint8_t bits[13], const uint8_t **hits, double *accuracy, size_t count) {
  for (size_t i = 0; i < count; i++) bits[i / 8] |= (uint8_t)(1 << i % 8);
  *hits = bits;
  *accuracy = (double)count / 100;
}

/* Both rows level off at 60 of 100 items, which the baseline passes between its evaluations: the
 * first time at the highest accuracy is chance's, so the interval holds those of all equal ones. */
static void a_curve_that_levels_off_has_no_narrow_interval(void **state) {
  (void)state;
  static uint8_t bits[2][2][8][13];
  const uint8_t *hits[2][2][8];
  double accuracy[2][2][8], slow[8], fast[8], low, high;
  const paired_result no_pace = {NAN, NAN, NAN};
  for (int p = 0; p < 8; p++) {
    slow[p] = fast[p] = 10 * (p + 1);
    for (int seed = 0; seed < 2; seed++) {
      size_t flips = (size_t)((p * 5 + seed * 3) % 7); /* noise of the plateau */
      set_hits(bits[0][seed][p], &hits[0][seed][p], &accuracy[0][seed][p], (size_t)(10 * (p + 1)));
      set_hits(bits[1][seed][p], &hits[1][seed][p], &accuracy[1][seed][p],
               p < 3 ? (size_t)(20 * (p + 1)) : 57 + flips);
    }
  }
  iso_rows base = {8, 2, slow, accuracy[0][0], hits[0][0], NULL, 100, 0};
  iso_rows own = {8, 2, fast, accuracy[1][0], hits[1][0], NULL, 100, 0};
  assert_ok(iso_interval(&base, &own, 60. / 50, &no_pace, &low, &high));
  assert_true(low < 60. / 80 + 0.05 && high > 60. / 40 - 0.05);
}

/* The baseline passes 40 % at 20 s, dips, and reaches 50 % at 40 s; the row is best at 41 %, at
 * 19 s. The interval reads the same lines as the estimate, so that it need not be widened to it. */
static void after_a_dip_the_estimate_is_inside_its_interval(void **state) {
  (void)state;
  static const size_t of_base[] = {300, 400, 50, 500}, of_own[] = {200, 300, 400, 410};
  static uint8_t bits[2][4][125];
  const uint8_t *hits[2][4];
  double accuracy[2][4], slow[4], fast[4], low, high;
  const paired_result no_pace = {NAN, NAN, NAN};
  curve_point points[2][4];
  for (size_t p = 0; p < 4; p++) {
    slow[p] = 10. * (double)(p + 1), fast[p] = 4.75 * (double)(p + 1);
    for (size_t k = 0; k < of_base[p]; k++) bits[0][p][k / 8] |= (uint8_t)(1 << k % 8);
    for (size_t k = 0; k < of_own[p]; k++) bits[1][p][k / 8] |= (uint8_t)(1 << k % 8);
    hits[0][p] = bits[0][p], hits[1][p] = bits[1][p];
    accuracy[0][p] = (double)of_base[p] / 1000, accuracy[1][p] = (double)of_own[p] / 1000;
    points[0][p] = (curve_point){slow[p], accuracy[0][p]};
    points[1][p] = (curve_point){fast[p], accuracy[1][p]};
  }
  const curve_iso iso =
      curve_compare(&(accuracy_curve){points[0], 4, 0}, &(accuracy_curve){points[1], 4, 0});
  assert_near(iso.baseline_seconds, 38, 1e-9); /* 36 of 45 points of the last rise */
  assert_near(iso.speedup, 2, 1e-9);
  const iso_rows base = {4, 1, slow, accuracy[0], hits[0], NULL, 1000, 0};
  const iso_rows own = {4, 1, fast, accuracy[1], hits[1], NULL, 1000, 0};
  assert_ok(iso_interval(&base, &own, iso.speedup, &no_pace, &low, &high));
  assert_true(low < iso.speedup && high > iso.speedup);
}

/* Two evaluations of the baseline have the same mean, which the order of its seeds rounds one way
 * or the other: it is highest at the first of them, and the seeds' order changes no interval. */
static void equal_evaluations_are_not_told_apart_by_rounding(void **state) {
  (void)state;
  const double slow[] = {10, 20, 30, 40}, fast[] = {8, 16, 24, 32};
  const double of_base[3][4] = {
      {0.20, 0.52, 0.66, 0.52}, {0.26, 0.38, 0.48, 0.58}, {0.14, 0.52, 0.44, 0.48}};
  const double of_own[3][4] = {
      {0.18, 0.36, 0.58, 0.70}, {0.20, 0.32, 0.50, 0.66}, {0.16, 0.34, 0.51, 0.62}};
  static const int orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                   {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
  const paired_result no_pace = {NAN, NAN, NAN};
  double first_low = NAN, first_high = NAN;
  for (int k = 0; k < 6; k++) {
    double base_values[3][4], own_values[3][4], low, high;
    for (int seed = 0; seed < 3; seed++)
      for (int p = 0; p < 4; p++) {
        base_values[seed][p] = of_base[orders[k][seed]][p];
        own_values[seed][p] = of_own[orders[k][seed]][p];
      }
    iso_rows base = {4, 3, slow, base_values[0], NULL, NULL, 0, 0};
    iso_rows own = {4, 3, fast, own_values[0], NULL, NULL, 0, 0};
    assert_ok(iso_interval(&base, &own, 30. / 24, &no_pace, &low, &high));
    if (k == 0) first_low = low, first_high = high;
    assert_near(low, first_low, 1e-9);
    assert_near(high, first_high, 1e-9);
  }
  curve_point points[] = {{10, 0.3}, {20, 0.1 + 0.2}}; /* the second is greater by rounding */
  accuracy_curve c = {points, 2, 0};
  assert_near(curve_time_to(&c, curve_best(&c)), 10, 1e-9);
}

/* Where the baseline reaches the accuracy before its first evaluation, when is unknown. */
static void what_is_before_the_first_evaluation_is_unknown(void **state) {
  (void)state;
  static uint8_t bits[2][2][13];
  const uint8_t *hits[2][2];
  double accuracy[2][2], slow[] = {40, 80}, fast[] = {10, 20}, low, high;
  const paired_result no_pace = {NAN, NAN, NAN};
  set_hits(bits[0][0], &hits[0][0], &accuracy[0][0], 60);
  set_hits(bits[0][1], &hits[0][1], &accuracy[0][1], 90);
  set_hits(bits[1][0], &hits[1][0], &accuracy[1][0], 15);
  set_hits(bits[1][1], &hits[1][1], &accuracy[1][1], 30);
  iso_rows base = {2, 1, slow, accuracy[0], hits[0], NULL, 100, 0.01};
  iso_rows own = {2, 1, fast, accuracy[1], hits[1], NULL, 100, 0.01};
  assert_ok(iso_interval(&base, &own, 1, &no_pace, &low, &high));
  assert_true(low <= 0 && high > 1.9 && high < 2.01); /* 30 of 100: in at most 40 s; in 20 s */
  assert_ok(iso_interval(&own, &base, 1, &no_pace, &low, &high));
  assert_true(low > 0.49 && low < 0.53 && isinf(high));
  accuracy_curve c = {(curve_point[]){{10, 0.2}}, 1, 0.1}; /* from chance, not from 0 */
  assert_near(curve_time_to(&c, 0.15), 5, 1e-12);
  assert_near(curve_time_to(&c, 0.1), 0, 0);
  assert_true(
      isnan(curve_compare(&c, &(accuracy_curve){(curve_point[]){{9, 0.09}}, 1, 0.1}).speedup));
}

/* Before its first evaluation, 30 of 100 after a start at 50, the row may have had any number in
 * between, also the baseline's 40: no higher speed-up than 8 (80 s over 10 s) is refuted. */
static void a_first_evaluation_may_be_below_the_start(void **state) {
  (void)state;
  static uint8_t bits[2][2][13];
  const uint8_t *hits[2][2];
  double accuracy[2][2], low, high;
  const double slow[] = {40, 80}, fast[] = {10, 20};
  const paired_result no_pace = {NAN, NAN, NAN};
  set_hits(bits[0][0], &hits[0][0], &accuracy[0][0], 10);
  set_hits(bits[0][1], &hits[0][1], &accuracy[0][1], 40);
  set_hits(bits[1][0], &hits[1][0], &accuracy[1][0], 30);
  set_hits(bits[1][1], &hits[1][1], &accuracy[1][1], 90);
  iso_rows base = {2, 1, slow, accuracy[0], hits[0], NULL, 100, 0.5};
  iso_rows own = {2, 1, fast, accuracy[1], hits[1], NULL, 100, 0.5};
  assert_ok(iso_interval(&base, &own, 80 / (10 + 10 / 6.), &no_pace, &low, &high));
  assert_true(isinf(high));
  assert_true(low > 4); /* 90 of 100 at 20 s, and the baseline's 40 at most */
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_curve_reaches_an_accuracy_on_the_line_between_two_points),
      cmocka_unit_test(the_speedup_is_taken_at_the_highest_accuracy_that_both_reach),
      cmocka_unit_test(the_interval_of_an_iso_speedup_contains_the_unrefuted_values),
      cmocka_unit_test(a_curve_that_may_never_get_there_has_an_open_interval),
      cmocka_unit_test(a_curve_that_levels_off_has_no_narrow_interval),
      cmocka_unit_test(after_a_dip_the_estimate_is_inside_its_interval),
      cmocka_unit_test(equal_evaluations_are_not_told_apart_by_rounding),
      cmocka_unit_test(what_is_before_the_first_evaluation_is_unknown),
      cmocka_unit_test(a_first_evaluation_may_be_below_the_start),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
