#include "support/test.h"

#include <stdlib.h>
#include <unistd.h>

#include "spec_text.h"

static void assert_labels(const spec_experiment *e, const char *const *labels, size_t count) {
  assert_int_equal(e->cell_count, count);
  for (size_t i = 0; i < count; i++) assert_string_equal(e->cells[i].label, labels[i]);
}
#define ASSERT_LABELS(e, ...)                                                                      \
  do {                                                                                             \
    const char *const labels_[] = {__VA_ARGS__};                                                   \
    assert_labels(e, labels_, sizeof labels_ / sizeof *labels_);                                   \
  } while (0)

static void a_matrix_is_the_product_of_its_axes_last_axis_fastest(void **state) {
  (void)state;
  spec_experiment *e = expand(SETTINGS "matrix: {mask_ratio: [0, 0.50], seed: [1, 2]}\n");
  ASSERT_LABELS(e, "mask_ratio=0 seed=1", "mask_ratio=0 seed=2", "mask_ratio=0.5 seed=1",
                "mask_ratio=0.5 seed=2");
  assert_true(e->cells[3].settings.mask_ratio == 0.5 && e->cells[3].settings.seed == 2);
  assert_string_equal(e->name, "test");
  assert_string_not_equal(e->cells[0].id, e->cells[1].id);
  spec_free(e);
}

static void without_a_matrix_there_is_one_cell(void **state) {
  (void)state;
  spec_experiment *e = expand("name: alone\n" SETTINGS);
  ASSERT_LABELS(e, "alone");
  spec_free(e);
}

static void an_axis_of_maps_sets_its_keys_together(void **state) {
  (void)state;
  spec_experiment *e = expand(SETTINGS "matrix:\n"
                                       "  scale:\n"
                                       "    - {mask_ratio: 0, batch_size: 64}\n"
                                       "    - {label: half, mask_ratio: 0.5, image: {size: 32}}\n");
  ASSERT_LABELS(e, "mask_ratio=0 batch_size=64", "half");
  assert_string_equal(spec_pairs_get(&e->cells[0].axes, "scale"), "mask_ratio=0 batch_size=64");
  assert_string_equal(spec_pairs_get(&e->cells[1].axes, "scale"), "half");
  assert_int_equal(e->cells[0].settings.batch_size, 64);
  assert_int_equal(e->cells[1].settings.image_size, 32);
  assert_int_equal(e->cells[0].settings.image_size, 64);
  spec_free(e);
}

static void exclude_takes_cells_out_by_some_or_all_of_their_axes(void **state) {
  (void)state;
  spec_experiment *e = expand(SETTINGS "matrix: {mask_ratio: [0, 0.5], seed: [1, 2, 3]}\n"
                                       "exclude:\n"
                                       "  - {mask_ratio: 0.5, seed: [2, 3]}\n");
  ASSERT_LABELS(e, "mask_ratio=0 seed=1", "mask_ratio=0 seed=2", "mask_ratio=0 seed=3",
                "mask_ratio=0.5 seed=1");
  spec_free(e);
}

static void include_extends_the_cells_it_agrees_with_and_else_is_a_new_cell(void **state) {
  (void)state;
  spec_experiment *e = expand(SETTINGS "matrix: {mask_ratio: [0, 0.5]}\n"
                                       "include:\n"
                                       "  - {mask_ratio: 0.5, batch_size: 512}\n"
                                       "  - {mask_ratio: 0.75, batch_size: 1024}\n");
  ASSERT_LABELS(e, "mask_ratio=0", "mask_ratio=0.5 batch_size=512",
                "mask_ratio=0.75 batch_size=1024");
  assert_int_equal(e->cells[0].settings.batch_size, 256);
  assert_int_equal(e->cells[1].settings.batch_size, 512);
  spec_free(e);
}

