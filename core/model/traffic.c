#include "model/traffic.h"

#include "comm/comm.h"

/* Every rank has `count` elements and sends them to each of the others. */
static int64_t gathered(int64_t count, int ranks, ops_type type) {
  return count * (ranks - 1) * (int64_t)ops_size_of(type);
}

/* The slices that other ranks sum. */
static int64_t sent_to_sum(int64_t total, int ranks, int rank, ops_type type) {
  return (total - comm_slice_of(total, ranks, rank).count) * (int64_t)ops_size_of(type);
}

static int64_t slices_gathered(int64_t total, int ranks, int rank, ops_type type) {
  return gathered(comm_slice_of(total, ranks, rank).count, ranks, type);
}

static int64_t summed(int64_t total, int ranks, int rank, ops_type type) {
  return sent_to_sum(total, ranks, rank, type) + slices_gathered(total, ranks, rank, type);
}

traffic_shape traffic_shape_of(const model_counts *counts, const settings *s, int ranks,
                               ops_type compute, ops_type wire) {
  return (traffic_shape){.ranks = ranks,
                         .own = s->batch_size / ranks,
                         .embed = s->embed_dim,
                         .parameters = counts->gradient_elements,
                         .border = counts->gradient_border,
                         .bucket = s->comm_bucket_bytes / (int64_t)sizeof(float),
                         .errors = counts->reconstruction_errors,
                         .scales = counts->scale_floats,
                         .is_sharded = s->optimizer_shard,
                         .has_classes = s->classification_classes > 0,
                         .compute = compute,
                         .master = OPS_F32,
                         .wire = wire};
}

traffic_bytes traffic_of(const traffic_shape *s, int rank) {
  int n = s->ranks;
  traffic_bytes b = {0};
  if (n <= 1) return b;
  if (s->has_classes) {
    b.statistics = gathered(1, n, OPS_F32) * 2; /* the loss, in fp64 */
  } else {
    b.features = 2 * gathered(s->own * s->embed, n, s->compute);
    b.statistics = 2 * gathered(s->own, n, s->master) + gathered(1, n, s->master);
  }
  if (s->errors) b.reconstruction = summed(s->errors, n, rank, s->master);
  if (s->scales) b.scales = gathered(s->scales, n, OPS_F32);
  int64_t own = comm_own_elements(s->parameters, s->border, s->bucket, n, rank);
  b.gradients = (s->parameters - own) * (int64_t)ops_size_of(s->wire);
  b.sums = gathered(own, n, s->master);
  int64_t blocks = (s->parameters + OPS_SQUARE_BLOCK - 1) / OPS_SQUARE_BLOCK;
  if (s->is_sharded)
    b.norm = summed(blocks, n, rank, s->master) + gathered(s->has_classes ? 0 : 1, n, s->master);
  return b;
}

int64_t traffic_total(const traffic_bytes *b) {
  return b->features + b->statistics + b->reconstruction + b->scales + b->gradients + b->sums +
         b->norm;
}

int traffic_calls_before(const traffic_shape *s) {
  return s->ranks <= 1 ? 0 : s->has_classes ? 1 : 2 + 2 + 1;
}

int traffic_calls_after(const traffic_shape *s) {
  return s->ranks > 1 ? 2 + (s->errors ? 2 : 0) + (s->scales ? 1 : 0) +
                            (s->is_sharded ? s->has_classes ? 2 : 3 : 0)
                      : 0;
}
