#include "base/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

/* flags: O_NONBLOCK to take regular files only, without waiting for the other end of a pipe. */
static err read_whole(const char *path, int flags, char **data, size_t *length) {
  err error = NULL;
  char *bytes = NULL;
  size_t capacity = 0, used = 0;
  int fd = open(path, O_RDONLY | O_CLOEXEC | flags);
  if (fd < 0) return err_errno(errno, "%s: cannot open", path);
  struct stat status = {0};
  if (fstat(fd, &status) == 0 && S_ISDIR(status.st_mode))
    FAIL(ERR_IO, "%s: is a folder, not a file", path);
  if (flags && !S_ISREG(status.st_mode)) FAIL(ERR_INPUT, "%s: is not a regular file", path);
  capacity = status.st_size > 0 ? (size_t)status.st_size + 1 : 4096;
  bytes = mem_resize(NULL, capacity, 1);
  while (bytes) {
    ssize_t got = read(fd, bytes + used, capacity - used);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      error = err_errno(errno, "%s: cannot read", path);
      goto cleanup;
    }
    used += (size_t)got;
    if (got == 0) break;
    if (used == capacity) {
      char *larger = mem_resize(bytes, capacity * 2, 1);
      if (!larger) {
        free(bytes);
        bytes = NULL;
        break;
      }
      bytes = larger;
      capacity *= 2;
    }
  }
  if (!bytes) {
    error = mem_error(capacity, path);
    goto cleanup;
  }
  bytes[used] = '\0'; /* used < capacity here */
  *data = bytes;
  *length = used;
  bytes = NULL;
cleanup:
  free(bytes);
  close(fd);
  return error;
}

err fs_read(const char *path, char **data, size_t *length) {
  return read_whole(path, 0, data, length);
}

err fs_read_regular(const char *path, char **data, size_t *length) {
  return read_whole(path, O_NONBLOCK, data, length);
}

err fs_write_all(int fd, const void *data, size_t length, const char *path) {
  const char *at = data;
  while (length > 0) {
    ssize_t written = write(fd, at, length);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return err_errno(errno, "%s: cannot write", path);
    at += written;
    length -= (size_t)written;
  }
  return NULL;
}

static err sync_folder_of(const char *path) {
  char *copy = mem_copy_string(path);
  if (!copy) return mem_error(strlen(path), "a path");
  int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  free(copy);
  if (fd < 0 && errno == EACCES) return NULL; /* a folder that may be written, but not read */
  if (fd < 0) return err_errno(errno, "%s: cannot open its folder", path);
  int failed = fsync(fd) != 0 && errno != EINVAL; /* some file systems cannot sync a folder */
  int code = errno;
  close(fd);
  return failed ? err_errno(code, "%s: cannot sync its folder", path) : NULL;
}

/* Suffix of the temporary path: the mark, and the process that writes. */
static const char temporary_mark[] = ".tmp";

/* A device, a pipe, or what a process has open, be it a file: written into, not replaced. */
static bool is_no_file(const char *path) {
  static const char *const opened[] = {"/dev/fd/", "/dev/stdin", "/dev/stdout", "/dev/stderr",
                                       "/proc/"};
  struct stat at;
  for (size_t i = 0; i < sizeof opened / sizeof *opened; i++)
    if (strncmp(path, opened[i], strlen(opened[i])) == 0) return true;
  return stat(path, &at) == 0 && !S_ISREG(at.st_mode);
}

static err open_as_it_is(fs_writer *w, const char *path) {
  *w = (fs_writer){.fd = -1, .path = mem_copy_string(path)};
  if (!w->path) return mem_error(strlen(path), "a path");
  w->fd = open(path, O_WRONLY | O_CLOEXEC);
  return w->fd < 0 ? err_errno(errno, "%s: cannot be written", path) : NULL;
}

/* Of a link the file that it leads to, which is replaced instead of the link. */
static char *behind_links(const char *path) {
  struct stat at;
  bool is_link = lstat(path, &at) == 0 && S_ISLNK(at.st_mode);
  char *real = is_link ? realpath(path, NULL) : NULL;
  return real ? real : mem_copy_string(path);
}

