/* The loop that keeps the slots busy: start, watch, record, finish. */
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "run/directory.h"
#include "run/display.h"
#include "run/process.h"

enum { MOST_JOBS = 64 };

typedef struct {
  const spec_experiment *e;
  store *s;
  const run_options *options;
  run_sweep *sweep;
  process running[MOST_JOBS];
  int running_count;
  int stop_requests; /* Ctrl-C or SIGTERM, counted */
  sigset_t unblocked;
  display shown;
  double *cost; /* of each cell, in FLOPs (or samples when they are not known) */
  err failure;  /* of our own: the store cannot be written, say */
  bool waits_for_orphan;
} runner;

static void keep_failure(runner *r, err error) {
  if (!error) return;
  if (r->failure)
    err_free(error);
  else
    r->failure = error;
}

static bool is_stopping(const runner *r) {
  return r->stop_requests > 0 || r->failure;
}

static err skip(run_cell *c, const char *format, const char *detail) {
  strbuf text = {0};
  strbuf_format(&text, "%s %s", format, detail);
  c->state = CELL_SKIPPED;
  free(c->reason);
  c->reason = strbuf_take(&text);
  return c->reason ? NULL : mem_error(0, "a message");
}

/* ---- starting ---- */

/* Whether the parent lets this cell start: NULL in *init_from when it has none or must wait. */
static err look_at_parent(runner *r, run_cell *c, bool *is_ready, char **init_from) {
  *is_ready = true;
  *init_from = NULL;
  if (c->cell->parent == SPEC_NO_PARENT) return NULL;
  const run_cell *parent = &r->sweep->cells[c->cell->parent];
  *is_ready = false;
  if (parent->state == CELL_FAILED || parent->state == CELL_SKIPPED ||
      parent->state == CELL_INTERRUPTED)
    return skip(c, "it starts from a cell that has no result:", parent->cell->label);
  if (parent->state != CELL_FINISHED) return NULL;
  err error = store_last_checkpoint(r->s, r->options->results, parent->run_id, init_from);
  if (error || *init_from) {
    *is_ready = !error;
    return error;
  }
  return skip(c, "the checkpoint that it starts from is gone; remove this folder and run again:",
              parent->directory);
}

static err start_cell(runner *r, size_t index, bool *has_started) {
  run_cell *c = &r->sweep->cells[index];
  char *init_from = NULL, *path = NULL;
  bool is_ready;
  int lock_fd = -1;
  lock_state lock;
  pid_t holder;
  err error = NULL;
  *has_started = false;
  TRY(look_at_parent(r, c, &is_ready, &init_from));
  if (!is_ready) goto cleanup;
  path = directory_path(r->options->results, c->directory, NULL);
  if (!path) FAIL(ERR_MEMORY, "out of memory: a path");
  TRY(fs_make_folders(path));
  TRY(directory_lock(r->options->results, c->directory, &lock_fd, &lock, &holder));
  if (lock == LOCK_REFUSED) {
    TRY(skip(c, "another flipbench runs it in", path));
  } else if (lock == LOCK_ORPHANED) {
    if (!r->waits_for_orphan)
      display_say(&r->shown,
                  "%s: waiting for the trainer of an earlier sweep to write its "
                  "checkpoint and stop",
                  c->cell->label);
    r->waits_for_orphan = true;
  } else {
    /* an orphan may have written its last events since run_plan looked */
    if (c->has_begun) TRY(store_ingest(r->s, r->options->results, c->directory, &c->run_id));
    process *p = &r->running[r->running_count];
    *p = (process){.index = index};
    error = process_start(r->options, r->s, c, init_from, lock_fd, &r->unblocked, p);
    if (p->pid > 0) r->running_count++; /* it runs, even when recording it failed */
    *has_started = p->pid > 0;
    if (p->pid <= 0) close(lock_fd);
  }
cleanup:
  free(init_from);
  free(path);
  return error;
}

static void fill_slots(runner *r) {
  for (size_t i = 0; i < r->sweep->count && !is_stopping(r); i++) {
    run_state state = r->sweep->cells[i].state;
    bool has_started;
    if (r->running_count >= r->options->jobs) return;
    if (state == CELL_WAITING) keep_failure(r, start_cell(r, i, &has_started));
  }
}

