#include "support/test.h"

#include <math.h>

#include "report/agreement.h"
#include "report/findings.h"
#include "report/provenance.h"
#include "report/sources.h"
#include "report/write.h"

/* A table of two rows and three columns, made by hand: seeds, a published value that nobody has
 * checked, a missing number, and characters that every format must take care of. */
static char *key_headings[] = {"mask"}, *key_names[] = {"mask_ratio"};
static char *first_key[] = {"0 %"}, *second_key[] = {"a|b_50 %"};
static char *first_value[] = {"0"}, *second_value[] = {"a,\"b\""};
static char *labels[] = {"mask_ratio=0.5 seed=0", "mask_ratio=0.5 seed=1"};
static int64_t runs[] = {7, 9};
static double parts[] = {69.0, 70.0};
static report_value values[2][3];
static report_column columns[3];
static report_row rows[2];
static report_table table;

static int make_table(void **state) {
  (void)state;
  const report_value none = {.value = NAN,
                             .half_width = NAN,
                             .low = NAN,
                             .high = NAN,
                             .reference = NAN,
                             .difference = {.value = NAN, .low = NAN, .high = NAN}};
  columns[0] = (report_column){
      "zero_shot_top1", "zero-shot top-1", "%", columns_find("zero_shot_top1"), 1, true, true};
  columns[1] = (report_column){
      "iso_speedup", "iso-accuracy", "×", columns_find("iso_speedup"), 2, false, true};
  columns[2] = (report_column){"tuned_zero_shot_top1",
                               "tuned top-1",
                               "%",
                               columns_find("tuned_zero_shot_top1"),
                               1,
                               false,
                               false};
  for (int r = 0; r < 2; r++)
    for (int c = 0; c < 3; c++) values[r][c] = none;
  values[0][0].value = 68.6;
  values[0][1].missing = report_is_baseline;
  values[0][2].missing = "no tuning starts from this row";
  values[1][0] = (report_value){.value = 69.5,
                                .half_width = 0.75,
                                .low = 68.75,
                                .high = 70.25,
                                .reference = 70.25,
                                .difference = {0.9, -0.2, 2.0, 12, 0, "seeds and paired images"},
                                .seeds = 2,
                                .items = 809,
                                .over = "seeds and images",
                                .is_best = true,
                                .parts = parts};
  values[1][1].value = 3.7;
  values[1][1].low = 3.1;
  values[1][1].high = 4.0;
  values[1][2].value = 70.1;
  rows[0] = (report_row){.keys = first_key,
                         .key_values = first_value,
                         .values = values[0],
                         .cells = 1,
                         .finished = 1,
                         .runs = runs,
                         .labels = labels};
  rows[1] = (report_row){.keys = second_key,
                         .key_values = second_value,
                         .values = values[1],
                         .cells = 2,
                         .finished = 2,
                         .runs = runs,
                         .labels = labels,
                         .missing = "mask_ratio=0.5 seed=2: failed: out of memory\nmask_ratio=0.5 "
                                    "seed=3: not run",
                         .disturbed = 1,
                         .lost_share = 0.25};
  table = (report_table){
      .title = "Mask & ratio",
      .name = "t",
      .key_headings = key_headings,
      .key_names = key_names,
      .key_count = 1,
      .columns = columns,
      .column_count = 3,
      .rows = rows,
      .row_count = 2,
      .notes = {.disturbed = "† disturbed", .basis = "2 seeds", .accuracy = "<b> minus *a*: 0.1"},
      .source = "Li et al.",
      .has_unverified = true};
  return 0;
}

static void assert_has(const strbuf *out, const char *part) {
  if (!strstr(strbuf_string(out), part)) fail_msg("'%s' is not in:\n%s", part, strbuf_string(out));
}

