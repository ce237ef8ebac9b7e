/* Which evaluation a column shows, and what is compared. */
#include "report/curves.h"
#include "report/explain.h"
#include "cells.h"

static const char *set_of(size_t cell, const char *name) {
  const data_evaluation *e = data_find_evaluation(&d, cell, columns_find(name));
  return e ? e->set : "none";
}

/* ---- which evaluation ---- */

static void the_shifted_set_is_the_first_other_with_the_metric(void **state) {
  (void)state;
  add(0, "flickr30k", "retrieval", "image_to_text_r1", 10, 0.8);
  add(0, "imagenet", "zeroshot", "top1", 10, 0.6);
  add(0, "imagenet_v2", "zeroshot", "top1", 10, 0.5);
  assert_string_equal(set_of(0, "zero_shot_top1"), "imagenet");
  assert_string_equal(set_of(0, "shifted_zero_shot_top1"), "imagenet_v2");
  assert_string_equal(set_of(0, "shifted_retrieval_i2t_r1"), "none");
  experiment.report.main_set = (char *)"imagenet_v2";
  assert_string_equal(set_of(0, "shifted_zero_shot_top1"), "imagenet");
  experiment.report = (spec_report){.shifted_set = (char *)"imagenet"}; /* listed first */
  assert_string_equal(set_of(0, "zero_shot_top1"), "imagenet_v2");
  assert_string_equal(set_of(0, "shifted_zero_shot_top1"), "imagenet");
}

static void the_last_evaluation_is_the_runs(void **state) {
  (void)state;
  const column *c = columns_find("zero_shot_top1");
  data_measure m;
  for (int k = 1; k <= 3; k++) add(0, "imagenet", "zeroshot", "top1", 10 * k, 0.1 * k);
  add(0, "imagenet_v2", "zeroshot", "top1", 30, 0.9);
  cells[1].is_finished = false;
  assert_int_equal(data_find_evaluation(&d, 0, c)->step, 30);
  assert_ok(measure_row(&d, 0, c, &m));
  assert_near(m.value, 30, 1e-9);
}

static void a_number_is_divided_by_the_chance_of_its_own_set(void **state) {
  (void)state;
  add(0, "voc2007", "zeroshot", "map_11point", 10, 0.7);
  add(0, "voc2007", "zeroshot", "chance", 10, 0.07);
  add(0, "openclipart", "zeroshot", "mean_per_class", 10, 0.3);
  add(0, "openclipart", "zeroshot", "chance", 10, 0.02);
  cells[1].is_finished = false;
  data_measure m;
  assert_ok(measure_row(&d, 0, columns_find("zero_shot_x_chance"), &m));
  assert_near(m.value, 15, 1e-9);
  assert_near(data_value(&d, 0, columns_find("zero_shot_x_chance")), 15, 1e-9);
}

static void a_classifiers_curve_begins_at_chance_too(void **state) {
  (void)state;
  const char *const tasks[] = {"zeroshot", "classification"};
  for (int i = 0; i < 2; i++) {
    size_t first = cells[0].evaluation_count;
    add(0, "pets", tasks[i], "top1", 10, 0.7);
    add(0, "pets", tasks[i], "top5", 10, 0.9);
    add(0, "pets", tasks[i], "chance", 10, 0.1);
    assert_near(data_start(&cells[0], &evaluations[0][first]), 0.1, 1e-9);
    assert_near(data_start(&cells[0], &evaluations[0][first + 1]), 0.5, 1e-9);
  }
}

static void a_curve_of_few_classes_begins_at_what_chance_reaches(void **state) {
  (void)state;
  add(0, "shapes", "zeroshot", "mean_top1_top5", 10, 0.8);
  add(0, "shapes", "zeroshot", "chance", 10, 0.25);
  assert_near(data_start(&cells[0], &evaluations[0][0]), 0.625, 1e-12); /* of 0.25 and 1 */
  evaluations[0][1].value = 0.01;
  assert_near(data_start(&cells[0], &evaluations[0][0]), 0.03, 1e-12);
}

