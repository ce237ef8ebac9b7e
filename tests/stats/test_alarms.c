/* How often `flipbench compare` and `flipbench regress` are wrong, by simulation: false alarms on
 * measurements of one program, and slow-downs that were planted. Noise is 1 % a round (compare)
 * and 1 % a commit (regress); "disturbed" makes one value in twenty up to 30 % slower. */
#include "support/test.h"

#include <math.h>

#include "base/rng.h"
#include "stats/levels.h"
#include "stats/ratio.h"

enum { EXPERIMENTS = 200, MOST = 32 };

typedef enum { QUIET, DISTURBED, NOISE_KINDS } noise_kind;

static double measured(rng *r, noise_kind kind) {
  double value = 1000 * (1 + 0.01 * rng_normal(r));
  if (kind == DISTURBED && rng_double(r) < 0.05) value *= 1 - 0.3 * rng_double(r);
  return value;
}

/* Comparisons, of 200, that show a difference. */
static int differing(size_t rounds, double ratio, noise_kind kind, uint64_t seed) {
  int found = 0;
  for (uint64_t e = 0; e < EXPERIMENTS; e++) {
    double a[MOST], b[MOST];
    stats_ratio_result result;
    rng r = rng_at(seed, RNG_TEST, e, rounds);
    for (size_t i = 0; i < rounds; i++) {
      a[i] = measured(&r, kind);
      b[i] = ratio * measured(&r, kind);
    }
    assert_ok(stats_ratio(a, b, rounds, &result));
    found += ratio < 1 ? result.high < 1 : result.low > 1 || result.high < 1;
  }
  return found;
}

static void compare_alarms_in_at_most_five_percent(void **state) {
  (void)state;
  static const size_t rounds[] = {5, 6, 8, 10, 16};
  for (size_t i = 0; i < sizeof rounds / sizeof *rounds; i++)
    for (noise_kind kind = QUIET; kind < NOISE_KINDS; kind++) {
      int alarms = differing(rounds[i], 1, kind, 1);
      if (alarms > EXPERIMENTS / 20) fail_msg("%d of 200 at %zu rounds", alarms, rounds[i]);
    }
}

/* The interval is one of 98 %: over 2,000 experiments it covers 97 to 99 (quiet), at least 97. */
static void compare_intervals_have_their_stated_coverage(void **state) {
  (void)state;
  static const size_t rounds[] = {5, 8, 12};
  for (size_t i = 0; i < sizeof rounds / sizeof *rounds; i++) {
    int missed = 0;
    for (uint64_t seed = 10; seed < 20; seed++) missed += differing(rounds[i], 1, QUIET, seed);
    if (missed < 15 || missed > 66) fail_msg("%d of 2000 at %zu rounds", missed, rounds[i]);
  }
}

static void compare_finds_five_percent(void **state) {
  (void)state;
  assert_true(differing(5, 0.95, QUIET, 2) >= 190);
  assert_true(differing(8, 0.95, QUIET, 2) >= 195);
  assert_true(differing(16, 0.95, DISTURBED, 2) >= 190);
}

typedef struct {
  int fine, worse, unsure;
} verdicts;

/* Series of `commits`, of which the newest `slow` have `ratio` of the others' rate. */
static verdicts judged(size_t commits, size_t slow, double ratio, double least, noise_kind kind) {
  verdicts v = {0, 0, 0};
  for (uint64_t e = 0; e < EXPERIMENTS; e++) {
    double values[MOST];
    series_levels l;
    const verdict_options how = {.least = least, .level = 0.03};
    rng r = rng_at(3, RNG_TEST, e, commits);
    for (size_t i = 0; i < commits; i++)
      values[i] = measured(&r, kind) * (i + slow >= commits ? ratio : 1);
    assert_ok(levels_find(values, commits, how.level, &l));
    verdict_kind kind_found = levels_judge(&l, &how).kind;
    v.fine += kind_found == VERDICT_FINE;
    v.worse += kind_found == VERDICT_WORSE;
    v.unsure += kind_found == VERDICT_UNSURE;
    levels_free(&l);
  }
  return v;
}