static void text_shows_interval_published_value_difference_and_reasons(void **state) {
  (void)state;
  strbuf out = {0};
  report_write_text(&table, &(report_style){0}, &out);
  assert_has(&out, "69.5 ± 0.8 (~70.25, −0.75)"); /* 70.2 was not published */
  assert_has(&out, "3.70 [3.10, 4.00]");
  assert_has(&out, "– mask_ratio=0.5 seed=2: failed: out of memory\n"
                   "– mask_ratio=0.5 seed=3: not run\n");
  assert_has(&out, "– tuned top-1 of mask 0 %: no tuning starts from this row\n");
  assert_has(&out, "(in brackets: Li et al., and the difference from it; ~ unverified)\n");
  assert_null(strstr(strbuf_string(&out), "baseline"));
  assert_null(strstr(strbuf_string(&out), "\033")); /* no colour was asked for */
  strbuf_clear(&out);
  report_write_text(&table, &(report_style){.has_colour = true}, &out);
  assert_has(&out, "\033[1m69.5\033[0m");
  strbuf_free(&out);
}

/* Rows are told apart by their names. */
static void a_mask_is_named_with_all_its_digits(void **state) {
  (void)state;
  static const char *const names[][2] = {{"0.5042", "50.42 %"},
                                         {"0.5044", "50.44 %"},
                                         {"0.07", "7 %"},
                                         {"0.918", "91.8 %"},
                                         {"1", "100 %"}};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    strbuf out = {0};
    report_name_value("mask_ratio", names[i][0], &out);
    assert_string_equal(strbuf_string(&out), names[i][1]);
    strbuf_free(&out);
  }
}

/* A published 0.4 s is not 0 s; what rounds to no difference has no sign; and 0.37 s beside it is
 * more than "0". */
/* Means of equal numbers differ in their last digit: no more digits are shown for it. */
static void a_width_of_rounding_adds_no_digits(void **state) {
  (void)state;
  const report_column share = {.name = (char *)"zero_shot_top1", .digits = 1};
  const double rounding = 4e-16;
  const report_value cases[] = {
      {.value = 1.87, .half_width = NAN, .low = 1.87 - rounding, .high = 1.87 + rounding},
      {.value = 5, .half_width = 5 * rounding, .low = 5 - 5 * rounding, .high = 5 + 5 * rounding},
      {.value = 5, .half_width = 0.004, .low = 4.996, .high = 5.004},
      {.value = 0, .half_width = NAN, .low = 0, .high = 0.02}};
  const char *wanted[] = {"1.9 [1.9, 1.9]", "5.0 ± 0.0", "5.000 ± 0.004", "0.00 [0.00, 0.02]"};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    strbuf shown = {0};
    report_format_value(&share, &cases[i], &shown);
    assert_string_equal(strbuf_string(&shown), wanted[i]);
    strbuf_free(&shown);
  }
}

