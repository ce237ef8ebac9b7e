#include "cluster/slurm.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "store/runs.h"
#include "sweep/again.h"
#include "sweep/directory.h"
#include "sweep/retry.h"
#include "cluster/slurm_queue.h"
#include "sweep/task.h"

/* A task gets SIGTERM this long before its time limit, to write a checkpoint. */
enum { WARNING_SECONDS = 60 };
/* Per array: Slurm's MaxArraySize is 1001 by default. A cluster's own may be less. */
enum { MOST_TASKS = 1000 };

void slurm_free(slurm_tasks *tasks) {
  free(tasks->items);
  *tasks = (slurm_tasks){0};
}

static err add_task(slurm_tasks *tasks, const slurm_task *one) {
  slurm_task *grown = mem_resize(tasks->items, tasks->count + 1, sizeof *grown);
  if (!grown) return mem_error(sizeof *grown, "the list of tasks");
  tasks->items = grown;
  grown[tasks->count++] = *one;
  return NULL;
}

/* ---- earlier submissions ---- */

static char *slurm_path(const run_options *options, const spec_experiment *e, const char *file) {
  strbuf path = {0};
  strbuf_format(&path, "%s/%s/slurm%s%s", options->results, e->name, file ? "/" : "",
                file ? file : "");
  return strbuf_take(&path);
}

static size_t find_cell(const run_sweep *sweep, const char *id) {
  for (size_t i = 0; i < sweep->count; i++)
    if (strcmp(sweep->cells[i].cell->id, id) == 0) return i;
  return SIZE_MAX;
}

/* Where job ids have started again, a task with the same numbers was of another cell: it is gone.
 */
static void forget_namesakes(slurm_tasks *tasks, const slurm_task *one) {
  size_t kept = 0;
  for (size_t i = 0; i < tasks->count; i++) {
    const slurm_task *old = &tasks->items[i];
    if (old->job == one->job && old->index == one->index && old->cell != one->cell) continue;
    tasks->items[kept++] = *old;
  }
  tasks->count = kept;
}

/* The newest task of each cell, from jobs.tsv. */
static err load_tasks(const spec_experiment *e, const run_options *options, const run_sweep *sweep,
                      slurm_tasks *tasks) {
  char *path = slurm_path(options, e, "jobs.tsv"), *text = NULL;
  size_t length;
  err error = path ? NULL : mem_error(0, "a path");
  if (!error && fs_exists(path)) error = fs_read(path, &text, &length);
  for (char *rest = text, *line; !error && (line = strsep(&rest, "\n"));) {
    slurm_task one = {.attempts = -1};
    char id[HASH_SIZE];
    if (sscanf(line, "%" SCNd64 "\t%d\t%32s\t%" SCNd64, &one.job, &one.index, id, &one.attempts) <
        3)
      continue;
    one.cell = find_cell(sweep, id);
    forget_namesakes(tasks, &one);
    if (one.cell == SIZE_MAX) continue;
    size_t known = 0;
    while (known < tasks->count && tasks->items[known].cell != one.cell) known++;
    if (known < tasks->count)
      tasks->items[known] = one;
    else
      error = add_task(tasks, &one);
  }
  free(text);
  free(path);
  return error;
}

/* Keeps those that Slurm still knows, and those whose end has not been seen yet. */
static void drop_gone(const run_sweep *sweep, slurm_tasks *tasks) {
  size_t kept = 0;
  for (size_t i = 0; i < tasks->count; i++) {
    const slurm_task *task = &tasks->items[i];
    if (task->is_queued || sweep->cells[task->cell].state == CELL_RUNNING)
      tasks->items[kept++] = *task;
  }
  tasks->count = kept;
}

static slurm_task *task_of(const slurm_tasks *tasks, size_t cell) {
  for (size_t i = 0; i < tasks->count; i++)
    if (tasks->items[i].cell == cell) return &tasks->items[i];
  return NULL;
}

