#include "sweep/limits.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/text.h"

/* The number after `key` in a file of "key number" lines; -1 when there is none. */
static int64_t read_count(const char *path, const char *key) {
  char line[256], name[128];
  long long value;
  int64_t found = -1;
  FILE *file = fopen(path, "re");
  if (!file) return -1;
  while (found < 0 && fgets(line, sizeof line, file))
    if (sscanf(line, "%127s %lld", name, &value) == 2 && strcmp(name, key) == 0) found = value;
  fclose(file);
  return found;
}

int64_t limits_count_kills(void) {
  int64_t count = read_count("/proc/vmstat", "oom_kill");
  return count > 0 ? count : 0;
}

static bool write_text(const char *folder, const char *file, const char *text) {
  strbuf path = {0};
  strbuf_format(&path, "%s/%s", folder, file);
  int fd = open(strbuf_string(&path), O_WRONLY | O_CLOEXEC);
  strbuf_free(&path);
  if (fd < 0) return false;
  bool is_written = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
  close(fd);
  return is_written;
}

/* This process's own cgroup in the version 2 tree; the caller frees. */
static char *own_cgroup(void) {
  char line[4096], point[2048] = "", own[2048] = "";
  FILE *file = fopen("/proc/self/mounts", "re");
  while (file && !*point && fgets(line, sizeof line, file)) {
    char at[2048], type[64];
    if (sscanf(line, "%*s %2047s %63s", at, type) == 2 && strcmp(type, "cgroup2") == 0)
      strcpy(point, at);
  }
  if (file) fclose(file);
  file = fopen("/proc/self/cgroup", "re");
  while (file && !*own && fgets(line, sizeof line, file))
    if (strncmp(line, "0::", 3) == 0) snprintf(own, sizeof own, "%.2000s", line + 3);
  if (file) fclose(file);
  own[strcspn(own, "\n")] = '\0';
  strbuf path = {0};
  if (*point && *own) strbuf_format(&path, "%s%s", point, strcmp(own, "/") == 0 ? "" : own);
  return path.length ? strbuf_take(&path) : NULL;
}

static bool has_memory_controller(const char *folder) {
  char *path = fs_join(folder, "cgroup.controllers"), *text = NULL;
  size_t length;
  bool has_it = false;
  if (path && fs_exists(path)) {
    err error = fs_read(path, &text, &length);
    has_it = !error && strstr(text, "memory");
    err_free(error);
  }
  free(text);
  free(path);
  return has_it;
}

/* A cgroup that contains processes cannot delegate its controllers: this process moves into a leaf
 * first. */
static bool make_room(const char *base) {
  char *leaf = fs_join(base, "flipbench"), pid[32];
  snprintf(pid, sizeof pid, "%ld", (long)getpid());
  bool is_ready = leaf && (mkdir(leaf, 0755) == 0 || fs_is_folder(leaf)) &&
                  write_text(leaf, "cgroup.procs", pid) &&
                  write_text(base, "cgroup.subtree_control", "+memory");
  free(leaf);
  return is_ready;
}

char *limits_find_cgroup(void) {
  const char *given = getenv("FLIPBENCH_CGROUP");
  char *base = given && *given ? mem_copy_string(given) : own_cgroup();
  if (base && has_memory_controller(base) && (given || make_room(base))) return base;
  free(base);
  return NULL;
}

char *limits_make_cgroup(const char *base, const char *name, int64_t memory_bytes) {
  char *path = fs_join(base, name), text[32];
  snprintf(text, sizeof text, "%lld", (long long)memory_bytes);
  if (path && (mkdir(path, 0755) == 0 || fs_is_folder(path)) &&
      write_text(path, "memory.max", text)) {
    write_text(path, "memory.swap.max", "0"); /* missing on a kernel without swap accounting */
    return path;
  }
  if (path) rmdir(path);
  free(path);
  return NULL;
}

void limits_enter(const char *cgroup_procs, int64_t memory_bytes) {
  int fd = cgroup_procs ? open(cgroup_procs, O_WRONLY | O_CLOEXEC) : -1;
  bool is_inside = fd >= 0 && write(fd, "0", 1) == 1;
  if (fd >= 0) close(fd);
  if (is_inside || memory_bytes <= 0) return;
  struct rlimit limit = {(rlim_t)memory_bytes, (rlim_t)memory_bytes};
  setrlimit(RLIMIT_DATA, &limit);
}

int64_t limits_count_kills_in(const char *cgroup) {
  char *path = fs_join(cgroup, "memory.events");
  int64_t count = path ? read_count(path, "oom_kill") : -1;
  free(path);
  return count > 0 ? count : 0;
}

void limits_remove_cgroup(const char *cgroup) {
  rmdir(cgroup); /* fails while a stray child is alive in it: then it is left behind */
}
