/* Regenerated tables: what is equal, what differs, and how that is shown. */
#include "support/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report/agreement_table.h"
#include "report/table_changes.h"

static void tables_are_the_same_whatever_their_runs_are_numbered(void **state) {
  (void)state;
  static const char first[] = "{\"rows\":[{\"cells\":2,\"runs\":[1,2],\"values\":"
                              "{\"loss\":{\"value\":1.5,\"runs\":[1,2]}}}],\"title\":\"t\"}";
  static const char again[] = "{\"rows\":[{\"cells\":2,\"runs\":[7,9],\"values\":"
                              "{\"loss\":{\"value\":1.5000000000000002,\"runs\":[1,2]}}}],"
                              "\"title\":\"t\"}";
  static const char other[] = "{\"rows\":[{\"cells\":2,\"runs\":[1,2],\"values\":"
                              "{\"loss\":{\"value\":1.25,\"runs\":[1,3],\"low\":1}}}]}";
  strbuf told = {0};
  size_t count;
  assert_ok(table_changes(first, again, &told, &count));
  assert_int_equal(count, 0);
  assert_ok(table_changes(first, other, &told, &count));
  assert_int_equal(count, 4);
  assert_non_null(strstr(strbuf_string(&told), "rows[0].values.loss.value: 1.5 → 1.25"));
  assert_non_null(strstr(strbuf_string(&told), "rows[0].values.loss.runs[1]: 2 → 3"));
  assert_non_null(strstr(strbuf_string(&told), "rows[0].values.loss.low: nothing → 1"));
  assert_non_null(strstr(strbuf_string(&told), "title: \"t\" → nothing"));
  assert_fails_with(table_changes(first, "no table", &told, &count), "not valid JSON");
  strbuf_free(&told);
}

static report_value number(double value) {
  return (report_value){
      .value = value, .half_width = NAN, .low = NAN, .high = NAN, .reference = NAN};
}

static void each_number_is_compared_with_the_recorded_one(void **state) {
  (void)state;
  report_column columns[] = {
      {"final_loss", "loss", "", columns_find("final_loss"), 3, false, false},
      {"samples_per_second", "speed", "samples/s", columns_find("samples_per_second"), 0, false,
       false}};
  char *heading = "mask", *name = "0 %", *key = "0";
  report_value before[] = {number(3.4621), number(1000)}, after[] = {number(3.5), number(500)};
  report_row rows[] = {{.keys = &name, .key_values = &key, .values = before},
                       {.keys = &name, .key_values = &key, .values = after}};
  report_table first = {.key_headings = &heading,
                        .key_count = 1,
                        .columns = columns,
                        .column_count = 2,
                        .rows = &rows[0],
                        .row_count = 1};
  report_table again = first;
  agreement_count n;
  strbuf out = {0};
  again.rows = &rows[1];
  assert_ok(agreement_write_table(&first, &again, &out, &n));
  assert_int_equal(n.differing, 1);
  assert_int_equal(n.machine, 1);
  assert_non_null(strstr(strbuf_string(&out), "3.462"));
  assert_non_null(strstr(strbuf_string(&out), "+1.09 %  DIFFERS\n"));
  assert_non_null(strstr(strbuf_string(&out), "−50 %  depends on the machine\n"));
  strbuf_clear(&out);
  after[0] = number(NAN);
  assert_ok(agreement_write_table(&first, &again, &out, &n));
  assert_int_equal(n.missing, 1);
  assert_non_null(strstr(strbuf_string(&out), "MISSING\n"));
  strbuf_free(&out);
}

static void times_of_every_kind_are_the_machines_own(void **state) {
  (void)state;
  static const char *const names[] = {"samples_per_second",
                                      "samples_per_second_run",
                                      "steady_seconds",
                                      "train_seconds",
                                      "start_seconds",
                                      "cpu_seconds",
                                      "mfu",
                                      "wall_time_ratio",
                                      "iso_speedup",
                                      "lost_share",
                                      "memory_ratio",
                                      "samples_per_second_per_rank"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    report_column c = {"", "", "", columns_find(names[i]), 0, false, false};
    report_value before = number(1), after = number(2);
    report_row first = {.values = &before}, again = {.values = &after};
    assert_int_equal(agreement_judge(&c, &first, &again, 0), AGREEMENT_MACHINE);
  }
}

static agreement judge_accuracies(double *first, double *again, size_t seeds) {
  report_column c = {
      "zero_shot_top1", "top-1", "%", columns_find("zero_shot_top1"), 1, false, false};
  report_value values[2] = {number(0), number(0)};
  report_row rows[2];
  double *parts[2] = {first, again};
  for (int k = 0; k < 2; k++) {
    for (size_t i = 0; i < seeds; i++) values[k].value += parts[k][i] / (double)seeds;
    values[k].low = values[k].value - 20; /* over images, which are the same */
    values[k].high = values[k].value + 20;
    values[k].parts = parts[k];
    rows[k] = (report_row){.values = &values[k], .cells = seeds};
  }
  return agreement_judge(&c, &rows[0], &rows[1], 0);
}

