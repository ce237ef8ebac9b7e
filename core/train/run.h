/* The state of a run, shared by the files of the trainer: setup.c makes it (resume.c: from a
 * checkpoint), trainer.c drives it, report.c reports it. Internal. */
#ifndef FLIP_TRAIN_RUN_H
#define FLIP_TRAIN_RUN_H

#include "base/machine.h"
#include "base/progress.h"
#include "comm/open.h"
#include "comm/watch.h"
#include "read/dataset.h"
#include "read/loader.h"
#include "text/tokenizer.h"
#include "eval/eval.h"
#include "model/clip.h"
#include "model/count.h"
#include "ops/ops.h"
#include "train/fit.h"
#include "train/state_file.h"
#include "train/attentive.h"
#include "train/buckets.h"
#include "train/checkpoint.h"
#include "train/course.h"
#include "train/delays.h"
#include "train/events.h"
#include "train/mix.h"
#include "train/optimizer.h"
#include "train/ranks.h"
#include "train/rows.h"
#include "train/saver.h"
#include "train/step.h"
#include "train/trainer.h"

/* What a run does before its first step, in order. */
typedef enum {
  START_PROGRAM,
  START_DATA,
  START_DEVICE,
  START_MODEL,
  START_WEIGHTS,
  START_LOADER,
  STARTS
} start_part;

typedef struct {
  const settings *s;
  const trainer_options *options;
  comm *ranks;     /* NULL: one process. Only rank 0 writes: events, checkpoints, console output */
  fit_memory host; /* what this machine had before the model was made */
  watch *lives;    /* barrier that detects dead ranks */
  ranks_load load;
  delays *delays;                    /* NULL: one process */
  double busy_seconds, comm_seconds; /* of this rank's steps: computing; waiting in calls */
  /* where the next step begins, for several ranks: with the wait for the others after the last */
  double step_began, comm_before;
  int64_t comm_bytes; /* sent in them */
  settings own;       /* *s with this rank's share of the batch; only numbers are read from it */
  char *checkpoints;  /* folder */
  int lock;           /* lock on the run folder; -1: not held */
  tokenizer *words;
  dataset *data;
  eval_set **sets;
  size_t set_count;
  eval_set
      *train_set; /* a classifier's images and labels, instead of `words` and `data`; or NULL */
  eval_set *probe_set; /* that the linear probe is fitted on, or NULL */
  int64_t *rows_used;  /* [row_count] rows of train_set that have a class */
  int64_t row_count;
  uint8_t *mixed;   /* [own.batch_size, size, size, 3] a classifier's staged images */
  int32_t *classes; /* [own.batch_size] and their classes */
  mix *mixes;       /* [own.batch_size] and how each was mixed */
  double *shares;   /* [own.batch_size] of the image itself */
  clip_targets targets;
  ops *o;
  clip_model *model;
  optimizer moments;
  buckets shared; /* of the gradients, if there are ranks */
  train_step step;
  loader *batches;
  loader_batch batch; /* the staged one */
  bool is_staged;
  event_stream events;
  progress bar;
  model_counts counts;
  double gemm_rate;
  int32_t *index;    /* [batch, train_patches] keep-lists of the step */
  attentive chooser; /* of the keep-lists in mode attentive; else its model is NULL */
  int64_t total_steps, total_samples, warmup_steps, first_step;
  checkpoint_state at;
  course_rules rules;
  course_place place;    /* place.step is at.step */
  saver saving;          /* of the last checkpoint, on the rank that writes */
  state_file state_file; /* of the next checkpoint: times so far, the run's inputs */
  step_rows *rows;
  bool *has_told_labels;       /* [set_count] in this process */
  strbuf remarks;              /* about resuming, one per line */
  strbuf skipped;              /* by the loader, not yet recorded */
  int64_t replaced, fell_back; /* samples in this process, of all ranks (loader_stats) */
  bool is_agreed;              /* the failure is known to all ranks */
  bool is_alone_with_failure;  /* of run_open: other ranks may not have it */
  machine_state machine;       /* at the start */
  /* durations of the consecutive parts since options->began; the start of the current one */
  double start_seconds[STARTS], part_began;
  step_result result;       /* of the last step */
  double rate_of_last_step; /* samples/s */
  double last_accuracy, checkpoint_time;
} run;

