#include "support/test.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/pace.h"

/* Two threads on two CPUs: that is what the numbers below are made for. */
enum { THREADS = 2, CPUS = 2 };

/* A quiet row: both CPUs computed, nobody waited. */
static pace_row quiet(int64_t process, int64_t steps, double seconds) {
  return (pace_row){process, steps, seconds, 2 * seconds, 0, 0, 0, {0}};
}

static pace measured(const pace_row *rows, size_t count) {
  pace p;
  assert_ok(pace_of(rows, count, THREADS, CPUS, &p));
  return p;
}

static void assert_near(double value, double wanted) {
  if (!(fabs(value - wanted) <= 1e-9 * fmax(1, fabs(wanted))))
    fail_msg("%.12g is not %.12g", value, wanted);
}

static void no_rows_have_no_pace(void **state) {
  (void)state;
  pace p = measured(NULL, 0);
  assert_true(p.steps == 0 && p.train_seconds == 0 && p.steady_step_seconds == 0);
  assert_false(p.is_disturbed || p.has_undisturbed);
}

static void the_median_after_warm_up_is_the_pace(void **state) {
  (void)state;
  /* 11 rows: ceil(11 / 10) = 2 are skipped; of the nine left the fifth is the median. */
  static const double seconds[11] = {9, 8, 5, 1, 4, 2, 3, 7, 6, 8, 9};
  pace_row rows[11];
  for (size_t i = 0; i < 11; i++) rows[i] = quiet(1, 1, seconds[i]);
  pace p = measured(rows, 11);
  assert_int_equal(p.steps, 11);
  assert_near(p.train_seconds, 62);
  assert_near(p.steady_step_seconds, 5);
  /* P(Binomial(9, 1/2) < 2) = 10/512 = 2.0 %, < 3: 9.0 %: the second and the eighth of nine */
  assert_near(p.steady_low, 2);
  assert_near(p.steady_high, 8);
  assert_true(p.has_undisturbed);
  assert_false(p.is_disturbed);
  assert_near(p.lost_share, 0);
}

static void each_process_has_its_own_warm_up(void **state) {
  (void)state;
  /* ten rows each: the first of each is skipped. The resumed run loses the same rows as two runs */
  pace_row rows[20];
  for (size_t i = 0; i < 20; i++) rows[i] = quiet(i < 10 ? 4 : 9, 1, i % 10 == 0 ? 100 : 2);
  pace p = measured(rows, 20);
  assert_near(p.steady_step_seconds, 2);
  assert_near(p.steady_high, 2);
  assert_near(p.train_seconds, 236);
}

static void at_most_twenty_rows_are_warm_up(void **state) {
  (void)state;
  pace_row rows[300];
  for (size_t i = 0; i < 300; i++) rows[i] = quiet(1, 1, i < 20 ? 9 : i < 30 ? 3 : 1);
  pace p = measured(rows, 300);
  /* blocks of 28 rows of the 280: the first block's median is 1 too (10 of 28 rows are 3) */
  assert_near(p.steady_step_seconds, 1);
  assert_near(p.steady_low, 1);
  assert_near(p.steady_high, 1);
}

static void one_row_is_not_skipped(void **state) {
  (void)state;
  pace_row row = quiet(1, 4, 2);
  pace p = measured(&row, 1);
  assert_near(p.steady_step_seconds, 0.5);
  assert_true(isnan(p.steady_low) && isnan(p.steady_high)); /* it shows no variation */
  assert_int_equal(p.steps, 4);
  /* a second process of one row: the first process's steady rows remain, so it is skipped */
  pace_row more[12];
  for (size_t i = 0; i < 11; i++) more[i] = quiet(1, 1, 1);
  more[11] = quiet(2, 1, 50);
  assert_near(measured(more, 12).steady_high, 1);
}

