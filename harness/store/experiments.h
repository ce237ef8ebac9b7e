/* Experiments that were run, and their cells with their state. */
#ifndef FLIPBENCH_STORE_EXPERIMENTS_H
#define FLIPBENCH_STORE_EXPERIMENTS_H

#include "store/store.h"

/* The names of all experiments, sorted. Free with store_free_names. */
err store_list_experiments(store *s, store_names *names) ERR_MUST_CHECK;

err store_has_experiment(store *s, const char *name, bool *is_there) ERR_MUST_CHECK;

/* How an experiment was last run: its file and profile, --set and --set-cell. */
typedef struct {
  bool is_known;        /* false: no experiment of that name was run, and the rest is empty */
  char *path, *profile; /* owned; "": no profile */
  store_names set, set_cell;
} store_experiment;
err store_find_experiment(store *s, const char *name, store_experiment *e) ERR_MUST_CHECK;
void store_free_experiment(store_experiment *e);

/* A cell of an experiment as recorded, with its result. */
typedef struct {
  char *experiment, *label, *cell_id, *status; /* owned; status "not run": no run exists */
  char *message, *ended;                       /* owned; "" when none */
  char *zero_shot_set, *retrieval_set; /* owned; which sets the two accuracies are of: the report's
                                        * main one; "": none */
  int64_t run_id;                      /* 0: not run */
  double samples_per_second, train_seconds, peak_bytes, final_loss; /* NaN: not recorded */
  double zero_shot;                                                 /* mean per class, a share */
  double image_to_text;                                             /* retrieval R@1, as a share */
  bool has_lost_events; /* numbers are of what a damaged record still has */
  bool is_disturbed;    /* by other processes */
  double lost_share;    /* share of the time lost to
                         * them */
} store_cell;
/* The cells of one experiment in order; `experiment` NULL: of all, the most recently ended first.
 * Free with store_free_cells. */
err store_list_cells(store *s, const char *experiment, store_cell **cells,
                     size_t *count) ERR_MUST_CHECK;
void store_free_cells(store_cell *cells, size_t count);

/* Summary of an experiment. */
typedef struct {
  char *name, *title, *source; /* owned, as all texts */
  char *last;                  /* when its newest result ended, or started */
  char *commits;               /* first 10 digits each, separated by commas */
  int64_t cells, finished, failed;
  double wall_seconds; /* over all runs of its cells; NaN: unknown */
} store_overview;
/* All experiments, newest first. Free with store_free_overviews. */
err store_list_overviews(store *s, store_overview **overviews, size_t *count) ERR_MUST_CHECK;
void store_free_overviews(store_overview *overviews, size_t count);

#endif