static void a_profile_is_laid_over_the_file_key_by_key(void **state) {
  (void)state;
  const char *text = SETTINGS "matrix: {mask_ratio: [0, 0.5], seed: [1, 2]}\n"
                              "profiles:\n"
                              "  short: {settings: {samples: 10}, matrix: {seed: [7]}}\n";
  spec_experiment *e = NULL;
  assert_ok(parse(text, "short", &e));
  ASSERT_LABELS(e, "mask_ratio=0 seed=7", "mask_ratio=0.5 seed=7");
  assert_int_equal(e->cells[0].settings.samples, 10);
  assert_true(e->cells[0].settings.learning_rate == 1e-3);
  assert_string_equal(e->name, "test@short");
  spec_free(e);
  assert_fails_with(parse(text, "shrt", &e), "no profile 'shrt'; it has: short");
}

static void a_tuned_cell_is_known_by_its_parents_settings_not_by_a_path(void **state) {
  (void)state;
  const char *text = SETTINGS "matrix: {mask_ratio: [0, 0.5]}\n"
                              "tuning:\n"
                              "  unmasked:\n"
                              "    from: \"${cell}\"\n"
                              "    unless: {mask_ratio: 0}\n"
                              "    mask_ratio: 0\n"
                              "    epochs: 0.32\n";
  spec_experiment *e = expand(text);
  ASSERT_LABELS(e, "mask_ratio=0", "mask_ratio=0.5", "mask_ratio=0.5 · unmasked tuning");
  const spec_cell *tuned = &e->cells[2];
  assert_int_equal(tuned->parent, 1);
  assert_string_equal(tuned->tuning, "unmasked");
  assert_true(tuned->settings.mask_ratio == 0);
  assert_true(tuned->settings.epochs == 0.32 && tuned->settings.samples == 0);
  char wanted[64] = "cell:";
  strcat(wanted, e->cells[1].id);
  assert_string_equal(tuned->settings.init_from, wanted);
  /* another parent, another child; the same file, the same ids */
  spec_experiment *again = expand(text);
  assert_string_equal(again->cells[2].id, tuned->id);
  spec_free(again);
  spec_free(e);
}

static void tunings_can_follow_one_another(void **state) {
  (void)state;
  spec_experiment *e = expand(SETTINGS "matrix: {mask_ratio: [0.5]}\n"
                                       "tuning:\n"
                                       "  late: {from: \"${early}\", samples: 20}\n"
                                       "  early: {from: \"${cell}\", samples: 10}\n");
  ASSERT_LABELS(e, "mask_ratio=0.5", "mask_ratio=0.5 · early tuning",
                "mask_ratio=0.5 · early tuning · late tuning");
  assert_int_equal(e->cells[2].parent, 1);
  spec_free(e);
}

static void what_does_not_change_a_run_does_not_change_its_id(void **state) {
  (void)state;
  spec_experiment *e = expand(SETTINGS "matrix: {seed: [1]}\n");
  spec_experiment *other = expand("name: other\ntitle: Another\n" SETTINGS
                                  "matrix: {data.workers: [3]}\ninclude: [{seed: 1}]\n");
  assert_string_equal(e->cells[0].id, other->cells[0].id);
  spec_free(e);
  spec_free(other);
}

static void every_problem_of_a_file_is_reported_at_once(void **state) {
  (void)state;
  assert_message(SETTINGS "matrx: {seed: [1]}\n"
                          "matrix:\n"
                          "  mask_rato: [0, 0.5]\n"
                          "  batch_size: many\n",
                 "test.yaml:2:1: unknown key 'matrx' in the experiment\n"
                 "    2 | matrx: {seed: [1]}\n"
                 "      | ^~~~~ did you mean 'matrix'?\n"
                 "test.yaml:4:3: unknown setting 'mask_rato'\n"
                 "    4 |   mask_rato: [0, 0.5]\n"
                 "      |   ^~~~~~~~~ did you mean 'mask_ratio'?\n"
                 "test.yaml:5:15: batch_size: 'many' is not a whole number (60k and 12.8M are)\n"
                 "    5 |   batch_size: many\n"
                 "      |               ^~~~");
}

