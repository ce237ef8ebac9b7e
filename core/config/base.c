/* Where the file that a base: names is. */
#include "config/settings.h"

#include <libgen.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/mem_library.h"
#include "base/shipped.h"

static bool try_path(char **path) {
  if (*path && fs_exists(*path)) return true;
  if (!*path) mem_note_lack();
  free(*path);
  *path = NULL;
  return false;
}

static char *find_shipped_base(const char *name) {
  char *in_experiments = fs_join("experiments", name);
  char *path = in_experiments ? shipped_find(in_experiments) : NULL;
  if (!in_experiments) mem_note_lack();
  free(in_experiments);
  return path;
}

char *settings_find_base(const char *origin, const char *name) {
  char *path = NULL;
  if (name[0] == '/') {
    path = mem_copy_string(name);
    return try_path(&path) ? path : NULL;
  }
  char *folder = mem_copy_string(origin);
  if (!folder) {
    mem_note_lack();
    return NULL;
  }
  char *parent = dirname(folder);
  path = fs_join(parent, name);
  if (!try_path(&path)) {
    for (;;) {
      if (strcmp(fs_name(parent), "experiments") == 0) {
        path = fs_join(parent, name);
        if (try_path(&path)) break;
      }
      if (strcmp(parent, ".") == 0 || strcmp(parent, "/") == 0) break;
      parent = dirname(parent);
    }
  }
  free(folder);
  if (!path) {
    path = mem_copy_string(name);
    if (!try_path(&path)) path = find_shipped_base(name);
  }
  return path;
}
