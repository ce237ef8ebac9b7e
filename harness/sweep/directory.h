/* A run directory: its name, its lock, and flipbench's own record in it. Internal to sweep/. */
#ifndef FLIPBENCH_SWEEP_DIRECTORY_H
#define FLIPBENCH_SWEEP_DIRECTORY_H

#include <sys/types.h>

#include "base/err.h"
#include "experiment/spec.h"
#include "store/store.h"

/* "quickstart/mask_ratio=0.5-1a2b3c4d"; the caller frees; NULL when out of memory. */
char *directory_name(const spec_experiment *e, const spec_cell *cell);
/* "FOLDER/NAME/FILE"; the caller frees; NULL when out of memory. */
char *directory_path(const char *results, const char *directory, const char *file);

/* The first DIRECTORY ENDING N, "….failed-2", of which no run is recorded (a run keeps the name of
 * a folder that was deleted by hand); is_unused: nor is there such a folder. The caller frees. */
err directory_find_name(store *s, const char *results, const char *directory, const char *ending,
                        bool is_unused, char **name) ERR_MUST_CHECK;
/* The length of a directory's or folder's name without the endings of renamed runs (.merged-N,
 * .failed-N, .archived-N, in any order): the cell's own name. An experiment's name may contain what
 * looks like them. */
size_t directory_length_of_cell(const char *name);
/* Where the first of these endings that is ENDING N begins; the length of the name if none is. */
size_t directory_find_ending(const char *name, const char *ending);

typedef enum {
  LOCK_TAKEN,    /* acquired: *fd holds it until closed */
  LOCK_ORPHANED, /* flipbench is gone, but its trainer is still writing its last checkpoint */
  LOCK_REFUSED   /* another flipbench runs this cell: *holder */
} lock_state;
/* The process that took a lock, as its file names it. */
typedef struct {
  pid_t pid; /* 0: not known */
  char host[128];
  bool is_elsewhere; /* on another machine, where its process id means nothing here */
} lock_holder;
/* A lock that cannot be asked for (no locks on this file system, or none left) is an error. */
err directory_lock(const char *results, const char *directory, int *fd, lock_state *state,
                   lock_holder *holder) ERR_MUST_CHECK;

/* What is known about a process when it starts; strings may be NULL. */
typedef struct {
  const char *cell_id;
  const char *parent_id; /* the cell whose weights it starts from; NULL: none */
  const char *time;      /* before it was started: its events are later */
  int attempt;
  pid_t pid;
  int64_t log_start;    /* bytes that log.txt had */
  int64_t events_start; /* and events.jsonl */
  double origin_loss;   /* the last of the run whose weights it starts from; NaN: none, not known */
  char *const *command;
  const char *stamp; /* of its data's files (stamp.h) */
  const char *why;   /* "first", "resumes after …", "retry 1 of 2 after crash: …" */
  const char *slot;  /* "cores 0-1, GPU 0" */
  int64_t ranks, nodes;
  double predicted_seconds, predicted_bytes; /* NaN: unknown */
  spec_limits limits;
} attempt_start;

typedef struct {
  const char *status, *kind, *message, *log_tail;
  int exit_code, signal_number;
  int64_t ranks;      /* more than 1: their records are taken into the line; 0: not known */
  double cpu_seconds; /* of the process; NaN: not known */
} attempt_end;

err directory_record_start(const char *results, const char *directory,
                           const attempt_start *start) ERR_MUST_CHECK;
err directory_record_end(const char *results, const char *directory, int attempt,
                         const attempt_end *end) ERR_MUST_CHECK;
/* User annotations of a run, in attempts.jsonl: "note", "tag" and "untag" with `text`; "archive"
 * and "restore" without (NULL). */
err directory_record_mark(const char *results, const char *directory, const char *what,
                          const char *text) ERR_MUST_CHECK;
/* True while a process of the run is alive: flipbench or its trainer holds the lock, or the lock's
 * holder is on another machine, whose processes cannot be checked from here (*is_elsewhere). */
bool directory_is_alive(const char *results, const char *directory, bool *is_elsewhere);
/* True when a process on a machine that shares locks with this one holds the lock. */
bool directory_is_held(const char *results, const char *directory);
/* rm -r; files that cannot be removed stay. Of a link in the folder only the link is removed; a
 * folder that is a link itself is emptied first. */
void directory_remove(const char *path);
/* The number of the next process: one more than the greatest in attempts.jsonl. */
err directory_next_attempt(const char *results, const char *directory, int *number) ERR_MUST_CHECK;

/* The number of the last process if its end was not recorded; 0 when it was, or none ran. */
err directory_open_attempt(const char *results, const char *directory, int *number) ERR_MUST_CHECK;
/* True when the last process finished the run. */
err directory_is_finished(const char *results, const char *directory,
                          bool *is_finished) ERR_MUST_CHECK;

/* How a trainer recorded its end. Strings are empty when it recorded none. */
typedef struct {
  char status[32], kind[64];
  strbuf message;
  int64_t step; /* training had reached */
} verdict;
int64_t directory_size_of(const char *results, const char *directory, const char *file);
/* The last `end` event of events.jsonl after byte `from`. */
err directory_read_end(const char *results, const char *directory, int64_t from,
                       verdict *v) ERR_MUST_CHECK;
/* The start of a run's first process whose line can be read, as recorded; NULL: there was none. The
 * caller frees. */
err directory_first_start(const char *results, const char *directory,
                          char **started) ERR_MUST_CHECK;
/* The name that the folder of a run which first began at `started` has since it was archived; NULL:
 * none. The caller frees. */
err directory_find_renamed(const char *results, const char *directory, const char *started,
                           char **name) ERR_MUST_CHECK;
/* The last lines of a file, at most 4 KiB, escaped for terminals; the caller frees; "" when there
 * is no file. */
char *directory_tail(const char *results, const char *directory, const char *file);
/* The same of what the last process wrote to log.txt. */
char *directory_log_tail(const char *results, const char *directory);
/* Terminates a last line that a killed process left incomplete, so that the next line is
 * separate. */
err directory_mend_lines(const char *results, const char *directory,
                         const char *file) ERR_MUST_CHECK;
/* The file of the last checkpoint that the run recorded; NULL: it recorded none, or the file is
 * gone. The caller frees. */
err directory_last_checkpoint(const char *results, const char *directory,
                              char **path) ERR_MUST_CHECK;
bool directory_has_checkpoint(const char *results, const char *directory);

#endif
