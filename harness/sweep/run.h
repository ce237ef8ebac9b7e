/* Runs the cells of an experiment: one `flip train` process per cell, in dependency order, recorded
 * while they run. A process that crashes, is killed or fails sets the status of its cell; the sweep
 * continues.
 *
 * A cell's directory is RESULTS/EXPERIMENT/LABEL-ID8/: config.yaml, events.jsonl (the trainer's),
 * attempts.jsonl (ours), log.txt, checkpoints/, and `lock`, which flipbench and its trainer hold
 * with flock as long as either of them lives. */
#ifndef FLIPBENCH_SWEEP_RUN_H
#define FLIPBENCH_SWEEP_RUN_H

#include <math.h>
#include <signal.h>
#include <stdbool.h>

#include "base/err.h"
#include "experiment/spec.h"
#include "store/store.h"

/* Ended cells to run again. Their results are kept: a failed run under its own name or renamed to
 * `.failed-N`, a finished one archived. */
typedef enum {
  AGAIN_NONE,
  AGAIN_FAILED,
  AGAIN_DISTURBED, /* finished, and more than 5 % of their time was lost to other processes */
  AGAIN_DATA       /* finished, on different data from the newest run of the same settings */
} run_again;

#define RUN_TURNS_CHOSEN INFINITY

typedef struct {
  const char *results; /* the folder of all results */
  const char *flip;    /* the trainer; run_find_flip makes one */
  int jobs;            /* maximum concurrent processes; 0: as the experiment's requirements allow,
                        * else 1 */
  const char *gpus;    /* "0,1": the GPUs to use; NULL: all, if the experiment requests GPUs */
  spec_limits limits;  /* override the experiment's; -1: unchanged */
  run_again again;     /* which ended cells are started again */
  double turn_seconds; /* length of a time slice for alternating cells; 0: as in the experiment; <
                        * 0: none; RUN_TURNS_CHOSEN: so long that stopping costs 2 % */
  bool ignores_memory; /* also start cells that do not fit in this machine's memory */
  bool is_dry;         /* write nothing below `results` */
  bool is_remote;      /* cells run on other machines: runs recorded as running are not touched */
  bool shows_progress;
} run_options;

typedef enum {
  CELL_WAITING, /* to be run, or to be continued */
  CELL_RUNNING,
  CELL_FINISHED,
  CELL_INTERRUPTED, /* has stopped and can be continued */
  CELL_FAILED,
  CELL_SKIPPED /* cannot be run: `reason` says why */
} run_state;

/* One cell in this sweep. */
typedef struct {
  const spec_cell *cell;
  run_state state;
  char *directory; /* below results; owned */
  char *reason;    /* of a failure or skip; owned, may be NULL */
  char *why;       /* of the next process, for the record; owned, NULL: it is the first */
  int64_t run_id;
  spec_limits limits;
  int64_t ranks;                             /* of the next process */
  int tries;                                 /* failures in this sweep */
  double not_before;                         /* clock_seconds: earliest time of a retry */
  double predicted_seconds, predicted_bytes; /* of the whole run; NaN: unknown */
  int64_t turns;                             /* time slices it has had */
  double sliced_seconds;                     /* of those since it last started or was tried again */
  bool has_changed_files; /* finished, and the files that it was trained on have changed since */
  bool has_unknown_files; /* finished, and nothing says whether these have changed */
  bool waits_for_memory;  /* and that was reported */
  bool is_elsewhere;      /* skipped, as another sweep was running it */
  bool is_awaited;        /* elsewhere, by cells that start from it, and that was reported */
  double left_alone;      /* clock_seconds when the other sweep released it; 0: it has not */
  bool has_begun;         /* an earlier process worked on it */
  bool ran_now;           /* a process was started in this sweep */
  double done_share;      /* fraction of its samples at the last check; kept between time slices */
  double lost_share;      /* of a finished run; NaN: not disturbed, or unknown */
} run_cell;

typedef struct {
  run_cell *cells; /* in the experiment's order */
  size_t count;
  bool is_interrupted;
} run_sweep;

/* The trainer next to this program (/proc/self/exe), or $FLIP. The caller frees. */
err run_find_flip(char **path) ERR_MUST_CHECK;

/* Records the experiment and determines the state of each cell, first ingesting directories that
 * are missing or incomplete in the database. Starts nothing. In a dry run cells whose parent stays
 * failed are skipped already. */
err run_plan(const spec_experiment *e, store *s, const run_options *options,
             run_sweep *sweep) ERR_MUST_CHECK;
/* The actual state of a run recorded as running: ingests new events and looks for its process.
 * *is_alive: one is alive, here or (*is_elsewhere: as far as this machine can tell) on another
 * machine. */
err run_look(store *s, const char *results, const char *directory, bool *is_alive,
             bool *is_elsewhere) ERR_MUST_CHECK;
/* Records the end of a run that is recorded as running and of which no process is left, as run_plan
 * does before it resumes one. Nothing if one is alive, or may be on another machine. */
err run_close_gone(store *s, const char *results, const char *directory) ERR_MUST_CHECK;
/* The same for a run whose process, on whatever machine, is known to be gone: only the lock is
 * asked. *is_alive: it is held, and nothing was recorded. */
err run_close_lost(store *s, const char *results, const char *directory,
                   bool *is_alive) ERR_MUST_CHECK;
/* Reads what the folders of the experiment's cells have beyond the record, as run_plan does first:
 * tasks on other machines write to no database. */
