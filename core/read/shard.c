#include "read/shard.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "read/name_set.h"

/* The suffixes that are read, images in the order of preference. Everything after a key's dot
 * counts: `seg.png` is not `png`. */
static const char *const suffixes[] = {"jpg", "png", "jpeg", "webp", "txt", "json"};
enum { SUFFIXES = sizeof suffixes / sizeof *suffixes, IMAGE_SUFFIXES = 4 };

/* Its place in the table, SUFFIXES when a member with this suffix is of no use. */
static int find_suffix(const char *suffix) {
  int i = 0;
  while (i < SUFFIXES && strcasecmp(suffix, suffixes[i]) != 0) i++;
  return i;
}

static shard_member kind_of(int suffix) {
  return suffix < IMAGE_SUFFIXES ? SHARD_IMAGE
                                 : (shard_member)(SHARD_CAPTION + suffix - IMAGE_SUFFIXES);
}

enum { TAR_BLOCK = 512, TAR_NAME = 100, TAR_MAGIC_AT = 257, TAR_PREFIX_AT = 345, TAR_PREFIX = 155 };

/* What is in a folder __NAME__ at the top is about the shard: the webdataset library passes over
 * it, too. */
static bool is_meta(const char *name) {
  const char *end = strncmp(name, "__", 2) == 0 ? strchr(name + 2, '/') : NULL;
  return end && end - name >= 4 && end[-1] == '_' && end[-2] == '_';
}

/* Bytes of `name` that are a sample's key; 0: a name that belongs to none. */
static size_t key_length(const char *name) {
  const char *dot = strchr(fs_name(name), '.');
  return !dot || dot == fs_name(name) ? 0 : (size_t)(dot - name);
}

/* The key by the header in front of the sample's first member: correct except for names too long
 * for a header. */
static void key_of_header(const shard *s, const shard_sample *sample,
                          char key[TAR_PREFIX + TAR_NAME + 2]) {
  int which = 0;
  while (which < SHARD_JSON && !sample->block[which]) which++;
  const char *header = s->map + ((size_t)sample->block[which] - 1) * TAR_BLOCK;
  bool has_prefix = memcmp(header + TAR_MAGIC_AT, "ustar", 6) == 0 && header[TAR_PREFIX_AT];
  snprintf(key, TAR_PREFIX + TAR_NAME + 2, "%.*s%s%.*s", has_prefix ? TAR_PREFIX : 0,
           header + TAR_PREFIX_AT, has_prefix ? "/" : "", TAR_NAME, header);
  key[key_length(key)] = '\0';
}

/* A shard that is being indexed, and the group of members with one key that was read last. */
typedef struct {
  shard *s;
  shard_notes *notes;
  strbuf key, others; /* of the group: its key, suffixes of no use, the first for a message */
  name_set unread;    /* all of those suffixes, in lower case */
  bool has_sample;    /* some member of the group is read: the last sample is its */
  unsigned seen;      /* its suffixes, bits by find_suffix */
  size_t capacity, odd_capacity;
} indexing;

static void pass_over(shard_notes *n, const char *suffix, int64_t members) {
  for (size_t i = 0; i < SHARD_SUFFIXES; i++) {
    if (!*n->passed[i].suffix) strncpy(n->passed[i].suffix, suffix, SHARD_SUFFIX - 1);
    if (strncmp(n->passed[i].suffix, suffix, SHARD_SUFFIX - 1) != 0) continue;
    n->passed[i].count += members;
    return;
  }
  n->others += members;
}

void shard_notes_add(shard_notes *to, const shard_notes *from) {
  strbuf_append(&to->warnings, strbuf_string(&from->warnings));
  if (from->warnings.is_broken) to->warnings.is_broken = true;
  left_out_append(&to->lost, &from->lost);
  to->spare_images += from->spare_images;
  to->unnamed += from->unnamed;
  to->links += from->links;
  to->others += from->others;
  for (size_t i = 0; i < SHARD_SUFFIXES && from->passed[i].count; i++)
    pass_over(to, from->passed[i].suffix, from->passed[i].count);
}

