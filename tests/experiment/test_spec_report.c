/* The report of an experiment file: rows, columns, baseline, references and figures. */
#include "support/test.h"

#include "spec_text.h"
#include "support/folder.h"

static void the_report_knows_its_columns_baseline_and_references(void **state) {
  (void)state;
  spec_experiment *e =
      expand(SETTINGS "matrix: {mask_ratio: [0, 0.5], seed: [1, 2]}\n"
                      "report:\n"
                      "  rows: mask_ratio\n"
                      "  columns: [time_ratio, batch_size, zero_shot_top1]\n"
                      "  baseline: {mask_ratio: 0.0}\n"
                      "  reference:\n"
                      "    - {mask_ratio: 0.5, time_ratio: 0.50, zero_shot_top1: 69.6, "
                      "verified: false}\n");
  assert_int_equal(e->report.reference_count, 2);
  assert_string_equal(e->report.references[1].column->name, "zero_shot_top1");
  assert_true(e->report.references[1].value == 69.6 && !e->report.references[1].is_verified);
  assert_true(spec_cell_matches(&e->cells[2], &e->report.references[0].where));
  assert_true(spec_cell_matches(&e->cells[0], &e->report.baseline));
  assert_false(spec_cell_matches(&e->cells[2], &e->report.baseline));
  assert_string_equal(e->report.iso->name, "zero_shot_top1");
  spec_free(e);
}

static void the_report_is_checked_too(void **state) {
  (void)state;
  assert_message(SETTINGS "matrix: {mask_ratio: [0, 0.5], batch_size: [64, 128]}\n"
                          "report:\n"
                          "  rows: mask_ratio\n",
                 "test.yaml:4:9: rows leave out 'batch_size': cells that differ in it would be "
                 "averaged into one row\n"
                 "    4 |   rows: mask_ratio\n"
                 "      |         ^~~~~~~~~~");
  assert_message(SETTINGS "matrix: {mask_ratio: [0, 0.5]}\n"
                          "report:\n"
                          "  columns: [spedup]\n"
                          "  plots: [los]\n"
                          "  baseline: {mask_ratio: 0.9}\n"
                          "  reference: [{mask_ratio: 0, zero_shot_top: 1}]\n",
                 "test.yaml:4:13: unknown column 'spedup'\n"
                 "    4 |   columns: [spedup]\n"
                 "      |             ^~~~~~ did you mean 'speedup'?\n"
                 "test.yaml:5:11: unknown plot 'los'\n"
                 "    5 |   plots: [los]\n"
                 "      |           ^~~ did you mean 'loss'?\n"
                 "test.yaml:6:13: baseline matches no cell of the matrix\n"
                 "    6 |   baseline: {mask_ratio: 0.9}\n"
                 "      |             ^\n"
                 "test.yaml:7:31: reference: 'zero_shot_top' is neither an axis nor a column\n"
                 "    7 |   reference: [{mask_ratio: 0, zero_shot_top: 1}]\n"
                 "      |                               ^~~~~~~~~~~~~ did you mean "
                 "'zero_shot_top1'?");
}

static void a_baseline_is_one_row(void **state) {
  (void)state;
  assert_message(
      SETTINGS "matrix: {mask_ratio: [0, 0.5], batch_size: [64, 256], seed: [1, 2]}\n"
               "report: {rows: [mask_ratio, batch_size], baseline: {mask_ratio: 0}}\n",
      "test.yaml:3:52: baseline matches more than one row ('mask_ratio=0 batch_size=64 "
      "seed=1' and 'mask_ratio=0 batch_size=256 seed=1'): name batch_size in it too, as in "
      "'batch_size: 64'\n"
      "    3 | report: {rows: [mask_ratio, batch_size], baseline: {mask_ratio: 0}}\n"
      "      |                                                    ^");
  spec_free(expand(SETTINGS "matrix: {mask_ratio: [0, 0.5], batch_size: [64, 256]}\n"
                            "report: {baseline: {mask_ratio: 0, batch_size: 64}}\n"));
}

