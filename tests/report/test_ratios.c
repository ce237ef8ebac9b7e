/* Ratios, which row is above, curves, and what prevents a comparison. */
#include "report/curves.h"
#include "cells.h"

/* ---- ratios, and which row is above ---- */

static bool is_above(size_t row, const char *name) {
  bool found;
  assert_ok(measure_is_above(&d, row, 1 - row, columns_find(name), &found));
  return found;
}

/* 100 and 120 s in the baseline, 50 and 60 in the other row: the pairs of seeds agree. */
static void a_ratio_is_of_the_row_over_the_baseline(void **state) {
  (void)state;
  data_measure m;
  const double times[CELLS] = {100, 120, 50, 60};
  for (size_t i = 0; i < CELLS; i++) {
    give(i, "steady_seconds", times[i]);
    give(i, "steady_step_seconds", times[i] / 100);
    give(i, "samples_per_second", 6000 / times[i]);
    cells[i].environment.device = (char *)"cpu";
    give(i, "peak_bytes", i < 2 ? 1000 + 10 * (double)i : 250 + 10 * (double)i);
  }
  assert_ok(measure_row(&d, 1, columns_find("time_ratio"), &m));
  assert_near(m.value, 0.5, 1e-12);
  assert_near(m.low, 0.5, 1e-9);
  assert_near(m.high, 0.5, 1e-9);
  assert_int_equal(m.seeds, 2);
  assert_string_equal(m.over, "seeds");
  assert_ok(measure_row(&d, 1, columns_find("speedup"), &m));
  assert_near(m.value, 2, 1e-12);
  assert_ok(measure_row(&d, 1, columns_find("memory_ratio"), &m));
  assert_near(m.value, 275. / 1005, 1e-12);
  assert_ok(measure_row(&d, 0, columns_find("time_ratio"), &m));
  assert_near(m.value, 1, 1e-12);
  assert_true(isnan(m.low) && isnan(m.high)); /* by definition */
  d.baseline = 1;                             /* wherever it is in the table */
  assert_ok(measure_row(&d, 0, columns_find("time_ratio"), &m));
  assert_near(m.value, 2, 1e-12);
  assert_ok(measure_row(&d, 1, columns_find("time_ratio"), &m));
  assert_near(m.value, 1, 1e-12);
  d.baseline = -1;
  assert_ok(measure_row(&d, 1, columns_find("time_ratio"), &m));
  assert_true(isnan(m.value));
}

/* The inverse of a column: the baseline over the row. */
static void an_inverse_is_above_when_its_parts_are_below(void **state) {
  (void)state;
  column inverse = {.kind = COLUMN_INVERSE, .argument = "steady_seconds", .scale = 1, .unit = ""};
  data_measure m;
  bool found;
  const double times[CELLS] = {100, 120, 50, 60};
  for (size_t i = 0; i < CELLS; i++) give(i, "steady_seconds", times[i]);
  assert_ok(measure_row(&d, 1, &inverse, &m));
  assert_near(m.value, 2, 1e-12);
  assert_ok(measure_is_above(&d, 1, 0, &inverse, &found));
  assert_true(found);
  assert_ok(measure_is_above(&d, 0, 1, &inverse, &found));
  assert_false(found);
  assert_true(is_above(0, "time_ratio"));
  assert_false(is_above(1, "time_ratio"));
  assert_true(is_above(0, "steady_seconds"));
}

/* Differences of 1 and 1.1: a mean of 1.05, 12.7062 standard errors of 0.05 are 0.635; of 1 and
 * 1.4 they are 2.54. */
static void a_number_is_above_by_its_paired_seeds(void **state) {
  (void)state;
  const double waits[CELLS] = {0.2, 0.4, 1.2, 1.5};
  for (size_t i = 0; i < CELLS; i++) give(i, "cpu_seconds", waits[i]);
  assert_true(is_above(1, "cpu_seconds"));
  assert_false(is_above(0, "cpu_seconds"));
  facts[3][0].value.real = 1.8;
  assert_false(is_above(1, "cpu_seconds"));
  facts[3][0].value.real = 1.5;
  cells[3].is_finished = false; /* one pair shows nothing */
  assert_false(is_above(1, "cpu_seconds"));
}

