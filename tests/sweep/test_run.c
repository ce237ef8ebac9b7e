/* The runner's parts that need no process: retries, cgroups, records. */
#include "support/test.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <archive.h>
#include <archive_entry.h>

#include "base/fs.h"
#include "exchange/bundle.h"
#include "exchange/place.h"
#include "exchange/place_map.h"
#include "store/runs.h"
#include "sweep/directory.h"
#include "sweep/limits.h"
#include "sweep/process.h"
#include "sweep/retry.h"
#include "sweep/stamp.h"
#include "sweep/task.h"
#include "sweep/memory.h"
#include "sweep/time_slices.h"
#include "support/folder.h"

static void retries_wait_twice_as_long_each_time_up_to_an_hour(void **state) {
  (void)state;
  spec_limits limits = {.retry_wait_seconds = 10};
  assert_true(retry_wait(&limits, 1) == 10);
  assert_true(retry_wait(&limits, 3) == 40);
  assert_true(retry_wait(&limits, 30) == 3600);
}

static void deterministic_failures_are_not_retried(void **state) {
  (void)state;
  static const char *const passes[] = {"crash", "memory", "io", "killed", "lost", "start", "other"};
  for (size_t i = 0; i < sizeof passes / sizeof *passes; i++)
    assert_true(retry_is_worth_it(passes[i], false));
  assert_false(retry_is_worth_it("nan", true));
  assert_false(retry_is_worth_it("input", true));
  assert_true(retry_is_worth_it("timeout", true));
  assert_false(retry_is_worth_it("timeout", false));
}

static void write_file(const char *folder, const char *name, const char *text) {
  char *path = fs_join(folder, name);
  assert_ok(fs_write_atomic(path, text, strlen(text)));
  free(path);
}

/* A folder that looks like a cgroup: a kernel's own cannot be had in every test machine. */
static void a_cell_with_a_memory_limit_gets_a_cgroup_where_one_can_be_made(void **state) {
  (void)state;
  char base[] = "/tmp/flip-cgroup.XXXXXX", text[64] = "";
  assert_non_null(mkdtemp(base));
  write_file(base, "cgroup.controllers", "cpu memory pids\n");
  setenv("FLIPBENCH_CGROUP", base, 1);
  char *found = limits_find_cgroup();
  assert_string_equal(found, base);
  char *cell = fs_join(base, "cell");
  assert_int_equal(mkdir(cell, 0755), 0); /* the kernel makes the files with the folder */
  write_file(cell, "memory.max", "max");
  char *made = limits_make_cgroup(base, "cell", 1048576), *read;
  size_t length;
  assert_string_equal(made, cell);
  char *path = fs_join(made, "memory.max");
  assert_ok(fs_read(path, &read, &length));
  snprintf(text, sizeof text, "%.60s", read);
  assert_string_equal(text, "1048576");
  assert_int_equal(limits_count_kills_in(made), 0);
  write_file(cell, "memory.events", "low 0\nhigh 0\nmax 7\noom 1\noom_kill 1\n");
  assert_int_equal(limits_count_kills_in(made), 1);
  /* without the controller there is none */
  write_file(base, "cgroup.controllers", "cpu pids\n");
  assert_null(limits_find_cgroup());
  unsetenv("FLIPBENCH_CGROUP");
  unlink(path);
  free(path);
  free(read);
  path = fs_join(made, "memory.events");
  unlink(path);
  rmdir(made);
  free(path);
  path = fs_join(base, "cgroup.controllers");
  unlink(path);
  rmdir(base);
  free(path);
  free(made);
  free(cell);
  free(found);
}

