#include "model/clip.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "model/clip_inside.h"

/* A ratio that came from dividing two widths must give the width back: 8192 / 1664 * 1664. */
static int64_t recomputed_blocks(int64_t level) {
  return level == RECOMPUTE_BLOCKS ? INT64_MAX : level > 0 ? level : 0;
}

static tower_thrift thrift_of(int64_t level) {
  return level == RECOMPUTE_NORMS         ? TOWER_RECOMPUTE_NORMS
         : level == RECOMPUTE_ACTIVATIONS ? TOWER_RECOMPUTE_ACTIVATIONS
                                          : TOWER_KEEP_ALL;
}

static int64_t hidden_width(int64_t width, double ratio) {
  return (int64_t)((double)width * ratio + 1e-6);
}

void clip_config_from(const settings *s, int64_t vocabulary, clip_config *c) {
  static const float means[4][3] = {
      {0.48145466f, 0.4578275f, 0.40821073f}, {0.5f, 0.5f, 0.5f}, {0.485f, 0.456f, 0.406f}, {0}};
  static const float deviations[4][3] = {{0.26862954f, 0.26130258f, 0.27577711f},
                                         {0.5f, 0.5f, 0.5f},
                                         {0.229f, 0.224f, 0.225f},
                                         {1, 1, 1}};
  int64_t side = s->image_size / s->image_patch;
  *c = (clip_config){
      .seed = (uint64_t)s->seed,
      .image_dropout = s->image_dropout,
      .text_dropout = s->text_dropout,
      .normalizes = s->normalize,
      .learns_scale = s->temperature_learned,
      .loss_direction = s->loss_direction,
      .has_padding_mask = s->text_padding_mask,
      .image_size = s->image_size,
      .patch = s->image_patch,
      .patches = side * side,
      .has_class_token = s->image_class_token,
      .has_learned_positions = s->image_position == POSITION_LEARNED,
      .has_pre_norm = s->image_pre_norm,
      .has_patch_bias = s->image_patch_bias,
      .text_length = s->text_length,
      .vocabulary = settings_vocabulary_rows(s, vocabulary),
      .text_pool = s->text_pool,
      .image = {.width = s->image_width,
                .layers = s->image_layers,
                .heads = s->image_heads,
                .hidden = hidden_width(s->image_width, s->image_mlp_ratio),
                .embed = s->embed_dim,
                .norm_eps = s->image_norm_eps,
                .activation = (ops_activation)s->image_activation,
                .pooling = s->image_pool == IMAGE_POOL_MEAN ? OPS_POOL_MEAN : OPS_POOL_INDEX,
                .recompute = recomputed_blocks(s->image_recompute),
                .thrift = thrift_of(s->image_recompute)},
      .text = {.width = s->text_width,
               .layers = s->text_layers,
               .heads = s->text_heads,
               .hidden = hidden_width(s->text_width, s->text_mlp_ratio),
               .embed = s->embed_dim,
               .norm_eps = s->text_norm_eps,
               .activation = (ops_activation)s->text_activation,
               .is_causal = s->text_causal,
               .is_post_norm = s->text_post_norm,
               .pooling = s->text_pool == TEXT_POOL_MEAN ? OPS_POOL_MEAN : OPS_POOL_INDEX,
               .recompute = recomputed_blocks(s->text_recompute),
               .thrift = thrift_of(s->text_recompute)},
      .temperature = s->temperature,
      .logit_scale_max = s->logit_scale_max};
  memcpy(c->mean, means[s->image_normalization], sizeof c->mean);
  memcpy(c->deviation, deviations[s->image_normalization], sizeof c->deviation);
}

static err declare(const clip_config *c, param_table *table, tower *image, tower *text) {
  image_front_declare(c, table);
  err error = tower_declare(image, &c->image, "image", table);
  if (error) return error;
  text_front_declare(c, table);
  error = tower_declare(text, &c->text, "text", table);
  if (error) return error;
  /* decayed as in FLIP's released code; a fixed one must not move */
  param_table_add(table, "logit_scale", 0, 1, c->learns_scale, PARAM_CONSTANT,
                  log(1.0 / c->temperature));
  return param_table_lay_out(table);
}

