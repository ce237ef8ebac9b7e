#include "run/directory.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/mem.h"

enum { LONGEST_LABEL = 100, LOG_TAIL_BYTES = 4096, LOG_TAIL_LINES = 20 };

char *directory_name(const spec_experiment *e, const spec_cell *cell) {
  strbuf name = {0};
  strbuf_format(&name, "%s/", e->name);
  size_t start = name.length;
  for (const char *at = cell->label; *at && name.length - start < LONGEST_LABEL; at++) {
    bool is_plain = (*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z') ||
                    (*at >= '0' && *at <= '9') || strchr("=._+", *at);
    char last = name.length > start ? name.data[name.length - 1] : '_';
    if (is_plain)
      strbuf_append_char(&name, *at);
    else if (last != '-' && last != '_')
      strbuf_append_char(&name, *at == '/' ? '-' : '_');
  }
  strbuf_format(&name, "-%.8s", cell->id);
  return strbuf_take(&name);
}

char *directory_path(const char *results, const char *directory, const char *file) {
  strbuf path = {0};
  strbuf_format(&path, "%s/%s%s%s", results, directory, file ? "/" : "", file ? file : "");
  return strbuf_take(&path);
}

static pid_t read_holder(int fd) {
  char text[32] = "";
  ssize_t got = pread(fd, text, sizeof text - 1, 0);
  return got > 0 ? (pid_t)atol(text) : 0;
}

err directory_lock(const char *results, const char *directory, int *fd, lock_state *state,
                   pid_t *holder) {
  char *path = directory_path(results, directory, "lock");
  if (!path) return mem_error(0, directory);
  err error = NULL;
  *holder = 0;
  *fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (*fd < 0) {
    error = err_errno(errno, "%s: cannot create", path);
  } else if (flock(*fd, LOCK_EX | LOCK_NB) == 0) {
    char text[32];
    int length = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    *state = LOCK_TAKEN;
    if (ftruncate(*fd, 0) != 0 || pwrite(*fd, text, (size_t)length, 0) != length)
      error = err_errno(errno, "%s: cannot write", path);
  } else {
    *holder = read_holder(*fd);
    bool is_alive = *holder > 0 && (kill(*holder, 0) == 0 || errno == EPERM);
    *state = is_alive ? LOCK_REFUSED : LOCK_ORPHANED;
  }
  if (*fd >= 0 && (error || *state != LOCK_TAKEN)) {
    close(*fd);
    *fd = -1;
  }
  free(path);
  return error;
}

static err append_line(const char *results, const char *directory, strbuf *line) {
  char *path = directory_path(results, directory, "attempts.jsonl");
  strbuf_append_char(line, '\n');
  if (!path || line->is_broken) {
    free(path);
    return mem_error(line->length, "the record of a process");
  }
  err error = NULL;
  int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (fd < 0)
    error = err_errno(errno, "%s: cannot open", path);
  else
    error = fs_write_all(fd, line->data, line->length, path);
  if (fd >= 0 && close(fd) != 0 && !error) error = err_errno(errno, "%s: cannot close", path);
  free(path);
  return error;
}

err directory_record_start(const char *results, const char *directory, const char *cell_id,
                           int attempt, pid_t pid, char *const *command) {
  strbuf line = {0};
  char now[CLOCK_STAMP_SIZE];
  json_writer w = jsonw_start(&line);
  jsonw_object(&w, NULL);
  jsonw_string(&w, "event", "attempt_start");
  jsonw_string(&w, "time", clock_stamp(now));
  jsonw_string(&w, "cell", cell_id);
  jsonw_integer(&w, "attempt", attempt);
  jsonw_integer(&w, "pid", pid);
  jsonw_array(&w, "command");
  for (char *const *word = command; *word; word++) jsonw_string(&w, NULL, *word);
  jsonw_end(&w);
  jsonw_end(&w);
  err error = append_line(results, directory, &line);
  strbuf_free(&line);
  return error;
}

err directory_record_end(const char *results, const char *directory, int attempt,
                         const attempt_end *end) {
  strbuf line = {0};
  char now[CLOCK_STAMP_SIZE];
  json_writer w = jsonw_start(&line);
  jsonw_object(&w, NULL);
  jsonw_string(&w, "event", "attempt_end");
  jsonw_string(&w, "time", clock_stamp(now));
  jsonw_integer(&w, "attempt", attempt);
  jsonw_string(&w, "status", end->status);
  jsonw_integer(&w, "exit_code", end->exit_code);
  jsonw_integer(&w, "signal", end->signal_number);
  jsonw_string(&w, "kind", end->kind);
  jsonw_string(&w, "message", end->message);
  jsonw_string(&w, "log_tail", end->log_tail);
  jsonw_end(&w);
  err error = append_line(results, directory, &line);
  strbuf_free(&line);
  return error;
}

char *directory_log_tail(const char *results, const char *directory) {
  char *path = directory_path(results, directory, "log.txt");
  char *tail = mem_zeroed(LOG_TAIL_BYTES + 1, 1);
  int fd = path && tail ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  free(path);
  if (fd < 0) return tail;
  off_t size = lseek(fd, 0, SEEK_END), from = size > LOG_TAIL_BYTES ? size - LOG_TAIL_BYTES : 0;
  ssize_t got = pread(fd, tail, LOG_TAIL_BYTES, from);
  close(fd);
  size_t length = got > 0 ? (size_t)got : 0;
  while (length && tail[length - 1] == '\n') length--;
  tail[length] = '\0';
  int lines = 0;
  char *start = tail + length;
  while (start > tail && !(start[-1] == '\n' && ++lines == LOG_TAIL_LINES)) start--;
  memmove(tail, start, strlen(start) + 1);
  return tail;
}

err directory_mend_lines(const char *results, const char *directory, const char *file) {
  char *path = directory_path(results, directory, file);
  if (!path) return mem_error(0, directory);
  err error = NULL;
  char last = '\n';
  int fd = open(path, O_RDWR | O_APPEND | O_CLOEXEC);
  if (fd >= 0) {
    off_t size = lseek(fd, 0, SEEK_END);
    if (size > 0 && pread(fd, &last, 1, size - 1) == 1 && last != '\n')
      error = fs_write_all(fd, "\n", 1, path);
    close(fd);
  } else if (errno != ENOENT) {
    error = err_errno(errno, "%s: cannot open", path);
  }
  free(path);
  return error;
}

bool directory_has_checkpoint(const char *results, const char *directory) {
  char *path = directory_path(results, directory, "checkpoints"), **names = NULL;
  size_t count = 0;
  bool has_one = false;
  if (path) err_free(fs_list(path, &names, &count));
  for (size_t i = 0; i < count; i++) {
    size_t length = strlen(names[i]);
    has_one = has_one || (length > 12 && strcmp(names[i] + length - 12, ".safetensors") == 0);
  }
  fs_free_names(names, count);
  free(path);
  return has_one;
}