static void published_and_small_numbers_keep_the_digits_that_they_have(void **state) {
  (void)state;
  const report_column seconds = {.name = (char *)"train_seconds", .digits = 0};
  const struct {
    double value, low, high, published;
    const char *wanted, *difference;
  } cases[] = {{0.3712, NAN, NAN, 0.4, "0.37", "0.4, −0.03"},
               {2.49, NAN, NAN, 2.49, "2.5", "2.49, 0.00"},
               {3.94, NAN, NAN, 2.49, "3.9", "2.49, +1.45"},
               {9.96, NAN, NAN, 10, "10", "10, 0"},
               {7, NAN, NAN, 8, "7", "8, −1"},
               {12.4, NAN, NAN, 12, "12", "12, 0"},
               {3.94, 1, 8, 4, "4", "4, 0"},
               {1234.5, NAN, NAN, 1200.0001, "1234", "1200.000, +34.500"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const report_value v = {.value = cases[i].value,
                            .low = cases[i].low,
                            .high = cases[i].high,
                            .half_width = NAN,
                            .reference = cases[i].published,
                            .is_reference_verified = true};
    strbuf own = {0}, published = {0};
    report_format_bare(&seconds, &v, &own);
    report_format_reference(&seconds, &v, &published);
    assert_string_equal(strbuf_string(&own), cases[i].wanted);
    assert_string_equal(strbuf_string(&published), cases[i].difference);
    strbuf_free(&own);
    strbuf_free(&published);
  }
}

/* What is missing is explained wherever the table is shown, and means of fewer seeds are told. */
static void gaps_are_explained_in_every_format(void **state) {
  (void)state;
  values[1][2].seeds = 1;
  void (*const writers[])(const report_table *, strbuf *) = {report_write_markdown,
                                                             report_write_latex, report_gaps};
  for (size_t i = 0; i < sizeof writers / sizeof *writers; i++) {
    strbuf out = {0};
    writers[i](&table, &out);
    assert_has(&out, "tuned top-1 of mask 0 ");
    assert_has(&out, ": no tuning starts from this row");
    assert_has(&out, ": of 1 of the 2 seeds that have finished");
    assert_null(strstr(strbuf_string(&out), "this is the baseline"));
    strbuf_free(&out);
  }
  values[1][2].seeds = 0;
}

/* Rows that differ in their mark alone, columns in their units: those meant are named. */
static void gaps_name_the_row_and_the_column_that_is_meant(void **state) {
  (void)state;
  char *same_key[] = {"0 %"};
  columns[0].heading = columns[2].heading = "time";
  columns[0].unit = "s";
  columns[2].unit = "ratio";
  rows[1].keys = same_key;
  rows[1].has_other_inputs = true;
  values[1][0].seeds = 1;
  values[1][2].value = NAN;
  values[1][2].missing = "the baseline had other inputs";
  strbuf out = {0};
  report_gaps(&table, &out);
  assert_string_equal(strbuf_string(&out),
                      "time (ratio) of mask 0 %: no tuning starts from this row\n"
                      "time (ratio) of mask 0 % ‡: the baseline had other inputs\n"
                      "time (s) of mask 0 % ‡: of 1 of the 2 seeds that have "
                      "finished\n");
  strbuf_free(&out);
}

static void an_unbounded_interval_is_marked_in_every_format(void **state) {
  (void)state;
  strbuf out = {0};
  values[1][1].high = INFINITY;
  report_write_text(&table, &(report_style){0}, &out);
  assert_has(&out, "3.70 [3.10, ∞]");
  strbuf_clear(&out);
  report_write_csv(&table, &out);
  assert_has(&out, ",3.7,3.1,inf,,70.1");
  strbuf_clear(&out);
  report_write_latex(&table, &out);
  assert_has(&out, "3.70 [3.10, $\\infty$]");
  strbuf_clear(&out);
  report_write_json(&table, &out);
  assert_has(&out, "\"low\":3.1,\"high\":null,\"unbounded\":true");
  strbuf_free(&out);
}

static void a_disturbed_row_is_marked_and_explained_in_every_format(void **state) {
  (void)state;
  strbuf out = {0};
  report_write_text(&table, &(report_style){0}, &out);
  assert_has(&out, "a|b_50 % †");
  assert_has(&out, "† disturbed\n<b> minus *a*: 0.1\n2 seeds\n");
  strbuf_clear(&out);
  report_write_markdown(&table, &out);
  assert_has(&out, "a\\|b\\_50 % † |");
  assert_has(&out, "† disturbed.\n");
  strbuf_clear(&out);
  report_write_latex(&table, &out);
  assert_has(&out, "50 \\% $^\\dagger$");
  assert_has(&out, "\\footnotesize $^\\dagger$ disturbed.");
  strbuf_free(&out);
}

static void markdown_takes_care_of_its_own_characters(void **state) {
  (void)state;
  strbuf out = {0};
  char *before = table.key_headings[0];
  table.key_headings[0] = "v|x";
  report_write_markdown(&table, &out);
  table.key_headings[0] = before;
  assert_has(&out, "| v\\|x |");
  assert_has(&out,
             "| a\\|b\\_50 % † | **69.5 ± 0.8** (~70.25, −0.75) | 3.70 [3.10, 4.00] | 70.1 |");
  assert_has(&out, "Missing: mask\\_ratio=0.5 seed=2: failed: out of memory.\n"
                   "Missing: mask\\_ratio=0.5 seed=3: not run.\n");
  assert_has(&out, "\\<b> minus \\*a\\*: 0.1.\n");
  strbuf_clear(&out);
  values[1][1].text = "pipe:cat 'a\\b' | tar x\r\n*";
  values[1][1].low = values[1][1].high = NAN;
  report_write_markdown(&table, &out);
  values[1][1].text = NULL;
  assert_has(&out, "| pipe:cat 'a\\\\b' \\| tar x  \\* | 70.1 |");
  strbuf_free(&out);
}

static void latex_takes_care_of_its_own_characters(void **state) {
  (void)state;
  strbuf out = {0};
  report_write_latex(&table, &out);
  assert_has(&out, "\\caption{Mask \\& ratio}");
  assert_has(&out, "mask & \\shortstack[r]{zero-shot top-1\\\\\\%} & "
                   "\\shortstack[r]{iso-accuracy\\\\$\\times$}");
  assert_has(
      &out,
      "a\\textbar{}b\\_50 \\% $^\\dagger$ & \\textbf{69.5 $\\pm$ 0.8} ($\\sim$70.25, $-$0.75) & "
      "3.70 [3.10, 4.00] & 70.1 \\\\");
  assert_has(&out, "\\par\\smallskip{\\footnotesize In brackets: Li et al.");
  assert_has(&out,
             "\\par{\\footnotesize Missing: mask\\_ratio=0.5 seed=2: failed: out of memory.}\n"
             "\\par{\\footnotesize Missing: mask\\_ratio=0.5 seed=3: not run.}\n");
  strbuf_free(&out);
}

static void csv_has_a_column_for_each_part_of_a_value(void **state) {
  (void)state;
  strbuf out = {0};
  report_write_csv(&table, &out);
  assert_has(&out, "mask_ratio,zero_shot_top1,zero_shot_top1_low,zero_shot_top1_high,"
                   "zero_shot_top1_interval_over,"
                   "zero_shot_top1_from_baseline,zero_shot_top1_from_baseline_low,"
                   "zero_shot_top1_from_baseline_high,"
                   "zero_shot_top1_from_baseline_interval_over,zero_shot_top1_reference,"
                   "zero_shot_top1_difference,iso_speedup,iso_speedup_low,iso_speedup_high,"
                   "iso_speedup_interval_over,tuned_zero_shot_top1,seeds,disturbed_runs,"
                   "row_lost_share,given_other,missing\r\n");
  assert_has(&out, "0,68.6,,,,,,,,,,,,,,,1,0,0,0,\r\n");
  assert_has(&out, "\"a,\"\"b\"\"\",69.5,68.75,70.25,seeds and images,0.9,-0.2,2,seeds and "
                   "paired images,70.25,-0.75,3.7,3.1,4,,70.1,2,1,0.25,");
  strbuf_free(&out);
}

static void csv_says_which_numbers_are_of_fewer_seeds(void **state) {
  (void)state;
  strbuf out = {0};
  values[1][2].seeds = 1;
  report_write_csv(&table, &out);
  assert_has(&out, ",tuned_zero_shot_top1,tuned_zero_shot_top1_seeds,seeds,");
  assert_has(&out, ",70.1,1,2,1,0.25,");
  assert_null(strstr(strbuf_string(&out), "zero_shot_top1_seeds,zero")); /* both of its seeds */
  strbuf_free(&out);
}

/* The interval of a time without an end says nothing about the value: no difference is known. */
static void an_unbounded_value_is_compared_in_no_format(void **state) {
  (void)state;
  report_column times[3];
  report_value own[3];
  report_row row = rows[1];
  report_table other = table;
  strbuf out = {0};
  memcpy(times, columns, sizeof times);
  memcpy(own, values[1], sizeof own);
  times[1].has_reference = true;
  own[1].low = 0;
  own[1].high = INFINITY;
  own[1].reference = 0.5;
  row.values = own;
  other.columns = times;
  other.rows = &row;
  other.row_count = 1;
  report_write_csv(&other, &out);
  assert_has(&out, ",iso_speedup_reference,iso_speedup_difference,");
  assert_has(&out, ",3.7,0,inf,,0.5,,");
  strbuf_clear(&out);
  report_write_json(&other, &out);
  assert_has(&out, "\"unbounded\":true,\"reference\":0.5,\"difference\":null");
  strbuf_clear(&out);
  own[1].low = 0.8; /* at least a bound is known, as text has it */
  report_write_csv(&other, &out);
  assert_has(&out, ",3.7,0.8,inf,,0.5,3.2,");
  strbuf_free(&out);
}

static void json_says_how_published_values_compare(void **state) {
  (void)state;
  report_table other = table;
  strbuf out = {0};
  report_write_json(&other, &out);
  assert_null(strstr(strbuf_string(&out), "reference_note"));
  other.reference_note = "; another model";
  strbuf_clear(&out);
  report_write_json(&other, &out);
  assert_has(&out, "\"source\":\"Li et al.\",\"reference_note\":\"another model\"");
  strbuf_free(&out);
}

static void json_has_the_runs_behind_each_number(void **state) {
  (void)state;
  strbuf out = {0};
  int64_t of_tunings[] = {11, 0}; /* the other seed has no tuning */
  values[1][2].runs = of_tunings;
  report_write_json(&table, &out);
  values[1][2].runs = NULL;
  assert_has(&out, "\"runs\":[7,9]");
  assert_has(&out, "\"run_ids\":[11,null]");
  assert_has(&out, "\"reference\":70.25,\"difference\":-0.75,\"reference_verified\":false");
  assert_has(&out, "\"runs\":[69,70]");
  assert_has(&out, "\"low\":68.75,\"high\":70.25,\"interval_over\":\"seeds and images\","
                   "\"half_width\":0.75,\"seeds\":2,\"images\":809");
  assert_has(&out, "\"from_baseline\":{\"value\":0.9,\"low\":-0.2,\"high\":2,"
                   "\"interval_over\":\"seeds and paired "
                   "images\",\"told_from_zero\":false,\"seeds_needed\":12}");
  assert_has(&out, "\"disturbed\":1,\"lost_share\":0.25");
  assert_has(&out, "\"missing\":\"no tuning starts from this row\"");
  strbuf_free(&out);
}

static void a_published_value_is_named_with_its_own_source(void **state) {
  (void)state;
  table.source = NULL;
  values[0][0].reference = 68;
  values[1][0].reference_source = (char *)"Li, Table 6";
  values[0][0].reference_source = (char *)"Li, Table 2";
  assert_ok(sources_write("Li, Table 6", &table));
  assert_string_equal(table.source, "Li, Table 6; of zero-shot top-1 of mask 0 %: Li, Table 2");
  free(table.source);
  values[1][0].reference_source = (char *)"Li, Table 2"; /* the column has one source */
  values[1][2].reference = 74.6;
  values[1][2].reference_source = (char *)"Li, Table 6";
  assert_ok(sources_write("Li, Table 6", &table));
  assert_string_equal(table.source, "Li, Table 6; of zero-shot top-1: Li, Table 2");
  free(table.source);
  values[1][2].reference = NAN; /* all are of one that is not the experiment's */
  assert_ok(sources_write("Li, Table 6", &table));
  assert_string_equal(table.source, "Li, Table 2");
  free(table.source);
  values[0][0].reference_source = values[1][0].reference_source = NULL;
  assert_ok(sources_write(NULL, &table));
  assert_string_equal(table.source, "published values");
  free(table.source);
  table.source = NULL;
  values[0][0].reference = values[1][0].reference = NAN;
  assert_ok(sources_write("Li, Table 6", &table));
  assert_null(table.source);
}

static void agreement_is_by_equality_by_print_or_by_interval(void **state) {
  (void)state;
  report_value again[2][3];
  report_row again_rows[2] = {rows[0], rows[1]};
  report_table other = table;
  strbuf out = {0};
  agreement_count n;
  memcpy(again, values, sizeof again);
  again_rows[0].values = again[0];
  again_rows[1].values = again[1];
  other.rows = again_rows;
  agreement_write(&table, &other, &out, &n);
  assert_int_equal(n.same, 3);
  assert_int_equal(n.machine, 1); /* the speed-up is the machine's own */
  again[0][0].value = 68.62;      /* 68.6 as printed */
  again[1][0].value = 69.0;       /* within 69.5 ± 0.75 */
  again[1][1].value = 2;          /* another machine */
  again[1][1].low = again[1][1].high = 2;
  again[1][2].value = 71.0; /* neither */
  agreement_write(&table, &other, &out, &n);
  assert_int_equal(n.same, 0);
  assert_int_equal(n.printed, 1);
  assert_int_equal(n.within, 1);
  assert_int_equal(n.differing, 1);
  assert_has(&out, "mask a|b_50 % · tuned top-1: 70.1 → 71.0 % (differs)\n");
  assert_has(&out, "(depends on the machine)\n");
  strbuf_free(&out);
}

static void one_seed_on_the_same_images_agrees_by_equality_alone(void **state) {
  (void)state;
  double first_part[] = {68.6}, second_part[] = {67.9};
  report_value again[2][3];
  report_row again_rows[2] = {rows[0], rows[1]};
  report_table other = table;
  strbuf out = {0};
  agreement_count n;
  values[0][0].low = 65; /* on other images */
  values[0][0].high = 72;
  values[0][0].parts = first_part;
  memcpy(again, values, sizeof again);
  again_rows[0].values = again[0];
  again_rows[1].values = again[1];
  other.rows = again_rows;
  again[0][0].value = 67.9;
  again[0][0].parts = second_part;
  agreement_write(&table, &other, &out, &n);
  assert_int_equal(n.differing, 1);
  assert_int_equal(n.within, 0);
  strbuf_free(&out);
}

static void the_state_of_the_machine_is_shown_as_text(void **state) {
  (void)state;
  strbuf out = {0};
  provenance_conditions("{\"clock_driver\":\"intel_pstate\",\"cpus\":2,\"free_bytes\":3221225472,"
                        "\"load\":0.5,\"mhz\":2450.3,\"quota_cpus\":1.5}",
                        &out);
  assert_string_equal(strbuf_string(&out), "clock driver intel_pstate, 2 CPUs, 3.00 GiB free, "
                                           "load 0.5, 2450 MHz, quota 1.5 CPUs");
  strbuf_clear(&out);
  provenance_conditions("{}", &out);
  assert_string_equal(strbuf_string(&out), "");
  strbuf_free(&out);
}

static void what_a_difference_would_take_is_said_up_to_a_sensible_number(void **state) {
  (void)state;
  static const struct {
    size_t seeds, items;
    const char *text;
  } cases[] = {{0, 0, ""},
               {0, 1200, "it would take about 1,200 images"},
               {0, 15000000, "a million images would not decide it"},
               {14, 0, "it would take about 14 seeds"},
               {3400, 0, "a thousand seeds would not decide it"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    strbuf out = {0};
    findings_write_needed(NULL, cases[i].seeds, cases[i].items, &out);
    assert_string_equal(strbuf_string(&out), cases[i].text);
    strbuf_free(&out);
  }
  strbuf out = {0}; /* the items of text-to-image retrieval are captions */
  findings_name_basis(columns_find("retrieval_t2i_r1"), 3, 25010, &out);
  assert_string_equal(strbuf_string(&out), "3 seeds, 25,010 captions");
  strbuf_clear(&out);
  findings_name_basis(columns_find("zero_shot_top1"), 1, 809, &out);
  assert_string_equal(strbuf_string(&out), "one seed, 809 images");
  strbuf_free(&out);
}

/* Six rows without a loss, for one reason; the accuracy of the second is of one of two seeds. */
static void rows_with_the_same_gaps_are_counted(void **state) {
  (void)state;
  static const char reason[] = "a reason";
  char *names[] = {"0", "1", "2", "3", "4", "5"};
  report_column headings[] = {{.heading = "loss"}, {.heading = "top-1"}};
  report_value numbers[6][2];
  report_row listed[6];
  report_table t = {.key_headings = key_headings,
                    .key_count = 1,
                    .columns = headings,
                    .column_count = 2,
                    .rows = listed};
  for (size_t r = 0; r < 6; r++) {
    numbers[r][0] = (report_value){.value = NAN, .missing = reason};
    numbers[r][1] = (report_value){.value = 1, .seeds = r == 1 ? 1 : 2};
    listed[r] = (report_row){.keys = &names[r], .values = numbers[r], .finished = 2};
  }
  static const char partial[] = "top-1 of mask 1: of 1 of the 2 seeds that have finished\n";
  static const struct {
    size_t rows;
    const char *told;
  } wanted[] = {{6, "loss of mask 0; mask 1; mask 2; and 3 more rows: a reason\n"},
                {5, "loss of mask 0; mask 1; mask 2; and 2 more rows: a reason\n"},
                {4, "loss of mask 0; mask 1; mask 2; mask 3: a reason\n"}};
  for (size_t i = 0; i < 3; i++) {
    strbuf out = {0};
    t.row_count = wanted[i].rows;
    report_gaps(&t, &out);
    size_t length = strlen(wanted[i].told);
    assert_memory_equal(strbuf_string(&out), wanted[i].told, length);
    assert_string_equal(strbuf_string(&out) + length, partial);
    strbuf_free(&out);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_state_of_the_machine_is_shown_as_text),
      cmocka_unit_test(what_a_difference_would_take_is_said_up_to_a_sensible_number),
      cmocka_unit_test_setup(text_shows_interval_published_value_difference_and_reasons,
                             make_table),
      cmocka_unit_test(a_mask_is_named_with_all_its_digits),
      cmocka_unit_test(published_and_small_numbers_keep_the_digits_that_they_have),
      cmocka_unit_test(a_width_of_rounding_adds_no_digits),
      cmocka_unit_test_setup(gaps_are_explained_in_every_format, make_table),
      cmocka_unit_test_setup(gaps_name_the_row_and_the_column_that_is_meant, make_table),
      cmocka_unit_test(rows_with_the_same_gaps_are_counted),
      cmocka_unit_test_setup(an_unbounded_interval_is_marked_in_every_format, make_table),
      cmocka_unit_test_setup(a_disturbed_row_is_marked_and_explained_in_every_format, make_table),
      cmocka_unit_test_setup(markdown_takes_care_of_its_own_characters, make_table),
      cmocka_unit_test_setup(latex_takes_care_of_its_own_characters, make_table),
      cmocka_unit_test_setup(csv_has_a_column_for_each_part_of_a_value, make_table),
      cmocka_unit_test_setup(csv_says_which_numbers_are_of_fewer_seeds, make_table),
      cmocka_unit_test_setup(an_unbounded_value_is_compared_in_no_format, make_table),
      cmocka_unit_test_setup(json_says_how_published_values_compare, make_table),
      cmocka_unit_test_setup(json_has_the_runs_behind_each_number, make_table),
      cmocka_unit_test_setup(a_published_value_is_named_with_its_own_source, make_table),
      cmocka_unit_test_setup(one_seed_on_the_same_images_agrees_by_equality_alone, make_table),
      cmocka_unit_test_setup(agreement_is_by_equality_by_print_or_by_interval, make_table),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