static void a_tuning_continues_the_curve_on_the_set_that_it_began_on(void **state) {
  (void)state;
  const column *c = columns_find("zero_shot_top1");
  size_t cell = 0;
  data_curve curve;
  add(0, "imagenet", "zeroshot", "top1", 10, 0.5);
  add(2, "imagenet_v2", "zeroshot", "top1", 5, 0.4);
  add(2, "imagenet", "zeroshot", "top1", 5, 0.6);
  cells[0].tuned = 2;
  assert_ok(curves_of_cells(&d, c, &cell, 1, &curve));
  assert_int_equal(curve.points, 2);
  assert_near(curve.mean[1], 60, 1e-9);
  curves_free(&curve);
  evaluations[2][1].set = outcomes[2][1].set = (char *)"other";
  assert_ok(curves_of_cells(&d, c, &cell, 1, &curve));
  assert_int_equal(curve.points, 1);
  curves_free(&curve);
}

/* A run of probes that starts from a cell has its probes, and nothing else of it. */
static void probes_are_of_the_run_that_measures_them(void **state) {
  (void)state;
  cells[0].measured = 3;
  specs[0].settings.eval_probe_train = (char *)"";
  specs[3].settings.eval_probe_train = (char *)"train";
  assert_int_equal(data_shown_cell(&d, 0, columns_find("linear_probe_top1")), 3);
  assert_int_equal(data_shown_cell(&d, 0, columns_find("zero_shot_top1")), 0);
}

/* ---- differences of two sets ---- */

static void shift(size_t cell, double main_value, double shifted_value) {
  add(cell, "imagenet", "zeroshot", "top1", 10, main_value);
  add_hits(cell, MAIN_ITEMS, 0);
  add(cell, "imagenet_v2", "zeroshot", "top1", 10, shifted_value);
  add_hits(cell, SHIFTED_ITEMS, 0);
}

static void a_difference_of_two_sets_has_the_variances_of_both(void **state) {
  (void)state;
  const column *shifted = columns_find("shifted_zero_shot_top1"),
               *own = columns_find("zero_shot_top1");
  data_difference x;
  shift(0, 0.58, 0.5);
  cells[1].is_finished = false;
  assert_ok(measure_columns_difference(&d, 0, shifted, 0, own, &x));
  assert_near(x.value, -8, 1e-9);
  /* 1.96 sqrt(0.5 0.5 / 10,000 + 0.58 0.42 / 50,000) = 1.071 points */
  assert_near(x.high - x.value, 1.071, 1e-3);
  assert_int_equal(x.items, SHIFTED_ITEMS);
  assert_string_equal(x.over, "unpaired images");
  /* another seed, 0.2 points lower: V_seeds = 0.01, V_rest nearly 0 as hits and misses are the same
   * images: 12.706 x 0.1 = 1.271 points more */
  cells[1].is_finished = true;
  shift(1, 0.58, 0.498);
  assert_ok(measure_columns_difference(&d, 0, shifted, 0, own, &x));
  assert_near(x.value, -8.1, 1e-9);
  assert_near(x.high - x.value, sqrt(1.071 * 1.071 + 1.271 * 1.271), 0.01);
  assert_string_equal(x.over, "seeds and unpaired images");
}

/* Sets of the same size: each has its own classes, and the value is that of the table. */
static void classes_of_one_set_are_not_those_of_another(void **state) {
  (void)state;
  enum { ITEMS = 100 };
  data_difference x;
  add(0, "a", "zeroshot", "mean_per_class", 10, 0.5);
  add_hits(0, ITEMS, 2);
  add(0, "b", "zeroshot", "mean_per_class", 10, 0.25);
  add_hits(0, ITEMS, 4);
  cells[1].is_finished = false;
  assert_ok(measure_columns_difference(&d, 0, columns_find("shifted_zero_shot_mean_per_class"), 0,
                                       columns_find("zero_shot_mean_per_class"), &x));
  assert_near(x.value, -25, 1e-9);
  /* a class is all hits or none, so only the pseudo-counts vary: 1 of 100 images in each set */
  assert_near(x.high - x.value, 1.96 * sqrt(2), 1e-3);
  assert_string_equal(x.over, "unpaired images");
}

