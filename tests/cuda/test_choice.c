/* Choices made by timing outlive the process, are shared between processes, and never stop a run.
 */
#include "support/test.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/text.h"
#include "cuda/choice.h"

static char folder[64];

static choice_key key_of(int64_t number) {
  return (choice_key){{1, number, -number, INT64_MAX - number}};
}

static choice_store *open_store(void) {
  choice_store *store;
  assert_ok(choice_store_open("device-13.txt", &store));
  return store;
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

/* Written while the process runs, so that one that is killed has lost little. */
static void choices_are_saved_before_the_end(void **state) {
  (void)state;
  choice_store *killed = open_store();
  add(killed, 51, 1); /* the first is saved at once, others when a second has passed */
  choice_store *other = open_store();
  assert_true(look_up(other, 51) == 1);
  choice_store_close(other);
  add(killed, 52, 2);
  assert_true(look_up(killed, 51) == 1 && look_up(killed, 52) == 2);
  choice_store_close(killed);
}

static void two_processes_keep_both_their_choices(void **state) {
  (void)state;
  choice_store *one = open_store(), *other = open_store();
  add(one, 101, 1);
  add(other, 102, 2);
  add(one, 103, 3);
  add(other, 103, 4); /* both chose: the first to write is kept by the file's next readers */
  choice_store_close(one);
  choice_store_close(other);
  choice_store *store = open_store();
  assert_true(look_up(store, 101) == 1 && look_up(store, 102) == 2);
  assert_true(look_up(store, 103) == 4); /* the writer trusts its own, which its run has used */
  choice_store_close(store);
}

static void a_stale_choice_is_replaced(void **state) {
  (void)state;
  choice_store *store = open_store();
  add(store, 201, 1);
  add(store, 202, 2);
  choice_store_close(store);
  store = open_store();
  choice_store *reader = open_store(); /* has read the stale one, and writes after the other */
  add(store, 201, 9);
  assert_true(look_up(store, 201) == 9);
  choice_store_close(store);
  add(reader, 203, 3);
  choice_store_close(reader);
  store = open_store();
  assert_true(look_up(store, 201) == 9 && look_up(store, 202) == 2 && look_up(store, 203) == 3);
  choice_store_close(store);
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
  add(store, 5, 50);
  assert_true(look_up(store, 5) == 50);
  choice_store_close(store);
  setenv("XDG_CACHE_HOME", folder, 1);
}

int main(void) {
  snprintf(folder, sizeof folder, "%s", "/tmp/flip-choice.XXXXXX");
  if (!mkdtemp(folder)) return 1;
  setenv("XDG_CACHE_HOME", folder, 1);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_choice_persists_across_processes),
      cmocka_unit_test(choices_are_saved_before_the_end),
      cmocka_unit_test(two_processes_keep_both_their_choices),
      cmocka_unit_test(a_stale_choice_is_replaced),
      cmocka_unit_test(a_damaged_file_is_not_an_error),
      cmocka_unit_test(a_folder_that_cannot_be_made_only_loses_persistence),
  };
  int failures = cmocka_run_group_tests(tests, NULL, NULL);
  char path[128];
  snprintf(path, sizeof path, "%s/flip/device-13.txt", folder);
  unlink(path);
  snprintf(path, sizeof path, "%s/flip", folder);
  rmdir(path);
  rmdir(folder);
  return failures;
}
