#include "sweep/turns.h"

#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "store/runs.h"

static const double usual_seconds = 180, longest_seconds = 1800, most_cost = 0.02;

double turns_length(double start_seconds, double stop_seconds) {
  double needed = (start_seconds + stop_seconds) / most_cost;
  if (needed > longest_seconds) return 0;
  return needed > usual_seconds ? needed : usual_seconds;
}

/* Does the table have columns that are times, or ratios of them? */
static bool compares_times(const spec_experiment *e) {
  static const char *const parts[] = {"speed", "time", "seconds", "per_second", "mfu"};
  for (size_t i = 0; i < e->report.columns.count; i++)
    for (size_t k = 0; k < sizeof parts / sizeof *parts; k++)
      if (strstr(e->report.columns.items[i], parts[k])) return true;
  return false;
}

void turns_start(runner *r) {
  double given = r->options->turn_seconds;
  spec_schedule wish = r->e->schedule;
  if (wish == SCHEDULE_AUTO && compares_times(r->e)) wish = SCHEDULE_TURNS;
  r->turns.are_on = given > 0 || (given == 0 && wish == SCHEDULE_TURNS);
  r->turns.is_given = given > 0 && isfinite(given);
  r->turns.seconds = r->turns.is_given ? given : usual_seconds;
}

/* Measured costs make time slices longer, or disable them. */
static void adjust(runner *r) {
  if (r->turns.is_given || !r->turns.are_on) return;
  r->turns.seconds = turns_length(r->turns.longest_start, r->turns.longest_stop);
  r->turns.are_on = r->turns.seconds > 0;
  if (!r->turns.are_on)
    display_say(&r->shown,
                "cells are not alternated: stopping and resuming takes %.0f s, more than 2 %% of "
                "half an hour",
                r->turns.longest_start + r->turns.longest_stop);
}

err turns_begin(runner *r, process *p) {
  return store_newest_step(r->s, r->sweep->cells[p->index].run_id, &p->steps_before);
}

err turns_look(runner *r, process *p) {
  int64_t step;
  if (!r->turns.are_on || p->first_step > 0) return NULL;
  err error = store_newest_step(r->s, r->sweep->cells[p->index].run_id, &step);
  if (error || step <= p->steps_before) return error;
  p->first_step = clock_seconds();
  double took = p->first_step - p->started;
  if (took > r->turns.longest_start) r->turns.longest_start = took;
  adjust(r);
  return NULL;
}

static bool is_parent_finished(const runner *r, const run_cell *c) {
  ptrdiff_t parent = c->cell->parent;
  return parent == SPEC_NO_PARENT || r->sweep->cells[parent].state == CELL_FINISHED;
}

size_t turns_horizon(const runner *r) {
  enum { MOST_TOGETHER = 16 };
  size_t unfinished = 0, i = 0;
  for (; r->turns.are_on && i < r->sweep->count && unfinished < MOST_TOGETHER; i++) {
    const run_cell *c = &r->sweep->cells[i];
    bool is_open = c->state == CELL_WAITING || c->state == CELL_RUNNING;
    if (is_open && is_parent_finished(r, c)) unfinished++;
  }
  return r->turns.are_on ? i : r->sweep->count;
}

/* A cell that could replace a running one. */
static bool is_someone_waiting(const runner *r) {
  double now = clock_seconds();
  for (size_t i = 0; i < turns_horizon(r); i++) {
    const run_cell *c = &r->sweep->cells[i];
    if (c->state == CELL_WAITING && c->not_before <= now && is_parent_finished(r, c)) return true;
  }
  return false;
}

void turns_enforce(runner *r) {
  double now = clock_seconds();
  if (!r->turns.are_on || r->is_paused || runner_is_stopping(r) || !is_someone_waiting(r)) return;
  for (int i = 0; i < r->running_count; i++) {
    process *p = &r->running[i];
    /* a time slice begins with the first step: the time before it is overhead */
    if (p->stop != STOP_NONE || !(p->first_step > 0) || now - p->first_step < r->turns.seconds)
      continue;
    if (!r->turns.were_said)
      display_say(&r->shown,
                  "cells alternate every %.0f s, so that drift of the machine affects all "
                  "of them equally (--turns 0: one after another)",
                  r->turns.seconds);
    r->turns.were_said = true;
    process_stop(p, STOP_TURN);
  }
}

void turns_end(runner *r, const process *p) {
  if (p->stop != STOP_TURN) return;
  double took = clock_seconds() - p->stopped;
  r->sweep->cells[p->index].turns++;
  if (took > r->turns.longest_stop) r->turns.longest_stop = took;
  adjust(r);
}
