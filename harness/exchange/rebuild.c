/* Rebuilds the database from the run directories: experiments first, then runs in the order of
 * their start. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/mem_library.h"
#include "sweep/directory.h"
#include "sweep/run.h"
#include "store/samples.h"

typedef struct {
  char *directory, *started;
} found_run;

typedef struct {
  found_run *items;
  size_t count;
} found_runs;

static int compare_runs(const void *a, const void *b) {
  const found_run *x = a, *y = b;
  int order = strcmp(x->started, y->started);
  return order ? order : strcmp(x->directory, y->directory);
}

static void free_runs(found_runs *runs) {
  for (size_t i = 0; i < runs->count; i++) {
    free(runs->items[i].directory);
    free(runs->items[i].started);
  }
  free(runs->items);
}

static err add_run(found_runs *runs, char *directory, char *started) {
  found_run *grown = mem_resize(runs->items, runs->count + 1, sizeof *grown);
  if (!grown) {
    free(directory);
    free(started);
    return mem_error(sizeof *grown, "the list of runs");
  }
  runs->items = grown;
  grown[runs->count++] = (found_run){directory, started};
  return NULL;
}

static err find_runs(const char *results, const char *experiment, found_runs *runs) {
  char *folder = fs_join(results, experiment), **names = NULL;
  size_t count = 0;
  err error = folder ? NULL : mem_error(0, "a path");
  if (!error && fs_is_folder(folder)) error = fs_list(folder, &names, &count);
  for (size_t i = 0; i < count && !error; i++) {
    if (*names[i] == '.') continue; /* one that is being removed */
    char *directory = fs_join(experiment, names[i]), *started = NULL;
    error =
        directory ? directory_first_start(results, directory, &started) : mem_error(0, "a path");
    if (started)
      error = add_run(runs, directory, started);
    else
      free(directory);
  }
  fs_free_names(names, count);
  free(folder);
  return error;
}

/* What one record makes impossible (a cell of no experiment as a parent, a number that no column
 * takes) was rolled back, and does not end the reading of the others. Returns the errors that do:
 * of memory, and of the disk. */
static err pass_over(err error, const char *what_is_lost) {
  const err_kind kind = error ? err_kind_of(error) : ERR_INPUT;
  if (!error || (kind != ERR_INPUT && kind != ERR_INTERNAL)) return error;
  log_warning("%s: %s", err_message(error), what_is_lost);
  err_free(error);
  return NULL;
}

static err put_experiment(store *s, const char *results, const char *name) {
  char *path = directory_path(results, name, "experiment.json"), *text = NULL;
  size_t length = 0;
  err error = path ? NULL : mem_error(0, "a path");
  if (!error && fs_exists(path)) {
    error = fs_read(path, &text, &length);
    if (!error) error = err_context(store_put_experiment(s, text, length), "%s", path);
    error = pass_over(error, "its runs are read, but not its tables; 'flipbench run' of the "
                             "experiment writes it again");
  }
  free(text);
  free(path);
  return error;
}

/* *is_read: the run is in the record now. */
static err read_run(store *s, const char *results, const char *directory, bool *is_read) {
  int64_t run_id = 0;
  char *path = directory_path(results, directory, "attempts.jsonl");
  err error = path ? NULL : mem_error(0, directory);
  if (!error) {
    error = err_context(store_ingest(s, results, directory, &run_id), "%s", path);
    *is_read = !error && run_id;
    if (!error && !run_id)
      log_warning("%s: no start of a process can be read: the run is left out", path);
    error = pass_over(error, "the run is left out");
  }
  free(path);
  return error;
}

static err fill(store *s, const char *results, size_t *run_total) {
  char **names = NULL;
  size_t count = 0;
  found_runs runs = {0};
  err error = fs_list(results, &names, &count);
  *run_total = 0;
  for (size_t i = 0; i < count && !error; i++) {
    error = put_experiment(s, results, names[i]);
    if (!error) error = find_runs(results, names[i], &runs);
  }
  if (runs.count) qsort(runs.items, runs.count, sizeof *runs.items, compare_runs);
  for (size_t i = 0; i < runs.count && !error; i++) {
    bool is_read = false;
    error = read_run(s, results, runs.items[i].directory, &is_read);
    *run_total += is_read;
  }
  if (!error) error = store_ingest_samples(s, results);
  free_runs(&runs);
  fs_free_names(names, count);
  return error;
}

