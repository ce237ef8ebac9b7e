/* Follows submitted cells to their end. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "store/runs.h"
#include "sweep/again.h"
#include "sweep/directory.h"
#include "sweep/display.h"
#include "cluster/slurm_queue.h"

/* The shared file system may show a task's last events only after the queue has dropped it. */
enum { LOOKS_BEFORE_LOST = 3 };
static const double look_seconds = 2;
/* NFS may say for a minute that a new file is not there. */
static const double usual_unseen_seconds = 60;

typedef struct {
  const spec_experiment *e;
  store *s;
  const run_options *options;
  run_sweep *sweep;
  slurm_tasks *tasks;
  double unseen_seconds; /* how long the first events of a task may be missing after its end */
  display shown;
} watcher;

static double unseen_seconds(void) {
  const char *given = getenv("FLIPBENCH_UNSEEN_SECONDS");
  double seconds;
  return given && text_parse_real(given, &seconds) ? seconds : usual_unseen_seconds;
}

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

/* The recorded end of a cell. */
static err take_end(run_cell *c, const store_run *run) {
  c->state = strcmp(run->status, "finished") == 0      ? CELL_FINISHED
             : strcmp(run->status, "interrupted") == 0 ? CELL_INTERRUPTED
                                                       : CELL_FAILED;
  return c->state == CELL_FINISHED ? NULL : set_reason(c, *run->message ? run->message : run->kind);
}

/* A task that Slurm no longer knows and whose trainer has recorded no end: killed with its machine,
 * unless its lock is held. */
static err settle_lost(watcher *w, run_cell *c, bool *is_over) {
  bool is_alive;
  store_run run;
  err error = run_close_lost(w->s, w->options->results, c->directory, &is_alive);
  if (error || is_alive) return error;
  error = store_find_run(w->s, c->cell->id, &run);
  if (error) return error;
  *is_over = true;
  error = take_end(c, &run);
  if (!error && strcmp(run.kind, "lost") == 0)
    error = set_reason(c, "its task ended without recording a result: cancelled, or its node was "
                          "lost");
  store_free_run(&run);
  return error;
}

/* Where the output of a task is, and its last lines; false: it has none. */
static bool describe_output(const watcher *w, const slurm_task *task, strbuf *out) {
  enum { LINES = 3 };
  strbuf folder = {0}, file = {0};
  strbuf_format(&folder, "%s/slurm", w->e->name);
  strbuf_format(&file, "%lld_%d.out", (long long)task->job, task->index);
  char *tail = directory_tail(w->options->results, strbuf_string(&folder), strbuf_string(&file));
  bool has_output = tail && *tail;
  if (has_output) {
    strbuf_format(out, "%s/%s/%s ends with: ", w->options->results, strbuf_string(&folder),
                  strbuf_string(&file));
    for (const char *from = text_last_lines(tail, LINES); *from; from++)
      if (*from == '\n')
        strbuf_append(out, " | ");
      else
        strbuf_append_char(out, *from);
  }
  free(tail);
  strbuf_free(&folder);
  strbuf_free(&file);
  return has_output;
}

/* A task that Slurm no longer knows, of which no trainer was seen. An earlier process of the cell
 * says nothing about this task. */
static err settle_unstarted(const watcher *w, const slurm_task *task, const store_run *run,
                            run_cell *c) {
  strbuf output = {0}, reason = {0};
  if (describe_output(w, task, &output))
    strbuf_format(&reason, "its task ended before the trainer started; %s", strbuf_string(&output));
  else
    strbuf_append(&reason, "its task left the queue before it started: cancelled, or its "
                           "dependency failed");
  c->state = run->run_id ? CELL_INTERRUPTED : CELL_FAILED;
  err error = set_reason(c, strbuf_string(&reason));
  strbuf_free(&output);
  strbuf_free(&reason);
  return error;
}

/* Has it been out of the queue long enough that its first events would have been seen? */
static bool is_unstarted(const watcher *w, const slurm_task *task, const run_cell *c) {
  if (task->missed < LOOKS_BEFORE_LOST) return false;
  run_state parent =
      c->cell->parent == SPEC_NO_PARENT ? CELL_FINISHED : w->sweep->cells[c->cell->parent].state;
  if (parent == CELL_FAILED || parent == CELL_INTERRUPTED) return true; /* its dependency */
  return clock_seconds() - task->missed_since >= w->unseen_seconds;
}

/* After its record was read. An end counts once the queue has dropped the task, which may be
 * requeued until then. */
static err judge_task(watcher *w, const slurm_task *task, const store_run *run, run_cell *c,
                      bool *is_over) {
  bool has_run = run->run_id && run->run_id == c->run_id;
  bool is_running = has_run && strcmp(run->status, "running") == 0;
  /* a process of this task, not an earlier one; a task of a finished cell starts none */
  bool is_own = run->attempts > task->attempts || strcmp(run->status, "finished") == 0;
  if (is_running) c->state = CELL_RUNNING;
  if (task->is_queued) return NULL;
  if (is_running) return task->missed < LOOKS_BEFORE_LOST ? NULL : settle_lost(w, c, is_over);
  if (has_run && is_own) {
    *is_over = true;
    return take_end(c, run);
  }
  *is_over = is_unstarted(w, task, c);
  return *is_over ? settle_unstarted(w, task, run, c) : NULL;
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
  error = judge_task(w, task, &run, c, is_over);
  store_free_run(&run);
  if (error || !*is_over) return error;
  c->ran_now = true;
  say_end(w, c, task);
  /* cells that were trained from earlier weights of this one wait again */
  if (c->state == CELL_FINISHED) error = again_follow(w->e, w->s, w->options, w->sweep, task->cell);
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
  watcher w = {.e = e,
               .s = s,
               .options = options,
               .sweep = sweep,
               .tasks = tasks,
               .unseen_seconds = unseen_seconds(),
               .shown = display_start(options->shows_progress)};
  sigset_t blocked, before;
  run_block_stops(&blocked, &before);
  err error = follow(&w, &blocked);
  display_finish(&w.shown);
  sigprocmask(SIG_SETMASK, &before, NULL);
  return error;
}