err clip_declare(const clip_config *config, param_table *table) {
  tower image = {0}, text = {0};
  err error = declare(config, table, &image, &text);
  tower_free(&image);
  tower_free(&text);
  return error;
}

static size_t lay_out_activations(clip_activations *a, const clip_config *c, int64_t batch,
                                  int64_t patches, int64_t words, bool is_kept, ops_type compute,
                                  ops_type master, int64_t chunk_bytes, void *base) {
  int64_t tokens = patches + c->has_class_token;
  int64_t image_chunk = tower_chunk(&c->image, tokens, batch, compute, chunk_bytes);
  int64_t text_chunk = tower_chunk(&c->text, words, batch, compute, chunk_bytes);
  char *at = base;
  size_t used =
      tower_lay_out(&a->image, &c->image, batch, tokens, is_kept, image_chunk, compute, master, at);
  used += image_front_lay_out(&a->front, c, batch, patches, is_kept, image_chunk, compute, master,
                              at ? at + used : NULL);
  return used + tower_lay_out(&a->text, &c->text, batch, words, is_kept, text_chunk, compute,
                              master, at ? at + used : NULL);
}

static int ranks_of(const clip_limits *l) {
  return l->ranks > 1 ? l->ranks : 1;
}

static size_t lay_out_inputs(input_set *sets, const clip_config *c, const clip_limits *l,
                             bool for_training, void *base) {
  char *at = base;
  size_t used = input_set_lay_out(&sets[EVAL_SET], c, l->eval_batch, l->eval_patches, at);
  for (int i = 0; i < TRAIN_SETS && for_training; i++)
    used += input_set_lay_out(&sets[i], c, l->micro_batch, l->train_patches, at ? at + used : NULL);
  return used;
}

void clip_plan(const clip_config *c, const clip_limits *l, ops_type compute, ops_type master,
               int64_t chunk_bytes, int64_t parameters, bool for_training, clip_memory *m) {
  clip_activations a;
  loss_buffers loss;
  input_set sets[SETS];
  size_t one = ops_size_of(master);
  *m = (clip_memory){.parameters = (size_t)parameters * one,
                     .working = compute == master ? 0 : (size_t)parameters * ops_size_of(compute)};
  m->transient = lay_out_activations(&a, c, l->eval_batch, l->eval_patches, c->text_length, false,
                                     compute, master, chunk_bytes, NULL);
  m->inputs = lay_out_inputs(sets, c, l, for_training, NULL) +
              mem_rounded((size_t)(c->patches * c->image.width) * one);
  if (!for_training) return;
  m->gradients = m->parameters;
  m->activations = lay_out_activations(&a, c, l->micro_batch, l->train_patches, l->train_words,
                                       true, compute, master, chunk_bytes, NULL);
  m->loss = loss_lay_out(&loss, l->batch, ranks_of(l), c->image.embed, compute, master, NULL);
  size_t pass = lay_out_activations(&a, c, l->micro_batch, l->train_patches, l->train_words, false,
                                    compute, master, chunk_bytes, NULL);
  if (pass > m->transient) m->transient = pass;
}

size_t clip_memory_total(const clip_memory *m) {
  return m->parameters + m->gradients + m->working + m->activations + m->loss + m->transient +
         m->inputs;
}

static err upload_sincos(clip_model *m, void *to) {
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
  err error = m->o->call->upload(m->o, to, wide, (size_t)count * ops_size_of(m->o->master));
  if (!error) error = m->o->call->synchronize(m->o);
  free(wide);
  m->fixed_positions = (ops_buffer){to, m->o->master};
  return error;
}

