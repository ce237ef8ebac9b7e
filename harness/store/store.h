/* The record: one SQLite file that holds every experiment, cell, run, curve and number.
 *
 * It is made from the run directories (experiment.json, attempts.jsonl, events.jsonl) and can be
 * rebuilt from them, so that a lost database loses nothing. docs/schema.md describes the tables
 * and the views that answer the common questions. One process writes at a time; readers never
 * wait (WAL). Every function reports a full disk or an unwritable folder as ERR_IO. */
#ifndef FLIPBENCH_STORE_STORE_H
#define FLIPBENCH_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/hash.h"
#include "base/text.h"

typedef struct store store;

enum { STORE_VERSION = 3 }; /* of the schema: PRAGMA user_version */

/* Opens `path`, creating it and its folder and bringing an older schema up to date. A database
 * from a newer flipbench is refused. */
err store_open(const char *path, store **s) ERR_MUST_CHECK;
/* Opens what is there; ERR_INPUT when there is none. */
err store_open_existing(const char *path, store **s) ERR_MUST_CHECK;
void store_close(store *s);
const char *store_path(const store *s);
/* SQLite's own check of every page and of every foreign key. */
err store_check(store *s) ERR_MUST_CHECK;
/* Gives freed space back to the disk and counts rows anew for the query planner. */
err store_vacuum(store *s) ERR_MUST_CHECK;

/* An experiment with its cells and reference values, from the JSON text that spec_write_json
 * makes. Does nothing when the same text was stored before. Cells that it no longer names leave
 * the experiment; their runs stay. */
err store_put_experiment(store *s, const char *json, size_t length) ERR_MUST_CHECK;

/* Reads what is new in RESULTS/DIRECTORY/attempts.jsonl and events.jsonl, in one transaction.
 * Doing it again changes nothing; a file that became shorter is read from its start. A line that
 * is not JSON (a process died in the middle of it) is recorded as a warning. `run_id` becomes 0
 * when the directory holds no attempt. */
err store_ingest(store *s, const char *results, const char *directory,
                 int64_t *run_id) ERR_MUST_CHECK;

/* What a cell has come to: its newest finished run, else its newest, of those that are not
 * archived. (Merged results can hold several runs of a cell.) */
typedef struct {
  int64_t run_id; /* 0: never started, and all that follows is empty */
  char *directory, *status, *kind, *message, *log_tail, *started, *ended; /* owned, never NULL */
  int64_t attempts, pid; /* how many processes it took; the newest one's id */
} store_run;
err store_find_run(store *s, const char *cell_id, store_run *run) ERR_MUST_CHECK;
void store_free_run(store_run *run);

/* The newest checkpoint of a run that is still on disk: what a resumed run continues from, and a
 * tuning cell starts from. NULL when there is none; the caller frees. */
err store_last_checkpoint(store *s, const char *results, int64_t run_id,
                          char **path) ERR_MUST_CHECK;

/* The directory of a run was renamed. */
err store_move_run(store *s, int64_t run_id, const char *directory) ERR_MUST_CHECK;

/* Drops a run whose directory is gone, with all that was recorded of it. */
err store_forget_run(store *s, int64_t run_id) ERR_MUST_CHECK;

/* How far a run is, for the display: the newest step, and the newest value of a metric on the
 * run's first set of that task. NaN for what is not known yet. */
typedef struct {
  double samples, total_samples, loss, samples_per_second, train_seconds, metric;
} store_progress;
err store_find_progress(store *s, int64_t run_id, const char *task, const char *metric,
                        store_progress *p) ERR_MUST_CHECK;

#endif
