/* The processes and warnings of a run. */
#ifndef FLIPBENCH_STORE_ATTEMPTS_H
#define FLIPBENCH_STORE_ATTEMPTS_H

#include "store/store.h"

typedef struct {
  int64_t number;                                  /* from 1 */
  int64_t exit_code, signal;                       /* -1, 0: unknown, none */
  int64_t first_step;                              /* 0: from the start */
  char *status, *started, *ended, *kind, *message; /* owned, as all strings; ended is "" while it
                                                    * runs */
  char *command;                                   /* JSON list of words */
  char *command_line;                              /* the words, separated by spaces */
  char *log_tail;                                  /* the last lines of its output */
  char *conditions;   /* JSON: the state of the machine; "{}": not recorded */
  char *rank_records; /* JSON: each rank's host, memory, CPU time; "[]": of one rank */
  char *hosts;        /* "node1 (ranks 0, 1), node2 (ranks 2, 3)"; "": of one rank */
  int64_t ranks;      /* that it was started with */
} store_attempt;
/* In order. Free with store_free_attempts. */
err store_list_attempts(store *s, int64_t run_id, store_attempt **attempts,
                        size_t *count) ERR_MUST_CHECK;
void store_free_attempts(store_attempt *attempts, size_t count);

typedef struct {
  char *kind, *message; /* owned */
} store_warning;
err store_list_warnings(store *s, int64_t run_id, store_warning **warnings,
                        size_t *count) ERR_MUST_CHECK;
void store_free_warnings(store_warning *warnings, size_t count);

#endif
