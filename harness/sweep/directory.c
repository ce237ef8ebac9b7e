#include "sweep/directory.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/json_read.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/json_lines.h"
#include "store/runs.h"
#include "sweep/ranks.h"

enum { LONGEST_LABEL = 100, LOG_TAIL_BYTES = 4096, LOG_TAIL_LINES = 20, LOCK_TEXT = 128 };

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

err directory_find_name(store *s, const char *results, const char *directory, const char *ending,
                        bool is_unused, char **name) {
  enum { MOST = 100000 };
  *name = NULL;
  for (int n = 1; n < MOST; n++) {
    strbuf text = {0};
    store_run other = {0};
    strbuf_format(&text, "%s%s%d", directory, ending, n);
    char *path = directory_path(results, strbuf_string(&text), NULL);
    err error = path ? store_find_run_in(s, strbuf_string(&text), &other) : mem_error(0, "a path");
    bool is_free = !error && !other.run_id && !(is_unused && fs_exists(path));
    if (!error) store_free_run(&other);
    free(path);
    if (is_free) *name = strbuf_take(&text);
    strbuf_free(&text);
    if (error || is_free) return error;
  }
  return err_new(ERR_INPUT, "%s: too many runs of one cell that are called %sN", directory, ending);
}

/* The endings of renamed runs. Their numbers have fewer digits than the end of a cell's own name,
 * so that an ID8 of digits alone is never taken for one. */
static const char *const endings[] = {".failed-", ".archived-", ".merged-"};
enum { ENDINGS = sizeof endings / sizeof *endings, MOST_DIGITS = 6 };

/* `length` without the ending that the first `length` bytes of the name have; *which it is;
 * `length` itself when they have none. */
static size_t without_ending(const char *name, size_t length, size_t *which) {
  size_t digits = 0;
  while (digits < length && strchr("0123456789", name[length - digits - 1])) digits++;
  for (*which = 0; digits && digits <= MOST_DIGITS && *which < ENDINGS; ++*which) {
    size_t end = length - digits, own = strlen(endings[*which]);
    if (end > own && memcmp(name + end - own, endings[*which], own) == 0) return end - own;
  }
  return length;
}

size_t directory_length_of_cell(const char *name) {
  size_t length = strlen(name), before = 0, which;
  while (before != length) {
    before = length;
    length = without_ending(name, length, &which);
  }
  return length;
}

size_t directory_find_ending(const char *name, const char *ending) {
  size_t length = strlen(name), found = length, before = 0, which;
  while (before != length) {
    before = length;
    length = without_ending(name, length, &which);
    if (length != before && strcmp(endings[which], ending) == 0) found = length;
  }
  return found;
}

/* "PID HOST\n": a process id is meaningless on another machine. */
static int write_holder(char *text, size_t size) {
  char host[HOST_NAME_MAX + 1] = "";
  gethostname(host, sizeof host - 1);
  return snprintf(text, size, "%ld %s\n", (long)getpid(), host);
}

/* Empty when the file does not contain it. */
static lock_holder read_holder(int fd) {
  char text[LOCK_TEXT] = "", here[HOST_NAME_MAX + 1] = "", *host = text;
  lock_holder holder = {0};
  ssize_t got = pread(fd, text, sizeof text - 1, 0);
  if (got <= 0) return holder;
  text[strcspn(text, "\n")] = '\0';
  holder.pid = (pid_t)atol(strsep(&host, " "));
  gethostname(here, sizeof here - 1);
  snprintf(holder.host, sizeof holder.host, "%s", host ? host : here);
  holder.is_elsewhere = host && strcmp(host, here) != 0;
  return holder;
}

/* 'flipbench status' holds locks briefly while it reads: wait for those. */
static err take_lock(int fd, const char *path, bool *is_taken) {
  enum { TRIES = 10, PAUSE_US = 5000 };
  for (int i = 0; i < TRIES; i++) {
    *is_taken = flock(fd, LOCK_EX | LOCK_NB) == 0;
    if (*is_taken) return NULL;
    if (errno != EWOULDBLOCK && errno != EINTR) return err_errno(errno, "%s: cannot lock", path);
    usleep(PAUSE_US);
  }
  return NULL;
}

static bool is_lock_held(const char *results, const char *directory, bool *is_elsewhere) {
  char *path = directory_path(results, directory, "lock");
  *is_elsewhere = false;
  int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1; /* another user's may not be written */
  free(path);
  if (fd < 0) return false;
  bool is_held = flock(fd, LOCK_SH | LOCK_NB) != 0; /* true also where that cannot be known */
  *is_elsewhere = read_holder(fd).is_elsewhere;
  close(fd);
  return is_held;
}

bool directory_is_held(const char *results, const char *directory) {
  bool is_elsewhere;
  return is_lock_held(results, directory, &is_elsewhere);
}

