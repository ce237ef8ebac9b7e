/* A folder for a test alone, removed with what is in it: for a part of a test (folder_make,
 * folder_remove), or entered before and left after it (cmocka's setup and teardown). */
#ifndef FLIP_TESTS_FOLDER_H
#define FLIP_TESTS_FOLDER_H

#include <stdlib.h>
#include <unistd.h>

#include "base/command.h"
#include "support/test.h"

enum { FOLDER_SIZE = 32 };

/* Fills in the path. */
static inline void folder_make(char folder[FOLDER_SIZE]) {
  snprintf(folder, FOLDER_SIZE, "/tmp/flip-test-XXXXXX");
  assert_non_null(mkdtemp(folder));
}

static inline void folder_remove(const char *folder) {
  char *words[] = {"rm", "-rf", "--", (char *)folder, NULL};
  int status;
  assert_ok(command_run(&(command_call){.words = words}, &status));
  assert_int_equal(status, 0);
}

static inline int enter_folder(void **state) {
  char *folder = malloc(FOLDER_SIZE);
  if (!folder) return -1;
  folder_make(folder);
  *state = folder;
  return chdir(folder);
}

static inline int leave_folder(void **state) {
  int left = chdir("/");
  folder_remove(*state);
  free(*state);
  return left;
}

#endif
