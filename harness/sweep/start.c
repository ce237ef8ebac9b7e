/* Starts cells once their parent has finished, a slot is free and their directory is locked. */
#include <fcntl.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "store/facts.h"
#include "store/runs.h"
#include "sweep/again.h"
#include "sweep/memory.h"
#include "sweep/runner.h"
#include "sweep/time_slices.h"

static err skip(run_cell *c, const char *format, const char *detail) {
  strbuf text = {0};
  strbuf_format(&text, "%s %s", format, detail);
  c->state = CELL_SKIPPED;
  free(c->reason);
  c->reason = strbuf_take(&text);
  return c->reason ? NULL : mem_error(0, "a message");
}

/* Another sweep, or the trainer that an earlier one left behind, may have finished the cell after
 * run_plan looked. An orphan has recorded no attempt_end, so the database is asked, which knows its
 * last event. */
static err look_again(runner *r, run_cell *c, bool *is_finished) {
  store_run run;
  *is_finished = false;
  err error = store_ingest(r->s, r->options->results, c->directory, &c->run_id);
  if (!error) error = store_find_run_in(r->s, c->directory, &run);
  if (error) return error;
  *is_finished = run.run_id && strcmp(run.status, "finished") == 0 && !run.is_archived;
  store_free_run(&run);
  if (!*is_finished) return NULL;
  c->state = CELL_FINISHED;
  c->has_begun = true;
  display_say(&r->shown, "%s: has finished meanwhile in another sweep", c->cell->label);
  return store_find_lost_share(r->s, c->run_id, &c->lost_share);
}

/* The same for a cell that was skipped, as another sweep was running it or a cell before it. */
static err look_at_skipped(runner *r, run_cell *c) {
  bool is_finished, is_there;
  char *path = directory_path(r->options->results, c->directory, NULL);
  if (!path) return mem_error(0, "a path");
  is_there = fs_is_folder(path);
  free(path);
  return is_there ? look_again(r, c, &is_finished) : NULL;
}

void runner_look_at_skipped(runner *r) {
  for (size_t i = 0; i < r->sweep->count && !r->failure; i++)
    if (r->sweep->cells[i].state == CELL_SKIPPED)
      runner_keep_failure(r, look_at_skipped(r, &r->sweep->cells[i]));
}

/* A parent that another sweep is running is waited for. When nobody works on it any more, it is
 * taken over: at once if no other sweep is left, as it was stopped; else, since a sweep also
 * releases a cell between time slices and retries, when it is not continued for long. */
static err wait_for_other_sweep(runner *r, const run_cell *c, run_cell *parent) {
  static const double longest_break = 600; /* seconds */
  const char *results = r->options->results;
  const double now = clock_seconds();
  bool is_alive;
  if (!parent->is_awaited)
    display_say(&r->shown,
                "%s: waiting for its parent cell %s, which another sweep is running in %s/%s",
                c->cell->label, parent->cell->label, results, parent->directory);
  parent->is_awaited = true;
  if (directory_is_held(results, parent->directory)) {
    parent->left_alone = 0;
    return NULL;
  }
  if (parent->left_alone <= 0) parent->left_alone = now;
  if (now - parent->left_alone < longest_break && runner_has_company(r, parent->directory))
    return NULL;
  err error = run_close_lost(r->s, results, parent->directory, &is_alive);
  if (error || is_alive) return error;
  parent->is_elsewhere = parent->is_awaited = false;
  error = run_look_again(r->s, r->options, parent);
  if (!error && parent->state == CELL_WAITING)
    display_say(&r->shown, "%s: the other sweep has left it; this one continues it",
                parent->cell->label);
  return error;
}

