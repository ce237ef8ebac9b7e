/* Exports the curves of an experiment's runs for other programs: TensorBoard event files, or
 * long-form CSV (one line per number) as read by W&B, MLflow and data frames.
 *
 * Tags: train/loss, train/learning_rate, train/logit_scale, train/grad_norm,
 * train/reconstruction_loss, train/train_seconds and eval/SET/TASK_METRIC
 * ("eval/openclipart/zeroshot_top1"). */
#ifndef FLIPBENCH_REPORT_CURVE_EXPORT_H
#define FLIPBENCH_REPORT_CURVE_EXPORT_H

#include "experiment/spec.h"
#include "store/store.h"

typedef enum { CURVES_TENSORBOARD, CURVES_CSV } curves_format;

typedef struct {
  const char *folder; /* created when missing */
  curves_format format;
  bool counts_samples; /* the step of a number is the count of samples seen */
} curves_options;

typedef struct {
  size_t runs;
  int64_t numbers;
} curves_count;

/* Exports, for each cell, the run that reports show. TensorBoard: FOLDER/RUN/events.out.tfevents.…,
 * one file per run, rewritten each time. CSV: FOLDER/metrics.csv and FOLDER/params.csv. */
err curves_export(const spec_experiment *e, store *s, const curves_options *options,
                  curves_count *count) ERR_MUST_CHECK;

#endif