static void empty_axes_and_useless_entries_are_refused(void **state) {
  (void)state;
  assert_message(SETTINGS "matrix: {seed: []}\n",
                 "test.yaml:2:10: axis 'seed' is empty: give it a list of values, or leave it out\n"
                 "    2 | matrix: {seed: []}\n"
                 "      |          ^~~~");
  assert_message(SETTINGS "matrix: {seed: [1, 2]}\nexclude: [{seed: 3}]\n",
                 "test.yaml:3:11: this exclude entry matches no cell\n"
                 "    3 | exclude: [{seed: 3}]\n"
                 "      |           ^");
  assert_message(SETTINGS "matrix: {seed: [1]}\nexclude: [{sed: 1}]\n",
                 "test.yaml:3:12: unknown key 'sed' in exclude: it is not an axis of the matrix\n"
                 "    3 | exclude: [{sed: 1}]\n"
                 "      |            ^~~ did you mean 'seed'?");
}

/* One that measures and one that continues are two columns of a row; of two that continue a table
 * would show the first. */
static void tunings_that_a_row_has_no_place_for_are_refused(void **state) {
  (void)state;
  assert_message(SETTINGS "matrix: {seed: [1]}\n"
                          "tuning:\n"
                          "  probe: {from: \"${cell}\", base_learning_rate: 0}\n"
                          "  short: {from: \"${cell}\", mask_ratio: 0.1}\n"
                          "  long: {from: \"${cell}\", mask_ratio: 0.2}\n",
                 "test.yaml:6:3: tunings 'short' and 'long' both continue 'seed=1', and a table "
                 "shows one per row: put one of them into an experiment of its own (the cells that "
                 "both have are trained once)\n"
                 "    6 |   long: {from: \"${cell}\", mask_ratio: 0.2}\n"
                 "      |   ^~~~");
}

static void duplicate_cells_are_refused(void **state) {
  (void)state;
  assert_message(SETTINGS "matrix: {mask_ratio: [0.5, 0.50]}\n",
                 "test.yaml:2:1: two cells are the same run: 'mask_ratio=0.5' and 'mask_ratio=0.5' "
                 "have equal settings\n"
                 "    2 | matrix: {mask_ratio: [0.5, 0.50]}\n"
                 "      | ^~~~~~");
}

static void tunings_that_depend_on_themselves_are_refused(void **state) {
  (void)state;
  assert_message(SETTINGS "tuning:\n"
                          "  a: {from: \"${b}\", samples: 1}\n"
                          "  b: {from: \"${a}\", samples: 1}\n",
                 "test.yaml:3:13: tuning 'a' depends on itself\n"
                 "    3 |   a: {from: \"${b}\", samples: 1}\n"
                 "      |             ^~~~");
  assert_message(SETTINGS "tuning: {a: {from: \"${c}\"}, b: {samples: 1}}\n",
                 "test.yaml:2:20: from: there is no tuning 'c'\n"
                 "    2 | tuning: {a: {from: \"${c}\"}, b: {samples: 1}}\n"
                 "      |                    ^~~~ did you mean '${a}'?\n"
                 "test.yaml:2:29: tuning 'b' does not say what it starts from: give it from: "
                 "\"${cell}\"\n"
                 "    2 | tuning: {a: {from: \"${c}\"}, b: {samples: 1}}\n"
                 "      |                             ^");
}

static void a_cell_whose_settings_contradict_each_other_is_named(void **state) {
  (void)state;
  assert_message(SETTINGS "matrix: {image.patch: [8, 7], seed: [1, 2]}\n",
                 "test.yaml:2:38: cell image.patch=7 seed=1: image.patch: 7 does not divide "
                 "image.size 64\n"
                 "    2 | matrix: {image.patch: [8, 7], seed: [1, 2]}\n"
                 "      |                                      ^");
}

