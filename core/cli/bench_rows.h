/* Training steps of several models, timed alternately, so that drift of the machine affects all of
 * them equally and does not bias their ratios. */
#ifndef FLIP_CLI_BENCH_ROWS_H
#define FLIP_CLI_BENCH_ROWS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "config/settings.h"

enum { BENCH_ROUNDS = 10 }; /* maximum turns of each model */

/* Results of one model; seconds are medians per step. */
typedef struct {
  double mask_ratio, seconds, image, text, loss, rest;
  double reconstruction; /* the decoder, which runs where the image tower goes back; 0: none */
  double scoring;        /* of patches, in mask mode attentive, before the step; 0: none */
  int64_t parameters;
  double samples_per_second, flops_per_second, image_flops;
  double encode_flops; /* forward FLOPs of the towers per sample */
  double recomputed;   /* FLOPs per sample, not among flops_per_second; 0: none */
  double time_ratio;   /* time per sample relative to the first row's: when alternating, the median
                        * over the rounds */
  double joules_per_sample;   /* negative: the device has no meter */
  uint64_t peak_bytes;        /* so far: of the device where it has memory, else of the process */
  uint64_t planned_bytes;     /* of this model */
  int64_t batch, micro_batch; /* micro_batch 0: the whole batch at once */
  int precision;
  bool delays_scales; /* of 8-bit products */
  char device[128];   /* the device's own name, "" for the CPU */
} bench_row;

/* Takes rows[i] when it is done, in order: one after another, or all at the end when measured in
 * turns. */
typedef struct {
  err (*take)(void *context, int i, bool is_in_turns);
  void *context;
} bench_taker;

/* rows [count] of runs with these settings, `steps` timed steps each: alternating, in at most
 * BENCH_ROUNDS turns, when the memory holds all models at once (is_in_turns), else one after the
 * other. All compute in the precision of the first. taker: may be NULL. */
err bench_measure_rows(const settings *runs, int count, int64_t vocabulary, int64_t steps,
                       bench_row *rows, bool *is_in_turns, const bench_taker *taker) ERR_MUST_CHECK;

#endif