static void the_last_word_of_a_process_is_found_behind_its_start(void **state) {
  (void)state;
  char base[] = "/tmp/flip-run.XXXXXX";
  static const char old[] = "{\"event\":\"end\",\"status\":\"interrupted\"}\n";
  static const char now[] =
      "{\"event\":\"step\",\"step\":1}\n{\"event\":\"end\",\"status\":\"odd\","
      "\"kind\":\"nan\",\"message\":\"loss\"}\n{\"event\":\"st";
  assert_non_null(mkdtemp(base));
  char *cell = fs_join(base, "cell"), text[512];
  assert_ok(fs_make_folders(cell));
  snprintf(text, sizeof text, "%s%s", old, now);
  write_file(cell, "events.jsonl", text);
  verdict v = {0};
  assert_ok(directory_read_end(base, "cell", sizeof old - 1, &v));
  assert_string_equal(v.status, "failed");
  assert_string_equal(v.kind, "nan");
  assert_string_equal(strbuf_string(&v.message), "loss");
  strbuf_free(&v.message);
  v = (verdict){0};
  assert_ok(directory_read_end(base, "cell", (int64_t)strlen(text), &v));
  assert_string_equal(v.status, "");
  int number;
  assert_ok(directory_next_attempt(base, "cell", &number));
  assert_int_equal(number, 1);
  attempt_start start = {.cell_id = "c",
                         .attempt = 4,
                         .command = (char *[]){NULL},
                         .predicted_seconds = NAN,
                         .predicted_bytes = NAN};
  assert_ok(directory_record_start(base, "cell", &start));
  assert_ok(directory_next_attempt(base, "cell", &number));
  assert_int_equal(number, 5);
  /* a number that flipbench gives to no process is no process's: 2^32 + 7 would be 7 */
  write_file(cell, "attempts.jsonl",
             "{\"event\":\"attempt_start\",\"attempt\":4294967303}\n"
             "{\"event\":\"attempt_start\",\"attempt\":2147483647}\n"
             "{\"event\":\"attempt_start\",\"attempt\":-3}\n");
  assert_ok(directory_next_attempt(base, "cell", &number));
  assert_int_equal(number, 1);
  folder_remove(base);
  free(cell);
}

/* An archive of one file. */
static void write_archive(const char *path, const char *name, const char *bytes) {
  struct archive *out = archive_write_new();
  struct archive_entry *entry = archive_entry_new();
  archive_write_set_format_pax(out);
  assert_int_equal(archive_write_open_filename(out, path), ARCHIVE_OK);
  archive_entry_set_pathname(entry, name);
  archive_entry_set_filetype(entry, AE_IFREG);
  archive_entry_set_perm(entry, 0644);
  archive_entry_set_size(entry, (la_int64_t)strlen(bytes));
  assert_int_equal(archive_write_header(out, entry), ARCHIVE_OK);
  assert_int_equal(archive_write_data(out, bytes, strlen(bytes)), strlen(bytes));
  archive_entry_free(entry);
  assert_int_equal(archive_write_free(out), ARCHIVE_OK);
}

static void a_bundle_reaches_nothing_outside_of_its_folder(void **state) {
  (void)state;
  char base[] = "/tmp/flip-bundle.XXXXXX", before[4096], own[64], *text;
  size_t length;
  bundle_manifest m;
  assert_non_null(mkdtemp(base));
  snprintf(own, sizeof own, "%s/mine", base);
  /* the first is a hard link "b/x" to "mine" with contents, which would go there */
  const char *const names[] = {"b/x", "b/../../mine", own, "../mine"};
  char *archive = fs_join(base, "b.tar");
  assert_non_null(getcwd(before, sizeof before));
  assert_int_equal(chdir(base), 0);
  write_file(base, "mine", "precious");
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    write_archive(archive, names[i], "changed");
    const char *given =
        i ? archive : FLIP_SOURCE_DIR "/tests/fuzz/found/bundle/a_link_with_contents.tar";
    assert_fails_with(bundle_extract(given, "inside", &m), "which does not belong in a bundle");
    assert_ok(fs_read(own, &text, &length));
    assert_string_equal(text, "precious");
    free(text);
  }
  assert_int_equal(chdir(before), 0);
  folder_remove(base);
  free(archive);
}