static void a_reference_belongs_to_one_row(void **state) {
  (void)state;
#define MATRIX                                                                                     \
  SETTINGS "matrix: {mask_ratio: [0, 0.5], batch_size: [64, 256]}\nreport: {reference: ["
  assert_refused(MATRIX "{mask_ratio: 0.55, batch_size: 64, zero_shot_top1: 70}]}\n",
                 "reference matches no row");
  assert_refused(MATRIX "{mask_ratio: 0.5, zero_shot_top1: 70}]}\n",
                 "reference matches more than one row ('mask_ratio=0.5 batch_size=64' and "
                 "'mask_ratio=0.5 batch_size=256'): name batch_size in it too");
  assert_refused(MATRIX "{mask_ratio: 0, batch_size: 64, zero_shot_top1: 70},"
                        " {batch_size: 64, mask_ratio: 0, zero_shot_top1: 71}]}\n",
                 "a second reference for zero_shot_top1 of 'mask_ratio=0 batch_size=64'");
#undef MATRIX
  /* whichever of them comes first, and though the first cell of one is not of the other */
#define SEEDS(references)                                                                          \
  SETTINGS "matrix: {mask_ratio: [0, 0.5], seed: [1, 2]}\n"                                        \
           "report: {rows: [mask_ratio, seed], reference: [" references "]}\n"
#define OF_ALL "{mask_ratio: 0.5, zero_shot_top1: 70}"
#define OF_ONE "{mask_ratio: 0.5, seed: 2, zero_shot_top1: 71}"
#define SECOND "a second reference for zero_shot_top1 of 'mask_ratio=0.5 seed=2'"
  assert_refused(SEEDS(OF_ALL ", " OF_ONE), SECOND);
  assert_refused(SEEDS(OF_ONE ", " OF_ALL), SECOND);
  spec_free(expand(SEEDS(OF_ONE ", {mask_ratio: 0.5, seed: 1, zero_shot_top1: 70}")));
#undef SECOND
#undef OF_ONE
#undef OF_ALL
#undef SEEDS
  /* samples is a column, too: as an axis it names the row */
  spec_experiment *e =
      expand(SETTINGS "matrix: {samples: [8k, 16k]}\nreport: "
                      "{reference: [{samples: 8k,"
                      " zero_shot_top1: 60}, {samples: 16k, zero_shot_top1: 70}]}\n");
  assert_int_equal(e->report.reference_count, 2);
  assert_true(spec_cell_matches(&e->cells[1], &e->report.references[1].where));
  assert_false(spec_cell_matches(&e->cells[0], &e->report.references[1].where));
  spec_free(e);
}

static void one_seed_of_a_row_is_no_row(void **state) {
  (void)state;
#define MATRIX SETTINGS "matrix: {mask_ratio: [0, 0.5], seed: [0, 1]}\n"
  assert_message(
      MATRIX "report: {rows: mask_ratio, baseline: {mask_ratio: 0, seed: 1}}\n",
      "test.yaml:3:54: baseline: the seeds of a row are averaged: leave seed out, or add "
      "it to rows\n"
      "    3 | report: {rows: mask_ratio, baseline: {mask_ratio: 0, seed: 1}}\n"
      "      |                                                      ^~~~");
  assert_refused(MATRIX "report: {rows: mask_ratio, reference: [{mask_ratio: 0, seed: 0, "
                        "zero_shot_top1: 70}]}\n",
                 "reference: the seeds of a row are averaged");
  assert_refused(MATRIX
                 "claims: [{claim: c, metric: zero_shot_top1, of: {mask_ratio: 0.5, seed: 1},"
                 " against: {mask_ratio: 0}, expect: greater}]\n",
                 "of: the seeds of a row are averaged");
  spec_free(
      expand(MATRIX "report: {rows: [mask_ratio, seed], baseline: {mask_ratio: 0, seed: 1}}\n"));
  spec_free(expand(SETTINGS "matrix: {mask_ratio: [0, 0.5], seed: [3]}\n"
                            "report: {rows: mask_ratio, baseline: {mask_ratio: 0, seed: 3}}\n"));
#undef MATRIX
}

