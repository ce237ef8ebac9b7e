#include "train/optimizer.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

int optimizer_depth_of(const char *name, int64_t layers) {
  static const char blocks[] = "image.blocks.";
  if (strncmp(name, blocks, sizeof blocks - 1) == 0)
    return (int)(layers - strtol(name + sizeof blocks - 1, NULL, 10));
  bool is_front = strncmp(name, "image.patch.", 12) == 0 ||
                  strncmp(name, "image.pre_norm.", 15) == 0 ||
                  strcmp(name, "image.class_token") == 0 || strcmp(name, "image.positions") == 0;
  return is_front ? (int)layers + 1 : 0;
}

static int by_offset(const void *a, const void *b) {
  const param *x = *(const param *const *)a, *y = *(const param *const *)b;
  return (x->offset > y->offset) - (x->offset < y->offset);
}

/* Runs of adjacent parameters of one depth and decay, in the order of the flat array; together they
 * cover it. */
static err find_runs(optimizer *o) {
  const param_table *table = clip_params(o->model);
  int64_t layers = clip_get_config(o->model)->image.layers;
  const param **order = mem_zeroed(table->count, sizeof *order);
  o->runs = mem_zeroed(table->count, sizeof *o->runs);
  if (!order || !o->runs) {
    free(order);
    return mem_error(table->count * sizeof *o->runs, "the optimizer");
  }
  for (size_t i = 0; i < table->count; i++) order[i] = &table->items[i];
  qsort(order, table->count, sizeof *order, by_offset);
  for (size_t i = 0; i < table->count; i++) {
    int64_t end = i + 1 < table->count ? order[i + 1]->offset : table->total;
    int depth = optimizer_depth_of(order[i]->name, layers);
    optimizer_run *last = o->run_count ? &o->runs[o->run_count - 1] : NULL;
    if (last && last->depth == depth && last->is_decayed == order[i]->is_decayed)
      last->count = end - last->first;
    else
      o->runs[o->run_count++] =
          (optimizer_run){order[i]->offset, end - order[i]->offset, order[i]->is_decayed, depth};
  }
  free(order);
  return NULL;
}

bool optimizer_is_sharded(const optimizer *o) {
  return o->shared && o->shared->is_sharded;
}

/* Not kept as a whole in master type. */
static bool is_passed_through_gradients(const optimizer *o) {
  return optimizer_is_sharded(o) || o->is_narrow;
}

static int64_t own_elements(const optimizer *o) {
  int64_t own = 0;
  if (!optimizer_is_sharded(o)) return clip_params(o->model)->total;
  for (size_t i = 0; i < o->shared->count; i++) own += buckets_own(o->shared, i).count;
  return own;
}

static int64_t block_count(const optimizer *o) {
  return (clip_params(o->model)->total + OPS_SQUARE_BLOCK - 1) / OPS_SQUARE_BLOCK;
}

static void lay_out(optimizer *o, ops_block *block) {
  ops_type master = clip_weights(o->model)->o->master;
  ops_type type = o->is_narrow ? OPS_BF16 : master;
  o->m = ops_cut(block, type, o->own);
  o->v = ops_cut(block, type, o->own);
  o->number = ops_cut(block, OPS_I32, 1);
  o->norm_square = ops_cut(block, master, 1);
  o->rates = ops_cut(block, master, 3 * o->depths);
  if (!o->shared) return;
  o->blocks = ops_cut(block, master, block_count(o));
  o->scales = ops_cut(block, master, o->shared->ranks->size);
}

static err create(optimizer *out) {
  ops *o = clip_weights(out->model)->o;
  ops_block sizes = {0};
  size_t rates = 3 * (size_t)out->depths;
  out->own = own_elements(out);
  out->rates_wide = mem_zeroed(rates, sizeof *out->rates_wide);
  out->rates_narrow = mem_zeroed(rates, sizeof *out->rates_narrow);
  lay_out(out, &sizes);
  err error = NULL;
  if (!out->rates_wide || !out->rates_narrow) FAIL(ERR_MEMORY, "out of memory: the optimizer");
  if (out->depths > 1) TRY(find_runs(out));
  TRY(o->call->allocate(o, sizes.used, "the optimizer's moments", &out->block));
  lay_out(out, &(ops_block){.base = out->block});
  TRY(o->call->clear(o, out->block, sizes.used));
  /* moments pass through here to and from checkpoints, including the padding between them */
  if (is_passed_through_gradients(out)) TRY(clip_clear_gradients(out->model));
  /* the first rates are uploaded in parallel with the ops: clearing must not come after them */
  TRY(o->call->synchronize(o));
cleanup:
  return error;
}