static void limits_hold_for_the_cells_they_name_and_later_ones_win(void **state) {
  (void)state;
  spec_experiment *e = expand(SETTINGS "matrix: {mask_ratio: [0, 0.5]}\n"
                                       "tuning: {late: {from: \"${cell}\", samples: 10}}\n"
                                       "limits:\n"
                                       "  - {time: 1h30m, memory: 2GiB, retries: 2}\n"
                                       "  - {when: {mask_ratio: 0.50}, time: 90}\n"
                                       "  - {when: {tuning: late}, retry_wait: 250ms}\n");
  assert_int_equal(e->cell_count, 4);
  assert_true(e->cells[0].limits.time_seconds == 5400);
  assert_true(e->cells[0].limits.memory_bytes == 2147483648);
  assert_true(e->cells[0].limits.retries == 2 && e->cells[0].limits.retry_wait_seconds == 10);
  assert_true(e->cells[1].limits.time_seconds == 90 && e->cells[1].limits.retries == 2);
  assert_true(e->cells[3].limits.time_seconds == 90);
  assert_true(e->cells[2].limits.retry_wait_seconds == 0.25);
  spec_free(e);
}

static void a_profile_leaves_out_a_variable_by_null(void **state) {
  (void)state;
  spec_experiment *e = NULL;
  assert_ok(parse(SETTINGS "environment: {OMP_NUM_THREADS: 4, KEPT: x}\n"
                           "profiles: {p: {environment: {OMP_NUM_THREADS: null}}}\n",
                  "p", &e));
  assert_int_equal(e->environment.count, 1);
  assert_string_equal(e->environment.items[0].key, "KEPT");
  spec_free(e);
}

static void what_set_does_not_reach_is_noted(void **state) {
  (void)state;
  static const char text[] = SETTINGS "matrix: {mask_ratio: [0, 0.5]}\n"
                                      "tuning:\n  t: {from: \"${cell}\", samples: 1k}\n"
                                      "  u: {from: \"${t}\", weight_decay: 0.5}\n";
  const char *set[] = {"samples=2000", "weight_decay=0.5"}, *set_cell[] = {"tuning=t:samples=30"};
  spec_options options = {.set = set, .set_count = 2};
  spec_experiment *e = NULL;
  assert_ok(spec_parse("test.yaml", text, strlen(text), &options, &e));
  assert_int_equal(e->notices.count, 1); /* weight_decay is what the tuning sets, too */
  assert_string_equal(e->notices.items[0],
                      "--set samples=2000 does not change tuning 't', which sets samples: 1000 "
                      "itself; --set-cell tuning=t:samples=2000 does");
  spec_free(e);
  options.set_cell = set_cell;
  options.set_cell_count = 1;
  assert_ok(spec_parse("test.yaml", text, strlen(text), &options, &e));
  assert_int_equal(e->notices.count, 0);
  spec_free(e);
}

/* Training sets its threads itself. */
static void a_variable_without_effect_is_noted(void **state) {
  (void)state;
  spec_experiment *e = expand(SETTINGS "environment: {OMP_NUM_THREADS: 4, OMP_PROC_BIND: close}\n");
  assert_int_equal(e->notices.count, 1);
  assert_non_null(strstr(e->notices.items[0], "OMP_NUM_THREADS has no effect on training"));
  assert_non_null(strstr(e->notices.items[0], "the setting 'threads'"));
  spec_free(e);
}

static void what_a_cell_needs_is_read(void **state) {
  (void)state;
  spec_experiment *e =
      expand(SETTINGS "environment: {OMP_NUM_THREADS: 4}\n"
                      "requires: {gpus: 1, cores: 2, memory: 1GB, variables: A, files: [x, y]}\n"
                      "slurm: {partition: gpu, at_once: 8, options: --exclusive}\n");
  assert_string_equal(spec_pairs_get(&e->environment, "OMP_NUM_THREADS"), "4");
  assert_true(e->requires.gpus == 1 && e->requires.cores == 2);
  assert_true(e->requires.memory_bytes == 1000000000);
  assert_string_equal(e->requires.files.items[1], "y");
  assert_string_equal(e->slurm.partition, "gpu");
  assert_true(e->slurm.at_once == 8 && !e->slurm.account);
  spec_free(e);
  assert_message(SETTINGS "limits: {time: soon, memry: 1}\nrequires: {gpus: some}\n",
                 "test.yaml:2:22: unknown key 'memry' in limits\n"
                 "    2 | limits: {time: soon, memry: 1}\n"
                 "      |                      ^~~~~ did you mean 'memory'?\n"
                 "test.yaml:2:16: time: 'soon' is not a duration (90, 30s, 1h30m, 2d)\n"
                 "    2 | limits: {time: soon, memry: 1}\n"
                 "      |                ^~~~\n"
                 "test.yaml:3:18: gpus: 'some' is not a whole number from 0 on\n"
                 "    3 | requires: {gpus: some}\n"
                 "      |                  ^~~~");
}

