#include "sweep/task.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <jansson.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/json_read.h"
#include "base/mem.h"
#include "sweep/process.h"

/* ---- writing ---- */

static err write_settings(const run_cell *cell, const char *path) {
  strbuf text = {0};
  settings_write_yaml(&cell->cell->settings, &text);
  err error = text.is_broken ? mem_error(text.length, "the cell's settings")
                             : fs_write_atomic(path, text.data, text.length);
  strbuf_free(&text);
  return error;
}

err task_write(const spec_experiment *e, const run_cell *cell, const char *parent, int index,
               const char *folder, strbuf *line) {
  strbuf path = {0};
  strbuf_format(&path, "%s/cell-%s.yaml", folder, cell->cell->id);
  err error = write_settings(cell, strbuf_string(&path));
  json_writer w = jsonw_start(line);
  jsonw_object(&w, NULL);
  jsonw_integer(&w, "index", index);
  jsonw_string(&w, "cell", cell->cell->id);
  jsonw_string(&w, "label", cell->cell->label);
  jsonw_string(&w, "directory", cell->directory);
  jsonw_string(&w, "config", fs_name(strbuf_string(&path)));
  jsonw_string(&w, "parent", parent);
  jsonw_string(&w, "why", cell->why ? cell->why : "first");
  jsonw_number(&w, "limit_seconds", cell->limits.time_seconds);
  jsonw_integer(&w, "limit_bytes", cell->limits.memory_bytes);
  jsonw_integer(&w, "ranks", cell->ranks);
  jsonw_integer(&w, "nodes", spec_nodes_of(cell->cell, cell->ranks));
  jsonw_integer(&w, "cores", e->requires.cores);
  jsonw_string(&w, "mpi", e->slurm.mpi ? e->slurm.mpi : "pmix");
  if (!isnan(cell->predicted_seconds))
    jsonw_number(&w, "predicted_seconds", cell->predicted_seconds);
  if (!isnan(cell->predicted_bytes)) jsonw_number(&w, "predicted_bytes", cell->predicted_bytes);
  jsonw_object(&w, "environment");
  for (size_t i = 0; i < e->environment.count; i++)
    jsonw_string(&w, e->environment.items[i].key, e->environment.items[i].value);
  jsonw_end(&w);
  jsonw_end(&w);
  strbuf_append_char(line, '\n');
  strbuf_free(&path);
  return error;
}

/* ---- reading ---- */

typedef struct {
  spec_cell cell;
  run_cell run;
  char *parent; /* NULL: starts from no other cell */
  char *mpi;    /* for srun */
  int64_t cores;
  spec_pairs environment;
} task;

static void free_task(task *t) {
  settings_free(&t->cell.settings);
  free(t->cell.label);
  free(t->run.directory);
  free(t->run.reason);
  free(t->run.why);
  free(t->parent);
  free(t->mpi);
  for (size_t i = 0; i < t->environment.count; i++) {
    free(t->environment.items[i].key);
    free(t->environment.items[i].value);
  }
  free(t->environment.items);
}

static err read_environment(const json_t *object, spec_pairs *environment) {
  const char *key;
  json_t *value;
  json_t *map = json_object_get(object, "environment");
  environment->items = mem_zeroed(json_object_size(map) + 1, sizeof *environment->items);
  if (!environment->items) return mem_error(0, "the task");
  json_object_foreach(map, key, value) {
    spec_pair *pair = &environment->items[environment->count++];
    pair->key = mem_copy_string(key);
    pair->value = mem_copy_string(json_string_value(value));
    if (!pair->key || !pair->value) return mem_error(0, "the task");
  }
  return NULL;
}

/* Lists of older versions say nothing of ranks: 1. */
static int64_t count_of(const json_t *object, const char *key) {
  json_int_t value = json_integer_value(json_object_get(object, key));
  return value > 0 ? value : 1;
}

static err fill_task(const json_t *object, const char *list, task *t) {
  char *folder = mem_copy_string(list), *config = NULL;
  err error = NULL;
  if (!folder) return mem_error(0, "the task");
  char *slash = strrchr(folder, '/');
  if (slash) *slash = '\0';
  config = fs_join(slash ? folder : ".", json_text_of(object, "config"));
  snprintf(t->cell.id, sizeof t->cell.id, "%s", json_text_of(object, "cell"));
  t->cell.label = mem_copy_string(json_text_of(object, "label"));
  t->cell.parent = SPEC_NO_PARENT;
  t->cell.ranks =
      (spec_ranks){.ranks = count_of(object, "ranks"), .nodes = count_of(object, "nodes")};
  t->cores = json_integer_value(json_object_get(object, "cores"));
  t->mpi = mem_copy_string(*json_text_of(object, "mpi") ? json_text_of(object, "mpi") : "pmix");
  t->run = (run_cell){.cell = &t->cell,
                      .directory = mem_copy_string(json_text_of(object, "directory")),
                      .why = mem_copy_string(json_text_of(object, "why")),
                      .ranks = t->cell.ranks.ranks,
                      .limits = {.time_seconds = json_number_of(object, "limit_seconds"),
                                 .memory_bytes = (int64_t)json_number_of(object, "limit_bytes")},
                      .predicted_seconds = json_number_of(object, "predicted_seconds"),
                      .predicted_bytes = json_number_of(object, "predicted_bytes")};
  if (*json_text_of(object, "parent")) t->parent = mem_copy_string(json_text_of(object, "parent"));
  if (!config || !t->cell.label || !t->run.directory || !t->run.why || !t->mpi)
    error = mem_error(0, "the task");
  if (!error) error = read_environment(object, &t->environment);
  if (!error) error = settings_load(config, &t->cell.settings);
  free(config);
  free(folder);
  return error;
}

