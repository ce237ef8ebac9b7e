/* What run-level numbers are made from, with event streams written by hand. */
#include "support/test.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/text.h"
#include "store/inputs.h"
#include "store/old_database.h"
#include "store/sql.h"
#include "store/written_runs.h"
#include "support/folder.h"

static void numbers_of_an_interrupted_run_are_those_of_all_its_processes(void **state) {
  (void)state;
  store *s;
  int64_t run_id;
  strbuf text = {0};
  write_attempts(3);
  write_interrupted_run(&text);
  write_file("results/e/r/events.jsonl", &text);
  assert_ok(store_open("s.db", &s));
  assert_ok(store_ingest(s, "results", "e/r", &run_id));
  double trained = 3 * 0.5 + 0.8 + 4 * 0.4 + 0.6; /* discarded training is not included */
  assert_near(summary(s, "samples"), 640);
  assert_near(summary(s, "train_seconds"), trained);
  assert_near(summary(s, "samples_per_second_run"), 640 / trained);
  assert_near(summary(s, "wall_seconds"), 9 + 29 + 29); /* the killed one's last event counts */
  assert_near(summary(s, "peak_bytes"), 900);
  assert_near(summary(s, "host_peak_bytes"), 901);
  assert_near(summary(s, "attempts"), 3);
  assert_near(summary(s, "data_wait_share"), 0.1);
  assert_near(summary(s, "other_cpus"), 0.1);
  assert_near(summary(s, "energy_joules"), 2 * 9);
  assert_near(summary(s, "energy_per_sample"), 18.0 / 640);
  assert_near(summary(s, "final_loss"), 3.9);
  assert_near(summary(s, "lost_share"), 0);
  assert_near(summary(s, "disturbed"), 0);
  double pace = summary(s, "steady_step_seconds");
  assert_true(pace >= 0.4 && pace <= 0.5);
  assert_near(summary(s, "steady_seconds"), pace * 10);
  assert_near(summary(s, "samples_per_second"), 64 / pace);
  assert_near(summary(s, "samples_per_second_median"), 64 / pace);
  assert_near(summary(s, "flops_per_second"), 64e6 / pace);
  assert_near(summary(s, "mfu"), 64e6 / pace / 1e9);
  /* times of rows and of evaluations are sums of what was recorded */
  assert_near(real(s, "SELECT train_seconds FROM step WHERE step = 3"), 1.5);
  assert_near(real(s, "SELECT train_seconds FROM step WHERE step = 10"), trained);
  assert_near(real(s, "SELECT sum(steps) FROM step"), 10);
  assert_near(real(s, "SELECT group_concat(attempt, '') FROM step"), 11122222 * 10 + 3);
  strbuf_free(&text);
  store_close(s);
}

/* The meter could not be read in the last step: its samples are not counted either. */
static void energy_is_of_the_samples_of_the_steps_that_have_it(void **state) {
  (void)state;
  static const char key[] = "\"energy_joules\"";
  store *s;
  int64_t run_id;
  strbuf text = {0};
  write_attempts(3);
  write_interrupted_run(&text);
  char *last = NULL;
  for (char *at = text.data; (at = strstr(at, key)); at++) last = at;
  assert_non_null(last);
  last[1] = 'E';
  write_file("results/e/r/events.jsonl", &text);
  assert_ok(store_open("s.db", &s));
  assert_ok(store_ingest(s, "results", "e/r", &run_id));
  assert_near(summary(s, "energy_joules"), 2 * 8);
  assert_near(summary(s, "energy_per_sample"), 16.0 / (9 * 64));
  strbuf_free(&text);
  store_close(s);
}

/* Ten rows of a process on two CPUs, of whose time the hypervisor took 3 %, and ten of three steps
 * on four, undisturbed: shares are of the CPUs and the steps of each. */