static void the_command_line_can_change_some_cells(void **state) {
  (void)state;
  static const char text[] = SETTINGS "matrix: {mask_ratio: [0, 0.5], seed: [1, 2]}\n"
                                      "tuning: {late: {from: \"${cell}\", samples: 10}}\n";
  const char *set[] = {"mask_ratio=0.50,seed=2:batch_size=64", "tuning=late:samples=20"};
  spec_options options = {.set_cell = set, .set_cell_count = 2};
  spec_experiment *e = NULL;
  assert_ok(spec_parse("test.yaml", text, sizeof text - 1, &options, &e));
  assert_true(e->cells[3].settings.batch_size == 64 && e->cells[2].settings.batch_size == 256);
  assert_true(e->cells[3].settings.samples == 1000 && e->cells[7].settings.samples == 20);
  assert_true(e->cells[7].settings.batch_size == 64); /* its parent's */
  spec_free(e);
  static const struct {
    const char *set, *part;
  } wrong[] = {
      {"seed=3:batch_size=64", "matches no cell of the experiment"},
      {"sed=1:batch_size=64", "'sed' is neither a setting nor an axis; did you mean 'seed'"},
      {"seed=1", "write it as AXIS=VALUE"},
      {"seed=1:batch_sze=64", "did you mean 'batch_size'"},
      {"seed=one:batch_size=64", "'one' is not a whole number"}};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    options = (spec_options){.set_cell = &wrong[i].set, .set_cell_count = 1};
    assert_fails_with(spec_parse("test.yaml", text, sizeof text - 1, &options, &e), wrong[i].part);
  }
}

static void a_cell_is_named_by_what_it_runs(void **state) {
  (void)state;
  static const char text[] =
      SETTINGS "matrix:\n"
               "  scale: [{label: small, mask_ratio: 0}, {label: half, mask_ratio: 0.5}]\n"
               "  batch_size: [64, 128]\n"
               "tuning: {late: {from: \"${cell}\", samples: 10}}\n";
  const char *set[] = {"scale=half,batch_size=64:mask_ratio=0.75", "batch_size=128:seed=4",
                       "tuning=late,batch_size=64:mask_ratio=0.25",
                       "scale=small:checkpoint.every_seconds=9"};
  spec_options options = {.set_cell = set, .set_cell_count = 4};
  spec_experiment *e = NULL;
  strbuf scratch = {0};
  assert_ok(spec_parse("test.yaml", text, sizeof text - 1, &options, &e));
  assert_string_equal(e->cells[0].label, "small batch_size=64"); /* that changes no result */
  assert_string_equal(e->cells[1].label, "small batch_size=128 seed=4");
  assert_string_equal(e->cells[2].label, "half (mask_ratio=0.75) batch_size=64");
  assert_string_equal(e->cells[3].label, "half batch_size=128 seed=4");
  assert_string_equal(e->cells[4].label, "small batch_size=64 · late tuning mask_ratio=0.25");
  assert_string_equal(spec_cell_value(&e->cells[2], "mask_ratio", &scratch), "0.75");
  strbuf_free(&scratch);
  spec_free(e);
}