/* Of the same 100 images 4 more are hits, or 20 more: 4 points +- 4.3, and 20 +- 8.1. */
static void an_accuracy_is_above_by_its_interval(void **state) {
  (void)state;
  const double values[] = {0.5, 0.54, 0.7};
  for (size_t i = 0; i < 3; i++) {
    add(i, "imagenet", "zeroshot", "top1", 10, values[i]);
    add_hits(i, 100, 0);
    specs[i].settings.seed = 0;
  }
  cells[1].is_finished = cells[3].is_finished = false;
  assert_true(is_above(1, "zero_shot_top1"));
  assert_false(is_above(0, "zero_shot_top1"));
  row_cells[1][0] = 1; /* the 0.54 */
  cells[1].is_finished = true;
  cells[2].is_finished = false;
  rows[0].count = rows[1].count = 1;
  assert_false(is_above(1, "zero_shot_top1"));
  assert_false(is_above(0, "zero_shot_top1"));
}

/* What is computed from the settings has no interval: one pair decides. */
static void exact_numbers_are_above_by_one_pair(void **state) {
  (void)state;
  data_measure m;
  for (size_t i = 0; i < CELLS; i++) give(i, "samples", i < 2 ? 1000 : 1001);
  assert_true(is_above(1, "samples"));
  assert_false(is_above(0, "samples"));
  assert_ok(measure_row(&d, 1, columns_find("samples"), &m));
  assert_near(m.value, 1001, 0);
  assert_true(isnan(m.low) && isnan(m.high) && !m.over);
}

/* Of 0.1 and 0.3 the half width is 12.7062 * 0.1: neither below 0 nor above 100 %. */
static void shares_and_quantities_stay_in_their_range(void **state) {
  (void)state;
  data_measure m;
  for (size_t i = 0; i < 2; i++) {
    give(i, "comm_share", i ? 0.3 : 0.1);
    give(i, "cpu_seconds", i ? 3 : 1);
    give(i, "final_loss", i ? 5.01 : 5);
  }
  assert_ok(measure_row(&d, 0, columns_find("comm_share"), &m));
  assert_near(m.value, 20, 1e-9);
  assert_near(m.low, 0, 1e-9);
  assert_near(m.high, 100, 1e-9);
  assert_false(m.is_symmetric);
  facts[1][0].value.real = 0.101; /* 10.05 % +- 12.7062 * 0.05 */
  assert_ok(measure_row(&d, 0, columns_find("comm_share"), &m));
  assert_near(m.low, 10.05 - 12.7062047 * 0.05, 1e-6);
  assert_near(m.high, 10.05 + 12.7062047 * 0.05, 1e-6);
  assert_true(m.is_symmetric);
  assert_ok(measure_row(&d, 0, columns_find("cpu_seconds"), &m));
  assert_near(m.low, 0, 1e-9);
  assert_near(m.high, 2 + 12.7062047, 1e-6);
  assert_false(m.is_symmetric);
  assert_ok(measure_row(&d, 0, columns_find("final_loss"), &m));
  assert_near(m.high - m.value, 12.7062047 * 0.005, 1e-6);
  assert_near(m.value - m.low, 12.7062047 * 0.005, 1e-6);
  assert_true(m.is_symmetric);
  assert_string_equal(m.over, "seeds");
}

