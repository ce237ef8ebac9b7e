#include "timing/git.h"

#include <stddef.h>
#include <stdlib.h>

/* As `git rev-parse --local-env-vars` lists them, without those of the configuration
 * (GIT_CONFIG_COUNT, GIT_CONFIG_PARAMETERS): they name no repository, and may be what lets git read
 * another user's (safe.directory). */
static const char *const local_variables[] = {"GIT_ALTERNATE_OBJECT_DIRECTORIES",
                                              "GIT_OBJECT_DIRECTORY",
                                              "GIT_DIR",
                                              "GIT_WORK_TREE",
                                              "GIT_IMPLICIT_WORK_TREE",
                                              "GIT_GRAFT_FILE",
                                              "GIT_INDEX_FILE",
                                              "GIT_NO_REPLACE_OBJECTS",
                                              "GIT_REPLACE_REF_BASE",
                                              "GIT_PREFIX",
                                              "GIT_INTERNAL_SUPER_PREFIX",
                                              "GIT_SHALLOW_FILE",
                                              "GIT_COMMON_DIR"};

void git_forget_repository(void) {
  for (size_t i = 0; i < sizeof local_variables / sizeof *local_variables; i++)
    unsetenv(local_variables[i]);
}
