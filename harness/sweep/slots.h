/* Slots: the shares of this machine in which cells run, one cell per slot. Internal to sweep/.
 *
 * With more than one slot, or when the experiment states how many cores a cell needs, each slot has
 * its own CPU cores (as long as there are enough), so that cells do not disturb each other's
 * timings. With --gpus, or when the experiment requests GPUs, each has its own GPUs. */
#ifndef FLIPBENCH_SWEEP_SLOTS_H
#define FLIPBENCH_SWEEP_SLOTS_H

#include <sched.h>

#include "sweep/run.h"

enum { SLOTS_MOST = 256 };

typedef struct {
  bool is_busy;
  bool is_pinned;  /* to `cores` */
  cpu_set_t cores; /* available to this process, by their sched_getaffinity numbers */
  char *gpus;      /* value for CUDA_VISIBLE_DEVICES; NULL: unchanged */
  strbuf shown;    /* "cores 0-1, GPU 0"; empty for the whole machine */
} slot;

typedef struct {
  slot *items;
  int count;
  int64_t cores_of_rank; /* as required; 0: a cell's ranks share its slot's */
} slots;

/* What an experiment requires, with the most `ranks` that a cell has on one machine. Shallow. */
spec_requires slots_needs(const spec_experiment *e);
/* According to options->jobs, options->gpus and what is required for needs->ranks ranks; ERR_INPUT
 * when this machine does not have it. */
err slots_make(const run_options *options, const spec_requires *needs, slots *made) ERR_MUST_CHECK;
void slots_free(slots *s);
/* The cores of one slot; the machine's when they are shared. */
int slots_cores(const slots *s);
/* The cores of each of that many ranks on this machine in one slot, at least 1. */
int slots_cores_of_rank(const slots *s, int64_t ranks);
/* The cores of that many ranks in a slot: with required cores not more than these. False: the slot
 * is not pinned. */
bool slots_share(const slots *s, const slot *place, int64_t ranks, cpu_set_t *cores);
/* "cores 0-1, GPU 0", of these. */
void slots_show_share(const slots *s, const slot *place, int64_t ranks, strbuf *out);
/* NULL when all are busy. */
slot *slots_take(slots *s);

/* Checks all other requirements (`requires`): memory, variables, files; reports all problems at
 * once. */
err slots_check_machine(const spec_requires *needs) ERR_MUST_CHECK;

#endif
