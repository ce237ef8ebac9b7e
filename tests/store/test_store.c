#include "support/test.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/text.h"
#include "store/curves.h"
#include "store/export.h"
#include "store/inputs.h"
#include "store/old_database.h"
#include "store/runs.h"
#include "store/sql.h"
#include "support/folder.h"

static int64_t number(store *s, const char *sql) {
  sqlite3_stmt *rows;
  bool more;
  assert_ok(sql_query_once(s, &rows, sql));
  assert_ok(sql_next(s, rows, &more));
  int64_t value = more ? sqlite3_column_int64(rows, 0) : -1;
  sqlite3_finalize(rows);
  return value;
}

/* The schema as SQLite keeps it, object by object. */
static char *schema_of(store *s) {
  strbuf text = {0};
  sqlite3_stmt *rows;
  bool more;
  assert_ok(sql_query_once(s, &rows, "SELECT type, name, sql FROM sqlite_schema ORDER BY 1, 2"));
  for (err error; !(error = sql_next(s, rows, &more)) && more;)
    strbuf_format(&text, "%s %s: %s\n", sql_text(rows, 0), sql_text(rows, 1), sql_text(rows, 2));
  sqlite3_finalize(rows);
  return strbuf_take(&text);
}

static void a_database_of_every_earlier_version_is_brought_up_to_date(void **state) {
  (void)state;
  store *fresh;
  assert_ok(store_open("fresh.db", &fresh));
  char *wanted = schema_of(fresh);
  for (int version = 1; version < STORE_VERSION; version++) {
    char path[32];
    store *s;
    snprintf(path, sizeof path, "old%d.db", version);
    make_old_database(version, path);
    assert_ok(store_open(path, &s));
    assert_int_equal(number(s, "PRAGMA user_version"), STORE_VERSION);
    char *got = schema_of(s);
    assert_string_equal(got, wanted);
    free(got);
    assert_ok(store_check(s));
    /* what the fixture holds is still there, and the views answer */
    assert_int_equal(number(s, "SELECT count(*) FROM run"), 4);
    assert_int_equal(number(s, "SELECT count(*) FROM step"), 7);
    assert_int_equal(number(s, "SELECT count(*) FROM v_cell_summary WHERE peak_bytes > 0"), 3);
    assert_int_equal(number(s, "SELECT count(*) FROM v_provenance WHERE flags = ''"), 3);
    assert_int_equal(number(s, "SELECT runs FROM v_cost"), 4);
    assert_int_equal(number(s, "SELECT count(*) FROM v_failure WHERE kind = 'nan'"), 1);
    assert_int_equal(number(s, "SELECT run_id FROM v_reference WHERE value = 69.6"), 3);
    if (version == 6) /* labels are now of a task: the one that the run recorded outcomes of */
      assert_int_equal(number(s, "SELECT count(*) FROM outcome_labels JOIN outcome"
                                 " USING (run_id, set_name, task) WHERE length(labels) = 6"),
                       2);
    if (version == 7)
      assert_int_equal(number(s, "SELECT count(*) FROM resampled WHERE length(resamples) = 16"), 1);
    assert_int_equal(number(s, "SELECT count(values_saturated) FROM step"), 0);
    store_close(s);
  }
  free(wanted);
  store_close(fresh);
}

static char *numbers_of(store *s) {
  strbuf text = {0};
  sqlite3_stmt *rows;
  bool more;
  assert_ok(sql_query_once(
      s, &rows, "SELECT run_id, name, CAST(value AS TEXT) FROM summary ORDER BY run_id, name"));
  for (err error; !(error = sql_next(s, rows, &more)) && more;)
    strbuf_format(&text, "%s %s %s\n", sql_text(rows, 0), sql_text(rows, 1), sql_text(rows, 2));
  sqlite3_finalize(rows);
  return strbuf_take(&text);
}