static void a_processes_readings_are_of_its_own_cpus(void **state) {
  (void)state;
  store *s;
  int64_t run_id;
  strbuf text = {0};
  write_attempts(2);
  for (int i = 0; i < 20; i++) {
    if (i % 10 == 0)
      strbuf_format(&text,
                    "{\"event\":\"start\",\"time\":\"2026-01-01T00:%02d:00.000Z\",\"version\":2,"
                    "\"settings\":{\"batch_size\":64},\"host\":\"h\",\"cpu\":\"c\",\"threads\":2,"
                    "\"conditions\":{\"cpus\":%d},\"total_steps\":40,\"first_step\":%d}\n",
                    i / 10, i ? 4 : 2, i);
    const int steps = i < 10 ? 1 : 3;
    strbuf_format(&text,
                  "{\"event\":\"step\",\"time\":\"2026-01-01T00:%02d:02.000Z\",\"step\":%d,"
                  "\"samples\":%d,\"loss\":1,\"seconds\":1,\"steps\":%d,\"stolen_seconds\":%g,"
                  "\"rank_spread\":%d}\n",
                  i / 10, i < 10 ? i + 1 : 10 + 3 * (i - 9), 64, steps, i < 10 ? 0.06 : 0.0,
                  i < 10 ? 1 : 2);
  }
  write_file("results/e/r/events.jsonl", &text);
  assert_ok(store_open("s.db", &s));
  assert_ok(store_ingest(s, "results", "e/r", &run_id));
  assert_near(summary(s, "stolen_share"), 0.6 / (10 * 2 + 10 * 4));
  assert_near(summary(s, "disturbed_share"), 0.5);
  assert_near(summary(s, "rank_spread"), (10 * 1 + 30 * 2) / 40.0);
  strbuf_free(&text);
  store_close(s);
}

/* A line was lost: the time of the others is not the run's. */
static void without_one_of_its_rows_a_run_has_no_time(void **state) {
  (void)state;
  store *s;
  int64_t run_id;
  strbuf text = {0}, rest = {0};
  write_attempts(3);
  write_interrupted_run(&text);
  for (const char *at = text.data, *next; *at; at = next) {
    next = strchr(at, '\n') + 1;
    const char *lost = strstr(at, "\"step\":7,");
    if (!lost || lost >= next) strbuf_append_bytes(&rest, at, (size_t)(next - at));
  }
  assert_true(rest.length < text.length);
  write_file("results/e/r/events.jsonl", &rest);
  assert_ok(store_open("s.db", &s));
  assert_ok(store_ingest(s, "results", "e/r", &run_id));
  assert_near(real(s, "SELECT sum(steps) FROM step"), 9);
  assert_true(isnan(summary(s, "train_seconds")) && isnan(summary(s, "samples_per_second_run")));
  assert_true(isnan(summary(s, "steady_seconds")) && isnan(summary(s, "samples_per_second")));
  assert_near(summary(s, "samples"), 640);
  strbuf_free(&text);
  strbuf_free(&rest);
  store_close(s);
}

/* Its end is after its start all the same. */
static void a_clock_that_was_set_back_leaves_no_wall_time(void **state) {
  (void)state;
  for (int is_back = 0; is_back < 2; is_back++) {
    store *s;
    int64_t run_id;
    strbuf text = {0};
    write_attempts(1);
    add_start(&text, 0, 0, 2);
    add_step(&text, 5, 1, 1, 0.5);
    add_step(&text, is_back ? 3 : 6, 2, 1, 0.5);
    add_end(&text, 7, "finished");
    write_file("results/e/r/events.jsonl", &text);
    assert_ok(store_open(is_back ? "back.db" : "s.db", &s));
    assert_ok(store_ingest(s, "results", "e/r", &run_id));
    if (is_back)
      assert_true(isnan(summary(s, "wall_seconds")));
    else
      assert_near(summary(s, "wall_seconds"), 7 * 60 + 29);
    assert_near(summary(s, "train_seconds"), 1);
    strbuf_free(&text);
    store_close(s);
  }
}

/* All that was made of a run, for comparison. */
static char *dump(store *s) {
  static const char *const queries[] = {
      "SELECT name, value FROM summary ORDER BY 1",
      "SELECT step, steps, seconds, train_seconds, attempt FROM step ORDER BY 1",
      "SELECT step, metric, value, train_seconds FROM evaluation ORDER BY 1, 2",
      "SELECT number, attempt, started, last FROM process ORDER BY 1",
      "SELECT ordinal, step, peak_bytes FROM memory ORDER BY 1"};
  strbuf out = {0};
  for (size_t i = 0; i < sizeof queries / sizeof *queries; i++) {
    sqlite3_stmt *rows;
    bool more;
    assert_ok(sql_query_once(s, &rows, queries[i]));
    for (err error; !(error = sql_next(s, rows, &more)) && more;) {
      for (int c = 0; c < sqlite3_column_count(rows); c++)
        strbuf_format(&out, "%s|", sql_text(rows, c));
      strbuf_append_char(&out, '\n');
    }
    sqlite3_finalize(rows);
  }
  return strbuf_take(&out);
}