/* A table shows one number of them. */
static void tunings_of_a_row_are_the_same_but_for_the_seed(void **state) {
  (void)state;
#define MATRIX SETTINGS "matrix: {mask_ratio: [0, 0.5], seed: [0, 1, 2]}\n"
  assert_refused(MATRIX "tuning:\n  a: {from: '${cell}', when: {seed: 0}, samples: 100}\n"
                        "  b: {from: '${cell}', when: {seed: 2}, samples: 200}\n",
                 "'mask_ratio=0 seed=0 · a tuning' and 'mask_ratio=0 seed=2 · b tuning' differ in "
                 "samples: tunings of cells that form a row would be averaged");
  assert_refused(MATRIX "tuning:\n  a: {from: '${cell}', samples: 100}\n"
                        "  b: {from: '${a}', when: {seed: 0}, samples: 100}\n"
                        "  c: {from: '${a}', when: {seed: 1}, samples: 100, weight_decay: 0.5}\n",
                 "c tuning' differ in weight_decay");
  spec_free(expand(MATRIX "tuning: {a: {from: '${cell}', samples: 100}}\n"
                          "report: {rows: mask_ratio}\n"));
  spec_free(expand(MATRIX "tuning:\n  a: {from: '${cell}', when: {mask_ratio: 0}, samples: 100}\n"
                          "  b: {from: '${cell}', when: {mask_ratio: 0.5}, samples: 200}\n"));
  const char *set_cell[] = {"tuning=a,seed=1:samples=200"};
  const char text[] = MATRIX "tuning: {a: {from: '${cell}', samples: 100}}\n";
  spec_options options = {.set_cell = set_cell, .set_cell_count = 1};
  spec_experiment *e = NULL;
  assert_fails_with(spec_parse("test.yaml", text, strlen(text), &options, &e), "differ in samples");
#undef MATRIX
}

/* Such a claim could never be judged. */
static void a_claim_is_of_rows_with_a_common_seed(void **state) {
  (void)state;
#define MATRIX                                                                                     \
  SETTINGS "matrix: {mask_ratio: [0, 0.5], seed: [3, 5]}\nreport: {rows: [mask_ratio, seed]}\n"
#define CLAIM(of, against)                                                                         \
  "claims: [{claim: c, metric: zero_shot_top1, of: " of ", against: " against                      \
  ", expect: greater}]\n"
  assert_message(
      MATRIX CLAIM("{mask_ratio: 0, seed: 3}", "{mask_ratio: 0.5, seed: 5}"),
      "test.yaml:4:84: the rows of the claim have no seed in common: they are compared seed by "
      "seed\n"
      "    4 | claims: [{claim: c, metric: zero_shot_top1, of: {mask_ratio: 0, seed: 3}, against: "
      "{mask_ratio: 0.5, seed: 5}, expect: greater}]\n"
      "      |                                                                                    "
      "^");
  spec_free(expand(MATRIX CLAIM("{mask_ratio: 0.5, seed: 3}", "{mask_ratio: 0, seed: 3}")));
#undef MATRIX
#undef CLAIM
}

/* The curves, and the accuracy that both reach, are of evaluations during training. */
static void iso_is_measured_during_training(void **state) {
  (void)state;
  assert_refused(SETTINGS "report: {iso: linear_probe_top1}\n",
                 "iso: 'linear_probe_top1' is not measured during training");
  assert_refused(SETTINGS "report: {iso: tuned_zero_shot_top1}\n", "not measured during training");
  spec_experiment *e =
      expand(SETTINGS "report: {columns: [linear_probe_top1, retrieval_i2t_r5]}\n");
  assert_string_equal(e->report.iso->name, "retrieval_i2t_r5");
  spec_free(e);
}

