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

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(time_without_a_step_belongs_to_no_row, enter_folder,
                                      leave_folder),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