/* ---- arrays ---- */

/* The cells of one sbatch call. */
typedef struct {
  const char *tuning; /* NULL: cells of the matrix */
  int64_t after;      /* job whose task of the same index must succeed first; 0: none */
  int64_t ranks, nodes;
  size_t cells[MOST_TASKS];
  int indices[MOST_TASKS];
  size_t count;
} batch;

static bool is_submitted_already(const slurm_tasks *tasks, size_t cell) {
  return task_of(tasks, cell) != NULL;
}

/* Does cell i belong to the next batch, and if so, after which job and with which index? */
static bool belongs(const run_sweep *sweep, const slurm_tasks *tasks, size_t i, const char *tuning,
                    int64_t *after, int *index) {
  const run_cell *c = &sweep->cells[i];
  if (c->state != CELL_WAITING || is_submitted_already(tasks, i)) return false;
  if ((tuning == NULL) != (c->cell->tuning == NULL)) return false;
  if (tuning && strcmp(tuning, c->cell->tuning) != 0) return false;
  *after = 0;
  *index = -1; /* any */
  if (c->cell->parent == SPEC_NO_PARENT) return true;
  const run_cell *parent = &sweep->cells[c->cell->parent];
  const slurm_task *task = task_of(tasks, (size_t)c->cell->parent);
  if (parent->state == CELL_FINISHED) return true;
  if (!task) return false; /* its parent has failed, or has not been submitted yet */
  *after = task->job;
  *index = task->index;
  return true;
}

/* An array has one set of options. The limits of some cells are no limits of those without any. */
static bool have_same_options(const run_cell *a, const run_cell *b) {
  return a->ranks == b->ranks &&
         spec_nodes_of(a->cell, a->ranks) == spec_nodes_of(b->cell, b->ranks) &&
         (a->limits.time_seconds > 0) == (b->limits.time_seconds > 0) &&
         (a->limits.memory_bytes > 0) == (b->limits.memory_bytes > 0);
}

/* The next cells that can go into one array of at most `most`; count 0: none. */
static void next_batch(const run_sweep *sweep, const slurm_tasks *tasks, size_t most, batch *b) {
  b->count = 0;
  for (size_t i = 0; i < sweep->count && b->count < most; i++) {
    int64_t after;
    int index;
    const char *tuning = b->count ? b->tuning : sweep->cells[i].cell->tuning;
    if (!belongs(sweep, tasks, i, tuning, &after, &index)) continue;
    const run_cell *c = &sweep->cells[i], *first = &sweep->cells[b->count ? b->cells[0] : i];
    if (b->count && (after != b->after || !have_same_options(c, first))) continue;
    b->ranks = c->ranks;
    b->nodes = spec_nodes_of(c->cell, c->ranks);
    b->tuning = tuning;
    b->after = after;
    b->cells[b->count] = i;
    b->indices[b->count] = index < 0 ? (int)b->count : index;
    b->count++;
  }
}

/* sbatch divides its lines at spaces, ends them at '#', and reads quotes and backslashes. */
static void put_value(strbuf *out, const char *value) {
  static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                              "_-+=.,:/@%";
  if (value[strspn(value, plain)] == '\0') {
    strbuf_append(out, value);
    return;
  }
  strbuf_append_char(out, '"');
  for (; *value; value++) {
    if (*value == '"' || *value == '\\') strbuf_append_char(out, '\\');
    strbuf_append_char(out, *value);
  }
  strbuf_append_char(out, '"');
}

static void put_option(strbuf *out, const char *name, const char *value) {
  if (!value || !*value) return;
  strbuf_format(out, "#SBATCH --%s=", name);
  put_value(out, value);
  strbuf_append_char(out, '\n');
}