void shard_notes_summary(const shard_notes *n, const char *name, strbuf *out) {
  strbuf list = {0};
  int64_t total = n->spare_images + n->unnamed + n->links + n->others;
  for (size_t i = 0; i < SHARD_SUFFIXES && n->passed[i].count; i++) {
    total += n->passed[i].count;
    strbuf_format(&list, "%s%ld .%s", list.length ? ", " : "", (long)n->passed[i].count,
                  n->passed[i].suffix);
  }
  if (n->others)
    strbuf_format(&list, "%s%ld of other suffixes", list.length ? ", " : "", (long)n->others);
  if (n->spare_images)
    strbuf_format(&list, "%s%ld additional %s of a sample (order: jpg, png, jpeg, webp)",
                  list.length ? ", " : "", (long)n->spare_images,
                  text_plural(n->spare_images, "image", "images"));
  if (n->unnamed)
    strbuf_format(&list, "%s%ld without a key and a suffix", list.length ? ", " : "",
                  (long)n->unnamed);
  if (n->links)
    strbuf_format(&list, "%s%ld %s", list.length ? ", " : "", (long)n->links,
                  text_plural(n->links, "link", "links"));
  if (total)
    strbuf_format(out, "%s: %ld %s skipped: %s\n", name, (long)total,
                  text_plural(total, "member", "members"), strbuf_string(&list));
  if (list.is_broken) out->is_broken = true;
  strbuf_free(&list);
}

void shard_notes_free(shard_notes *notes) {
  strbuf_free(&notes->warnings);
  strbuf_free(&notes->lost.records);
  *notes = (shard_notes){0};
}

/* The last sample is whole: its key is stored if it is not in its header. */
static err end_sample(indexing *x) {
  char told[TAR_PREFIX + TAR_NAME + 2];
  shard *s = x->s;
  if (!s->count) return NULL;
  key_of_header(s, &s->samples[s->count - 1], told);
  if (strcmp(told, strbuf_string(&x->key)) == 0) return NULL;
  if (s->odd_count == x->odd_capacity) {
    size_t larger = x->odd_capacity ? 2 * x->odd_capacity : 16;
    shard_odd_key *keys = mem_resize(s->odd_keys, larger, sizeof *keys);
    if (!keys) return mem_error(larger * sizeof *keys, s->path);
    s->odd_keys = keys;
    x->odd_capacity = larger;
  }
  char *key = mem_copy_string(strbuf_string(&x->key));
  if (!key) return mem_error(x->key.length, s->path);
  s->odd_keys[s->odd_count++] = (shard_odd_key){s->count - 1, key};
  return NULL;
}

/* No more members of the group: its sample is whole, or nothing of it was read. */
static err end_group(indexing *x) {
  err error = NULL;
  if (x->has_sample) {
    error = end_sample(x);
  } else if (x->others.length) {
    left_out_add(&x->notes->lost, x->s->path, strbuf_string(&x->key),
                 "has no image: its members are %s (a key ends at the first dot)",
                 strbuf_string(&x->others));
  }
  x->has_sample = false;
  x->seen = 0;
  strbuf_clear(&x->others);
  name_set_clear(&x->unread);
  return error;
}

/* Enters a suffix of no use into the group; *is_new: it has none of this name yet. */
static err meet_unread(indexing *x, const char *suffix, bool *is_new) {
  char *lower = mem_copy_string(suffix);
  if (!lower) return mem_error(strlen(suffix), x->s->path);
  for (char *c = lower; *c; c++)
    if (*c >= 'A' && *c <= 'Z') *c = (char)(*c - 'A' + 'a');
  err error = name_set_add(&x->unread, lower, is_new);
  free(lower);
  return error;
}

/* Members of a group are adjacent; the group of this key becomes the current one. */
static err enter_group(indexing *x, const char *name, size_t length, int suffix) {
  const char *ending = name + length + 1;
  bool is_new = suffix == SUFFIXES || !(x->seen & 1u << suffix);
  bool is_same = (x->has_sample || x->others.length) && x->key.length == length &&
                 memcmp(x->key.data, name, length) == 0;
  err error = is_same && suffix == SUFFIXES ? meet_unread(x, ending, &is_new) : NULL;
  if (error || (is_same && is_new)) return error;
  if (is_same)
    strbuf_format_line(&x->notes->warnings,
                       "%s: member %s occurs twice: the second starts a new sample", x->s->path,
                       name);
  error = end_group(x);
  strbuf_clear(&x->key);
  strbuf_append_bytes(&x->key, name, length);
  if (!error && x->key.is_broken) error = mem_error(length, x->s->path);
  return error || suffix < SUFFIXES ? error : meet_unread(x, ending, &is_new);
}