static err allocate_all(clip_model *m) {
  static const char *const names[] = {"parameters",  "gradients", "the working copy",
                                      "activations", "the loss",  "evaluation",
                                      "inputs"};
  ops *o = m->o;
  clip_memory plan;
  clip_plan(&m->config, &m->limits, o->compute, o->master, o->chunk_bytes, m->params.total,
            m->is_trainable, &plan);
  const size_t sizes[] = {plan.parameters, plan.gradients, plan.working, plan.activations,
                          plan.loss,       plan.transient, plan.inputs};
  for (int i = 0; i < 7; i++) {
    if (!sizes[i]) continue;
    err error = o->call->allocate(o, sizes[i], names[i], &m->blocks[i]);
    if (error) return error;
  }
  ops_buffer master = {m->blocks[0], o->master};
  m->weights = (tower_weights){o,
                               master,
                               {m->blocks[1], o->master},
                               m->blocks[2] ? (ops_buffer){m->blocks[2], o->compute} : master};
  if (m->is_trainable) {
    lay_out_activations(&m->kept, &m->config, m->limits.micro_batch, m->limits.train_patches,
                        m->limits.train_words, true, o->compute, o->master, o->chunk_bytes,
                        m->blocks[3]);
    loss_lay_out(&m->loss, m->limits.batch, ranks_of(&m->limits), m->config.image.embed, o->compute,
                 o->master, m->blocks[4]);
    bool is_symmetric = m->config.loss_direction == LOSS_BOTH;
    m->loss.options = (loss_options){.normalizes = m->config.normalizes,
                                     .learns_scale = m->config.learns_scale,
                                     .scale_log_least = m->scale_log_least,
                                     .scale_log_most = m->scale_log_most,
                                     .row_share = is_symmetric ? 0.5 : 1,
                                     .column_share = is_symmetric ? 0.5 : 0};
  }
  size_t used = lay_out_inputs(m->sets, &m->config, &m->limits, m->is_trainable, m->blocks[6]);
  for (int i = 0; i < SETS; i++) {
    int64_t samples = i == EVAL_SET ? m->limits.eval_batch : m->limits.micro_batch;
    m->sets[i].pooled = mem_zeroed(4 * (size_t)samples, sizeof(int32_t));
    if (!m->sets[i].pooled) return mem_error((size_t)samples * 4, "text lengths");
  }
  if (m->config.has_learned_positions) return NULL;
  return upload_sincos(m, (char *)m->blocks[6] + used);
}