static void read_line_by_line_or_at_once_the_record_is_the_same(void **state) {
  (void)state;
  store *slow, *fast;
  int64_t run_id;
  strbuf text = {0};
  write_attempts(3);
  write_interrupted_run(&text);
  assert_ok(store_open("slow.db", &slow));
  for (size_t length = 1; length <= text.length; length++) {
    if (text.data[length - 1] != '\n') continue;
    strbuf part = {text.data, length, length, false};
    write_file("results/e/r/events.jsonl", &part);
    assert_ok(store_ingest(slow, "results", "e/r", &run_id));
  }
  assert_ok(store_open("fast.db", &fast));
  assert_ok(store_ingest(fast, "results", "e/r", &run_id));
  char *a = dump(slow), *b = dump(fast);
  assert_string_equal(a, b);
  free(a);
  free(b);
  strbuf_free(&text);
  store_close(slow);
  store_close(fast);
}

static void sums_of_a_long_run_are_exact(void **state) {
  (void)state;
  enum { STEPS = 120001, RESUMED = 70001 };
  store *s;
  int64_t run_id;
  strbuf text = {0};
  write_attempts(3);
  add_start(&text, 0, 0, STEPS);
  for (int step = 1; step <= RESUMED + 20; step++) {
    add_step(&text, 0, step, 1, 0.25);
    if (step == RESUMED) strbuf_format(&text, "{\"event\":\"saving\",\"step\":%d}\n", (int)RESUMED);
    if (step == RESUMED + 5) add_checkpoint(&text, RESUMED); /* written meanwhile */
  }
  add_start(&text, 1, RESUMED, STEPS);
  for (int step = RESUMED + 1; step <= STEPS; step++) add_step(&text, 1, step, 1, 0.5);
  add_end(&text, 1, "finished");
  write_file("results/e/r/events.jsonl", &text);
  assert_ok(store_open("s.db", &s));
  assert_ok(store_ingest(s, "results", "e/r", &run_id));
  assert_true(real(s, "SELECT count(*) FROM step") < 50010);
  assert_near(real(s, "SELECT sum(steps) FROM step"), STEPS);
  assert_near(summary(s, "train_seconds"), 0.25 * RESUMED + 0.5 * (STEPS - RESUMED));
  assert_near(summary(s, "energy_joules"), 2.0 * STEPS);
  assert_near(summary(s, "comm_bytes"), 3.0 * STEPS);
  assert_near(summary(s, "values_saturated"), 5.0 * STEPS);
  assert_near(summary(s, "values_saturated_per_step"), 5);
  assert_near(summary(s, "rank_spread"), 1.5);
  assert_near(real(s, "SELECT train_seconds FROM step WHERE step = 70001"), 0.25 * RESUMED);
  strbuf_free(&text);
  store_close(s);
}

/* Every third step is slow, and a row is kept for every three: neither the mean of each three nor
 * always the last one has the median of the steps. */
static void numbers_of_a_long_run_are_of_its_steps(void **state) {
  (void)state;
  enum { STEPS = 100001, TAIL = 94999 }; /* the row of steps 94,999 to 95,001 is the tail's first */
  store *s;
  int64_t run_id;
  strbuf text = {0};
  write_attempts(3);
  add_start(&text, 0, 0, STEPS);
  for (int step = 1; step <= STEPS; step++) add_step(&text, 0, step, 1, step % 3 ? 0.25 : 1);
  add_end(&text, 0, "finished");
  write_file("results/e/r/events.jsonl", &text);
  assert_ok(store_open("s.db", &s));
  assert_ok(store_ingest(s, "results", "e/r", &run_id));
  assert_near(real(s, "SELECT max(steps) FROM step"), 3);
  assert_near(summary(s, "steady_step_seconds"), 0.25);
  assert_near(summary(s, "samples_per_second"), 64 / 0.25);
  assert_near(summary(s, "train_seconds"), (STEPS - 1) / 2.0);
  assert_near(summary(s, "lost_share"), 0);
  assert_near(summary(s, "final_loss"), 4 - 0.01 * (TAIL + STEPS) / 2);
  /* each of the three is drawn as often: 100001 / 9, 3.5 standard deviations */
  double drawn = real(s, "SELECT count(*) FROM step WHERE drawn_seconds = 1");
  assert_true(fabs(drawn - STEPS / 9.0) < 3.5 * sqrt(STEPS / 3.0 * 2 / 9));
  strbuf_free(&text);
  store_close(s);
}

