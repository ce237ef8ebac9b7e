/* Creates and frees a model, and accesses its weights. */
#include "model/clip.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/clip_inside.h"

static err upload_sincos(clip_model *m) {
  const clip_config *c = &m->config;
  int64_t count = c->patches * c->image.width;
  double *wide = mem_zeroed((size_t)count, sizeof *wide);
  if (!wide) return mem_error((size_t)count * sizeof *wide, "positions");
  image_sincos_positions((int64_t)(sqrt((double)c->patches) + 0.5), c->image.width, wide);
  if (m->o->master == OPS_F32) {
    float *narrow = (float *)wide; /* in place: element i is read before it is overwritten */
    for (int64_t i = 0; i < count; i++) {
      float value = (float)wide[i];
      memcpy((char *)narrow + (size_t)i * 4, &value, 4);
    }
  }
  err error = m->o->call->upload(m->o, m->fixed_positions.data, wide,
                                 (size_t)count * ops_size_of(m->o->master));
  if (!error) error = m->o->call->synchronize(m->o);
  free(wide);
  return error;
}

enum { DRAWN_AT_ONCE = 1 << 20 }; /* initial values */

static err allocate_blocks(clip_model *m) {
  static const char *const names[CLIP_BLOCKS] = {[CLIP_PARAMETERS] = "parameters",
                                                 [CLIP_GRADIENTS] = "gradients",
                                                 [CLIP_WORKING] = "the working copy",
                                                 [CLIP_ACTIVATIONS] = "activations",
                                                 [CLIP_LOSS] = "the loss",
                                                 [CLIP_RECONSTRUCTION] = "the reconstruction",
                                                 [CLIP_AVERAGE] = "the average tower",
                                                 [CLIP_INPUTS] = "inputs"};
  ops *o = m->o;
  clip_memory plan;
  const clip_types types = {o->compute, o->master, o->chunk_bytes};
  clip_plan(&m->config, &m->limits, &types, &m->params, m->is_trainable, &plan);
  for (int i = 0; i < CLIP_BLOCKS; i++) {
    if (!plan.bytes[i]) continue;
    err error = o->call->allocate(o, plan.bytes[i], names[i], &m->blocks[i]);
    if (error) return error;
  }
  ops_buffer master = {m->blocks[CLIP_PARAMETERS], o->master};
  ops_buffer working = {m->blocks[CLIP_WORKING], o->compute};
  m->weights = (tower_weights){
      o, master, {m->blocks[CLIP_GRADIENTS], o->master}, working.data ? working : master};
  return NULL;
}

static loss_options loss_options_of(const clip_model *m) {
  bool is_symmetric = m->config.loss_direction == LOSS_BOTH;
  return (loss_options){.normalizes = m->config.normalizes,
                        .learns_scale = m->config.learns_scale,
                        .scale_log_least = m->scale_log_least,
                        .scale_log_most = m->scale_log_most,
                        .row_share = is_symmetric ? 0.5 : 1,
                        .column_share = is_symmetric ? 0.5 : 0};
}

static err allocate_all(clip_model *m) {
  err error = allocate_blocks(m);
  if (error) return error;
  if (m->is_trainable) {
    clip_cut_training(m, true, &m->kept);
    clip_cut_loss(m);
    clip_cut_decoding(m);
    m->loss.options = loss_options_of(m);
  }
  clip_cut_inputs(m);
  for (int i = 0; i < SETS; i++) {
    int64_t samples = i >= EVAL_SET ? clip_text_batch(m) : m->limits.micro_batch;
    m->sets[i].pooled = mem_zeroed(4 * (size_t)samples, sizeof(int32_t));
    if (!m->sets[i].pooled) return mem_error((size_t)samples * 4, "text lengths");
  }
  for (int i = 0; i < TRAIN_SETS && m->is_trainable; i++) {
    error = reconstruction_lists_allocate(&m->lists[i], &m->decoding.extent);
    if (error) return error;
  }
  if (m->is_trainable && m->config.scored_size) {
    clip_cut_average(m);
    error = attentive_open(&m->scorer, m->o, &m->config, &m->params);
    if (error) return error;
  }
  error = reconstruction_fill(&m->decoding, &m->config, m->o);
  return error || m->config.has_learned_positions ? error : upload_sincos(m);
}