static void a_path_is_normalised_without_asking_the_disk(void **state) {
  (void)state;
  static const struct {
    const char *path, *normal;
    int ups;
    bool is_below;
  } cases[] = {{"a/b", "a/b", 0, true},
               {"./a//b/./c", "a/b/c", 0, false},
               {"a/../b", "b", 0, false},
               {"../a", "../a", 1, false},
               {"a/../../b", "../b", 1, false},
               {"../../a/..", "../..", 2, false},
               {"/a/../../b", "/b", 0, false},
               {"/", "/", 0, false},
               {"a/..", ".", 0, false},
               {"", ".", 0, false},
               {"vocab..v2.txt", "vocab..v2.txt", 0, true},
               {"..a/b..", "..a/b..", 0, true},
               {".../a", ".../a", 0, true},
               {"a/..b/../c", "a/c", 0, false}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    strbuf normal = {0};
    place_normalise(cases[i].path, &normal);
    assert_string_equal(strbuf_string(&normal), cases[i].normal);
    assert_int_equal(place_ups(strbuf_string(&normal)), cases[i].ups);
    assert_int_equal(place_is_below(cases[i].path), cases[i].is_below);
    strbuf_free(&normal);
  }
}

static void paths_in_a_file_are_replaced_and_nothing_else(void **state) {
  (void)state;
  static const char *const keys[] = {"images", "base", NULL};
  static const char before[] = "# ü /a/b stays\n"
                               "base: [/a/b, '/a/b', \"/a/b\", /a/bc] # /a/b\n"
                               "ünder: {base: /a/b, name: /a/b}\n"
                               "images:\n  - list:/a/b#images=/c\n  - x/a/b\n";
  static const char after[] =
      "# ü /a/b stays\n"
      "base: [\"/new \\\"place\", \"/new \\\"place\", \"/new \\\"place\", /a/bc] # /a/b\n"
      "ünder: {base: \"/new \\\"place\", name: /a/b}\n"
      "images:\n  - \"list:/new \\\"place#images=/d\"\n  - x/a/b\n";
  char folder[] = "/tmp/flip-map.XXXXXX", *text = NULL;
  size_t length;
  place_map map = {0};
  assert_non_null(mkdtemp(folder));
  char *path = fs_join(folder, "set.yaml");
  write_file(folder, "set.yaml", before);
  assert_ok(place_map_add(&map, "/a/b", "/new \"place"));
  assert_ok(place_map_add(&map, "/c", "/d"));
  assert_ok(place_map_file(&map, path, keys));
  assert_ok(fs_read(path, &text, &length));
  assert_string_equal(text, after);
  unlink(path);
  rmdir(folder);
  place_map_free(&map);
  free(path);
  free(text);
}

static void a_cell_that_another_machine_runs_is_refused(void **state) {
  (void)state;
  char base[] = "/tmp/flip-lock.XXXXXX", text[128];
  assert_non_null(mkdtemp(base));
  char *cell = fs_join(base, "cell");
  assert_ok(fs_make_folders(cell));
  /* a process id that is alive on another host says nothing about this one */
  write_file(cell, "lock", "1 some-other-host\n");
  char *path = fs_join(cell, "lock");
  int held = open(path, O_RDWR | O_CLOEXEC), fd;
  assert_int_equal(flock(held, LOCK_EX), 0);
  lock_state lock;
  lock_holder holder;
  assert_ok(directory_lock(base, "cell", &fd, &lock, &holder));
  assert_int_equal(lock, LOCK_REFUSED);
  assert_true(holder.is_elsewhere);
  assert_string_equal(holder.host, "some-other-host");
  assert_int_equal(holder.pid, 1);
  /* one that is gone on this host has left its trainer behind */
  char host[64] = "";
  gethostname(host, sizeof host - 1);
  snprintf(text, sizeof text, "999999999 %s\n", host);
  assert_int_equal(pwrite(held, text, strlen(text), 0), strlen(text));
  assert_ok(directory_lock(base, "cell", &fd, &lock, &holder));
  assert_int_equal(lock, LOCK_ORPHANED);
  close(held);
  assert_ok(directory_lock(base, "cell", &fd, &lock, &holder));
  assert_int_equal(lock, LOCK_TAKEN);
  close(fd);
  unlink(path);
  rmdir(cell);
  rmdir(base);
  free(path);
  free(cell);
}

/* Instead of the C library's: a file system without locks cannot be had in every test machine. */
static int flock_refusal;

