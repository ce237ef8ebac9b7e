/* Bytes that the ranks of a run send each other in one training step, call by call, counted without
 * running it. The calls are those of model/loss_shared.c, clip_share_reconstruction,
 * clip_advance_scales, train/buckets.c and train/optimizer.c, the bytes of a call those that the
 * implementations of comm.h add to bytes_moved; tests/comm/mpi_traffic.c compares the two. */
#ifndef FLIP_MODEL_TRAFFIC_H
#define FLIP_MODEL_TRAFFIC_H

#include <stdint.h>

#include "model/count.h"

typedef struct {
  int64_t features;       /* of images and texts, gathered, in compute type */
  int64_t statistics;     /* log-sum-exps and parts of the loss, gathered, in master type */
  int64_t reconstruction; /* errors of the decoder's chunks */
  int64_t scales;         /* of 8-bit operands, gathered, with delayed scaling */
  int64_t gradients;      /* each bucket's slices to the ranks that sum them */
  int64_t sums;           /* the summed slices back to all ranks; instead the new weights if the
                           * optimizer is sharded */
  int64_t norm;           /* of a sharded optimizer: the blocks' sums of squares, from which the
                           * gradients' norm is computed, and the logit scale; 0 otherwise */
} traffic_bytes;

typedef struct {
  int ranks;
  int64_t own;                    /* samples of a rank */
  int64_t embed, parameters;      /* elements: of an embedding; of the gradients, as laid out */
  int64_t border, bucket;         /* elements, as in comm_cut */
  int64_t errors;                 /* elements: of the reconstruction; 0: none */
  int64_t scales;                 /* elements: of 8-bit operands' scales; 0: none */
  bool is_sharded;                /* the optimizer (ZeRO-1) */
  bool has_classes;               /* a classifier: no contrastive loss, no logit scale */
  ops_type compute, master, wire; /* wire: type in which gradients are sent to be summed */
} traffic_shape;

/* For a model counted by model_count_of, with its batch divided among the ranks. */
traffic_shape traffic_shape_of(const model_counts *counts, const settings *s, int ranks,
                               ops_type compute, ops_type wire);

/* Sent by this rank. Rank 0 sends most: its slices are never the shorter ones. */
traffic_bytes traffic_of(const traffic_shape *shape, int rank);
int64_t traffic_total(const traffic_bytes *b);
/* Collective calls whose latency counts: before the backward pass, and after it. The gradients'
 * buckets follow each other without gaps and count as one. */
int traffic_calls_before(const traffic_shape *shape);
int traffic_calls_after(const traffic_shape *shape);

#endif
