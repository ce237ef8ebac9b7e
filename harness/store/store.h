/* The database: one SQLite file with every experiment, cell, run, curve and number.
 *
 * It is built from the run directories (experiment.json, attempts.jsonl, events.jsonl) and can be
 * rebuilt from them, so that losing the database loses nothing. docs/schema.md describes the tables
 * and the views for common queries. One process writes at a time; readers never wait (WAL). Every
 * function reports a full disk or an unwritable folder as ERR_IO.
 *
 * Only store/ contains SQL. Others call readers, which fill a struct or an array completely before
 * they return: runs.h, attempts.h, environments.h, curves.h, facts.h, experiments.h, inputs.h,
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

enum { STORE_VERSION = 15 }; /* of the schema: PRAGMA user_version */

/* Opens `path`, creating it and its folder and migrating an older schema. A database from a newer
 * flipbench is an error. */
err store_open(const char *path, store **s) ERR_MUST_CHECK;
/* Opens an existing database; ERR_INPUT when there is none. */
err store_open_existing(const char *path, store **s) ERR_MUST_CHECK;
/* The same to read it: where this user may not write it, a copy, as of store_open_copy; no file is
 * made next to it. */
err store_open_reading(const char *path, store **s) ERR_MUST_CHECK;
/* An empty database in memory, discarded when closed. */
err store_open_empty(store **s) ERR_MUST_CHECK;
/* A copy of the database, or an empty one where there is none: what is changed in it is discarded
 * when it is closed, and nothing is written to `path`. For dry runs. */
err store_open_copy(const char *path, store **s) ERR_MUST_CHECK;
/* Is it a copy, which later changes to the database do not reach? */
bool store_is_copy(const store *s);
void store_close(store *s);
const char *store_path(const store *s);
/* How long to wait for other processes that are writing; 0: 10 s, as when it was opened. */
void store_set_patience(store *s, int seconds);
/* One transaction around several changes, other functions' too: no other process writes meanwhile.
 * store_end commits when `error` is NULL, else it undoes all of them; it returns the first error.
 */
err store_begin(store *s) ERR_MUST_CHECK;
err store_end(store *s, err error) ERR_MUST_CHECK;
/* Until store_end, everything that is read is of one moment, whatever other processes write
 * meanwhile; they do not wait. Nothing may be written in between. */
err store_begin_reading(store *s) ERR_MUST_CHECK;
/* SQLite's integrity check of every page and its foreign key check. */
err store_check(store *s) ERR_MUST_CHECK;
/* Returns freed space to the file system and updates the query planner's statistics. */
err store_vacuum(store *s) ERR_MUST_CHECK;

/* Stores an experiment with its cells and reference values, from the JSON text of spec_write_json.
 * Does nothing when the same text was stored before. Cells that it no longer contains are detached
 * from the experiment; their runs stay. */
err store_put_experiment(store *s, const char *json, size_t length) ERR_MUST_CHECK;

/* Reads new lines of RESULTS/DIRECTORY/attempts.jsonl and events.jsonl, in one transaction.
 * Idempotent; a file that became shorter is read from its start. A line that is not JSON (a process
 * died while writing it) is recorded as a warning. `run_id` is 0 when the directory contains no
 * attempt. */
err store_ingest(store *s, const char *results, const char *directory,
                 int64_t *run_id) ERR_MUST_CHECK;
/* The same, but gives up at once when another process is writing to the database: *is_busy, and
 * nothing was read. */
err store_ingest_soon(store *s, const char *results, const char *directory, int64_t *run_id,
                      bool *is_busy) ERR_MUST_CHECK;

/* Names, as readers return them; owned. */
typedef struct {
  char **items;
  size_t count;
} store_names;
void store_free_names(store_names *names);

#endif
