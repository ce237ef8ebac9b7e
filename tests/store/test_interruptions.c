/* Times of runs whose reading, training or clock is interrupted, from event streams written by
 * hand. */
#include "support/test.h"

#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/text.h"
#include "store/numbers.h"
#include "store/old_database.h"
#include "store/sql.h"
#include "store/written_runs.h"
#include "support/folder.h"

/* A sweep reads events while the checkpoint is written, and the run is killed before it goes on:
 * the row of the checkpoint's step must not have been absorbed by the next one. */
static void a_checkpoint_ends_a_row_wherever_the_reading_paused(void **state) {
  (void)state;
  enum { STEPS = 150000, SAVED = 10, KILLED = 15, NOW = 20 }; /* a row for every three steps */
  for (int is_split = 0; is_split < 2; is_split++) {
    store *s;
    int64_t run_id;
    strbuf text = {0};
    write_running_attempts(2);
    add_start(&text, 0, 0, STEPS);
    for (int step = 1; step <= SAVED; step++) add_step(&text, 0, step, 1, 0.25);
    strbuf_format(&text, "{\"event\":\"saving\",\"step\":%d}\n", (int)SAVED);
    write_file("results/e/r/events.jsonl", &text);
    assert_ok(store_open(is_split ? "split.db" : "whole.db", &s));
    if (is_split) assert_ok(store_ingest(s, "results", "e/r", &run_id));
    for (int step = SAVED + 1; step <= KILLED; step++) add_step(&text, 0, step, 1, 0.25);
    add_checkpoint(&text, SAVED);
    add_start(&text, 1, SAVED, STEPS);
    for (int step = SAVED + 1; step <= NOW; step++) add_step(&text, 1, step, 1, 0.5);
    write_file("results/e/r/events.jsonl", &text);
    assert_ok(store_ingest(s, "results", "e/r", &run_id));
    assert_near(real(s, "SELECT sum(steps) FROM step"), NOW);
    assert_near(real(s, "SELECT steps FROM step WHERE step = 10"), 1);
    assert_near(summary(s, "train_seconds"), 0.25 * SAVED + 0.5 * (NOW - SAVED));
    strbuf_free(&text);
    store_close(s);
  }
}

static int64_t version_of(const char *path) {
  sqlite3 *database;
  sqlite3_stmt *rows = NULL;
  int64_t version = -1; /* it is locked */
  assert_int_equal(sqlite3_open(path, &database), SQLITE_OK);
  if (sqlite3_prepare_v2(database, "PRAGMA user_version", -1, &rows, NULL) == SQLITE_OK &&
      sqlite3_step(rows) == SQLITE_ROW)
    version = sqlite3_column_int64(rows, 0);
  sqlite3_finalize(rows);
  sqlite3_close(database);
  return version;
}

/* The migration is committed before the run folders are read: a kill in between must not leave the
 * rows of the old database for good. */
static void folders_are_read_anew_after_a_kill_in_the_migration(void **state) {
  (void)state;
  static const char path[] = "results/flipbench.db", record[] = "results/e/r/attempts.jsonl";
  store *s;
  strbuf text = {0};
  write_attempts(3);
  write_interrupted_run(&text);
  write_file("results/e/r/events.jsonl", &text);
  assert_int_equal(rename(record, "kept"), 0);
  assert_int_equal(mkfifo(record, 0666), 0); /* where reading stops until somebody writes */
  make_old_database(2, path);
  assert_int_equal(system("sqlite3 results/flipbench.db \"UPDATE run SET directory = 'e/r' WHERE"
                          " id = 1\""),
                   0);
  pid_t child = fork();
  if (!child) _exit(store_open(path, &s) != NULL);
  while (version_of(path) != STORE_VERSION && waitpid(child, NULL, WNOHANG) == 0) usleep(1000);
  assert_int_equal(kill(child, SIGKILL), 0);
  assert_int_equal(waitpid(child, NULL, 0), child);
  assert_int_equal(rename("kept", record), 0);
  assert_ok(store_open(path, &s));
  assert_near(real(s, "SELECT count(*) FROM step WHERE run_id = 1"), 9);
  assert_true(real(s, "PRAGMA application_id") > 0);
  strbuf_free(&text);
  store_close(s);
}

static int64_t work; /* of every database that is open, in a thousand instructions of SQLite */

static int count_work(void *context) {
  (void)context;
  work++;
  return 0;
}

static int watch_work(sqlite3 *database) {
  sqlite3_progress_handler(database, 1000, count_work, NULL);
  return SQLITE_OK;
}