static void an_entry_without_effect_is_refused(void **state) {
  (void)state;
#define MATRIX                                                                                     \
  SETTINGS "matrix: {v: [{label: small, mask_ratio: 0.75}, {label: large, mask_ratio: 0.5}]}\n"
  assert_refused(MATRIX "tuning: {t: {from: '${cell}', when: {mask_ratio: 0.6}, samples: 1k}}\n",
                 "when: no cell has mask_ratio 0.6");
  assert_refused(MATRIX "tuning: {t: {from: '${cell}', unless: {v: [small, smal]}, samples: 1k}}\n",
                 "unless: no cell has v smal");
  assert_refused(MATRIX "profiles: {p: {}}\ntuning: {t: {from: '${cell}', when: {mask_ratio: 0.75, "
                        "v: large}, samples: 1k}}\n",
                 "tuning 't' makes no cell: none matches its when");
  assert_refused(MATRIX "limits: [{when: {mask_ratio: 0.51}, time: 5m}]\n",
                 "when: no cell has mask_ratio 0.51");
  assert_refused(MATRIX "report: {main_set: [emoji]}\n",
                 "main_set takes the name of one evaluation set");
  assert_refused(MATRIX "report: {columns: [zero_shot_top1, zero_shot_top1]}\n",
                 "column 'zero_shot_top1' is listed twice");
#undef MATRIX
}

static void cells_of_one_axis_alone_are_not_averaged_with_others(void **state) {
  (void)state;
  spec_experiment *e = NULL;
  assert_fails_with(parse(SETTINGS "matrix: {mask_ratio: [0, 0.5], seed: [0, 1]}\n"
                                   "include: [{mask_ratio: 0.5, ranks: 2, seed: 1}]\n"
                                   "report: {rows: mask_ratio}\n",
                          NULL, &e),
                    "rows leave out 'ranks': cells that differ in it would be averaged");
}

static void rows_that_would_average_are_found_beyond_64_cells(void **state) {
  (void)state;
  spec_experiment *e = NULL;
  strbuf text = {0};
  strbuf_append(&text, SETTINGS "matrix: {mask_ratio: [0, 0.5], seed: [1");
  for (int seed = 2; seed <= 100; seed++) strbuf_format(&text, ", %d", seed);
  strbuf_append(&text, "]}\ninclude: [{mask_ratio: 0.5, seed: 100, batch_size: 32}]\n"
                       "report: {rows: mask_ratio}\n");
  assert_fails_with(parse(strbuf_string(&text), NULL, &e),
                    "rows leave out 'batch_size': cells that differ in it would be averaged");
  strbuf_free(&text);
}

static void a_figure_can_be_of_any_column_against_an_axis(void **state) {
  (void)state;
  spec_experiment *e = expand(SETTINGS "matrix: {mask_ratio: [0, 0.5]}\n"
                                       "report: {plots: [final_loss against mask_ratio, "
                                       "zero_shot_top1 against peak_memory]}\n");
  assert_int_equal(e->report.plots.count, 2);
  spec_free(e);
  assert_fails_with(parse(SETTINGS "report: {plots: [final_los against samples]}\n", NULL, &e),
                    "test.yaml:2:18: plot 'final_los against samples': write it as");
}

