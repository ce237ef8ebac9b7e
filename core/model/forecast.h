/* Step time, efficiency and cost of a run on one or more devices, predicted from the measured rate
 * of one. Only that rate is measured; forecast_assumptions lists the assumptions. */
#ifndef FLIP_MODEL_FORECAST_H
#define FLIP_MODEL_FORECAST_H

#include "model/rates.h"
#include "model/traffic.h"

typedef struct {
  const device_rates *rates;
  double link_bytes_per_second; /* of a device, each way */
  double latency_seconds;       /* of a message */
  double overlap;               /* share of the last backward pass that hides gradients, 0..1 */
  ops_type wire;                /* type in which gradients are sent, if has_wire */
  bool has_wire;                /* else as comm.reduce says */
  int64_t data_samples; /* of the training data, for runs that count in its epochs; 0: unknown */
  int64_t most_micro_batch; /* 0: as in the settings */
} forecast_machine;

/* Of one step, in seconds, and of the run. */
typedef struct {
  int64_t ranks, own, micro;
  bool is_far;         /* no measured row is within three times the FLOPs of a sample */
  const rate_row *row; /* the measurement that it is based on */
  traffic_bytes moved; /* by rank 0 */
  double encode;       /* towers, forward and backward, with the gradient cache's second pass */
  double loss, update;
  double exchange; /* all collectives */
  double exposed;  /* the part of exchange that no backward pass hides */
  double step;
  double samples_per_second, efficiency; /* of `ranks` times the measured rate, as of
                                          * samples that are encoded once */
  double device_hours; /* of all updates; NaN: the number of updates is not known */
  double watts, kwh;   /* NaN: not known */
  uint64_t rank_bytes; /* planned memory */
} forecast;

/* ERR_INPUT unless settings_suit_ranks. vocabulary: entries of the tokenizer. */
err forecast_make(const settings *s, int64_t vocabulary, int64_t chunk_bytes,
                  const forecast_machine *machine, int ranks, forecast *out) ERR_MUST_CHECK;

/* The compute type of a prediction: that of the rates if precision is auto. */
ops_type forecast_compute_type(const settings *s, const device_rates *rates);

/* One line each, without a bullet. has_ranks: of predictions for more than one rank too. */
void forecast_assumptions(const forecast_machine *machine, bool has_ranks, strbuf *out);

#endif
