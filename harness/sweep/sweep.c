/* The main loop that keeps the slots busy: start, watch, record, finish. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/interrupt.h"
#include "base/mem.h"
#include "store/runs.h"
#include "sweep/limits.h"
#include "sweep/ranks.h"
#include "sweep/runner.h"
#include "sweep/time_slices.h"

void runner_keep_failure(runner *r, err error) {
  if (!error) return;
  if (r->failure)
    err_free(error);
  else
    r->failure = error;
}

bool runner_is_stopping(const runner *r) {
  return r->stop_requests > 0 || r->failure;
}

static void stop_all(runner *r, stop_reason why) {
  for (int i = 0; i < r->running_count; i++) process_stop(&r->running[i], why);
}

static void kill_all(const runner *r) {
  for (int i = 0; i < r->running_count; i++) process_kill(&r->running[i]);
}

/* ---- pause ---- */

/* RESULTS/NAME/pause: while this file exists, nothing runs. */
static char *pause_path(const char *results, const char *name) {
  return directory_path(results, name, "pause");
}

err run_pause(const char *results, const char *name, bool is_wanted) {
  err error = NULL;
  char *path = pause_path(results, name), *folder = directory_path(results, name, NULL);
  if (!path || !folder) FAIL(ERR_MEMORY, "out of memory: a path");
  if (!fs_is_folder(folder))
    FAIL(ERR_INPUT, "%s: no experiment of this name was run here ('flipbench status' lists them)",
         folder);
  if (is_wanted)
    error = fs_write_atomic(path, "", 0);
  else if (unlink(path) != 0 && errno != ENOENT)
    error = err_errno(errno, "%s: cannot be removed", path);
cleanup:
  free(path);
  free(folder);
  return error;
}

bool run_is_paused(const char *results, const char *name) {
  char *path = pause_path(results, name);
  bool is_there = path && fs_exists(path);
  free(path);
  return is_there;
}

/* A folder below RESULTS itself, to be locked, which leaves no file behind; -1: it cannot be
 * opened. */
static int open_folder(const char *results, const char *name) {
  char *folder = directory_path(results, name, NULL);
  int fd = folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
  free(folder);
  return fd;
}

int run_hold_folder(const char *results, const char *folder) {
  int fd = open_folder(results, folder);
  if (fd >= 0) flock(fd, LOCK_SH); /* fails on some network file systems */
  return fd;
}

bool run_is_swept(const char *results, const char *name) {
  int fd = open_folder(results, name);
  bool is_free = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0;
  if (fd >= 0) close(fd);
  return !is_free;
}

bool runner_has_company(const runner *r, const char *directory) {
  const char *name = r->e->name;
  size_t length = strcspn(directory, "/");
  if (length != strlen(name) || strncmp(directory, name, length) != 0) {
    strbuf other = {0};
    strbuf_append_bytes(&other, directory, length);
    bool is_swept = run_is_swept(r->options->results, strbuf_string(&other));
    strbuf_free(&other);
    return is_swept;
  }
  if (r->folder_fd < 0) return true;
  bool is_alone = flock(r->folder_fd, LOCK_EX | LOCK_NB) == 0;
  flock(r->folder_fd, LOCK_SH); /* a request that is refused may give up what was held */
  return !is_alone;
}

static void obey_pause(runner *r) {
  bool is_wanted = run_is_paused(r->options->results, r->e->name);
  if (is_wanted == r->is_paused || runner_is_stopping(r)) return;
  r->is_paused = is_wanted;
  if (is_wanted) stop_all(r, STOP_PAUSED);
  if (is_wanted)
    display_say(&r->shown,
                "paused: running cells write a checkpoint and stop; 'flipbench "
                "resume %s' continues",
                r->e->name);
  else
    display_say(&r->shown, "resuming");
}

/* ---- signals and the loop ---- */

/* A terminal that is closed sends SIGHUP twice: by its shell and by the kernel; a program that
 * stops others may send several signals at once. Only someone who asks again wants the cells
 * killed. */
static bool is_second_request(const runner *r, int number) {
  static const double shortest_pause = 0.3; /* seconds */
  return number != SIGHUP && clock_seconds() - r->stop_requested >= shortest_pause;
}

static void wait_a_moment(runner *r, const sigset_t *blocked) {
  const struct timespec moment = {0, 100 * 1000 * 1000};
  int number = sigtimedwait(blocked, NULL, &moment);
  if (number != SIGINT && number != SIGTERM && number != SIGHUP) return;
  if (r->stop_requests && !is_second_request(r, number)) return;
  if (++r->stop_requests > 1) {
    kill_all(r);
    return;
  }
  r->stop_requested = clock_seconds();
  stop_all(r, STOP_ASKED);
  if (!r->shown.is_terminal && r->running_count)
    display_say(&r->shown, "stopping: the running cells write a checkpoint first; a second "
                           "signal kills them");
}

static bool is_work_left(const runner *r) {
  if (r->running_count) return true;
  if (runner_is_stopping(r)) return false;
  return run_count(r->sweep, CELL_WAITING) > 0;
}