/* 100 s at 1 s a step of 0.9 to 1.25: of one run the interval is that of its steps. */
static void the_interval_of_steps_is_that_of_times_and_inverted_of_speeds(void **state) {
  (void)state;
  data_measure m;
  give(0, "steady_seconds", 100);
  give(0, "samples_per_second", 64);
  give(0, "steady_step_seconds", 1);
  give(0, "steady_low", 0.9);
  give(0, "steady_high", 1.25);
  cells[1].is_finished = false;
  assert_ok(measure_row(&d, 0, columns_find("steady_seconds"), &m));
  assert_near(m.low, 90, 1e-9);
  assert_near(m.high, 125, 1e-9);
  assert_string_equal(m.over, "steps");
  assert_ok(measure_row(&d, 0, columns_find("samples_per_second"), &m));
  assert_near(m.low, 64 / 1.25, 1e-9);
  assert_near(m.high, 64 / 0.9, 1e-9);
  facts[0][3].value.real = 1e-9; /* few rows, which differ: no bound (base/pace.h) */
  assert_ok(measure_row(&d, 0, columns_find("steady_seconds"), &m));
  assert_near(m.low, 0, 0);
  assert_near(m.high, 125, 1e-9);
  assert_ok(measure_row(&d, 0, columns_find("samples_per_second"), &m));
  assert_near(m.low, 64 / 1.25, 1e-9);
  assert_true(isinf(m.high));
}

/* 1 and 3 s a step over 2 and 2 s. */
static void a_ratio_of_paces_is_of_all_pairs(void **state) {
  (void)state;
  const double paces[CELLS] = {1, 3, 2, 2};
  const size_t above[] = {0, 1}, below[] = {2, 3};
  paired_result r;
  for (size_t i = 0; i < CELLS; i++) give(i, "steady_step_seconds", paces[i]);
  assert_ok(measure_pace_ratio(&d, above, below, 2, &r));
  assert_near(r.value, 1, 1e-12);
  /* relative to their means the pairs differ by 0.5 either way */
  assert_near(log(r.high), 12.7062047 * 0.5, 1e-6);
  assert_ok(measure_pace_ratio(&d, &above[1], &below[1], 1, &r));
  assert_near(r.value, 1.5, 1e-12);
}

/* The curve's time goes on with the tuning's, of which only an upper bound is known. */
static void a_tuning_without_a_pace_leaves_the_curves_time_unbounded_below(void **state) {
  (void)state;
  const size_t above = 0, below = 1;
  paired_result r;
  for (size_t i = 0; i < 3; i++) {
    give(i, "steady_step_seconds", 1);
    give(i, "steady_low", 0.9);
    give(i, "steady_high", 1.25);
  }
  cells[0].tuned = 2;
  assert_ok(measure_pace_ratio(&d, &above, &below, 1, &r));
  assert_near(r.value, 1, 1e-12);
  /* slower by a quarter, and the other faster by a tenth */
  assert_near(log(r.high), hypot(log(1.25), log(1 / 0.9)), 1e-9);
  assert_near(log(r.low), -hypot(log(1.25), log(1 / 0.9)), 1e-9);
  give(2, "disturbed", 1);
  give(2, "disturbed_share", 1);
  assert_ok(measure_pace_ratio(&d, &above, &below, 1, &r));
  assert_near(r.low, 0, 0);
  assert_near(log(r.high), hypot(log(1.25), log(1 / 0.9)), 1e-9);
}

/* All rows were disturbed, and differ: slower by a quarter, or faster by what is not known. */
static void disturbed_rows_bound_a_time_from_above_by_their_own(void **state) {
  (void)state;
  data_measure m;
  give(0, "steady_seconds", 100);
  give(0, "steady_step_seconds", 1);
  give(0, "disturbed", 1);
  give(0, "disturbed_share", 1);
  give(0, "steady_low", 0.5);
  give(0, "steady_high", 1.25);
  cells[1].is_finished = false;
  assert_false(data_has_pace(&cells[0]));
  assert_ok(measure_row(&d, 0, columns_find("steady_seconds"), &m));
  assert_near(m.low, 0, 0);
  assert_near(m.high, 125, 1e-9);
}