/* The current group's sample, made when it has none. */
static err sample_of_group(indexing *x, shard_sample **sample) {
  shard *s = x->s;
  if (!x->has_sample) {
    if (s->count == x->capacity) {
      size_t larger = x->capacity ? 2 * x->capacity : 256;
      shard_sample *samples = mem_resize(s->samples, larger, sizeof *samples);
      if (!samples) return mem_error(larger * sizeof *samples, s->path);
      s->samples = samples;
      x->capacity = larger;
    }
    s->samples[s->count++] = (shard_sample){0};
    x->has_sample = true;
  }
  *sample = &s->samples[s->count - 1];
  return NULL;
}

/* libarchive reads from our mapping without copying, so a member's data is a pointer into it. data
 * NULL, although whole: without data, as only a sparse member that is all hole is. */
static err find_data(shard *s, struct archive *tar, int64_t size, shard_bytes *bytes,
                     bool *is_whole) {
  /* an empty member has no data to point at: where they would be */
  const void *block = s->map + archive_read_header_position(tar) + TAR_BLOCK;
  size_t length = 0;
  la_int64_t offset;
  int status = size > 0 ? archive_read_data_block(tar, &block, &length, &offset) : ARCHIVE_OK;
  const char *data = block;
  *bytes = (shard_bytes){0};
  *is_whole = status == ARCHIVE_EOF;
  if (status != ARCHIVE_OK) return NULL; /* truncated: the caller reports it */
  if (data < s->map || data > s->map + s->size)
    return err_new(ERR_INPUT,
                   "%s: compressed tar files are not supported; unpack it to a plain .tar",
                   s->path);
  if ((size_t)size > (size_t)(s->map + s->size - data)) return NULL;
  *bytes = (shard_bytes){data, (size_t)size};
  *is_whole = true;
  return NULL;
}

/* Names of pax headers are UTF-8, which the C locale does not take as they are: a character that it
 * lacks may have become '?'. Most names are ASCII, which costs no conversion. */
static const char *member_name(struct archive_entry *entry) {
  const char *name = archive_entry_pathname(entry), *at = name;
  while (at && *at && !(*at & 0x80) && *at != '?') at++;
  if (at && at > name && !*at) return name;
  name = archive_entry_pathname_utf8(entry);
  return name ? name : archive_entry_pathname(entry);
}

/* Enters a member that is there as a whole. */
static err take_member(indexing *x, const char *name, int suffix, shard_bytes bytes) {
  shard *s = x->s;
  shard_member kind = kind_of(suffix);
  size_t block = (size_t)(bytes.data - s->map) / TAR_BLOCK;
  shard_sample *sample = NULL;
  bool is_aligned = (size_t)(bytes.data - s->map) % TAR_BLOCK == 0;
  if (bytes.size > UINT32_MAX || block > UINT32_MAX || !block || !is_aligned) {
    strbuf_format_line(&x->notes->warnings,
                       "%s: member %s is larger than 4 GiB, or its offset is odd or beyond 2 TiB",
                       s->path, name);
    return NULL;
  }
  err error = sample_of_group(x, &sample);
  if (error) return error;
  unsigned preferred = kind == SHARD_IMAGE ? x->seen & ((1u << suffix) - 1) : 0;
  x->notes->spare_images += kind == SHARD_IMAGE && sample->block[kind];
  x->seen |= 1u << suffix;
  if (preferred) return NULL;
  sample->block[kind] = (uint32_t)block;
  sample->size[kind] = (uint32_t)bytes.size;
  return NULL;
}

static err index_member(indexing *x, struct archive *tar, struct archive_entry *entry,
                        bool *is_whole) {
  const char *name = member_name(entry);
  size_t length = name ? key_length(name) : 0;
  *is_whole = true;
  if (name && is_meta(name)) return NULL;
  if (!length) {
    x->notes->unnamed++;
    return NULL;
  }
  const char *ending = name + length + 1;
  int suffix = find_suffix(ending);
  err error = enter_group(x, name, length, suffix);
  if (error) return error;
  if (suffix == SUFFIXES) {
    pass_over(x->notes, ending, 1);
    if (x->others.length < 128)
      strbuf_format(&x->others, "%s.%s", x->others.length ? ", " : "", ending);
    return NULL;
  }
  shard_bytes bytes = {0};
  bool is_sparse = archive_entry_sparse_count(entry) > 0;
  if (!is_sparse) error = find_data(x->s, tar, archive_entry_size(entry), &bytes, is_whole);
  if (error) return error;
  if (is_sparse || (*is_whole && !bytes.data)) { /* its data lie there without their holes */
    strbuf_format_line(&x->notes->warnings, "%s: member %s is sparse (tar -S) and skipped",
                       x->s->path, name);
    return NULL;
  }
  if (*is_whole) return take_member(x, name, suffix, bytes);
  strbuf_format_line(&x->notes->warnings, "%s: truncated in member %s", x->s->path, name);
  return NULL;
}