static void an_axis_that_the_command_line_sets_is_shown_as_it_ran(void **state) {
  (void)state;
  static const char text[] = SETTINGS "matrix: {mask_ratio: [0, 0.5]}\n"
                                      "report: {rows: mask_ratio, baseline: {mask_ratio: 0}}\n";
  const char *set[] = {"mask_ratio=0.5:mask_ratio=0.75"};
  spec_options options = {.set_cell = set, .set_cell_count = 1};
  spec_experiment *e = NULL;
  assert_ok(spec_parse("test.yaml", text, sizeof text - 1, &options, &e));
  ASSERT_LABELS(e, "mask_ratio=0", "mask_ratio=0.75");
  assert_string_equal(spec_pairs_get(&e->cells[1].axes, "mask_ratio"), "0.75");
  spec_free(e);
}

static void axes_that_set_one_key_are_refused(void **state) {
  (void)state;
  assert_message(
      SETTINGS "matrix:\n"
               "  batch_size: [64]\n"
               "  scale: [{label: large, batch_size: 256}]\n",
      "test.yaml:4:11: axes 'batch_size' and 'scale' both set batch_size: leave it out of "
      "one of them\n"
      "    4 |   scale: [{label: large, batch_size: 256}]\n"
      "      |           ^");
}

static void the_last_include_names_what_runs(void **state) {
  (void)state;
  spec_experiment *e =
      expand(SETTINGS "matrix: {mask_ratio: [0, 0.5]}\n"
                      "include: [{mask_ratio: 0.5, ranks: 2}, {mask_ratio: 0.5, ranks: 4}]\n");
  assert_int_equal(e->cells[1].ranks.ranks, 4);
  assert_string_equal(spec_pairs_get(&e->cells[1].axes, "ranks"), "4");
  spec_free(e);
  e = NULL;
  assert_fails_with(parse(SETTINGS "matrix: {mask_ratio: [0, 0.5]}\n"
                                   "include: [{mask_ratio: 0.5, label: a, eval.points: 2},\n"
                                   "          {mask_ratio: 0.5, label: b, batch_size: 128}]\n",
                          NULL, &e),
                    "this cell already has label 'a'");
}

static void wrong_shapes_are_reported_with_their_place(void **state) {
  (void)state;
  spec_experiment *e = NULL;
  assert_fails_with(parse("[1, 2]\n", NULL, &e), "an experiment is a map of keys");
  assert_fails_with(parse(SETTINGS "matrix: [1]\n", NULL, &e),
                    "test.yaml:2:9: matrix takes a map of axis name to list of values");
  assert_fails_with(parse(SETTINGS "include: {seed: 1}\n", NULL, &e),
                    "test.yaml:2:10: include takes a list of maps");
  assert_fails_with(parse(SETTINGS "report: fine\n", NULL, &e), "report takes a map");
  assert_fails_with(parse(SETTINGS "name: a/b\n", NULL, &e), "may only hold letters");
  assert_fails_with(parse(SETTINGS "name: -x\n", NULL, &e), "and not begin with '-' or '.'");
  assert_fails_with(parse(SETTINGS "name: flipbench.db-wal\n", NULL, &e),
                    "the name 'flipbench.db-wal' is taken");
  const char *const taken[] = {"flipbench.db", "index.html", "paper.html", "benchmarks", "builds"};
  for (size_t i = 0; i < sizeof taken / sizeof *taken; i++) {
    char text[256];
    snprintf(text, sizeof text, SETTINGS "name: %s\n", taken[i]);
    assert_fails_with(parse(text, NULL, &e), "is taken: flipbench keeps a file or a folder");
  }
  assert_fails_with(parse("base: nowhere.yaml\n" SETTINGS, NULL, &e),
                    "test.yaml:1:7: base 'nowhere.yaml' is neither next to this file");
  assert_fails_with(parse(SETTINGS, "x", &e), "has no profiles");
}

