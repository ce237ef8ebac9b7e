/* The state of a run, shared by the files of the trainer: setup.c makes it, trainer.c drives it,
 * report.c tells about it. Not for others. */
#ifndef FLIP_TRAIN_RUN_H
#define FLIP_TRAIN_RUN_H

#include "base/machine.h"
#include "base/progress.h"
#include "data/dataset.h"
#include "data/loader.h"
#include "data/tokenizer.h"
#include "eval/eval.h"
#include "model/clip.h"
#include "model/count.h"
#include "ops/ops.h"
#include "train/checkpoint.h"
#include "train/events.h"
#include "train/optimizer.h"
#include "train/step.h"
#include "train/trainer.h"

typedef struct {
  const settings *s;
  const trainer_options *options;
  char *checkpoints; /* folder */
  int lock;          /* on the run folder; -1: not taken */
  tokenizer *words;
  dataset *data;
  eval_set **sets;
  size_t set_count;
  ops *o;
  clip_model *model;
  optimizer moments;
  train_step step;
  loader *batches;
  loader_batch batch; /* the staged one */
  bool is_staged;
  event_stream events;
  progress bar;
  model_counts counts;
  double gemm_rate;
  int32_t *index;       /* [batch, train_patches] keep-lists of the step */
  double *step_seconds; /* of this process's steps, for the median */
  int64_t steps_timed;
  int64_t total_steps, total_samples, warmup_steps, first_step;
  checkpoint_state at;
  machine_state machine; /* at the start */
  step_result result;    /* of the last step */
  double wall_start, last_accuracy, checkpoint_time;
  double energy_mark;   /* the device's meter in joules when training went on; negative: none */
  double energy_joules; /* of this process's training, without evaluation */
} run;

/* Everything up to the first step. On failure run_close still works. */
err run_open(run *r) ERR_MUST_CHECK;
void run_close(run *r);

err run_report_start(run *r) ERR_MUST_CHECK;
/* OUT/code.diff when the build was dirty, and what makes this machine's timings doubtful. */
err run_report_conditions(run *r) ERR_MUST_CHECK;
err run_report_step(run *r, double seconds, double waited, double rate) ERR_MUST_CHECK;
err run_report_eval(run *r, const eval_set *set, const eval_result *result,
                    double seconds) ERR_MUST_CHECK;
/* Peak memory: of the device where it has its own, else of this process. */
uint64_t run_peak_bytes(const run *r);
err run_report_memory(run *r) ERR_MUST_CHECK;
/* `failure`: NULL when finished. */
err run_report_end(run *r, err failure) ERR_MUST_CHECK;
/* Samples/s by the median step of this process, the first tenth (at most 20 steps) left out. */
double run_median_rate(const run *r);

#endif