err optimizer_create(clip_model *model, const buckets *shared, optimizer *o) {
  *o = (optimizer){.model = model, .shared = shared, .layer_decay = 1, .depths = 1};
  return create(o);
}

err optimizer_create_layered(clip_model *model, double layer_decay, const buckets *shared,
                             optimizer *o) {
  *o = (optimizer){.model = model, .shared = shared, .layer_decay = layer_decay};
  o->depths = layer_decay == 1 ? 1 : (int)clip_get_config(model)->image.layers + 2;
  return create(o);
}

const char *optimizer_remedy(const settings *s) {
  if ((float)s->epsilon < FLT_MIN)
    return "a larger epsilon: this one is 0 in fp32, and the update of a parameter without a "
           "gradient, as of an unused word, 0 / 0";
  return "a lower learning_rate, a longer warmup_samples or clip_norm";
}

err optimizer_create_for(clip_model *model, const settings *s, const buckets *shared,
                         optimizer *o) {
  const double decay = s->classification_classes > 0 ? s->classification_layer_decay : 1;
  *o = (optimizer){.model = model,
                   .shared = shared,
                   .layer_decay = decay,
                   .depths = decay == 1 ? 1 : (int)clip_get_config(model)->image.layers + 2,
                   .is_narrow = s->optimizer_moments == OPTIMIZER_MOMENTS_BF16 &&
                                clip_weights(model)->o->master == OPS_F32,
                   .seed = (uint64_t)s->seed};
  return create(o);
}

void optimizer_destroy(optimizer *o) {
  free(o->rates_wide);
  free(o->rates_narrow);
  free(o->runs);
  ops *backend = o->block ? clip_weights(o->model)->o : NULL;
  if (backend) backend->call->release(backend, o->block);
  *o = (optimizer){0};
}

err optimizer_stage(optimizer *o, const settings *s, int64_t step, double learning_rate) {
  ops *backend = clip_weights(o->model)->o;
  bool is_wide = backend->master == OPS_F64;
  for (int depth = 0; depth < o->depths; depth++) {
    const double rates[3] = {learning_rate * pow(o->layer_decay, depth),
                             1 / (1 - pow(s->beta1, (double)step)),
                             1 / (1 - pow(s->beta2, (double)step))};
    for (int i = 0; i < 3; i++) {
      o->rates_wide[3 * depth + i] = rates[i];
      o->rates_narrow[3 * depth + i] = (float)rates[i];
    }
  }
  o->number_staged = (int32_t)step;
  err error = backend->call->upload_ahead(backend, o->number.data, &o->number_staged,
                                          sizeof o->number_staged);
  if (error) return error;
  return backend->call->upload_ahead(backend, o->rates.data,
                                     is_wide ? (void *)o->rates_wide : (void *)o->rates_narrow,
                                     3 * (size_t)o->depths * ops_size_of(backend->master));
}

/* Of this rank's slices, then of all. Slices begin at multiples of a block, so each block belongs
 * to one rank, and the others add 0 to it: the bits do not depend on the slices. */
static err sum_blocks_of_slices(const optimizer *o) {
  const tower_weights *w = clip_weights(o->model);
  const ops_table *call = w->o->call;
  err error = call->fill(w->o, block_count(o), o->blocks, 0);
  for (size_t i = 0; i < o->shared->count && !error; i++) {
    comm_slice own = buckets_own(o->shared, i);
    if (own.count)
      error = call->sum_square_blocks(w->o, own.count, ops_at(w->gradients, own.first),
                                      ops_at(o->blocks, own.first / OPS_SQUARE_BLOCK));
  }
  return error ? error : comm_sum(o->shared->ranks, block_count(o), o->blocks);
}

