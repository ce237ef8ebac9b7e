#include "read/shard_writer.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/text.h"

/* A shard that is written whole waits here for the disk (fsync), while the next one is written.
 * Only one does, so that no more than two are without their names. */
typedef struct {
  pthread_t thread;
  bool is_running;
  fs_writer file;
  err error;
} committing;

enum { WRITTEN_AT_ONCE = 256 << 10 }; /* bytes */

struct shard_writer {
  char *prefix;
  int64_t limit, shards, in_shard;
  struct archive *tar; /* NULL between shards */
  fs_writer file;
  committing last;
  strbuf path;
};

err shard_writer_open(const char *prefix, int64_t samples, shard_writer **out) {
  shard_writer *w = mem_zeroed(1, sizeof *w);
  if (!w) return mem_error(sizeof *w, "a shard");
  *w = (shard_writer){.prefix = mem_copy_string(prefix), .limit = samples};
  if (!w->prefix) {
    free(w);
    return mem_error(strlen(prefix), "a shard");
  }
  *out = w;
  return NULL;
}

static err start_shard(shard_writer *w) {
  strbuf_clear(&w->path);
  strbuf_format(&w->path, "%s-%05ld.tar", w->prefix, (long)w->shards);
  if (w->path.is_broken) return mem_error(0, "a path");
  err error = fs_writer_open(&w->file, w->path.data);
  if (error) return error;
  w->tar = archive_write_new();
  if (!w->tar) return mem_error(0, w->path.data);
  archive_write_set_format_ustar(w->tar);
  archive_write_set_bytes_per_block(w->tar, WRITTEN_AT_ONCE);
  archive_write_set_bytes_in_last_block(w->tar, 1);
  if (archive_write_open_fd(w->tar, w->file.fd) != ARCHIVE_OK)
    return err_new(ERR_IO, "%s: %s", w->path.data, archive_error_string(w->tar));
  w->in_shard = 0;
  return NULL;
}

static void *commit(void *argument) {
  committing *c = argument;
  c->error = fs_writer_commit(&c->file);
  fs_writer_close(&c->file);
  return NULL;
}

/* The error of the shard that was finished last, once it is known. */
static err wait_for_commit(committing *c) {
  if (c->is_running) pthread_join(c->thread, NULL);
  c->is_running = false;
  err error = c->error;
  c->error = NULL;
  return error;
}

static err begin_commit(shard_writer *w) {
  err error = wait_for_commit(&w->last);
  if (error) return error;
  w->last.file = w->file;
  w->file = (fs_writer){0};
  w->last.is_running = pthread_create(&w->last.thread, NULL, commit, &w->last) == 0;
  if (!w->last.is_running) commit(&w->last); /* without a thread, this one waits */
  return w->last.is_running ? NULL : wait_for_commit(&w->last);
}

static err failed(const shard_writer *w) {
  return err_errno(archive_errno(w->tar), "%s: %s", w->path.data, archive_error_string(w->tar));
}

static err end_shard(shard_writer *w) {
  err error = NULL;
  if (archive_write_close(w->tar) != ARCHIVE_OK) error = failed(w);
  archive_write_free(w->tar);
  w->tar = NULL;
  if (error) return error; /* close removes what is there */
  error = begin_commit(w);
  w->shards++;
  return error;
}

static err add_member(shard_writer *w, const char *key, const char *extension, const void *data,
                      size_t bytes) {
  strbuf name = {0};
  err error = NULL;
  struct archive_entry *entry = archive_entry_new2(w->tar);
  strbuf_format(&name, "%s.%s", key, extension);
  if (!entry || name.is_broken) FAIL(ERR_MEMORY, "out of memory: a shard's member");
  archive_entry_set_pathname(entry, strbuf_string(&name));
  archive_entry_set_size(entry, (la_int64_t)bytes);
  archive_entry_set_filetype(entry, AE_IFREG);
  archive_entry_set_perm(entry, 0644);
  archive_entry_set_mtime(entry, 0, 0);
  if (archive_write_header(w->tar, entry) != ARCHIVE_OK ||
      archive_write_data(w->tar, data, bytes) != (la_ssize_t)bytes)
    error = failed(w);
cleanup:
  archive_entry_free(entry);
  strbuf_free(&name);
  return error;
}

err shard_writer_add(shard_writer *w, const char *key, const char *extension, const void *image,
                     size_t image_bytes, const char *caption, const char *json) {
  err error = NULL;
  if (!w->tar) TRY(start_shard(w));
  TRY(add_member(w, key, extension, image, image_bytes));
  TRY(add_member(w, key, "txt", caption, strlen(caption)));
  TRY(add_member(w, key, "json", json, strlen(json)));
  if (++w->in_shard == w->limit) TRY(end_shard(w));
cleanup:
  return error;
}

int64_t shard_writer_number(const char *name, const char *start) {
  size_t length = strlen(start);
  if (strncmp(name, start, length) != 0 || name[length] != '-') return -1;
  const char *digits = name + length + 1;
  size_t count = strspn(digits, "0123456789");
  bool is_shard = count >= 5 && count < 18 && strcmp(digits + count, ".tar") == 0;
  return is_shard ? strtol(digits, NULL, 10) : -1;
}

/* By what is there, not one number after another: a process that was killed here has left gaps. */
err shard_writer_remove_from(const char *prefix, int64_t first) {
  char **names = NULL, *folder = mem_copy_string(prefix);
  const char *start = fs_name(prefix);
  size_t count = 0;
  if (!folder) return mem_error(strlen(prefix), "a path");
  folder[start - prefix] = '\0';
  err error = fs_list(*folder ? folder : ".", &names, &count);
  for (size_t i = 0; i < count && !error; i++) {
    if (shard_writer_number(names[i], start) < first) continue;
    char *path = fs_join(folder, names[i]);
    if (!path)
      error = mem_error(0, "a path");
    else if (unlink(path) != 0 && errno != ENOENT)
      error = err_errno(errno, "%s: cannot remove", path);
    free(path);
  }
  if (names) fs_free_names(names, count);
  free(folder);
  return error;
}

err shard_writer_finish(shard_writer *w, int64_t *shards) {
  err error = w->tar ? end_shard(w) : NULL;
  if (!error) error = wait_for_commit(&w->last);
  *shards = w->shards;
  return error;
}

void shard_writer_close(shard_writer *w) {
  if (!w) return;
  if (w->tar) archive_write_free(w->tar);
  fs_writer_close(&w->file);
  err_free(wait_for_commit(&w->last));
  strbuf_free(&w->path);
  free(w->prefix);
  free(w);
}
