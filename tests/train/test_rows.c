/* The rows of a run have the machine's time in which their steps were taken. */
#include "support/folder.h"

#include <time.h>

#include "base/fs.h"
#include "train/rows.h"

/* Nothing is computed on it, and it has no meter. */
static err memory_of(ops *o, ops_memory *memory) {
  (void)o;
  *memory = (ops_memory){0};
  return NULL;
}
static ops_table table = {.name = "device", .memory = memory_of};
static ops device_ops = {.call = &table};

static double cpu_seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* 0.3 s of this process's one thread, in which a step took 1 ms: the one after it failed. Its row
 * cannot have more CPU time than a thread has in 1 ms. */
static void time_without_a_step_belongs_to_no_row(void **state) {
  (void)state;
  event_stream events;
  step_rows *rows;
  char *text = NULL;
  size_t length;
  assert_ok(events_open(&events, "events.jsonl"));
  assert_ok(rows_create(&device_ops, &events, 0, &rows));
  rows_begin(rows);
  for (double end = cpu_seconds() + 0.3; cpu_seconds() < end;) {
  }
  rows_add(rows, &(row_step){.step = 1, .samples = 8, .seconds = 0.001});
  assert_ok(rows_end_row(rows, NULL, true));
  rows_destroy(rows);
  events_close(&events);
  assert_ok(fs_read("events.jsonl", &text, &length));
  const char *cpu = strstr(text, "\"cpu_seconds\":");
  assert_non_null(strstr(text, "\"seconds\":0.001,"));
  if (!cpu) skip(); /* the kernel does not count it */
  double seconds = strtod(cpu + strlen("\"cpu_seconds\":"), NULL);
  if (seconds > 0.0011) fail_msg("1 ms of steps with %g s of CPU time", seconds);
  free(text);
}

static double number_of(const char *line, const char *key) {
  char quoted[64];
  snprintf(quoted, sizeof quoted, "\"%s\":", key);
  const char *at = strstr(line, quoted);
  if (!at) fail_msg("no %s in %s", key, line);
  return strtod(at + strlen(quoted), NULL);
}

/* A row of two steps has their sums and the second's loss, and the run's time until then. */
static void a_row_has_the_sums_of_its_steps(void **state) {
  (void)state;
  event_stream events;
  step_rows *rows;
  char *text = NULL;
  size_t length;
  assert_ok(events_open(&events, "events.jsonl"));
  assert_ok(rows_create(&device_ops, &events, 10, &rows));
  rows_begin(rows);
  for (int i = 1; i <= 2; i++)
    rows_add(rows, &(row_step){.step = i,
                               .samples = 8 * i,
                               .loss = 5 - i,
                               .grad_norm = i,
                               .learning_rate = 0.5 * i,
                               .values_saturated = 100 * i,
                               .seconds = i,
                               .data_wait_seconds = 0.25 * i,
                               .comm_seconds = 0.125 * i,
                               .comm_bytes = 1000 * i});
  assert_ok(rows_end_row(rows, NULL, true));
  rows_add(rows, &(row_step){.step = 3, .samples = 24, .seconds = 4, .data_wait_seconds = 0.5});
  assert_ok(rows_end_row(rows, NULL, true));
  rows_destroy(rows);
  events_close(&events);
  assert_ok(fs_read("events.jsonl", &text, &length));
  char *second = strchr(text, '\n') + 1;
  second[-1] = '\0';
  static const struct {
    const char *key;
    double first, second;
  } wanted[] = {{"step", 2, 3},
                {"samples", 16, 24},
                {"steps", 2, 1},
                {"loss", 3, 0},
                {"grad_norm", 2, 0},
                {"learning_rate", 1, 0},
                {"values_saturated", 300, 0},
                {"seconds", 3, 4},
                {"data_wait_seconds", 0.75, 0.5},
                {"comm_seconds", 0.375, 0},
                {"comm_bytes", 3000, 0},
                {"train_seconds", 13, 17}};
  for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
    double first = number_of(text, wanted[i].key), next = number_of(second, wanted[i].key);
    if (first != wanted[i].first || next != wanted[i].second)
      fail_msg("%s: %g, then %g", wanted[i].key, first, next);
  }
  free(text);
}

/* What a row's readings have counted is not in the next row's. */
static void each_row_has_the_readings_since_the_one_before(void **state) {
  (void)state;
  event_stream events;
  step_rows *rows;
  char *text = NULL;
  size_t length;
  assert_ok(events_open(&events, "events.jsonl"));
  assert_ok(rows_create(&device_ops, &events, 0, &rows));
  rows_begin(rows);
  for (double end = cpu_seconds() + 0.3; cpu_seconds() < end;) {
  }
  rows_add(rows, &(row_step){.step = 1, .samples = 8, .seconds = 100});
  assert_ok(rows_end_row(rows, NULL, true));
  rows_add(rows, &(row_step){.step = 2, .samples = 16, .seconds = 100});
  double between = cpu_seconds();
  assert_ok(rows_end_row(rows, NULL, true));
  between = cpu_seconds() - between + 0.1; /* and what little was before */
  rows_destroy(rows);
  events_close(&events);
  assert_ok(fs_read("events.jsonl", &text, &length));
  char *second = strchr(text, '\n') + 1;
  second[-1] = '\0';
  if (!strstr(text, "\"cpu_seconds\":")) skip(); /* the kernel does not count it */
  assert_true(number_of(text, "cpu_seconds") >= 0.29);
  if (number_of(second, "cpu_seconds") > between)
    fail_msg("%g s of CPU time", number_of(second, "cpu_seconds"));
  free(text);
}

/* A process that goes on after step 2 takes back what an earlier one recorded beyond it, and keeps
 * step 2. */
static void a_resumed_run_keeps_the_rows_up_to_its_start(void **state) {
  (void)state;
  static const char earlier[] = "{\"event\":\"start\",\"first_step\":0}\n"
                                "{\"event\":\"step\",\"step\":1,\"steps\":1,\"seconds\":1}\n"
                                "{\"event\":\"step\",\"step\":2,\"steps\":1,\"seconds\":2}\n"
                                "{\"event\":\"step\",\"step\":3,\"steps\":1,\"seconds\":4}\n";
  static const char started[] = "{\"event\":\"start\",\"first_step\":2}\n";
  event_stream events = {.fd = -1};
  for (int starts = 0; starts < 2; starts++) {
    strbuf text = {0};
    step_rows *rows;
    pace p;
    strbuf_format(&text, "%s%s", earlier, starts ? started : "");
    assert_ok(fs_write_atomic("earlier.jsonl", text.data, text.length));
    assert_ok(rows_create(&device_ops, &events, 0, &rows));
    assert_ok(rows_read_earlier(rows, "earlier.jsonl", starts ? 5 : 2));
    assert_ok(rows_pace(rows, 1, 1, &p));
    assert_int_equal(p.steps, 2);
    if (p.train_seconds != 3) fail_msg("%g s", p.train_seconds);
    rows_destroy(rows);
    strbuf_free(&text);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(time_without_a_step_belongs_to_no_row, enter_folder,
                                      leave_folder),
      cmocka_unit_test_setup_teardown(a_row_has_the_sums_of_its_steps, enter_folder, leave_folder),
      cmocka_unit_test_setup_teardown(each_row_has_the_readings_since_the_one_before, enter_folder,
                                      leave_folder),
      cmocka_unit_test_setup_teardown(a_resumed_run_keeps_the_rows_up_to_its_start, enter_folder,
                                      leave_folder),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
