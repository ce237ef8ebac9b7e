#include "run/process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "run/directory.h"
#include "store/sql.h"

enum { EXIT_INTERRUPTED = 130, EXIT_CANNOT_START = 127 };

static err write_config(const run_options *options, const run_cell *cell, const char *init_from,
                        char **path) {
  settings own;
  strbuf text = {0};
  err error = settings_copy(&cell->cell->settings, &own);
  if (error) return error;
  if (init_from) error = setting_assign(settings_find("init_from"), &own, init_from);
  settings_write_yaml(&own, &text);
  settings_free(&own);
  *path = directory_path(options->results, cell->directory, "config.yaml");
  if (!error && (!*path || text.is_broken)) error = mem_error(text.length, "the cell's settings");
  if (!error) error = fs_write_atomic(*path, text.data, text.length);
  strbuf_free(&text);
  return error;
}

/* In the child, after fork: only what is safe there. */
static void become_trainer(char *const *command, int log_fd, int lock_fd, pid_t parent,
                           const sigset_t *unblocked) {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (getppid() != parent) _exit(EXIT_CANNOT_START); /* flipbench died in between */
  int null_fd = open("/dev/null", O_RDONLY);
  dup2(null_fd, STDIN_FILENO);
  dup2(log_fd, STDOUT_FILENO);
  dup2(log_fd, STDERR_FILENO);
  fcntl(lock_fd, F_SETFD, 0); /* held for as long as the trainer lives */
  sigprocmask(SIG_SETMASK, unblocked, NULL);
  execv(command[0], command);
  static const char problem[] = "flipbench: the trainer cannot be started\n";
  if (write(STDERR_FILENO, problem, sizeof problem - 1) < 0) _exit(EXIT_CANNOT_START);
  _exit(EXIT_CANNOT_START);
}

static err spawn(const run_options *options, const run_cell *cell, char *const *command,
                 int lock_fd, const sigset_t *unblocked, pid_t *pid) {
  char *log_path = directory_path(options->results, cell->directory, "log.txt");
  if (!log_path) return mem_error(0, "a path");
  err error = NULL;
  int log_fd = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  pid_t parent = getpid();
  if (log_fd < 0) {
    error = err_errno(errno, "%s: cannot open", log_path);
  } else if ((*pid = fork()) == 0) {
    become_trainer(command, log_fd, lock_fd, parent, unblocked);
  } else if (*pid < 0) {
    error = err_errno(errno, "cannot start a process");
  }
  if (log_fd >= 0) close(log_fd);
  free(log_path);
  return error;
}

static err next_attempt(store *s, int64_t run_id, int *attempt) {
  int64_t last;
  err error =
      sql_integer(s, 0, &last, "SELECT max(number) FROM attempt WHERE run_id = ?", "i", run_id);
  *attempt = (int)last + 1;
  return error;
}

err process_start(const run_options *options, store *s, run_cell *cell, const char *init_from,
                  int lock_fd, const sigset_t *unblocked, process *p) {
  err error = NULL;
  char *config = NULL, *events = directory_path(options->results, cell->directory, "events.jsonl");
  char *out = directory_path(options->results, cell->directory, NULL);
  if (!events || !out) FAIL(ERR_MEMORY, "out of memory: a path");
  TRY(write_config(options, cell, init_from, &config));
  TRY(directory_mend_lines(options->results, cell->directory, "events.jsonl"));
  TRY(directory_mend_lines(options->results, cell->directory, "attempts.jsonl"));
  TRY(next_attempt(s, cell->run_id, &p->attempt));
  bool resumes = cell->has_begun && directory_has_checkpoint(options->results, cell->directory);
  char *command[] = {
      (char *)options->flip,       "train", "--config", config, "--out", out, "--events", events,
      resumes ? "--resume" : NULL, NULL};
  TRY(spawn(options, cell, command, lock_fd, unblocked, &p->pid));
  p->lock_fd = lock_fd;
  p->started = clock_seconds();
  cell->state = CELL_RUNNING;
  cell->ran_now = true;
  TRY(directory_record_start(options->results, cell->directory, cell->cell->id, p->attempt, p->pid,
                             command));
  TRY(store_ingest(s, options->results, cell->directory, &cell->run_id));
cleanup:
  free(config);
  free(events);
  free(out);
  return error;
}