/* The extremes of fewer than six rows enclose the median with less than 95 %. */
static void few_rows_have_students_interval(void **state) {
  (void)state;
  const pace_row rows[] = {quiet(1, 1, 9), quiet(1, 1, 8), quiet(1, 1, 7), quiet(1, 1, 9),
                           quiet(1, 1, 7), quiet(1, 1, 9), quiet(1, 1, 8)};
  pace p = measured(rows, 4); /* the first is skipped: 8, 7, 9 */
  assert_near(p.steady_step_seconds, 8);
  assert_near(p.steady_high, 8 + 4.303 / sqrt(3));
  assert_near(p.steady_low, 8 - 4.303 / sqrt(3));
  p = measured(rows, 5); /* 8, 7, 9, 7: a mean of 7.75, squares of 2.75 */
  assert_near(p.steady_step_seconds, 7.5);
  assert_near(p.steady_high, 7.5 + 3.182 * sqrt(2.75 / 12));
  p = measured(rows, 6); /* and 9 */
  assert_near(p.steady_step_seconds, 8);
  assert_near(p.steady_high, 8 + 2.776 * sqrt(4. / 20));
  p = measured(rows, 2);
  assert_true(isnan(p.steady_low) && isnan(p.steady_high));
  p = measured(rows, 7); /* of six the extremes: 96.9 % */
  assert_near(p.steady_low, 7);
  assert_near(p.steady_high, 9);
}

/* P(Binomial(8, 1/2) < 2) = 9/256 = 3.5 %: the second and the seventh enclose it with 93 %. */
static void of_eight_rows_only_the_extremes_enclose_the_median(void **state) {
  (void)state;
  pace_row rows[9] = {quiet(1, 1, 20)};
  for (size_t i = 1; i < 9; i++) rows[i] = quiet(1, 1, (double)i);
  pace p = measured(rows, 9);
  assert_near(p.steady_step_seconds, 4.5);
  assert_near(p.steady_low, 1);
  assert_near(p.steady_high, 8);
}

static void rows_weigh_as_many_steps_as_they_cover(void **state) {
  (void)state;
  pace_row rows[4] = {quiet(1, 1, 9), quiet(1, 1, 1), quiet(1, 10, 20), quiet(1, 2, 6)};
  /* after the first: one step of 1 s, ten of 2 s, two of 3 s */
  assert_near(measured(rows, 4).steady_step_seconds, 2);
  rows[2] = quiet(1, 3, 6); /* 1, 2 2 2, 3 3: half of six steps are below 2.0 inclusive of four */
  assert_near(measured(rows, 4).steady_step_seconds, 2);
  rows[2] = quiet(1, 1, 2); /* 1, 2 | 3 3: between 2 and 3 */
  assert_near(measured(rows, 4).steady_step_seconds, 2.5);
}

/* Rows of 1, 1 and 4 s in turn, merged by twos until 1/16 is left: all cover 16 steps of about 32
 * s, but the median step takes 1 s. Two thirds of what is drawn are of 1 s. */
static void merged_rows_keep_the_median_step(void **state) {
  (void)state;
  enum { ROWS = 9600 };
  pace_row *rows = mem_zeroed(ROWS, sizeof *rows);
  uint64_t place = 0;
  size_t count = ROWS, fast = 0;
  assert_non_null(rows);
  for (size_t i = 0; i < ROWS; i++) rows[i] = quiet(1, 1, i % 3 == 2 ? 4 : 1);
  pace before = measured(rows, count);
  for (; count > ROWS / 16; count /= 2)
    for (size_t i = 0; i < count / 2; i++)
      rows[i] = pace_merge(&rows[2 * i], &rows[2 * i + 1], place++);
  for (size_t i = 0; i < count; i++) {
    assert_true(rows[i].steps == 16 && rows[i].drawn.steps == 1);
    fast += rows[i].drawn.seconds < 2;
  }
  assert_true(fast > 360 && fast < 440); /* of 600: 400, standard deviation 11.5 */
  pace after = measured(rows, count);
  assert_int_equal(after.steps, ROWS);
  assert_near(after.train_seconds, before.train_seconds);
  assert_near(after.steady_step_seconds, before.steady_step_seconds);
  free(rows);
}