/* A mean of tuned and untuned seeds is of neither. */
static void a_final_accuracy_is_of_seeds_that_are_all_tuned_or_none(void **state) {
  (void)state;
#define MATRIX SETTINGS "matrix: {mask_ratio: [0, 0.5], seed: [0, 1]}\n"
#define TUNED "tuning: {a: {from: '${cell}', when: {mask_ratio: 0.5, seed: 1}, samples: 100}}\n"
#define CLAIM(what)                                                                                \
  "claims: [{claim: c, " what ", of: {mask_ratio: 0.5}, against: {mask_ratio: 0}, "                \
  "expect: greater}]\n"
  assert_refused(MATRIX TUNED "report: {rows: mask_ratio, columns: [final_zero_shot_top1]}\n",
                 "'mask_ratio=0.5 seed=1' is tuned and 'mask_ratio=0.5 seed=0' is not: "
                 "final_zero_shot_top1 would average tuned and untuned runs of one row");
  assert_refused(MATRIX TUNED "report: {rows: mask_ratio, baseline: {mask_ratio: 0}, columns: "
                              "[iso_speedup]}\n",
                 "iso_speedup would average");
  assert_refused(MATRIX TUNED CLAIM("metric: final_zero_shot_top1"),
                 "of: only one of 'mask_ratio=0.5 seed=0' and 'mask_ratio=0.5 seed=1' is tuned");
  assert_refused(MATRIX TUNED CLAIM("compare: speedup"), "is tuned, so that a mean of them");
  spec_free(
      expand(MATRIX TUNED "report: {rows: mask_ratio, columns: [tuned_zero_shot_top1]}\n" CLAIM(
          "metric: zero_shot_top1")));
  spec_free(expand(MATRIX TUNED "report: {rows: [mask_ratio, seed], columns: "
                                "[final_zero_shot_top1]}\n"));
  spec_free(expand(MATRIX "tuning: {a: {from: '${cell}', when: {mask_ratio: 0.5}, samples: 100}}\n"
                          "report: {rows: mask_ratio, columns: [final_zero_shot_top1]}\n" CLAIM(
                              "metric: final_zero_shot_top1")));
#undef MATRIX
#undef TUNED
#undef CLAIM
}

static void write_set(const char *path, const char *text) {
  FILE *file = fopen(path, "w");
  assert_non_null(file);
  assert_true(fputs(text, file) >= 0 && fclose(file) == 0);
}

static void a_set_is_one_of_the_cells(void **state) {
  (void)state;
#define SETS(paths) SETTINGS "matrix: {eval.sets: [[" paths "]]}\n"
  write_set("own.yaml", "name: own\n");
  write_set("other.yaml", "name: other\n");
  assert_message(
      SETS("own.yaml, other.yaml") "report:\n"
                                   "  main_set: ohter\n"
                                   "  columns: [zero_shot_top1@own, zero_shot_top1@onw]\n"
                                   "  reference: [{eval.sets: [own.yaml, other.yaml], "
                                   "zero_shot_top1@o: 60}]\n"
                                   "  plots: [zero_shot_top1@p against samples]\n",
      "test.yaml:4:13: no cell has an evaluation set called 'ohter' (own, other)\n"
      "    4 |   main_set: ohter\n"
      "      |             ^~~~~\n"
      "test.yaml:5:33: no cell has an evaluation set called 'onw' (own, other)\n"
      "    5 |   columns: [zero_shot_top1@own, zero_shot_top1@onw]\n"
      "      |                                 ^~~~~~~~~~~~~~~~~~\n"
      "test.yaml:6:51: no cell has an evaluation set called 'o' (own, other)\n"
      "    6 |   reference: [{eval.sets: [own.yaml, other.yaml], zero_shot_top1@o: 60}]\n"
      "      |                                                   ^~~~~~~~~~~~~~~~\n"
      "test.yaml:7:11: no cell has an evaluation set called 'p' (own, other)\n"
      "    7 |   plots: [zero_shot_top1@p against samples]\n"
      "      |           ^~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~");
  spec_free(expand(SETS("own.yaml, other.yaml") "report: {main_set: other, shifted_set: own}\n"));
  /* another machine's file: what it is called cannot be known here */
  spec_free(expand(SETS("own.yaml, absent.yaml") "report: {main_set: absent}\n"));
#undef SETS
}

/* They would reach terminals: an experiment may come from anybody, in a bundle. */
static void control_characters_are_refused(void **state) {
  (void)state;
  assert_message(SETTINGS "title: \"nice \\e]0;owned\\a\"\n",
                 "test.yaml:2:8: contains the control character U+001B\n"
                 "    2 | title: \"nice \\e]0;owned\\a\"\n"
                 "      |        ^~~~~~~~~~~~~");
  assert_refused(SETTINGS "matrix: {way: [{label: \"a\\x7F\", mask_ratio: 0}]}\n", "U+007F");
  assert_refused(SETTINGS "title: \"\\x9B31m\"\n", "U+009B");
  spec_free(expand(SETTINGS "title: \"two\\nlines, ä 日\"\n"));
}

