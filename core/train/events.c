#include "train/events.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/text.h"

static bool is_number(const char *text) {
  return *text && !text[strspn(text, "0123456789")];
}

/* Of a number (is_number). -1: more than a descriptor may be. */
static int read_descriptor(const char *text) {
  int64_t number;
  return text_read_whole(text, &number) && number <= INT_MAX ? (int)number : -1;
}

/* A pipe with a name is opened for writing alone: as its own reader this process would wait for
 * ever, once the pipe is full and the real one has left. */
static int open_target(const char *target) {
  struct stat status;
  bool is_pipe = stat(target, &status) == 0 && S_ISFIFO(status.st_mode);
  return is_pipe ? open(target, O_WRONLY | O_CLOEXEC)
                 : open(target, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
}

/* A process killed during a write (a full disk, a lost machine) can leave an incomplete line; the
 * next event must not be appended to it. */
static err end_last_line(int fd, const char *name) {
  char last = '\n';
  off_t size = lseek(fd, 0, SEEK_END);
  if (size > 0 && pread(fd, &last, 1, size - 1) != 1)
    return err_errno(errno, "%s: cannot read back", name);
  return last == '\n' ? NULL : fs_write_all(fd, "\n", 1, name);
}

err events_open(event_stream *e, const char *target) {
  *e = (event_stream){.fd = -1};
  if (!target) return NULL;
  e->name = mem_copy_string(target);
  if (!e->name) return mem_error(strlen(target), "the event stream");
  if (is_number(target)) {
    e->fd = read_descriptor(target);
    if (e->fd < 0 || fcntl(e->fd, F_GETFD) < 0)
      return err_new(ERR_INPUT, "--events %s: no such file descriptor is open", target);
    return NULL;
  }
  e->fd = open_target(target);
  if (e->fd < 0) return err_errno(errno, "%s: cannot open for events", target);
  e->is_owned = true;
  return end_last_line(e->fd, target);
}

json_writer *events_begin(event_stream *e, const char *name) {
  char stamp[CLOCK_STAMP_SIZE];
  strbuf_clear(&e->line);
  e->w = jsonw_start(&e->line);
  jsonw_object(&e->w, NULL);
  jsonw_string(&e->w, "event", name);
  jsonw_string(&e->w, "time", clock_stamp(stamp));
  return &e->w;
}

err events_end(event_stream *e) {
  jsonw_end(&e->w);
  strbuf_append_char(&e->line, '\n');
  if (e->line.is_broken) return mem_error(e->line.length, "an event");
  if (e->fd < 0) return NULL;
  return fs_write_all(e->fd, e->line.data, e->line.length, e->name);
}

err events_sync(const event_stream *e) {
  if (e->fd < 0 || fdatasync(e->fd) == 0) return NULL;
  if (errno == EINVAL || errno == EROFS) return NULL; /* a pipe or a terminal */
  return err_errno(errno, "%s: cannot write to disk", e->name);
}

err events_warn(event_stream *e, const char *kind, const char *message) {
  json_writer *w = events_begin(e, "warning");
  jsonw_string(w, "kind", kind);
  jsonw_string(w, "message", message);
  return events_end(e);
}

err events_warn_lines(event_stream *e, const char *kind, const strbuf *lines) {
  strbuf line = {0};
  err error = NULL;
  for (const char *at = strbuf_string(lines); *at && !error;) {
    size_t length = strcspn(at, "\n");
    strbuf_clear(&line);
    strbuf_append_bytes(&line, at, length);
    if (length) error = events_warn(e, kind, strbuf_string(&line));
    at += length + (at[length] == '\n');
  }
  strbuf_free(&line);
  return error;
}

void events_close(event_stream *e) {
  if (e->is_owned) close(e->fd);
  free(e->name);
  strbuf_free(&e->line);
  *e = (event_stream){.fd = -1};
}