/* A merged row whose drawn step was undisturbed has a time to take; its sums say what was lost. */
static void a_merged_row_is_judged_by_its_drawn_step_and_its_sums(void **state) {
  (void)state;
  pace_row rows[40];
  const pace_row slow = {1, 1, 2, 2, 2, 0, 2, {0}}, fast = quiet(1, 1, 1);
  for (uint64_t i = 0; i < 40; i++) rows[i] = pace_merge(&slow, &fast, i);
  pace p = measured(rows, 40);
  assert_true(p.has_undisturbed && p.is_disturbed);
  assert_near(p.steady_step_seconds, 1);
  assert_near(p.lost_share, 36 / 120.0); /* without the four rows of the warm-up */
}

static void a_varying_pace_has_a_wide_interval(void **state) {
  (void)state;
  /* 200 rows, 20 skipped, blocks of 18 with medians 1, 2, … 10 */
  pace_row rows[200];
  for (size_t i = 0; i < 200; i++) rows[i] = quiet(1, 1, i < 20 ? 1 : 1 + (double)((i - 20) / 18));
  pace p = measured(rows, 200);
  assert_near(p.steady_step_seconds, 5.5);
  double deviation = sqrt(82.5 / 9); /* sum of (b - 5.5)² over 1…10 = 82.5 */
  assert_near(p.steady_high - p.steady_step_seconds, 2.262 * deviation / sqrt(10));
}

static void disturbed_rows_are_left_out_and_their_lost_time_is_reported(void **state) {
  (void)state;
  /* 20 rows: two skipped, 12 quiet ones of 1 s, 6 of 2 s in which both threads waited for 1 s */
  pace_row rows[20];
  for (size_t i = 0; i < 20; i++) rows[i] = quiet(1, 1, 1);
  for (size_t i = 4; i < 10; i++) rows[i] = (pace_row){1, 1, 2, 2, 2, 0, 2, {0}};
  pace p = measured(rows, 20);
  assert_near(p.steady_step_seconds, 1);
  assert_near(p.disturbed_share, 6 / 20.0);
  assert_near(p.lost_share, 6 / 26.0);
  assert_true(p.has_undisturbed && p.is_disturbed);
}

/* One row of 20 lost 1.1 s of 21.1, 5.2 %; or 1 s of 21, 4.8 %. */
static void a_run_is_disturbed_from_a_twentieth_on(void **state) {
  (void)state;
  pace_row rows[20];
  for (size_t i = 0; i < 20; i++) rows[i] = quiet(1, 1, 1);
  rows[9] = (pace_row){1, 1, 2.1, 2, 2, 0, 2, {0}};
  pace p = measured(rows, 20);
  assert_near(p.lost_share, 1.1 / 21.1);
  assert_true(p.is_disturbed);
  rows[9].seconds = 2;
  p = measured(rows, 20);
  assert_near(p.lost_share, 1 / 21.0);
  assert_false(p.is_disturbed);
}

static void without_quiet_rows_the_interval_reaches_down(void **state) {
  (void)state;
  /* every row took 2 s: one thread computed for 1 s of it and waited for 1 s, the other computed
   * for 1 s and slept at the barrier: half of the time is lost */
  pace_row rows[10];
  for (size_t i = 0; i < 10; i++) rows[i] = (pace_row){1, 1, 2, 2, 1, 0, 2, {0}};
  pace p = measured(rows, 10);
  assert_false(p.has_undisturbed);
  assert_true(p.is_disturbed);
  assert_near(p.steady_step_seconds, 2);
  assert_near(p.lost_share, 0.5);
  assert_near(p.steady_low, 1);
  assert_near(p.steady_high, 2);
  assert_near(p.disturbed_share, 1);
}

static void small_delays_are_no_evidence(void **state) {
  (void)state;
  pace_row row = {1, 1, 1, 2, 0.039, 0, 0.3, {0}};
  assert_false(pace_is_row_disturbed(&row, THREADS, CPUS));
  row.delay_seconds = 0.041;
  assert_true(pace_is_row_disturbed(&row, THREADS, CPUS));
}