/* Names of rows are also parts of lines: of tables, and of the scripts of figures, where a line may
 * be a command. */
static void a_name_is_one_line(void **state) {
  (void)state;
  assert_message(SETTINGS "matrix: {way: [{label: \"a\\nb\", mask_ratio: 0}]}\n",
                 "test.yaml:2:24: contains the control character U+000A\n"
                 "    2 | matrix: {way: [{label: \"a\\nb\", mask_ratio: 0}]}\n"
                 "      |                        ^~");
  assert_refused(SETTINGS "matrix: {way: [{label: \"a\\tb\", mask_ratio: 0}]}\n", "U+0009");
  assert_refused(SETTINGS "matrix: {\"a\\n!b\": [{label: c, mask_ratio: 0}]}\n", "U+000A");
  assert_refused(SETTINGS "matrix: {data.train: [\"a\\nb\", c]}\n", "U+000A");
  spec_free(expand(SETTINGS "matrix: {way: [{label: \"ä 日\", mask_ratio: 0}]}\n"));
}

static void multiples_of_two_chance_levels_are_not_subtracted(void **state) {
  (void)state;
  assert_refused(SETTINGS "matrix: {mask_ratio: [0, 0.5]}\n"
                          "claims: [{claim: c, metric: retrieval_x_chance@a, against_metric: "
                          "retrieval_x_chance@b, of: {mask_ratio: 0}, expect: greater}]\n",
                 "multiples of chance on two sets are of two scales");
}

static void a_claim_does_not_compare_a_row_with_itself(void **state) {
  (void)state;
#define CLAIM(words)                                                                               \
  SETTINGS                                                                                         \
  "matrix: {mask_ratio: [0, 0.5], seed: [0, 1]}\n"                                                 \
  "claims: [{claim: c, metric: zero_shot_top1, expect: greater, of: {mask_ratio: 0.5}, " words     \
  "}]\n"
  assert_refused(CLAIM("against: {mask_ratio: 0.5}"), "the claim compares a row with itself");
  assert_refused(CLAIM("against_metric: zero_shot_top1"), "the claim compares a row with itself");
  spec_free(expand(CLAIM("against: {mask_ratio: 0}")));
  spec_free(expand(CLAIM("against: {mask_ratio: 0.5}, against_metric: zero_shot_top1@a")));
#undef CLAIM
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_final_accuracy_is_of_seeds_that_are_all_tuned_or_none),
      cmocka_unit_test_setup_teardown(a_set_is_one_of_the_cells, enter_folder, leave_folder),
      cmocka_unit_test(control_characters_are_refused),
      cmocka_unit_test(a_name_is_one_line),
      cmocka_unit_test(a_claim_does_not_compare_a_row_with_itself),
      cmocka_unit_test(multiples_of_two_chance_levels_are_not_subtracted),
      cmocka_unit_test(the_report_knows_its_columns_baseline_and_references),
      cmocka_unit_test(the_report_is_checked_too),
      cmocka_unit_test(a_baseline_is_one_row),
      cmocka_unit_test(a_reference_belongs_to_one_row),
      cmocka_unit_test(one_seed_of_a_row_is_no_row),
      cmocka_unit_test(tunings_of_a_row_are_the_same_but_for_the_seed),
      cmocka_unit_test(a_claim_is_of_rows_with_a_common_seed),
      cmocka_unit_test(iso_is_measured_during_training),
      cmocka_unit_test(an_entry_without_effect_is_refused),
      cmocka_unit_test(cells_of_one_axis_alone_are_not_averaged_with_others),
      cmocka_unit_test(rows_that_would_average_are_found_beyond_64_cells),
      cmocka_unit_test(a_figure_can_be_of_any_column_against_an_axis),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
