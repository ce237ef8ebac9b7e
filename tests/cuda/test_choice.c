/* Choices made by timing outlive the process, are shared between processes, and never stop a run.
 */
#include "support/test.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/text.h"
#include "cuda/choice.h"

static char folder[64];

static choice_key key_of(int64_t number) {
  return (choice_key){{1, number, -number, INT64_MAX - number}};
}

static choice_store *open_named(const char *name) {
  choice_store *store;
  assert_ok(choice_store_open(name, NULL, &store));
  return store;
}

static choice_store *open_store(void) {
  return open_named("device-13.txt");
}

static void add(choice_store *store, int64_t number, int64_t value) {
  choice_key key = key_of(number);
  const choice_value chosen = {{value, INT64_MIN, 0, 7}};
  choice_store_add(store, &key, &chosen);
}

/* The first part of what was chosen for `number`; -1: nothing. */
static int64_t look_up(const choice_store *store, int64_t number) {
  choice_key key = key_of(number);
  choice_value value;
  if (!choice_store_find(store, &key, &value)) return -1;
  assert_true(value.part[1] == INT64_MIN && value.part[3] == 7);
  return value.part[0];
}

static void a_choice_persists_across_processes(void **state) {
  (void)state;
  choice_store *store = open_store();
  assert_true(choice_store_is_lasting(store));
  assert_true(look_up(store, 1) == -1);
  add(store, 1, 11);
  add(store, 2, 22);
  assert_true(look_up(store, 1) == 11);
  choice_store_close(store);
  store = open_store();
  assert_true(look_up(store, 1) == 11 && look_up(store, 2) == 22 && look_up(store, 3) == -1);
  choice_store_close(store);
}

static bool claim(choice_store *store, int64_t number) {
  choice_key key = key_of(number);
  return choice_store_claim(store, &key);
}

/* Written while the process runs, so that one that is killed has lost nothing. */
static void choices_are_saved_before_the_end(void **state) {
  (void)state;
  choice_store *killed = open_store();
  add(killed, 51, 1);
  add(killed, 52, 2);
  choice_store *other = open_store();
  assert_true(look_up(other, 51) == 1 && look_up(other, 52) == 2);
  choice_store_close(other);
  choice_store_close(killed);
}

static void two_processes_keep_both_their_choices(void **state) {
  (void)state;
  choice_store *one = open_store(), *other = open_store();
  add(one, 101, 1);
  add(other, 102, 2);
  choice_store_close(one);
  choice_store_close(other);
  choice_store *store = open_store();
  assert_true(look_up(store, 101) == 1 && look_up(store, 102) == 2);
  choice_store_close(store);
}

static void the_first_choice_is_taken_by_all(void **state) {
  (void)state;
  choice_store *one = open_store(), *other = open_store(); /* neither has read the other's */
  assert_true(claim(one, 111));
  add(one, 111, 1);
  assert_true(claim(one, 112)); /* a claim without a choice holds up nobody */
  choice_store_release(one);
  assert_false(claim(other, 111));
  assert_true(look_up(other, 111) == 1);
  assert_true(claim(other, 112));
  add(other, 112, 2);
  assert_false(claim(one, 112));
  assert_true(look_up(one, 112) == 2);
  choice_store_close(one);
  choice_store_close(other);
}