int flock(int fd, int operation) {
  if (flock_refusal) errno = flock_refusal;
  return flock_refusal ? -1 : (int)syscall(SYS_flock, fd, operation);
}

static void a_lock_that_cannot_be_asked_for_is_not_a_held_one(void **state) {
  (void)state;
  char base[FOLDER_SIZE];
  lock_state lock;
  lock_holder holder;
  int fd;
  folder_make(base);
  char *cell = fs_join(base, "cell");
  assert_ok(fs_make_folders(cell));
  flock_refusal = ENOLCK;
  err error = directory_lock(base, "cell", &fd, &lock, &holder);
  flock_refusal = 0;
  assert_fails_with(error, "/cell/lock: cannot lock: No locks available");
  assert_int_equal(fd, -1);
  assert_ok(directory_lock(base, "cell", &fd, &lock, &holder));
  assert_int_equal(lock, LOCK_TAKEN);
  close(fd);
  folder_remove(base);
  free(cell);
}

/* As whoever may read the results but not write them, for example another user's. */
static void a_lock_that_may_only_be_read_is_seen_to_be_held(void **state) {
  (void)state;
  char base[FOLDER_SIZE];
  lock_state lock;
  lock_holder holder;
  int fd, status;
  folder_make(base);
  assert_int_equal(chmod(base, 0755), 0);
  char *cell = fs_join(base, "cell"), *file = fs_join(base, "cell/lock");
  assert_ok(fs_make_folders(cell));
  assert_ok(directory_lock(base, "cell", &fd, &lock, &holder));
  assert_int_equal(chmod(cell, 0755) | chmod(file, 0444), 0);
  pid_t reader = fork();
  if (reader == 0) {
    bool may_write = geteuid() == 0 && setuid(65534) != 0;
    _exit(may_write ? 77 : directory_is_held(base, "cell") ? 0 : 1);
  }
  waitpid(reader, &status, 0);
  assert_true(WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 77));
  close(fd);
  assert_false(directory_is_held(base, "cell"));
  folder_remove(base);
  free(cell);
  free(file);
}

static void expect_run(store *s, const char *status, const char *kind, int64_t attempts) {
  store_run run;
  assert_ok(store_find_run_in(s, "x/cell", &run));
  assert_string_equal(run.status, status);
  assert_string_equal(run.kind, kind);
  assert_int_equal(run.attempts, attempts);
  store_free_run(&run);
}

/* It is recorded as running until its end is read, which may come after the question whether a
 * process of it is left. */
static void a_run_that_has_ended_meanwhile_is_not_recorded_as_lost(void **state) {
  (void)state;
  char base[FOLDER_SIZE];
  store *s;
  int64_t run_id;
  bool is_alive;
  lock_state lock;
  lock_holder holder;
  int fd;
  attempt_start start = {.cell_id = "c",
                         .time = "2026-01-01T00:00:00.000Z",
                         .attempt = 1,
                         .command = (char *[]){NULL},
                         .predicted_seconds = NAN,
                         .predicted_bytes = NAN};
  attempt_end end = {.status = "failed", .kind = "nan", .message = "loss", .log_tail = ""};
  folder_make(base);
  char *cell = fs_join(base, "x/cell");
  assert_ok(fs_make_folders(cell));
  assert_ok(store_open_empty(&s));
  assert_ok(directory_record_start(base, "x/cell", &start));
  assert_ok(store_ingest(s, base, "x/cell", &run_id));
  expect_run(s, "running", "", 1);
  assert_ok(directory_record_end(base, "x/cell", 1, &end));
  assert_ok(run_close_lost(s, base, "x/cell", &is_alive));
  assert_false(is_alive);
  expect_run(s, "failed", "nan", 1);
  /* one whose lock is held is left alone, and one without an end was lost */
  start.attempt = 2;
  assert_ok(directory_record_start(base, "x/cell", &start));
  assert_ok(store_ingest(s, base, "x/cell", &run_id));
  assert_ok(directory_lock(base, "x/cell", &fd, &lock, &holder));
  assert_ok(run_close_lost(s, base, "x/cell", &is_alive));
  assert_true(is_alive);
  expect_run(s, "running", "", 2);
  close(fd);
  assert_ok(run_close_lost(s, base, "x/cell", &is_alive));
  assert_false(is_alive);
  expect_run(s, "interrupted", "lost", 2);
  store_close(s);
  folder_remove(base);
  free(cell);
}

