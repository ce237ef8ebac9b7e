/* Which evaluation a column shows, and which numbers are compared and how: on cells made by hand,
 * whose outcomes are all in memory. */
#include "support/test.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "report/curves.h"
#include "report/measure.h"

enum { CELLS = 4, MOST = 8, SHIFTED_ITEMS = 10000, MAIN_ITEMS = 50000 };

static spec_cell specs[CELLS];
static spec_experiment experiment;
static data_cell cells[CELLS];
static data_evaluation evaluations[CELLS][MOST];
static store_outcome outcomes[CELLS][MOST];
static data_row rows[2];
static size_t row_cells[2][2];
static report_data d;

/* Rows of the cells 0 and 1, and of 2 and 3: two seeds each, finished, on the same inputs. */
static int make_cells(void **state) {
  (void)state;
  memset(specs, 0, sizeof specs);
  memset(cells, 0, sizeof cells);
  for (size_t i = 0; i < CELLS; i++) {
    specs[i] = (spec_cell){.parent = SPEC_NO_PARENT};
    specs[i].settings.seed = (int64_t)i % 2;
    cells[i] = (data_cell){.cell = &specs[i],
                           .run_id = (int64_t)i + 1,
                           .is_finished = true,
                           .tuned = -1,
                           .fine_tuned = -1,
                           .measured = -1,
                           .evaluations = evaluations[i],
                           .outcomes = outcomes[i]};
    row_cells[i / 2][i % 2] = i;
  }
  for (size_t r = 0; r < 2; r++) rows[r] = (data_row){.cells = row_cells[r], .count = 2};
  experiment = (spec_experiment){.cells = specs, .cell_count = CELLS};
  d = (report_data){.e = &experiment, .cells = cells, .rows = rows, .row_count = 2, .baseline = 0};
  return 0;
}

static int free_hits(void **state) {
  (void)state;
  for (size_t i = 0; i < CELLS; i++)
    for (size_t k = 0; k < cells[i].outcome_count; k++) {
      free(outcomes[i][k].hits);
      free(outcomes[i][k].labels);
    }
  return 0;
}

/* An evaluation without outcomes. */
static void add(size_t cell, const char *set, const char *task, const char *metric, int64_t step,
                double value) {
  size_t at = cells[cell].evaluation_count++;
  assert_true(at < MOST);
  cells[cell].outcome_count = at + 1;
  evaluations[cell][at] = (data_evaluation){.set = (char *)set,
                                            .task = (char *)task,
                                            .metric = (char *)metric,
                                            .step = step,
                                            .samples = (double)step,
                                            .seconds = (double)step,
                                            .value = value};
  outcomes[cell][at] = (store_outcome){
      .set = (char *)set, .metric = (char *)metric, .task = (char *)task, .step = step};
}

/* The newest evaluation's outcomes: its first images are the hits. */
static void add_hits(size_t cell, size_t items, size_t classes) {
  store_outcome *o = &outcomes[cell][cells[cell].outcome_count - 1];
  double value = evaluations[cell][cells[cell].evaluation_count - 1].value;
  o->items = items;
  o->hits = mem_zeroed((items + 7) / 8, 1);
  o->labels = classes ? mem_zeroed(items, sizeof *o->labels) : NULL;
  assert_non_null(o->hits);
  for (size_t i = 0; i < items; i++) {
    if ((double)i < value * (double)items) o->hits[i / 8] |= (uint8_t)(1u << i % 8);
    if (classes) o->labels[i] = (uint16_t)(i * classes / items);
  }
}

static void assert_near(double value, double wanted, double tolerance) {
  if (!(fabs(value - wanted) <= tolerance)) fail_msg("%.10g is not %.10g", value, wanted);
}

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

/* ---- ratios, and which row is above ---- */

enum { NUMBERS = 6 };
static store_fact facts[CELLS][NUMBERS];

static void give(size_t cell, const char *name, double value) {
  size_t at = cells[cell].number_count++;
  assert_true(at < NUMBERS);
  facts[cell][at] = (store_fact){(char *)name, {.kind = STORE_REAL, .real = value}};
  cells[cell].numbers = facts[cell];
}

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
#define ON_CELLS(test) cmocka_unit_test_setup_teardown(test, make_cells, free_hits)
  const struct CMUnitTest tests[] = {
      ON_CELLS(the_shifted_set_is_the_first_other_with_the_metric),
      ON_CELLS(a_number_is_divided_by_the_chance_of_its_own_set),
      ON_CELLS(a_classifiers_curve_begins_at_chance_too),
      ON_CELLS(a_curve_of_few_classes_begins_at_what_chance_reaches),
      ON_CELLS(a_tuning_continues_the_curve_on_the_set_that_it_began_on),
      ON_CELLS(probes_are_of_the_run_that_measures_them),
      ON_CELLS(a_difference_of_two_sets_has_the_variances_of_both),
      ON_CELLS(classes_of_one_set_are_not_those_of_another),
      ON_CELLS(tuned_and_untuned_on_two_sets_are_not_subtracted),
      ON_CELLS(equal_differences_without_outcomes_have_no_interval),
      ON_CELLS(a_seed_that_has_not_finished_does_not_prevent_a_comparison),
      ON_CELLS(losses_of_other_batch_sizes_are_not_compared),
      ON_CELLS(a_seed_without_a_curve_leaves_its_pair_out),
      ON_CELLS(a_single_disturbed_row_bounds_a_time_from_above_only),
      ON_CELLS(a_time_covers_the_steps_of_every_run_that_has_an_interval),
      ON_CELLS(a_ratio_is_of_the_row_over_the_baseline),
      ON_CELLS(a_curve_has_the_numbers_of_every_seed_and_point),
      ON_CELLS(a_tuning_adds_its_time_and_samples_to_the_curve),
      ON_CELLS(a_speedup_is_based_on_the_images_of_both),
      ON_CELLS(each_input_of_times_prevents_a_comparison),
      ON_CELLS(memory_is_of_a_device_and_a_number_of_ranks),
      ON_CELLS(runs_of_a_row_differ_in_what_their_pace_depends_on),
      ON_CELLS(a_ratio_of_paces_is_of_all_pairs),
      ON_CELLS(disturbed_rows_bound_a_time_from_above_by_their_own),
      ON_CELLS(an_inverse_is_above_when_its_parts_are_below),
      ON_CELLS(a_number_is_above_by_its_paired_seeds),
      ON_CELLS(exact_numbers_are_above_by_one_pair),
      ON_CELLS(shares_and_quantities_stay_in_their_range),
      ON_CELLS(the_interval_of_steps_is_that_of_times_and_inverted_of_speeds),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
