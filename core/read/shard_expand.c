#include "read/shard_expand.h"

#include <errno.h>
#include <glob.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/text.h"
#include "text/plain_text.h"

typedef struct {
  const char *pattern; /* being expanded, as the user wrote it */
  char **items;
  size_t count, capacity;
} path_list;

/* Ten times what the largest public data sets have; more is a slip, such as two ranges in a row. */
enum { MOST_SHARDS = 1000000, MOST_BRACES = 8 };

static err add_path(path_list *list, const char *path) {
  if (list->count == MOST_SHARDS)
    return err_new(ERR_INPUT, "%s: more than %d shards: is a range longer than intended?",
                   list->pattern, MOST_SHARDS);
  if (list->count == list->capacity) {
    size_t capacity = list->capacity ? 2 * list->capacity : 16;
    char **items = mem_resize(list->items, capacity, sizeof *items);
    if (!items) return mem_error(capacity, "a list of shards");
    list->items = items;
    list->capacity = capacity;
  }
  list->items[list->count] = mem_copy_string(path);
  return list->items[list->count++] ? NULL : mem_error(strlen(path), "a list of shards");
}

/* The folder that glob could not read in this thread: its callback gets no context. */
static _Thread_local struct {
  char path[4096];
  int code;
} unread;

static int stop_at_unread(const char *path, int code) {
  if (code == ENOENT || code == ENOTDIR) return 0; /* no folder, or a link that leads nowhere */
  snprintf(unread.path, sizeof unread.path, "%s", path);
  unread.code = code;
  return 1;
}

/* The end of glob's work on one pattern without braces; a file of that very name is meant itself. A
 * folder that cannot be read would be left out without a word. */
static err expand_glob(const char *pattern, path_list *list) {
  if (!strpbrk(pattern, "*?[") || fs_exists(pattern)) return add_path(list, pattern);
  glob_t found;
  err error = NULL;
  int status = glob(pattern, 0, stop_at_unread, &found);
  if (status == GLOB_NOMATCH) return err_new(ERR_INPUT, "%s: no file matches", pattern);
  if (status == GLOB_ABORTED) {
    globfree(&found);
    return err_errno(unread.code, "%s: cannot read folder %s", pattern, unread.path);
  }
  if (status != 0) return err_new(ERR_IO, "%s: cannot be expanded", pattern);
  for (size_t i = 0; i < found.gl_pathc && !error; i++) error = add_path(list, found.gl_pathv[i]);
  globfree(&found);
  return error;
}

static err expand_braces(const char *pattern, path_list *list, int depth);

/* prefix + middle + suffix, expanded further. */
static err expand_one(const char *pattern, size_t prefix, const char *middle, size_t middle_length,
                      const char *suffix, path_list *list, int depth) {
  strbuf joined = {0};
  strbuf_append_bytes(&joined, pattern, prefix);
  strbuf_append_bytes(&joined, middle, middle_length);
  strbuf_append(&joined, suffix);
  err error = joined.is_broken ? mem_error(prefix, "a shard pattern")
                               : expand_braces(strbuf_string(&joined), list, depth + 1);
  strbuf_free(&joined);
  return error;
}

static err expand_braces(const char *pattern, path_list *list, int depth) {
  const char *open = strchr(pattern, '{'), *close = open ? strchr(open, '}') : NULL;
  if (!close) return expand_glob(pattern, list);
  if (depth > MOST_BRACES)
    return err_new(ERR_INPUT, "%s: more than %d pairs of braces", list->pattern, MOST_BRACES);
  size_t prefix = (size_t)(open - pattern);
  long first, last;
  int consumed = 0;
  if (sscanf(open, "{%ld..%ld}%n", &first, &last, &consumed) == 2 && consumed == close - open + 1) {
    int width = (int)(strcspn(open + 1, ".")); /* zero-padded as the first number is written */
    if (last < first || (uint64_t)last - (uint64_t)first >= MOST_SHARDS)
      return err_new(ERR_INPUT,
                     "%s: the range runs backwards or is longer than %d: write {00000..00009}",
                     list->pattern, MOST_SHARDS);
    for (long i = 0; i <= last - first; i++) {
      char number[32];
      int length = snprintf(number, sizeof number, "%0*ld", width > 20 ? 20 : width, first + i);
      err error = expand_one(pattern, prefix, number, (size_t)length, close + 1, list, depth);
      if (error) return error;
    }
    return NULL;
  }
  for (const char *at = open + 1; at <= close;) {
    size_t length = strcspn(at, ",}");
    err error = expand_one(pattern, prefix, at, length, close + 1, list, depth);
    if (error) return error;
    at += length + 1;
  }
  return NULL;
}

static err expand_pattern(const char *pattern, path_list *list) {
  list->pattern = pattern;
  return expand_braces(pattern, list, 0);
}

/* A file of patterns, one a line; '#' begins a comment. */
static err expand_file(const char *path, path_list *list) {
  text_lines lines;
  err error = text_lines_read(path, false, &lines);
  for (size_t i = 0; i < lines.count && !error; i++)
    if (*lines.items[i] != '#') error = expand_pattern(lines.items[i], list);
  text_lines_free(&lines);
  return err_context(error, "@%s", path);
}

err shard_expand(char *const *patterns, size_t count, char ***paths, size_t *path_count) {
  path_list list = {0};
  err error = NULL;
  for (size_t i = 0; i < count && !error; i++)
    error = *patterns[i] == '@' ? expand_file(patterns[i] + 1, &list)
                                : expand_pattern(patterns[i], &list);
  if (error) {
    fs_free_names(list.items, list.count);
    return error;
  }
  *paths = list.items;
  *path_count = list.count;
  return NULL;
}