static void tuned_and_untuned_on_two_sets_are_not_subtracted(void **state) {
  (void)state;
  data_difference x;
  const column *tuned = columns_find("tuned_zero_shot_top1"), *own = columns_find("zero_shot_top1");
  add(0, "imagenet", "zeroshot", "top1", 10, 0.5);
  add(2, "imagenet_v2", "zeroshot", "top1", 5, 0.4);
  cells[0].tuned = 2;
  assert_ok(measure_columns_difference(&d, 0, tuned, 0, own, &x));
  assert_true(isnan(x.value));
  evaluations[2][0].set = outcomes[2][0].set = (char *)"imagenet";
  assert_ok(measure_columns_difference(&d, 0, tuned, 0, own, &x));
  assert_near(x.value, -10, 1e-9);
}

/* 30 and 70 of 100 images: their mean has their outcomes where it is theirs. */
static void a_mean_of_two_kinds_of_hits_has_the_images_of_both(void **state) {
  (void)state;
  data_measure m;
  add(0, "a", "zeroshot", "top1", 10, 0.3);
  add_hits(0, 100, 0);
  add(0, "a", "zeroshot", "top5", 10, 0.7);
  add_hits(0, 100, 0);
  add(0, "a", "zeroshot", "mean_top1_top5", 10, 0.5);
  cells[1].is_finished = false;
  assert_ok(measure_row(&d, 0, columns_find("zero_shot_mean_top1_top5"), &m));
  assert_near(m.value, 50, 1e-9);
  assert_int_equal(m.items, 100);
  assert_true(m.low < 50 && m.high > 50);
  evaluations[0][2].value = 0.55; /* of something else */
  assert_ok(measure_row(&d, 0, columns_find("zero_shot_mean_top1_top5"), &m));
  assert_near(m.value, 55, 1e-9);
  assert_true(isnan(m.low) && isnan(m.high) && !m.over);
}

static void multiples_of_unequal_chances_are_not_subtracted(void **state) {
  (void)state;
  const column *c = columns_find("zero_shot_x_chance");
  data_difference x;
  for (size_t i = 0; i < CELLS; i++) {
    add(i, "pets", "zeroshot", "mean_per_class", 10, i < 2 ? 0.3 : 0.5);
    add(i, "pets", "zeroshot", "chance", 10, 0.1);
  }
  assert_ok(measure_difference(&d, 1, 0, c, &x));
  assert_near(x.value, 2, 1e-9);
  for (size_t i = 2; i < CELLS; i++) evaluations[i][1].value = 0.2;
  assert_ok(measure_difference(&d, 1, 0, c, &x));
  assert_true(isnan(x.value));
}

static void equal_differences_without_outcomes_have_no_interval(void **state) {
  (void)state;
  const column *c = columns_find("zero_shot_top1");
  data_difference x;
  for (size_t i = 0; i < CELLS; i++) add(i, "a", "zeroshot", "top1", 10, i < 2 ? 0.3 : 0.5);
  assert_ok(measure_difference(&d, 1, 0, c, &x));
  assert_near(x.value, 20, 1e-9);
  assert_true(isnan(x.low) && isnan(x.high) && !x.over);
  evaluations[3][0].value = 0.5001;
  assert_ok(measure_difference(&d, 1, 0, c, &x));
  assert_true(x.low < 20 && x.high > 20);
  assert_string_equal(x.over, "seeds");
}

/* In the column's unit: from a bound of 3 points a difference of 4 is as far as one of 1 from 0. */
static void what_would_decide_is_counted_from_the_bound(void **state) {
  (void)state;
  data_difference x, near;
  size_t seeds, items, of_near;
  add(0, "imagenet", "zeroshot", "top1", 10, 0.5);
  add_hits(0, 1000, 0);
  add(2, "imagenet", "zeroshot", "top1", 10, 0.54);
  add_hits(2, 1000, 0);
  cells[1].is_finished = cells[3].is_finished = false;
  assert_ok(measure_difference(&d, 1, 0, columns_find("zero_shot_top1"), &x));
  assert_near(x.value, 4, 1e-9);
  near = x;
  near.mean.mean = 0.01;
  measure_needed(&near, 0, &seeds, &of_near);
  measure_needed(&x, 3, &seeds, &items);
  assert_true(of_near > 1000);
  assert_near((double)items, (double)of_near, 0.02 * (double)of_near); /* bisected to 1 % */
  assert_int_equal(seeds, 0);
}

/* ---- what is compared ---- */

