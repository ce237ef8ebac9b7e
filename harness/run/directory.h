/* A run directory: its name, its lock, and flipbench's own record in it. Internal to run/. */
#ifndef FLIPBENCH_RUN_DIRECTORY_H
#define FLIPBENCH_RUN_DIRECTORY_H

#include <sys/types.h>

#include "base/err.h"
#include "spec/spec.h"

/* "quickstart/mask_ratio=0.5-1a2b3c4d"; the caller frees; NULL when memory is short. */
char *directory_name(const spec_experiment *e, const spec_cell *cell);
/* "FOLDER/NAME/FILE"; the caller frees; NULL when memory is short. */
char *directory_path(const char *results, const char *directory, const char *file);

typedef enum {
  LOCK_TAKEN,    /* ours: *fd holds it until closed */
  LOCK_ORPHANED, /* flipbench is gone, but its trainer still writes its last checkpoint */
  LOCK_REFUSED   /* another flipbench runs this cell: *holder is its process id */
} lock_state;
err directory_lock(const char *results, const char *directory, int *fd, lock_state *state,
                   pid_t *holder) ERR_MUST_CHECK;

typedef struct {
  const char *status, *kind, *message, *log_tail;
  int exit_code, signal_number;
} attempt_end;

err directory_record_start(const char *results, const char *directory, const char *cell_id,
                           int attempt, pid_t pid, char *const *command) ERR_MUST_CHECK;
err directory_record_end(const char *results, const char *directory, int attempt,
                         const attempt_end *end) ERR_MUST_CHECK;
/* The last lines of log.txt, at most 4 KiB; the caller frees; "" when there is no log. */
char *directory_log_tail(const char *results, const char *directory);
/* Ends a last line that a killed process left half written, so that the next line stands alone. */
err directory_mend_lines(const char *results, const char *directory,
                         const char *file) ERR_MUST_CHECK;
bool directory_has_checkpoint(const char *results, const char *directory);

#endif