static void put_job_name(const spec_experiment *e, const batch *b, strbuf *out) {
  strbuf name = {0};
  strbuf_format(&name, "%s%s%s", e->name, b->tuning ? "-" : "", b->tuning ? b->tuning : "");
  put_option(out, "job-name", strbuf_string(&name));
  strbuf_free(&name);
}

/* JOB_TASK.out. A '%' of the path is doubled: Slurm replaces what follows a single one. */
static void put_output(const spec_experiment *e, const run_options *options, strbuf *out) {
  strbuf folder = {0}, path = {0};
  strbuf_format(&folder, "%s/%s/slurm/", options->results, e->name);
  for (const char *at = strbuf_string(&folder); *at; at++) {
    if (*at == '%') strbuf_append_char(&path, '%');
    strbuf_append_char(&path, *at);
  }
  strbuf_append(&path, "%A_%a.out");
  put_option(out, "output", strbuf_string(&path));
  strbuf_free(&folder);
  strbuf_free(&path);
}

static void put_number(strbuf *out, const char *name, int64_t value, const char *unit) {
  if (value > 0) strbuf_format(out, "#SBATCH --%s=%" PRId64 "%s\n", name, value, unit);
}

/* The greatest limits within the batch: an array has one set of them. 0: none. */
static spec_limits greatest_limits(const run_sweep *sweep, const batch *b) {
  spec_limits most = {0};
  for (size_t i = 0; i < b->count; i++) {
    const spec_limits *own = &sweep->cells[b->cells[i]].limits;
    if (own->time_seconds > most.time_seconds) most.time_seconds = own->time_seconds;
    if (own->memory_bytes > most.memory_bytes) most.memory_bytes = own->memory_bytes;
  }
  return most;
}

static void put_array(const spec_experiment *e, const batch *b, strbuf *out) {
  strbuf_append(out, "#SBATCH --array=");
  for (size_t i = 0; i < b->count; i++) strbuf_format(out, "%s%d", i ? "," : "", b->indices[i]);
  if (e->slurm.at_once > 0) strbuf_format(out, "%%%" PRId64, e->slurm.at_once);
  strbuf_append_char(out, '\n');
}

/* Slurm counts in minutes, and sends SIGTERM before the end. Within a minute or two there would be
 * nothing left to train in: then the limit is when the signal is sent. */
static int64_t minutes_of(double seconds) {
  double warning = seconds > 0 && seconds < 2 * WARNING_SECONDS ? WARNING_SECONDS : 0;
  return (int64_t)ceil((seconds + warning) / 60);
}

static void write_script(const spec_experiment *e, const run_options *options,
                         const slurm_wishes *wishes, const run_sweep *sweep, const batch *b,
                         const char *list, strbuf *out) {
  const spec_slurm *own = &e->slurm;
  spec_limits most = greatest_limits(sweep, b);
  strbuf_append(out, "#!/bin/bash\n");
  put_job_name(e, b, out);
  put_option(out, "partition", wishes->partition ? wishes->partition : own->partition);
  put_option(out, "account", wishes->account ? wishes->account : own->account);
  put_option(out, "qos", own->qos);
  put_option(out, "constraint", own->constraint);
  put_array(e, b, out);
  put_output(e, options, out);
  int64_t here = b->ranks / b->nodes; /* on each node */
  strbuf_append(out, "#SBATCH --open-mode=append\n#SBATCH --requeue\n");
  put_number(out, "ntasks", b->ranks, "");
  if (b->ranks > 1) put_number(out, "nodes", b->nodes, "");
  if (b->nodes > 1) put_number(out, "ntasks-per-node", here, "");
  put_number(out, "time", minutes_of(most.time_seconds), "");
  put_number(out, "mem", (most.memory_bytes * here + (1 << 20) - 1) >> 20, "M");
  put_number(out, "cpus-per-task", e->requires.cores, "");
  if (e->requires.gpus > 0)
    strbuf_format(out, "#SBATCH --gres=gpu:%" PRId64 "\n", e->requires.gpus * here);
  strbuf_format(out, "#SBATCH --signal=B:TERM@%d\n", WARNING_SECONDS);
  if (b->after)
    strbuf_format(out,
                  "#SBATCH --dependency=aftercorr:%" PRId64 "\n#SBATCH --kill-on-invalid-dep=yes\n",
                  b->after);
  for (size_t i = 0; i < own->options.count; i++)
    strbuf_format(out, "#SBATCH %s\n", own->options.items[i]);
  for (size_t i = 0; i < own->setup.count; i++) strbuf_format(out, "%s\n", own->setup.items[i]);
  strbuf_append(out, "FLIP=");
  strbuf_quote(out, options->flip);
  strbuf_append(out, " exec ");
  strbuf_quote(out, wishes->flipbench);
  strbuf_append(out, " task --results ");
  strbuf_quote(out, options->results);
  strbuf_append_char(out, ' ');
  strbuf_quote(out, list);
  strbuf_append(out, " \"$SLURM_ARRAY_TASK_ID\"\n");
}

