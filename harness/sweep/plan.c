/* Determines the state of each cell before anything is started. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/json_read.h"
#include "base/mem.h"
#include "base/shipped.h"
#include "sweep/directory.h"
#include "sweep/again.h"
#include "sweep/retry.h"
#include "sweep/run.h"
#include "sweep/stamp.h"
#include "store/facts.h"
#include "store/runs.h"

err run_find_flip(char **path) {
  const char *given = getenv("FLIP");
  char self[PATH_MAX];
  *path = NULL;
  if (given && *given) {
    *path = strchr(given, '/') ? mem_copy_string(given) : fs_join(".", given);
  } else {
    if (!shipped_program(self))
      return err_new(ERR_IO, "cannot determine this program's folder; set FLIP");
    *strrchr(self, '/') = '\0';
    *path = fs_join(self, "flip");
  }
  if (!*path) return mem_error(0, "a path");
  if (access(*path, X_OK) == 0) return NULL;
  err error = err_new(ERR_INPUT,
                      "%s: no trainer found; build it ('ninja -C build flip') or set "
                      "the environment variable FLIP",
                      *path);
  free(*path);
  *path = NULL;
  return error;
}

void run_free(run_sweep *sweep) {
  for (size_t i = 0; i < sweep->count; i++) {
    free(sweep->cells[i].directory);
    free(sweep->cells[i].reason);
    free(sweep->cells[i].why);
  }
  free(sweep->cells);
  *sweep = (run_sweep){0};
}

char *run_log_tail(const char *results, const char *directory) {
  return directory_log_tail(results, directory);
}

size_t run_count(const run_sweep *sweep, run_state state) {
  size_t count = 0;
  for (size_t i = 0; i < sweep->count; i++) count += sweep->cells[i].state == state;
  return count;
}

const char *run_state_name(run_state state) {
  static const char *const names[] = {"waiting",     "running", "finished",
                                      "interrupted", "failed",  "skipped"};
  return names[state];
}

/* A file system that does not distinguish upper and lower case has one folder for 'e' and 'E': the
 * record of one would replace the other's. `text` may be NULL: there is none. */
static err check_folder(const spec_experiment *e, const char *folder, const char *text) {
  json_t *recorded = text ? json_loads(text, 0, NULL) : NULL;
  const char *name = json_text_of(recorded, "name");
  err error = NULL;
  if (*name && strcmp(name, e->name) != 0)
    error = err_new(ERR_INPUT,
                    "%s is the folder of experiment '%s', not of '%s' (does this file system not "
                    "distinguish upper and lower case?); choose another name, or another folder "
                    "with --results",
                    folder, name, e->name);
  json_decref(recorded);
  return error;
}

/* The record has no other bytes: its path would lead nowhere. */
static err check_path(const spec_experiment *e) {
  if (!e->path || text_is_utf8(e->path)) return NULL;
  strbuf shown = {0};
  text_escape(e->path, &shown);
  err error =
      err_new(ERR_INPUT,
              "'%s' is not UTF-8, in which experiments are recorded: rename the file or its "
              "folder",
              strbuf_string(&shown));
  strbuf_free(&shown);
  return error;
}

/* results/NAME/experiment.json and the store's copy of it. */
static err record_experiment(const spec_experiment *e, store *s, const char *results, bool is_dry) {
  err error = NULL;
  strbuf text = {0};
  char *folder = fs_join(results, e->name), *path = NULL, *before = NULL;
  size_t length = 0;
  if (!folder) FAIL(ERR_MEMORY, "out of memory: a path");
  path = fs_join(folder, "experiment.json");
  if (!path) FAIL(ERR_MEMORY, "out of memory: a path");
  TRY(check_path(e));
  if (fs_exists(path)) TRY(fs_read(path, &before, &length));
  TRY(check_folder(e, folder, before));
  spec_write_json(e, &text);
  if (text.is_broken) FAIL(ERR_MEMORY, "out of memory: the experiment's record");
  if (is_dry) {
    error = store_put_experiment(s, text.data, text.length);
    goto cleanup;
  }
  TRY(fs_make_folders(folder));
  if (!before || length != text.length || memcmp(before, text.data, length) != 0)
    TRY(fs_write_atomic(path, text.data, text.length));
  TRY(store_put_experiment(s, text.data, text.length));
cleanup:
  free(before);
  free(path);
  free(folder);
  strbuf_free(&text);
  return error;
}