/* Not only a database of this schema has numbers of other rules. */
static void a_migrated_database_has_numbers_of_the_present_rules(void **state) {
  (void)state;
  for (int version = 1; version < STORE_VERSION; version++) {
    char path[32];
    store *s;
    snprintf(path, sizeof path, "old%d.db", version);
    make_old_database(version, path);
    assert_ok(store_open(path, &s));
    char *migrated = numbers_of(s);
    assert_ok(sql_script(s, "PRAGMA application_id = 1")); /* of other rules: made again */
    store_close(s);
    assert_ok(store_open(path, &s));
    char *made = numbers_of(s);
    store_close(s);
    assert_non_null(strstr(made, "steady_low"));
    assert_string_equal(migrated, made);
    free(migrated);
    free(made);
  }
}

static void a_database_of_a_later_version_is_left_alone(void **state) {
  (void)state;
  store *s;
  assert_ok(store_open("later.db", &s));
  assert_ok(sql_script(s, "PRAGMA user_version = 99"));
  store_close(s);
  assert_fails_with(store_open("later.db", &s), "was written by a newer flipbench (schema 99");
}

static void write_run(const char *directory, const char *cell, const char *time,
                      int64_t total_steps, int64_t steps) {
  strbuf text = {0}, path = {0};
  strbuf_format(&path, "results/%s", directory);
  assert_ok(fs_make_folders(strbuf_string(&path)));
  strbuf_format(&text,
                "{\"event\":\"attempt_start\",\"time\":\"%s\",\"cell\":\"%s\",\"attempt\":1,"
                "\"pid\":1,\"command\":[\"flip\"]}\n",
                time, cell);
  strbuf_append(&path, "/attempts.jsonl");
  assert_ok(fs_write_atomic(strbuf_string(&path), text.data, text.length));
  strbuf_clear(&text);
  strbuf_format(&text,
                "{\"event\":\"start\",\"time\":\"%s\",\"settings\":{\"seed\":7},\"commit\":\"c\","
                "\"flags\":\"-O3\",\"driver\":\"none\",\"conditions\":{\"load\":0.5},"
                "\"total_steps\":%lld,\"first_step\":0}\n",
                time, (long long)total_steps);
  for (int64_t step = 1; step <= steps; step++)
    strbuf_format(&text, "{\"event\":\"step\",\"step\":%lld,\"samples\":%lld,\"loss\":1.5}\n",
                  (long long)step, (long long)step * 64);
  strbuf_clear(&path);
  strbuf_format(&path, "results/%s/events.jsonl", directory);
  assert_ok(fs_write_atomic(strbuf_string(&path), text.data, text.length));
  strbuf_free(&text);
  strbuf_free(&path);
}

static void append(const char *path, const char *text) {
  FILE *file = fopen(path, "a");
  assert_non_null(file);
  assert_true(fputs(text, file) >= 0 && fclose(file) == 0);
}

static void the_meters_of_a_device_are_kept_and_those_of_none_are_missing(void **state) {
  (void)state;
  store *s;
  int64_t run_id;
  write_run("e/gpu", "cell1", "2026-01-01T00:00:00.000Z", 10, 10);
  append("results/e/gpu/events.jsonl",
         "{\"event\":\"memory\",\"peak_bytes\":7,\"planned_bytes\":6,\"host_peak_bytes\":5,"
         "\"utilisation\":0.5,\"power_watts\":400}\n"
         "{\"event\":\"end\",\"status\":\"finished\",\"energy_joules\":32,"
         "\"energy_per_sample\":0.05}\n");
  assert_ok(store_open("s.db", &s));
  assert_ok(store_ingest(s, "results", "e/gpu", &run_id));
  assert_int_equal(number(s, "SELECT value FROM summary WHERE name = 'power_watts'"), 400);
  assert_int_equal(number(s, "SELECT value FROM summary WHERE name = 'energy_joules'"), 32);
  assert_int_equal(number(s, "SELECT value * 100 FROM summary WHERE name = 'energy_per_sample'"),
                   5);
  assert_int_equal(number(s, "SELECT value FROM summary WHERE name = 'host_peak_bytes'"), 5);
  assert_int_equal(number(s, "SELECT count(*) FROM summary WHERE name = 'device_used_bytes'"), 0);
  store_close(s);
}