/* As measured on a quiet machine: the run's own threads are in each other's way. */
static void delays_of_the_runs_own_making_are_no_evidence(void **state) {
  (void)state;
  pace_row row = {1, 1, 1, 1.9, 0.1, 0, 0.09, {0}};
  assert_false(pace_is_row_disturbed(&row, THREADS, CPUS));
  row.other_cpu_seconds = 0.11;
  assert_true(pace_is_row_disturbed(&row, THREADS, CPUS));
  row.other_cpu_seconds = (double)NAN; /* not known: then the delay alone */
  assert_true(pace_is_row_disturbed(&row, THREADS, CPUS));
}

static void one_busy_neighbour_of_many_threads_is_evidence(void **state) {
  (void)state;
  pace_row row = {1, 1, 1, 60, 0.5, 0, 0.6, {0}};
  assert_true(pace_is_row_disturbed(&row, 64, 64));
  row.delay_seconds = 0.09;
  assert_false(pace_is_row_disturbed(&row, 64, 64));
  row.delay_seconds = 0.5, row.other_cpu_seconds = 0.4;
  assert_false(pace_is_row_disturbed(&row, 64, 64));
}

/* Rows of 20 ms: the machine counts in ticks of 10 ms, so that every fourth row shows one of
 * others, 25 % of its two CPUs' time, and the mean is 6 %. */
static void short_rows_are_judged_with_their_neighbours(void **state) {
  (void)state;
  pace_row rows[100];
  for (size_t i = 0; i < 100; i++)
    rows[i] = (pace_row){1, 1, 0.02, 0.037, 0.003, 0, i % 4 == 0 ? 0.01 : 0, {0}};
  assert_near(measured(rows, 100).disturbed_share, 1); /* each waited for 7.5 %, others used 6 % */
  for (size_t i = 0; i < 100; i++) rows[i].other_cpu_seconds = i % 8 == 0 ? 0.01 : 0; /* 3 % */
  assert_near(measured(rows, 100).disturbed_share, 0);
  for (size_t i = 0; i < 100; i++) rows[i].other_cpu_seconds = 0.01, rows[i].delay_seconds = 0;
  rows[50].delay_seconds = 0.01; /* others all the time, and in the way once */
  assert_near(measured(rows, 100).disturbed_share, 0.01);
  /* half a second: four rows, of whose time others used 6 %, in the first of them */
  for (size_t i = 0; i < 100; i++)
    rows[i] = (pace_row){1, 1, 0.125, 0.23, 0.0095, 0, i % 4 == 0 ? 0.06 : 0, {0}};
  assert_near(measured(rows, 100).disturbed_share, 1);
  for (size_t i = 0; i < 100; i++) rows[i].other_cpu_seconds = i % 8 == 0 ? 0.06 : 0;
  assert_near(measured(rows, 100).disturbed_share, 0.52); /* 13 of 25 windows */
}

static void other_load_bounds_the_lost_time(void **state) {
  (void)state;
  /* as above, nothing undisturbed: 0.12 s of waiting a second, others used 0.11 s */
  pace_row rows[10];
  for (size_t i = 0; i < 10; i++) rows[i] = (pace_row){1, 1, 1, 1.6, 0.12, 0, 0.11, {0}};
  pace p = measured(rows, 10);
  assert_near(p.lost_share, 0.11);
  assert_true(p.is_disturbed);
}

/* Two threads and a loader's, each of which computed for 0.2 s of a second and waited for 0.8 s. */
static void time_in_which_the_run_computed_is_not_lost(void **state) {
  (void)state;
  pace_row rows[10];
  for (size_t i = 0; i < 10; i++) rows[i] = (pace_row){1, 1, 1, 0.6, 2.4, 0, 2, {0}};
  pace p = measured(rows, 10);
  assert_near(p.lost_share, 0.8);
  assert_near(p.steady_low, 0.2);
  for (size_t i = 0; i < 10; i++) rows[i].cpu_seconds = (double)NAN;
  assert_near(measured(rows, 10).lost_share, 0.8);
  /* a loader that computed all the time does not hide that the others waited for half of it */
  for (size_t i = 0; i < 10; i++) rows[i] = (pace_row){1, 1, 1, 2, 1, 0, 1, {0}};
  assert_near(measured(rows, 10).lost_share, 1 / 3.0);
}