/* Two cells of one submission whose ids begin alike. */
static void each_task_has_its_own_run_file(void **state) {
  (void)state;
  char base[FOLDER_SIZE];
  strbuf lines = {0};
  spec_experiment e = {0};
  spec_cell cell = {.label = (char[]){"a"}, .parent = SPEC_NO_PARENT};
  run_cell of = {.cell = &cell, .directory = (char[]){"x/a"}, .ranks = 1};
  folder_make(base);
  assert_ok(settings_init(&cell.settings));
  for (int i = 0; i < 2; i++) {
    snprintf(cell.id, sizeof cell.id, "0123456789%d", i);
    assert_ok(task_write(&e, &of, NULL, i, base, &lines));
  }
  assert_non_null(strstr(strbuf_string(&lines), "cell-01234567890.yaml"));
  assert_non_null(strstr(strbuf_string(&lines), "cell-01234567891.yaml"));
  settings_free(&cell.settings);
  strbuf_free(&lines);
  folder_remove(base);
}

static void time_slices_are_as_long_as_their_cost_requires(void **state) {
  (void)state;
  assert_true(time_slice_length(0.1, 0.2) == 15); /* the shortest, where stopping costs little */
  assert_true(time_slice_length(1, 0.5) == 30);   /* at most 5 %, up to three minutes */
  assert_true(time_slice_length(5, 4) == 180);
  assert_true(time_slice_length(10, 10) == 1000);
  assert_true(time_slice_length(30, 10) == 0); /* 2 % would be more than half an hour */
}

static void memory_that_others_have_yet_to_take_is_not_free(void **state) {
  (void)state;
  assert_int_equal(memory_judge(4e9, 5e9, 0, false), MEMORY_FITS);
  assert_int_equal(memory_judge(4e9, 5e9, 2e9, true), MEMORY_WAITS);
  assert_int_equal(memory_judge(24.1e9, 23e9, 0, false), MEMORY_LACKS);
  assert_int_equal(memory_judge(NAN, 23e9, 0, false), MEMORY_FITS);
  assert_int_equal(memory_judge(4e9, NAN, 0, false), MEMORY_FITS);
  assert_true(memory_available("") > 0);
  assert_true(memory_outstanding(getpid(), 1) == 0); /* this process has taken more than a byte */
}

static void put(const char *root, const char *folder, const char *name, const char *text) {
  char *path = fs_join(root, folder);
  assert_ok(fs_make_folders(path));
  write_file(path, name, text);
  free(path);
}

static void page_cache_is_free_memory(void **state) {
  (void)state;
  char root[FOLDER_SIZE];
  folder_make(root);
  assert_true(isnan(memory_available(root)));
  put(root, "proc", "meminfo", "MemTotal: 4096 kB\nMemAvailable: 2048 kB\n");
  assert_true(memory_available(root) == 2048 * 1024);
  put(root, "proc/self", "cgroup", "0::/\n"); /* as a container sees its own group */
  put(root, "sys/fs/cgroup", "memory.max", "1000000\n");
  put(root, "sys/fs/cgroup", "memory.current", "990000\n");
  put(root, "sys/fs/cgroup", "memory.stat", "anon 1\ninactive_file 500000\nactive_file 90000\n");
  assert_true(memory_available(root) == 600000);
  folder_remove(root);
}

static void other_machines_hold_their_own_ranks(void **state) {
  (void)state;
  spec_cell cell = {.ranks = {.ranks = 4, .nodes = 2}};
  run_cell c = {.cell = &cell, .ranks = 4, .predicted_bytes = 40e9};
  assert_true(memory_planned_here(&c) == 20e9);
  c.ranks = 1; /* after a retry, on one machine */
  assert_true(memory_planned_here(&c) == 40e9);
  c.predicted_bytes = NAN;
  assert_true(isnan(memory_planned_here(&c)));
}