static void numbers_beyond_any_count_are_not_taken(void **state) {
  (void)state;
  store *s;
  int64_t run_id;
  write_run("e/huge", "cell1", "2026-01-01T00:00:00.000Z", INT64_MIN, 3);
  append("results/e/huge/events.jsonl",
         "{\"event\":\"step\",\"step\":1e300,\"samples\":-1e19,\"loss\":1.5}\n");
  assert_ok(store_open("s.db", &s));
  assert_ok(store_ingest(s, "results", "e/huge", &run_id));
  assert_int_equal(number(s, "SELECT count(*) FROM step WHERE step < 0 OR samples < 0"), 0);
  assert_int_equal(number(s, "SELECT count(*) FROM step WHERE step > 0"), 3);
  store_close(s);
}

static void damaged_numbers_are_taken_as_missing(void **state) {
  (void)state;
  store *s;
  int64_t run_id;
  write_run("e/odd", "cell1", "2026-01-01T00:00:00.000Z", 10, 3);
  append("results/e/odd/attempts.jsonl",
         "{\"event\":\"attempt_start\",\"time\":\"2026-01-01T00:00:09.000Z\",\"cell\":\"cell1\","
         "\"attempt\":2,\"pid\":1,\"ranks\":1.5,\"nodes\":1e300,\"events_start\":0.5}\n");
  append("results/e/odd/events.jsonl",
         "{\"event\":\"step\",\"step\":4,\"steps\":2305843009213693952,\"slowest_rank\":0.5}\n"
         "{\"event\":\"step\",\"step\":5,\"steps\":1,\"slowest_rank\":2}\n"
         "{\"event\":\"step\",\"step\":11,\"steps\":1}\n"
         "{\"event\":\"step\",\"step\":2305843009213693952,\"steps\":1}\n");
  assert_ok(store_open("s.db", &s));
  assert_ok(store_ingest(s, "results", "e/odd", &run_id));
  assert_int_equal(number(s, "SELECT count(*) FROM attempt WHERE coalesce(ranks, nodes,"
                             " events_start) IS NULL"),
                   2);
  assert_int_equal(number(s, "SELECT sum(steps) FROM step"), 5);
  assert_int_equal(number(s, "SELECT max(step) FROM step"), 5);
  assert_int_equal(number(s, "SELECT sum(slowest_rank) FROM step"), 2);
  /* where each of the three damaged lines is: after a start and three steps */
  assert_int_equal(number(s, "SELECT count(*) FROM warning WHERE message GLOB 'events.jsonl:5: *'"
                             " OR message GLOB 'events.jsonl:[78]: *'"),
                   3);
  store_close(s);
}

static void a_loss_has_no_points_outside_its_ranges(void **state) {
  (void)state;
  enum { BINS = 4 };
  store *s;
  int64_t run_id;
  store_point points[BINS];
  size_t count;
  static const char *const changes[] = {"UPDATE step SET step = -1000000 WHERE step = 3",
                                        "UPDATE step SET step = 1 << 61 WHERE step = 8",
                                        "UPDATE step SET step = 0 - step"};
  write_run("e/r", "cell1", "2026-01-01T00:00:00.000Z", 8, 8);
  assert_ok(store_open("s.db", &s));
  assert_ok(store_ingest(s, "results", "e/r", &run_id));
  assert_ok(store_load_loss(s, run_id, BINS, points, &count));
  assert_int_equal(count, BINS);
  for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
    assert_ok(sql_script(s, changes[i]));
    assert_ok(store_load_loss(s, run_id, BINS, points, &count));
    for (size_t k = 0; k < count; k++)
      assert_true(points[k].bin < BINS && (k == 0 || points[k].bin > points[k - 1].bin));
  }
  store_close(s);
}

static void what_a_run_says_of_code_and_machine_is_kept(void **state) {
  (void)state;
  store *s;
  int64_t run_id;
  write_run("e/r", "cell1", "2026-01-01T00:00:00.000Z", 10, 10);
  assert_ok(store_open("s.db", &s));
  assert_ok(store_ingest(s, "results", "e/r", &run_id));
  assert_int_equal(number(s, "SELECT count(*) FROM environment WHERE flags = '-O3' AND driver ="
                             " 'none'"),
                   1);
  assert_int_equal(number(s, "SELECT count(*) FROM attempt WHERE conditions = '{\"load\":0.5}'"),
                   1);
  /* no experiment names this cell: its settings are the run's own */
  assert_int_equal(number(s, "SELECT json_extract(settings, '$.seed') FROM cell"), 7);
  store_close(s);
}

