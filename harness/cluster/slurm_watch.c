/* Follows submitted cells to their end. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "store/runs.h"
#include "sweep/directory.h"
#include "sweep/display.h"
#include "cluster/slurm_queue.h"

/* The shared file system may show a task's last events only after the queue has dropped it. */
enum { LOOKS_BEFORE_LOST = 3 };
static const double look_seconds = 2;

typedef struct {
  const spec_experiment *e;
  store *s;
  const run_options *options;
  run_sweep *sweep;
  slurm_tasks *tasks;
  display shown;
} watcher;

static void say_end(watcher *w, const run_cell *c, const slurm_task *task) {
  bool is_good = c->state == CELL_FINISHED;
  display_say(&w->shown, "%s %s · %s (job %lld_%d)%s%s", is_good ? "✓" : "✗", c->cell->label,
              run_state_name(c->state), (long long)task->job, task->index,
              c->reason && *c->reason ? ": " : "", c->reason ? c->reason : "");
}

static err set_reason(run_cell *c, const char *text) {
  free(c->reason);
  c->reason = mem_copy_string(text);
  return c->reason ? NULL : mem_error(0, "a message");
}

/* A task that Slurm no longer knows and whose cell has no end: cancelled before it began, or killed
 * with its machine. */
static err settle_missing(watcher *w, run_cell *c, const store_run *run) {
  if (!run->run_id || c->state == CELL_WAITING) {
    c->state = CELL_FAILED;
    return set_reason(c, "its task left the queue before it started: cancelled, or its dependency "
                         "failed");
  }
  err error = run_close_lost(w->s, w->options->results, c);
  c->state = CELL_INTERRUPTED;
  return error ? error
               : set_reason(c, "its task ended without recording a result: cancelled, or its node "
                               "was lost");
}

/* The current state of one task's cell; *is_over: it is final. */
static err look_at_task(watcher *w, slurm_task *task, bool *is_over) {
  run_cell *c = &w->sweep->cells[task->cell];
  store_run run;
  *is_over = false;
  err error = store_ingest(w->s, w->options->results, c->directory, &c->run_id);
  if (error) return error;
  error = store_find_run(w->s, c->cell->id, &run);
  if (error) return error;
  bool has_begun = run.run_id == c->run_id && run.run_id;
  if (has_begun && strcmp(run.status, "running") == 0) c->state = CELL_RUNNING;
  /* an end counts once the queue has dropped the task: it may be requeued */
  if (!task->is_queued && has_begun && strcmp(run.status, "running") != 0) {
    c->state = strcmp(run.status, "finished") == 0      ? CELL_FINISHED
               : strcmp(run.status, "interrupted") == 0 ? CELL_INTERRUPTED
                                                        : CELL_FAILED;
    if (c->state != CELL_FINISHED) error = set_reason(c, *run.message ? run.message : run.kind);
    *is_over = true;
  } else if (!task->is_queued && task->missed >= LOOKS_BEFORE_LOST) {
    error = settle_missing(w, c, &run);
    *is_over = true;
  }
  c->ran_now = c->ran_now || *is_over;
  if (*is_over) say_end(w, c, task);
  store_free_run(&run);
  return error;
}

static void show(watcher *w) {
  size_t running = 0, pending = 0;
  strbuf closing = {0};
  char elapsed[TEXT_NUMBER_SIZE];
  if (!display_is_due(&w->shown)) return;
  for (size_t i = 0; i < w->tasks->count; i++)
    if (strcmp(w->tasks->items[i].state, "PENDING") == 0)
      pending++;
    else
      running++;
  strbuf_format(&closing, "%zu/%zu cells finished · tasks: %zu running, %zu waiting · %s",
                run_count(w->sweep, CELL_FINISHED), w->sweep->count, running, pending,
                text_duration(clock_seconds() - w->shown.started, elapsed));
  display_draw(&w->shown, NULL, 0, strbuf_string(&closing));
  strbuf_free(&closing);
}

static bool wait_for_signal(const sigset_t *blocked) {
  const struct timespec pause = {(time_t)look_seconds, 0};
  int number = sigtimedwait(blocked, NULL, &pause);
  return number == SIGINT || number == SIGTERM || number == SIGHUP;
}

/* The queue may be unreachable for a while; the cells' directories are read anyway. */
static void look_at_queue(watcher *w, bool *is_silent) {
  err error = slurm_look(w->tasks);
  if (error && !*is_silent)
    display_say(&w->shown, "%s; retrying every %.0f s", err_message(error), look_seconds);
  *is_silent = error != NULL;
  err_free(error);
}

static err follow(watcher *w, const sigset_t *blocked) {
  bool is_silent = false;
  err error = NULL;
  while (w->tasks->count && !error) {
    size_t kept = 0;
    look_at_queue(w, &is_silent);
    for (size_t i = 0; i < w->tasks->count && !error; i++) {
      bool is_over;
      error = look_at_task(w, &w->tasks->items[i], &is_over);
      if (!is_over) w->tasks->items[kept++] = w->tasks->items[i];
    }
    if (error) break;
    w->tasks->count = kept;
    show(w);
    if (kept && wait_for_signal(blocked)) {
      w->sweep->is_interrupted = true;
      break;
    }
  }
  return error;
}

err slurm_watch(const spec_experiment *e, store *s, const run_options *options, run_sweep *sweep,
                slurm_tasks *tasks) {
  static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
  watcher w = {e, s, options, sweep, tasks, display_start(options->shows_progress)};
  sigset_t blocked, before;
  sigemptyset(&blocked);
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) sigaddset(&blocked, numbers[i]);
  sigprocmask(SIG_BLOCK, &blocked, &before);
  err error = follow(&w, &blocked);
  display_finish(&w.shown);
  sigprocmask(SIG_SETMASK, &before, NULL);
  return error;
}
