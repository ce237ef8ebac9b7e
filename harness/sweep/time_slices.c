#include "sweep/time_slices.h"

#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "store/facts.h"
#include "store/runs.h"

static const double shortest_seconds = 15, short_seconds = 180, longest_seconds = 1800;
static const double most_cost_of_short = 0.05, most_cost = 0.02;

double time_slice_length(double start_seconds, double stop_seconds) {
  const double cost = start_seconds + stop_seconds;
  if (cost <= most_cost_of_short * short_seconds)
    return fmax(cost / most_cost_of_short, shortest_seconds);
  return cost <= most_cost * longest_seconds ? cost / most_cost : 0;
}

/* Does the table have columns that are times, or ratios of them? */
static bool compares_times(const spec_experiment *e) {
  static const char *const parts[] = {"speed", "time", "seconds", "per_second", "mfu"};
  for (size_t i = 0; i < e->report.columns.count; i++)
    for (size_t k = 0; k < sizeof parts / sizeof *parts; k++)
      if (strstr(e->report.columns.items[i], parts[k])) return true;
  return false;
}

void time_slices_decide(runner *r) {
  double given = r->options->turn_seconds;
  spec_schedule wish = r->e->schedule;
  if (wish == SCHEDULE_AUTO && compares_times(r->e)) wish = SCHEDULE_TURNS;
  r->time_slices.is_enabled = given > 0 || (given == 0 && wish == SCHEDULE_TURNS);
  r->time_slices.is_given = given > 0 && isfinite(given);
  r->time_slices.seconds = r->time_slices.is_given ? given : shortest_seconds;
}

/* Measured costs make time slices longer, or disable them. */
static void adjust(runner *r) {
  if (r->time_slices.is_given || !r->time_slices.is_enabled) return;
  r->time_slices.seconds =
      time_slice_length(r->time_slices.longest_start, r->time_slices.longest_stop);
  r->time_slices.is_enabled = r->time_slices.seconds > 0;
  if (!r->time_slices.is_enabled)
    display_say(&r->shown,
                "cells are not alternated: stopping and resuming takes %.0f s, more than 2 %% of "
                "half an hour",
                r->time_slices.longest_start + r->time_slices.longest_stop);
}

err time_slices_process_started(runner *r, process *p) {
  return store_newest_step(r->s, r->sweep->cells[p->index].run_id, &p->steps_before);
}

err time_slices_measure_start(runner *r, process *p) {
  int64_t step;
  if (!r->time_slices.is_enabled || p->first_step > 0) return NULL;
  err error = store_newest_step(r->s, r->sweep->cells[p->index].run_id, &step);
  if (error || step <= p->steps_before) return error;
  p->first_step = clock_seconds();
  double took = p->first_step - p->started, itself;
  error = store_find_number(r->s, r->sweep->cells[p->index].run_id, "start_seconds_total", &itself);
  if (error) return error;
  if (itself < took) took = itself; /* without the first step, which is no cost; false for NaN */
  if (took > r->time_slices.longest_start) r->time_slices.longest_start = took;
  adjust(r);
  return NULL;
}

static bool is_parent_finished(const runner *r, const run_cell *c) {
  ptrdiff_t parent = c->cell->parent;
  return parent == SPEC_NO_PARENT || r->sweep->cells[parent].state == CELL_FINISHED;
}

size_t time_slices_window(const runner *r) {
  enum { MOST_TOGETHER = 16 };
  size_t unfinished = 0, i = 0;
  for (; r->time_slices.is_enabled && i < r->sweep->count && unfinished < MOST_TOGETHER; i++) {
    const run_cell *c = &r->sweep->cells[i];
    bool is_open = c->state == CELL_WAITING || c->state == CELL_RUNNING;
    if (is_open && is_parent_finished(r, c)) unfinished++;
  }
  return r->time_slices.is_enabled ? i : r->sweep->count;
}

/* A cell that could replace a running one. */
static bool is_someone_waiting(const runner *r) {
  double now = clock_seconds();
  for (size_t i = 0; i < time_slices_window(r); i++) {
    const run_cell *c = &r->sweep->cells[i];
    if (c->state == CELL_WAITING && c->not_before <= now && is_parent_finished(r, c)) return true;
  }
  return false;
}

void time_slices_enforce(runner *r) {
  double now = clock_seconds();
  if (!r->time_slices.is_enabled || r->is_paused || runner_is_stopping(r) || !is_someone_waiting(r))
    return;
  for (int i = 0; i < r->running_count; i++) {
    process *p = &r->running[i];
    /* a time slice begins with the first step: the time before it is overhead */
    if (p->stop != STOP_NONE || !(p->first_step > 0) ||
        now - p->first_step < r->time_slices.seconds)
      continue;
    if (!r->time_slices.was_reported)
      display_say(&r->shown,
                  "cells alternate every %.0f s, so that drift of the machine affects all "
                  "of them equally (--turns 0: one after another)",
                  r->time_slices.seconds);
    r->time_slices.was_reported = true;
    process_stop(p, STOP_TURN);
  }
}

void time_slices_process_ended(runner *r, const process *p) {
  if (p->stop != STOP_TURN) return;
  double took = clock_seconds() - p->stopped;
  r->sweep->cells[p->index].turns++;
  if (took > r->time_slices.longest_stop) r->time_slices.longest_stop = took;
  adjust(r);
}