static void reading_the_same_files_again_changes_nothing(void **state) {
  (void)state;
  store *s;
  int64_t run_id, again;
  write_run("e/r", "cell1", "2026-01-01T00:00:00.000Z", 12, 10);
  assert_ok(store_open("s.db", &s));
  assert_ok(store_ingest(s, "results", "e/r", &run_id));
  assert_ok(store_ingest(s, "results", "e/r", &again));
  assert_int_equal(run_id, again);
  assert_int_equal(number(s, "SELECT count(*) FROM step"), 10);
  append("results/e/r/events.jsonl",
         "{\"event\":\"step\",\"step\":11,\"samples\":704}\n{\"event\":");
  assert_ok(store_ingest(s, "results", "e/r", &again));
  assert_int_equal(number(s, "SELECT count(*) FROM step"), 11);
  /* the half line counts when it is whole, and as a warning when it never will be */
  append("results/e/r/events.jsonl", "\"step\",\"step\":12,\"samples\":768}\nnonsense\n");
  assert_ok(store_ingest(s, "results", "e/r", &again));
  assert_int_equal(number(s, "SELECT count(*) FROM step"), 12);
  assert_int_equal(number(s, "SELECT count(*) FROM warning WHERE kind = 'broken_line'"), 1);
  store_close(s);
}

static void a_long_run_keeps_a_bounded_number_of_steps(void **state) {
  (void)state;
  store *s;
  int64_t run_id;
  write_run("e/long", "cell1", "2026-01-01T00:00:00.000Z", 120001, 120001);
  assert_ok(store_open("s.db", &s));
  assert_ok(store_ingest(s, "results", "e/long", &run_id));
  int64_t kept = number(s, "SELECT count(*) FROM step");
  assert_true(kept > 25000 && kept <= 50001);
  assert_int_equal(number(s, "SELECT max(step) FROM step"), 120001); /* the last is always kept */
  assert_int_equal(number(s, "SELECT count(*) FROM step WHERE step % 3 <> 0"), 1);
  store_close(s);
}

/* Sweeps at once, the database not yet there: all of them make it, and each records its runs. */
static void many_processes_record_into_one_database(void **state) {
  (void)state;
  enum { PROCESSES = 8, RUNS = 6 };
  for (int i = 0; i < PROCESSES * RUNS; i++) {
    char directory[32], cell[32];
    snprintf(directory, sizeof directory, "e/r%d", i);
    snprintf(cell, sizeof cell, "cell%d", i / 2); /* two processes share cells */
    write_run(directory, cell, "2026-01-01T00:00:00.000Z", 200, 200);
  }
  for (int p = 0; p < PROCESSES; p++) {
    if (fork() != 0) continue;
    store *s = NULL;
    err error = store_open("shared.db", &s);
    for (int r = 0; r < RUNS && !error; r++) {
      char directory[32];
      int64_t run_id;
      snprintf(directory, sizeof directory, "e/r%d", p + r * PROCESSES);
      error = store_ingest(s, "results", directory, &run_id);
    }
    if (error) fprintf(stderr, "process %d: %s\n", p, err_message(error));
    store_close(s);
    _exit(error ? 1 : 0);
  }
  for (int p = 0; p < PROCESSES; p++) {
    int status;
    assert_true(wait(&status) > 0);
    assert_int_equal(status, 0);
  }
  store *s;
  assert_ok(store_open("shared.db", &s));
  assert_int_equal(number(s, "SELECT count(*) FROM run"), PROCESSES * RUNS);
  assert_int_equal(number(s, "SELECT count(*) FROM step"), PROCESSES * RUNS * 200);
  assert_ok(store_check(s));
  store_close(s);
}