/* All finished runs are of an earlier machine than others of the experiment. */
static void a_seed_that_has_not_finished_does_not_prevent_a_comparison(void **state) {
  (void)state;
  for (size_t i = 0; i < CELLS; i++)
    cells[i].inputs[INPUT_MACHINE] = cells[i].inputs[INPUT_RANKS] = 1;
  for (size_t i = 0; i < CELLS; i += 2) {
    cells[i].is_finished = false;
    cells[i].inputs[INPUT_MACHINE] = cells[i].inputs[INPUT_RANKS] = 0;
    cells[i + 1].environment.device = (char *)"cpu";
  }
  assert_true(data_is_comparable(&d, 1, 0, true));
  assert_true(data_has_comparable_memory(&d, 1, 0));
  assert_true(data_has_comparable_curves(&d, 1, 0));
  cells[3].inputs[INPUT_MACHINE] = cells[3].inputs[INPUT_RANKS] = 2;
  assert_false(data_is_comparable(&d, 1, 0, true));
  assert_false(data_has_comparable_memory(&d, 1, 0));
  assert_false(data_has_comparable_curves(&d, 1, 0));
}

static void losses_of_other_batch_sizes_are_not_compared(void **state) {
  (void)state;
  const column *loss = columns_find("final_loss");
  store_fact numbers[CELLS] = {{.name = (char *)"final_loss"}};
  bool is_above;
  for (size_t i = 0; i < CELLS; i++) {
    numbers[i] = (store_fact){(char *)"final_loss", {.kind = STORE_REAL}};
    numbers[i].value.real = (i < 2 ? 4 : 5.4) + 0.001 * (double)i;
    cells[i].numbers = &numbers[i];
    cells[i].number_count = 1;
    specs[i].settings.batch_size = 64;
  }
  assert_ok(measure_is_above(&d, 1, 0, loss, &is_above));
  assert_true(is_above);
  specs[2].settings.batch_size = specs[3].settings.batch_size = 256;
  assert_ok(measure_is_above(&d, 1, 0, loss, &is_above));
  assert_false(is_above);
  assert_true(measure_is_comparable(&d, 1, 0, columns_find("zero_shot_top1")));
  assert_true(measure_has_other_batches(&d, 2));
  assert_false(measure_is_comparable(&d, 1, 0, loss));
  assert_true(measure_is_comparable(&d, 1, 0, columns_find("samples_per_second")));
  for (size_t i = 0; i < CELLS; i++) specs[i].settings.classification_classes = 10;
  assert_ok(measure_is_above(&d, 1, 0, loss, &is_above));
  assert_true(is_above); /* a classifier's loss is of its images */
  assert_false(measure_has_other_batches(&d, 2));
  specs[0].settings.classification_classes = specs[1].settings.classification_classes = 0;
  assert_false(measure_is_comparable(&d, 1, 0, loss));
}

/* The metric of a run may never have been a number. */
static void a_seed_without_a_curve_leaves_its_pair_out(void **state) {
  (void)state;
  store_fact numbers[CELLS];
  data_iso iso;
  experiment.report.iso = columns_find("zero_shot_top1");
  for (size_t i = 0; i < CELLS; i++) {
    numbers[i] = (store_fact){(char *)"steady_step_seconds", {.kind = STORE_REAL}};
    numbers[i].value.real = 1;
    cells[i].numbers = &numbers[i];
    cells[i].number_count = 1;
    for (int k = 1; k <= 2; k++)
      add(i, "imagenet", "zeroshot", "top1", 10 * k,
          i == 1   ? (double)NAN
          : i == 3 ? 0.1 * k
                   : (i ? 0.4 : 0.2) * k);
  }
  assert_ok(curves_iso(&d, 1, &iso));
  assert_near(iso.at.speedup, 2, 1e-9); /* 0.4 after 20 s, and after 10 s: of the first seed */
  assert_int_equal(iso.seeds, 1);
}

