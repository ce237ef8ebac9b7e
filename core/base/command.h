/* Starts child processes and waits for them: the only place that starts a process. */
#ifndef FLIP_BASE_COMMAND_H
#define FLIP_BASE_COMMAND_H

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/text.h"

/* How a program is started. All fields but `words` may be zero. */
typedef struct {
  char *const *words; /* words[0] is searched in PATH unless it contains a '/'; NULL-terminated */
  char *const *environment; /* NULL: inherited */
  const char *folder;       /* working directory; NULL: inherited */
  int out, err;             /* descriptors that become stdout and stderr; 0: inherited */
  const sigset_t *mask;     /* its blocked signals; NULL: those of the calling thread */
  bool has_no_input;        /* stdin is /dev/null */
  bool leads_group;         /* a process group, so that kill(-pid, …) reaches all its children */
  bool leads_session;       /* and its group, without a terminal: signals to ours do not reach it */
  bool dies_with_parent;    /* SIGTERM when this process ends */
  /* Called in the child before exec; only async-signal-safe calls are allowed. */
  void (*prepare)(const void *context);
  const void *context;
} command_call;

/* Starts the process, with the default for SIGPIPE, which our programs ignore. Uses posix_spawn, or
 * fork and exec where posix_spawn does not suffice (dies_with_parent, prepare). A program that
 * cannot be started is reported as exit status 127, as in a shell: either *pid is 0, or the child
 * prints the error on its stderr. */
err command_start(const command_call *call, pid_t *pid) ERR_MUST_CHECK;
/* Starts the process and waits for it; *status as returned by waitpid. */
err command_run(const command_call *call, int *status) ERR_MUST_CHECK;
/* Whether a running command is to be ended. Asked 20 times a second, on the calling thread. */
typedef struct {
  bool (*is_asked)(const void *context);
  const void *context;
} command_stop;
/* The same for a command that leads a group or session, which is ended when `stop` (may be NULL)
 * asks for it: ERR_INTERRUPTED. */
err command_run_until(const command_call *call, const command_stop *stop,
                      int *status) ERR_MUST_CHECK;
/* As command_run; appends its stdout and, with `takes_both`, its stderr to `out`. */
err command_read(const command_call *call, bool takes_both, strbuf *out,
                 int *status) ERR_MUST_CHECK;
/* The exit status; for a process killed by a signal, the negated signal number. */
int command_exit_status(int status);

enum { COMMAND_NOT_FOUND = 127 };

/* Runs words[0] with its arguments and appends its stdout to `out`. ERR_INPUT with the status when
 * it does not exit with 0. */
err command_capture(char *const *words, strbuf *out) ERR_MUST_CHECK;
/* The same, but ended with all that it started when `stop` asks for it, or when this process ends:
 * ERR_INTERRUPTED. */
err command_capture_until(char *const *words, const command_stop *stop, strbuf *out) ERR_MUST_CHECK;
/* The same for commands that may fail: stderr is discarded. */
err command_capture_quietly(char *const *words, strbuf *out) ERR_MUST_CHECK;
/* Runs a shell command line in `folder` with its output in the file `log`. ERR_INPUT, naming the
 * file, when it does not exit with 0. When `stop` (may be NULL) becomes true, the command and its
 * children are killed: ERR_INTERRUPTED. */
err command_run_logged(const char *line, const char *folder, const char *log,
                       const volatile bool *stop) ERR_MUST_CHECK;

#endif