static void ranks_are_part_of_a_cells_id_only_where_the_matrix_names_them(void **state) {
  (void)state;
  spec_experiment *plain = expand(SETTINGS), *required = expand(SETTINGS "requires: {ranks: 4}\n");
  assert_string_equal(plain->cells[0].id, required->cells[0].id);
  assert_true(plain->cells[0].ranks.ranks == 1 && required->cells[0].ranks.ranks == 4);
  spec_experiment *e =
      expand(SETTINGS "matrix: {ranks: [1, 2, 4], seed: [0, 1]}\n"
                      "exclude: [{ranks: 2, seed: 1}]\n"
                      "requires: {ranks: 8}\n"
                      "tuning: {more: {from: \"${cell}\", mask_ratio: 0.5}}\n"
                      "limits: [{when: {ranks: [2, 4]}, time: 1m}]\n"
                      "report: {rows: [ranks, seed], baseline: {ranks: 1, seed: 0},"
                      " reference: [{ranks: 4, speedup: 3.5}]}\n");
  assert_string_equal(e->cells[0].label, "ranks=1 seed=0");
  assert_string_not_equal(e->cells[0].id, plain->cells[0].id); /* it may have run on four */
  assert_string_not_equal(e->cells[0].id, e->cells[2].id);
  assert_string_not_equal(e->cells[5].id, e->cells[7].id); /* tunings, by their parents */
  assert_true(e->cells[2].ranks.ranks == 2 && e->cells[7].ranks.ranks == 2);
  assert_true(e->cells[0].limits.time_seconds == 0 && e->cells[2].limits.time_seconds == 60);
  assert_string_equal(spec_pairs_get(&e->report.references[0].where, "ranks"), "4");
  assert_int_equal(e->report.reference_count, 1);
  spec_free(plain);
  spec_free(required);
  spec_free(e);
}

static void a_retry_goes_down_to_the_next_number_of_ranks_that_divides_the_batch(void **state) {
  (void)state;
  spec_experiment *e = expand(SETTINGS "include: [{batch_size: 64}]\n"
                                       "requires: {ranks: 8, nodes: 4}\n"
                                       "limits: {fewest_ranks: 2}\n");
  const spec_cell *cell = &e->cells[0];
  assert_int_equal(spec_fewer_ranks(cell, &cell->limits, 8), 4);
  assert_int_equal(spec_fewer_ranks(cell, &cell->limits, 4), 2);
  assert_int_equal(spec_fewer_ranks(cell, &cell->limits, 2), 0);
  assert_int_equal(spec_fewer_ranks(cell, &(spec_limits){0}, 8), 0);
  assert_int_equal(spec_nodes_of(cell, 8), 4);
  assert_int_equal(spec_nodes_of(cell, 6), 3);
  assert_int_equal(spec_nodes_of(cell, 1), 1);
  spec_free(e);
}

/* A machine that had room for two ranks may have none for three. */
static void a_retry_needs_no_more_ranks_on_one_machine(void **state) {
  (void)state;
  spec_experiment *e = expand(SETTINGS "include: [{batch_size: 120}]\n"
                                       "requires: {ranks: 4, nodes: 2}\n"
                                       "limits: {fewest_ranks: 1}\n");
  const spec_cell *cell = &e->cells[0];
  assert_int_equal(spec_fewer_ranks(cell, &cell->limits, 4), 2); /* three would be on one node */
  assert_int_equal(spec_fewer_ranks(cell, &cell->limits, 2), 1);
  assert_int_equal(spec_fewer_ranks(cell, &(spec_limits){.fewest_ranks = 3}, 4), 0);
  spec_free(e);
  e = expand(SETTINGS "include: [{batch_size: 120}]\n"
                      "requires: {ranks: 6, nodes: 3}\n"
                      "limits: {fewest_ranks: 1}\n");
  assert_int_equal(spec_fewer_ranks(&e->cells[0], &e->cells[0].limits, 6), 4); /* on two nodes */
  spec_free(e);
}

