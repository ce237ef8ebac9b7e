#include "data/shard.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"

typedef struct {
  char **items;
  size_t count, capacity;
} path_list;

/* Ten times what the largest public data sets have; more is a slip, such as two ranges in a row. */
enum { MOST_SHARDS = 1000000, MOST_BRACES = 8 };

static err add_path(path_list *list, const char *path) {
  if (list->count == MOST_SHARDS)
    return err_new(ERR_INPUT, "%s: more than %d shards: is a range longer than meant?", path,
                   MOST_SHARDS);
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

/* The end of glob's work on one pattern without braces. */
static err expand_glob(const char *pattern, path_list *list) {
  if (!strpbrk(pattern, "*?[")) return add_path(list, pattern);
  glob_t found;
  err error = NULL;
  int status = glob(pattern, 0, NULL, &found);
  if (status == GLOB_NOMATCH) return err_new(ERR_INPUT, "%s: no file matches", pattern);
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
    return err_new(ERR_INPUT, "%s: more than %d pairs of braces", pattern, MOST_BRACES);
  size_t prefix = (size_t)(open - pattern);
  long first, last;
  int consumed = 0;
  if (sscanf(open, "{%ld..%ld}%n", &first, &last, &consumed) == 2 && consumed == close - open + 1) {
    int width = (int)(strcspn(open + 1, ".")); /* zero-padded as the first number is written */
    if (last < first || (uint64_t)last - (uint64_t)first >= MOST_SHARDS)
      return err_new(ERR_INPUT,
                     "%s: the range runs backwards or is longer than %d: write {00000..00009}",
                     pattern, MOST_SHARDS);
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

/* A file of patterns, one a line; '#' begins a comment. */
static err expand_file(const char *path, path_list *list) {
  char *text = NULL;
  size_t length;
  err error = fs_read(path, &text, &length);
  for (char *rest = text, *line; !error && rest && (line = strsep(&rest, "\n"));) {
    char *end = line + strlen(line);
    while (end > line && strchr(" \t\r", end[-1])) *--end = '\0';
    line += strspn(line, " \t");
    if (*line && *line != '#') error = expand_braces(line, list, 0);
  }
  free(text);
  return err_context(error, "@%s", path);
}

err shard_expand(char *const *patterns, size_t count, char ***paths, size_t *path_count) {
  path_list list = {0};
  err error = NULL;
  for (size_t i = 0; i < count && !error; i++)
    error = *patterns[i] == '@' ? expand_file(patterns[i] + 1, &list)
                                : expand_braces(patterns[i], &list, 0);
  if (error) {
    fs_free_names(list.items, list.count);
    return error;
  }
  *paths = list.items;
  *path_count = list.count;
  return NULL;
}

/* True for the whole of what stands behind a key's dot: `seg.png` is no `png`. */
static bool has_extension(const char *extension, const char *const *wanted) {
  for (; *wanted; wanted++)
    if (strcasecmp(extension, *wanted) == 0) return true;
  return false;
}

/* Where a member with this extension belongs in its sample; NULL when it is of no use. */
static shard_bytes *place_of(shard_sample *sample, const char *extension) {
  static const char *const images[] = {"jpg", "jpeg", "png", "webp", NULL};
  static const char *const captions[] = {"txt", "caption", NULL}, *const jsons[] = {"json", NULL};
  if (has_extension(extension, images)) return &sample->image;
  if (has_extension(extension, captions)) return &sample->caption;
  return has_extension(extension, jsons) ? &sample->json : NULL;
}

static err sample_for(shard *s, const char *name, size_t key_length, size_t *capacity,
                      shard_sample **sample) {
  if (s->count) { /* members of a sample stand together */
    shard_sample *last = &s->samples[s->count - 1];
    if (strlen(last->key) == key_length && strncmp(last->key, name, key_length) == 0) {
      *sample = last;
      return NULL;
    }
  }
  if (s->count == *capacity) {
    size_t larger = *capacity ? 2 * *capacity : 256;
    shard_sample *samples = mem_resize(s->samples, larger, sizeof *samples);
    if (!samples) return mem_error(larger * sizeof *samples, s->path);
    s->samples = samples;
    *capacity = larger;
  }
  shard_sample *fresh = &s->samples[s->count];
  *fresh = (shard_sample){.key = mem_zeroed(key_length + 1, 1)};
  if (!fresh->key) return mem_error(key_length, s->path);
  memcpy(fresh->key, name, key_length);
  s->count++;
  *sample = fresh;
  return NULL;
}

/* libarchive reads from our mapping without copying, so a member's data is a pointer into it. */
static err find_data(shard *s, struct archive *tar, int64_t size, shard_bytes *bytes,
                     bool *is_whole) {
  const void *block = s->map;
  size_t length = 0;
  la_int64_t offset;
  int status = size > 0 ? archive_read_data_block(tar, &block, &length, &offset) : ARCHIVE_OK;
  const char *data = block;
  *is_whole = false;
  if (status != ARCHIVE_OK) return NULL; /* truncated: the caller tells */
  if (data < s->map || data > s->map + s->size)
    return err_new(ERR_INPUT, "%s: compressed tar files are not read; unpack it to a plain .tar",
                   s->path);
  if ((size_t)size > (size_t)(s->map + s->size - data)) return NULL;
  *bytes = (shard_bytes){data, (size_t)size};
  *is_whole = true;
  return NULL;
}

/* Names of pax headers are UTF-8, which the C locale does not take as they are. */
static const char *member_name(struct archive_entry *entry) {
  const char *name = archive_entry_pathname_utf8(entry);
  return name ? name : archive_entry_pathname(entry);
}

static err index_members(shard *s, struct archive *tar, strbuf *warnings) {
  struct archive_entry *entry;
  size_t capacity = 0;
  int status;
  while ((status = archive_read_next_header(tar, &entry)) == ARCHIVE_OK || status == ARCHIVE_WARN) {
    if (archive_entry_filetype(entry) != AE_IFREG) continue;
    const char *name = member_name(entry);
    const char *dot = name ? strchr(fs_name(name), '.') : NULL;
    if (!dot || dot == fs_name(name)) continue;
    shard_sample *sample = NULL, probe = {0};
    if (!place_of(&probe, dot + 1)) continue;
    shard_bytes bytes;
    bool is_whole;
    err error = find_data(s, tar, archive_entry_size(entry), &bytes, &is_whole);
    if (error) return error;
    if (!is_whole) {
      strbuf_format(warnings, "%s: truncated in member %s\n", s->path, name);
      return NULL;
    }
    error = sample_for(s, name, (size_t)(dot - name), &capacity, &sample);
    if (error) return error;
    shard_bytes *place = place_of(sample, dot + 1);
    if (place->data)
      strbuf_format(warnings, "%s: member %s stands there twice; the first is taken\n", s->path,
                    name);
    else
      *place = bytes;
  }
  if (status != ARCHIVE_EOF)
    strbuf_format(warnings, "%s: damaged after %zu samples: %s\n", s->path, s->count,
                  archive_error_string(tar));
  return NULL;
}

static err map_file(shard *s) {
  struct stat status;
  int fd = open(s->path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return err_errno(errno, "%s: cannot open", s->path);
  err error = NULL;
  if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
    error = err_new(ERR_INPUT, "%s: is not a regular file", s->path);
  } else if (status.st_size > 0) {
    void *map = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
      error = err_errno(errno, "%s: cannot map", s->path);
    else
      s->map = map;
    s->size = error ? 0 : (size_t)status.st_size;
  }
  close(fd);
  return error;
}

err shard_open(const char *path, shard *s, strbuf *warnings) {
  *s = (shard){.path = mem_copy_string(path)};
  struct archive *tar = archive_read_new();
  err error = NULL;
  if (!s->path || !tar) {
    error = mem_error(strlen(path), "a shard");
    goto cleanup;
  }
  TRY(map_file(s));
  archive_read_support_format_tar(tar);
  archive_read_support_format_empty(tar);
  if (archive_read_open_memory(tar, s->map ? s->map : "", s->size) != ARCHIVE_OK)
    FAIL(ERR_INPUT, "%s: %s", path, archive_error_string(tar));
  TRY(index_members(s, tar, warnings));
cleanup:
  if (tar) archive_read_free(tar);
  if (error) shard_close(s);
  return error;
}

void shard_close(shard *s) {
  for (size_t i = 0; i < s->count; i++) free(s->samples[i].key);
  free(s->samples);
  free(s->path);
  if (s->map) munmap((void *)(uintptr_t)s->map, s->size);
  *s = (shard){0};
}