static int64_t work_of_numbers(int processes) {
  enum { ROWS = 10000 };
  store *s;
  int64_t run_id;
  strbuf text = {0};
  char sql[1024];
  write_attempts(1);
  add_start(&text, 0, 0, ROWS);
  write_file("results/e/r/events.jsonl", &text);
  assert_ok(store_open_empty(&s));
  assert_ok(store_ingest(s, "results", "e/r", &run_id));
  snprintf(sql, sizeof sql,
           "DELETE FROM process; WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n"
           "  WHERE i < %d) INSERT INTO process (run_id, number, attempt, version, first_step,"
           "  started, last, cpus, ranks) SELECT 1, i, i, 2, (i - 1) * %d,"
           "  '2026-01-01T00:00:00.000Z', '2026-01-01T00:00:01.000Z', 2, 1 FROM n;"
           "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)"
           "  INSERT INTO step (run_id, step, samples, train_seconds, attempt, steps, seconds,"
           "  stolen_seconds) SELECT 1, i, i, i, 1 + (i - 1) / %d, 1, 1.0, 0.5 FROM n;",
           processes, ROWS / processes, (int)ROWS, ROWS / processes);
  assert_ok(sql_script(s, sql));
  work = 0;
  assert_ok(numbers_make(s, run_id));
  int64_t done = work;
  assert_near(summary(s, "train_seconds"), ROWS);
  assert_near(summary(s, "stolen_share"), 0.25);
  strbuf_free(&text);
  store_close(s);
  return done;
}

/* Every time slice of an alternating cell is a process. What their number adds is less than all the
 * rest, and not a search through all of them, or all rows, for each. */
static void many_processes_cost_no_more_than_few(void **state) {
  (void)state;
  sqlite3_auto_extension((void (*)(void))watch_work);
  int64_t few = work_of_numbers(2), many = work_of_numbers(1000);
  sqlite3_reset_auto_extension();
  assert_true(few > 0);
  assert_in_range(many, few / 2, 2 * few);
}

/* Its wall time would be too short by as much, and what is made of it wrong. */
static void a_clock_set_back_leaves_no_wall_time(void **state) {
  (void)state;
  for (int is_split = 0; is_split < 2; is_split++) {
    store *s;
    int64_t run_id;
    strbuf text = {0};
    write_running_attempts(2);
    add_start(&text, 0, 0, 4); /* 00:00:01 */
    add_step(&text, 0, 1, 1, 0.5);
    add_step(&text, 20, 2, 1, 0.5); /* 00:20:10 */
    write_file("results/e/r/events.jsonl", &text);
    assert_ok(store_open(is_split ? "split.db" : "whole.db", &s));
    assert_ok(store_ingest(s, "results", "e/r", &run_id));
    assert_near(summary(s, "wall_seconds"), 20 * 60 + 9);
    if (!is_split) {
      store_close(s);
      assert_ok(store_open("again.db", &s));
    }
    add_step(&text, 5, 3, 1, 0.5); /* 00:05:10 */
    add_step(&text, 6, 4, 1, 0.5);
    add_end(&text, 6, "finished");
    write_file("results/e/r/events.jsonl", &text);
    assert_ok(store_ingest(s, "results", "e/r", &run_id));
    assert_near(summary(s, "train_seconds"), 2);
    assert_true(isnan(summary(s, "wall_seconds")));
    assert_near(real(s, "SELECT count(*) FROM warning WHERE kind = 'clock' AND message LIKE"
                        " 'the clock was set back by 900 s %'"),
                1);
    strbuf_free(&text);
    store_close(s);
  }
}

/* Between processes the clock may be set: each has its own first and last event. */
static void a_clock_set_between_processes_is_no_matter(void **state) {
  (void)state;
  store *s;
  int64_t run_id;
  strbuf text = {0};
  write_running_attempts(2);
  add_start(&text, 20, 0, 2);
  add_step(&text, 20, 1, 1, 0.5);
  add_start(&text, 1, 1, 2);
  add_step(&text, 1, 2, 1, 0.5);
  write_file("results/e/r/events.jsonl", &text);
  assert_ok(store_open("s.db", &s));
  assert_ok(store_ingest(s, "results", "e/r", &run_id));
  assert_near(summary(s, "wall_seconds"), 9 + 9);
  assert_near(real(s, "SELECT count(*) FROM warning WHERE kind = 'clock'"), 0);
  strbuf_free(&text);
  store_close(s);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, enter_folder, leave_folder)
int main(void) {
  const struct CMUnitTest tests[] = {
      IN_FOLDER(a_checkpoint_ends_a_row_wherever_the_reading_paused),
      IN_FOLDER(folders_are_read_anew_after_a_kill_in_the_migration),
      IN_FOLDER(many_processes_cost_no_more_than_few),
      IN_FOLDER(a_clock_set_back_leaves_no_wall_time),
      IN_FOLDER(a_clock_set_between_processes_is_no_matter),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