/* Does the parent allow this cell to start? NULL in *init_from when it has none or must wait. */
static err look_at_parent(runner *r, run_cell *c, bool *is_ready, char **init_from) {
  *is_ready = true;
  *init_from = NULL;
  if (c->cell->parent == SPEC_NO_PARENT) return NULL;
  run_cell *parent = &r->sweep->cells[c->cell->parent];
  *is_ready = false;
  if (parent->state == CELL_SKIPPED) {
    err unknown = look_at_skipped(r, parent);
    if (unknown) return unknown;
    if (parent->state == CELL_SKIPPED && parent->is_elsewhere)
      unknown = wait_for_other_sweep(r, c, parent);
    if (unknown || (parent->state == CELL_SKIPPED && parent->is_elsewhere)) return unknown;
  }
  if (parent->state == CELL_FAILED || parent->state == CELL_SKIPPED ||
      parent->state == CELL_INTERRUPTED)
    return skip(c, "its parent cell has no result:", parent->cell->label);
  if (parent->state != CELL_FINISHED) return NULL;
  err error = store_last_checkpoint(r->s, r->options->results, parent->run_id, init_from);
  if (error || *init_from) {
    *is_ready = !error;
    return error;
  }
  return skip(
      c,
      "the parent's last checkpoint is gone (merging copies weights with --checkpoints); to "
      "train it again remove",
      parent->directory);
}

/* Ranks of the next process on this machine. */
static int64_t ranks_here(const run_cell *c) {
  return c->ranks / spec_nodes_of(c->cell, c->ranks);
}

/* The process takes over the lock and the slot; both are released if it does not start. */
static err start_process(runner *r, size_t index, const char *init_from, int lock_fd,
                         bool *has_started) {
  process *p = &r->running[r->running_count];
  const int64_t parent = r->sweep->cells[index].cell->parent;
  process_wishes wishes = {.init_from = init_from,
                           .origin_loss = (double)NAN,
                           .environment = &r->e->environment,
                           .cgroup_base = r->cgroup_base,
                           .slots = &r->slots,
                           .lock_fd = lock_fd,
                           .unblocked = &r->unblocked};
  *p = (process){.index = index};
  err error = slots_take(&r->slots, ranks_here(&r->sweep->cells[index]), &wishes.place);
  if (!error && init_from)
    error = store_find_last_loss(r->s, r->sweep->cells[parent].run_id, &wishes.origin_loss);
  if (!error) error = process_start(r->options, r->s, &r->sweep->cells[index], &wishes, p);
  *has_started = p->pid > 0;
  err unknown = *has_started ? time_slices_process_started(r, p) : NULL;
  if (error)
    err_free(unknown);
  else
    error = unknown;
  if (*has_started) {
    r->running_count++; /* it runs, even when recording it failed */
  } else {
    close(lock_fd);
    slots_give(&r->slots, wishes.place);
  }
  return error;
}

/* A cell that does not fit in this machine's memory would be killed in the middle, or swap for
 * hours. */
static err look_at_memory(runner *r, run_cell *c, bool *is_ready) {
  char plan[TEXT_NUMBER_SIZE], free_text[TEXT_NUMBER_SIZE];
  double outstanding = 0, available;
  *is_ready = true;
  if (r->options->ignores_memory || !memory_is_of_host(&c->cell->settings)) return NULL;
  for (int i = 0; i < r->running_count; i++)
    outstanding += memory_outstanding(r->running[i].pid,
                                      memory_planned_here(&r->sweep->cells[r->running[i].index]));
  available = memory_available("");
  double planned = memory_planned_here(c);
  memory_verdict fit = memory_judge(planned, available, outstanding, r->running_count > 0);
  *is_ready = fit == MEMORY_FITS;
  if (*is_ready) return NULL;
  text_bytes((uint64_t)planned, plan);
  text_bytes((uint64_t)available, free_text);
  if (fit == MEMORY_WAITS) {
    if (!c->waits_for_memory)
      display_say(&r->shown, "%s: waiting for memory: needs about %s, %s free", c->cell->label,
                  plan, free_text);
    c->waits_for_memory = true;
    return NULL;
  }
  strbuf why = {0};
  strbuf_format(&why,
                "needs about %s of memory, %s are free here; reduce batch_size or "
                "micro_batch_size, or use image.recompute ('flip plan' shows the effect); "
                "--no-check-memory starts it anyway",
                plan, free_text);
  err error = skip(c, "it", strbuf_string(&why));
  strbuf_free(&why);
  return error;
}

/* The lock is held. */
static err start_or_take_result(runner *r, size_t index, const char *init_from, int lock_fd) {
  bool is_finished, has_started;
  err error = look_again(r, &r->sweep->cells[index], &is_finished);
  if (!error && !is_finished) return start_process(r, index, init_from, lock_fd, &has_started);
  close(lock_fd); /* cells that start from it may have been made of earlier weights */
  return error ? error : again_follow(r->e, r->s, r->options, r->sweep, index);
}