/* ---- watching ---- */

static void say_end(runner *r, const run_cell *c, double seconds) {
  char time[TEXT_NUMBER_SIZE];
  const char *colour = "", *plain = "";
  text_duration(seconds, time);
  if (r->shown.has_colour) {
    colour = c->state == CELL_FINISHED ? "\033[32m"
             : c->state == CELL_FAILED ? "\033[31m"
                                       : "\033[33m";
    plain = "\033[0m";
  }
  const char *mark = c->state == CELL_FINISHED ? "✓" : c->state == CELL_FAILED ? "✗" : "–";
  if (c->state == CELL_FINISHED)
    display_say(&r->shown, "%s%s%s %s · finished in %s", colour, mark, plain, c->cell->label, time);
  else
    display_say(&r->shown, "%s%s%s %s · %s after %s%s%s", colour, mark, plain, c->cell->label,
                run_state_name(c->state), time, c->reason && *c->reason ? ": " : "",
                c->reason ? c->reason : "");
}

static void collect_ended(runner *r) {
  for (int i = 0; i < r->running_count; i++) {
    process *p = &r->running[i];
    run_cell *c = &r->sweep->cells[p->index];
    int wait_status;
    pid_t got = waitpid(p->pid, &wait_status, WNOHANG);
    if (got != p->pid) continue;
    c->state = CELL_INTERRUPTED; /* if recording fails, it can be continued */
    keep_failure(r, process_finish(r->options, r->s, c, p, wait_status, r->stop_requests > 0));
    say_end(r, c, clock_seconds() - p->started);
    r->running[i--] = r->running[--r->running_count];
  }
}

static void ingest_running(runner *r) {
  for (int i = 0; i < r->running_count && !r->failure; i++) {
    run_cell *c = &r->sweep->cells[r->running[i].index];
    keep_failure(r, store_ingest(r->s, r->options->results, c->directory, &c->run_id));
  }
}

/* ---- showing ---- */

static void describe(const runner *r, const store_progress *p, strbuf *note) {
  const column *iso = r->e->report.iso;
  if (!isnan(p->loss)) strbuf_format(note, "loss %.3f", p->loss);
  if (!isnan(p->samples_per_second))
    strbuf_format(note, " · %.0f samples/s", p->samples_per_second);
  if (!isnan(p->metric)) strbuf_format(note, " · %s %.1f %%", iso->heading, p->metric * 100);
  if (!note->length) strbuf_append(note, "starting");
}

/* Work done, in the unit of `cost`, over all cells. */
static double work_done(runner *r, const double *fractions) {
  double done = 0;
  for (size_t i = 0; i < r->sweep->count; i++)
    if (r->sweep->cells[i].state != CELL_WAITING && r->sweep->cells[i].state != CELL_RUNNING)
      done += r->cost[i];
  for (int i = 0; i < r->running_count; i++)
    if (!isnan(fractions[i])) done += fractions[i] * r->cost[r->running[i].index];
  return done;
}

static void describe_whole(runner *r, const double *fractions, strbuf *closing) {
  char left[TEXT_NUMBER_SIZE], elapsed_text[TEXT_NUMBER_SIZE];
  double total = 0, elapsed = clock_seconds() - r->shown.started;
  for (size_t i = 0; i < r->sweep->count; i++) total += r->cost[i];
  double done = work_done(r, fractions), fresh = done - r->shown.done_at_start;
  size_t waiting = run_count(r->sweep, CELL_WAITING) + run_count(r->sweep, CELL_RUNNING);
  strbuf_format(closing, "%zu/%zu cells", r->sweep->count - waiting, r->sweep->count);
  if (fresh > 0 && elapsed > 2 && done < total && !is_stopping(r))
    strbuf_format(closing, " · %s left", text_duration((total - done) / fresh * elapsed, left));
  strbuf_format(closing, " · %s", text_duration(elapsed, elapsed_text));
  if (r->stop_requests == 1) strbuf_append(closing, " · stopping after a checkpoint (again: kill)");
}

