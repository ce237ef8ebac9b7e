#include "support/test.h"

#include <math.h>

#include "stats/curve.h"
#include "stats/summary.h"

static void assert_near(double value, double wanted, double tolerance) {
  if (!(fabs(value - wanted) <= tolerance)) fail_msg("%.10g is not %.10g", value, wanted);
}

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
  assert_near(stats_t95(1), 12.706, 5e-4);
  assert_near(stats_t95(2), 4.303, 5e-4);
  assert_near(stats_t95(11), 2.201, 5e-4);
  assert_near(stats_t95(30), 2.042, 5e-4);
  assert_near(stats_t95(1000000), 1.960, 5e-4);
}

static double mean_of_chosen(const size_t *chosen, size_t count, void *context) {
  const double *values = context;
  double sum = 0;
  for (size_t i = 0; i < count; i++) sum += values[chosen[i]];
  return sum / (double)count;
}

static void a_bootstrap_interval_covers_the_mean_and_repeats_itself(void **state) {
  (void)state;
  double values[50], low, high, low2, high2;
  for (int i = 0; i < 50; i++) values[i] = i; /* mean 24.5, standard error 2.04 */
  assert_ok(stats_bootstrap(50, 2000, 1, mean_of_chosen, values, &low, &high));
  assert_true(low < 24.5 && 24.5 < high);
  assert_near(high - low, 2 * 1.96 * 2.04, 0.6); /* the normal approximation, loosely */
  assert_ok(stats_bootstrap(50, 2000, 1, mean_of_chosen, values, &low2, &high2));
  assert_true(low == low2 && high == high2);
}

static void a_curve_reaches_an_accuracy_on_the_line_between_two_points(void **state) {
  (void)state;
  curve_point points[] = {{10, 0.2}, {20, 0.4}, {30, 0.3}, {40, 0.5}};
  accuracy_curve c = {points, 4};
  assert_near(curve_best(&c), 0.5, 0);
  assert_near(curve_time_to(&c, 0.1), 5, 1e-12); /* from (0, 0) */
  assert_near(curve_time_to(&c, 0.3), 15, 1e-12);
  assert_near(curve_time_to(&c, 0.4), 20, 1e-12);
  /* the dip at 30 does not lower the envelope: from (30, 0.4) to (40, 0.5) */
  assert_near(curve_time_to(&c, 0.45), 35, 1e-12);
  assert_true(isnan(curve_time_to(&c, 0.51)));
}

static void the_speedup_is_taken_at_the_highest_accuracy_that_both_reach(void **state) {
  (void)state;
  curve_point slow[] = {{100, 0.3}, {200, 0.5}}, fast[] = {{20, 0.2}, {40, 0.4}};
  accuracy_curve baseline = {slow, 2}, own = {fast, 2}, none = {NULL, 0};
  curve_iso iso = curve_compare(&baseline, &own);
  assert_near(iso.accuracy, 0.4, 0);
  assert_near(iso.baseline_seconds, 150, 1e-12);
  assert_near(iso.seconds, 40, 1e-12);
  assert_near(iso.speedup, 3.75, 1e-12);
  assert_true(isnan(curve_compare(&baseline, &none).speedup));
  assert_near(curve_compare(&baseline, &baseline).speedup, 1, 1e-15);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(medians_and_quantiles_interpolate_between_order_statistics),
      cmocka_unit_test(the_t_interval_is_that_of_a_hand_computation),
      cmocka_unit_test(t_quantiles_agree_with_printed_tables),
      cmocka_unit_test(a_bootstrap_interval_covers_the_mean_and_repeats_itself),
      cmocka_unit_test(a_curve_reaches_an_accuracy_on_the_line_between_two_points),
      cmocka_unit_test(the_speedup_is_taken_at_the_highest_accuracy_that_both_reach),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