static void stolen_time_is_evidence(void **state) {
  (void)state;
  pace_row row = {1, 1, 1, 2, 0, 0.039, 0, {0}};
  assert_false(pace_is_row_disturbed(&row, THREADS, CPUS));
  row.stolen_seconds = 0.041;
  assert_true(pace_is_row_disturbed(&row, THREADS, CPUS));
}

static void without_delays_a_full_machine_with_others_is_evidence(void **state) {
  (void)state;
  pace_row row = {1, 1, 1, 1.85, (double)NAN, (double)NAN, 0.09, {0}};
  assert_false(pace_is_row_disturbed(&row, THREADS, CPUS)); /* others have 4.5 % */
  row.other_cpu_seconds = 0.11;
  assert_true(pace_is_row_disturbed(&row, THREADS, CPUS)); /* 5.5 %, 98 % in use */
  row.cpu_seconds = 1.7;
  assert_false(pace_is_row_disturbed(&row, THREADS, CPUS)); /* 90.5 % in use */
}

static void unknown_values_are_not_evidence(void **state) {
  (void)state;
  double none = (double)NAN;
  pace_row rows[3] = {{1, 1, 1, none, none, none, none, {0}},
                      {1, 1, none, 0, 0, 0, 0, {0}},
                      {1, 0, 5, 0, 0, 0, 0, {0}}};
  pace p = measured(rows, 3);
  assert_int_equal(p.steps, 1);
  assert_near(p.steady_step_seconds, 1);
  assert_false(p.is_disturbed);
}

static void a_pace_is_never_zero(void **state) {
  (void)state;
  pace_row rows[3] = {quiet(1, 1, 0), quiet(1, 1, 0), quiet(1, 1, 0)};
  pace p = measured(rows, 3);
  assert_true(p.steady_step_seconds > 0 && p.steady_low > 0 && p.steady_high > 0);
  assert_near(p.lost_share, 0);
}

static void short_memory_is_an_error(void **state) {
  (void)state;
  pace_row row = quiet(1, 1, 1);
  pace p;
  mem_fail_after(1);
  err error = pace_of(&row, 1, THREADS, CPUS, &p);
  mem_fail_after(-1);
  assert_fails_with(error, "out of memory");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(no_rows_have_no_pace),
      cmocka_unit_test(the_median_after_warm_up_is_the_pace),
      cmocka_unit_test(each_process_has_its_own_warm_up),
      cmocka_unit_test(at_most_twenty_rows_are_warm_up),
      cmocka_unit_test(one_row_is_not_skipped),
      cmocka_unit_test(few_rows_have_students_interval),
      cmocka_unit_test(of_eight_rows_only_the_extremes_enclose_the_median),
      cmocka_unit_test(rows_weigh_as_many_steps_as_they_cover),
      cmocka_unit_test(merged_rows_keep_the_median_step),
      cmocka_unit_test(a_merged_row_is_judged_by_its_drawn_step_and_its_sums),
      cmocka_unit_test(a_varying_pace_has_a_wide_interval),
      cmocka_unit_test(disturbed_rows_are_left_out_and_their_lost_time_is_reported),
      cmocka_unit_test(a_run_is_disturbed_from_a_twentieth_on),
      cmocka_unit_test(without_quiet_rows_the_interval_reaches_down),
      cmocka_unit_test(small_delays_are_no_evidence),
      cmocka_unit_test(delays_of_the_runs_own_making_are_no_evidence),
      cmocka_unit_test(one_busy_neighbour_of_many_threads_is_evidence),
      cmocka_unit_test(short_rows_are_judged_with_their_neighbours),
      cmocka_unit_test(other_load_bounds_the_lost_time),
      cmocka_unit_test(time_in_which_the_run_computed_is_not_lost),
      cmocka_unit_test(stolen_time_is_evidence),
      cmocka_unit_test(without_delays_a_full_machine_with_others_is_evidence),
      cmocka_unit_test(unknown_values_are_not_evidence),
      cmocka_unit_test(a_pace_is_never_zero),
      cmocka_unit_test(short_memory_is_an_error),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
