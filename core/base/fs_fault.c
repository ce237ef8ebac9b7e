#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"

enum { MOST_LINKS = 8, LONGEST_LINK = 4096 };

/* The mount point of a file system that is gone is an empty folder. A folder that may be searched
 * but not listed counts as having entries. */
static bool has_entries(int folder) {
  struct stat status;
  int own = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (own < 0) return errno == EACCES && fstatat(folder, ".", &status, 0) == 0;
  DIR *listing = fdopendir(own);
  if (!listing) {
    close(own);
    return false;
  }
  bool is_found = false;
  for (const struct dirent *e; !is_found && (e = readdir(listing));)
    is_found = strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
  closedir(listing);
  return is_found;
}

/* What keeps the file from being read, as errno; 0: nothing does by now. */
static int obstacle_of(int folder, const char *name) {
  struct stat status;
  int file = openat(folder, name, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (file < 0) return errno;
  int code = fstat(file, &status) != 0 ? errno : S_ISDIR(status.st_mode) ? EISDIR : 0;
  close(file);
  return code;
}

static bool is_at_fault(int base, const char *path, int links);

/* A link that leads nowhere: the file system that it leads to may be gone. */
static bool is_target_at_fault(int folder, const char *name, int links) {
  char target[LONGEST_LINK];
  struct stat status;
  if (fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISLNK(status.st_mode))
    return true;
  ssize_t length = readlinkat(folder, name, target, sizeof target - 1);
  if (length <= 0 || links == MOST_LINKS) return false;
  target[length] = '\0';
  return is_at_fault(folder, target, links + 1);
}

static bool is_at_fault(int base, const char *path, int links) {
  const char *name = fs_name(path);
  char *above = mem_copy_string(name == path ? "." : path);
  if (!above) return false;
  if (name != path) above[name - path] = '\0';
  int folder = openat(base, above, O_PATH | O_DIRECTORY | O_CLOEXEC);
  bool is_own = folder < 0 && errno == ENOTDIR; /* a part of the path is a file */
  free(above);
  if (folder < 0) return is_own;
  switch (obstacle_of(folder, name)) {
  case ENOTDIR:
  case EISDIR:
  case ELOOP:
  case ENAMETOOLONG:
    is_own = true;
    break;
  case ENOENT:
    is_own = has_entries(folder) && is_target_at_fault(folder, name, links);
    break;
  case EACCES:
  case EPERM:
    is_own = has_entries(folder);
    break;
  default:
    break;
  }
  close(folder);
  return is_own;
}

bool fs_is_at_fault(const char *path) {
  return is_at_fault(AT_FDCWD, path, 0);
}
