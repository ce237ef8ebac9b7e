/* The prediction part of `flip plan`: a table of one line for each number of ranks. */
#ifndef FLIP_CLI_PLAN_RANKS_H
#define FLIP_CLI_PLAN_RANKS_H

#include <math.h>

#include "base/json.h"
#include "base/options.h"
#include "model/forecast.h"

enum { PLAN_RANKS_MOST = 32 };

typedef struct {
  const char *ranks, *rate, *wire;
  double link, latency, overlap; /* GB/s, us, share; NaN: not given */
} plan_ranks_options;

#define PLAN_RANKS_DEFAULTS                                                                        \
  { .link = NAN, .latency = NAN, .overlap = NAN }
#define PLAN_RANKS_OPTIONS(o)                                                                        \
  {"ranks", 0, OPTION_STRING, &(o).ranks, "N[,M…]", "predict a run on that many devices", false},    \
      {"rate", 0, OPTION_STRING, &(o).rate, "SAMPLES/S|DEVICE|FILE", "measured rate of one device",  \
       false},                                                                                       \
      {"link", 0, OPTION_NUMBER, &(o).link, "GB/S", "bandwidth of a device's link, each way",        \
       false},                                                                                       \
      {"latency", 0, OPTION_NUMBER, &(o).latency, "US", "latency of a message in us [10]", false},   \
      {"overlap",     0,                                                                             \
       OPTION_NUMBER, &(o).overlap,                                                                  \
       "SHARE",       "share of the backward pass that hides the exchange of gradients, 0 to 1 [0]", \
       false},                                                                                       \
  {                                                                                                  \
    "wire", 0, OPTION_CHOICE, &(o).wire, "fp32|bf16",                                                \
        "type in which gradients are sent to be summed [comm.reduce]", false                         \
  }

typedef struct {
  device_rates rates;
  forecast_machine machine;
  forecast rows[PLAN_RANKS_MOST];
  size_t count; /* 0: no prediction was requested */
  int64_t updates;
} plan_ranks;

/* What a backend divides activations into: 0 on a GPU, which `rates` may be of. */
int64_t plan_chunk_bytes(const settings *s, const device_rates *rates);

err plan_ranks_make(const plan_ranks_options *asked, const settings *s, int64_t vocabulary,
                    const model_counts *counts, plan_ranks *out) ERR_MUST_CHECK;
err plan_ranks_print(const plan_ranks *p) ERR_MUST_CHECK;
/* Writes the member "prediction" of the open object, if a prediction was requested. */
void plan_ranks_write(const plan_ranks *p, json_writer *w);
void plan_ranks_free(plan_ranks *p);

#endif
