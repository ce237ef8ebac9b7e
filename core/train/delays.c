#include "train/delays.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/machine.h"
#include "base/mem.h"

/* Two ranks that share CPUs. */
typedef struct {
  int of, by;
  double share; /* of the CPU time of `by` that it spends on CPUs of `of` */
} neighbour;

struct delays {
  comm *c;
  int size;
  delays_place *places; /* [size] */
  neighbour *neighbours;
  size_t count;
  reading *rose;         /* [size] */
  double *others, *told; /* [size] other_cpu_seconds so far: by the counters, and as returned */
};

static int at_least_one(int count) {
  return count > 0 ? count : 1;
}

static int cpus_of(const delays_place *place) {
  return at_least_one(CPU_COUNT(&place->cpus));
}

/* A rank is assumed to use its CPUs evenly. */
static double shared_part(const delays_place *of, const delays_place *by) {
  cpu_set_t both;
  if (!*of->machine || strcmp(of->machine, by->machine) != 0) return 0;
  CPU_AND(&both, &of->cpus, &by->cpus);
  return (double)CPU_COUNT(&both) / cpus_of(by);
}

/* Counts the pairs, and fills `found` if it is not NULL. */
static size_t find_neighbours(const delays *d, neighbour *found) {
  size_t count = 0;
  for (int of = 0; of < d->size; of++)
    for (int by = 0; by < d->size; by++) {
      double share = of == by ? 0 : shared_part(&d->places[of], &d->places[by]);
      if (!(share > 0)) continue;
      if (found) found[count] = (neighbour){of, by, share};
      count++;
    }
  return count;
}

err delays_make(const delays_place *places, int size, delays **out) {
  size_t ranks = (size_t)size;
  delays *d = *out = mem_zeroed(1, sizeof *d);
  if (!d) return mem_error(sizeof *d, "readings of the ranks");
  d->size = size;
  d->places = mem_zeroed(ranks, sizeof *d->places);
  d->rose = mem_zeroed(ranks, sizeof *d->rose);
  d->others = mem_zeroed(ranks, sizeof *d->others);
  d->told = mem_zeroed(ranks, sizeof *d->told);
  if (d->places) memcpy(d->places, places, ranks * sizeof *places);
  if (d->places) d->count = find_neighbours(d, NULL);
  d->neighbours = mem_zeroed(d->count + 1, sizeof *d->neighbours);
  if (d->places && d->rose && d->others && d->told && d->neighbours) {
    find_neighbours(d, d->neighbours);
    return NULL;
  }
  delays_close(d);
  *out = NULL;
  return mem_error(ranks * sizeof *places, "readings of the ranks");
}

void delays_close(delays *d) {
  if (!d) return;
  free(d->places);
  free(d->neighbours);
  free(d->rose);
  free(d->others);
  free(d->told);
  free(d);
}

err delays_open(comm *c, int threads, delays **out) {
  *out = NULL;
  if (!c) return NULL;
  size_t size = (size_t)c->size;
  delays_place here = {.threads = threads}, *all = mem_zeroed(size, sizeof *all);
  machine_boot("", here.machine, sizeof here.machine);
  if (sched_getaffinity(0, sizeof here.cpus, &here.cpus) != 0) /* more CPUs than it can name */
    memset(&here.cpus, 0xff, sizeof here.cpus);
  err error = comm_agree(c, all ? NULL : mem_error(size * sizeof *all, "readings of the ranks"));
  if (!error) error = c->call->gather_bytes(c, &here, sizeof here, all);
  if (!error) error = comm_agree(c, delays_make(all, c->size, out));
  if (!error) (*out)->c = c;
  free(all);
  return error;
}

/* The machine's time is counted in ticks and that of ranks exactly, so that a difference may be
 * negative: the next one compensates. */
static void leave_out_ranks(delays *d, reading *rose) {
  for (size_t i = 0; i < d->count; i++) {
    const neighbour *n = &d->neighbours[i];
    rose[n->of].other_cpu_seconds -= n->share * rose[n->by].cpu_seconds;
  }
  for (int r = 0; r < d->size; r++) {
    double *others = &rose[r].other_cpu_seconds;
    if (isnan(*others)) continue;
    d->others[r] += *others;
    *others = fmax(d->others[r] - d->told[r], 0);
    d->told[r] += *others;
  }
}

/* The time that a rank could not compute. Delays of a rank with enough CPUs come from others; where
 * they are not known, what others used is the only measure. */
static double delay_of(const reading *r, const delays_place *place) {
  double delay = isnan(r->delay_seconds) ? r->other_cpu_seconds / cpus_of(place)
                                         : r->delay_seconds / at_least_one(place->threads);
  double stolen = r->stolen_seconds / cpus_of(place);
  return (isnan(delay) ? 0 : delay) + (isnan(stolen) ? 0 : stolen);
}

reading delays_most(delays *d, reading *rose) {
  int most = 0;
  leave_out_ranks(d, rose);
  for (int r = 1; r < d->size; r++)
    if (delay_of(&rose[r], &d->places[r]) > delay_of(&rose[most], &d->places[most])) most = r;
  const delays_place *first = &d->places[0], *place = &d->places[most];
  double by_threads = (double)at_least_one(first->threads) / at_least_one(place->threads);
  double by_cpus = (double)cpus_of(first) / cpus_of(place);
  reading r = rose[most];
  r.cpu_seconds *= by_threads;
  r.delay_seconds *= by_threads;
  r.other_cpu_seconds *= by_cpus;
  r.stolen_seconds *= by_cpus;
  return r;
}

err delays_share(delays *d, reading *own, reading *most) {
  *most = *own;
  if (!d) return NULL;
  err error = d->c->call->gather_bytes(d->c, own, sizeof *own, d->rose);
  if (error) return error;
  *most = delays_most(d, d->rose);
  own->other_cpu_seconds = d->rose[d->c->rank].other_cpu_seconds;
  return NULL;
}