/* A process without a recorded end: flipbench and the trainer were killed together. */
static err close_lost_attempt(const char *results, store *s, const store_run *run) {
  int64_t run_id;
  char *tail = directory_log_tail(results, run->directory);
  attempt_end end = {.status = "interrupted",
                     .kind = "lost",
                     .message = "flipbench and the trainer were killed before recording a reason",
                     .log_tail = tail ? tail : "",
                     .exit_code = -1};
  err error = directory_mend_lines(results, run->directory, "attempts.jsonl");
  if (!error) error = directory_record_end(results, run->directory, (int)run->attempts, &end);
  if (!error) error = store_ingest(s, results, run->directory, &run_id);
  free(tail);
  return error;
}

/* With the directory's lock held, so that nobody writes to its record: its process may have
 * recorded its end after the run was read. */
static err close_if_running(store *s, const char *results, const char *directory, bool is_dry) {
  int64_t run_id;
  store_run run;
  err error = store_ingest(s, results, directory, &run_id);
  if (!error) error = store_find_run_in(s, directory, &run);
  if (error) return error;
  bool is_running = run.run_id && strcmp(run.status, "running") == 0;
  if (is_running && !is_dry) error = close_lost_attempt(results, s, &run);
  store_free_run(&run);
  return error;
}

err run_close_lost(store *s, const char *results, const char *directory, bool *is_alive) {
  int fd;
  lock_state lock;
  lock_holder holder;
  err error = directory_lock(results, directory, &fd, &lock, &holder);
  *is_alive = !error && lock != LOCK_TAKEN;
  if (error || *is_alive) return error;
  error = close_if_running(s, results, directory, false);
  close(fd);
  return error;
}

err run_look(store *s, const char *results, const char *directory, bool *is_alive,
             bool *is_elsewhere) {
  int64_t run_id;
  *is_alive = directory_is_alive(results, directory, is_elsewhere);
  return *is_alive ? NULL : store_ingest(s, results, directory, &run_id);
}

err run_close_gone(store *s, const char *results, const char *directory) {
  bool is_alive, is_elsewhere;
  err error = run_look(s, results, directory, &is_alive, &is_elsewhere);
  return error || is_alive ? error : run_close_lost(s, results, directory, &is_alive);
}

static err refuse_held(const char *results, const char *directory, const lock_holder *holder) {
  if (holder->is_elsewhere)
    return err_new(ERR_IO, "%s/%s: process %ld on %s is running this cell; wait for it", results,
                   directory, (long)holder->pid, holder->host);
  return err_new(ERR_IO,
                 "%s/%s: another flipbench (process %ld) is running this cell; wait for it, or "
                 "stop it with 'kill %ld'",
                 results, directory, (long)holder->pid, (long)holder->pid);
}

static err set_directory(run_cell *c, const char *directory) {
  free(c->directory);
  c->directory = mem_copy_string(directory);
  return c->directory ? NULL : mem_error(0, "a path");
}

/* Another sweep is running it: cells that start from it wait for that (start.c). */
static err leave_to_other(const run_options *options, const store_run *run, run_cell *c) {
  strbuf text = {0};
  strbuf_format(&text, "another flipbench is running it in %s/%s", options->results,
                run->directory);
  free(c->reason);
  c->reason = strbuf_take(&text);
  c->state = CELL_SKIPPED;
  c->is_elsewhere = c->has_begun = true;
  c->run_id = run->run_id;
  return c->reason ? set_directory(c, run->directory) : mem_error(0, "a message");
}

/* A run that is recorded as running: is it, started by whom, or did it die? */
static err look_at_running(store *s, const run_options *options, store_run *run, bool is_parent,
                           run_cell *c) {
  const char *results = options->results;
  int fd;
  lock_state lock;
  lock_holder holder;
  err error = directory_lock(results, run->directory, &fd, &lock, &holder);
  if (error) return error;
  if (lock == LOCK_REFUSED) /* a dry run starts nothing that could be in its way */
    return is_parent || options->is_dry ? leave_to_other(options, run, c)
                                        : refuse_held(results, run->directory, &holder);
  if (lock == LOCK_ORPHANED) return NULL; /* its trainer is still writing: run_all waits for it */
  error = close_if_running(s, results, run->directory, options->is_dry);
  close(fd);
  store_free_run(run);
  return error ? error : store_find_run(s, c->cell->id, run);
}

