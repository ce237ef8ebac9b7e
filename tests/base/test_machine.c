#include "support/test.h"

#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/machine.h"
#include "support/folder.h"

static void put(const char *root, const char *folder, const char *name, const char *text) {
  strbuf path = {0};
  strbuf_format(&path, "%s/%s", root, folder);
  assert_ok(fs_make_folders(strbuf_string(&path)));
  strbuf_format(&path, "/%s", name);
  assert_ok(fs_write_atomic(strbuf_string(&path), text, strlen(text)));
  strbuf_free(&path);
}

/* The CPU that this test runs on, and one that it may not use. */
static void put_busy(const char *root) {
  cpu_set_t own;
  strbuf text = {0};
  int first = 0;
  assert_int_equal(sched_getaffinity(0, sizeof own, &own), 0);
  while (!CPU_ISSET((size_t)first, &own)) first++;
  strbuf_format(&text, "cpu  %d 900 900 5000 7 900 900 900 5 0\n", first); /* of all CPUs */
  strbuf_format(&text, "cpu%d 100 20 30 5000 7 5 5 50 0 0\n", first);
  strbuf_append(&text, "cpu1023 800 800 800 0 0 800 800 800 0 0\nintr 1 2 3 4 5 6 7 8 9\n");
  put(root, "proc", "stat", strbuf_string(&text));
  strbuf_free(&text);
}

static char *make_machine(const char *governor, const char *driver, const char *quota) {
  static const char cpufreq[] = "sys/devices/system/cpu/cpu0/cpufreq";
  char *root = strdup("/tmp/flip-machine.XXXXXX");
  assert_non_null(mkdtemp(root));
  put(root, cpufreq, "scaling_governor", governor);
  put(root, cpufreq, "scaling_driver", driver);
  put(root, cpufreq, "scaling_cur_freq", "2400000\n");
  put(root, "sys/fs/cgroup", "cpu.max", quota);
  put(root, "proc", "loadavg", "0.75 0.30 0.10 2/345 6789\n");
  put(root, "proc", "meminfo", "MemTotal: 100 kB\nMemAvailable:   2048 kB\n");
  put_busy(root);
  return root;
}

static void remove_machine(char *root) {
  folder_remove(root);
  free(root);
}

static void a_machine_is_read_from_proc_and_sys(void **state) {
  (void)state;
  char *root = make_machine("performance\n", "acpi-cpufreq\n", "150000 100000\n");
  machine_state m = machine_look(root);
  assert_string_equal(m.governor, "performance");
  assert_string_equal(m.driver, "acpi-cpufreq");
  assert_true(m.mhz == 2400 && m.load == 0.75 && m.quota_cpus == 1.5);
  assert_int_equal(m.free_bytes, 2048 * 1024);
  double tick = 1.0 / (double)sysconf(_SC_CLK_TCK);
  assert_true(m.busy_seconds == 160 * tick && m.stolen_seconds == 50 * tick);
  remove_machine(root);
}

static void what_is_not_known_is_left_out(void **state) {
  (void)state;
  machine_state m = machine_look("/nowhere");
  strbuf out = {0};
  json_writer w = jsonw_start(&out);
  jsonw_object(&w, NULL);
  m.cpus = 2;
  machine_write_json(&w, "machine", &m);
  jsonw_end(&w);
  assert_string_equal(strbuf_string(&out), "{\"machine\":{\"cpus\":2}}");
  strbuf_free(&out);
}

static void the_running_kernel_has_an_id(void **state) {
  (void)state;
  char *root = make_machine("performance\n", "acpi-cpufreq\n", "max 100000\n"), id[40];
  machine_boot(root, id, sizeof id);
  assert_string_equal(id, "");
  put(root, "proc/sys/kernel/random", "boot_id", "5c9d1b84-4b1f-4f6e-9c3f-0f1f6f3c2a10\n");
  machine_boot(root, id, sizeof id);
  assert_string_equal(id, "5c9d1b84-4b1f-4f6e-9c3f-0f1f6f3c2a10");
  remove_machine(root);
}

static void the_gpus_driver_is_read(void **state) {
  (void)state;
  static const char *const lines[][2] = {
      {"NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.183.01  Sun May 12 19:39:15 UTC 2024\n",
       "535.183.01"},
      {"NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build  (x@y)\n",
       "580.65.06"},
      {"something else\n", ""}};
  char *root = make_machine("performance\n", "acpi-cpufreq\n", "max 100000\n"), version[64];
  machine_gpu_driver(root, version, sizeof version);
  assert_string_equal(version, "");
  for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
    put(root, "proc/driver/nvidia", "version", lines[i][0]);
    machine_gpu_driver(root, version, sizeof version);
    assert_string_equal(version, lines[i][1]);
  }
  put(root, "proc", "cpuinfo", "processor\t: 0\nmodel name\t: Some CPU @ 2.40GHz\n");
  machine_processor(root, version, sizeof version);
  assert_string_equal(version, "Some CPU @ 2.40GHz");
  put(root, "proc", "cpuinfo", "processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd0c\n");
  machine_processor(root, version, sizeof version);
  assert_string_equal(version, "ARM implementer 0x41 part 0xd0c");
  put(root, "proc", "cpuinfo", "");
  machine_processor(root, version, sizeof version);
  assert_string_equal(version, "unknown");
  remove_machine(root);
}

