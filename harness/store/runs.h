/* Runs: their records, which one is a cell's result, and lists of them. */
#ifndef FLIPBENCH_STORE_RUNS_H
#define FLIPBENCH_STORE_RUNS_H

#include "store/store.h"

typedef struct {
  int64_t run_id;            /* 0: none, and all that follows is empty */
  char *cell_id, *directory; /* below the results folder */
  char *status;              /* running, finished, interrupted, failed */
  char *kind, *message;      /* of a failure */
  char *started, *ended;     /* ISO 8601; ended is "" while it runs */
  char *settings_fingerprint, *data_fingerprint;
  char *data_stamp; /* of the files that it was trained on (sweep/stamp.h) */
  char *note;       /* written by the user */
  char *tags;       /* likewise, separated by spaces */
  char *log_tail;   /* of the newest process */
  /* strings are owned; after a successful call never NULL */
  int64_t attempts, pid;  /* number of processes; id of the newest one */
  int64_t bytes_read;     /* of attempts.jsonl and events.jsonl together */
  double started_seconds; /* since 1970; NaN: `started` is not a valid time */
  bool is_archived;
} store_run;

/* The run that a sweep goes on with: the newest finished run of a cell, else its newest run,
 * excluding archived ones (view v_run_place). Merged results can contain several runs of a cell:
 * what shows results uses store/lineage.h. run_id 0: never run. */
err store_find_run(store *s, const char *cell_id, store_run *run) ERR_MUST_CHECK;
/* The run in a directory; run_id 0: none. */
err store_find_run_in(store *s, const char *directory, store_run *run) ERR_MUST_CHECK;
/* ERR_INPUT when there is no such run. */
err store_load_run(store *s, int64_t run_id, store_run *run) ERR_MUST_CHECK;
/* run_id 0 and empty texts. */
err store_empty_run(store_run *run) ERR_MUST_CHECK;
void store_free_run(store_run *run);

/* Can `run_id` have been trained from the weights of `parent_id`? By the loss that its first
 * process recorded of the run it started from; where there is none (older records, tasks of Slurm,
 * whose nodes have no database), false when it began before that run and every run of the parent's
 * cell that was there is archived, except one that ended with the same loss, bit for bit. */
err store_comes_from(store *s, int64_t run_id, int64_t parent_id, bool *comes_from) ERR_MUST_CHECK;

/* The archived run of a cell with the least number above `after`; 0: none. */
err store_next_archived(store *s, const char *cell_id, int64_t after,
                        int64_t *run_id) ERR_MUST_CHECK;

err store_has_run(store *s, int64_t run_id, bool *is_there) ERR_MUST_CHECK;
/* The number of cells whose id begins with `prefix`, and the run shown for them: as in
 * store_find_run, or an archived one when there is no other. 0: none was run. */
err store_match_cells(store *s, const char *prefix, size_t *cells, int64_t *run_id) ERR_MUST_CHECK;

/* The message of a trainer that was stopped or refused to go on, for users of flipbench: the
 * trainer names its own options, --resume and --out. */
void store_reword_end(const char *message, strbuf *out);

/* ---- lists ---- */

typedef struct {
  bool only_archived, only_unowned; /* unowned: its cell belongs to no experiment */
  const char *tag;                  /* NULL: all */
  const char *experiment;           /* the first part of the directory; NULL: any */
} store_run_filter;

typedef struct {
  int64_t run_id;
  char *status, *cell_id, *directory, *started, *note; /* owned, as all texts */
  char *tags, *experiments;                            /* separated by spaces; by commas */
  bool is_archived;
  double samples_per_second, train_seconds; /* NaN: not known */
} store_run_line;
/* By number. Free with store_free_run_lines. */
err store_list_runs(store *s, const store_run_filter *filter, store_run_line **runs,
                    size_t *count) ERR_MUST_CHECK;
void store_free_run_lines(store_run_line *runs, size_t count);

/* A finished, undisturbed run: the basis for predictions of other runs. */
typedef struct {
  int64_t run_id, threads, ranks; /* threads: of each rank; ranks 0: not recorded */
  char *settings;                 /* JSON, every setting; owned, as `host` */
  char *host;
  double samples, steady_seconds, wall_seconds, peak_bytes; /* NaN: not known */
} store_past_run;
/* The newest `most`, newest first. Free with store_free_past_runs. */
err store_list_past_runs(store *s, size_t most, store_past_run **runs,
                         size_t *count) ERR_MUST_CHECK;
void store_free_past_runs(store_past_run *runs, size_t count);

/* ---- single values ---- */

/* The newest checkpoint that a run recorded: tuning cells start from it. NULL when there is none,
 * or its file is gone: an older one has not the weights of the run's result. The caller frees. */
err store_last_checkpoint(store *s, const char *results, int64_t run_id,
                          char **path) ERR_MUST_CHECK;

/* The loss of the newest recorded step; NaN: none. Tells the weights of runs of one cell apart. */
err store_find_last_loss(store *s, int64_t run_id, double *loss) ERR_MUST_CHECK;

/* The newest recorded step; 0: none. */
err store_newest_step(store *s, int64_t run_id, int64_t *step) ERR_MUST_CHECK;

/* The progress of a run, for the display: the newest step, and the newest value of a metric on the
 * run's first set of that task (`task` NULL: none). NaN for unknown values. */
typedef struct {
  double samples, total_samples, loss, samples_per_second, train_seconds, metric;
} store_progress;
err store_find_progress(store *s, int64_t run_id, const char *task, const char *metric,
                        store_progress *p) ERR_MUST_CHECK;

/* ---- modification ---- */

/* The directory of a run was renamed. */
err store_move_run(store *s, int64_t run_id, const char *directory) ERR_MUST_CHECK;
/* Removes a run whose directory is gone, with all its records, and environments that had no other.
 */
err store_forget_run(store *s, int64_t run_id) ERR_MUST_CHECK;
/* Replaces the note; "" removes it. */
err store_note_run(store *s, int64_t run_id, const char *text) ERR_MUST_CHECK;
/* Adds or removes a tag. */
err store_tag_run(store *s, int64_t run_id, const char *name, bool is_wanted) ERR_MUST_CHECK;
/* An archived run is never a cell's result. */
err store_archive_run(store *s, int64_t run_id, bool is_archived) ERR_MUST_CHECK;

#endif