static void regress_alarms_in_at_most_five_percent(void **state) {
  (void)state;
  static const size_t commits[] = {6, 8, 12, 30};
  for (size_t i = 0; i < sizeof commits / sizeof *commits; i++)
    for (noise_kind kind = QUIET; kind < NOISE_KINDS; kind++) {
      verdicts v = judged(commits[i], 0, 1, 0.02, kind);
      if (v.worse > EXPERIMENTS / 20) fail_msg("%d of 200 of %zu commits", v.worse, commits[i]);
    }
}

static void regress_finds_five_percent_and_never_calls_it_fine(void **state) {
  (void)state;
  static const size_t commits[] = {6, 8, 10, 12, 30};
  for (size_t i = 0; i < sizeof commits / sizeof *commits; i++) {
    verdicts v = judged(commits[i], 3, 0.95, 0.02, QUIET);
    if (v.worse < 190 || v.fine > 0)
      fail_msg("%zu commits: %d found, %d fine", commits[i], v.worse, v.fine);
    v = judged(commits[i], 3, 0.95, 0.02, DISTURBED);
    if (v.fine > 2) fail_msg("%zu commits, disturbed: %d fine", commits[i], v.fine);
    for (size_t newest = 1; newest < 3; newest++) { /* no level yet: cannot be told, mostly */
      v = judged(commits[i], newest, 0.93, 0.02, QUIET);
      if (v.fine > 10) fail_msg("%zu newest of %zu: %d fine", newest, commits[i], v.fine);
    }
  }
}

/* A change of exactly what was asked for is called fine in at most 5 % (95 % confidence). */
static void fine_means_that_a_change_is_ruled_out(void **state) {
  (void)state;
  assert_true(judged(10, 3, 0.95, 0.05, QUIET).fine <= 16); /* 10 expected; more than 16: 2 % */
  assert_true(judged(30, 9, 0.95, 0.05, QUIET).fine <= 16);
  assert_true(judged(10, 0, 1, 0.05, QUIET).fine >= 190); /* and does not come seldom */
  assert_true(judged(30, 0, 1, 0.02, QUIET).fine >= 150);
}

/* Of 200 series whose newest level, the best, has `newest` values, those that are fine; the last
 * three of them have `ratio` of the others' rate. */
static int fine_with_short_level(size_t newest, double ratio) {
  int fine = 0;
  for (uint64_t e = 0; e < EXPERIMENTS; e++) {
    double values[MOST];
    series_levels l;
    const verdict_options how = {.least = 0.05, .level = 0.03};
    const size_t before = 8, count = before + newest;
    rng r = rng_at(4, RNG_TEST, e, count);
    for (size_t i = 0; i < count; i++)
      values[i] = measured(&r, QUIET) * (i < before ? 0.8 : i + 3 < count ? 1 : ratio);
    assert_ok(levels_find(values, count, how.level, &l));
    fine += levels_judge(&l, &how).kind == VERDICT_FINE;
    levels_free(&l);
  }
  return fine;
}

/* A level of five cannot be divided into parts of three, so its own noise decides. */
static void a_short_newest_level_is_fine_only_when_a_change_is_ruled_out(void **state) {
  (void)state;
  assert_true(fine_with_short_level(5, 0.95) <= 16); /* the limit as above */
  assert_true(fine_with_short_level(5, 1) >= 180);
}

/* ---- series without noise, or with given values ---- */

static series_verdict verdict_of(const double *values, size_t count) {
  series_levels l;
  const verdict_options how = {.least = 0.02, .level = 0.03};
  assert_ok(levels_find(values, count, how.level, &l));
  series_verdict v = levels_judge(&l, &how);
  levels_free(&l);
  return v;
}

static void a_clean_step_of_five_percent_is_a_regression_from_six_commits_on(void **state) {
  (void)state;
  for (size_t count = 6; count <= 20; count++) {
    double values[20];
    for (size_t i = 0; i < count; i++) values[i] = i + 3 < count ? 1000 : 950;
    series_verdict v = verdict_of(values, count);
    assert_int_equal(v.kind, VERDICT_WORSE);
    assert_int_equal(v.since, count - 3);
    assert_true(fabs(v.change + 0.05) < 1e-12);
  }
}

