/* What readers of the record return, from a database whose rows are known. */
#include "support/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "store/attempts.h"
#include "store/curves.h"
#include "store/environments.h"
#include "store/experiments.h"
#include "store/facts.h"
#include "store/lineage.h"
#include "store/old_database.h"
#include "store/runs.h"
#include "support/folder.h"

/* Run 1 is of `dense`; 2, which failed, and 3 of `half`; 4 of `tuned`. */
static const char dense[] = "ca3c091919adbfa95ecc7ffe0ceb4c80";
static const char half[] = "07a71c78151e35cb547f0fb211ab9bfd";
static const char tuned[] = "c80884bdc1588b937fed021d10eaec76";

static store *open_record(void) {
  store *s;
  make_old_database(3, "s.db");
  assert_ok(store_open("s.db", &s));
  return s;
}

static int64_t result_of(store *s, const char *cell_id) {
  store_run run;
  assert_ok(store_find_run(s, cell_id, &run));
  int64_t run_id = run.run_id;
  store_free_run(&run);
  return run_id;
}

/* The run that the views show for a cell. */
static int64_t shown_for(store *s, const char *cell_id) {
  store_cell *cells;
  size_t count;
  int64_t run_id = -1;
  assert_ok(store_list_cells(s, "small", &cells, &count));
  for (size_t i = 0; i < count; i++)
    if (strcmp(cells[i].cell_id, cell_id) == 0) run_id = cells[i].run_id;
  store_free_cells(cells, count);
  return run_id;
}

static int64_t matched_by(store *s, const char *prefix) {
  size_t cells;
  int64_t run_id;
  assert_ok(store_match_cells(s, prefix, &cells, &run_id));
  assert_int_equal(cells, 1);
  return run_id;
}

static void one_rule_says_which_run_stands_for_a_cell(void **state) {
  (void)state;
  static const struct {
    int64_t archived, result, matched;
  } steps[] = {
      {0, 3, 3}, /* the finished one, though another is of the same cell */
      {3, 2, 2}, /* the failed one, when that is archived */
      {2, 0, 3}, /* none is a result; by the cell's id the finished one is still found */
  };
  store *s = open_record();
  for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
    if (steps[i].archived) assert_ok(store_archive_run(s, steps[i].archived, true));
    assert_int_equal(result_of(s, half), steps[i].result);
    assert_int_equal(shown_for(s, half), steps[i].result);
    assert_int_equal(matched_by(s, "07a7"), steps[i].matched);
  }
  assert_int_equal(result_of(s, dense), 1); /* other cells are not touched */
  assert_int_equal(shown_for(s, tuned), 4);
  assert_ok(store_archive_run(s, 3, false));
  assert_int_equal(result_of(s, half), 3);
  store_close(s);
}

/* ---- which run of a cell is its result ---- */

static void change(const char *sql) {
  sqlite3 *database;
  char *problem = NULL;
  assert_int_equal(sqlite3_open("s.db", &database), SQLITE_OK);
  if (sqlite3_exec(database, sql, NULL, NULL, &problem) != SQLITE_OK) fail_msg("%s", problem);
  sqlite3_close(database);
}

/* Another machine's runs, merged: 5 of `half`, which ended otherwise, began after run 3; 6 of
 * `tuned`, made from it, began before run 4. 7 is made from 5 too, of another tuning. */
static store *open_merged(void) {
  store *s = open_record();
  change("CREATE TEMP TABLE e AS SELECT * FROM environment; UPDATE e SET id = 2, digest = 'other',"
         " host = 'other'; INSERT INTO environment SELECT * FROM e;"
         "INSERT INTO cell (id, parent, settings) VALUES ('second', "
         "'07a71c78151e35cb547f0fb211ab9bfd',"
         " '{}');"
         "CREATE TEMP TABLE r AS SELECT * FROM run WHERE id IN (3, 4);"
         "UPDATE r SET id = id + 2, directory = directory || '.merged-1', environment_id = 2,"
         " started = CASE id WHEN 3 THEN '2026-11-25T09:41:42.236Z' ELSE '2026-11-25T09:41:42.238Z'"
         " END; INSERT INTO run SELECT * FROM r;"
         "UPDATE r SET id = 7, cell_id = 'second', directory = 'second' WHERE id = 6;"
         "INSERT INTO run SELECT * FROM r WHERE id = 7;"
         "CREATE TEMP TABLE p AS SELECT * FROM step WHERE run_id = 3;"
         "UPDATE p SET run_id = 5, loss = loss + 1; INSERT INTO step SELECT * FROM p");
  return s;
}