static err write_list(const spec_experiment *e, const run_sweep *sweep, const batch *b,
                      const char *folder, const char *path) {
  strbuf text = {0};
  err error = NULL;
  for (size_t i = 0; i < b->count && !error; i++) {
    const run_cell *c = &sweep->cells[b->cells[i]];
    const char *parent =
        c->cell->parent == SPEC_NO_PARENT ? NULL : sweep->cells[c->cell->parent].directory;
    error = task_write(e, c, parent, b->indices[i], folder, &text);
  }
  if (!error && text.is_broken) error = mem_error(text.length, path);
  if (!error) error = fs_write_atomic(path, text.data, text.length);
  strbuf_free(&text);
  return error;
}

/* jobs.tsv: written before the database is updated, so that a killed flipbench finds its jobs. */
static err remember(const char *path, const batch *b, const int64_t *attempts, int64_t job,
                    const run_sweep *sweep, slurm_tasks *tasks) {
  strbuf text = {0};
  err error = NULL;
  for (size_t i = 0; i < b->count && !error; i++) {
    slurm_task one = {.cell = b->cells[i],
                      .job = job,
                      .index = b->indices[i],
                      .is_queued = true,
                      .attempts = attempts[i]};
    strbuf_format(&text, "%" PRId64 "\t%d\t%s\t%" PRId64 "\n", job, one.index,
                  sweep->cells[one.cell].cell->id, one.attempts);
    error = add_task(tasks, &one);
  }
  if (!error && text.is_broken) error = mem_error(text.length, path);
  int fd = error ? -1 : open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (!error && fd < 0) error = err_errno(errno, "%s: cannot open", path);
  if (!error) error = fs_write_all(fd, text.data, text.length, path);
  if (fd >= 0) close(fd);
  strbuf_free(&text);
  return error;
}

/* The processes that the cells had so far, before a job of theirs can start another. */
static err count_attempts(const run_options *options, const run_sweep *sweep, const batch *b,
                          int64_t *attempts) {
  err error = NULL;
  for (size_t i = 0; i < b->count && !error; i++) {
    int next = 1;
    error = directory_next_attempt(options->results, sweep->cells[b->cells[i]].directory, &next);
    attempts[i] = next - 1;
  }
  return error;
}

/* Signals wait meanwhile: a job that is submitted but not recorded would be submitted again. */
static err submit_recorded(const char *script, const char *jobs, const slurm_wishes *wishes,
                           const batch *b, const int64_t *attempts, const run_sweep *sweep,
                           slurm_tasks *tasks) {
  sigset_t blocked, before;
  strbuf said = {0};
  int64_t job = 0;
  run_block_stops(&blocked, &before);
  err error = slurm_sbatch(script, &job, &said);
  if (!error) error = remember(jobs, b, attempts, job, sweep, tasks);
  sigprocmask(SIG_SETMASK, &before, NULL);
  if (!error && wishes->said && said.length)
    strbuf_format(wishes->said, "%s\n", strbuf_string(&said));
  strbuf_free(&said);
  return error;
}