/* Other settings are another cell, so the data were wrong: mended, they continue the run. */
static void wrong_input_does_not_set_a_checkpoint_aside(void **state) {
  (void)state;
  char base[FOLDER_SIZE];
  folder_make(base);
  put(base, "x/a/checkpoints", "step-000000010.safetensors", "");
  run_options options = {.results = base};
  run_cell c = {.directory = (char[]){"x/a"}, .state = CELL_FAILED, .has_begun = true};
  assert_ok(retry_prepare(NULL, &options, "input", &c));
  assert_int_equal(c.state, CELL_WAITING);
  assert_true(c.has_begun && directory_has_checkpoint(base, c.directory));
  folder_remove(base);
}

/* With the data as the inner axis, files of another set come between; a set is listed once. */
static void each_set_of_files_is_looked_at_once(void **state) {
  (void)state;
  char base[FOLDER_SIZE], assignment[128];
  settings s[4];
  stamps made = {0};
  const char *text[4];
  folder_make(base);
  for (int i = 0; i < 4; i++) {
    const char *name = i % 2 ? "b.tar" : "a.tar";
    if (i < 2) write_file(base, name, name);
    assert_ok(settings_init(&s[i]));
    snprintf(assignment, sizeof assignment, "data.train=[%s/%s]", base, name);
    assert_ok(settings_set(&s[i], assignment));
    assert_ok(stamps_find(&made, &s[i], &text[i]));
    if (i == 1) write_file(base, "a.tar", "changed"); /* what is listed again differs */
  }
  assert_true(*text[0] && *text[1] && strcmp(text[0], text[1]) != 0);
  assert_ptr_equal(text[2], text[0]);
  assert_ptr_equal(text[3], text[1]);
  assert_int_equal(made.count, 2);
  stamps_free(&made);
  for (int i = 0; i < 4; i++) settings_free(&s[i]);
  folder_remove(base);
}

static void a_child_whose_status_is_lost_has_ended(void **state) {
  (void)state;
  struct rusage used;
  int status = -1;
  process p = {.pid = fork()};
  if (p.pid == 0) _exit(3);
  waitpid(p.pid, NULL, 0);
  assert_true(process_has_ended(&p, &status, &used));
  assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0 && used.ru_maxrss == 0);
  p.pid = fork();
  if (p.pid == 0) _exit(3);
  while (!process_has_ended(&p, &status, &used)) usleep(1000);
  assert_int_equal(WEXITSTATUS(status), 3);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_child_whose_status_is_lost_has_ended),
      cmocka_unit_test(each_set_of_files_is_looked_at_once),
      cmocka_unit_test(time_slices_are_as_long_as_their_cost_requires),
      cmocka_unit_test(memory_that_others_have_yet_to_take_is_not_free),
      cmocka_unit_test(page_cache_is_free_memory),
      cmocka_unit_test(other_machines_hold_their_own_ranks),
      cmocka_unit_test(wrong_input_does_not_set_a_checkpoint_aside),
      cmocka_unit_test(retries_wait_twice_as_long_each_time_up_to_an_hour),
      cmocka_unit_test(deterministic_failures_are_not_retried),
      cmocka_unit_test(a_cell_with_a_memory_limit_gets_a_cgroup_where_one_can_be_made),
      cmocka_unit_test(a_bundle_reaches_nothing_outside_of_its_folder),
      cmocka_unit_test(a_path_is_normalised_without_asking_the_disk),
      cmocka_unit_test(paths_in_a_file_are_replaced_and_nothing_else),
      cmocka_unit_test(a_cell_that_another_machine_runs_is_refused),
      cmocka_unit_test(a_lock_that_cannot_be_asked_for_is_not_a_held_one),
      cmocka_unit_test(a_lock_that_may_only_be_read_is_seen_to_be_held),
      cmocka_unit_test(a_run_that_has_ended_meanwhile_is_not_recorded_as_lost),
      cmocka_unit_test(each_task_has_its_own_run_file),
      cmocka_unit_test(the_last_word_of_a_process_is_found_behind_its_start),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
