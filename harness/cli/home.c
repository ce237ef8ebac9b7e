/* Where an experiment was started: its file, and the paths in it, may be relative to that folder.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "cli/cli.h"

/* *found: `path` exists in the folder that holds `inside`; that folder, with a final slash. */
static err look_beside(const char *inside, const char *path, char **found) {
  size_t length = strlen(inside);
  while (length && inside[length - 1] == '/') length--;
  while (length && inside[length - 1] != '/') length--;
  if (!length) return NULL; /* the current folder */
  strbuf there = {0};
  strbuf_append_bytes(&there, inside, length);
  strbuf_append(&there, path);
  err error = there.is_broken ? mem_error(0, "a path") : NULL;
  if (!error && fs_exists(there.data)) {
    there.data[length] = '\0';
    *found = mem_copy_string(there.data);
    if (!*found) error = mem_error(0, "a path");
  }
  strbuf_free(&there);
  return error;
}

err cli_find_home(const char *results, const char *path, char **home) {
  char real[PATH_MAX];
  *home = NULL;
  if (*path == '/' || fs_exists(path)) return NULL;
  err error = look_beside(results, path, home); /* where a link to the results folder lies */
  if (!error && !*home && realpath(results, real)) error = look_beside(real, path, home);
  return error;
}

err cli_enter(const char *folder) {
  return chdir(folder) == 0 ? NULL : err_new(ERR_IO, "%s: cannot change to this folder", folder);
}

err cli_load_recorded(const char *results, const char *path, const spec_options *options,
                      spec_experiment **e) {
  char here[PATH_MAX];
  char *home = NULL;
  err error = NULL;
  TRY(cli_find_home(results, path, &home));
  if (!home) {
    error = spec_load(path, options, e);
    if (error && *path != '/' && !fs_exists(path) && err_kind_of(error) != ERR_MEMORY)
      error = err_context(error,
                          "its file is not here, nor in the folder that holds %s: run this where "
                          "it was run, or give its file",
                          results);
    goto cleanup;
  }
  if (!getcwd(here, sizeof here)) FAIL(ERR_IO, "the current folder no longer exists");
  TRY(cli_enter(home)); /* its bases may be relative to it too */
  error = spec_load(path, options, e);
  err back = cli_enter(here);
  if (error)
    err_free(back);
  else
    error = back;
cleanup:
  free(home);
  return error;
}