static err submit_batch(const spec_experiment *e, const run_options *options,
                        const slurm_wishes *wishes, const run_sweep *sweep, const batch *b,
                        int number, slurm_tasks *tasks) {
  char *folder = slurm_path(options, e, NULL), *jobs = slurm_path(options, e, "jobs.tsv");
  int64_t *attempts = mem_zeroed(b->count, sizeof *attempts);
  strbuf list = {0}, script = {0}, text = {0};
  err error = NULL;
  if (!folder || !jobs || !attempts) FAIL(ERR_MEMORY, "out of memory: a job array");
  strbuf_format(&list, "%s/tasks-%ld-%ld-%d.jsonl", folder, (long)time(NULL), (long)getpid(),
                number);
  strbuf_format(&script, "%.*s.sh", (int)(list.length - 6), strbuf_string(&list));
  write_script(e, options, wishes, sweep, b, strbuf_string(&list), &text);
  if (text.is_broken) FAIL(ERR_MEMORY, "out of memory: the job's script");
  if (wishes->preview) {
    strbuf_format(wishes->preview, "# %s\n%s\n", strbuf_string(&script), strbuf_string(&text));
    /* dependencies of a later array */
    error = remember("/dev/null", b, attempts, number, sweep, tasks);
    goto cleanup;
  }
  TRY(write_list(e, sweep, b, folder, strbuf_string(&list)));
  TRY(fs_write_atomic(strbuf_string(&script), text.data, text.length));
  TRY(count_attempts(options, sweep, b, attempts));
  TRY(submit_recorded(strbuf_string(&script), jobs, wishes, b, attempts, sweep, tasks));
cleanup:
  free(folder);
  free(jobs);
  free(attempts);
  strbuf_free(&list);
  strbuf_free(&script);
  strbuf_free(&text);
  return error;
}

/* A run that is recorded as running, without a task in the queue: it has ended since run_plan read
 * its record, or its machine was lost. One whose lock is held still writes, and is followed. */
static err settle_running(const spec_experiment *e, store *s, const run_options *options,
                          const slurm_tasks *tasks, run_sweep *sweep) {
  err error = NULL;
  for (size_t i = 0; i < sweep->count && !error; i++) {
    run_cell *c = &sweep->cells[i];
    const slurm_task *task = task_of(tasks, i);
    bool is_alive = false;
    if (c->state != CELL_RUNNING || (task && task->is_queued)) continue;
    /* without a task another machine started it: where locks are local, its lock is not seen */
    error = task ? run_close_lost(s, options->results, c->directory, &is_alive)
                 : run_close_gone(s, options->results, c->directory);
    if (!error && !is_alive) error = run_look_again(s, options, c);
    if (!error && c->state == CELL_FINISHED) error = again_follow(e, s, options, sweep, i);
  }
  return error;
}

/* Two processes that submit at once would both find a cell without a task. */
static err lock_submission(const spec_experiment *e, const run_options *options, int *fd) {
  char *folder = slurm_path(options, e, NULL), *path = slurm_path(options, e, "lock");
  strbuf what = {0};
  err error = NULL;
  if (!folder || !path) FAIL(ERR_MEMORY, "out of memory: a path");
  strbuf_format(&what, "%s/jobs.tsv, the list of submitted jobs,", folder);
  TRY(fs_make_folders(folder));
  TRY(fs_lock(path, strbuf_string(&what), fd));
cleanup:
  free(folder);
  free(path);
  strbuf_free(&what);
  return error;
}

/* A '\\' in the path of its output keeps Slurm from replacing the task's numbers in it. */
static err check_path(const run_options *options) {
  if (!strchr(options->results, '\\')) return NULL;
  return err_new(ERR_INPUT,
                 "%s: Slurm cannot write the tasks' output below a folder with a backslash in its "
                 "name; choose another one with --results",
                 options->results);
}