static bool is_zero(const char *bytes, size_t size) {
  return !size || (!*bytes && memcmp(bytes, bytes + 1, size - 1) == 0);
}

/* Checks the end that libarchive takes for that of the archive: the end of the file, wherever that
 * is between two members, or the first block of zeros, whatever follows. */
static void check_end(indexing *x, size_t at) {
  enum { MOST_PADDING = 1 << 20 }; /* tar pads to 10 KiB, or what -b says */
  const shard *s = x->s;
  if (!s->size) return;
  if (s->size - at < TAR_BLOCK || !is_zero(s->map + at, TAR_BLOCK)) {
    strbuf_format_line(&x->notes->warnings,
                       "%s: ends after %zu %s without an end-of-archive mark: truncated?", s->path,
                       s->count, text_plural((int64_t)s->count, "sample", "samples"));
    return;
  }
  size_t rest = s->size - at;
  if (rest > MOST_PADDING || !is_zero(s->map + at, rest))
    strbuf_format_line(&x->notes->warnings,
                       "%s: the archive ends after %zu %s; the file's last %zu bytes are not read",
                       s->path, s->count, text_plural((int64_t)s->count, "sample", "samples"),
                       rest);
}

static err index_members(indexing *x, struct archive *tar) {
  struct archive_entry *entry;
  shard *s = x->s;
  int status;
  while ((status = archive_read_next_header(tar, &entry)) == ARCHIVE_OK || status == ARCHIVE_WARN) {
    bool is_whole = true;
    if (archive_entry_filetype(entry) != AE_IFREG || archive_entry_hardlink(entry)) {
      x->notes->links += archive_entry_hardlink(entry) || archive_entry_filetype(entry) == AE_IFLNK;
      continue;
    }
    err error = index_member(x, tar, entry, &is_whole);
    if (error) return error;
    if (!is_whole) return end_group(x);
  }
  if (status != ARCHIVE_EOF && archive_errno(tar) == ENOMEM) return mem_error(0, s->path);
  if (status != ARCHIVE_EOF)
    strbuf_format_line(&x->notes->warnings, "%s: damaged after %zu %s: %s", s->path, s->count,
                       text_plural((int64_t)s->count, "sample", "samples"),
                       archive_error_string(tar));
  else
    check_end(x, (size_t)archive_read_header_position(tar));
  err error = end_group(x);
  if (!error && status == ARCHIVE_EOF && !s->count)
    strbuf_format_line(&x->notes->warnings, "%s: %s", s->path,
                       s->size ? "contains no samples" : "is empty (0 bytes): a failed download?");
  return error;
}

/* Gives back what the lists have grown too large by. */
static void fit_lists(shard *s) {
  shard_sample *samples = s->count ? mem_resize(s->samples, s->count, sizeof *samples) : NULL;
  shard_odd_key *keys = s->odd_count ? mem_resize(s->odd_keys, s->odd_count, sizeof *keys) : NULL;
  if (samples) s->samples = samples;
  if (keys) s->odd_keys = keys;
}

static err map_file(const char *path, shard *s) {
  struct stat status;
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe is refused, not waited for */
  if (fd < 0) return err_errno(errno, "%s: cannot open", s->path);
  err error = NULL;
  if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
    error = err_new(ERR_INPUT, "%s: is not a regular file", s->path);
  } else if (status.st_size > 0) {
    void *map = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED && errno == ENOMEM)
      error = err_new(ERR_MEMORY,
                      "%s: cannot be mapped: out of address space, or the process maps more files "
                      "than vm.max_map_count allows; data.order: stream keeps few shards mapped",
                      s->path);
    else if (map == MAP_FAILED)
      error = err_errno(errno, "%s: cannot map", s->path);
    else
      s->map = map;
    s->size = error ? 0 : (size_t)status.st_size;
  }
  close(fd);
  return error;
}

