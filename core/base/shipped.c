#include "base/shipped.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"

bool shipped_program(char path[PATH_MAX]) {
  ssize_t length = readlink("/proc/self/exe", path, PATH_MAX - 1);
  path[length < 0 ? 0 : length] = '\0';
  return length > 0;
}

void shipped_prefix(char prefix[PATH_MAX]) {
  shipped_program(prefix);
  for (int up = 0; up < 2; up++) {
    char *slash = strrchr(prefix, '/');
    if (slash) *slash = '\0';
  }
}

static char *installed_folder(void) {
  char prefix[PATH_MAX];
  shipped_prefix(prefix);
  return *prefix ? fs_join(prefix, FLIP_SHARE_FOLDER) : NULL;
}

/* NULL when it is not there. */
static char *look_in(const char *folder, const char *name) {
  char *path = folder ? fs_join(folder, name) : NULL;
  if (path && fs_exists(path)) return path;
  free(path);
  return NULL;
}

bool shipped_plugin(const char *name, char path[PATH_MAX]) {
  char prefix[PATH_MAX];
  const char *folder = getenv("FLIP_PLUGINS");
  shipped_prefix(prefix);
  int length = folder ? snprintf(path, PATH_MAX, "%s/%s", folder, name)
                      : snprintf(path, PATH_MAX, "%s/lib/%s", prefix, name);
  return length < PATH_MAX && fs_exists(path);
}

char *shipped_find(const char *name) {
  char *installed = installed_folder();
  bool is_installed = installed && fs_is_folder(installed);
  char *path = look_in(is_installed ? installed : FLIP_SOURCE_FOLDER, name);
  free(installed);
  return path;
}

char *shipped_or_given(const char *path) {
  char *found = *path == '/' || fs_exists(path) ? NULL : shipped_find(path);
  return found ? found : mem_copy_string(path);
}
