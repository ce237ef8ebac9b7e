#include "train/optimizer.h"

#include <math.h>

#include "base/mem.h"

err optimizer_create(clip_model *model, optimizer *out) {
  ops *o = clip_weights(model)->o;
  size_t one = mem_rounded((size_t)clip_params(model)->total * ops_size_of(o->master));
  size_t bytes = 2 * one + 2 * MEM_ALIGNMENT;
  *out = (optimizer){.model = model};
  err error = o->call->allocate(o, bytes, "the optimizer's moments", &out->block);
  if (error) return error;
  char *base = out->block;
  out->m = (ops_buffer){base, o->master};
  out->v = (ops_buffer){base + one, o->master};
  out->norm_square = (ops_buffer){base + 2 * one, o->master};
  out->rates = (ops_buffer){base + 2 * one + MEM_ALIGNMENT, o->master};
  error = o->call->clear(o, out->block, bytes);
  /* the first rates are uploaded in parallel with the ops: clearing must not come after them */
  return error ? error : o->call->synchronize(o);
}

void optimizer_destroy(optimizer *o) {
  if (!o->block) return;
  ops *backend = clip_weights(o->model)->o;
  backend->call->release(backend, o->block);
  *o = (optimizer){0};
}

err optimizer_stage(optimizer *o, const settings *s, int64_t step, double learning_rate) {
  ops *backend = clip_weights(o->model)->o;
  const double rates[3] = {learning_rate, 1 / (1 - pow(s->beta1, (double)step)),
                           1 / (1 - pow(s->beta2, (double)step))};
  bool is_wide = backend->master == OPS_F64;
  for (int i = 0; i < 3; i++) {
    o->rates_wide[i] = rates[i];
    o->rates_narrow[i] = (float)rates[i];
  }
  return backend->call->upload_ahead(backend, o->rates.data,
                                     is_wide ? (void *)o->rates_wide : (void *)o->rates_narrow,
                                     3 * ops_size_of(backend->master));
}

err optimizer_update(optimizer *o, const settings *s) {
  const param_table *table = clip_params(o->model);
  const tower_weights *w = clip_weights(o->model);
  bool has_copy = w->working.data != w->master.data;
  ops_adamw a = {.count = table->total,
                 .decayed = table->decayed,
                 .beta1 = s->beta1,
                 .beta2 = s->beta2,
                 .eps = s->epsilon,
                 .weight_decay = s->weight_decay,
                 .clip_norm = s->clip_norm,
                 .rates = o->rates,
                 .norm_square = o->norm_square,
                 .parameters = w->master,
                 .gradients = w->gradients,
                 .m = o->m,
                 .v = o->v,
                 .copy = has_copy ? w->working : (ops_buffer){0}};
  err error = w->o->call->sum_squares(w->o, table->total, w->gradients, o->norm_square);
  return error ? error : w->o->call->adamw(w->o, &a);
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