static void ranks_that_cannot_be_are_refused(void **state) {
  (void)state;
  spec_experiment *e = NULL;
  assert_fails_with(parse(SETTINGS "matrix: {ranks: [2, x]}\n", NULL, &e),
                    "test.yaml:2:21: ranks: a whole number from 1 on is expected here");
  assert_fails_with(parse(SETTINGS "requires: {ranks: 4, nodes: 3}\n", NULL, &e),
                    "4 ranks cannot be divided evenly among 3 nodes: choose a multiple of 3");
  assert_fails_with(parse(SETTINGS "include: [{batch_size: 64}]\nrequires: {ranks: 3}\n", NULL, &e),
                    "batch_size: 64 is not divisible by 3 ranks");
  assert_fails_with(parse(SETTINGS "requires: {ranks: 2}\nlimits: {fewest_ranks: 3}\n", NULL, &e),
                    "limits.fewest_ranks: 3 is more than the cell's 2 ranks");
  assert_fails_with(
      parse(SETTINGS "matrix: {ranks: [1, 2]}\nlimits: {fewest_ranks: 1}\n", NULL, &e),
      "is not retried on fewer");
  assert_fails_with(
      parse(SETTINGS "matrix: {ranks: [1, 2], size: [{ranks: 4, seed: 1}]}\n", NULL, &e),
      "axes 'ranks' and 'size' both set ranks");
}

static void the_shipped_experiments_are_fine(void **state) {
  (void)state;
  static const char *const names[] = {"quickstart", "mask_ratio", "paper/table1a"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    char path[512];
    snprintf(path, sizeof path, "%s/experiments/%s.yaml", FLIP_SOURCE_DIR, names[i]);
    spec_experiment *e = NULL;
    assert_ok(spec_load(path, &(spec_options){0}, &e));
    assert_true(e->cell_count >= 3);
    spec_free(e);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_matrix_is_the_product_of_its_axes_last_axis_fastest),
      cmocka_unit_test(without_a_matrix_there_is_one_cell),
      cmocka_unit_test(an_axis_of_maps_sets_its_keys_together),
      cmocka_unit_test(exclude_takes_cells_out_by_some_or_all_of_their_axes),
      cmocka_unit_test(include_extends_the_cells_it_agrees_with_and_else_is_a_new_cell),
      cmocka_unit_test(a_profile_is_laid_over_the_file_key_by_key),
      cmocka_unit_test(a_tuned_cell_is_known_by_its_parents_settings_not_by_a_path),
      cmocka_unit_test(tunings_can_follow_one_another),
      cmocka_unit_test(what_does_not_change_a_run_does_not_change_its_id),
      cmocka_unit_test(every_problem_of_a_file_is_reported_at_once),
      cmocka_unit_test(empty_axes_and_useless_entries_are_refused),
      cmocka_unit_test(duplicate_cells_are_refused),
      cmocka_unit_test(tunings_that_a_row_has_no_place_for_are_refused),
      cmocka_unit_test(tunings_that_depend_on_themselves_are_refused),
      cmocka_unit_test(a_cell_whose_settings_contradict_each_other_is_named),
      cmocka_unit_test(limits_hold_for_the_cells_they_name_and_later_ones_win),
      cmocka_unit_test(a_profile_leaves_out_a_variable_by_null),
      cmocka_unit_test(what_set_does_not_reach_is_noted),
      cmocka_unit_test(a_variable_without_effect_is_noted),
      cmocka_unit_test(what_a_cell_needs_is_read),
      cmocka_unit_test(the_command_line_can_change_some_cells),
      cmocka_unit_test(a_cell_is_named_by_what_it_runs),
      cmocka_unit_test(an_axis_that_the_command_line_sets_is_shown_as_it_ran),
      cmocka_unit_test(axes_that_set_one_key_are_refused),
      cmocka_unit_test(the_last_include_names_what_runs),
      cmocka_unit_test(wrong_shapes_are_reported_with_their_place),
      cmocka_unit_test(ranks_are_part_of_a_cells_id_only_where_the_matrix_names_them),
      cmocka_unit_test(a_retry_goes_down_to_the_next_number_of_ranks_that_divides_the_batch),
      cmocka_unit_test(a_retry_needs_no_more_ranks_on_one_machine),
      cmocka_unit_test(ranks_that_cannot_be_are_refused),
      cmocka_unit_test(the_shipped_experiments_are_fine),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