/* What text masking sorts words by is an input like the vocabulary: asked for, given, compared. */
static void another_lexicon_is_another_input(void **state) {
  (void)state;
  static const char *const lexicons[] = {"", ",\"lexicon_fingerprint\":\"l1\"",
                                         ",\"lexicon_fingerprint\":\"l2\""};
  static const char *const expected[] = {"v", "v+l1", "v+l2"};
  store_inputs given[3];
  for (int i = 0; i < 3; i++) {
    char database[16];
    store *s;
    int64_t run_id;
    strbuf text = {0};
    write_attempts(1);
    strbuf_format(&text,
                  "{\"event\":\"start\",\"time\":\"2026-01-01T00:00:01.000Z\",\"version\":2,"
                  "\"settings\":{\"text.vocabulary\":\"vocab.txt\",\"text_mask_mode\":\"%s\","
                  "\"text_mask_lexicon\":\"w.yml\"},\"vocabulary_fingerprint\":\"v\"%s,"
                  "\"total_steps\":10,\"first_step\":0}\n",
                  i ? "syntax" : "random", lexicons[i]);
    write_file("results/e/r/events.jsonl", &text);
    snprintf(database, sizeof database, "s%d.db", i);
    assert_ok(store_open(database, &s));
    assert_ok(store_ingest(s, "results", "e/r", &run_id));
    assert_ok(store_load_inputs(s, run_id, &given[i]));
    assert_string_equal(given[i].asked[INPUT_VOCABULARY], i ? "vocab.txt+w.yml" : "vocab.txt");
    assert_string_equal(given[i].got[INPUT_VOCABULARY], expected[i]);
    strbuf_free(&text);
    store_close(s);
  }
  assert_true(store_inputs_differ(&given[1], &given[2], INPUT_VOCABULARY));
  for (int i = 0; i < 3; i++) store_free_inputs(&given[i]);
}

/* Stream version 1 with log_every 10: a row has the time of its own step and a running total. */
static void rows_of_the_old_stream_cover_the_steps_between_them(void **state) {
  (void)state;
  store *s;
  int64_t run_id;
  strbuf text = {0};
  write_attempts(1);
  strbuf_append(&text, "{\"event\":\"start\",\"version\":1,\"total_steps\":30,\"first_step\":0}\n");
  for (int step = 10; step <= 30; step += 10)
    strbuf_format(&text,
                  "{\"event\":\"step\",\"step\":%d,\"samples\":%d,\"seconds\":0.5,"
                  "\"data_wait_seconds\":0.01,\"train_seconds\":%g}\n",
                  step, step * 8, 0.4 * step);
  strbuf_append(&text, "{\"event\":\"end\",\"status\":\"finished\",\"peak_bytes\":5,"
                       "\"samples_per_second_median\":3,\"energy_joules\":7}\n");
  write_file("results/e/r/events.jsonl", &text);
  assert_ok(store_open("s.db", &s));
  assert_ok(store_ingest(s, "results", "e/r", &run_id));
  assert_near(summary(s, "train_seconds"), 12);
  assert_near(summary(s, "steady_step_seconds"), 0.4);
  assert_near(summary(s, "samples_per_second_median"), 20);
  assert_near(summary(s, "data_wait_share"), 3 * 10 * 0.01 / 12);
  assert_near(summary(s, "peak_bytes"), 5);
  assert_near(summary(s, "energy_per_sample"), 7.0 / 240);
  /* nothing tells whether it was disturbed */
  assert_true(isnan(summary(s, "disturbed")));
  strbuf_free(&text);
  store_close(s);
}

static void a_migrated_record_has_numbers_of_its_rows(void **state) {
  (void)state;
  store *s;
  make_old_database(2, "s.db");
  assert_ok(store_open("s.db", &s));
  /* rows of steps 4, 8 and 12, the last with a running total of 0.304 s */
  assert_near(real(s, "SELECT sum(steps) FROM step WHERE run_id = 1"), 12);
  double trained = real(s, "SELECT value FROM summary WHERE run_id = 1 AND name = 'train_seconds'");
  assert_true(fabs(trained - 0.30412555898607240845) < 1e-12);
  assert_near(real(s, "SELECT max(train_seconds) FROM evaluation WHERE run_id = 1"), trained);
  assert_near(real(s, "SELECT value FROM summary WHERE run_id = 1 AND name = 'peak_bytes'"), 4.4e8);
  assert_near(real(s, "SELECT value FROM summary WHERE run_id = 1 AND name = 'attempts'"), 1);
  assert_true(real(s, "SELECT value FROM summary WHERE run_id = 1 AND name = 'steady_seconds'") >
              0.29);
  store_close(s);
}