static void a_finished_run_of_a_cell_counts_before_a_newer_failed_one(void **state) {
  (void)state;
  store *s;
  int64_t first, second;
  store_run run;
  static const char end[] = "{\"event\":\"attempt_end\",\"time\":\"2026-01-01T00:00:09.000Z\","
                            "\"attempt\":1,\"status\":\"%s\"}\n";
  char line[200];
  write_run("e/good", "cell1", "2026-01-01T00:00:00.000Z", 5, 5);
  write_run("e/bad", "cell1", "2026-01-02T00:00:00.000Z", 5, 5);
  snprintf(line, sizeof line, end, "finished");
  append("results/e/good/attempts.jsonl", line);
  snprintf(line, sizeof line, end, "failed");
  append("results/e/bad/attempts.jsonl", line);
  assert_ok(store_open("s.db", &s));
  assert_ok(store_ingest(s, "results", "e/good", &first));
  assert_ok(store_ingest(s, "results", "e/bad", &second));
  assert_ok(store_find_run(s, "cell1", &run));
  assert_int_equal(run.run_id, first);
  assert_string_equal(run.status, "finished");
  store_free_run(&run);
  store_close(s);
}

/* Merged after it, an older run has the higher number. */
static void the_newest_inputs_are_those_of_the_run_that_started_last(void **state) {
  (void)state;
  store *s;
  int64_t runs[2];
  size_t groups[2];
  bool is_mixed;
  write_run("e/new", "cell1", "2026-01-02T00:00:00.000Z", 5, 5);
  write_run("e/old", "cell2", "2026-01-01T00:00:00.000Z", 5, 5);
  assert_ok(store_open("s.db", &s));
  assert_ok(store_ingest(s, "results", "e/new", &runs[0]));
  assert_ok(store_ingest(s, "results", "e/old", &runs[1]));
  assert_true(runs[1] > runs[0]);
  assert_ok(sql_script(s, "UPDATE process SET data_fingerprint = 'data' || run_id"));
  assert_ok(store_group_inputs(s, runs, 2, INPUT_DATA, groups, &is_mixed));
  assert_true(is_mixed);
  assert_int_equal(groups[0], 0);
  assert_int_equal(groups[1], 1);
  store_close(s);
}

/* Runs that ask for other lists of sets have measured different things where a set of both differs;
 * a classifier's digests are of other parts of its sets. */
static void evaluation_sets_are_compared_by_name(void **state) {
  (void)state;
  enum { RUNS = 6 };
  static const struct {
    const char *asked, *got;
    size_t group;
  } cases[RUNS] = {
      {"{\"eval.sets\":[\"a\"]}", "{\"a\":\"1\"}", 1},
      {"{\"eval.sets\":[\"a\",\"b\"]}", "{\"a\":\"1\",\"b\":\"1\"}", 1},
      {"{\"eval.sets\":[\"b\"]}", "{\"b\":\"2\"}", 0},
      {"{\"eval.sets\":[\"a\",\"c\"],\"classification.classes\":2}", "{\"a\":\"9\"}", 0},
      {"{\"eval.sets\":[\"a\"],\"eval.probe_train\":\"p\"}", "{\"a\":\"3\",\"p\":\"1\"}", 2},
      {"{\"eval.sets\":[\"a\",\"b\"]}", "{\"a\":\"2\",\"b\":\"2\"}", 0}};
  store *s;
  int64_t runs[RUNS];
  size_t groups[RUNS];
  bool is_mixed;
  assert_ok(store_open("s.db", &s));
  for (int i = 0; i < RUNS; i++) {
    char directory[16], cell[16], time[32];
    snprintf(directory, sizeof directory, "e/r%d", i);
    snprintf(cell, sizeof cell, "cell%d", i);
    snprintf(time, sizeof time, "2026-01-%02dT00:00:00.000Z", i + 1);
    write_run(directory, cell, time, 5, 5);
    assert_ok(store_ingest(s, "results", directory, &runs[i]));
    assert_ok(sql_run(s, "UPDATE cell SET settings = ? WHERE id = ?", "tt", cases[i].asked, cell));
    assert_ok(sql_run(s, "UPDATE process SET evaluation_fingerprints = ? WHERE run_id = ?", "ti",
                      cases[i].got, runs[i]));
  }
  assert_ok(store_group_inputs(s, runs, RUNS, INPUT_EVALUATION, groups, &is_mixed));
  assert_true(is_mixed);
  for (int i = 0; i < RUNS; i++)
    if (groups[i] != cases[i].group) fail_msg("run %d is of group %zu", i, groups[i]);
  store_inputs one, other;
  assert_ok(store_load_inputs(s, runs[0], &one));
  assert_ok(store_load_inputs(s, runs[5], &other));
  assert_true(store_inputs_differ(&one, &other, INPUT_EVALUATION));
  store_free_inputs(&other);
  assert_ok(store_load_inputs(s, runs[2], &other));
  assert_false(store_inputs_differ(&one, &other, INPUT_EVALUATION));
  store_free_inputs(&one);
  store_free_inputs(&other);
  store_close(s);
}