/* Status of a process as exit(3) has it. */
static int status_of(pid_t child) {
  int status;
  assert_true(waitpid(child, &status, 0) == child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void a_process_waits_for_the_choice_of_another(void **state) {
  (void)state;
  int begin[2];
  char byte = 0;
  choice_store *store = open_store(), *theirs = open_store(); /* both before the choice is made */
  assert_true(pipe(begin) == 0);
  pid_t child = fork();
  if (child == 0) {
    if (read(begin[0], &byte, 1) != 1) _exit(98);
    _exit(claim(theirs, 121) ? 99 : (int)look_up(theirs, 121));
  }
  assert_true(claim(store, 121));
  assert_true(write(begin[1], &byte, 1) == 1);
  add(store, 121, 12); /* whether the other one waits by now or comes later */
  assert_true(status_of(child) == 12);
  choice_store_close(store);
  choice_store_close(theirs);
  close(begin[0]);
  close(begin[1]);
}

static void a_process_that_is_killed_holds_up_nobody(void **state) {
  (void)state;
  pid_t child = fork();
  if (child == 0) {
    if (claim(open_store(), 131)) raise(SIGKILL);
    _exit(99);
  }
  assert_true(status_of(child) == -1);
  choice_store *store = open_store();
  assert_true(claim(store, 131));
  choice_store_close(store);
}

/* A child of the process has the lock's file open too, until it ends or runs another program. */
static void a_lock_is_given_up_while_a_child_has_it_open(void **state) {
  (void)state;
  int end[2];
  char byte;
  assert_true(pipe(end) == 0);
  choice_store *one = open_store(), *other = open_store();
  assert_true(claim(one, 136));
  pid_t child = fork();
  if (child == 0) {
    close(end[1]);
    _exit(read(end[0], &byte, 1) == 0 ? 0 : 99); /* until the other end is closed */
  }
  add(one, 136, 1);
  alarm(30); /* else the claim would wait for ten minutes */
  assert_true(claim(other, 137));
  alarm(0);
  add(other, 137, 2);
  close(end[1]);
  assert_true(status_of(child) == 0);
  close(end[0]);
  choice_store_close(one);
  choice_store_close(other);
}

/* Each would choose its own number. */
static void processes_that_start_together_choose_the_same(void **state) {
  (void)state;
  enum { PROCESSES = 4, CHOICES = 12 };
  pid_t children[PROCESSES];
  int64_t(*chosen)[CHOICES] = mmap(NULL, PROCESSES * sizeof *chosen, PROT_READ | PROT_WRITE,
                                   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  assert_true(chosen != MAP_FAILED);
  for (int p = 0; p < PROCESSES; p++) {
    children[p] = fork();
    if (children[p]) continue;
    choice_store *store = open_named("together.txt");
    for (int i = 0; i < CHOICES; i++) {
      int64_t number = p % 2 ? CHOICES - 1 - i : i; /* two of them from the other end */
      if (look_up(store, number) < 0 && claim(store, number)) add(store, number, 1 + p);
      chosen[p][number] = look_up(store, number);
    }
    _exit(0);
  }
  for (int p = 0; p < PROCESSES; p++) assert_true(status_of(children[p]) == 0);
  choice_store *store = open_named("together.txt");
  for (int i = 0; i < CHOICES; i++)
    for (int p = 0; p < PROCESSES; p++)
      assert_true(chosen[p][i] > 0 && chosen[p][i] == look_up(store, i));
  choice_store_close(store);
  munmap(chosen, PROCESSES * sizeof *chosen);
}

/* The lock's file cannot be opened here; a file system without locks has the same effect. */
static void without_locks_every_process_chooses_and_no_choice_is_lost(void **state) {
  (void)state;
  char *lock = fs_join(folder, "flip/unlocked.txt.lock");
  assert_true(mkdir(lock, 0700) == 0);
  choice_store *one = open_named("unlocked.txt"), *other = open_named("unlocked.txt");
  assert_true(claim(one, 141) && claim(other, 141));
  add(one, 141, 1);
  add(one, 142, 2);
  add(other, 141, 3); /* the last to write is kept, and each goes on with its own */
  add(other, 143, 4);
  assert_true(look_up(one, 141) == 1 && look_up(other, 141) == 3);
  choice_store_close(one);
  choice_store_close(other);
  choice_store *store = open_named("unlocked.txt");
  assert_true(look_up(store, 141) == 3 && look_up(store, 142) == 2 && look_up(store, 143) == 4);
  choice_store_close(store);
  assert_true(rmdir(lock) == 0);
  free(lock);
}

static void a_stale_choice_is_replaced(void **state) {
  (void)state;
  choice_store *store = open_store();
  add(store, 201, 1);
  add(store, 202, 2);
  choice_store_close(store);
  store = open_store();
  choice_store *reader = open_store(); /* has read the stale one, and writes after the other */
  assert_true(claim(store, 201));      /* still only the one that it knows */
  add(store, 201, 9);
  assert_true(look_up(store, 201) == 9);
  choice_store_close(store);
  assert_true(claim(reader, 203));
  assert_true(look_up(reader, 201) == 1); /* a run goes on with what it has used */
  add(reader, 203, 3);
  assert_false(claim(reader, 201)); /* unless it cannot be used */
  assert_true(look_up(reader, 201) == 9);
  choice_store_close(reader);
  store = open_store();
  assert_true(look_up(store, 201) == 9 && look_up(store, 202) == 2 && look_up(store, 203) == 3);
  choice_store_close(store);
}

/* Removing the file repeats the timing: a run that has read it does not write back what it read. */
static void what_was_only_read_is_not_written_again(void **state) {
  (void)state;
  choice_store *store = open_named("removed.txt");
  add(store, 211, 1);
  choice_store_close(store);
  store = open_named("removed.txt");
  char *path = fs_join(folder, "flip/removed.txt");
  assert_true(unlink(path) == 0);
  add(store, 212, 2);
  assert_true(unlink(path) == 0);
  add(store, 213, 3);
  choice_store_close(store);
  store = open_named("removed.txt");
  assert_true(look_up(store, 211) == -1 && look_up(store, 212) == 2 && look_up(store, 213) == 3);
  choice_store_close(store);
  free(path);
}

static void a_damaged_file_is_not_an_error(void **state) {
  (void)state;
  choice_store *store = open_store();
  add(store, 7, 70);
  choice_store_close(store);
  char *path = fs_join(folder, "flip/device-13.txt"), *text;
  size_t length;
  assert_ok(fs_read(path, &text, &length));
  strbuf damaged = {0};
  strbuf_append(&damaged, "not a choice\n\n00112233 zz\n");
  strbuf_append_bytes(&damaged, text, length);
  strbuf_append_bytes(&damaged, text, length / 2 - 3); /* a line cut short */
  assert_ok(fs_write_atomic(path, strbuf_string(&damaged), damaged.length));
  store = open_store();
  assert_true(look_up(store, 7) == 70);
  choice_store_close(store);
  strbuf_free(&damaged);
  free(text);
  free(path);
}

static void a_folder_that_cannot_be_made_only_loses_persistence(void **state) {
  (void)state;
  setenv("XDG_CACHE_HOME", "/proc/nothing/here", 1);
  choice_store *store = open_store();
  assert_false(choice_store_is_lasting(store));
  assert_true(claim(store, 5));
  add(store, 5, 50);
  assert_true(look_up(store, 5) == 50);
  choice_store_close(store);
  setenv("XDG_CACHE_HOME", folder, 1);
}

/* Of another user, or mounted read-only: what is known is used, and nothing is timed that would be
 * chosen otherwise the next time. */
static void a_folder_that_cannot_be_written_only_loses_persistence(void **state) {
  (void)state;
  char path[128];
  snprintf(path, sizeof path, "%s/flip", folder);
  choice_store *store = open_store();
  add(store, 301, 21);
  choice_store_close(store);
  if (geteuid() == 0)
    assert_true(chmod(folder, 0755) == 0 && seteuid(65534) == 0); /* nobody */
  else
    assert_true(chmod(path, 0555) == 0);
  store = open_store();
  bool is_lasting = choice_store_is_lasting(store), is_claimed = claim(store, 302);
  int64_t known = look_up(store, 301);
  add(store, 302, 22);
  int64_t own = look_up(store, 302);
  choice_store_close(store);
  assert_true(seteuid(getuid()) == 0 && chmod(path, 0755) == 0);
  assert_false(is_lasting);
  assert_true(is_claimed && known == 21 && own == 22);
  store = open_store();
  assert_true(choice_store_is_lasting(store) && look_up(store, 302) == -1);
  choice_store_close(store);
}

/* As on a disk that is full by now. */
static void a_choice_that_cannot_be_written_is_the_last_that_is_timed(void **state) {
  (void)state;
  char path[128];
  snprintf(path, sizeof path, "%s/flip/unwritable.txt", folder);
  choice_store *store = open_named("unwritable.txt");
  assert_true(choice_store_is_lasting(store) && claim(store, 211));
  assert_true(mkdir(path, 0755) == 0); /* no file can take its name */
  add(store, 211, 1);
  assert_false(choice_store_is_lasting(store));
  assert_true(look_up(store, 211) == 1);
  choice_store_close(store);
  rmdir(path);
}

static bool is_stopped(void) {
  return true;
}

static void a_stop_ends_the_wait_for_another_process(void **state) {
  (void)state;
  choice_store *store = open_store(), *theirs = open_store();
  assert_true(claim(theirs, 221));
  pid_t child = fork();
  if (child == 0) {
    alarm(60);
    assert_ok(choice_store_open("device-13.txt", is_stopped, &store));
    _exit(claim(store, 222) ? 0 : 99);
  }
  assert_true(status_of(child) == 0);
  choice_store_close(theirs);
  choice_store_close(store);
}

static void any_number_of_choices_is_found(void **state) {
  (void)state;
  enum { CHOICES = 300 };
  choice_store *store = open_named("many.txt");
  for (int i = 0; i < CHOICES; i++) add(store, 1000 + i, i);
  for (int i = 0; i < CHOICES; i += 7) add(store, 1000 + i, -2 - i); /* replaced */
  for (int pass = 0; pass < 2; pass++) {
    for (int i = 0; i < CHOICES; i++) assert_true(look_up(store, 1000 + i) == (i % 7 ? i : -2 - i));
    assert_true(look_up(store, 1000 + CHOICES) == -1);
    choice_store_close(store);
    store = open_named("many.txt");
  }
  choice_store_close(store);
}

int main(void) {
  snprintf(folder, sizeof folder, "%s", "/tmp/flip-choice.XXXXXX");
  if (!mkdtemp(folder)) return 1;
  setenv("XDG_CACHE_HOME", folder, 1);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_choice_persists_across_processes),
      cmocka_unit_test(choices_are_saved_before_the_end),
      cmocka_unit_test(two_processes_keep_both_their_choices),
      cmocka_unit_test(the_first_choice_is_taken_by_all),
      cmocka_unit_test(a_process_waits_for_the_choice_of_another),
      cmocka_unit_test(a_process_that_is_killed_holds_up_nobody),
      cmocka_unit_test(a_lock_is_given_up_while_a_child_has_it_open),
      cmocka_unit_test(processes_that_start_together_choose_the_same),
      cmocka_unit_test(without_locks_every_process_chooses_and_no_choice_is_lost),
      cmocka_unit_test(a_stale_choice_is_replaced),
      cmocka_unit_test(what_was_only_read_is_not_written_again),
      cmocka_unit_test(a_damaged_file_is_not_an_error),
      cmocka_unit_test(a_folder_that_cannot_be_made_only_loses_persistence),
      cmocka_unit_test(a_folder_that_cannot_be_written_only_loses_persistence),
      cmocka_unit_test(a_choice_that_cannot_be_written_is_the_last_that_is_timed),
      cmocka_unit_test(a_stop_ends_the_wait_for_another_process),
      cmocka_unit_test(any_number_of_choices_is_found),
  };
  int failures = cmocka_run_group_tests(tests, NULL, NULL);
  static const char *const left[] = {"device-13.txt",      "device-13.txt.lock", "together.txt",
                                     "together.txt.lock",  "unlocked.txt",       "removed.txt",
                                     "removed.txt.lock",   "many.txt",           "many.txt.lock",
                                     "unwritable.txt.lock"};
  char path[128];
  for (size_t i = 0; i < sizeof left / sizeof *left; i++) {
    snprintf(path, sizeof path, "%s/flip/%s", folder, left[i]);
    unlink(path);
  }
  snprintf(path, sizeof path, "%s/flip", folder);
  rmdir(path);
  rmdir(folder);
  return failures;
}