static err take_reason(run_cell *c, const store_run *run) {
  strbuf text = {0};
  strbuf_append(&text, *run->message ? run->message : run->kind);
  free(c->reason);
  c->reason = strbuf_take(&text);
  return c->reason ? NULL : mem_error(0, "a message");
}

static err set_why(run_cell *c, const char *what, const store_run *run) {
  strbuf text = {0};
  strbuf_format(&text, "%s %s: %s", what, *run->kind ? run->kind : run->status, run->message);
  free(c->why);
  c->why = strbuf_take(&text);
  return c->why ? NULL : mem_error(0, "a message");
}

static err judge_run(store *s, const run_options *options, const store_run *run, run_cell *c) {
  char *path = directory_path(options->results, run->directory, NULL);
  bool is_there = path && fs_exists(path);
  free(path);
  c->run_id = run->run_id;
  c->has_begun = true;
  if (strcmp(run->status, "finished") == 0) {
    c->state = CELL_FINISHED;
    err unknown = store_find_lost_share(s, c->run_id, &c->lost_share);
    return unknown ? unknown : set_directory(c, run->directory);
  }
  if (!is_there) { /* the directory was removed: start over */
    c->has_begun = false;
    c->run_id = 0;
    return store_forget_run(s, run->run_id);
  }
  err error = set_directory(c, run->directory);
  if (!error && strcmp(run->status, "interrupted") == 0) return set_why(c, "resumes after", run);
  if (error || strcmp(run->status, "failed") != 0) return error;
  if (options->again == AGAIN_FAILED) {
    c->state = CELL_WAITING;
    error = set_why(c, "retried after", run);
    return error ? error : retry_prepare(s, options, run->kind, c);
  }
  c->state = CELL_FAILED;
  return take_reason(c, run);
}

/* What has become of a finished run whose folder is missing: archived by way of another database of
 * the folder, or about to be removed when that was killed. */
static err find_folder(store *s, const run_options *options, const char *cell_id, store_run *run) {
  int64_t run_id;
  bool is_gone = false;
  char *path = directory_path(options->results, run->directory, NULL), *name = NULL;
  err error = path ? NULL : mem_error(0, "a path");
  if (error || !run->run_id || fs_exists(path) || strcmp(run->status, "finished") != 0)
    goto cleanup;
  TRY(directory_find_renamed(options->results, run->directory, run->started, &name));
  TRY(run_end_removal(options->results, run->directory, &is_gone));
  if (!name && !is_gone) goto cleanup;
  if (is_gone) {
    TRY(store_forget_run(s, run->run_id));
  } else {
    TRY(store_move_run(s, run->run_id, name));
    TRY(store_ingest(s, options->results, name, &run_id));
  }
  store_free_run(run);
  error = store_find_run(s, cell_id, run);
cleanup:
  free(name);
  free(path);
  return error;
}

/* True when a run's files contain more than was recorded: flipbench was killed in between, possibly
 * after the run had finished. */
static bool has_unread(const char *results, const store_run *run) {
  int64_t there = directory_size_of(results, run->directory, "attempts.jsonl") +
                  directory_size_of(results, run->directory, "events.jsonl");
  return there > run->bytes_read;
}

/* A run that is archived but still recorded in the cell's directory: flipbench was killed before it
 * renamed the folder or recorded that. */
static err finish_archiving(store *s, const run_options *options, const char *directory) {
  store_run run;
  err error = store_find_run_in(s, directory, &run);
  if (!error && run.is_archived && !options->is_dry)
    error = run_archive(s, options->results, run.run_id);
  store_free_run(&run);
  return error;
}

err run_look_again(store *s, const run_options *options, run_cell *c) {
  store_run run;
  err error = store_find_run(s, c->cell->id, &run);
  if (error) return error;
  c->state = CELL_WAITING;
  if (run.run_id) error = judge_run(s, options, &run, c);
  store_free_run(&run);
  return error;
}

/* Archived runs whose folders have more than was recorded: flipbench was killed while it restored
 * one. */
static err read_archived(store *s, const char *results, const char *cell_id) {
  int64_t id = 0, ingested;
  err error = store_next_archived(s, cell_id, id, &id);
  while (!error && id) {
    store_run run;
    error = store_load_run(s, id, &run);
    if (error) return error;
    if (has_unread(results, &run)) error = store_ingest(s, results, run.directory, &ingested);
    store_free_run(&run);
    if (!error) error = store_next_archived(s, cell_id, id, &id);
  }
  return error;
}

