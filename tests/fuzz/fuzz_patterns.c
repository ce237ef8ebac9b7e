/* Names of shards with ranges, choices and globs; a second part behind a NUL is a list, as @FILE
 * is. Slashes are taken out, so that nothing outside of an empty folder is looked at. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "read/shard_expand.h"
#include "fuzz/fuzz.h"

static void expand(char *pattern) {
  char **paths = NULL;
  size_t count = 0;
  err error = shard_expand(&pattern, 1, &paths, &count);
  if (!error) {
    fuzz_require(strchr(pattern, '@') == pattern || count > 0, "a pattern names something");
    fs_free_names(paths, count);
  }
  err_free(error);
}

enum { LONGEST = 256 }; /* of an input: a million paths of that length fit into memory */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  fuzz_folder();
  if (size > LONGEST) return 0;
  fuzz_halves parts = fuzz_cut(data, size);
  char *pattern = fuzz_text(parts.first, parts.first_size), list[40];
  char *lines = fuzz_text(parts.second, parts.second_size);
  for (char *at = pattern; *at; at++)
    if (*at == '/' || (*at == '@' && at == pattern)) *at = '_';
  for (size_t i = 0; i < parts.second_size; i++)
    if (lines[i] == '/') lines[i] = '_';
  fuzz_file file = fuzz_file_make(lines, parts.second_size);
  snprintf(list, sizeof list, "@%s", file.path);
  expand(pattern);
  if (parts.second_size) expand(list);
  fuzz_file_free(&file);
  free(lines);
  free(pattern);
  return 0;
}