/* Four steps of -1.5 %, each below --least, of `length` commits. */
static void gradual_change_is_measured_against_the_best_level(void **state) {
  (void)state;
  for (size_t length = 1; length <= 4; length++)
    for (size_t before = 3; before <= 12; before += 3) {
      double values[MOST];
      size_t count = 0;
      for (size_t i = 0; i < before; i++) values[count++] = 1000;
      for (int step = 1; step <= 4; step++)
        for (size_t i = 0; i < length; i++) values[count++] = 1000 * pow(0.985, step);
      series_verdict v = verdict_of(values, count);
      if (v.kind != VERDICT_WORSE)
        fail_msg("%zu commits, then 4 × %zu: %d, bound %g", before, length, v.kind, v.bound);
      assert_true(v.change < -0.02);
    }
  double falling[8];
  for (int i = 0; i < 8; i++) falling[i] = 1000 * pow(0.99, i);
  assert_int_equal(verdict_of(falling, 8).kind, VERDICT_WORSE);
}

static void a_small_recovery_does_not_excuse_a_slow_down(void **state) {
  (void)state;
  static const double after[][2] = {{900, 909}, {800, 830}};
  for (size_t k = 0; k < 2; k++)
    for (size_t length = 3; length <= 6; length++) {
      double values[24];
      for (size_t i = 0; i < 3 * length; i++)
        values[i] = i < length ? 1000 : after[k][i >= 2 * length];
      series_verdict v = verdict_of(values, 3 * length);
      assert_int_equal(v.kind, VERDICT_WORSE);
      assert_true(fabs(v.change - (after[k][1] / 1000 - 1)) < 1e-9);
      assert_int_equal(v.steps, 2);
    }
}

static void what_became_faster_or_recovered_is_fine(void **state) {
  (void)state;
  double values[12];
  for (size_t i = 0; i < 12; i++) values[i] = i < 6 ? 1000 : 1100;
  assert_int_equal(verdict_of(values, 12).kind, VERDICT_FINE);
  for (size_t i = 0; i < 12; i++) values[i] = i >= 4 && i < 8 ? 900 : 1000;
  assert_int_equal(verdict_of(values, 12).kind, VERDICT_FINE);
  for (size_t i = 0; i < 12; i++) values[i] = 1000;
  assert_int_equal(verdict_of(values, 12).kind, VERDICT_FINE);
  assert_int_equal(verdict_of(values, 5).kind, VERDICT_UNSURE);
}

static void a_short_newest_level_has_a_bound(void **state) {
  (void)state;
  static const double noisy[] = {1300, 1180, 1240, 1190, 1100};
  for (size_t newest = 3; newest <= 5; newest++) {
    double values[13];
    for (size_t i = 0; i < 8 + newest; i++)
      values[i] = i < 8 ? 1000 + (double)(i % 3) : noisy[i - 8];
    series_verdict v = verdict_of(values, 8 + newest);
    assert_int_equal(v.kind, VERDICT_UNSURE);
    assert_int_equal(v.reason, VERDICT_BY_BOUND);
    assert_true(v.bound > 0.05 && v.bound < 0.5);
    for (size_t i = 8; i < 8 + newest; i++) values[i] = 1200 + (double)(i % 2);
    v = verdict_of(values, 8 + newest);
    assert_int_equal(v.kind, VERDICT_FINE);
    assert_true(v.bound > 0 && v.bound < 0.01);
  }
}

static void an_outlying_newest_commit_is_not_fine(void **state) {
  (void)state;
  double values[12];
  for (size_t i = 0; i < 12; i++) values[i] = 1000 + (double)(i % 3);
  values[11] = 900;
  series_verdict v = verdict_of(values, 12);
  assert_int_equal(v.kind, VERDICT_UNSURE);
  assert_int_equal(v.reason, VERDICT_BY_NEWEST);
  values[10] = 905;
  assert_int_not_equal(verdict_of(values, 12).kind, VERDICT_FINE);
  values[10] = 1000;
  values[11] = 1001;
  values[5] = 900; /* an old one is set aside */
  assert_int_equal(verdict_of(values, 12).kind, VERDICT_FINE);
}

