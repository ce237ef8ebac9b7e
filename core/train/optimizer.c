#include "train/optimizer.h"

#include <math.h>

#include "base/mem.h"

err optimizer_create(clip_model *model, optimizer *out) {
  ops *o = clip_weights(model)->o;
  size_t one = mem_rounded((size_t)clip_params(model)->total * ops_size_of(o->master));
  *out = (optimizer){.model = model};
  err error = o->call->allocate(o, 2 * one + MEM_ALIGNMENT, "the optimizer's moments", &out->block);
  if (error) return error;
  out->m = (ops_buffer){out->block, o->master};
  out->v = (ops_buffer){(char *)out->block + one, o->master};
  out->norm = (ops_buffer){(char *)out->block + 2 * one, o->master};
  return o->call->clear(o, out->block, 2 * one + MEM_ALIGNMENT);
}

void optimizer_destroy(optimizer *o) {
  if (!o->block) return;
  ops *backend = clip_weights(o->model)->o;
  backend->call->release(backend, o->block);
  *o = (optimizer){0};
}

err optimizer_gradient_norm(optimizer *o, double *norm) {
  const tower_weights *w = clip_weights(o->model);
  float square = 0;
  err error = w->o->call->sum_squares(w->o, clip_params(o->model)->total, w->gradients, o->norm);
  if (!error) error = w->o->call->download(w->o, &square, o->norm.data, sizeof square);
  *norm = sqrt((double)square);
  return error;
}

err optimizer_update(optimizer *o, const settings *s, int64_t step, double learning_rate,
                     double gradient_scale) {
  const param_table *table = clip_params(o->model);
  const tower_weights *w = clip_weights(o->model);
  bool has_copy = w->working.data != w->master.data;
  const int64_t starts[2] = {0, table->decayed}, ends[2] = {table->decayed, table->total};
  for (int part = 0; part < 2; part++) {
    int64_t at = starts[part];
    ops_adamw a = {.count = ends[part] - at,
                   .step = step,
                   .learning_rate = learning_rate,
                   .beta1 = s->beta1,
                   .beta2 = s->beta2,
                   .eps = s->epsilon,
                   .weight_decay = part == 0 ? s->weight_decay : 0,
                   .gradient_scale = gradient_scale,
                   .parameters = ops_at(w->master, at),
                   .gradients = ops_at(w->gradients, at),
                   .m = ops_at(o->m, at),
                   .v = ops_at(o->v, at)};
    if (has_copy) a.copy = ops_at(w->working, at);
    err error = w->o->call->adamw(w->o, &a);
    if (error) return error;
  }
  return clip_clip_logit_scale(o->model);
}

double schedule_peak(const settings *s) {
  return s->learning_rate > 0 ? s->learning_rate
                              : s->base_learning_rate * (double)s->batch_size / 256.0;
}

double schedule_rate(double peak, int64_t step, int64_t warmup_steps, int64_t total_steps) {
  if (step <= warmup_steps) return peak * (double)step / (double)warmup_steps;
  double through = (double)(step - warmup_steps) / (double)(total_steps - warmup_steps + 1);
  return peak * 0.5 * (1.0 + cos(3.141592653589793 * through));
}
