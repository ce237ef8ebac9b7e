/* Gradients summed over ranks while the backward pass runs.
 *
 * The flat array of parameters is divided into buckets (comm_cut), roughly in the order in which
 * the backward pass completes them. The sum of a bucket starts after the last op that adds to one
 * of its gradients was called. Every element is summed independently, so the bits do not depend on
 * the buckets. With a sharded optimizer each rank keeps the sums of its own slices; otherwise all
 * ranks get all sums. */
#ifndef FLIP_TRAIN_BUCKETS_H
#define FLIP_TRAIN_BUCKETS_H

#include "model/clip.h"

typedef struct {
  comm_slice range;
  int waiting;   /* tensors in it whose gradients are not complete */
  int branch;    /* of the ops of the completed ones; -1: none yet */
  bool is_mixed; /* ops of several branches: it waits for the merge */
  bool is_started;
} bucket;

typedef struct {
  comm *ranks; /* not owned, nor is the model */
  clip_model *model;
  ops_type wire;
  bool is_sharded;
  bucket *items;
  size_t count;
  bool is_held;      /* nothing starts before buckets_finish */
  param_watch watch; /* for clip_set_watch */
} buckets;

/* bytes: of gradients in a bucket. On failure buckets_close still works. */
err buckets_open(buckets *b, clip_model *model, comm *ranks, int64_t bytes, ops_type wire,
                 bool is_sharded) ERR_MUST_CHECK;
void buckets_close(buckets *b);

/* Before a backward pass that b->watch follows. is_held: no bucket is summed before buckets_finish,
 * for a pass in which the backend times its choices: those of a GPU that also moves buckets, and
 * waits for other ranks with some of its multiprocessors, would be of another machine. */
void buckets_begin(buckets *b, bool is_held);
/* After it: ops called from then on see the sums. */
err buckets_finish(buckets *b) ERR_MUST_CHECK;

/* This rank's slice of bucket i, in the flat array. */
comm_slice buckets_own(const buckets *b, size_t i);

#endif