/* Of the gradients of all ranks, with the same bits whether they are whole or sharded. */
static err sum_squares(const optimizer *o) {
  const tower_weights *w = clip_weights(o->model);
  const ops_table *call = w->o->call;
  int64_t total = clip_params(o->model)->total;
  if (!o->shared) return call->sum_squares(w->o, total, w->gradients, o->norm_square);
  err error = optimizer_is_sharded(o)
                  ? sum_blocks_of_slices(o)
                  : call->sum_square_blocks(w->o, total, w->gradients, o->blocks);
  return error ? error : call->sum(w->o, block_count(o), o->blocks, o->norm_square);
}

/* Updates `part` of the parameters, the first `decayed` of which are under weight decay; their
 * moments start at `place`. depth: index of the rate. */
static err update_range(const optimizer *o, const settings *s, comm_slice part, int64_t place,
                        int64_t decayed, int depth) {
  const tower_weights *w = clip_weights(o->model);
  bool has_copy = w->working.data != w->master.data && !optimizer_is_sharded(o);
  ops_adamw a = {.first = part.first,
                 .seed = o->seed,
                 .number = o->number,
                 .count = part.count,
                 .decayed = decayed,
                 .beta1 = s->beta1,
                 .beta2 = s->beta2,
                 .eps = s->epsilon,
                 .weight_decay = s->weight_decay,
                 .clip_norm = s->clip_norm,
                 .rates = ops_at(o->rates, 3 * depth),
                 .norm_square = o->norm_square,
                 .parameters = ops_at(w->master, part.first),
                 .gradients = ops_at(w->gradients, part.first),
                 .m = ops_at(o->m, place),
                 .v = ops_at(o->v, place),
                 .copy = has_copy ? ops_at(w->working, part.first) : (ops_buffer){0}};
  return part.count ? w->o->call->adamw(w->o, &a) : NULL;
}

/* The part of each run that is in `part`, at its rate. */
static err update_runs(const optimizer *o, const settings *s, comm_slice part, int64_t place) {
  int64_t end = part.first + part.count;
  err error = NULL;
  for (size_t i = 0; i < o->run_count && !error; i++) {
    const optimizer_run *run = &o->runs[i];
    int64_t from = run->first > part.first ? run->first : part.first;
    int64_t to = run->first + run->count < end ? run->first + run->count : end;
    if (from < to)
      error = update_range(o, s, (comm_slice){from, to - from}, place + from - part.first,
                           run->is_decayed ? to - from : 0, run->depth);
  }
  return error;
}

/* Without runs at the run's rate, with `decayed` of the table. */
static err update_part(const optimizer *o, const settings *s, comm_slice part, int64_t place) {
  if (o->depths > 1) return update_runs(o, s, part, place);
  int64_t decayed = clip_params(o->model)->decayed - part.first;
  if (decayed < 0) decayed = 0;
  if (decayed > part.count) decayed = part.count;
  return update_range(o, s, part, place, decayed, 0);
}

/* The scale is sent to all immediately, so that a step can be reported before the weights have
 * arrived. */
static err update_shard(optimizer *o, const settings *s) {
  const tower_weights *w = clip_weights(o->model);
  comm *ranks = o->shared->ranks;
  int64_t place = 0;
  err error = NULL;
  for (size_t i = 0; i < o->shared->count; i++) {
    comm_slice own = buckets_own(o->shared, i);
    TRY(update_part(o, s, own, place));
    place += own.count;
  }
  if (clip_get_config(o->model)->classes == 0)
    TRY(ranks->call->gather(ranks, 1, ops_at(w->master, clip_logit_scale_offset(o->model)),
                            o->scales));
  o->is_gathering = true;
  for (size_t i = 0; i < o->shared->count; i++) {
    comm_slice range = o->shared->items[i].range;
    TRY(ranks->call->gather_slices(ranks, range.count, ops_at(w->master, range.first)));
  }
cleanup:
  return error;
}

bool optimizer_has_norm(const optimizer *o, const settings *s) {
  return s->clip_norm > 0 || o->shared;
}