static void run_folders_beside_a_migrated_record_are_read_anew(void **state) {
  (void)state;
  store *s;
  strbuf text = {0};
  write_attempts(3);
  write_interrupted_run(&text);
  write_file("results/e/r/events.jsonl", &text);
  make_old_database(2, "results/flipbench.db");
  assert_int_equal(system("sqlite3 results/flipbench.db \"UPDATE run SET directory = 'e/r' WHERE"
                          " id = 1\""),
                   0);
  assert_ok(store_open("results/flipbench.db", &s));
  assert_near(
      real(s, "SELECT value FROM summary WHERE run_id = 1 AND name = 'samples_per_second_run'"),
      640 / 4.5);
  assert_near(real(s, "SELECT count(*) FROM step WHERE run_id = 1"), 9);
  /* the others have no folder: what was kept of them stays */
  assert_near(real(s, "SELECT count(*) FROM step WHERE run_id = 3"), 3);
  strbuf_free(&text);
  store_close(s);
}

/* One run of two attempts of two ranks each, or of two and then one. */
static void write_ranks(int last_ranks) {
  strbuf attempts = {0}, events = {0};
  for (int i = 0; i < 2; i++) {
    int ranks = i ? last_ranks : 2;
    strbuf_format(&attempts,
                  "{\"event\":\"attempt_start\",\"time\":\"2026-01-01T00:%02d:00.000Z\",\"cell\":"
                  "\"c\",\"attempt\":%d,\"pid\":1,\"ranks\":%d,\"nodes\":%d,\"command\":[]}\n",
                  i, i + 1, ranks, ranks);
    strbuf_format(&attempts,
                  "{\"event\":\"attempt_end\",\"attempt\":%d,\"status\":\"%s\",\"ranks\":[", i + 1,
                  i ? "finished" : "failed");
    for (int rank = 0; rank < ranks; rank++)
      strbuf_format(&attempts,
                    "%s{\"rank\":%d,\"host\":\"h%d\",\"peak_bytes\":%d,\"cpu_seconds\":1.5}",
                    rank ? "," : "", rank, rank, rank ? 5000 : 1000);
    strbuf_append(&attempts, "]}\n");
    strbuf_format(&events,
                  "{\"event\":\"start\",\"time\":\"2026-01-01T00:%02d:01.000Z\",\"version\":2,"
                  "\"settings\":{\"batch_size\":64},\"device\":\"cpu\",\"threads\":1,\"ranks\":%d,"
                  "\"conditions\":{\"cpus\":1},\"total_steps\":20,\"first_step\":%d}\n",
                  i, ranks, 10 * i);
    for (int step = 10 * i + 1; step <= 10 * i + 10; step++)
      strbuf_format(
          &events,
          "{\"event\":\"step\",\"time\":\"2026-01-01T00:%02d:10.000Z\",\"step\":%d,"
          "\"samples\":%d,\"loss\":1,\"seconds\":0.5,\"steps\":1,\"comm_seconds\":0.1,"
          "\"energy_joules\":2,\"comm_bytes\":1000,\"rank_spread\":%g,\"slowest_rank\":%d}\n",
          i, step, 64 * step, i ? 0.3 : 0.1, step % 3 ? 1 : 0);
    add_memory(&events, i, 2000);
  }
  add_end(&events, 1, "finished");
  write_file("results/e/r/attempts.jsonl", &attempts);
  write_file("results/e/r/events.jsonl", &events);
  strbuf_free(&attempts);
  strbuf_free(&events);
}