static void show(runner *r) {
  display_line lines[MOST_JOBS];
  double fractions[MOST_JOBS];
  strbuf notes[MOST_JOBS], closing = {0};
  if (!display_is_due(&r->shown)) return;
  char task[64] = "", *metric = task;
  snprintf(task, sizeof task, "%s", r->e->report.iso->argument);
  strsep(&metric, ".");
  if (metric) metric[strcspn(metric, "/")] = '\0';
  for (int i = 0; i < r->running_count; i++) {
    const run_cell *c = &r->sweep->cells[r->running[i].index];
    store_progress p;
    err error = store_find_progress(r->s, c->run_id, task, metric ? metric : "", &p);
    keep_failure(r, error);
    notes[i] = (strbuf){0};
    if (!error) describe(r, &p, &notes[i]);
    fractions[i] = error ? NAN : p.samples / p.total_samples;
    if (fractions[i] > 1) fractions[i] = 1;
    lines[i] = (display_line){c->cell->label, fractions[i], strbuf_string(&notes[i])};
  }
  describe_whole(r, fractions, &closing);
  display_draw(&r->shown, lines, (size_t)r->running_count, strbuf_string(&closing));
  for (int i = 0; i < r->running_count; i++) strbuf_free(&notes[i]);
  strbuf_free(&closing);
}

/* ---- signals and the loop ---- */

static void signal_all(const runner *r, int number) {
  for (int i = 0; i < r->running_count; i++) kill(r->running[i].pid, number);
}

static void wait_a_moment(runner *r, const sigset_t *blocked) {
  const struct timespec moment = {0, 100 * 1000 * 1000};
  int number = sigtimedwait(blocked, NULL, &moment);
  if (number != SIGINT && number != SIGTERM && number != SIGHUP) return;
  r->stop_requests++;
  signal_all(r, r->stop_requests == 1 ? SIGTERM : SIGKILL);
  if (r->stop_requests == 1 && !r->shown.is_terminal && r->running_count)
    display_say(&r->shown, "stopping: the running cells write a checkpoint first; a second "
                           "signal kills them");
}

static bool is_work_left(const runner *r) {
  if (r->running_count) return true;
  if (is_stopping(r)) return false;
  return run_count(r->sweep, CELL_WAITING) > 0;
}

static void loop(runner *r, const sigset_t *blocked) {
  bool were_stopped = false;
  while (is_work_left(r)) {
    fill_slots(r);
    if (r->failure && !were_stopped) signal_all(r, SIGTERM);
    were_stopped = were_stopped || r->failure;
    if (r->running_count || r->waits_for_orphan) wait_a_moment(r, blocked);
    if (!r->failure) ingest_running(r);
    collect_ended(r);
    if (!r->failure) show(r);
  }
}

static err estimate_costs(runner *r) {
  r->cost = mem_zeroed(r->sweep->count, sizeof *r->cost);
  if (!r->cost) return mem_error(r->sweep->count * sizeof *r->cost, "the sweep");
  for (size_t i = 0; i < r->sweep->count; i++) {
    const settings *own = &r->e->cells[i].settings;
    double flops = run_predict_flops(own);
    double samples = (double)run_predict_samples(own);
    r->cost[i] = (flops > 0 ? flops : 1) * (samples > 0 ? samples : 1);
  }
  return NULL;
}

err run_all(const spec_experiment *e, store *s, const run_options *options, run_sweep *sweep) {
  runner r = {.e = e, .s = s, .options = options, .sweep = sweep};
  if (run_count(sweep, CELL_WAITING) == 0) return NULL;
  sigset_t blocked;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGINT);
  sigaddset(&blocked, SIGTERM);
  sigaddset(&blocked, SIGHUP);
  sigaddset(&blocked, SIGCHLD);
  sigprocmask(SIG_BLOCK, &blocked, &r.unblocked);
  r.shown = display_start(options->shows_progress);
  r.failure = estimate_costs(&r);
  if (!r.failure) {
    r.shown.done_at_start = work_done(&r, NULL);
    loop(&r, &blocked);
  }
  display_finish(&r.shown);
  sigprocmask(SIG_SETMASK, &r.unblocked, NULL);
  sweep->is_interrupted = r.stop_requests > 0;
  free(r.cost);
  return r.failure;
}