err clip_create(ops *o, const clip_config *config, const clip_limits *limits, bool for_training,
                clip_model **out) {
  clip_model *m = mem_zeroed(1, sizeof *m);
  if (!m) return mem_error(sizeof *m, "a model");
  m->o = o;
  m->config = *config;
  m->limits = *limits;
  m->is_trainable = for_training;
  /* a fixed temperature is exactly as set */
  m->scale_log_least = config->learns_scale ? 0 : -INFINITY;
  m->scale_log_most = config->learns_scale ? log(config->logit_scale_max) : INFINITY;
  err error = clip_declare_towers(config, &m->params, &m->image, &m->text, &m->reconstruction);
  if (!error) {
    image_front_resolve(&m->image_in, &m->params);
    tower_resolve(&m->image, &m->params);
    if (!config->classes) {
      text_front_resolve(&m->text_in, &m->params);
      tower_resolve(&m->text, &m->params);
      reconstruction_resolve(&m->reconstruction, &m->params);
      const param *scale = param_table_find(&m->params, "logit_scale");
      m->scale_log = scale->offset;
      m->scale_param = (size_t)(scale - m->params.items);
    }
    error = allocate_all(m);
  }
  if (error)
    clip_destroy(m);
  else
    *out = m;
  return error;
}

void clip_destroy(clip_model *m) {
  if (!m) return;
  embed_queue_free(m);
  for (int i = 0; i < CLIP_BLOCKS; i++)
    if (m->blocks[i]) m->o->call->release(m->o, m->blocks[i]);
  for (int i = 0; i < SETS; i++) free(m->sets[i].pooled);
  for (int i = 0; i < TRAIN_SETS; i++) free(m->lists[i].host);
  attentive_close(&m->scorer);
  tower_free(&m->image);
  tower_free(&m->text);
  tower_free(&m->reconstruction.decoder);
  param_table_free(&m->params);
  free(m);
}

const clip_config *clip_get_config(const clip_model *m) {
  return &m->config;
}

const param_table *clip_params(const clip_model *m) {
  return &m->params;
}

const tower_weights *clip_weights(const clip_model *m) {
  return &m->weights;
}

err clip_get(const clip_model *m, const param *p, void *values) {
  return m->o->call->download(m->o, values, ops_at(m->weights.master, p->offset).data,
                              (size_t)param_elements(p) * ops_size_of(m->o->master));
}

err clip_set(clip_model *m, const param *p, const void *values) {
  err error = m->o->call->upload(m->o, ops_at(m->weights.master, p->offset).data, values,
                                 (size_t)param_elements(p) * ops_size_of(m->o->master));
  return error ? error : m->o->call->synchronize(m->o);
}

err clip_refresh(clip_model *m) {
  if (m->weights.working.data == m->weights.master.data) return NULL;
  return m->o->call->cast(m->o, m->params.total, m->weights.master, m->weights.working);
}

/* Host buffers for copying initial values to the device, a part of a tensor at a time. */
typedef struct {
  double *wide;
  float *narrow;
} drawn;

static err initialise(clip_model *m, size_t index, uint64_t seed, const drawn *d) {
  const param *p = &m->params.items[index];
  const bool is_wide = m->o->master == OPS_F64;
  err error = NULL;
  for (int64_t at = 0, count; at < param_elements(p) && !error; at += count) {
    const int64_t left = param_elements(p) - at;
    count = left < DRAWN_AT_ONCE ? left : DRAWN_AT_ONCE;
    param_initial_part(p, index, seed, at, count, d->wide);
#pragma omp parallel for simd schedule(static)
    for (int64_t i = 0; i < count; i++) d->narrow[i] = (float)d->wide[i];
    error = m->o->call->upload(m->o, ops_at(m->weights.master, p->offset + at).data,
                               is_wide ? (void *)d->wide : (void *)d->narrow,
                               (size_t)count * ops_size_of(m->o->master));
    if (!error) error = m->o->call->synchronize(m->o); /* the buffer is reused */
  }
  return error;
}