static void numbers_of_ranks_are_those_of_all_of_them(void **state) {
  (void)state;
  store *s;
  int64_t run_id;
  write_ranks(2);
  assert_ok(store_open("s.db", &s));
  assert_ok(store_ingest(s, "results", "e/r", &run_id));
  assert_near(summary(s, "ranks"), 2);
  assert_near(summary(s, "nodes"), 2);
  assert_near(summary(s, "comm_share"), 0.2);
  assert_near(summary(s, "comm_bytes"), 20000);
  assert_near(summary(s, "comm_bytes_per_step"), 1000);
  assert_near(summary(s, "slowest_rank"), 1);
  assert_near(summary(s, "rank_spread"), 0.2);
  assert_near(summary(s, "cpu_seconds"), 6);
  assert_near(summary(s, "peak_bytes"), 5000); /* of rank 1; rank 0 reported 2000 */
  assert_near(summary(s, "host_peak_bytes"), 5000);
  assert_near(summary(s, "peak_rank"), 1);
  assert_near(summary(s, "samples_per_second"), 128);
  assert_near(summary(s, "samples_per_second_per_rank"), 64);
  store_close(s);
}

/* The meter is rank 0's; the samples are those of all ranks. */
static void the_energy_of_a_sample_is_unknown_for_several_ranks(void **state) {
  (void)state;
  for (int last_ranks = 1; last_ranks <= 2; last_ranks++) {
    store *s;
    int64_t run_id;
    write_ranks(last_ranks);
    assert_ok(store_open(last_ranks == 1 ? "one.db" : "two.db", &s));
    assert_ok(store_ingest(s, "results", "e/r", &run_id));
    assert_near(summary(s, "energy_joules"), 40);
    assert_true(isnan(summary(s, "energy_per_sample")));
    store_close(s);
  }
}

static void a_run_on_two_numbers_of_ranks_has_no_steady_pace(void **state) {
  (void)state;
  store *s;
  int64_t run_id;
  store_inputs given;
  write_ranks(1);
  assert_ok(store_open("s.db", &s));
  assert_ok(store_ingest(s, "results", "e/r", &run_id));
  assert_near(summary(s, "ranks"), 1);
  assert_near(summary(s, "train_seconds"), 10);
  assert_true(isnan(summary(s, "steady_seconds")) && isnan(summary(s, "samples_per_second")));
  assert_true(isnan(summary(s, "mfu")) && isnan(summary(s, "lost_share")));
  assert_ok(store_load_inputs(s, run_id, &given));
  assert_string_equal(given.got[INPUT_RANKS], "2, then 1");
  store_free_inputs(&given);
  store_close(s);
}

/* The second of three processes had other threads, or was on another machine. */
static void a_run_that_continued_elsewhere_has_no_steady_pace(void **state) {
  (void)state;
  static const struct {
    const char *before, *database, *got;
    char other;
    input_kind kind;
  } cases[] = {{"\"threads\":", "threads.db", "2, then 7", '7', INPUT_THREADS},
               {"\"host\":\"h", "host.db", "h1 (c), then h2 (c)", '2', INPUT_MACHINE}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    store *s;
    int64_t run_id;
    store_inputs given;
    strbuf text = {0};
    write_attempts(3);
    write_interrupted_run(&text);
    char *at = strstr(text.data, cases[i].before);
    at = strstr(at + 1, cases[i].before);
    at[strlen(cases[i].before)] = cases[i].other;
    write_file("results/e/r/events.jsonl", &text);
    assert_ok(store_open(cases[i].database, &s));
    assert_ok(store_ingest(s, "results", "e/r", &run_id));
    assert_near(summary(s, "train_seconds"), 3 * 0.5 + 0.8 + 4 * 0.4 + 0.6);
    assert_true(isnan(summary(s, "steady_seconds")) && isnan(summary(s, "samples_per_second")));
    assert_ok(store_load_inputs(s, run_id, &given));
    assert_string_equal(given.got[cases[i].kind], cases[i].got);
    store_free_inputs(&given);
    strbuf_free(&text);
    store_close(s);
  }
}

static const char *const of_steps[] = {"samples",        "train_seconds",   "samples_per_second",
                                       "steady_seconds", "data_wait_share", "final_loss",
                                       "energy_joules",  "wall_seconds",    "peak_bytes"};

/* Takes the last lines from the written run's events. */
static void cut_events(strbuf *text, int lines) {
  for (; lines > 0; lines--) {
    text->data[text->length - 1] = '\0';
    text->length = (size_t)(strrchr(text->data, '\n') + 1 - text->data);
  }
  text->data[text->length] = '\0';
  write_file("results/e/r/events.jsonl", text);
}