/* Of `half`, `tuned` and 'second' (as many as `count`). */
static void find_results(store *s, size_t count, store_result results[3]) {
  const store_kin kin[] = {{half, -1}, {tuned, 0}, {"second", 0}};
  assert_ok(store_find_results(s, kin, count, results));
}

static void assert_shown(store *s, int64_t parent, int64_t tuning) {
  store_result results[3];
  find_results(s, 2, results);
  assert_int_equal(results[0].run_id, parent);
  assert_int_equal(results[1].run_id, tuning);
}

static void a_tuning_is_shown_beside_the_run_that_it_started_from(void **state) {
  (void)state;
  store *s = open_merged();
  assert_int_equal(result_of(s, half), 5); /* the newest of each would be two trainings */
  assert_int_equal(result_of(s, tuned), 4);
  assert_shown(s, 5, 6);
  assert_ok(store_archive_run(s, 6, true)); /* a whole lineage rather than the newest run */
  assert_shown(s, 3, 4);
  assert_ok(store_archive_run(s, 6, false));
  assert_ok(
      store_archive_run(s, 5, true)); /* archived later than 6 began: 6 is still made from it */
  assert_shown(s, 3, 4);
  assert_ok(store_archive_run(s, 5, false));
  change("UPDATE run SET archived = 1, archived_at = '2026-11-25T09:41:42.237Z' WHERE id = 3;"
         "UPDATE run SET environment_id = 1 WHERE id = 5"); /* before 4 began, on that machine */
  assert_shown(s, 5, 4);
  store_close(s);
}

static void what_started_from_another_run_of_its_parent_is_no_result(void **state) {
  (void)state;
  store *s = open_merged();
  store_result results[3];
  store_run run;
  assert_ok(store_archive_run(s, 6, true));
  find_results(s, 3, results); /* one tuning of each parent: the newer parent is shown */
  assert_int_equal(results[0].run_id, 5);
  assert_int_equal(results[2].run_id, 7);
  assert_int_equal(results[1].run_id, 0);
  assert_int_equal(results[1].left_out, 4);
  assert_ok(store_load_result(s, &results[1], &run));
  assert_int_equal(run.run_id, 0);
  assert_non_null(strstr(run.message, "its run 4 started from run 3 of its parent, of which another"
                                      " is shown; 'flipbench runs archive 4'"));
  store_free_run(&run);
  change("UPDATE step SET loss = loss - 1 WHERE run_id = 5"); /* the same weights, bit for bit */
  find_results(s, 3, results);
  assert_int_equal(results[1].run_id, 4);
  change("UPDATE step SET loss = loss + 1 WHERE run_id = 5");
  assert_ok(store_archive_run(s, 3, true));
  find_results(s, 3, results);
  assert_int_equal(results[1].left_out, 4);
  assert_ok(store_load_result(s, &results[1], &run));
  assert_non_null(strstr(run.message, "started from an earlier run of its parent"));
  store_free_run(&run);
  assert_ok(store_archive_run(s, 5, true)); /* no parent is left: its tunings are no results */
  find_results(s, 3, results);
  assert_int_equal(results[0].run_id, 2); /* the failed one */
  assert_int_equal(results[1].left_out, 4);
  assert_int_equal(results[2].left_out, 7);
  store_close(s);
}

static void an_origin_that_the_record_does_not_determine_is_marked(void **state) {
  (void)state;
  store *s = open_merged();
  store_result results[3];
  find_results(s, 2, results);
  assert_false(results[1].is_unsure);
  assert_int_equal(results[1].origin, 5);
  change(
      "UPDATE environment SET host = 'third' WHERE id = 2;"
      "UPDATE run SET environment_id = 1 WHERE id = 5; UPDATE run SET environment_id = 2 WHERE id"
      " IN (4, 6)"); /* a cluster's node that trained neither */
  find_results(s, 2, results);
  assert_int_equal(results[1].origin, 5);
  assert_true(results[1].is_unsure);
  /* the path of the weights names a run that had been merged before */
  change("UPDATE run SET environment_id = 2 WHERE id = 3; UPDATE run SET own_settings ="
         " '{\"init_from\":\"results/small/mask_ratio=0.5-07a71c78.merged-1/checkpoints/a\"}'"
         " WHERE id IN (4, 6)");
  find_results(s, 2, results);
  assert_int_equal(results[1].origin, 5);
  assert_false(results[1].is_unsure);
  store_close(s);
}

