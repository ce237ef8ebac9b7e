/* Other programs, started and waited for: the one place that starts a process. */
#ifndef FLIP_BASE_COMMAND_H
#define FLIP_BASE_COMMAND_H

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/text.h"

/* How a program is started. All but `words` may be left zero. */
typedef struct {
  char *const *words; /* words[0] is looked for in PATH unless it holds a '/'; NULL at the end */
  char *const *environment; /* NULL: that of this process */
  const char *folder;       /* to start in; NULL: that of this process */
  int out, err;          /* descriptors that become stdout and stderr; 0: those of this process */
  const sigset_t *mask;  /* its blocked signals; NULL: those of the calling thread */
  bool has_no_input;     /* stdin is /dev/null */
  bool leads_group;      /* of processes, so that kill(-pid, …) reaches all it starts */
  bool dies_with_parent; /* SIGTERM when this process ends */
  /* Called in the child before the program replaces it; only async-signal-safe calls there. */
  void (*prepare)(const void *context);
  const void *context;
} command_call;

/* Starts it. By posix_spawn; by fork and exec where the child has to do what posix_spawn cannot
 * (dies_with_parent, prepare). A program that cannot be run counts as one that ended with status
 * 127, as in a shell: then *pid is 0, or the child says so on its stderr. */
err command_start(const command_call *call, pid_t *pid) ERR_MUST_CHECK;
/* Starts it and waits for its end; *status as waitpid gives it. */
err command_run(const command_call *call, int *status) ERR_MUST_CHECK;
/* The same; adds to `out` what it prints on stdout and, with `takes_both`, on stderr. */
err command_read(const command_call *call, bool takes_both, strbuf *out,
                 int *status) ERR_MUST_CHECK;
/* The exit status; of a program that a signal ended, the signal's number below zero. */
int command_exit_status(int status);

enum { COMMAND_NOT_FOUND = 127 };

/* Runs words[0] with its arguments; adds what it prints on stdout to `out`. ERR_INPUT, naming the
 * status, when it does not end with 0. */
err command_capture(char *const *words, strbuf *out) ERR_MUST_CHECK;
/* The same for a question that may have no answer: what it prints on stderr is dropped. */
err command_capture_quietly(char *const *words, strbuf *out) ERR_MUST_CHECK;
/* Runs a line of shell in `folder`, all it prints into the file `log`. ERR_INPUT, naming the file,
 * when it does not end with 0. `stop` (may be NULL): when it becomes true, the line and all it
 * started are ended: ERR_INTERRUPTED. */
err command_run_logged(const char *line, const char *folder, const char *log,
                       const volatile bool *stop) ERR_MUST_CHECK;

#endif