/* The last line of a log that says something. */
static const char *last_line(const char *tail) {
  const char *line = strrchr(tail, '\n');
  return line ? line + 1 : tail;
}

typedef struct {
  char status[32], kind[64];
  strbuf message;
} verdict;

static void judge_exit(int wait_status, bool is_stopping, const char *tail, verdict *v) {
  int code = WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : -1;
  strcpy(v->status, "failed");
  if (WIFSIGNALED(wait_status)) {
    int number = WTERMSIG(wait_status);
    if (is_stopping) strcpy(v->status, "interrupted");
    strcpy(v->kind, is_stopping ? "stopped" : "crash");
    strbuf_format(&v->message, "killed by signal %d (%s)", number, strsignal(number));
    if (number == SIGKILL && !is_stopping)
      strbuf_append(&v->message, "; when memory runs out the kernel does this ('dmesg' tells)");
  } else if (code == EXIT_INTERRUPTED) {
    strcpy(v->status, "interrupted");
  } else if (code == 0) {
    strcpy(v->kind, "protocol");
    strbuf_append(&v->message, "ended well but wrote no end event");
  } else {
    strcpy(v->kind, code == 2 ? "input" : code == EXIT_CANNOT_START ? "start" : "other");
    if (*tail)
      strbuf_append(&v->message, last_line(tail));
    else
      strbuf_format(&v->message, "ended with exit status %d", code);
  }
}

/* What the trainer said of its end, when it said something. */
static err read_verdict(store *s, int64_t run_id, int attempt, verdict *v) {
  sqlite3_stmt *rows;
  bool has_row;
  err error = sql_query(s, &rows,
                        "SELECT status, kind, message FROM attempt"
                        " WHERE run_id = ? AND number = ?",
                        "ii", run_id, (int64_t)attempt);
  if (!error) error = sql_next(s, rows, &has_row);
  if (error || !has_row) return error;
  snprintf(v->status, sizeof v->status, "%s", sql_text(rows, 0));
  snprintf(v->kind, sizeof v->kind, "%s", sql_text(rows, 1));
  strbuf_append(&v->message, sql_text(rows, 2));
  sql_stop(rows);
  return NULL;
}

static err set_state(run_cell *cell, const verdict *v) {
  cell->state = strcmp(v->status, "finished") == 0      ? CELL_FINISHED
                : strcmp(v->status, "interrupted") == 0 ? CELL_INTERRUPTED
                                                        : CELL_FAILED;
  free(cell->reason);
  cell->reason = NULL;
  if (cell->state == CELL_FINISHED) return NULL;
  cell->reason = mem_copy_string(v->message.length ? strbuf_string(&v->message) : v->kind);
  return cell->reason ? NULL : mem_error(0, "a message");
}

err process_finish(const run_options *options, store *s, run_cell *cell, process *p,
                   int wait_status, bool is_stopping) {
  verdict v = {0};
  char *tail = directory_log_tail(options->results, cell->directory);
  bool ended_well = WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 0;
  err error = tail ? NULL : mem_error(0, "a log");
  if (!error) error = store_ingest(s, options->results, cell->directory, &cell->run_id);
  if (!error) error = read_verdict(s, cell->run_id, p->attempt, &v);
  bool is_silent = strcmp(v.status, "running") == 0 || !*v.status;
  bool is_doubtful =
      strcmp(v.status, "finished") == 0 && !ended_well; /* died after its last word */
  if (!error && (is_silent || is_doubtful)) {
    strbuf_clear(&v.message);
    judge_exit(wait_status, is_stopping, tail, &v);
  }
  attempt_end end = {.status = v.status,
                     .kind = v.kind,
                     .message = strbuf_string(&v.message),
                     .log_tail = strcmp(v.status, "finished") == 0 || !tail ? "" : tail,
                     .exit_code = WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : -1,
                     .signal_number = WIFSIGNALED(wait_status) ? WTERMSIG(wait_status) : 0};
  if (!error) error = directory_record_end(options->results, cell->directory, p->attempt, &end);
  if (!error) error = store_ingest(s, options->results, cell->directory, &cell->run_id);
  if (!error) error = set_state(cell, &v);
  close(p->lock_fd);
  free(tail);
  strbuf_free(&v.message);
  return error;
}