err optimizer_measure_norm(const optimizer *o) {
  return sum_squares(o);
}

err optimizer_update(optimizer *o, const settings *s) {
  err error = optimizer_has_norm(o, s) ? sum_squares(o) : NULL;
  if (error) return error;
  if (optimizer_is_sharded(o)) return update_shard(o, s);
  error = update_part(o, s, (comm_slice){0, clip_params(o->model)->total}, 0);
  return error ? error : clip_round_weights(o->model);
}

err optimizer_settle(optimizer *o) {
  if (!o->is_gathering) return NULL;
  o->is_gathering = false;
  err error = comm_join(o->shared->ranks);
  return error ? error : clip_refresh(o->model);
}

err optimizer_read_norm(const optimizer *o, double *norm) {
  err error = clip_read_number(o->model, o->norm_square, norm);
  *norm = sqrt(*norm);
  return error;
}

/* The rank whose slice holds the parameter. */
static int rank_of(const optimizer *o, int64_t offset) {
  const buckets *b = o->shared;
  for (size_t i = 0; i < b->count; i++) {
    comm_slice range = b->items[i].range;
    if (offset < range.first || offset >= range.first + range.count) continue;
    int64_t length = comm_slice_of(range.count, b->ranks->size, 0).count;
    return (int)((offset - range.first) / length);
  }
  return 0;
}

err optimizer_read_scale(const optimizer *o, double *scale) {
  bool has_none = clip_get_config(o->model)->classes > 0; /* a classifier */
  if (has_none || !optimizer_is_sharded(o)) return clip_logit_scale(o->model, scale);
  int owner = rank_of(o, clip_logit_scale_offset(o->model));
  return clip_logit_scale_of(o->model, ops_at(o->scales, owner), scale);
}

static ops_buffer moment(const optimizer *o, optimizer_moment which) {
  return which == OPTIMIZER_M ? o->m : o->v;
}

ops_buffer optimizer_place(const optimizer *o, optimizer_moment which) {
  return is_passed_through_gradients(o) ? clip_weights(o->model)->gradients : moment(o, which);
}

/* Copies between the slices and their positions in the full array. */
static err move(const optimizer *o, optimizer_moment which, bool is_out) {
  const tower_weights *w = clip_weights(o->model);
  ops_buffer at = moment(o, which);
  err error = NULL;
  if (!optimizer_is_sharded(o))
    return w->o->call->cast(w->o, o->own, is_out ? at : w->gradients, is_out ? w->gradients : at);
  for (size_t i = 0; i < o->shared->count && !error; i++) {
    comm_slice own = buckets_own(o->shared, i);
    ops_buffer place = ops_at(w->gradients, own.first);
    if (own.count)
      error = w->o->call->cast(w->o, own.count, is_out ? at : place, is_out ? place : at);
    at = ops_at(at, own.count);
  }
  return error;
}

err optimizer_collect(const optimizer *o, optimizer_moment which, ops_buffer *whole) {
  *whole = optimizer_place(o, which);
  if (!is_passed_through_gradients(o)) return NULL;
  err error = move(o, which, true);
  if (!optimizer_is_sharded(o)) return error;
  comm *ranks = o->shared->ranks;
  for (size_t i = 0; i < o->shared->count && !error; i++) {
    comm_slice range = o->shared->items[i].range;
    error = ranks->call->gather_slices(ranks, range.count, ops_at(*whole, range.first));
  }
  return error ? error : comm_join(ranks);
}

err optimizer_take(const optimizer *o, optimizer_moment which) {
  return is_passed_through_gradients(o) ? move(o, which, false) : NULL;
}

double schedule_peak(const settings *s) {
  return s->learning_rate > 0 ? s->learning_rate
                              : s->base_learning_rate * (double)s->batch_size / 256.0;
}

double schedule_rate(double peak, int64_t update, int64_t warmup, int64_t total) {
  if (update < warmup) return peak * (double)update / (double)warmup;
  double through = (double)(update - warmup) / (double)(total - warmup);
  return peak * 0.5 * (1.0 + cos(3.141592653589793 * through));
}
