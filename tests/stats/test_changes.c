/* Changes of level in a series. */
#include "numbers.h"

#include <stdlib.h>

#include "stats/changes.h"

static const change_options usual = {3, 999, 0.01, 0};

static void a_changed_level_is_found_where_it_changed(void **state) {
  (void)state;
  double values[40];
  change_point *points;
  size_t count;
  make_series(values, 40, 25, -5, 1);
  assert_ok(stats_changes(values, 40, &usual, &points, &count));
  assert_int_equal(count, 1);
  assert_int_equal(points[0].at, 25); /* five deviations: no other split is as good */
  assert_true(points[0].p <= 0.01);
  free(points);
  for (size_t i = 10; i < 40; i++) values[i] += 8; /* a second change, in the other direction */
  assert_ok(stats_changes(values, 40, &usual, &points, &count));
  assert_int_equal(count, 2);
  assert_int_equal(points[0].at, 10);
  assert_int_equal(points[1].at, 25);
  free(points);
}

static void noise_and_a_single_outlier_are_no_change(void **state) {
  (void)state;
  size_t false_alarms = 0;
  for (uint64_t seed = 0; seed < 100; seed++) {
    double values[30];
    change_point *points;
    size_t count;
    make_series(values, 30, 30, 0, seed);
    if (seed % 2) values[15] += 20;
    assert_ok(stats_changes(values, 30, &usual, &points, &count));
    false_alarms += count > 0;
    free(points);
  }
  assert_true(false_alarms <= 4); /* 1 expected at level 0.01; 5 or more has probability 0.003 */
}

/* Before, a permutation test could not tell from fewer than 14: 199 shuffles and p at most 0.01. */
static void a_clean_step_is_found_from_six_points_on(void **state) {
  (void)state;
  for (size_t count = 6; count <= 14; count++) {
    double values[14];
    change_point *points;
    size_t found;
    for (size_t i = 0; i < count; i++) values[i] = i + 3 < count ? 1000 : 950;
    assert_ok(stats_changes(values, count, &usual, &points, &found));
    assert_int_equal(found, 1);
    assert_int_equal(points[0].at, count - 3);
    free(points);
  }
}

static void a_short_bump_between_two_equal_levels_is_found(void **state) {
  (void)state;
  double values[20];
  change_point *points;
  size_t count;
  make_series(values, 20, 8, -8, 5);
  for (size_t i = 12; i < 20; i++) values[i] += 8;
  assert_ok(stats_changes(values, 20, &usual, &points, &count));
  assert_int_equal(count, 2);
  assert_int_equal(points[0].at, 8);
  assert_int_equal(points[1].at, 12);
  free(points);
}

/* 1000, then 1300 and 1400: the first change divides the series best, the other its second part;
 * and the same backwards. */
static void a_change_within_either_part_is_found_where_it_is(void **state) {
  (void)state;
  double values[18];
  change_point *points;
  size_t count;
  for (size_t i = 0; i < 18; i++) values[i] = i < 6 ? 1000 : i < 10 ? 1300 : 1400;
  assert_ok(stats_changes(values, 18, &usual, &points, &count));
  assert_int_equal(count, 2);
  assert_int_equal(points[0].at, 6);
  assert_int_equal(points[1].at, 10);
  free(points);
  for (size_t i = 0; i < 18; i++) values[i] = i < 8 ? 1400 : i < 12 ? 1300 : 1000;
  assert_ok(stats_changes(values, 18, &usual, &points, &count));
  assert_int_equal(count, 2);
  assert_int_equal(points[0].at, 8);
  assert_int_equal(points[1].at, 12);
  free(points);
}

/* Student's tails in closed form (Abramowitz and Stegun 26.7.3, 26.7.4), once for the only division
 * of six values and twice for the two of seven. */
static void the_p_value_of_a_change_is_that_of_a_hand_computation(void **state) {
  (void)state;
  const double values[] = {1, 2, 3, 11, 12, 13, 12}, pi = 3.14159265358979323846;
  change_point *points;
  size_t count;
  assert_ok(stats_changes(values, 6, &usual, &points, &count));
  assert_int_equal(count, 1);
  double angle = atan(10 / sqrt(4 / 4. * (1 / 3. + 1 / 3.)) / sqrt(4));
  assert_near(points[0].p / (1 - sin(angle) * (1 + pow(cos(angle), 2) / 2)), 1, 1e-6);
  free(points);
  assert_ok(stats_changes(values, 7, &usual, &points, &count));
  assert_int_equal(count, 1);
  angle = atan(10 / sqrt(4 / 5. * (1 / 3. + 1 / 4.)) / sqrt(5));
  double within = 2 / pi * (angle + sin(angle) * (cos(angle) + 2 / 3. * pow(cos(angle), 3)));
  assert_near(points[0].p / (2 * (1 - within)), 1, 1e-6);
  free(points);
}

/* What lies behind a section is no noise of its edges. */
static void a_bump_of_three_has_both_its_edges(void **state) {
  (void)state;
  const double values[] = {1000, 1000, 1000, 1100, 1100, 1100, 1000, 1000, 1000};
  change_point *points;
  size_t count;
  assert_ok(stats_changes(values, 9, &usual, &points, &count));
  assert_int_equal(count, 2);
  assert_int_equal(points[0].at, 3);
  assert_int_equal(points[1].at, 6);
  free(points);
}

/* 110 is above 100 without doubt. Against what follows, 7.2 less with deviations of 2, its t is 7.2
 * / sqrt(16 / 4 (1 / 3 + 1 / 3)) = 4.41, which 4 degrees exceed in more than 1 %: no second change.
 */
static void an_edge_within_the_noise_is_no_change(void **state) {
  (void)state;
  const double values[] = {99.5, 100.5, 99.5, 100.5, 99.5,  100.5,
                           108,  110,   112,  100.8, 102.8, 104.8};
  change_point *points;
  size_t count;
  assert_ok(stats_changes(values, 12, &usual, &points, &count));
  assert_int_equal(count, 1);
  assert_int_equal(points[0].at, 6);
  free(points);
}

static void too_short_a_series_has_no_change(void **state) {
  (void)state;
  const double values[] = {1, 1, 1, 9, 9};
  change_point *points;
  size_t count;
  assert_ok(stats_changes(values, 5, &usual, &points, &count));
  assert_int_equal(count, 0);
  free(points);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_changed_level_is_found_where_it_changed),
      cmocka_unit_test(noise_and_a_single_outlier_are_no_change),
      cmocka_unit_test(a_change_within_either_part_is_found_where_it_is),
      cmocka_unit_test(the_p_value_of_a_change_is_that_of_a_hand_computation),
      cmocka_unit_test(a_bump_of_three_has_both_its_edges),
      cmocka_unit_test(an_edge_within_the_noise_is_no_change),
      cmocka_unit_test(too_short_a_series_has_no_change),
      cmocka_unit_test(a_clean_step_is_found_from_six_points_on),
      cmocka_unit_test(a_short_bump_between_two_equal_levels_is_found),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
