/* The ranks of a cell: how they are started (mpirun on this machine, srun in a Slurm job), and the
 * files that each writes to the cell's folder (sweep/rank.h). Internal to sweep/. */
#ifndef FLIPBENCH_SWEEP_RANKS_H
#define FLIPBENCH_SWEEP_RANKS_H

#include <jansson.h>

#include "base/json.h"
#include "sweep/directory.h"
#include "sweep/run.h"

enum { EXIT_INTERRUPTED = 130 }; /* of flip: stopped after a checkpoint */

/* How the ranks of one process are started. */
typedef struct {
  int64_t ranks, nodes;
  const char *mpi;    /* type for srun --mpi; NULL: mpirun */
  int64_t cores;      /* of each rank; 0: a share of the cell's */
  const char *folder; /* of the cell */
  int attempt;
  const spec_pairs *environment; /* also for ranks on other machines */
} ranks_start;

/* The trainer's command line, preceded by the launcher's if there are several ranks.
 * NULL-terminated; free with ranks_free_words. */
err ranks_words(const ranks_start *how, char *const *trainer, char ***words) ERR_MUST_CHECK;
void ranks_free_words(char **words);
/* Open MPI runs as root only if these two variables allow it. */
extern const char *const ranks_root_variables[2];
/* Sets them in this process if it runs as root. */
void ranks_allow_root(void);

/* Can the waiting cells of a sweep be started on this machine? ERR_INPUT with what to install. */
err ranks_check_machine(const spec_experiment *e, const run_sweep *sweep) ERR_MUST_CHECK;

/* FOLDER/ranks/attempt-N-rank-R.json, FOLDER/ranks/rank-R.txt (FOLDER/log.txt for rank 0). */
char *ranks_record_path(const char *folder, int64_t attempt, int64_t rank);
char *ranks_log_path(const char *folder, int64_t rank);
#define RANKS_LOG_HEAD "== attempt %" PRId64

/* The records of each rank of an attempt, as the array in the attempt's end (docs/events.md): NULL
 * if there are none, as for a cell of one rank. The caller frees with json_decref. */
json_t *ranks_read_records(const char *folder, int64_t attempt);
void ranks_remove_records(const char *folder, int64_t attempt);

/* Has rank 0 recorded its end? *failed: not with status 0. */
bool ranks_have_ended(const char *folder, int64_t attempt, bool *failed);
/* How the ranks ended, as wait(2) has it: rank 0, or, where that ended with status 0, the first
 * other that did not. */
int ranks_wait_status(const char *folder, int64_t attempt);

/* Why an attempt failed, from the ranks' records and logs; `log_start`: size of log.txt before it.
 * Sets v->kind and v->message: "rank" if one was lost, else the first error that a rank wrote.
 * False if the reason is unknown. */
bool ranks_explain(const char *folder, int64_t attempt, int64_t log_start, int64_t ranks,
                   verdict *v);
/* The last lines of the other ranks' logs, "rank 2: …". */
void ranks_add_tails(const char *folder, int64_t attempt, int64_t ranks, strbuf *tail);

#endif