err clip_initialise(clip_model *m, uint64_t seed) {
  err error = m->o->call->clear(m->o, m->weights.master.data,
                                (size_t)m->params.total * ops_size_of(m->o->master));
  const drawn d = {mem_aligned(DRAWN_AT_ONCE * sizeof *d.wide),
                   mem_aligned(DRAWN_AT_ONCE * sizeof *d.narrow)};
  if (!error && (!d.wide || !d.narrow))
    error = mem_error(DRAWN_AT_ONCE * sizeof *d.wide, "initial weights");
  for (size_t i = 0; i < m->params.count && !error; i++) error = initialise(m, i, seed, &d);
  free(d.wide);
  free(d.narrow);
  return error ? error : clip_refresh(m);
}

static err clear_gradients(clip_model *m, int64_t first, int64_t end) {
  if (first >= end) return NULL;
  return m->o->call->clear(m->o, ops_at(m->weights.gradients, first).data,
                           (size_t)(end - first) * ops_size_of(m->o->master));
}

err clip_clear_gradients(clip_model *m) {
  m->writes = false;
  m->has_cleared = true;
  return clear_gradients(m, 0, m->params.total);
}

/* The weight of a dense layer: its gradient is one product per chunk. Not of the decoder, whose
 * chunks are different. */
static bool is_product(const clip_model *m, size_t index) {
  const tower *towers[] = {&m->image, m->config.classes ? NULL : &m->text};
  const param *p = &m->params.items[index];
  if (p->offset == m->image_in.patch) return true;
  for (int i = 0; i < 2; i++)
    if (towers[i] && index >= towers[i]->first_param &&
        index < towers[i]->first_param + tower_tensors(towers[i]))
      return p->rows > 0;
  return false;
}

err clip_begin_gradients(clip_model *m) {
  err error = NULL;
  int64_t first = 0; /* element that is not cleared yet */
  bool is_in = false;
  const bool is_first = !m->has_cleared;
  if (is_first) error = clip_clear_gradients(m);
  for (int pass = 0; pass < 2 && !error && !is_first; pass++) /* in the order of the run */
    for (size_t i = 0; i < m->params.count && !error; i++) {
      const param *p = &m->params.items[i];
      if (p->is_decayed != (pass == 0)) continue;
      const bool is_out = is_product(m, i);
      if (is_out && is_in) error = clear_gradients(m, first, p->offset);
      if (!is_out && !is_in) first = p->offset;
      is_in = !is_out;
    }
  if (!error && is_in) error = clear_gradients(m, first, m->params.total);
  m->writes = !error;
  return error;
}

err clip_read_number(const clip_model *m, ops_buffer buffer, double *value) {
  double wide = 0;
  float narrow = 0;
  bool is_wide = m->o->master == OPS_F64;
  err error = m->o->call->download(m->o, is_wide ? (void *)&wide : (void *)&narrow, buffer.data,
                                   ops_size_of(m->o->master));
  *value = is_wide ? wide : (double)narrow;
  return error;
}

void clip_set_watch(clip_model *m, const param_watch *watch) {
  m->watch = watch;
}

int64_t clip_logit_scale_offset(const clip_model *m) {
  return m->scale_log;
}

err clip_logit_scale(const clip_model *m, double *scale) {
  *scale = NAN;
  if (m->config.classes) return NULL;
  return clip_logit_scale_of(m, ops_at(m->weights.master, m->scale_log), scale);
}

err clip_logit_scale_of(const clip_model *m, ops_buffer value, double *scale) {
  err error = clip_read_number(m, value, scale);
  *scale = exp(fmin(fmax(*scale, m->scale_log_least), m->scale_log_most));
  return error;
}