/* ---- curves ---- */

/* Two seeds at 1 and 3 s a step, after 10 and 20 steps. */
static void a_curve_has_the_numbers_of_every_seed_and_point(void **state) {
  (void)state;
  const double values[2][2] = {{0.2, 0.5}, {0.4, 0.6}};
  const size_t seeds[] = {0, 1};
  data_curve curve;
  for (size_t i = 0; i < 2; i++) {
    give(i, "steady_step_seconds", i ? 3 : 1);
    for (size_t p = 0; p < 2; p++) {
      add(i, "imagenet", "zeroshot", "top1", 10 * (int64_t)(p + 1), values[i][p]);
      add_hits(i, 100, 0);
    }
  }
  assert_ok(curves_of_cells(&d, columns_find("zero_shot_top1"), seeds, 2, &curve));
  assert_int_equal(curve.points, 2);
  assert_int_equal(curve.seeds, 2);
  assert_int_equal(curve.items, 100);
  assert_int_equal(curve.tuned_from, 2); /* nothing is tuned */
  for (size_t p = 0; p < 2; p++) {
    assert_near(curve.seconds[p], 20 * ((double)p + 1), 1e-9);
    assert_near(curve.samples[p], 10 * ((double)p + 1), 1e-9);
    assert_near(curve.mean[p], 50 * (values[0][p] + values[1][p]), 1e-9);
    for (size_t i = 0; i < 2; i++) {
      assert_near(curve.accuracy[2 * i + p], values[i][p], 0);
      assert_ptr_equal(curve.hits[2 * i + p], outcomes[i][p].hits);
    }
  }
  curves_free(&curve);
  outcomes[1][0].items = 99; /* of other images: none is paired */
  assert_ok(curves_of_cells(&d, columns_find("zero_shot_top1"), seeds, 2, &curve));
  assert_int_equal(curve.items, 0);
  assert_null(curve.hits);
  curves_free(&curve);
}

/* 20 steps of 1 s, then 5 of 4 s. */
static void a_tuning_adds_its_time_and_samples_to_the_curve(void **state) {
  (void)state;
  size_t cell = 0;
  data_curve curve;
  give(0, "steady_step_seconds", 1);
  give(0, "steady_seconds", 20);
  give(0, "samples", 1280);
  give(2, "steady_step_seconds", 4);
  add(0, "imagenet", "zeroshot", "top1", 10, 0.4);
  add(0, "imagenet", "zeroshot", "top1", 20, 0.5);
  add(2, "imagenet", "zeroshot", "top1", 5, 0.6);
  cells[0].tuned = 2;
  assert_ok(curves_of_cells(&d, columns_find("zero_shot_top1"), &cell, 1, &curve));
  assert_int_equal(curve.points, 3);
  assert_int_equal(curve.tuned_from, 2);
  assert_near(curve.seconds[1], 20, 1e-9);
  assert_near(curve.seconds[2], 20 + 5 * 4, 1e-9);
  assert_near(curve.samples[2], 1280 + 5, 1e-9);
  curves_free(&curve);
}