/* The cell's run, with what its folder has beyond the record. */
static err find_run_anew(store *s, const char *results, const char *cell_id, const char *directory,
                         store_run *run) {
  int64_t run_id;
  err error = read_archived(s, results, cell_id);
  if (!error) error = store_find_run(s, cell_id, run);
  if (error) return error;
  if (!run->run_id) { /* missing in the database: it was lost, or another process ran the cell */
    char *path = directory_path(results, directory, "attempts.jsonl");
    if (!path) return mem_error(0, "a path");
    bool is_there = fs_exists(path);
    free(path);
    if (!is_there) return NULL;
    error = store_ingest(s, results, directory, &run_id);
  } else {
    if (!has_unread(results, run)) return NULL;
    error = store_ingest(s, results, run->directory, &run_id);
  }
  store_free_run(run);
  return error ? error : store_find_run(s, cell_id, run);
}

err run_read_new(const spec_experiment *e, store *s, const char *results) {
  err error = NULL;
  for (size_t i = 0; i < e->cell_count && !error; i++) {
    store_run run = {0};
    char *directory = directory_name(e, &e->cells[i]);
    error = directory ? find_run_anew(s, results, e->cells[i].id, directory, &run)
                      : mem_error(0, "a path");
    store_free_run(&run);
    free(directory);
  }
  return error;
}

static bool is_parent(const spec_experiment *e, const spec_cell *cell) {
  for (size_t i = 0; i < e->cell_count; i++)
    if (e->cells[i].parent == cell - e->cells) return true;
  return false;
}

static err plan_cell(const spec_experiment *e, store *s, const run_options *options, run_cell *c) {
  store_run run = {0};
  err error = NULL;
  c->directory = directory_name(e, c->cell);
  if (!c->directory) return mem_error(0, "a path");
  TRY(find_run_anew(s, options->results, c->cell->id, c->directory, &run));
  TRY(finish_archiving(s, options, c->directory));
  TRY(find_folder(s, options, c->cell->id, &run));
  bool is_running = run.run_id && strcmp(run.status, "running") == 0;
  if (is_running && options->is_remote) {
    c->state = CELL_RUNNING;
    c->run_id = run.run_id;
    c->has_begun = true;
    TRY(set_directory(c, run.directory));
    goto cleanup;
  }
  if (is_running) TRY(look_at_running(s, options, &run, is_parent(e, c->cell), c));
  if (run.run_id && c->state != CELL_SKIPPED) TRY(judge_run(s, options, &run, c));
cleanup:
  store_free_run(&run);
  return error;
}

/* Cells that start from one that stays failed: a sweep skips them once it comes to them. */
static void skip_without_parent(run_sweep *sweep) {
  for (size_t i = 0; i < sweep->count; i++) {
    run_cell *c = &sweep->cells[i];
    if (c->state != CELL_WAITING || c->cell->parent == SPEC_NO_PARENT) continue;
    const run_cell *parent = &sweep->cells[c->cell->parent];
    if (parent->state == CELL_FAILED || (parent->state == CELL_SKIPPED && !parent->is_elsewhere))
      c->state = CELL_SKIPPED;
  }
}

err run_plan(const spec_experiment *e, store *s, const run_options *options, run_sweep *sweep) {
  *sweep = (run_sweep){.cells = mem_zeroed(e->cell_count, sizeof *sweep->cells)};
  if (!sweep->cells) return mem_error(e->cell_count * sizeof *sweep->cells, "the sweep");
  sweep->count = e->cell_count;
  err error = record_experiment(e, s, options->results, options->is_dry);
  for (size_t i = 0; i < sweep->count && !error; i++) {
    run_cell *c = &sweep->cells[i];
    c->cell = &e->cells[i];
    c->limits = e->cells[i].limits;
    c->predicted_seconds = c->predicted_bytes = c->lost_share = NAN;
    spec_limits_lay_over(&c->limits, &options->limits);
    c->ranks = c->cell->ranks.ranks;
    error = plan_cell(e, s, options, &sweep->cells[i]);
  }
  if (!error) error = stamps_compare(s, sweep);
  if (!error) error = again_prepare(e, s, options, sweep);
  if (!error && options->is_dry) skip_without_parent(sweep);
  if (error) run_free(sweep);
  return error;
}
