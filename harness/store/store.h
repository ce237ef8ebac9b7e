/* The database: one SQLite file that holds every experiment, cell, run, curve and number.
 *
 * It is made from the run directories (experiment.json, attempts.jsonl, events.jsonl) and can be
 * rebuilt from them, so that a lost database loses nothing. docs/schema.md describes the tables
 * and the views that answer the common questions. One process writes at a time; readers never
 * wait (WAL). Every function reports a full disk or an unwritable folder as ERR_IO.
 *
 * Only store/ contains SQL. Others call readers, which fill a struct or an array completely before
 * they return: runs.h, attempts.h, environments.h, curves.h, facts.h, experiments.h, given.h,
 * outcomes.h, samples.h. */
#ifndef FLIPBENCH_STORE_STORE_H
#define FLIPBENCH_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/hash.h"
#include "base/text.h"

typedef struct store store;

enum { STORE_VERSION = 6 }; /* of the schema: PRAGMA user_version */

/* Opens `path`, creating it and its folder and bringing an older schema up to date. A database
 * from a newer flipbench is refused. */
err store_open(const char *path, store **s) ERR_MUST_CHECK;
/* Opens an existing database; ERR_INPUT when there is none. */
err store_open_existing(const char *path, store **s) ERR_MUST_CHECK;
/* A record of nothing, in memory, that is gone when it is closed. */
err store_open_empty(store **s) ERR_MUST_CHECK;
void store_close(store *s);
const char *store_path(const store *s);
/* SQLite's own check of every page and of every foreign key. */
err store_check(store *s) ERR_MUST_CHECK;
/* Returns freed space to the file system and updates the query planner's statistics. */
err store_vacuum(store *s) ERR_MUST_CHECK;

/* An experiment with its cells and reference values, from the JSON text that spec_write_json
 * makes. Does nothing when the same text was stored before. Cells that it no longer names leave
 * the experiment; their runs stay. */
err store_put_experiment(store *s, const char *json, size_t length) ERR_MUST_CHECK;

/* Reads what is new in RESULTS/DIRECTORY/attempts.jsonl and events.jsonl, in one transaction.
 * Idempotent; a file that became shorter is read from its start. A line that
 * is not JSON (a process died in the middle of it) is recorded as a warning. `run_id` becomes 0
 * when the directory holds no attempt. */
err store_ingest(store *s, const char *results, const char *directory,
                 int64_t *run_id) ERR_MUST_CHECK;

/* Names, as readers return them; owned. */
typedef struct {
  char **items;
  size_t count;
} store_names;
void store_free_names(store_names *names);

#endif
