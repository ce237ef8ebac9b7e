#include "base/command.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static err wait_for(pid_t pid, const char *what, int *status) {
  if (pid < 0) return err_errno(errno, "cannot start %s", what);
  while (waitpid(pid, status, 0) < 0)
    if (errno != EINTR) return err_errno(errno, "cannot wait for %s", what);
  return NULL;
}

static err capture(char *const *words, strbuf *out, bool is_quiet) {
  int ends[2], status = 0;
  char block[4096];
  if (pipe2(ends, O_CLOEXEC) != 0) return err_errno(errno, "cannot start %s", words[0]);
  pid_t pid = fork();
  if (pid == 0) {
    dup2(ends[1], STDOUT_FILENO);
    if (is_quiet) dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), STDERR_FILENO);
    execvp(words[0], words);
    _exit(127);
  }
  close(ends[1]);
  for (ssize_t got; pid > 0 && (got = read(ends[0], block, sizeof block)) != 0;) {
    if (got > 0) strbuf_append_bytes(out, block, (size_t)got);
    if (got < 0 && errno != EINTR) break;
  }
  close(ends[0]);
  err error = wait_for(pid, words[0], &status);
  if (error) return error;
  if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
    return err_new(ERR_INPUT, "%s: there is no such program", words[0]);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
    return err_new(ERR_INPUT, "%s %s: ended with status %d", words[0], words[1] ? words[1] : "",
                   WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status));
  return NULL;
}

err command_capture(char *const *words, strbuf *out) {
  return capture(words, out, false);
}

err command_capture_quietly(char *const *words, strbuf *out) {
  return capture(words, out, true);
}

/* Waits for a child that leads a group of its own; when *stop becomes true the group is ended. */
static err wait_or_stop(pid_t pid, const char *what, const volatile bool *stop, int *status) {
  enum { LOOK_MS = 50, PATIENCE = 100 };
  const struct timespec moment = {0, LOOK_MS * 1000000L};
  if (!stop || pid < 0) return wait_for(pid, what, status);
  for (int asked = 0;;) {
    pid_t ended = waitpid(pid, status, WNOHANG);
    if (ended == pid) break;
    if (ended < 0 && errno != EINTR) return err_errno(errno, "cannot wait for %s", what);
    if (*stop && asked++ == 0) kill(-pid, SIGTERM);
    if (asked == PATIENCE) kill(-pid, SIGKILL);
    nanosleep(&moment, NULL);
  }
  return *stop ? err_new(ERR_INTERRUPTED, "stopped") : NULL;
}

err command_run_logged(const char *line, const char *folder, const char *log,
                       const volatile bool *stop) {
  int status = 0, fd = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd < 0) return err_errno(errno, "%s: cannot be written", log);
  pid_t pid = fork();
  if (pid == 0) {
    if (stop) setpgid(0, 0);
    dup2(fd, STDOUT_FILENO);
    dup2(fd, STDERR_FILENO);
    if (chdir(folder) == 0) execl("/bin/sh", "sh", "-c", line, (char *)NULL);
    _exit(127);
  }
  if (pid > 0 && stop) setpgid(pid, pid); /* whoever is first */
  close(fd);
  err error = wait_or_stop(pid, line, stop, &status);
  if (!error && (!WIFEXITED(status) || WEXITSTATUS(status) != 0))
    error = err_new(ERR_INPUT, "'%s' failed: see %s", line, log);
  return error;
}