err run_read_new(const spec_experiment *e, store *s, const char *results) ERR_MUST_CHECK;
/* Determines the state of a cell from its record, as run_plan does for a run that has ended. */
err run_look_again(store *s, const run_options *options, run_cell *c) ERR_MUST_CHECK;
/* Blocks the signals that ask to stop: SIGINT, SIGTERM and, unless it is ignored (nohup), SIGHUP.
 * sigtimedwait would return an ignored signal too. `before`: the mask to restore. */
void run_block_stops(sigset_t *blocked, sigset_t *before);
/* Runs the waiting cells. One of these signals: the trainers are asked to write a checkpoint and
 * stop, and the sweep ends as interrupted; a later SIGINT or SIGTERM kills them. Failed cells are
 * not an error of this function: check the states. */
err run_all(const spec_experiment *e, store *s, const run_options *options,
            run_sweep *sweep) ERR_MUST_CHECK;
void run_free(run_sweep *sweep);

/* Archives a run: its folder is renamed to `.archived-N`, and it no longer counts as a result. */
err run_archive(store *s, const char *results, int64_t run_id) ERR_MUST_CHECK;
/* Undoes run_archive. */
err run_restore(store *s, const char *results, int64_t run_id) ERR_MUST_CHECK;
/* Removes a run's folder, including weights, and its records. */
err run_remove(store *s, const char *results, int64_t run_id) ERR_MUST_CHECK;
/* Removes what run_remove left of a directory when it was killed; *is_gone: it had. */
err run_end_removal(const char *results, const char *directory, bool *is_gone) ERR_MUST_CHECK;
/* Sets the note of a run; adds or removes a tag. */
err run_note(store *s, const char *results, int64_t run_id, const char *text) ERR_MUST_CHECK;
err run_tag(store *s, const char *results, int64_t run_id, const char *name,
            bool is_wanted) ERR_MUST_CHECK;
/* The last lines of a cell's output; the caller frees; NULL when out of memory. */
char *run_log_tail(const char *results, const char *directory);

/* Pauses every sweep of an experiment, from any process: running cells write a checkpoint and stop,
 * and nothing starts until the pause ends (`is_wanted` false). A new `run_all` ends it. */
err run_pause(const char *results, const char *name, bool is_wanted) ERR_MUST_CHECK;
/* Marks RESULTS/FOLDER as in use until the descriptor is closed, also by the end of the process:
 * the experiment's by its sweeps, NAME/slurm by those who follow its jobs. -1: there is no such
 * folder. */
int run_hold_folder(const char *results, const char *folder);
/* False when no process on this machine holds the experiment's folder, or another one; true also
 * where that cannot be known. */
bool run_is_swept(const char *results, const char *name);
bool run_is_paused(const char *results, const char *name);

size_t run_count(const run_sweep *sweep, run_state state);
const char *run_state_name(run_state state);

/* Predicted cost of a run. FLOPs and planned memory come from the settings; time, and the memory
 * that is used beside the plan, from the most similar finished runs (machine, device, model and
 * batch). NaN for unknown values. */
typedef struct {
  double flops_per_sample; /* forward and backward */
  double seconds;          /* wall time */
  double bytes;            /* peak memory */
  int64_t like;            /* the most similar of those runs; 0: none */
} run_prediction;
typedef struct run_predictor run_predictor;
err run_predictor_open(store *s, run_predictor **p) ERR_MUST_CHECK;
void run_predictor_close(run_predictor *p);
/* On that many ranks with that many CPU cores each. */
void run_predict(run_predictor *p, const settings *s, int64_t ranks, int cores,
                 run_prediction *made);
/* The cores that one rank of a cell gets; ERR_INPUT if this machine does not have them. */
err run_cores_of_rank(const run_options *options, const spec_experiment *e, const spec_cell *cell,
                      int *cores) ERR_MUST_CHECK;
/* The share of a waiting cell's samples that an earlier process has trained. */
err run_find_done_share(store *s, run_cell *c) ERR_MUST_CHECK;
/* Of the waiting cells, by their predicted_seconds and done_share. */
typedef struct {
  double seconds;   /* NaN: unknown */
  int parallel;     /* cells that run at once */
  int shared_cores; /* that these share; 0: each has its own */
} run_duration;
err run_estimate(const spec_experiment *e, const run_options *options, const run_sweep *sweep,
                 run_duration *made) ERR_MUST_CHECK;
/* Samples that a run with these settings will see: 0 when `epochs` of an unknown data set determine
 * it. */
int64_t run_predict_samples(const settings *s);

/* Rebuilds a new database at `path` from the run directories (an old one is kept as PATH.old until
 * the new one is complete). `runs` is the number of runs read. */
err run_rebuild(const char *path, const char *results, size_t *runs) ERR_MUST_CHECK;

/* Merges the runs of another machine's results folder `from` into `results` and the database.
 * Idempotent. A run still in progress there is skipped, and one that was killed there and not
 * closed or continued since; two runs of one cell are both kept, and reports use a finished one.
 * Adds to the counts. */
typedef struct {
  size_t experiments, merged, known, running; /* merged: new or with new attempts */
  size_t abandoned;                           /* killed there, with no recorded end */
  size_t archived;                            /* here, because they were archived there */
  size_t sessions;                            /* of `flipbench compare`, new or longer */
} run_merged;
err run_merge(store *s, const char *results, const char *from, bool with_checkpoints,
              run_merged *count) ERR_MUST_CHECK;

#endif