static void a_run_is_the_same_whichever_way_it_is_found(void **state) {
  (void)state;
  store *s = open_record();
  store_run runs[3];
  assert_ok(store_load_run(s, 2, &runs[0]));
  assert_ok(store_find_run_in(s, "small/mask_ratio=0.5-07a71c78.failed-1", &runs[1]));
  assert_ok(store_archive_run(s, 3, true));
  assert_ok(store_find_run(s, half, &runs[2]));
  for (int i = 0; i < 3; i++) {
    assert_int_equal(runs[i].run_id, 2);
    assert_string_equal(runs[i].cell_id, half);
    assert_string_equal(runs[i].status, "failed");
    assert_string_equal(runs[i].kind, "nan");
    assert_string_equal(runs[i].message, "loss is not a number at step 12");
    assert_string_equal(runs[i].log_tail, "training nothing");
    assert_int_equal(runs[i].attempts, 1);
    assert_int_equal(runs[i].pid, 13206);
    assert_false(runs[i].is_archived);
    /* date -d 2026-11-25T09:41:42.203Z +%s */
    assert_true(fabs(runs[i].started_seconds - 1795599702.203) < 0.001);
    store_free_run(&runs[i]);
  }
  store_close(s);
}

static void what_is_not_there_is_empty_or_an_error(void **state) {
  (void)state;
  store *s = open_record();
  store_run run;
  store_environment environment;
  store_experiment experiment;
  store_fact *facts;
  bool is_there;
  double value;
  size_t count;
  assert_fails_with(store_load_run(s, 99, &run), "no such run: 99");
  assert_ok(store_find_run(s, "none", &run));
  assert_int_equal(run.run_id, 0);
  assert_string_equal(run.status, "");
  store_free_run(&run);
  assert_ok(store_load_environment(s, 99, &environment));
  assert_false(environment.is_known);
  assert_string_equal(environment.cpu, "");
  store_free_environment(&environment);
  assert_ok(store_find_experiment(s, "none", &experiment));
  assert_false(experiment.is_known);
  assert_string_equal(experiment.path, "");
  store_free_experiment(&experiment);
  assert_ok(store_has_experiment(s, "none", &is_there));
  assert_false(is_there);
  assert_ok(store_has_run(s, 99, &is_there));
  assert_false(is_there);
  assert_ok(store_find_number(s, 1, "none", &value));
  assert_true(isnan(value));
  assert_ok(store_find_lost_share(s, 1, &value)); /* the rows hold no evidence */
  assert_true(isnan(value));
  assert_ok(store_list_numbers(s, 99, &facts, &count));
  assert_int_equal(count, 0);
  store_free_facts(facts, count);
  store_close(s);
}

static void curves_are_read_whole_and_in_order(void **state) {
  (void)state;
  store *s = open_record();
  store_step *steps;
  store_evaluation *all;
  store_point points[8];
  size_t count;
  assert_ok(store_list_steps(s, 1, &steps, &count));
  assert_int_equal(count, 3);
  assert_int_equal(steps[0].step, 4);
  assert_int_equal(steps[2].samples, 768);
  assert_true(fabs(steps[2].loss - 5.38346593321649) < 1e-12);
  free(steps);
  assert_ok(store_list_evaluations(s, 1, &all, &count));
  assert_int_equal(count, 4 * (7 + 9 + 7 + 9)); /* steps × metrics of the four sets */
  for (size_t i = 1; i < count; i++)
    assert_true(all[i].ordinal > all[i - 1].ordinal ||
                (all[i].ordinal == all[i - 1].ordinal && all[i].step >= all[i - 1].step));
  assert_string_equal(all[0].set, "openclipart");
  assert_string_equal(all[0].task, "zeroshot");
  store_free_evaluations(all, count);
  assert_ok(store_list_final_evaluations(s, 1, &all, &count));
  assert_int_equal(count, 7 + 9 + 7 + 9);
  assert_int_equal(all[0].step, 12);
  assert_string_equal(all[4].metric, "mean_per_class");
  assert_true(fabs(all[4].value - 0.00326377376030753) < 1e-15);
  store_free_evaluations(all, count);
  assert_ok(store_load_loss(s, 1, 2, points, &count)); /* steps 4; 8 and 12 */
  assert_int_equal(count, 2);
  assert_int_equal(points[0].bin, 0);
  assert_int_equal(points[1].bin, 1);
  assert_true(fabs(points[1].samples - 640) < 1e-9);
  assert_true(fabs(points[1].value - (5.43223058399169 + 5.38346593321649) / 2) < 1e-12);
  assert_ok(store_load_loss(s, 1, 8, points, &count)); /* of 8 ranges three have a row */
  assert_int_equal(count, 3);
  assert_int_equal(points[0].bin, 2);
  assert_int_equal(points[1].bin, 4);
  assert_int_equal(points[2].bin, 7);
  store_close(s);
}