err fs_writer_open(fs_writer *w, const char *path) {
  if (is_no_file(path)) return open_as_it_is(w, path);
  *w = (fs_writer){.fd = -1, .path = behind_links(path)};
  size_t size = strlen(w->path ? w->path : path) + 32;
  w->temporary = mem_zeroed(size, 1);
  if (!w->path || !w->temporary) {
    free(w->path);
    free(w->temporary);
    *w = (fs_writer){0};
    return mem_error(size, "a path");
  }
  snprintf(w->temporary, size, "%s%s%ld", w->path, temporary_mark, (long)getpid());
  w->fd = open(w->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  return w->fd < 0 ? err_errno(errno, "%s: cannot create", path) : NULL;
}

err fs_writer_add(fs_writer *w, const void *data, size_t length) {
  return fs_write_all(w->fd, data, length, w->path);
}

err fs_writer_commit(fs_writer *w) {
  err error = NULL;
  const bool is_file = w->temporary != NULL;
  if (is_file && fsync(w->fd) != 0) error = err_errno(errno, "%s: cannot sync", w->path);
  if (close(w->fd) != 0 && !error) error = err_errno(errno, "%s: cannot close", w->path);
  if (!error && is_file && rename(w->temporary, w->path) != 0)
    error = err_errno(errno, "%s: cannot rename onto", w->path);
  if (error && is_file) unlink(w->temporary);
  w->fd = -1;
  return error || !is_file ? error : sync_folder_of(w->path);
}

void fs_writer_close(fs_writer *w) {
  if (w->path && w->fd >= 0) close(w->fd);
  if (w->temporary && w->fd >= 0) unlink(w->temporary);
  free(w->path);
  free(w->temporary);
  *w = (fs_writer){0};
}

bool fs_is_temporary(const char *name) {
  const char *at = name, *mark = NULL;
  while ((at = strstr(at, temporary_mark))) mark = at++;
  if (!mark) return false;
  mark += strlen(temporary_mark);
  return *mark && !mark[strspn(mark, "0123456789")];
}

err fs_write_atomic(const char *path, const void *data, size_t length) {
  fs_writer w = {0};
  err error = fs_writer_open(&w, path);
  if (!error) error = fs_writer_add(&w, data, length);
  if (!error) error = fs_writer_commit(&w);
  fs_writer_close(&w);
  return error;
}

err fs_make_folders(const char *path) {
  char *copy = mem_copy_string(path);
  if (!copy) return mem_error(strlen(path), "a path");
  err error = NULL;
  for (char *at = copy + 1; !error && *copy; at++) {
    char c = *at;
    if (c != '/' && c != '\0') continue;
    *at = '\0';
    if (mkdir(copy, 0777) != 0 && errno != EEXIST)
      error = err_errno(errno, "%s: cannot create folder", copy);
    else if (c == '\0' && !fs_is_folder(copy))
      error = err_new(ERR_IO, "%s: exists and is not a folder", copy);
    *at = c;
    if (c == '\0') break;
  }
  free(copy);
  return error;
}

bool fs_exists(const char *path) {
  return access(path, F_OK) == 0;
}

bool fs_is_folder(const char *path) {
  struct stat status;
  return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

char *fs_join(const char *folder, const char *name) {
  size_t size = strlen(folder) + strlen(name) + 2;
  char *path = mem_zeroed(size, 1);
  if (!path) return NULL;
  bool has_slash = *folder && folder[strlen(folder) - 1] == '/';
  snprintf(path, size, "%s%s%s", folder, !*folder || has_slash ? "" : "/", name);
  return path;
}

const char *fs_name(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}

err fs_lock(const char *path, const char *what, int *fd) {
  *fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (*fd < 0) return err_errno(errno, "%s: cannot create", path);
  if (flock(*fd, LOCK_EX | LOCK_NB) == 0) return NULL;
  int code = errno;
  close(*fd);
  *fd = -1;
  if (code == EWOULDBLOCK) return err_new(ERR_IO, "%s is in use by another process", what);
  return err_errno(code, "%s: cannot lock", path);
}

void fs_hold_standard_files(void) {
  int fd;
  while ((fd = open("/dev/null", O_RDONLY)) >= 0 && fd <= STDERR_FILENO) continue;
  if (fd >= 0) close(fd);
}

static int compare_names(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

err fs_list(const char *folder, char ***names, size_t *count) {
  DIR *open_folder = opendir(folder);
  if (!open_folder) return err_errno(errno, "%s: cannot open folder", folder);
  char **list = NULL;
  size_t used = 0, capacity = 0;
  bool is_short = false;
  struct dirent *entry;
  while (!is_short && (errno = 0, entry = readdir(open_folder))) {
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    if (used == capacity) {
      size_t larger = capacity ? capacity * 2 : 64;
      char **grown = mem_resize(list, larger, sizeof *list);
      if (grown) {
        list = grown;
        capacity = larger;
      }
    }
    char *copy = used < capacity ? mem_copy_string(entry->d_name) : NULL;
    if (copy)
      list[used++] = copy;
    else
      is_short = true;
  }
  int code = errno;
  closedir(open_folder);
  if (is_short || code) {
    fs_free_names(list, used);
    return is_short ? mem_error(capacity * sizeof *list, "a folder's names")
                    : err_errno(code, "%s: cannot read folder", folder);
  }
  if (used) qsort(list, used, sizeof *list, compare_names);
  *names = list;
  *count = used;
  return NULL;
}

void fs_free_names(char **names, size_t count) {
  for (size_t i = 0; i < count; i++) free(names[i]);
  free(names);
}