/* classify.c. A classifier's data, after settings_check: its sets, and the rows to train on. */
err run_open_classes(run *r) ERR_MUST_CHECK;
/* Opens the next of eval.sets, as eval_set_open; ERR_INPUT if an earlier one has its name. */
err run_open_set(run *r, const char *use, const tokenizer *words) ERR_MUST_CHECK;
/* Mixes the batch that the loader gave into r->mixed, and fills r->targets. */
void run_mix_batch(run *r);
/* The linear probe of the finished model, by all ranks; rank 0 records it. */
err run_probe(run *r) ERR_MUST_CHECK;
/* The images that any rank skipped; rank 0 records them. */
err run_warn_of_left_out(run *r, eval_set *set) ERR_MUST_CHECK;
static inline bool run_is_classifier(const run *r) {
  return r->s->classification_classes > 0;
}
/* Images are mixed in pairs, both of which must be on one rank. */
static inline bool run_is_mixing(const run *r) {
  return settings_is_mixing(r->s);
}
/* Of what is trained on. */
const dataset *run_data(const run *r);
const char *run_data_fingerprint(const run *r);
int64_t run_data_samples(const run *r); /* of an epoch */

/* Everything up to the first step; fails on all ranks or on none. On failure run_close still works.
 */
err run_open(run *r) ERR_MUST_CHECK;
void run_close(run *r);

err run_report_start(run *r) ERR_MUST_CHECK;
/* OUT/code.diff when the build was dirty, and warnings about this machine's timings. */
err run_report_conditions(run *r) ERR_MUST_CHECK;
/* Warnings, also on stderr: of a batch that is more than the data, and of metrics that a classifier
 * does not measure. */
err run_report_limits(run *r) ERR_MUST_CHECK;
/* One event per task; outcomes as in eval_run_items. Labels are reported once. */
err run_report_eval(run *r, size_t set, const eval_result *result, const eval_outcomes *outcomes,
                    double seconds) ERR_MUST_CHECK;
err run_report_probe(run *r, const eval_probe *probe, const eval_outcomes *outcomes,
                     double seconds) ERR_MUST_CHECK;
/* Peak memory: of the device if it has its own, else of this process. */
uint64_t run_peak_bytes(const run *r);
err run_report_memory(run *r) ERR_MUST_CHECK;
/* `failure`: NULL when finished. */
err run_report_end(run *r, err failure) ERR_MUST_CHECK;
/* Over the whole run, all processes. */
err run_pace(const run *r, pace *out) ERR_MUST_CHECK;

/* Before anything is written: the folder of a new run must not contain another. */
err run_check_folder(run *r) ERR_MUST_CHECK;
/* What to resume from; *path NULL for a fresh start. Sets the precision that the checkpoint had,
 * r->at and r->state_file. */
err run_find_checkpoint(run *r, char **path, int *precision) ERR_MUST_CHECK;
/* The file of init_from; NULL when there is none. The caller frees. */
err run_find_init(const run *r, char **path) ERR_MUST_CHECK;
/* Initial values, or the weights of init_from, which must be of a model that computes the same. */
err run_start_weights(run *r) ERR_MUST_CHECK;
/* Records the run's inputs, after comparing them with the checkpoint's (or NULL). */
err run_take_given(run *r, const char *checkpoint) ERR_MUST_CHECK;
/* A checkpoint beyond the end of the run was trained on more data than there is now. */
err run_check_length(const run *r, const char *checkpoint) ERR_MUST_CHECK;
/* Collective, after the inputs were opened: all ranks have found the same settings, inputs, place
 * to start and length. Else ERR_INPUT on all, with the first rank that differs from rank 0, and in
 * what. */
err run_compare_ranks(const run *r) ERR_MUST_CHECK;
/* Ranks that update all weights themselves need equal bits, and so the same kernels. Collective. */
err run_compare_kernels(const run *r) ERR_MUST_CHECK;

#endif
