#include "timing/checkouts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/command.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/text.h"

#define NAME_BEGINS "flipbench-"
#define LOCK_NAME "flipbench.lock"

/* The descriptor is inherited, so that a build which outlives flipbench keeps its checkout. */
err checkouts_begin(checkouts_folder *f) {
  const char *temporary = getenv("TMPDIR");
  strbuf path = {0};
  f->lock_fd = -1;
  snprintf(f->path, sizeof f->path, "%s/" NAME_BEGINS "XXXXXX",
           temporary && *temporary ? temporary : "/tmp");
  if (!mkdtemp(f->path)) {
    err error = err_new(ERR_IO,
                        "%s: cannot create a temporary folder (%s); set TMPDIR to a folder that "
                        "you can write to",
                        f->path, strerror(errno));
    *f->path = '\0';
    return error;
  }
  strbuf_format(&path, "%s/" LOCK_NAME, f->path);
  if (!path.is_broken) f->lock_fd = open(path.data, O_RDWR | O_CREAT | O_EXCL, 0600);
  /* without a lock, nobody can know whether it is in use: it is then never taken for left behind */
  if (f->lock_fd >= 0 && flock(f->lock_fd, LOCK_EX | LOCK_NB) != 0) unlink(path.data);
  strbuf_free(&path);
  return NULL;
}

static void remove_folder(const char *path) {
  strbuf lock = {0};
  strbuf_format(&lock, "%s/" LOCK_NAME, path);
  if (!lock.is_broken) unlink(lock.data);
  rmdir(path);
  strbuf_free(&lock);
}

void checkouts_end(checkouts_folder *f) {
  if (!*f->path) return;
  remove_folder(f->path);
  if (f->lock_fd >= 0) close(f->lock_fd);
}

static bool has_only_the_lock(const char *folder) {
  char **names = NULL;
  size_t count = 0;
  err error = fs_list(folder, &names, &count);
  bool is_alone = !error && count == 1 && strcmp(names[0], LOCK_NAME) == 0;
  err_free(error);
  fs_free_names(names, count);
  return is_alone;
}

/* The folder's lock, if it has one and no process holds it; else -1. */
static int take_lock(const char *folder) {
  strbuf path = {0};
  strbuf_format(&path, "%s/" LOCK_NAME, folder);
  int fd = path.is_broken ? -1 : open(path.data, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
  if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0) {
    close(fd);
    fd = -1;
  }
  strbuf_free(&path);
  return fd;
}

/* path: of a checkout, in the folder of a killed process or elsewhere. */
static void remove_if_left(const char *repository, const char *path) {
  strbuf folder = {0}, command = {0}, said = {0};
  const char *slash = strrchr(path, '/');
  int fd = -1;
  if (!slash) return;
  strbuf_append_bytes(&folder, path, (size_t)(slash - path));
  strbuf_format(&command, "%s.command", path);
  bool is_ours = !folder.is_broken && !command.is_broken &&
                 strncmp(fs_name(strbuf_string(&folder)), NAME_BEGINS, strlen(NAME_BEGINS)) == 0;
  if (is_ours) fd = take_lock(folder.data);
  if (fd >= 0) {
    /* twice: git locks a checkout while it makes it */
    char *const words[] = {"git",     "-C",      (char *)repository, "worktree", "remove",
                           "--force", "--force", (char *)path,       NULL};
    err error = command_capture(words, &said);
    if (!error) log_info("%s: removed, since the process that made it was killed", path);
    if (!error) unlink(command.data);
    err_free(error);
    if (has_only_the_lock(folder.data)) remove_folder(folder.data);
    close(fd);
  }
  strbuf_free(&folder);
  strbuf_free(&command);
  strbuf_free(&said);
}

void checkouts_remove_left(const char *repository) {
  static const char begin[] = "worktree ";
  char *const words[] = {"git", "-C", (char *)repository, "worktree", "list", "--porcelain", NULL};
  strbuf lines = {0};
  err_free(command_capture(words, &lines));
  for (char *rest = lines.data, *line; rest && (line = strsep(&rest, "\n"));)
    if (strncmp(line, begin, strlen(begin)) == 0) remove_if_left(repository, line + strlen(begin));
  strbuf_free(&lines);
}
