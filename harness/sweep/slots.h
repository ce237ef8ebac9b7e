/* Slots: the shares of this machine in which cells run, one cell per slot. Internal to sweep/.
 *
 * If the experiment states how many cores or GPUs a rank needs, a cell takes as many as its own
 * ranks on this machine need, so that small cells can run alongside a large one. Otherwise each of
 * --jobs cells has the same share of the cores, and its ranks divide it. Cells do not share cores
 * (as long as there are enough), so that they do not disturb each other's timings. The free cores
 * and GPUs with the lowest numbers are taken. */
#ifndef FLIPBENCH_SWEEP_SLOTS_H
#define FLIPBENCH_SWEEP_SLOTS_H

#include <sched.h>

#include "sweep/run.h"

enum { SLOTS_MOST = 256 };

/* The share of one cell. */
typedef struct {
  bool is_pinned;  /* to `cores` */
  cpu_set_t cores; /* available to this process, by their sched_getaffinity numbers */
  char *gpus;      /* value for CUDA_VISIBLE_DEVICES; NULL: unchanged */
  strbuf shown;    /* "cores 0-1, GPU 0"; empty for the whole machine */
} slot;

typedef struct {
  int count;             /* the most cells that may run at once, if all are the narrowest */
  int taken;             /* cells that have a slot */
  bool is_by_rank;       /* a cell has as many places as ranks; else one */
  int64_t place_cores;   /* of a place; 0: cells share the machine's */
  int64_t place_gpus;    /* 0: none are assigned */
  int64_t cores_of_rank; /* as required; 0: a cell's ranks share its cores */
  int core_count, cores[CPU_SETSIZE];
  spec_names gpus;
  const slot *core_owners[CPU_SETSIZE], **gpu_owners; /* the slot of each; NULL: it is free */
} slots;

/* What an experiment requires, with `ranks` the most that a cell has on one machine and `nodes` the
 * most machines of a cell; *fewest: the fewest ranks. With several jobs at a time, cells with
 * device: cuda require a GPU each. A shallow copy. */
spec_requires slots_needs(const spec_experiment *e, const run_options *options, int64_t *fewest);
/* According to options->jobs, options->gpus and what each rank requires, for cells of `fewest` to
 * needs->ranks ranks; one slot if a cell uses several machines. ERR_INPUT if this machine does not
 * have enough for the largest. */
err slots_make(const run_options *options, const spec_requires *needs, int64_t fewest,
               slots *made) ERR_MUST_CHECK;
void slots_free(slots *s);
/* The cores of each of that many ranks of a cell on this machine, at least 1. */
int slots_cores_of_rank(const slots *s, int64_t ranks);
/* Whether a cell of that many ranks on this machine can start now. */
bool slots_fit(const slots *s, int64_t ranks);
/* A slot for it, which slots_give takes back and frees. slots_fit must be true. */
err slots_take(slots *s, int64_t ranks, slot **taken) ERR_MUST_CHECK;
void slots_give(slots *s, slot *place); /* NULL is allowed */

/* Checks all other requirements (`requires`): memory, variables, files; reports all problems at
 * once. */
err slots_check_machine(const spec_requires *needs) ERR_MUST_CHECK;

#endif
