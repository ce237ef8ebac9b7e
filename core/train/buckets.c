#include "train/buckets.h"

#include <stdlib.h>

#include "base/mem.h"

static bool is_in(const bucket *b, const param *p) {
  return p->offset < b->range.first + b->range.count &&
         b->range.first < p->offset + param_elements(p);
}

static err start(const buckets *b, bucket *one) {
  ops_buffer x = ops_at(clip_weights(b->model)->gradients, one->range.first);
  const comm_table *call = b->ranks->call;
  one->is_started = true;
  err error = call->sum_slices(b->ranks, one->range.count, x, b->wire);
  return error || b->is_sharded ? error : call->gather_slices(b->ranks, one->range.count, x);
}

static err complete(const param_watch *watch, size_t first, size_t count) {
  buckets *b = watch->state;
  const param_table *table = clip_params(b->model);
  for (size_t i = 0; i < b->count; i++) {
    bucket *one = &b->items[i];
    int before = one->waiting;
    for (size_t t = first; t < first + count; t++) one->waiting -= is_in(one, &table->items[t]);
    if (one->waiting == before) continue;
    one->is_mixed = one->is_mixed || (one->branch >= 0 && one->branch != watch->branch);
    one->branch = watch->branch;
    if (one->waiting > 0 || one->is_mixed || b->is_held) continue;
    err error = start(b, one);
    if (error) return error;
  }
  return NULL;
}

err buckets_open(buckets *b, clip_model *model, comm *ranks, int64_t bytes, ops_type wire,
                 bool is_sharded) {
  const param_table *table = clip_params(model);
  int64_t most = bytes / (int64_t)ops_size_of(clip_weights(model)->o->master);
  *b = (buckets){.ranks = ranks, .model = model, .wire = wire, .is_sharded = is_sharded};
  b->watch = (param_watch){.complete = complete, .state = b};
  size_t count = comm_cut(table->total, table->decayed, most, NULL);
  comm_slice *ranges = mem_zeroed(count, sizeof *ranges);
  b->items = mem_zeroed(count, sizeof *b->items);
  if (ranges && b->items) {
    b->count = comm_cut(table->total, table->decayed, most, ranges);
    for (size_t i = 0; i < count; i++) b->items[i].range = ranges[i];
  }
  free(ranges);
  return b->count ? NULL : mem_error(count * sizeof *b->items, "buckets of gradients");
}

void buckets_close(buckets *b) {
  free(b->items);
  *b = (buckets){0};
}

void buckets_begin(buckets *b, bool is_held) {
  b->is_held = is_held;
  const param_table *table = clip_params(b->model);
  for (size_t i = 0; i < b->count; i++) {
    bucket *one = &b->items[i];
    *one = (bucket){.range = one->range, .branch = -1};
    for (size_t t = 0; t < table->count; t++) one->waiting += is_in(one, &table->items[t]);
  }
}

err buckets_finish(buckets *b) {
  for (size_t i = 0; i < b->count; i++) {
    bucket *one = &b->items[i];
    if (one->waiting)
      return err_new(ERR_INTERNAL, "%d tensors' gradients were never complete", one->waiting);
    err error = one->is_started ? NULL : start(b, one);
    if (error) return error;
  }
  return comm_join(b->ranks);
}

comm_slice buckets_own(const buckets *b, size_t i) {
  comm_slice range = b->items[i].range;
  comm_slice own = comm_slice_of(range.count, b->ranks->size, b->ranks->rank);
  return (comm_slice){range.first + own.first, own.count};
}
