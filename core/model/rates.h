/* Measured rates of one device, from which longer and larger runs are predicted.
 *
 * Read from a file of JSON lines: what `flip bench step --json` printed, or the events.jsonl of a
 * run on one rank that has ended. A line with "device" describes a GPU (experiments/devices/):
 *   device, source   names, printed with every prediction
 *   watts            its power limit: used for the energy if none was measured
 *   like, rate_factor  use the rows of another file in this folder, their rates times this factor
 *   assumption       printed with every prediction */
#ifndef FLIP_MODEL_RATES_H
#define FLIP_MODEL_RATES_H

#include "config/settings.h"
#include "model/count.h"

/* One measured training step. Times that were not measured separately are 0 and are part of
 * flop_seconds. */
typedef struct {
  double mask_ratio, batch;
  double samples_per_second, flops_per_sample;
  double encoded_twice;  /* FLOPs per sample of the gradient cache's first pass, which are not among
                          * flops_per_sample; 0: the whole batch was encoded at once */
  double recomputed;     /* FLOPs per sample that the backward pass repeats; 0: none */
  double flop_seconds;   /* of the towers, without the update and the loss */
  double micro_batch;    /* samples; 0: the whole batch was encoded at once */
  double update_seconds; /* of the optimizer's update */
  double parameters;     /* that were updated; 0: not known */
  double watts;          /* mean, measured; 0: not measured */
  char model[32];        /* "": not known */
  int precision;         /* PRECISION_* */
} rate_row;

typedef struct {
  char device[128], source[256], assumption[512]; /* "": none */
  double watts;                                   /* 0: not known */
  bool is_scaled;                                 /* rows are another device's, times a factor */
  bool is_gpu;
  rate_row *rows;
  size_t count, impossible; /* impossible: rows whose power was above the limit and is ignored */
} device_rates;

/* given: "1200" (samples/s of these settings, with the whole batch encoded at once), a path, or the
 * name of a file in experiments/devices/ ("h100"). counts: of the settings on one device, for a
 * number alone. */
err rates_open(const char *given, const settings *s, const model_counts *counts,
               device_rates *out) ERR_MUST_CHECK;
void rates_free(device_rates *r);

/* FLOPs of a rank's products in the loss: on one rank, four of batch x batch (cosines twice, two
 * gradients); on several, three per direction on its rows and columns (model/loss_shared.c). A
 * classifier's, of `classes` > 0, counts as 0: it is of its own samples only. */
double forecast_loss_flops(int64_t classes, int64_t batch, int64_t own, int64_t embed, int ranks);

/* The row of this precision (PRECISION_AUTO: of the first row's) that is nearest in FLOPs of a
 * sample and mask ratio; NULL: none has it. */
const rate_row *rates_nearest(const device_rates *r, int precision, double flops_per_sample,
                              double mask_ratio);

#endif
