#include "train/optimizer.h"

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

/* Neighbours of one depth and decay, in the order of the flat run; together they are all of it. */
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
    int depth = o->depths > 1 ? optimizer_depth_of(order[i]->name, layers) : 0;
    optimizer_run *last = o->run_count ? &o->runs[o->run_count - 1] : NULL;
    if (last && last->depth == depth &&
        (o->depths == 1 || last->is_decayed == order[i]->is_decayed))
      last->count = end - last->first;
    else
      o->runs[o->run_count++] =
          (optimizer_run){order[i]->offset, end - order[i]->offset, order[i]->is_decayed, depth};
  }
  free(order);
  return NULL;
}

err optimizer_create_layered(clip_model *model, double layer_decay, optimizer *out) {
  ops *o = clip_weights(model)->o;
  size_t one = mem_rounded((size_t)clip_params(model)->total * ops_size_of(o->master));
  *out = (optimizer){.model = model, .layer_decay = layer_decay};
  out->depths = layer_decay == 1 ? 1 : (int)clip_get_config(model)->image.layers + 2;
  size_t rates = 3 * (size_t)out->depths;
  size_t bytes = 2 * one + MEM_ALIGNMENT + mem_rounded(rates * ops_size_of(o->master));
  out->rates_wide = mem_zeroed(rates, sizeof *out->rates_wide);
  out->rates_narrow = mem_zeroed(rates, sizeof *out->rates_narrow);
  err error = NULL;
  if (!out->rates_wide || !out->rates_narrow) FAIL(ERR_MEMORY, "out of memory: the optimizer");
  TRY(find_runs(out));
  TRY(o->call->allocate(o, bytes, "the optimizer's moments", &out->block));
  char *base = out->block;
  out->m = (ops_buffer){base, o->master};
  out->v = (ops_buffer){base + one, o->master};
  out->norm_square = (ops_buffer){base + 2 * one, o->master};
  out->rates = (ops_buffer){base + 2 * one + MEM_ALIGNMENT, o->master};
  TRY(o->call->clear(o, out->block, bytes));
  /* the first rates are uploaded in parallel with the ops: clearing must not come after them */
  TRY(o->call->synchronize(o));
cleanup:
  return error;
}

err optimizer_create(clip_model *model, optimizer *o) {
  return optimizer_create_layered(model, 1, o);
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
  return backend->call->upload_ahead(backend, o->rates.data,
                                     is_wide ? (void *)o->rates_wide : (void *)o->rates_narrow,
                                     3 * (size_t)o->depths * ops_size_of(backend->master));
}

err optimizer_update(optimizer *o, const settings *s) {
  const param_table *table = clip_params(o->model);
  const tower_weights *w = clip_weights(o->model);
  bool has_copy = w->working.data != w->master.data;
  err error = w->o->call->sum_squares(w->o, table->total, w->gradients, o->norm_square);
  for (size_t i = 0; i < o->run_count && !error; i++) {
    const optimizer_run *run = &o->runs[i];
    bool is_all = o->run_count == 1;
    ops_adamw a = {.count = run->count,
                   .decayed = is_all            ? table->decayed
                              : run->is_decayed ? run->count
                                                : 0,
                   .beta1 = s->beta1,
                   .beta2 = s->beta2,
                   .eps = s->epsilon,
                   .weight_decay = s->weight_decay,
                   .clip_norm = s->clip_norm,
                   .rates = ops_at(o->rates, 3 * run->depth),
                   .norm_square = o->norm_square,
                   .parameters = ops_at(w->master, run->first),
                   .gradients = ops_at(w->gradients, run->first),
                   .m = ops_at(o->m, run->first),
                   .v = ops_at(o->v, run->first),
                   .copy = has_copy ? ops_at(w->working, run->first) : (ops_buffer){0}};
    error = w->o->call->adamw(w->o, &a);
  }
  return error;
}

err optimizer_read_norm(const optimizer *o, double *norm) {
  err error = clip_read_number(o->model, o->norm_square, norm);
  *norm = sqrt(*norm);
  return error;
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