/* What a sweep reads in passing it can read later. */
static void a_busy_database_can_be_left_for_later(void **state) {
  (void)state;
  store *s, *other;
  int64_t run_id = 0;
  bool is_busy;
  write_run("e/r", "c", "2026-01-01T00:00:00.000Z", 10, 2);
  assert_ok(store_open("s.db", &s));
  assert_ok(store_open("s.db", &other));
  assert_ok(store_begin(other));
  assert_ok(store_ingest_soon(s, "results", "e/r", &run_id, &is_busy));
  assert_true(is_busy && run_id == 0);
  store_set_patience(s, 1);
  assert_fails_with(store_ingest(s, "results", "e/r", &run_id),
                    "locked by another process for 1 s");
  assert_ok(store_end(other, NULL));
  assert_ok(store_ingest_soon(s, "results", "e/r", &run_id, &is_busy));
  assert_true(!is_busy && run_id == 1);
  assert_int_equal(number(s, "SELECT count(*) FROM step"), 2);
  store_close(other);
  store_close(s);
}

static void an_export_holds_every_row_in_either_format(void **state) {
  (void)state;
  store *s;
  export_count count;
  char *text;
  size_t length, lines = 0;
  make_old_database(1, "s.db");
  assert_ok(store_open("s.db", &s));
  assert_ok(store_export(s, &(export_options){"csv", EXPORT_CSV, NULL}, &count));
  assert_ok(fs_read("csv/step.csv", &text, &length));
  for (size_t i = 0; i < length; i++) lines += text[i] == '\n';
  assert_int_equal(lines, 1 + number(s, "SELECT count(*) FROM step"));
  assert_true(strncmp(text, "run_id,step,samples,loss,", 25) == 0);
  free(text);
  assert_ok(store_export(s, &(export_options){"jsonl", EXPORT_JSON_LINES, "small"}, &count));
  assert_ok(fs_read("jsonl/experiment_cell.jsonl", &text, &length));
  assert_non_null(strstr(text, "\"axes\":{\"mask_ratio\":\"0.5\"}"));
  free(text);
  assert_fails_with(store_export(s, &(export_options){"x", EXPORT_CSV, "none"}, &count),
                    "unknown experiment 'none'");
  store_close(s);
}

int main(void) {
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, enter_folder, leave_folder)
  const struct CMUnitTest tests[] = {
      IN_FOLDER(a_database_of_every_earlier_version_is_brought_up_to_date),
      IN_FOLDER(a_migrated_database_has_numbers_of_the_present_rules),
      IN_FOLDER(a_database_of_a_later_version_is_left_alone),
      IN_FOLDER(the_meters_of_a_device_are_kept_and_those_of_none_are_missing),
      IN_FOLDER(numbers_beyond_any_count_are_not_taken),
      IN_FOLDER(damaged_numbers_are_taken_as_missing),
      IN_FOLDER(a_loss_has_no_points_outside_its_ranges),
      IN_FOLDER(what_a_run_says_of_code_and_machine_is_kept),
      IN_FOLDER(reading_the_same_files_again_changes_nothing),
      IN_FOLDER(a_long_run_keeps_a_bounded_number_of_steps),
      IN_FOLDER(many_processes_record_into_one_database),
      IN_FOLDER(a_finished_run_of_a_cell_counts_before_a_newer_failed_one),
      IN_FOLDER(the_newest_inputs_are_those_of_the_run_that_started_last),
      IN_FOLDER(evaluation_sets_are_compared_by_name),
      IN_FOLDER(a_busy_database_can_be_left_for_later),
      IN_FOLDER(an_export_holds_every_row_in_either_format),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