static void processes_and_machines_are_listed(void **state) {
  (void)state;
  store *s = open_record();
  store_attempt *attempts;
  store_environment *machines;
  size_t count;
  assert_ok(store_list_attempts(s, 2, &attempts, &count));
  assert_int_equal(count, 1);
  assert_int_equal(attempts[0].exit_code, 1);
  assert_int_equal(strncmp(attempts[0].command, "[\"/opt/flip/bin/flip\",\"train\",", 29), 0);
  assert_int_equal(strncmp(attempts[0].command_line, "/opt/flip/bin/flip train --config ", 34), 0);
  store_free_attempts(attempts, count);
  assert_ok(store_list_environments(s, "small", &machines, &count));
  assert_int_equal(count, 1); /* of three runs on one machine */
  assert_string_equal(machines[0].cpu, "Imaginary CPU @ 2.00GHz");
  assert_string_equal(machines[0].libraries, "{\"onednn\":\"2.6.3\"}");
  assert_string_equal(machines[0].library_list, "onednn 2.6.3");
  assert_int_equal(machines[0].threads, 2);
  store_free_environments(machines, count);
  store_close(s);
}

static const store_difference *find_difference(const store_difference *all, size_t count,
                                               const char *name) {
  for (size_t i = 0; i < count; i++)
    if (strcmp(all[i].name, name) == 0) return &all[i];
  return NULL;
}

static void two_runs_differ_in_named_values(void **state) {
  (void)state;
  store *s = open_record();
  store_difference *all;
  store_fact *settings;
  size_t count;
  assert_ok(store_compare_runs(s, 1, 3, &all, &count));
  const store_difference *ratio = find_difference(all, count, "mask_ratio");
  const store_difference *loss = find_difference(all, count, "final_loss");
  assert_non_null(ratio);
  assert_int_equal(ratio->part, STORE_PART_SETTINGS);
  assert_int_equal(ratio->first.kind, STORE_INTEGER);
  assert_int_equal(ratio->second.kind, STORE_REAL);
  assert_string_equal(ratio->second.text, "0.5");
  assert_int_equal(loss->part, STORE_PART_RUN);
  assert_true(loss->second.real > loss->first.real);
  assert_null(find_difference(all, count, "seed")); /* what is equal is left out */
  assert_null(find_difference(all, count, "commit"));
  store_free_differences(all, count);
  assert_ok(store_list_settings(s, 3, &settings, &count));
  assert_int_equal(count, 3);
  assert_string_equal(settings[0].name, "mask_ratio");
  assert_string_equal(settings[0].value.text, "0.5");
  store_free_facts(settings, count);
  store_close(s);
}

static void runs_are_listed_by_what_they_are(void **state) {
  (void)state;
  store *s = open_record();
  store_run_line *runs;
  store_past_run *past;
  size_t count;
  assert_ok(store_tag_run(s, 3, "paper", true));
  assert_ok(store_tag_run(s, 3, "baseline", true));
  assert_ok(store_note_run(s, 3, "before the fan was cleaned"));
  assert_ok(store_list_runs(s, &(store_run_filter){.tag = "paper"}, &runs, &count));
  assert_int_equal(count, 1);
  assert_int_equal(runs[0].run_id, 3);
  assert_string_equal(runs[0].tags, "baseline paper");
  assert_string_equal(runs[0].note, "before the fan was cleaned");
  assert_string_equal(runs[0].experiments, "small");
  store_free_run_lines(runs, count);
  assert_ok(store_tag_run(s, 3, "paper", false));
  assert_ok(store_list_runs(s, &(store_run_filter){.tag = "paper"}, &runs, &count));
  assert_int_equal(count, 0);
  store_free_run_lines(runs, count);
  assert_ok(store_list_runs(s, &(store_run_filter){.experiment = "sma"}, &runs, &count));
  assert_int_equal(count, 0); /* a name, not the start of one */
  store_free_run_lines(runs, count);
  assert_ok(store_list_past_runs(s, 2, &past, &count));
  assert_int_equal(count, 2);
  assert_int_equal(past[0].run_id, 4);
  assert_int_equal(past[1].run_id, 3);
  assert_true(fabs(past[1].peak_bytes - 308000000) < 1);
  store_free_past_runs(past, count);
  store_close(s);
}