/* What is excluded from the levels is no part of the newest commits either. */
static void an_outlier_just_before_the_newest_commit_hides_nothing(void **state) {
  (void)state;
  double values[12];
  for (size_t i = 0; i < 12; i++) values[i] = 1000 + (double)(i % 3);
  values[10] = 800;
  assert_int_equal(verdict_of(values, 12).kind, VERDICT_FINE);
  values[11] = 900; /* two that are worse are no outliers */
  assert_int_equal(verdict_of(values, 12).reason, VERDICT_BY_NEWEST);
}

/* Levels of 1000, 1100 and 1050, of four commits each. */
static void a_requested_reference_is_the_level_that_it_is_in(void **state) {
  (void)state;
  double values[12];
  series_levels l;
  verdict_options how = {.least = 0.02, .level = 0.03};
  for (size_t i = 0; i < 12; i++) values[i] = i < 4 ? 1000 : i < 8 ? 1100 : 1050;
  assert_ok(levels_find(values, 12, how.level, &l));
  assert_int_equal(l.level_count, 3);
  for (size_t i = 0; i < 12; i++) assert_int_equal(levels_of(&l, i), i / 4);
  series_verdict v = levels_judge(&l, &how); /* the best */
  assert_int_equal(v.kind, VERDICT_WORSE);
  assert_int_equal(v.reference, 1);
  how.has_reference = true;
  for (how.reference = 0; how.reference < 12; how.reference++) {
    v = levels_judge(&l, &how);
    assert_int_equal(v.reference, how.reference / 4);
    assert_int_equal(v.kind, how.reference / 4 == 1 ? VERDICT_WORSE : VERDICT_FINE);
    if (v.kind != VERDICT_WORSE) continue;
    assert_true(fabs(v.change - (1050. / 1100 - 1)) < 1e-12);
    assert_int_equal(v.since, 8);
    assert_int_equal(v.steps, 1);
  }
  levels_free(&l);
}

static void of_times_more_is_worse(void **state) {
  (void)state;
  for (int is_more = 0; is_more < 2; is_more++) {
    double values[12];
    series_levels l;
    const verdict_options how = {.least = 0.02, .level = 0.03, .is_lower_better = true};
    for (size_t i = 0; i < 12; i++) values[i] = i < 6 ? 1000 : is_more ? 1050 : 950;
    assert_ok(levels_find(values, 12, how.level, &l));
    series_verdict v = levels_judge(&l, &how);
    assert_int_equal(v.kind, is_more ? VERDICT_WORSE : VERDICT_FINE);
    if (is_more) assert_true(fabs(v.change - 0.05) < 1e-12);
    levels_free(&l);
  }
}

/* Neighbours are 1 apart, so the deviation is 1 / (0.6745 sqrt(2)) = 1.0484, and six are 6.29. */
static void an_outlier_is_six_deviations_from_its_neighbours(void **state) {
  (void)state;
  for (int is_far = 0; is_far < 2; is_far++) {
    double values[20];
    series_levels l;
    for (size_t i = 0; i < 20; i++) values[i] = 1000 + (double)(i % 2);
    values[10] = 1001 + (is_far ? 6.4 : 6.2);
    assert_ok(levels_find(values, 20, 0.03, &l));
    assert_int_equal(l.aside, is_far);
    assert_int_equal(l.is_aside[10], is_far);
    levels_free(&l);
  }
}

static void assert_near(double value, double wanted) {
  if (!(fabs(value - wanted) <= 1e-9)) fail_msg("%.12g is not %.12g", value, wanted);
}

/* Student's tails in closed form (Abramowitz and Stegun 26.7.3, 26.7.4). */
static double tail_of_4(double t) {
  double angle = atan(t / 2);
  return 1 - sin(angle) * (1 + pow(cos(angle), 2) / 2);
}

static double tail_of_5(double t) {
  double angle = atan(t / sqrt(5)), cosine = cos(angle);
  return 1 - 2 / 3.14159265358979323846 *
                 (angle + sin(angle) * (cosine + 2 / 3. * cosine * cosine * cosine));
}

/* 100, 102, 98 and 100, 104, 96: equal means, squares of 8 and 32 about them. A loss since the last
 * value is seen against the five before it, of mean 100.8 with squares of 20.8. */