/* What a file is that begins with these bytes, when people name it by mistake; NULL: none such. */
static const char *kind_of_file(const char *head, size_t size) {
  static const struct {
    const char *magic;
    size_t length;
    const char *kind;
  } kinds[] = {{"\x1F\x8B", 2, "gzip-compressed: unpack it (gunzip)"},
               {"\x28\xB5\x2F\xFD", 4, "zstd-compressed: unpack it (unzstd)"},
               {"\xFD"
                "7zXZ",
                5, "xz-compressed: unpack it (unxz)"},
               {"BZh", 3, "bzip2-compressed: unpack it (bunzip2)"},
               {"\x04\x22\x4D\x18", 4, "lz4-compressed: unpack it (unlz4)"},
               {"PK\x03\x04", 4, "a zip archive: pack its files as tar"},
               {"PAR1", 4, "a Parquet file; name it as list:FILE"},
               {"<!DOCTYPE", 9, "an HTML page: a failed download?"},
               {"<html", 5, "an HTML page: a failed download?"},
               {"version https://git-lfs", 23, "a Git LFS pointer: fetch the file (git lfs pull)"}};
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
    if (size >= kinds[i].length && memcmp(head, kinds[i].magic, kinds[i].length) == 0)
      return kinds[i].kind;
  return NULL;
}

err shard_refuse_other_files(const char *path, const char *head, size_t size) {
  const char *kind = head ? kind_of_file(head, size) : NULL;
  if (!kind) return NULL;
  return err_new(ERR_INPUT, "%s: is %s; shards are plain .tar files, read in place", path, kind);
}

err shard_open_as(const char *path, const char *name, shard *s, shard_notes *notes) {
  *s = (shard){.path = mem_copy_string(name)};
  indexing x = {.s = s, .notes = notes};
  struct archive *tar = archive_read_new();
  err error = NULL;
  if (!s->path || !tar) {
    error = mem_error(strlen(path), "a shard");
    goto cleanup;
  }
  TRY(map_file(path, s));
  TRY(shard_refuse_other_files(name, s->map, s->size));
  archive_read_support_format_tar(tar);
  archive_read_support_format_empty(tar);
  if (archive_read_open_memory(tar, s->map ? s->map : "", s->size) != ARCHIVE_OK) {
    const char *cause = archive_error_string(tar);
    error = archive_errno(tar) == ENOMEM || !cause ? mem_error(0, name)
                                                   : err_new(ERR_INPUT, "%s: %s", name, cause);
    goto cleanup;
  }
  TRY(index_members(&x, tar));
  fit_lists(s);
cleanup:
  strbuf_free(&x.key);
  strbuf_free(&x.others);
  name_set_free(&x.unread);
  if (!error && (notes->warnings.is_broken || notes->lost.records.is_broken))
    error = mem_error(0, "warnings");
  if (tar) archive_read_free(tar);
  if (error) shard_close(s);
  return error;
}

err shard_open(const char *path, shard *s, shard_notes *notes) {
  return shard_open_as(path, path, s, notes);
}

void shard_close(shard *s) {
  for (size_t i = 0; i < s->odd_count; i++) free(s->odd_keys[i].key);
  free(s->odd_keys);
  free(s->samples);
  free(s->path);
  if (s->map) munmap((void *)(uintptr_t)s->map, s->size);
  *s = (shard){0};
}

shard_bytes shard_get(const shard *s, size_t i, shard_member which) {
  const shard_sample *sample = &s->samples[i];
  if (!sample->block[which]) return (shard_bytes){0};
  return (shard_bytes){s->map + (size_t)sample->block[which] * TAR_BLOCK, sample->size[which]};
}

err shard_key(const shard *s, size_t i, char **key) {
  char told[TAR_PREFIX + TAR_NAME + 2];
  size_t low = 0, high = s->odd_count;
  while (low < high) { /* the first odd key that is not before i */
    size_t middle = (low + high) / 2;
    if (s->odd_keys[middle].sample < i)
      low = middle + 1;
    else
      high = middle;
  }
  bool is_odd = low < s->odd_count && s->odd_keys[low].sample == i;
  if (!is_odd) key_of_header(s, &s->samples[i], told);
  *key = mem_copy_string(is_odd ? s->odd_keys[low].key : told);
  return *key ? NULL : mem_error(0, "a sample's key");
}

void shard_leave_out(shard *s, const bool *is_left_out) {
  size_t kept = 0, odd = 0, odd_kept = 0;
  for (size_t i = 0; i < s->count; i++) {
    bool is_odd = odd < s->odd_count && s->odd_keys[odd].sample == i;
    if (is_odd && is_left_out[i]) free(s->odd_keys[odd].key);
    if (is_odd && !is_left_out[i])
      s->odd_keys[odd_kept++] = (shard_odd_key){kept, s->odd_keys[odd].key};
    odd += is_odd;
    if (!is_left_out[i]) s->samples[kept++] = s->samples[i];
  }
  s->count = kept;
  s->odd_count = odd_kept;
  fit_lists(s);
}
