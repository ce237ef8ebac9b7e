/* How long a sweep will take, before it starts. */
#include <math.h>

#include "sweep/slots.h"

static err make_slots(const run_options *options, const spec_experiment *e, slots *made) {
  int64_t fewest;
  spec_requires needs = slots_needs(e, options, &fewest);
  return slots_make(options, &needs, fewest, made);
}

err run_cores_of_rank(const run_options *options, const spec_experiment *e, const spec_cell *cell,
                      int *cores) {
  slots shares;
  err error = make_slots(options, e, &shares);
  if (error) return error;
  *cores = slots_cores_of_rank(&shares, cell->ranks.ranks / cell->ranks.nodes);
  slots_free(&shares);
  return NULL;
}

static double seconds_left(const run_cell *c) {
  return c->state == CELL_WAITING ? c->predicted_seconds * (1 - c->done_share) : 0;
}

/* Of a cell and the cells that it starts from, which cannot run at the same time. */
static double chain_of(const run_sweep *sweep, const run_cell *c) {
  double seconds = seconds_left(c);
  while (c->cell->parent != SPEC_NO_PARENT) {
    c = &sweep->cells[c->cell->parent];
    seconds += seconds_left(c);
  }
  return seconds;
}

/* Ranks for which this machine has cores and GPUs of their own; 0: no limit. */
static double places_of(const slots *s) {
  double places = 0;
  if (s->is_by_rank && s->place_cores) places = s->core_count / (double)s->place_cores;
  if (s->is_by_rank && s->place_gpus) {
    double by_gpus = (double)s->gpus.count / (double)s->place_gpus;
    places = places > 0 ? fmin(places, by_gpus) : by_gpus;
  }
  return floor(places);
}

err run_estimate(const spec_experiment *e, const run_options *options, const run_sweep *sweep,
                 run_duration *made) {
  slots s;
  double sum = 0, of_ranks = 0, longest = 0;
  int64_t waiting = (int64_t)run_count(sweep, CELL_WAITING);
  err error = make_slots(options, e, &s);
  if (error) return error;
  for (size_t i = 0; i < sweep->count; i++) {
    const run_cell *c = &sweep->cells[i];
    double own = seconds_left(c);
    sum += own;
    of_ranks += own * (double)(c->ranks / spec_nodes_of(c->cell, c->ranks));
    if (c->state == CELL_WAITING) longest = fmax(longest, chain_of(sweep, c));
  }
  made->parallel = s.count < waiting ? s.count : (int)waiting;
  made->shared_cores = s.place_cores || s.place_gpus || made->parallel < 2 ? 0 : s.core_count;
  /* cells are predicted with the cores that they get: those that share all of them only take turns
   */
  double at_once = made->shared_cores || made->parallel < 1 ? 1 : made->parallel;
  made->seconds = fmax(sum / at_once, longest);
  if (places_of(&s) > 0) made->seconds = fmax(made->seconds, of_ranks / places_of(&s));
  if (isnan(sum)) made->seconds = NAN;
  slots_free(&s);
  return NULL;
}
