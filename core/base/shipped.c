#include "base/shipped.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"

/* PREFIX/share/flip of the program PREFIX/bin/NAME that this process runs. */
static char *installed_folder(void) {
  char program[PATH_MAX];
  ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
  if (length <= 0) return NULL;
  program[length] = '\0';
  for (int up = 0; up < 2; up++) {
    char *slash = strrchr(program, '/');
    if (slash) *slash = '\0';
  }
  return fs_join(program, FLIP_SHARE_FOLDER);
}

/* NULL when it is not there. */
static char *look_in(const char *folder, const char *name) {
  char *path = folder ? fs_join(folder, name) : NULL;
  if (path && fs_exists(path)) return path;
  free(path);
  return NULL;
}

char *shipped_find(const char *name) {
  char *installed = installed_folder();
  char *path = look_in(installed, name);
  free(installed);
  return path ? path : look_in(FLIP_SOURCE_FOLDER, name);
}

char *shipped_or_given(const char *path) {
  char *found = *path == '/' || fs_exists(path) ? NULL : shipped_find(path);
  return found ? found : mem_copy_string(path);
}
