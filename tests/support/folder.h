/* Each test works in a folder of its own, which is removed by the shell. For tests of the store. */
#ifndef FLIP_TESTS_FOLDER_H
#define FLIP_TESTS_FOLDER_H

#include <stdlib.h>
#include <unistd.h>

#include "support/test.h"

static inline int enter_folder(void **state) {
  char *folder = strdup("/tmp/flip-store.XXXXXX");
  if (!folder || !mkdtemp(folder) || chdir(folder) != 0) return -1;
  *state = folder;
  return 0;
}

static inline int leave_folder(void **state) {
  char command[128];
  snprintf(command, sizeof command, "rm -rf '%s'", (char *)*state);
  free(*state);
  return chdir("/") != 0 || system(command) != 0;
}

#endif