static err read_task(const char *list, int index, task *t) {
  char *text = NULL;
  size_t length;
  bool is_found = false;
  err error = fs_read(list, &text, &length);
  for (char *rest = text, *line; !error && !is_found && (line = strsep(&rest, "\n"));) {
    json_t *object = json_loads(line, 0, NULL);
    is_found = object && json_integer_value(json_object_get(object, "index")) == index;
    if (is_found) error = fill_task(object, list, t);
    json_decref(object);
  }
  free(text);
  if (!error && !is_found) error = err_new(ERR_INPUT, "%s: no task %d", list, index);
  return error;
}

/* ---- running ---- */

/* The whole allocation from the cluster is one slot. */
static err run_trainer(const run_options *options, task *t, const char *init_from, int lock_fd) {
  sigset_t blocked, unblocked;
  process p = {0};
  char kind[64];
  int wait_status = 0;
  struct rusage used = {0};
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGTERM);
  sigaddset(&blocked, SIGINT);
  sigaddset(&blocked, SIGCHLD);
  sigprocmask(SIG_BLOCK, &blocked, &unblocked);
  process_wishes wishes = {.init_from = init_from,
                           .origin_loss = (double)NAN, /* there is no database here */
                           .environment = &t->environment,
                           .mpi = t->mpi,
                           .cores = t->cores,
                           .lock_fd = lock_fd,
                           .unblocked = &unblocked};
  int64_t memory = t->run.limits.memory_bytes;
  t->run.limits.memory_bytes = 0; /* the cluster enforces the memory limit */
  err error = process_start(options, NULL, &t->run, &wishes, &p);
  t->run.limits.memory_bytes = memory;
  if (p.pid <= 0) {
    close(lock_fd);
    return error;
  }
  while (!process_has_ended(&p, &wait_status, &used)) {
    const struct timespec moment = {0, 200 * 1000 * 1000};
    int number = sigtimedwait(&blocked, NULL, &moment);
    /* once: at its time limit Slurm signals the trainer too, and its third signal would end it */
    bool is_asked = number == SIGTERM || number == SIGINT;
    if (is_asked && p.stop == STOP_NONE) process_stop(&p, STOP_ASKED);
    process_look_after_ranks(options, &t->run, &p);
  }
  err ending = process_finish(options, NULL, &t->run, &p, wait_status, &used, kind);
  if (!error) return ending;
  err_free(ending);
  return error;
}

/* An earlier process of this cell without a recorded end: its machine was lost, or the task was
 * preempted and requeued. */
static err close_open_attempt(const run_options *options, const char *directory) {
  int open_attempt;
  err error = directory_open_attempt(options->results, directory, &open_attempt);
  if (error || !open_attempt) return error;
  char *tail = directory_log_tail(options->results, directory);
  attempt_end end = {.status = "interrupted",
                     .kind = "lost",
                     .message = "its machine was lost, or the task was requeued",
                     .log_tail = tail ? tail : "",
                     .exit_code = -1};
  error = directory_mend_lines(options->results, directory, "attempts.jsonl");
  if (!error) error = directory_record_end(options->results, directory, open_attempt, &end);
  free(tail);
  return error;
}

static err take_task(const run_options *options, task *t, int lock_fd) {
  char *init_from = NULL;
  err error = NULL;
  TRY(close_open_attempt(options, t->run.directory));
  t->run.has_begun = directory_has_checkpoint(options->results, t->run.directory);
  if (t->parent) {
    TRY(directory_last_checkpoint(options->results, t->parent, &init_from));
    if (!init_from)
      FAIL(ERR_INPUT, "%s: its parent cell has no checkpoint, or the last one is gone: %s",
           t->cell.label, t->parent);
  }
  error = run_trainer(options, t, init_from, lock_fd);
  lock_fd = -1;
cleanup:
  if (lock_fd >= 0) close(lock_fd);
  free(init_from);
  return error;
}

err task_run(const run_options *options, const char *list, int index, run_state *state) {
  task t = {0};
  char *path = NULL;
  int lock_fd = -1;
  lock_state lock;
  lock_holder holder;
  bool is_finished;
  err error = NULL;
  TRY(read_task(list, index, &t));
  path = directory_path(options->results, t.run.directory, NULL);
  if (!path) FAIL(ERR_MEMORY, "out of memory: a path");
  TRY(fs_make_folders(path));
  TRY(directory_lock(options->results, t.run.directory, &lock_fd, &lock, &holder));
  if (lock != LOCK_TAKEN)
    FAIL(ERR_IO, "%s: process %ld on %s is running this cell", path, (long)holder.pid,
         *holder.host ? holder.host : "an unknown machine");
  TRY(directory_is_finished(options->results, t.run.directory, &is_finished));
  if (is_finished) {
    close(lock_fd);
    t.run.state = CELL_FINISHED;
  } else {
    TRY(take_task(options, &t, lock_fd));
  }
  *state = t.run.state;
cleanup:
  free(path);
  free_task(&t);
  return error;
}