/* A database consists of its file and, while it is open or after a crash, two more. */
static void remove_database(const char *path) {
  static const char *const tails[] = {"", "-wal", "-shm"};
  for (size_t i = 0; i < 3; i++) {
    strbuf name = {0};
    strbuf_format(&name, "%s%s", path, tails[i]);
    unlink(strbuf_string(&name));
    strbuf_free(&name);
  }
}

/* With its log, which has recent changes if a process was killed: SQLite finds it by its name. */
static err keep_old(const char *path, const char *old) {
  strbuf log = {0}, old_log = {0};
  strbuf_format(&log, "%s-wal", path);
  strbuf_format(&old_log, "%s-wal", old);
  err error = log.is_broken || old_log.is_broken ? mem_error(0, "a path") : NULL;
  if (error) goto cleanup;
  remove_database(old);
  if (rename(path, old) != 0) FAIL(ERR_IO, "%s: cannot be renamed", path);
  if (rename(strbuf_string(&log), strbuf_string(&old_log)) != 0 && errno != ENOENT)
    FAIL(ERR_IO, "%s: cannot be renamed", strbuf_string(&log));
  remove_database(path);
cleanup:
  strbuf_free(&log);
  strbuf_free(&old_log);
  return error;
}

/* A sweep would go on writing to the old database, and so would who follows jobs. */
static err refuse_while_used(const char *results, const char *name) {
  strbuf jobs = {0};
  char *folder = fs_join(results, name), *own = folder ? fs_join(folder, "slurm") : NULL;
  strbuf_format(&jobs, "%s/slurm", name);
  const char *command = NULL;
  if (own && !jobs.is_broken && fs_is_folder(folder)) {
    if (fs_is_folder(own) && run_is_swept(results, jobs.data)) command = "submit";
    if (run_is_swept(results, name)) command = "run";
  }
  err error = !own || jobs.is_broken ? mem_error(0, "a path") : NULL;
  if (command)
    error = err_new(ERR_INPUT,
                    "%s: 'flipbench %s' is running, and what it finishes would be missing in the "
                    "new database; wait for it, or stop it (Ctrl-C; 'flipbench %s' continues)",
                    folder, command, command);
  strbuf_free(&jobs);
  free(folder);
  free(own);
  return error;
}

static err refuse_during_sweep(const char *results) {
  char **names = NULL;
  size_t count = 0;
  err error = fs_list(results, &names, &count);
  for (size_t i = 0; i < count && !error; i++) error = refuse_while_used(results, names[i]);
  fs_free_names(names, count);
  return error;
}

err run_rebuild(const char *path, const char *results, size_t *runs) {
  err swept = refuse_during_sweep(results);
  if (swept) return swept;
  strbuf fresh = {0}, old = {0};
  store *s = NULL;
  strbuf_format(&fresh, "%s.new", path);
  strbuf_format(&old, "%s.old", path);
  err error = fresh.is_broken || old.is_broken ? mem_error(0, "a path") : NULL;
  if (error) goto cleanup;
  remove_database(strbuf_string(&fresh));
  error = store_open(strbuf_string(&fresh), &s);
  if (!error) error = fill(s, results, runs);
  /* running out of memory while parsing a line looks like a line that is not a run */
  if (!error && (mem_library_lacked() || strbuf_any_broken())) error = mem_error(0, "the record");
  if (!error) error = store_check(s);
  store_close(s); /* closing the last connection merges the log into the file */
  if (!error && fs_exists(path)) error = keep_old(path, strbuf_string(&old));
  if (!error && rename(strbuf_string(&fresh), path) != 0)
    error = err_new(ERR_IO, "%s: cannot be renamed", strbuf_string(&fresh));
  if (error) remove_database(strbuf_string(&fresh));
cleanup:
  strbuf_free(&fresh);
  strbuf_free(&old);
  return error;
}