static void loop(runner *r, const sigset_t *blocked) {
  bool were_stopped = false;
  while (is_work_left(r)) {
    obey_pause(r);
    runner_fill_slots(r);
    if (r->failure && !were_stopped) stop_all(r, STOP_ASKED);
    were_stopped = were_stopped || r->failure;
    if (is_work_left(r)) wait_a_moment(r, blocked);
    if (!r->failure) runner_ingest(r);
    runner_enforce_limits(r);
    time_slices_enforce(r);
    runner_collect_ended(r);
    if (!r->failure) runner_show(r);
  }
}

err run_find_done_share(store *s, run_cell *c) {
  store_progress p;
  if (c->state != CELL_WAITING || !c->run_id) return NULL;
  err error = store_find_progress(s, c->run_id, NULL, NULL, &p);
  if (!error && p.samples > 0 && p.total_samples > 0)
    c->done_share = p.samples < p.total_samples ? p.samples / p.total_samples : 1;
  return error;
}

static run_prediction predict(const runner *r, run_predictor *predictor, run_cell *c) {
  run_prediction made;
  int64_t here = c->ranks / spec_nodes_of(c->cell, c->ranks);
  run_predict(predictor, &c->cell->settings, c->ranks, slots_cores_of_rank(&r->slots, here), &made);
  c->predicted_seconds = made.seconds;
  c->predicted_bytes = made.bytes;
  return made;
}

err runner_predict_again(const runner *r, run_cell *c) {
  run_predictor *predictor = NULL;
  err error = run_predictor_open(r->s, &predictor);
  if (error) return error;
  predict(r, predictor, c);
  run_predictor_close(predictor);
  return NULL;
}

/* The predicted cost of each cell: for the overall progress, and for the record. */
static err predict_all(runner *r) {
  run_predictor *predictor = NULL;
  r->cost = mem_zeroed(r->sweep->count, sizeof *r->cost);
  if (!r->cost) return mem_error(r->sweep->count * sizeof *r->cost, "the sweep");
  err error = run_predictor_open(r->s, &predictor);
  if (error) return error;
  for (size_t i = 0; i < r->sweep->count && !error; i++) {
    run_cell *c = &r->sweep->cells[i];
    run_prediction made = predict(r, predictor, c);
    double samples = (double)run_predict_samples(&c->cell->settings);
    r->cost[i] =
        (made.flops_per_sample > 0 ? made.flops_per_sample : 1) * (samples > 0 ? samples : 1);
    /* what an earlier process trained is no work of this one: the time left would be too short */
    error = run_find_done_share(r->s, c);
  }
  run_predictor_close(predictor);
  return error;
}

static bool wants_memory_limits(const run_sweep *sweep) {
  for (size_t i = 0; i < sweep->count; i++)
    if (sweep->cells[i].limits.memory_bytes > 0) return true;
  return false;
}

void run_block_stops(sigset_t *blocked, sigset_t *before) {
  sigemptyset(blocked);
  sigaddset(blocked, SIGINT);
  sigaddset(blocked, SIGTERM);
  if (!interrupt_ignores_hangup()) sigaddset(blocked, SIGHUP);
  sigprocmask(SIG_BLOCK, blocked, before);
}

static void block_signals(runner *r, sigset_t *blocked) {
  run_block_stops(blocked, &r->unblocked);
  sigaddset(blocked, SIGCHLD);
  sigprocmask(SIG_BLOCK, blocked, NULL);
}

/* Others may write for long, for example merge a run of a million steps: no reason to stop cells
 * that have trained for days. Only what cannot be recorded later waits. */
enum { PATIENCE_SECONDS = 600 };

err run_all(const spec_experiment *e, store *s, const run_options *options, run_sweep *sweep) {
  if (run_count(sweep, CELL_WAITING) == 0) return NULL;
  runner *r = mem_zeroed(1, sizeof *r);
  if (!r) return mem_error(sizeof *r, "the sweep");
  r->e = e;
  r->s = s;
  r->options = options;
  r->sweep = sweep;
  err error = slots_check_machine(&e->requires);
  if (!error) error = ranks_check_machine(e, sweep);
  int64_t fewest;
  spec_requires needs = slots_needs(e, options, &fewest);
  if (!error) error = slots_make(options, &needs, fewest, &r->slots);
  if (!error) error = run_pause(options->results, e->name, false); /* running ends a pause */
  if (error) {
    free(r);
    return error;
  }
  r->folder_fd = run_hold_folder(options->results, e->name);
  sigset_t blocked;
  block_signals(r, &blocked);
  store_set_patience(s, PATIENCE_SECONDS);
  if (wants_memory_limits(sweep)) r->cgroup_base = limits_find_cgroup();
  r->shown = display_start(options->shows_progress);
  r->failure = predict_all(r);
  if (!r->failure) {
    time_slices_decide(r);
    r->shown.done_at_start = runner_work_done(r, NULL);
    loop(r, &blocked);
    runner_look_at_skipped(r);
  }
  display_finish(&r->shown);
  store_set_patience(s, 0);
  sigprocmask(SIG_SETMASK, &r->unblocked, NULL);
  sweep->is_interrupted = r->stop_requests > 0;
  error = r->failure;
  if (r->folder_fd >= 0) close(r->folder_fd);
  slots_free(&r->slots);
  free(r->cgroup_base);
  free(r->cost);
  free(r);
  return error;
}