static err submit_waiting(const spec_experiment *e, const run_options *options,
                          const slurm_wishes *wishes, const run_sweep *sweep, batch *b,
                          slurm_tasks *tasks) {
  size_t most = MOST_TASKS;
  bool is_asked = wishes->preview; /* which needs no cluster */
  for (int number = 1;; number++) {
    int64_t allowed;
    next_batch(sweep, tasks, most, b);
    if (!b->count) return NULL;
    if (!is_asked && slurm_most_tasks(&allowed) && allowed < MOST_TASKS) {
      if (allowed < 1)
        return err_new(ERR_UNSUPPORTED, "this cluster has no job arrays (its MaxArraySize is 0)");
      most = (size_t)allowed;
      next_batch(sweep, tasks, most, b);
    }
    is_asked = true;
    err error = submit_batch(e, options, wishes, sweep, b, number, tasks);
    if (error) return error;
  }
}

err slurm_submit(const spec_experiment *e, store *s, const run_options *options,
                 const slurm_wishes *wishes, run_sweep *sweep, slurm_tasks *tasks) {
  int lock_fd = -1;
  *tasks = (slurm_tasks){0};
  err error = check_path(options);
  if (error) return error;
  batch *b = mem_zeroed(1, sizeof *b);
  if (!b) return mem_error(sizeof *b, "the job array");
  if (!wishes->preview) {
    TRY(lock_submission(e, options, &lock_fd));
    TRY(load_tasks(e, options, sweep, tasks));
    TRY(slurm_look(tasks));
    TRY(settle_running(e, s, options, tasks, sweep));
    drop_gone(sweep, tasks);
  }
  TRY(submit_waiting(e, options, wishes, sweep, b, tasks));
cleanup:
  if (lock_fd >= 0) close(lock_fd);
  free(b);
  if (error) slurm_free(tasks);
  return error;
}

/* ---- retries ---- */

static err consider_retry(store *s, const run_options *options, run_cell *c, bool *is_retried) {
  store_run run;
  strbuf why = {0};
  *is_retried = false;
  err error = store_find_run(s, c->cell->id, &run);
  if (error) return error;
  bool has_checkpoint = directory_has_checkpoint(options->results, c->directory);
  bool has_failed = run.run_id && run.run_id == c->run_id && strcmp(run.status, "failed") == 0;
  if (has_failed && retry_is_worth_it(run.kind, has_checkpoint)) {
    c->tries++;
    strbuf_format(&why, "retry %d of %" PRId64 " after %s: %s", c->tries, c->limits.retries,
                  run.kind, run.message);
    strbuf fewer = {0};
    retry_on_fewer_ranks(run.kind, c, &fewer);
    if (fewer.length) strbuf_format(&why, "; %s", strbuf_string(&fewer));
    strbuf_free(&fewer);
    free(c->why);
    c->why = strbuf_take(&why);
    error = retry_prepare(s, options, run.kind, c);
    *is_retried = true;
  }
  store_free_run(&run);
  return error;
}

err slurm_prepare_retries(store *s, const run_options *options, run_sweep *sweep, size_t *count) {
  err error = NULL;
  *count = 0;
  for (size_t i = 0; i < sweep->count && !error; i++) { /* parents come before their children */
    run_cell *c = &sweep->cells[i];
    bool is_retried;
    if (c->state != CELL_FAILED) continue;
    if (!c->run_id && c->cell->parent != SPEC_NO_PARENT &&
        sweep->cells[c->cell->parent].state == CELL_WAITING) {
      c->state = CELL_WAITING;
      continue;
    }
    if (c->tries >= c->limits.retries) continue;
    error = consider_retry(s, options, c, &is_retried);
    *count += is_retried;
  }
  return error;
}