/* Half of a finished run is no shorter run: its sums would pass for those of the whole. */
static void a_finished_run_whose_events_were_cut_has_no_numbers_of_the_rest(void **state) {
  (void)state;
  store *s;
  int64_t run_id;
  strbuf text = {0};
  write_attempts(3);
  write_interrupted_run(&text);
  cut_events(&text, 3); /* the end, a reading of memory, the last step */
  assert_ok(store_open("s.db", &s));
  assert_ok(store_ingest(s, "results", "e/r", &run_id));
  assert_near(real(s, "SELECT max(step) FROM step"), 9);
  for (size_t i = 0; i < sizeof of_steps / sizeof *of_steps; i++)
    if (!isnan(summary(s, of_steps[i]))) fail_msg("%s is known", of_steps[i]);
  assert_near(summary(s, "attempts"), 3);
  assert_near(summary(s, "total_steps"), 10);
  strbuf_clear(&text);
  write_interrupted_run(&text); /* restored */
  write_file("results/e/r/events.jsonl", &text);
  assert_ok(store_ingest(s, "results", "e/r", &run_id));
  for (size_t i = 0; i < sizeof of_steps / sizeof *of_steps; i++)
    if (isnan(summary(s, of_steps[i]))) fail_msg("%s is not known", of_steps[i]);
  strbuf_free(&text);
  store_close(s);
}

static void what_only_the_last_events_had_is_missing_without_them(void **state) {
  (void)state;
  store *s;
  int64_t run_id;
  strbuf text = {0};
  write_attempts(3);
  write_interrupted_run(&text);
  cut_events(&text, 2); /* the end, a reading of memory */
  assert_ok(store_open("s.db", &s));
  assert_ok(store_ingest(s, "results", "e/r", &run_id));
  assert_near(summary(s, "samples"), 640);
  assert_near(summary(s, "final_loss"), 3.9);
  assert_true(isnan(summary(s, "wall_seconds")) && isnan(summary(s, "peak_bytes")));
  strbuf_free(&text);
  store_close(s);
}

/* A run that was stopped has the numbers of what it trained. */
static void an_unfinished_run_has_numbers_so_far(void **state) {
  (void)state;
  store *s;
  int64_t run_id;
  strbuf text = {0};
  write_running_attempts(2);
  add_start(&text, 0, 0, 10);
  for (int step = 1; step <= 5; step++) add_step(&text, 0, step, 1, 0.5);
  add_memory(&text, 0, 900);
  write_file("results/e/r/events.jsonl", &text);
  assert_ok(store_open("s.db", &s));
  assert_ok(store_ingest(s, "results", "e/r", &run_id));
  for (size_t i = 0; i < sizeof of_steps / sizeof *of_steps; i++)
    if (isnan(summary(s, of_steps[i]))) fail_msg("%s is not known", of_steps[i]);
  strbuf_free(&text);
  store_close(s);
}

int main(void) {
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, enter_folder, leave_folder)
  const struct CMUnitTest tests[] = {
      IN_FOLDER(numbers_of_an_interrupted_run_are_those_of_all_its_processes),
      IN_FOLDER(energy_is_of_the_samples_of_the_steps_that_have_it),
      IN_FOLDER(a_processes_readings_are_of_its_own_cpus),
      IN_FOLDER(a_clock_that_was_set_back_leaves_no_wall_time),
      IN_FOLDER(without_one_of_its_rows_a_run_has_no_time),
      IN_FOLDER(read_line_by_line_or_at_once_the_record_is_the_same),
      IN_FOLDER(sums_of_a_long_run_are_exact),
      IN_FOLDER(numbers_of_a_long_run_are_of_its_steps),
      IN_FOLDER(another_lexicon_is_another_input),
      IN_FOLDER(rows_of_the_old_stream_cover_the_steps_between_them),
      IN_FOLDER(a_migrated_record_has_numbers_of_its_rows),
      IN_FOLDER(numbers_of_ranks_are_those_of_all_of_them),
      IN_FOLDER(the_energy_of_a_sample_is_unknown_for_several_ranks),
      IN_FOLDER(a_run_on_two_numbers_of_ranks_has_no_steady_pace),
      IN_FOLDER(a_run_that_continued_elsewhere_has_no_steady_pace),
      IN_FOLDER(a_finished_run_whose_events_were_cut_has_no_numbers_of_the_rest),
      IN_FOLDER(what_only_the_last_events_had_is_missing_without_them),
      IN_FOLDER(an_unfinished_run_has_numbers_so_far),
      IN_FOLDER(run_folders_beside_a_migrated_record_are_read_anew),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