bool directory_is_alive(const char *results, const char *directory, bool *is_elsewhere) {
  return is_lock_held(results, directory, is_elsewhere) || *is_elsewhere;
}

err directory_lock(const char *results, const char *directory, int *fd, lock_state *state,
                   lock_holder *holder) {
  char *path = directory_path(results, directory, "lock");
  if (!path) return mem_error(0, directory);
  bool is_taken = false;
  *holder = (lock_holder){0};
  *fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  err error =
      *fd < 0 ? err_errno(errno, "%s: cannot create", path) : take_lock(*fd, path, &is_taken);
  if (!error && is_taken) {
    char text[LOCK_TEXT];
    int length = write_holder(text, sizeof text);
    *state = LOCK_TAKEN;
    if (ftruncate(*fd, 0) != 0 || pwrite(*fd, text, (size_t)length, 0) != length)
      error = err_errno(errno, "%s: cannot write", path);
  } else if (!error) {
    *holder = read_holder(*fd);
    bool is_alive =
        holder->is_elsewhere || (holder->pid > 0 && (kill(holder->pid, 0) == 0 || errno == EPERM));
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

err directory_record_start(const char *results, const char *directory, const attempt_start *start) {
  strbuf line = {0};
  char now[CLOCK_STAMP_SIZE], host[HOST_NAME_MAX + 1] = "";
  gethostname(host, sizeof host - 1);
  json_writer w = jsonw_start(&line);
  jsonw_object(&w, NULL);
  jsonw_string(&w, "event", "attempt_start");
  jsonw_string(&w, "time", start->time ? start->time : clock_stamp(now));
  jsonw_string(&w, "cell", start->cell_id);
  if (start->parent_id) jsonw_string(&w, "parent", start->parent_id);
  jsonw_integer(&w, "attempt", start->attempt);
  jsonw_integer(&w, "pid", start->pid);
  if (start->log_start > 0) jsonw_integer(&w, "log_start", start->log_start);
  jsonw_integer(&w, "events_start", start->events_start);
  if (!isnan(start->origin_loss)) jsonw_number(&w, "origin_loss", start->origin_loss);
  jsonw_string(&w, "host", host);
  jsonw_string(&w, "why", start->why ? start->why : "");
  if (start->stamp && *start->stamp) jsonw_string(&w, "data_stamp", start->stamp);
  if (start->slot && *start->slot) jsonw_string(&w, "slot", start->slot);
  if (start->ranks > 1) {
    jsonw_integer(&w, "ranks", start->ranks);
    jsonw_integer(&w, "nodes", start->nodes);
  }
  if (!isnan(start->predicted_seconds))
    jsonw_number(&w, "predicted_seconds", start->predicted_seconds);
  if (!isnan(start->predicted_bytes)) jsonw_number(&w, "predicted_bytes", start->predicted_bytes);
  if (start->limits.time_seconds > 0) jsonw_number(&w, "limit_seconds", start->limits.time_seconds);
  if (start->limits.memory_bytes > 0) jsonw_integer(&w, "limit_bytes", start->limits.memory_bytes);
  jsonw_array(&w, "command");
  for (char *const *word = start->command; *word; word++) jsonw_string(&w, NULL, *word);
  jsonw_end(&w);
  jsonw_end(&w);
  err error = append_line(results, directory, &line);
  strbuf_free(&line);
  return error;
}

/* What the ranks of an attempt left, as its `ranks`: each rank's host, memory and CPU time. */
static json_t *put_ranks(const char *folder, int attempt, json_writer *w) {
  json_t *records = folder ? ranks_read_records(folder, attempt) : NULL;
  char *text = records ? json_dumps(records, JSON_COMPACT) : NULL;
  if (text) jsonw_raw(w, "ranks", text);
  free(text);
  return records;
}

err directory_record_end(const char *results, const char *directory, int attempt,
                         const attempt_end *end) {
  strbuf line = {0};
  char *folder = directory_path(results, directory, NULL);
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
  if (end->cpu_seconds > 0) jsonw_number(&w, "cpu_seconds", end->cpu_seconds);
  json_t *records = put_ranks(folder, attempt, &w);
  jsonw_end(&w);
  err error = append_line(results, directory, &line);
  if (!error && records) ranks_remove_records(folder, attempt);
  json_decref(records);
  free(folder);
  strbuf_free(&line);
  return error;
}

err directory_record_mark(const char *results, const char *directory, const char *what,
                          const char *text) {
  strbuf line = {0};
  char now[CLOCK_STAMP_SIZE];
  err error = directory_mend_lines(results, directory, "attempts.jsonl");
  json_writer w = jsonw_start(&line);
  jsonw_object(&w, NULL);
  jsonw_string(&w, "event", what);
  jsonw_string(&w, "time", clock_stamp(now));
  if (text) jsonw_string(&w, "text", text);
  jsonw_end(&w);
  if (!error) error = append_line(results, directory, &line);
  strbuf_free(&line);
  return error;
}

/* ---- reading ---- */

int64_t directory_size_of(const char *results, const char *directory, const char *file) {
  char *path = directory_path(results, directory, file);
  struct stat status;
  int64_t size = path && stat(path, &status) == 0 ? (int64_t)status.st_size : 0;
  free(path);
  return size;
}

static err each_line(const char *results, const char *directory, const char *file, int64_t from,
                     void (*take)(const json_t *object, void *context), void *context) {
  char *path = directory_path(results, directory, file);
  if (!path) return mem_error(0, directory);
  err error = json_lines_each(path, from, take, context);
  free(path);
  return error;
}

/* The process number of a line; 0 if flipbench would not have assigned it. */
static int attempt_of(const json_t *object) {
  json_int_t number = json_integer_value(json_object_get(object, "attempt"));
  return number > 0 && number < INT_MAX ? (int)number : 0;
}

static void take_number(const json_t *object, void *context) {
  int *number = context, own = attempt_of(object);
  if (own >= *number) *number = own + 1;
}

err directory_next_attempt(const char *results, const char *directory, int *number) {
  *number = 1;
  return each_line(results, directory, "attempts.jsonl", 0, take_number, number);
}

/* The last process and its end, as far as recorded. */
typedef struct {
  int number;
  int64_t log_start;
  bool has_ended, has_finished;
} last_attempt;

static void take_last(const json_t *object, void *context) {
  last_attempt *last = context;
  const char *event = json_string_value(json_object_get(object, "event"));
  const char *status = json_string_value(json_object_get(object, "status"));
  int number = attempt_of(object);
  if (event && strcmp(event, "attempt_start") == 0)
    *last = (last_attempt){
        .number = number,
        .log_start = json_integer_value(json_object_get(object, "log_start")),
    };
  if (!event || strcmp(event, "attempt_end") != 0 || number != last->number) return;
  last->has_ended = true;
  last->has_finished = status && strcmp(status, "finished") == 0;
}

err directory_open_attempt(const char *results, const char *directory, int *number) {
  last_attempt last = {0};
  err error = each_line(results, directory, "attempts.jsonl", 0, take_last, &last);
  *number = last.has_ended ? 0 : last.number;
  return error;
}

err directory_is_finished(const char *results, const char *directory, bool *is_finished) {
  last_attempt last = {0};
  err error = each_line(results, directory, "attempts.jsonl", 0, take_last, &last);
  *is_finished = last.has_finished;
  return error;
}

static void take_end(const json_t *object, void *context) {
  verdict *v = context;
  const char *event = json_string_value(json_object_get(object, "event")), *text;
  if (!event || strcmp(event, "end") != 0) return;
  text = json_string_value(json_object_get(object, "status"));
  bool is_good = text && (strcmp(text, "finished") == 0 || strcmp(text, "interrupted") == 0);
  snprintf(v->status, sizeof v->status, "%s", is_good ? text : "failed");
  text = json_string_value(json_object_get(object, "kind"));
  strbuf kind = {0};
  text_escape(text ? text : "", &kind);
  snprintf(v->kind, sizeof v->kind, "%s", strbuf_string(&kind));
  strbuf_free(&kind);
  text = json_string_value(json_object_get(object, "message"));
  strbuf_clear(&v->message);
  text_escape(text ? text : "", &v->message);
  v->step = json_integer_value(json_object_get(object, "step"));
}

err directory_read_end(const char *results, const char *directory, int64_t from, verdict *v) {
  enum { LAST_BYTES = 65536 }; /* the end is among the last lines; there are many steps before it */
  int64_t size = directory_size_of(results, directory, "events.jsonl");
  if (size - from > LAST_BYTES) from = size - LAST_BYTES;
  return each_line(results, directory, "events.jsonl", from, take_end, v);
}

static char *tail_from(const char *results, const char *directory, const char *file,
                       int64_t start) {
  char *path = directory_path(results, directory, file);
  char *tail = mem_zeroed(LOG_TAIL_BYTES + 1, 1);
  int fd = path && tail ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  free(path);
  if (fd < 0) return tail;
  off_t size = lseek(fd, 0, SEEK_END), from = size - LOG_TAIL_BYTES;
  if (from < start) from = start;
  ssize_t got = pread(fd, tail, LOG_TAIL_BYTES, from);
  close(fd);
  size_t length = got > 0 ? (size_t)got : 0;
  while (length && tail[length - 1] == '\n') length--;
  tail[length] = '\0';
  strbuf shown = {0};
  text_escape(text_last_lines(tail, LOG_TAIL_LINES), &shown);
  free(tail);
  return shown.length ? strbuf_take(&shown) : mem_zeroed(1, 1);
}

err directory_first_start(const char *results, const char *directory, char **started) {
  char *path = directory_path(results, directory, "attempts.jsonl"), *line = NULL;
  size_t size = 0;
  bool has_lines = false;
  err error = path ? NULL : mem_error(0, directory);
  FILE *file = path ? fopen(path, "re") : NULL;
  *started = NULL;
  while (file && !error && !*started && getline(&line, &size, file) >= 0) {
    json_t *object = json_loads(line, 0, NULL);
    const char *time = json_string_value(json_object_get(object, "time"));
    if (time && !(*started = mem_copy_string(time))) error = mem_error(0, "the list of runs");
    has_lines = true;
    json_decref(object);
  }
  if (!error && has_lines && !*started)
    log_warning("%s: no start of a process can be read: the run is left out", path);
  free(line);
  if (file) fclose(file);
  free(path);
  return error;
}

err directory_find_renamed(const char *results, const char *directory, const char *started,
                           char **name) {
  static const char ending[] = ".archived-";
  const char *own = fs_name(directory);
  const size_t length = strlen(own);
  char *parent = strndup(directory, (size_t)(own - directory)), **names = NULL;
  char *folder = parent ? directory_path(results, parent, NULL) : NULL;
  size_t count = 0;
  err error = folder ? NULL : mem_error(0, directory);
  *name = NULL;
  if (!error && fs_is_folder(folder)) error = fs_list(folder, &names, &count);
  for (size_t i = 0; i < count && !error && !*name; i++) {
    if (strncmp(names[i], own, length) != 0 ||
        strncmp(names[i] + length, ending, sizeof ending - 1) != 0)
      continue;
    char *other = fs_join(parent, names[i]), *then = NULL;
    error = other ? directory_first_start(results, other, &then) : mem_error(0, directory);
    if (then && strcmp(then, started) == 0)
      *name = other;
    else
      free(other);
    free(then);
  }
  fs_free_names(names, count);
  free(folder);
  free(parent);
  return error;
}

char *directory_tail(const char *results, const char *directory, const char *file) {
  return tail_from(results, directory, file, 0);
}

/* Without a record that can be read, of all processes. */
char *directory_log_tail(const char *results, const char *directory) {
  last_attempt last = {0};
  err error = each_line(results, directory, "attempts.jsonl", 0, take_last, &last);
  err_free(error);
  return tail_from(results, directory, "log.txt", last.log_start > 0 ? last.log_start : 0);
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

static bool is_checkpoint(const char *name) {
  size_t length = strlen(name), ending = strlen(".safetensors");
  return length > ending && strcmp(name + length - ending, ".safetensors") == 0;
}

bool directory_has_checkpoint(const char *results, const char *directory) {
  char *folder = directory_path(results, directory, "checkpoints"), **names = NULL;
  size_t count = 0;
  bool has_one = false;
  if (folder && fs_is_folder(folder)) err_free(fs_list(folder, &names, &count));
  for (size_t i = 0; i < count; i++) has_one = has_one || is_checkpoint(names[i]);
  fs_free_names(names, count);
  free(folder);
  return has_one;
}

static void take_checkpoint(const json_t *object, void *context) {
  strbuf *name = context;
  if (strcmp(json_text_of(object, "event"), "checkpoint") != 0) return;
  strbuf_clear(name);
  strbuf_append(name, fs_name(json_text_of(object, "path")));
}

err directory_last_checkpoint(const char *results, const char *directory, char **path) {
  strbuf name = {0};
  *path = NULL;
  err error = each_line(results, directory, "events.jsonl", 0, take_checkpoint, &name);
  char *folder = error ? NULL : directory_path(results, directory, "checkpoints");
  char *full = folder && name.length ? fs_join(folder, name.data) : NULL;
  if (!error && (!folder || name.is_broken || (name.length && !full)))
    error = mem_error(0, "a path");
  if (!error && full && fs_exists(full)) {
    *path = full;
    full = NULL;
  }
  free(full);
  free(folder);
  strbuf_free(&name);
  return error;
}

void directory_remove(const char *folder) {
  char **names = NULL;
  size_t count = 0;
  struct stat status;
  err_free(fs_list(folder, &names, &count));
  for (size_t i = 0; i < count; i++) {
    char *path = fs_join(folder, names[i]);
    if (path && lstat(path, &status) == 0 && S_ISDIR(status.st_mode))
      directory_remove(path);
    else if (path)
      unlink(path);
    free(path);
  }
  fs_free_names(names, count);
  if (rmdir(folder) != 0 && errno == ENOTDIR) unlink(folder); /* the run's folder is a link */
}