/* Of three seeds 1 apart Student's interval is 4.30265 / sqrt(3) = 2.484 either way. */
static void accuracies_agree_within_their_spread_over_seeds(void **state) {
  (void)state;
  double first[] = {31, 32, 33}, near[] = {35.9, 36.9, 37.9}, far[] = {36, 37, 38};
  assert_int_equal(judge_accuracies(first, near, 3), AGREEMENT_WITHIN);
  assert_int_equal(judge_accuracies(near, first, 3), AGREEMENT_WITHIN);
  assert_int_equal(judge_accuracies(first, far, 3), AGREEMENT_DIFFERS);
  assert_int_equal(judge_accuracies(far, first, 3), AGREEMENT_DIFFERS);
  double lost[] = {31, NAN, 33}; /* 12.7062 sqrt(2 / 2) = 12.7 of two */
  report_column c = {
      "zero_shot_top1", "top-1", "%", columns_find("zero_shot_top1"), 1, false, false};
  report_value two = number(32), alone = number(44.7);
  two.parts = lost;
  report_row rows[] = {{.values = &two, .cells = 3}, {.values = &alone, .cells = 1}};
  assert_int_equal(agreement_judge(&c, &rows[0], &rows[1], 0), AGREEMENT_WITHIN);
  alone.value = 44.8;
  assert_int_equal(agreement_judge(&c, &rows[0], &rows[1], 0), AGREEMENT_DIFFERS);
  assert_int_equal(judge_accuracies(first, &first[1], 1), AGREEMENT_DIFFERS); /* one has none */
  double rounded[] = {31.04};
  assert_int_equal(judge_accuracies(first, rounded, 1), AGREEMENT_PRINTED);
}

/* A loss has the interval that is shown; where the two meet, they agree. */
static void other_numbers_agree_within_their_intervals(void **state) {
  (void)state;
  report_column c = {"final_loss", "loss", "", columns_find("final_loss"), 3, false, false};
  report_value before = number(3), after = number(4);
  report_row first = {.values = &before}, again = {.values = &after};
  before.low = 2.5, before.high = 3.5;
  assert_int_equal(agreement_judge(&c, &first, &again, 0), AGREEMENT_DIFFERS);
  after.low = 3.25, after.high = 4.75;
  assert_int_equal(agreement_judge(&c, &first, &again, 0), AGREEMENT_WITHIN);
  assert_int_equal(agreement_judge(&c, &again, &first, 0), AGREEMENT_WITHIN);
  after.low = 3.75, after.high = 4.25;
  assert_int_equal(agreement_judge(&c, &first, &again, 0), AGREEMENT_DIFFERS);
  assert_int_equal(agreement_judge(&c, &again, &first, 0), AGREEMENT_DIFFERS);
}

/* Recorded: a row on older data more than there is here. */
static void rows_are_compared_by_their_keys(void **state) {
  (void)state;
  report_column columns[] = {
      {"final_loss", "loss", "", columns_find("final_loss"), 3, false, false}};
  char *heading = "mask", *names[] = {"0 %", "50 %"}, *keys[] = {"0", "0.5"};
  report_value older = number(3), dense = number(2), half = number(1);
  report_row rows[] = {
      {.keys = &names[0], .key_values = &keys[0], .values = &older, .has_other_inputs = true},
      {.keys = &names[0], .key_values = &keys[0], .values = &dense},
      {.keys = &names[1], .key_values = &keys[1], .values = &half}};
  report_table first = {.key_headings = &heading,
                        .key_count = 1,
                        .columns = columns,
                        .column_count = 1,
                        .rows = rows,
                        .row_count = 3};
  report_table again = first;
  agreement_count n;
  strbuf out = {0};
  again.rows = rows + 1;
  again.row_count = 2;
  assert_ok(agreement_write_table(&first, &again, &out, &n));
  assert_int_equal(n.same, 2);
  assert_int_equal(n.missing, 1);
  assert_int_equal(n.differing, 0);
  assert_non_null(strstr(strbuf_string(&out), "mask 0 % ‡ · loss"));
  strbuf_clear(&out);
  assert_ok(agreement_write_table(&again, &first, &out, &n));
  assert_int_equal(n.same, 2);
  assert_int_equal(n.missing + n.differing, 0);
  strbuf_free(&out);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(tables_are_the_same_whatever_their_runs_are_numbered),
      cmocka_unit_test(each_number_is_compared_with_the_recorded_one),
      cmocka_unit_test(times_of_every_kind_are_the_machines_own),
      cmocka_unit_test(accuracies_agree_within_their_spread_over_seeds),
      cmocka_unit_test(other_numbers_agree_within_their_intervals),
      cmocka_unit_test(rows_are_compared_by_their_keys),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
