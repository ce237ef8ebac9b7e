#include "base/command.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <stdint.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- starting ---- */

/* In the child, after fork: only what is safe there. */
static _Noreturn void become(const command_call *c, pid_t parent) {
  static const char problem[] = ": cannot be started\n";
  if (c->leads_session)
    setsid();
  else if (c->leads_group)
    setpgid(0, 0);
  if (c->dies_with_parent) prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (c->dies_with_parent && getppid() != parent)
    _exit(COMMAND_NOT_FOUND); /* it exited in the
                               * meantime */
  if (c->has_no_input) dup2(open("/dev/null", O_RDONLY | O_CLOEXEC), STDIN_FILENO);
  if (c->out) dup2(c->out, STDOUT_FILENO);
  if (c->err) dup2(c->err, STDERR_FILENO);
  if (c->prepare) c->prepare(c->context);
  if (c->mask) sigprocmask(SIG_SETMASK, c->mask, NULL);
  signal(SIGPIPE, SIG_DFL);
  if (!c->folder || chdir(c->folder) == 0)
    execvpe(c->words[0], c->words, c->environment ? c->environment : environ);
  if (write(STDERR_FILENO, c->words[0], strlen(c->words[0])) < 0 ||
      write(STDERR_FILENO, problem, sizeof problem - 1) < 0)
    _exit(COMMAND_NOT_FOUND);
  _exit(COMMAND_NOT_FOUND);
}

static int start_by_fork(const command_call *c, pid_t *pid) {
  pid_t parent = getpid();
  *pid = fork();
  if (*pid == 0) become(c, parent);
  return *pid < 0 ? errno : 0;
}

static int add_actions(const command_call *c, posix_spawn_file_actions_t *actions) {
  int code = 0;
  if (c->has_no_input)
    code = posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  if (!code && c->out) code = posix_spawn_file_actions_adddup2(actions, c->out, STDOUT_FILENO);
  if (!code && c->err) code = posix_spawn_file_actions_adddup2(actions, c->err, STDERR_FILENO);
  if (!code && c->folder) code = posix_spawn_file_actions_addchdir_np(actions, c->folder);
  return code;
}

static int start_by_spawn(const command_call *c, pid_t *pid) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  int group = c->leads_session ? POSIX_SPAWN_SETSID : c->leads_group ? POSIX_SPAWN_SETPGROUP : 0;
  short flags = (short)(group | POSIX_SPAWN_SETSIGDEF | (c->mask ? POSIX_SPAWN_SETSIGMASK : 0));
  sigset_t defaults;
  int code = posix_spawn_file_actions_init(&actions);
  if (code) return code;
  code = posix_spawnattr_init(&attributes);
  if (!code) {
    posix_spawnattr_setflags(&attributes, flags); /* the new group's number is the child's: 0 */
    if (c->mask) posix_spawnattr_setsigmask(&attributes, c->mask);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    code = add_actions(c, &actions);
    if (!code)
      code = posix_spawnp(pid, c->words[0], &actions, &attributes, c->words,
                          c->environment ? c->environment : environ);
    posix_spawnattr_destroy(&attributes);
  }
  posix_spawn_file_actions_destroy(&actions);
  return code;
}

err command_start(const command_call *c, pid_t *pid) {
  *pid = 0;
  int code = c->dies_with_parent || c->prepare ? start_by_fork(c, pid) : start_by_spawn(c, pid);
  if (!code) return NULL;
  *pid = 0;
  bool is_missing = code == ENOENT || code == EACCES || code == ENOEXEC || code == ENOTDIR;
  return is_missing ? NULL : err_errno(code, "cannot start %s", c->words[0]);
}

/* ---- waiting ---- */

static err wait_for(pid_t pid, const char *what, int *status) {
  *status = W_EXITCODE(COMMAND_NOT_FOUND, 0);
  if (!pid) return NULL;
  while (waitpid(pid, status, 0) < 0)
    if (errno != EINTR) return err_errno(errno, "cannot wait for %s", what);
  return NULL;
}

