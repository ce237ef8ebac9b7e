#include "support/test.h"

#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/readings.h"
#include "support/folder.h"

static void put(const char *root, const char *folder, const char *name, const char *text) {
  strbuf path = {0};
  strbuf_format(&path, "%s/proc/%s", root, folder);
  assert_ok(fs_make_folders(strbuf_string(&path)));
  strbuf_format(&path, "/%s", name);
  FILE *file = fopen(strbuf_string(&path), "w"); /* in place, as the kernel's files change */
  assert_non_null(file);
  fputs(text, file);
  fclose(file);
  strbuf_free(&path);
}

static void remove_folder(const char *root) {
  folder_remove(root);
}

/* The line of the first CPU that this process may use; `busy` and `stolen` in ticks. */
static void put_stat(const char *root, long busy, long stolen) {
  cpu_set_t cpus;
  char text[256];
  int cpu = 0;
  assert_int_equal(sched_getaffinity(0, sizeof cpus, &cpus), 0);
  while (!CPU_ISSET((size_t)cpu, &cpus)) cpu++;
  snprintf(
      text, sizeof text,
      "cpu  9 9 9 9 9 9 9 9\ncpu%d %ld 0 0 77 3 0 0 %ld 0 0\ncpu1023 7 7 7 7 7 7 7 7\nintr 1\n",
      cpu, busy, stolen);
  put(root, "", "stat", text);
}

static void counters_are_reported_as_differences(void **state) {
  (void)state;
  char root[] = "/tmp/flip-readings.XXXXXX";
  readings *r;
  assert_non_null(mkdtemp(root));
  long ticks = sysconf(_SC_CLK_TCK);
  put_stat(root, 100 * ticks, 5 * ticks);
  put(root, "pressure", "cpu", "some avg10=0.00 avg60=0.00 avg300=0.00 total=7000000\n");
  put(root, "self/task/11", "schedstat", "5000000000 1000000000 9\n");
  assert_ok(readings_open(root, &r));
  reading first = readings_take(r);
  assert_true(first.delay_seconds == 0 && first.stolen_seconds == 0);
  put_stat(root, 130 * ticks, 7 * ticks);
  put(root, "pressure", "cpu", "some avg10=0.00 avg60=0.00 avg300=0.00 total=7500000\n");
  put(root, "self/task/11", "schedstat", "5000000000 1250000000 9\n");
  reading second = readings_take(r);
  assert_true(fabs(second.delay_seconds - 0.25) < 1e-9);
  assert_true(second.stolen_seconds == 2 && second.pressure_seconds == 0.5);
  assert_true(second.other_cpu_seconds > 29 && second.other_cpu_seconds <= 30);
  put_stat(root, 129 * ticks, 7 * ticks); /* as a tick that was given to another */
  assert_true(readings_take(r).other_cpu_seconds >= second.other_cpu_seconds);
  readings_close(r);
  remove_folder(root);
}

static void values_that_a_system_does_not_report_are_nan(void **state) {
  (void)state;
  char root[] = "/tmp/flip-readings.XXXXXX";
  readings *r;
  assert_non_null(mkdtemp(root));
  assert_ok(readings_open(root, &r));
  reading now = readings_take(r);
  assert_true(isnan(now.delay_seconds) && isnan(now.other_cpu_seconds));
  assert_true(isnan(now.stolen_seconds) && isnan(now.pressure_seconds));
  assert_true(now.cpu_seconds >= 0 && now.switches >= 0);
  readings_close(r);
  remove_folder(root);
}

static void *compute(void *until) {
  while (clock_seconds() < *(double *)until) continue;
  return NULL;
}

/* Three threads on one CPU: each second of wall time, two of them wait. The main thread waits for
 * them and counts too; threads that begin and end between readings are found while they live. */
static void threads_that_wait_for_a_cpu_are_seen(void **state) {
  (void)state;
  cpu_set_t all, one;
  readings *r;
  pthread_t others[3];
  assert_int_equal(sched_getaffinity(0, sizeof all, &all), 0);
  assert_ok(readings_open("", &r));
  if (isnan(readings_take(r).delay_seconds)) {
    readings_close(r);
    skip();
  }
  CPU_ZERO(&one);
  for (size_t cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&one) == 0; cpu++)
    if (CPU_ISSET(cpu, &all)) CPU_SET(cpu, &one);
  assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
  double start = clock_seconds(), until = start + 0.4;
  for (int i = 0; i < 3; i++)
    assert_int_equal(pthread_create(&others[i], NULL, compute, &until), 0);
  while (clock_seconds() < start + 0.3) usleep(20000);
  reading now = readings_take(r);
  double wall = clock_seconds() - start;
  for (int i = 0; i < 3; i++) pthread_join(others[i], NULL);
  assert_int_equal(sched_setaffinity(0, sizeof all, &all), 0);
  readings_take(r); /* the threads are gone: nothing is lost or counted twice */
  assert_true(readings_take(r).delay_seconds >= now.delay_seconds);
  readings_close(r);
  /* at least two of three wait at any time; on a busy machine all do at times */
  if (!(now.delay_seconds > 1.5 * wall && now.delay_seconds < 4.5 * wall))
    fail_msg("%g s of waiting in %g s", now.delay_seconds, wall);
}

static void bytes_go_into_text_and_back(void **state) {
  (void)state;
  static const char *const pairs[][2] = {{"", ""},
                                         {"f", "Zg=="},
                                         {"fo", "Zm8="},
                                         {"foo", "Zm9v"},
                                         {"foob", "Zm9vYg=="},
                                         {"fooba", "Zm9vYmE="},
                                         {"foobar", "Zm9vYmFy"}};
  for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) { /* RFC 4648, section 10 */
    strbuf text = {0};
    char back[16];
    size_t count;
    base64_encode(pairs[i][0], strlen(pairs[i][0]), &text);
    assert_string_equal(strbuf_string(&text), pairs[i][1]);
    assert_true(base64_decode(pairs[i][1], back, sizeof back, &count));
    assert_int_equal(count, strlen(pairs[i][0]));
    assert_memory_equal(back, pairs[i][0], count);
    strbuf_free(&text);
  }
  char back[4];
  size_t count;
  assert_false(base64_decode("Zm9", back, sizeof back, &count));
  assert_false(base64_decode("Zm9!", back, sizeof back, &count));
  assert_false(base64_decode("Zg==Zg==", back, sizeof back, &count));
  assert_false(base64_decode("Zm9vYmE=", back, 4, &count)); /* five bytes */
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(counters_are_reported_as_differences),
      cmocka_unit_test(values_that_a_system_does_not_report_are_nan),
      cmocka_unit_test(threads_that_wait_for_a_cpu_are_seen),
      cmocka_unit_test(bytes_go_into_text_and_back),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