static void doubts_of(const char *governor, const char *driver, const char *quota, int threads,
                      strbuf *lines) {
  char *root = make_machine(governor, driver, quota);
  machine_state m = machine_look(root);
  m.cpus = 2;
  strbuf_clear(lines);
  machine_doubts(&m, threads, lines);
  remove_machine(root);
}

static void doubtful_timings_are_reported(void **state) {
  (void)state;
  strbuf lines = {0};
  doubts_of("performance\n", "acpi-cpufreq\n", "max 100000\n", 2, &lines);
  assert_string_equal(strbuf_string(&lines), "");
  doubts_of("powersave\n", "intel_pstate\n", "max 100000\n", 2, &lines);
  assert_string_equal(strbuf_string(&lines), ""); /* there it is the usual mode */
  doubts_of("powersave\n", "acpi-cpufreq\n", "max 100000\n", 2, &lines);
  assert_non_null(strstr(strbuf_string(&lines), "governor powersave"));
  doubts_of("performance\n", "acpi-cpufreq\n", "150000 100000\n", 2, &lines);
  assert_string_equal(strbuf_string(&lines),
                      "the control group allows only 1.5 CPUs for 2 threads\n");
  doubts_of("performance\n", "acpi-cpufreq\n", "max 100000\n", 8, &lines);
  assert_string_equal(strbuf_string(&lines), "8 threads share 2 CPUs; set threads: 2\n");
  strbuf_free(&lines);
}

static void load_of_other_processes_between_readings_is_reported(void **state) {
  (void)state;
  machine_state first = {.cpus = 2, .wall_seconds = 100, .busy_seconds = 50, .own_seconds = 1};
  machine_state last = first;
  strbuf lines = {0};
  last.wall_seconds += 10;
  last.own_seconds += 15;
  last.busy_seconds += 15.5; /* half a second of others in ten: nothing to speak of */
  machine_span span = machine_between(&first, &last);
  machine_span_doubts(&span, 2, &lines);
  assert_string_equal(strbuf_string(&lines), "");
  last.busy_seconds += 7.5;
  last.stolen_seconds += 1;
  last.throttled = 3;
  span = machine_between(&first, &last);
  assert_true(span.other_cpus == 0.8 && span.stolen_share == 0.05);
  machine_span_doubts(&span, 2, &lines);
  assert_string_equal(strbuf_string(&lines),
                      "other processes used 0.8 of 2 CPUs during the measurement\n"
                      "the hypervisor took 5 % of the CPUs' time\n"
                      "the clock was thermally throttled 3 times\n");
  strbuf_free(&lines);
}

static void free_memory_ends_where_a_control_group_does(void **state) {
  (void)state;
  char *root = make_machine("performance\n", "acpi-cpufreq\n", "max 100000\n");
  bool is_group;
  assert_int_equal(machine_free_memory(root, &is_group), 2048 * 1024);
  assert_false(is_group);
  put(root, "proc/self", "cgroup", "0::/jobs/one\n"); /* version 2: of both groups the lesser */
  put(root, "sys/fs/cgroup/jobs/one", "memory.max", "max\n");
  assert_int_equal(machine_free_memory(root, &is_group), 2048 * 1024);
  put(root, "sys/fs/cgroup/jobs", "memory.max", "1000000\n");
  put(root, "sys/fs/cgroup/jobs", "memory.current", "700000\n");
  put(root, "sys/fs/cgroup/jobs", "memory.stat",
      "anon 1\ninactive_file 50000\nactive_file 50000\n");
  assert_int_equal(machine_free_memory(root, &is_group), 400000);
  assert_true(is_group);
  put(root, "proc/self", "cgroup", "9:cpu:/\n4:memory:/box\n0::/\n"); /* version 1 */
  put(root, "sys/fs/cgroup/memory", "memory.limit_in_bytes", "9223372036854771712\n");
  assert_int_equal(machine_free_memory(root, &is_group), 2048 * 1024);
  put(root, "sys/fs/cgroup/memory/box", "memory.limit_in_bytes", "500000\n");
  put(root, "sys/fs/cgroup/memory/box", "memory.usage_in_bytes", "600000\n");
  put(root, "sys/fs/cgroup/memory/box", "memory.stat", "total_inactive_file 120000\n");
  assert_int_equal(machine_free_memory(root, &is_group), 20000);
  remove_machine(root);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_machine_is_read_from_proc_and_sys),
      cmocka_unit_test(what_is_not_known_is_left_out),
      cmocka_unit_test(the_running_kernel_has_an_id),
      cmocka_unit_test(the_gpus_driver_is_read),
      cmocka_unit_test(free_memory_ends_where_a_control_group_does),
      cmocka_unit_test(doubtful_timings_are_reported),
      cmocka_unit_test(load_of_other_processes_between_readings_is_reported),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