err clip_create(ops *o, const clip_config *config, const clip_limits *limits, bool for_training,
                clip_model **out) {
  clip_model *m = mem_zeroed(1, sizeof *m);
  if (!m) return mem_error(sizeof *m, "a model");
  m->o = o;
  m->config = *config;
  m->limits = *limits;
  m->is_trainable = for_training;
  /* a fixed temperature is what it was set to */
  m->scale_log_least = config->learns_scale ? 0 : -INFINITY;
  m->scale_log_most = config->learns_scale ? log(config->logit_scale_max) : INFINITY;
  err error = declare(config, &m->params, &m->image, &m->text);
  if (!error) {
    image_front_resolve(&m->image_in, &m->params);
    text_front_resolve(&m->text_in, &m->params);
    tower_resolve(&m->image, &m->params);
    tower_resolve(&m->text, &m->params);
    m->scale_log = param_table_find(&m->params, "logit_scale")->offset;
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
  for (int i = 0; i < 7; i++)
    if (m->blocks[i]) m->o->call->release(m->o, m->blocks[i]);
  for (int i = 0; i < SETS; i++) free(m->sets[i].pooled);
  tower_free(&m->image);
  tower_free(&m->text);
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

err clip_initialise(clip_model *m, uint64_t seed) {
  err error = m->o->call->clear(m->o, m->weights.master.data,
                                (size_t)m->params.total * ops_size_of(m->o->master));
  for (size_t i = 0; i < m->params.count && !error; i++) {
    const param *p = &m->params.items[i];
    int64_t count = param_elements(p);
    double *wide = mem_zeroed((size_t)count, sizeof *wide);
    float *narrow = mem_zeroed((size_t)count, sizeof *narrow);
    if (!wide || !narrow) {
      error = mem_error((size_t)count * sizeof *wide, "initial weights");
    } else {
      param_initial(p, i, seed, wide);
      for (int64_t j = 0; j < count; j++) narrow[j] = (float)wide[j];
      error = clip_set(m, p, m->o->master == OPS_F64 ? (void *)wide : (void *)narrow);
    }
    free(wide);
    free(narrow);
  }
  return error ? error : clip_refresh(m);
}

err clip_clear_gradients(clip_model *m) {
  return m->o->call->clear(m->o, m->weights.gradients.data,
                           (size_t)m->params.total * ops_size_of(m->o->master));
}

err clip_run_images(clip_model *m, const clip_activations *a, const input_set *in) {
  for (int64_t at = 0; at < in->count; at += a->image.chunk) {
    int64_t n = in->count - at < a->image.chunk ? in->count - at : a->image.chunk;
    err error = image_front_forward(&m->image_in, &m->config, &m->image, &m->weights, &a->image,
                                    &a->front, in->images, in->index, m->fixed_positions, at, n);
    if (!error) error = tower_forward(&m->image, &m->weights, &a->image, at, n, (ops_buffer){0});
    if (error) return error;
  }
  return NULL;
}

static err run_texts(clip_model *m, const clip_activations *a, const input_set *in) {
  ops_buffer pool_index = input_set_pool_index(in, &m->config);
  for (int64_t at = 0; at < in->count; at += a->text.chunk) {
    int64_t n = in->count - at < a->text.chunk ? in->count - at : a->text.chunk;
    err error = text_front_forward(&m->text_in, &m->config, &m->text, &m->weights, &a->text,
                                   in->ids, at, n);
    if (!error) error = tower_forward(&m->text, &m->weights, &a->text, at, n, pool_index);
    if (error) return error;
  }
  return NULL;
}

void clip_set_ranks(clip_model *m, comm *ranks) {
  m->loss.shared.ranks = comm_size(ranks) > 1 ? ranks : NULL;
}

void clip_set_profile(clip_model *m, clip_profile *profile) {
  m->profile = profile;
}

/* Ends a measured part: adds the time since *start to *sum and starts the next one. */
static err clock_part(clip_model *m, double *sum, double *start) {
  if (!m->profile) return NULL;
  err error = m->o->call->synchronize(m->o);
  double now = clock_seconds();
  *sum += now - *start;
  *start = now;
  return error;
}

err clip_stage(clip_model *m, const clip_inputs *in) {
  m->staged = 1 - m->current;
  input_set *set = &m->sets[m->staged];
  err error = input_set_images(set, m->o, &m->config, in->images, in->index, in->count,
                               m->limits.train_patches);
  if (!error) error = input_set_numbers(set, m->o, &m->config, in->first_sample, in->count);
  return error ? error
               : input_set_texts(set, m->o, &m->config, in->ids, in->id_counts, in->count,
                                 m->limits.train_words);
}

err clip_take_staged(clip_model *m) {
  m->current = m->staged;
  return m->o->call->join(m->o);
}

int clip_current_set(const clip_model *m) {
  return m->current;
}

/* The text tower beside the image tower, unless their times are asked for. */
static err branch_to(const clip_model *m, int which) {
  return m->profile || !m->o->call->branch ? NULL : m->o->call->branch(m->o, which);
}

static err merge_branches(const clip_model *m) {
  return m->profile || !m->o->call->merge ? NULL : m->o->call->merge(m->o);
}

err clip_encode(clip_model *m, int64_t first, bool is_kept) {
  err error = NULL;
  double start = clock_seconds();
  clip_profile unused, *profile = m->profile ? m->profile : &unused;
  clip_activations passing, *a = &m->kept;
  const input_set *in = &m->sets[m->current];
  if (!is_kept) {
    lay_out_activations(&passing, &m->config, m->limits.micro_batch, m->limits.train_patches,
                        m->limits.train_words, false, m->o->compute, m->o->master,
                        m->o->chunk_bytes, m->blocks[5]);
    a = &passing;
  }
  /* the towers write straight into the batch's features */
  a->image.features = ops_at(m->loss.image, first * m->config.image.embed);
  a->text.features = ops_at(m->loss.text, first * m->config.text.embed);
  a->text.key_counts = input_set_key_counts(in, &m->config);
  a->image.noise = (tower_noise){m->config.image_dropout, m->config.seed, IMAGE_SITE, in->numbers};
  a->text.noise = (tower_noise){m->config.text_dropout, m->config.seed, TEXT_SITE, in->numbers};
  TRY(branch_to(m, 1));
  TRY(run_texts(m, a, in));
  TRY(clock_part(m, &profile->text_forward, &start));
  TRY(branch_to(m, 0));
  TRY(clip_run_images(m, a, in));
  TRY(clock_part(m, &profile->image_forward, &start));
  TRY(merge_branches(m));
cleanup:
  return error;
}

err clip_forward(clip_model *m, const clip_inputs *in, int64_t first, bool is_kept) {
  err error = clip_stage(m, in);
  if (!error) error = clip_take_staged(m);
  return error ? error : clip_encode(m, first, is_kept);
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

err clip_loss(clip_model *m, int64_t batch, double *loss) {
  double start = clock_seconds();
  clip_profile unused, *profile = m->profile ? m->profile : &unused;
  err error = loss_compute(m->o, &m->loss, batch, ops_at(m->weights.master, m->scale_log),
                           ops_at(m->weights.gradients, m->scale_log));
  if (!error) error = clock_part(m, &profile->loss, &start);
  return error || !loss ? error : clip_read_loss(m, loss);
}

err clip_read_loss(const clip_model *m, double *loss) {
  return clip_read_number(m, m->loss.value, loss);
}

err clip_backward(clip_model *m, int64_t first, int64_t count) {
  err error = NULL;
  double start = clock_seconds();
  clip_profile unused, *profile = m->profile ? m->profile : &unused;
  const clip_activations *a = &m->kept;
  const input_set *in = &m->sets[m->current];
  ops_buffer pool_index = input_set_pool_index(in, &m->config);
  ops_buffer dimage = ops_at(m->loss.dimage, first * m->config.image.embed);
  ops_buffer dtext = ops_at(m->loss.dtext, first * m->config.text.embed);
  TRY(branch_to(m, 1));
  for (int64_t at = 0; at < count; at += a->text.chunk) {
    int64_t n = count - at < a->text.chunk ? count - at : a->text.chunk;
    TRY(tower_backward(&m->text, &m->weights, &a->text, at, n, pool_index, dtext));
    TRY(text_front_backward(&m->text_in, &m->config, &m->weights, &a->text, in->ids, at, n));
  }
  TRY(clock_part(m, &profile->text_backward, &start));
  TRY(branch_to(m, 0));
  for (int64_t at = 0; at < count; at += a->image.chunk) {
    int64_t n = count - at < a->image.chunk ? count - at : a->image.chunk;
    TRY(tower_backward(&m->image, &m->weights, &a->image, at, n, (ops_buffer){0}, dimage));
    TRY(image_front_backward(&m->image_in, &m->config, &m->weights, &a->image, &a->front, in->index,
                             at, n));
  }
  TRY(clock_part(m, &profile->image_backward, &start));
  TRY(merge_branches(m));
cleanup:
  return error;
}

err clip_logit_scale(const clip_model *m, double *scale) {
  err error = clip_read_number(m, ops_at(m->weights.master, m->scale_log), scale);
  *scale = exp(fmin(fmax(*scale, m->scale_log_least), m->scale_log_most));
  return error;
}

/* Normalises features in the backend, unless the model compares them as they are, and brings them
 * to the host as floats. */
static err fetch_unit(clip_model *m, ops_buffer features, int64_t count, ops_buffer scratch,
                      float *embeddings) {
  int64_t embed = m->config.image.embed;
  size_t bytes = (size_t)(count * embed) * ops_size_of(m->o->compute);
  /* `scratch` (the pooled tokens) is free once the towers are through */
  ops_normalize n = {.rows = count,
                     .width = embed,
                     .eps = 1e-8,
                     .x = features,
                     .y = features,
                     .norms = {scratch.data, m->o->master}};
  void *host = mem_zeroed(1, bytes);
  if (!host) return mem_error(bytes, "embeddings");
  err error = m->config.normalizes ? m->o->call->normalize(m->o, &n) : NULL;
  if (!error) error = m->o->call->download(m->o, host, features.data, bytes);
  for (int64_t i = 0; i < count * embed && !error; i++) {
    if (m->o->compute == OPS_F32)
      embeddings[i] = ((float *)host)[i];
    else if (m->o->compute == OPS_F64)
      embeddings[i] = (float)((double *)host)[i];
    else {
      uint32_t wide = (uint32_t)((uint16_t *)host)[i] << 16;
      memcpy(&embeddings[i], &wide, 4);
    }
  }
  free(host);
  return error;
}

static void lay_out_eval(clip_model *m, clip_activations *a) {
  lay_out_activations(a, &m->config, m->limits.eval_batch, m->limits.eval_patches,
                      m->config.text_length, false, m->o->compute, m->o->master, m->o->chunk_bytes,
                      m->blocks[5]);
}

err clip_embed_images(clip_model *m, int64_t count, const uint8_t *images, const int32_t *index,
                      float *embeddings) {
  clip_activations a;
  input_set *in = &m->sets[EVAL_SET];
  lay_out_eval(m, &a);
  int64_t batch = m->limits.eval_batch, patches = m->limits.eval_patches;
  int64_t pixels = m->config.image_size * m->config.image_size * 3;
  int32_t *all = mem_zeroed((size_t)(batch * patches), sizeof *all);
  if (!all) return mem_error((size_t)(batch * patches) * 4, "patch lists");
  for (int64_t i = 0; i < batch * patches; i++) all[i] = (int32_t)(i % patches);
  err error = NULL;
  for (int64_t at = 0; at < count && !error; at += batch) {
    int64_t n = count - at < batch ? count - at : batch;
    error = input_set_images(in, m->o, &m->config, images + at * pixels,
                             index ? index + at * patches : all, n, patches);
    if (!error) error = m->o->call->join(m->o);
    if (!error) error = clip_run_images(m, &a, in);
    if (!error)
      error = fetch_unit(m, a.image.features, n, a.image.pooled,
                         embeddings + at * m->config.image.embed);
  }
  free(all);
  return error;
}

err clip_embed_texts(clip_model *m, int64_t count, const int32_t *ids, const int32_t *id_counts,
                     float *embeddings) {
  clip_activations a;
  input_set *in = &m->sets[EVAL_SET];
  lay_out_eval(m, &a);
  a.text.key_counts = input_set_key_counts(in, &m->config);
  int64_t batch = m->limits.eval_batch;
  err error = NULL;
  for (int64_t at = 0; at < count && !error; at += batch) {
    int64_t n = count - at < batch ? count - at : batch;
    error = input_set_texts(in, m->o, &m->config, ids + at * m->config.text_length, id_counts + at,
                            n, m->config.text_length);
    if (!error) error = m->o->call->join(m->o);
    if (!error) error = run_texts(m, &a, in);
    if (!error)
      error =
          fetch_unit(m, a.text.features, n, a.text.pooled, embeddings + at * m->config.text.embed);
  }
  return error;
}