/* 0.2 and 0.4 after 10 and 20 s, and 0.4 and 0.8 after 5 and 10 s: on the same images. */
static void a_speedup_is_based_on_the_images_of_both(void **state) {
  (void)state;
  data_iso iso;
  experiment.report.iso = columns_find("zero_shot_top1");
  for (size_t i = 0; i < CELLS; i++) {
    give(i, "steady_step_seconds", i < 2 ? 1 : 0.5);
    for (int k = 1; k <= 2; k++) {
      add(i, "imagenet", "zeroshot", "top1", 10 * k, (i < 2 ? 0.2 : 0.4) * k);
      add_hits(i, 100, 0);
    }
  }
  assert_ok(curves_iso(&d, 1, &iso));
  assert_near(iso.at.speedup, 4, 1e-9); /* 0.4 after 20 s, and after 5 */
  assert_int_equal(iso.seeds, 2);
  assert_int_equal(iso.items, 100);
  data_measure m;
  assert_ok(measure_row(&d, 1, columns_find("iso_speedup"), &m));
  assert_near(m.value, 4, 1e-9);
  assert_true(m.low <= 4 && m.high >= 4 && m.low > 1);
  assert_string_equal(m.over, "seeds, images and pace");
  for (size_t k = 0; k < 2; k++) outcomes[1][k].items = 99; /* of the baseline's alone */
  assert_ok(curves_iso(&d, 1, &iso));
  assert_int_equal(iso.items, 0);
  for (size_t k = 0; k < 2; k++) outcomes[1][k].items = 100;
  for (size_t k = 0; k < 2; k++) outcomes[3][k].items = 99;
  assert_ok(curves_iso(&d, 1, &iso));
  assert_int_equal(iso.items, 0);
  assert_ok(measure_row(&d, 1, columns_find("iso_speedup"), &m));
  assert_string_equal(m.over, "seeds and pace");
  cells[1].is_finished = cells[3].is_finished = false; /* one seed, whose images are known */
  assert_ok(measure_row(&d, 1, columns_find("iso_speedup"), &m));
  assert_string_equal(m.over, "images and pace");
  for (size_t k = 0; k < 2; k++) outcomes[2][k].items = 99;
  assert_ok(measure_row(&d, 1, columns_find("iso_speedup"), &m));
  assert_true(isnan(m.low) && !m.over);
}

/* From 10 %, which chance reaches, to 80 % in 5 s: 40 % after 3/7 of them. The baseline has it
 * after 20 s. */
static void a_curve_begins_at_chance(void **state) {
  (void)state;
  data_iso iso;
  experiment.report.iso = columns_find("zero_shot_top1");
  cells[1].is_finished = cells[3].is_finished = false;
  give(0, "steady_step_seconds", 1);
  give(2, "steady_step_seconds", 0.5);
  add(0, "pets", "zeroshot", "top1", 10, 0.2);
  add(0, "pets", "zeroshot", "top1", 20, 0.4);
  add(0, "pets", "zeroshot", "chance", 20, 0.1);
  add(2, "pets", "zeroshot", "top1", 10, 0.8);
  add(2, "pets", "zeroshot", "chance", 10, 0.1);
  assert_ok(curves_iso(&d, 1, &iso));
  assert_near(iso.at.accuracy, 40, 1e-9);
  assert_near(iso.at.baseline_seconds, 20, 1e-9);
  assert_near(iso.at.seconds, 5 * 3. / 7, 1e-9);
}

/* ---- machines ---- */

static void each_input_of_times_prevents_a_comparison(void **state) {
  (void)state;
  for (size_t k = 0; k < DATA_TIME_INPUTS; k++)
    for (size_t i = 0; i < CELLS; i++) {
      cells[i].inputs[data_time_inputs[k]] = 1;
      assert_false(data_is_comparable(&d, 1, 0, true));
      assert_true(data_is_comparable(&d, 1, 0, false)); /* accuracies are */
      cells[i].inputs[data_time_inputs[k]] = 0;
      assert_true(data_is_comparable(&d, 1, 0, true));
    }
}