static void bounds_are_those_of_a_hand_computation(void **state) {
  (void)state;
  const double values[] = {100, 102, 98, 100, 104, 96};
  const double t_of_90 = 2.1318467863, t_of_97 = 3.2976297; /* two-sided, 4 degrees */
  series_verdict v = verdict_of(values, 6);
  assert_int_equal(v.kind, VERDICT_UNSURE);
  assert_int_equal(v.reason, VERDICT_BY_BOUND);
  assert_near(tail_of_4(t_of_90), 0.10);
  assert_near(v.bound, t_of_90 * sqrt(40 / 4. * (1 / 3. + 1 / 3.)) / 100);
  assert_true(fabs(tail_of_4(t_of_97) - 0.03) < 1e-8);
  assert_true(fabs(v.unseen - t_of_97 * sqrt(20.8 / 4 * (1 / 5. + 1)) / 100.8) < 1e-7);
  assert_near(v.change, 0);
}

static void a_slower_level_is_as_likely_as_by_hand(void **state) {
  (void)state;
  const double values[] = {100, 102, 98, 90, 91, 89}; /* squares of 8 and 2 */
  series_verdict v = verdict_of(values, 6);
  assert_int_equal(v.reason, VERDICT_BY_LEVEL);
  assert_near(v.change, -0.1);
  assert_near(v.p, tail_of_4(10 / sqrt(10 / 4. * (1 / 3. + 1 / 3.))));
  assert_int_equal(v.since, 3);
}

/* The line 100 - 1.2 x, with residuals 0, 0.2, -0.6, 0.6, -0.2, 0. */
static void a_trend_is_as_likely_as_by_hand(void **state) {
  (void)state;
  const double values[] = {100, 99, 97, 97, 95, 94};
  series_verdict v = verdict_of(values, 6);
  assert_int_equal(v.kind, VERDICT_WORSE);
  assert_int_equal(v.reason, VERDICT_BY_TREND);
  assert_near(v.change, -0.06);
  assert_near(v.p, tail_of_4(1.2 / sqrt(0.8 / 4 / 17.5)));
  assert_int_equal(v.since, 0);
}

/* Six of mean 100 with squares of 10, then 90. */
static void a_newest_commit_is_as_likely_as_by_hand(void **state) {
  (void)state;
  const double values[] = {100, 102, 98, 100, 101, 99, 90};
  series_verdict v = verdict_of(values, 7);
  assert_int_equal(v.kind, VERDICT_UNSURE);
  assert_int_equal(v.reason, VERDICT_BY_NEWEST);
  assert_near(v.change, -0.1);
  assert_near(v.p, tail_of_5(10 / sqrt(10 / 5. * (1 / 6. + 1))));
  assert_int_equal(v.since, 6);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(compare_alarms_in_at_most_five_percent),
      cmocka_unit_test(compare_intervals_have_their_stated_coverage),
      cmocka_unit_test(compare_finds_five_percent),
      cmocka_unit_test(regress_alarms_in_at_most_five_percent),
      cmocka_unit_test(regress_finds_five_percent_and_never_calls_it_fine),
      cmocka_unit_test(fine_means_that_a_change_is_ruled_out),
      cmocka_unit_test(a_short_newest_level_is_fine_only_when_a_change_is_ruled_out),
      cmocka_unit_test(a_clean_step_of_five_percent_is_a_regression_from_six_commits_on),
      cmocka_unit_test(gradual_change_is_measured_against_the_best_level),
      cmocka_unit_test(a_small_recovery_does_not_excuse_a_slow_down),
      cmocka_unit_test(what_became_faster_or_recovered_is_fine),
      cmocka_unit_test(a_short_newest_level_has_a_bound),
      cmocka_unit_test(an_outlying_newest_commit_is_not_fine),
      cmocka_unit_test(an_outlier_just_before_the_newest_commit_hides_nothing),
      cmocka_unit_test(a_requested_reference_is_the_level_that_it_is_in),
      cmocka_unit_test(of_times_more_is_worse),
      cmocka_unit_test(an_outlier_is_six_deviations_from_its_neighbours),
      cmocka_unit_test(bounds_are_those_of_a_hand_computation),
      cmocka_unit_test(a_slower_level_is_as_likely_as_by_hand),
      cmocka_unit_test(a_trend_is_as_likely_as_by_hand),
      cmocka_unit_test(a_newest_commit_is_as_likely_as_by_hand),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