/* Sweeps start cells one after the other, so that of two with one cell the second finds the first's
 * process recorded. The folder itself is locked: a file in it would be the first user's. Closing
 * the descriptor gives it back; -1: there are no such locks, as on some network file systems. */
static int wait_to_start(const char *results) {
  int fd = open(results, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  while (fd >= 0 && flock(fd, LOCK_EX) != 0 && errno == EINTR) continue;
  return fd;
}

/* A sweep of another experiment may have begun or finished the cell, in a directory of its own. */
static err take_from_other(runner *r, run_cell *c) {
  store_run run;
  int64_t run_id;
  if (c->has_begun) return NULL;
  err error = store_find_run(r->s, c->cell->id, &run);
  if (error) return error;
  const size_t own = strcspn(c->directory, "/") + 1;
  const bool is_other = run.run_id && strncmp(run.directory, c->directory, own) != 0 &&
                        strcmp(run.status, "failed") != 0;
  if (is_other) error = store_ingest(r->s, r->options->results, run.directory, &run_id);
  store_free_run(&run);
  if (is_other && !error) error = run_look_again(r->s, r->options, c);
  if (!error && c->state == CELL_FINISHED)
    display_say(&r->shown, "%s: has finished meanwhile in another sweep", c->cell->label);
  return error;
}

/* *is_full: only cores or GPUs are missing for it to start. */
static err start_cell(runner *r, size_t index, bool *is_full) {
  run_cell *c = &r->sweep->cells[index];
  char *init_from = NULL, *path = NULL;
  bool is_ready;
  int lock_fd = -1, start_fd = -1;
  lock_state lock;
  lock_holder holder;
  err error = NULL;
  *is_full = false;
  TRY(look_at_parent(r, c, &is_ready, &init_from));
  *is_full = is_ready && !slots_fit(&r->slots, ranks_here(c));
  if (*is_full) goto cleanup;
  if (is_ready) TRY(look_at_memory(r, c, &is_ready));
  if (!is_ready) goto cleanup;
  start_fd = wait_to_start(r->options->results);
  TRY(take_from_other(r, c));
  if (c->state == CELL_FINISHED) TRY(again_follow(r->e, r->s, r->options, r->sweep, index));
  if (c->state != CELL_WAITING) goto cleanup;
  path = directory_path(r->options->results, c->directory, NULL);
  if (!path) FAIL(ERR_MEMORY, "out of memory: a path");
  TRY(fs_make_folders(path));
  TRY(directory_lock(r->options->results, c->directory, &lock_fd, &lock, &holder));
  if (lock == LOCK_REFUSED) {
    r->sweep->cells[index].is_elsewhere = true;
    TRY(skip(c, "another flipbench is running it in", path));
  } else if (lock == LOCK_ORPHANED) {
    if (!r->waits_for_orphan)
      display_say(&r->shown,
                  "%s: waiting for the trainer of an earlier sweep to write its "
                  "checkpoint and stop",
                  c->cell->label);
    r->waits_for_orphan = true;
  } else {
    error = start_or_take_result(r, index, init_from, lock_fd);
  }
cleanup:
  if (start_fd >= 0) close(start_fd);
  free(init_from);
  free(path);
  return error;
}

void runner_fill_slots(runner *r) {
  double now = clock_seconds();
  int64_t most = 0;
  size_t end = time_slices_window(r);
  for (size_t i = 0; i < end; i++)
    if (r->sweep->cells[i].turns > most) most = r->sweep->cells[i].turns;
  /* When alternating, the cell with the fewest turns comes first. A cell that does not fit yet
   * keeps its place: later cells would otherwise take everything that becomes free, and it would
   * never start. */
  for (int64_t turns = 0; turns <= most; turns++)
    for (size_t i = 0; i < end && !runner_is_stopping(r) && !r->is_paused; i++) {
      const run_cell *c = &r->sweep->cells[i];
      bool is_full = false;
      if (r->running_count >= r->slots.count) return;
      if (c->turns == turns && c->state == CELL_WAITING && c->not_before <= now)
        runner_keep_failure(r, start_cell(r, i, &is_full));
      if (is_full) return;
    }
}