static void memory_is_of_a_device_and_a_number_of_ranks(void **state) {
  (void)state;
  for (size_t i = 0; i < CELLS; i++) cells[i].environment.device = (char *)"cpu";
  assert_true(data_has_comparable_memory(&d, 1, 0));
  for (size_t i = 0; i < CELLS; i++) {
    cells[i].environment.device = (char *)"cuda";
    assert_false(data_has_comparable_memory(&d, 1, 0));
    cells[i].environment.device = (char *)""; /* unknown */
    assert_true(data_has_comparable_memory(&d, 1, 0));
    cells[i].environment.device = (char *)"cpu";
    cells[i].inputs[INPUT_RANKS] = 2;
    assert_false(data_has_comparable_memory(&d, 1, 0));
    cells[i].inputs[INPUT_RANKS] = 0;
  }
  for (size_t i = 0; i < CELLS; i++) give(i, "ranks", i < 2 ? 1 : 2); /* as the matrix sets them */
  assert_false(data_has_comparable_memory(&d, 1, 0));
  assert_false(measure_is_comparable(&d, 1, 0, columns_find("memory_ratio")));
  assert_true(data_has_comparable_memory(&d, 1, 1));
  for (size_t i = 0; i < 2; i++) cells[i].number_count = 0; /* not recorded: one */
  assert_false(data_has_comparable_memory(&d, 1, 0));
  for (size_t i = 2; i < CELLS; i++) facts[i][0].value.real = 1;
  assert_true(data_has_comparable_memory(&d, 1, 0));
}

static void runs_of_a_row_differ_in_what_their_pace_depends_on(void **state) {
  (void)state;
  for (size_t i = 0; i < 2; i++) {
    cells[i].environment.is_known = true;
    cells[i].environment.device_name = (char *)"";
    cells[i].environment.cpu = (char *)"a processor";
    cells[i].environment.kernels = (char *)"v3";
  }
  assert_null(data_differing_pace(&d, 0));
  cells[1].environment.cpu = (char *)"another";
  assert_non_null(strstr(data_differing_pace(&d, 0), "different processors"));
  cells[1].is_finished = false;
  assert_null(data_differing_pace(&d, 0));
  cells[1].is_finished = true;
  cells[1].environment.cpu = cells[0].environment.cpu;
  cells[1].environment.device_name = (char *)"a GPU";
  assert_non_null(strstr(data_differing_pace(&d, 0), "different processors"));
  cells[1].environment.device_name = (char *)"";
  cells[1].environment.kernels = (char *)"v4";
  assert_non_null(strstr(data_differing_pace(&d, 0), "kernels"));
  cells[1].environment.kernels = cells[0].environment.kernels;
  static const struct {
    input_kind kind;
    const char *reason;
  } inputs[] = {
      {INPUT_RANKS, "ranks"}, {INPUT_THREADS, "threads"}, {INPUT_PRECISION, "precisions"}};
  for (size_t k = 0; k < 3; k++) {
    cells[1].inputs[inputs[k].kind] = 1;
    assert_non_null(strstr(data_differing_pace(&d, 0), inputs[k].reason));
    cells[1].inputs[inputs[k].kind] = 0;
  }
  assert_null(data_differing_pace(&d, 0));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      ON_CELLS(a_ratio_is_of_the_row_over_the_baseline),
      ON_CELLS(a_curve_has_the_numbers_of_every_seed_and_point),
      ON_CELLS(a_tuning_adds_its_time_and_samples_to_the_curve),
      ON_CELLS(a_speedup_is_based_on_the_images_of_both),
      ON_CELLS(a_curve_begins_at_chance),
      ON_CELLS(each_input_of_times_prevents_a_comparison),
      ON_CELLS(memory_is_of_a_device_and_a_number_of_ranks),
      ON_CELLS(runs_of_a_row_differ_in_what_their_pace_depends_on),
      ON_CELLS(a_ratio_of_paces_is_of_all_pairs),
      ON_CELLS(a_tuning_without_a_pace_leaves_the_curves_time_unbounded_below),
      ON_CELLS(an_accuracy_is_above_by_its_interval),
      ON_CELLS(disturbed_rows_bound_a_time_from_above_by_their_own),
      ON_CELLS(an_inverse_is_above_when_its_parts_are_below),
      ON_CELLS(a_number_is_above_by_its_paired_seeds),
      ON_CELLS(exact_numbers_are_above_by_one_pair),
      ON_CELLS(shares_and_quantities_stay_in_their_range),
      ON_CELLS(the_interval_of_steps_is_that_of_times_and_inverted_of_speeds),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
