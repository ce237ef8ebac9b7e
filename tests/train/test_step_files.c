/* Which files of a checkpoints folder are a run's own. */
#include "support/folder.h"

#include "base/fs.h"
#include "train/checkpoint.h"

static const char *const kept[] = {"step-best.safetensors", "step-000000020-copy.safetensors",
                                   "step-best.state.json",  "step-.safetensors",
                                   "best.state.json",       "xstep-000000010.safetensors"};

static void make_files(void) {
  static const char *const own[] = {"step-000000010.safetensors", "step-000000010.state.json",
                                    "step-000000020.safetensors", "step-000000020.times.yaml",
                                    "step-000000030.safetensors", "step-000000030.state.json"};
  for (size_t i = 0; i < sizeof own / sizeof *own; i++) assert_ok(fs_write_atomic(own[i], "x", 1));
  for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
    assert_ok(fs_write_atomic(kept[i], "x", 1));
}

/* A copy that is named for its score sorts after all steps. */
static void the_newest_checkpoint_has_the_number_of_a_step(void **state) {
  (void)state;
  char *path;
  make_files();
  assert_ok(checkpoint_newest(".", &path));
  assert_string_equal(path, "./step-000000030.safetensors");
  free(path);
}

static void copies_are_neither_counted_nor_removed(void **state) {
  (void)state;
  make_files();
  assert_ok(checkpoint_prune(".", 1));
  assert_true(fs_exists("step-000000030.safetensors") && fs_exists("step-000000030.state.json"));
  assert_false(fs_exists("step-000000020.safetensors") || fs_exists("step-000000020.times.yaml"));
  assert_false(fs_exists("step-000000010.safetensors") || fs_exists("step-000000010.state.json"));
  for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) assert_true(fs_exists(kept[i]));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(the_newest_checkpoint_has_the_number_of_a_step, enter_folder,
                                      leave_folder),
      cmocka_unit_test_setup_teardown(copies_are_neither_counted_nor_removed, enter_folder,
                                      leave_folder),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