/* A run of one row has no interval of its own. */
static void a_time_covers_the_steps_of_every_run_that_has_an_interval(void **state) {
  (void)state;
  store_fact numbers[2][4];
  data_measure m;
  for (size_t i = 0; i < 2; i++) {
    static const char *const names[] = {"steady_seconds", "steady_step_seconds", "steady_low",
                                        "steady_high"};
    const double values[] = {100 + (double)i, 1, 0.9, 1.1};
    for (size_t k = 0; k < 4; k++) {
      numbers[i][k] = (store_fact){(char *)names[k], {.kind = STORE_REAL}};
      numbers[i][k].value.real = values[k];
    }
    cells[i].numbers = numbers[i];
    cells[i].number_count = i ? 4 : 2;
  }
  assert_ok(measure_row(&d, 0, columns_find("steady_seconds"), &m));
  assert_near(m.value, 100.5, 1e-9);
  assert_string_equal(m.over, "seeds and steps");
  cells[1].number_count = 2;
  assert_ok(measure_row(&d, 0, columns_find("steady_seconds"), &m));
  assert_string_equal(m.over, "seeds");
}

static void a_single_disturbed_row_bounds_a_time_from_above_only(void **state) {
  (void)state;
  const char *const names[] = {"steady_seconds", "steady_step_seconds", "disturbed",
                               "disturbed_share"};
  const double values[] = {100, 1, 1, 1};
  store_fact numbers[4];
  data_measure m;
  for (size_t k = 0; k < 4; k++) {
    numbers[k] = (store_fact){(char *)names[k], {.kind = STORE_REAL}};
    numbers[k].value.real = values[k];
  }
  cells[0].numbers = numbers;
  cells[0].number_count = 4;
  cells[1].is_finished = false;
  assert_ok(measure_row(&d, 0, columns_find("steady_seconds"), &m));
  assert_near(m.low, 0, 0);
  assert_near(m.high, 100, 1e-9);
  numbers[2].value.real = numbers[3].value.real = 0; /* undisturbed: nothing shows how it varies */
  assert_ok(measure_row(&d, 0, columns_find("steady_seconds"), &m));
  assert_true(isnan(m.low) && isnan(m.high));
}

/* Seeds 0 and 1 of one row, 2 and 3 of the other: whatever sets they were evaluated on. */
static void rows_without_a_common_seed_are_said_to_have_none(void **state) {
  (void)state;
  const spec_claim claim = {.compare = CLAIM_DIFFERENCE, .metric = columns_find("zero_shot_top1")};
  bool is_absent;
  for (size_t i = 0; i < CELLS; i++)
    add(i, i < 2 ? "imagenet" : "pets", "zeroshot", "top1", 10, 0.5);
  assert_string_equal(explain_claim(&d, &claim, 0, 1, &is_absent),
                      "no seed of both rows was evaluated on the same set");
  for (size_t i = 2; i < CELLS; i++) specs[i].settings.seed = (int64_t)i;
  assert_string_equal(explain_claim(&d, &claim, 0, 1, &is_absent),
                      "no seed has finished in both rows");
  assert_false(is_absent);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      ON_CELLS(the_shifted_set_is_the_first_other_with_the_metric),
      ON_CELLS(the_last_evaluation_is_the_runs),
      ON_CELLS(a_number_is_divided_by_the_chance_of_its_own_set),
      ON_CELLS(a_classifiers_curve_begins_at_chance_too),
      ON_CELLS(a_curve_of_few_classes_begins_at_what_chance_reaches),
      ON_CELLS(a_tuning_continues_the_curve_on_the_set_that_it_began_on),
      ON_CELLS(probes_are_of_the_run_that_measures_them),
      ON_CELLS(a_difference_of_two_sets_has_the_variances_of_both),
      ON_CELLS(classes_of_one_set_are_not_those_of_another),
      ON_CELLS(tuned_and_untuned_on_two_sets_are_not_subtracted),
      ON_CELLS(a_mean_of_two_kinds_of_hits_has_the_images_of_both),
      ON_CELLS(multiples_of_unequal_chances_are_not_subtracted),
      ON_CELLS(equal_differences_without_outcomes_have_no_interval),
      ON_CELLS(what_would_decide_is_counted_from_the_bound),
      ON_CELLS(a_seed_that_has_not_finished_does_not_prevent_a_comparison),
      ON_CELLS(losses_of_other_batch_sizes_are_not_compared),
      ON_CELLS(a_seed_without_a_curve_leaves_its_pair_out),
      ON_CELLS(a_single_disturbed_row_bounds_a_time_from_above_only),
      ON_CELLS(rows_without_a_common_seed_are_said_to_have_none),
      ON_CELLS(a_time_covers_the_steps_of_every_run_that_has_an_interval),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