int command_exit_status(int status) {
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

err command_run(const command_call *call, int *status) {
  pid_t pid;
  err error = command_start(call, &pid);
  return error ? error : wait_for(pid, call->words[0], status);
}

/* How often a stop is looked for, and how many looks later SIGKILL follows SIGTERM. */
enum { LOOK_MS = 50, PATIENCE = 100 };

/* Waits for a child that leads a group of its own, which is ended when that is asked for. */
static err wait_or_stop(pid_t pid, const char *what, const command_stop *stop, int *status) {
  if (!stop || !pid) return wait_for(pid, what, status);
  err error = NULL;
  /* readable when the child has ended; -1, where the kernel has none: every look takes its time */
  struct pollfd end = {.fd = pidfd_open(pid, 0), .events = POLLIN};
  for (int asked = 0; !error;) {
    pid_t ended = waitpid(pid, status, WNOHANG);
    if (ended == pid) break;
    if (ended < 0 && errno != EINTR) error = err_errno(errno, "cannot wait for %s", what);
    if (stop->is_asked(stop->context) && asked++ == 0) kill(-pid, SIGTERM);
    if (asked == PATIENCE) kill(-pid, SIGKILL);
    if (!error) poll(&end, 1, LOOK_MS);
  }
  if (end.fd >= 0) close(end.fd);
  if (!error && stop->is_asked(stop->context)) error = err_new(ERR_INTERRUPTED, "stopped");
  return error;
}

err command_run_until(const command_call *call, const command_stop *stop, int *status) {
  pid_t pid;
  err error = command_start(call, &pid);
  return error ? error : wait_or_stop(pid, call->words[0], stop, status);
}

/* Reads until the end of the output, or until a stop is asked for (NULL: never). */
static void read_or_stop(int fd, const command_stop *stop, strbuf *out) {
  char block[4096];
  struct pollfd end = {.fd = fd, .events = POLLIN};
  for (bool is_open = true; is_open && !(stop && stop->is_asked(stop->context));) {
    ssize_t got = 1;
    if (!stop || poll(&end, 1, LOOK_MS) > 0) {
      got = read(fd, block, sizeof block);
      if (got > 0) strbuf_append_bytes(out, block, (size_t)got);
    }
    is_open = got > 0 || (got < 0 && errno == EINTR);
  }
}

static err read_all(const command_call *call, bool takes_both, const command_stop *stop,
                    strbuf *out, int *status) {
  int ends[2];
  pid_t pid = 0;
  command_call own = *call;
  if (pipe2(ends, O_CLOEXEC) != 0) return err_errno(errno, "cannot start %s", call->words[0]);
  own.out = ends[1];
  if (takes_both) own.err = ends[1];
  err error = command_start(&own, &pid);
  close(ends[1]);
  if (pid > 0) read_or_stop(ends[0], stop, out);
  close(ends[0]);
  if (!error) error = wait_or_stop(pid, call->words[0], stop, status);
  if (!error && out->is_broken)
    error = err_new(ERR_MEMORY, "out of memory: the output of %s", call->words[0]);
  return error;
}

err command_read(const command_call *call, bool takes_both, strbuf *out, int *status) {
  return read_all(call, takes_both, NULL, out, status);
}

/* ---- convenience functions ---- */

static err capture(const command_call *call, const command_stop *stop, strbuf *out) {
  char *const *words = call->words;
  int status;
  err error = read_all(call, false, stop, out, &status);
  if (error) return error;
  int code = command_exit_status(status);
  if (code == COMMAND_NOT_FOUND) return err_new(ERR_INPUT, "%s: command not found", words[0]);
  if (code != 0)
    error = err_new(ERR_INPUT, "%s %s: exited with status %d", words[0], words[1] ? words[1] : "",
                    code);
  return error;
}

err command_capture(char *const *words, strbuf *out) {
  return capture(&(command_call){.words = words}, NULL, out);
}

err command_capture_until(char *const *words, const command_stop *stop, strbuf *out) {
  return capture(&(command_call){.words = words, .leads_group = true, .dies_with_parent = true},
                 stop, out);
}

err command_capture_quietly(char *const *words, strbuf *out) {
  int null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
  err error = capture(&(command_call){.words = words, .err = null_fd < 0 ? 0 : null_fd}, NULL, out);
  if (null_fd >= 0) close(null_fd);
  return error;
}

static bool is_set(const void *flag) {
  return *(const volatile bool *)flag;
}

err command_run_logged(const char *line, const char *folder, const char *log,
                       const volatile bool *stop) {
  const command_stop when = {is_set, (const void *)(uintptr_t)stop};
  char *words[] = {"/bin/sh", "-c", (char *)line, NULL};
  int status = 0, fd = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  pid_t pid;
  if (fd < 0) return err_errno(errno, "%s: cannot be written", log);
  command_call call = {
      .words = words, .folder = folder, .out = fd, .err = fd, .leads_group = stop != NULL};
  err error = command_start(&call, &pid);
  close(fd);
  if (!error) error = wait_or_stop(pid, line, stop ? &when : NULL, &status);
  if (!error && command_exit_status(status) != 0)
    error = err_new(ERR_INPUT, "'%s' failed: see %s", line, log);
  return error;
}