static void experiments_are_summarised(void **state) {
  (void)state;
  store *s = open_record();
  store_overview *all;
  size_t count;
  assert_ok(store_list_overviews(s, &all, &count));
  assert_int_equal(count, 1);
  assert_string_equal(all[0].title, "Mask ratio, made up");
  assert_string_equal(all[0].commits, "0123456789");
  assert_string_equal(all[0].last, "2026-11-25T09:41:42.243Z");
  assert_int_equal(all[0].cells, 3);
  assert_int_equal(all[0].finished, 3);
  assert_int_equal(all[0].failed, 0);
  assert_true(fabs(all[0].wall_seconds - 0.015) < 1e-9); /* of the failed run, too */
  store_free_overviews(all, count);
  store_close(s);
}

/* ---- short memory ---- */

static err read_run(store *s) {
  store_run run;
  err error = store_find_run(s, half, &run);
  store_free_run(&run);
  return error;
}

static err read_no_run(store *s) {
  store_run run;
  err error = store_find_run(s, "none", &run);
  store_free_run(&run);
  return error;
}

static err read_environments(store *s) {
  store_environment *all;
  size_t count;
  err error = store_list_environments(s, "small", &all, &count);
  store_free_environments(all, count);
  return error;
}

static err read_experiment(store *s) {
  store_experiment e;
  err error = store_find_experiment(s, "small", &e);
  store_free_experiment(&e);
  return error;
}

static err read_cells(store *s) {
  store_cell *cells;
  size_t count;
  err error = store_list_cells(s, NULL, &cells, &count);
  store_free_cells(cells, count);
  return error;
}

static err read_attempts(store *s) {
  store_attempt *all;
  size_t count;
  err error = store_list_attempts(s, 1, &all, &count);
  store_free_attempts(all, count);
  return error;
}

static err read_evaluations(store *s) {
  store_evaluation *all;
  size_t count;
  err error = store_list_final_evaluations(s, 1, &all, &count);
  store_free_evaluations(all, count);
  return error;
}

static err read_differences(store *s) {
  store_difference *all;
  size_t count;
  err error = store_compare_runs(s, 1, 3, &all, &count);
  store_free_differences(all, count);
  return error;
}

static err read_names(store *s) {
  store_names names;
  err error = store_list_experiments(s, &names);
  store_free_names(&names);
  return error;
}

/* A reader that fails leaves its query, so that the next call starts over, and nothing to free
 * (which the sanitizers' build sees). */
static void a_reader_that_memory_fails_says_so_and_can_be_called_again(void **state) {
  (void)state;
  static err (*const readers[])(store *) = {read_run,         read_no_run,      read_environments,
                                            read_experiment,  read_cells,       read_attempts,
                                            read_evaluations, read_differences, read_names};
  store *s = open_record();
  for (size_t i = 0; i < sizeof readers / sizeof *readers; i++) {
    long successes = 0;
    for (bool has_failed = true; has_failed; successes++) {
      mem_fail_after(successes);
      err error = readers[i](s);
      mem_fail_after(-1);
      has_failed = error != NULL;
      if (has_failed) assert_int_equal(err_kind_of(error), ERR_MEMORY);
      err_free(error);
    }
    assert_true(successes > 2); /* some allocations were made to fail */
    assert_ok(readers[i](s));
  }
  store_close(s);
}

int main(void) {
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, enter_folder, leave_folder)
  const struct CMUnitTest tests[] = {
      IN_FOLDER(one_rule_says_which_run_stands_for_a_cell),
      IN_FOLDER(an_origin_that_the_record_does_not_determine_is_marked),
      IN_FOLDER(what_started_from_another_run_of_its_parent_is_no_result),
      IN_FOLDER(a_tuning_is_shown_beside_the_run_that_it_started_from),
      IN_FOLDER(a_run_is_the_same_whichever_way_it_is_found),
      IN_FOLDER(what_is_not_there_is_empty_or_an_error),
      IN_FOLDER(curves_are_read_whole_and_in_order),
      IN_FOLDER(processes_and_machines_are_listed),
      IN_FOLDER(two_runs_differ_in_named_values),
      IN_FOLDER(runs_are_listed_by_what_they_are),
      IN_FOLDER(experiments_are_summarised),
      IN_FOLDER(a_reader_that_memory_fails_says_so_and_can_be_called_again),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
