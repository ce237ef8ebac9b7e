#include "model/attentive.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/clip_inside.h"
#include "model/positions.h"

static bool is_image(const param *p) {
  return strncmp(p->name, "image.", 6) == 0;
}

/* The image tower is declared first: its tensors begin both parts of the flat run. */
int64_t attentive_elements(const param_table *model) {
  int64_t ends[2] = {0, model->decayed}, starts[2] = {0, model->decayed};
  for (size_t i = 0; i < model->count; i++) {
    const param *p = &model->items[i];
    int64_t end = p->offset + param_padded(p);
    int64_t *last = &ends[!p->is_decayed];
    if (is_image(p) && end > *last) *last = end;
  }
  return ends[0] - starts[0] + ends[1] - starts[1];
}

static int64_t scored_patches(const clip_config *c) {
  int64_t side = c->scored_size / c->patch;
  return side * side;
}

int64_t attentive_tokens(const clip_config *c) {
  return scored_patches(c) + c->has_class_token;
}

static int64_t queries_of(const clip_config *c) {
  return c->image.pooling == OPS_POOL_MEAN ? attentive_tokens(c) : 1;
}

static bool has_own_positions(const clip_config *c) {
  return c->scored_size != c->image_size;
}

static int64_t position_rows(const clip_config *c, int64_t patches) {
  return patches + (c->has_learned_positions && c->has_class_token);
}

/* Of the last block only queries, keys and values are computed. */
double attentive_flops(const clip_config *c) {
  double n = (double)attentive_tokens(c), w = (double)c->image.width;
  double layers = (double)c->image.layers, hidden = (double)c->image.hidden;
  double embed = 2 * (double)scored_patches(c) * 3 * (double)(c->patch * c->patch) * w;
  double scores = 2 * (double)queries_of(c) * n * w;
  double block = 2 * n * (w * w + 2 * w * hidden) + 4 * n * n * w;
  return embed + layers * (2 * n * 3 * w * w + scores) + (layers - 1) * block;
}

void attentive_lay_out(attentive_scorer *a, const clip_config *c, const clip_limits *l,
                       const clip_types *types, int64_t elements, ops_block *block) {
  int64_t patches = scored_patches(c);
  a->config = *c;
  a->config.image_size = c->scored_size;
  a->config.patches = patches;
  a->batch = l->eval_batch;
  a->weights.master = ops_cut(block, types->master, elements);
  a->weights.working = types->compute == types->master ? a->weights.master
                                                       : ops_cut(block, types->compute, elements);
  a->images = ops_cut(block, OPS_U8, a->batch * c->scored_size * c->scored_size * 3);
  a->index = ops_cut(block, OPS_I32, a->batch * patches);
  a->scores = ops_cut(block, types->master, a->batch * patches);
  a->positions = (ops_buffer){0};
  if (has_own_positions(c))
    a->positions = ops_cut(block, types->master, position_rows(c, patches) * c->image.width);
}

/* The average's tensors have the layout of the model's, separately for each part. */
static err declare(attentive_scorer *a, const clip_config *whole, const param_table *model) {
  image_front_declare(whole, &a->params);
  err error = tower_declare(&a->tower, &a->config.image, "image", &a->params);
  if (!error) error = param_table_lay_out(&a->params);
  if (error) return error;
  for (size_t i = 0; i < a->params.count; i++) {
    const param *p = &a->params.items[i], *of = &model->items[i];
    int64_t part = p->is_decayed ? 0 : model->decayed - a->params.decayed;
    if (strcmp(p->name, of->name) != 0 || p->offset + part != of->offset)
      return err_new(ERR_INTERNAL, "the average's tensor %s has another place than the model's",
                     p->name);
  }
  image_front_resolve(&a->front, &a->params);
  tower_resolve(&a->tower, &a->params);
  return NULL;
}

/* Every patch of every image. */
static err list_patches(attentive_scorer *a, ops *o) {
  int64_t patches = a->config.patches, count = a->batch * patches;
  int32_t *all = mem_zeroed((size_t)count, sizeof *all);
  if (!all) return mem_error((size_t)count * sizeof *all, "patch lists");
  for (int64_t i = 0; i < count; i++) all[i] = (int32_t)(i % patches);
  err error = o->call->upload(o, a->index.data, all, (size_t)count * sizeof *all);
  if (!error) error = o->call->synchronize(o);
  free(all);
  return error;
}

err attentive_open(attentive_scorer *a, ops *o, const clip_config *whole,
                   const param_table *model) {
  a->weights.o = o;
  err error = declare(a, whole, model);
  return error ? error : list_patches(a, o);
}

void attentive_close(attentive_scorer *a) {
  tower_free(&a->tower);
  param_table_free(&a->params);
}

bool clip_is_attentive(const clip_model *m) {
  return m->scorer.weights.o != NULL;
}

const param_table *clip_average_params(const clip_model *m) {
  return clip_is_attentive(m) ? &m->scorer.params : NULL;
}

ops_buffer clip_average(const clip_model *m) {
  return m->scorer.weights.master;
}

int64_t clip_scored_patches(const clip_model *m) {
  return m->scorer.config.patches;
}

/* Converts values of master type to double in place, from the end, so that none is overwritten. */
static void widen(const ops *o, int64_t count, double *values) {
  if (o->master == OPS_F64) return;
  for (int64_t i = count; i-- > 0;) {
    float value;
    memcpy(&value, (const char *)values + (size_t)i * sizeof value, sizeof value);
    values[i] = (double)value;
  }
}

/* `count` of the average's elements as doubles. */
static err fetch_rows(const attentive_scorer *a, int64_t offset, int64_t count, double *wide) {
  ops *o = a->weights.o;
  size_t bytes = (size_t)count * ops_size_of(o->master);
  err error = o->call->download(o, wide, ops_at(a->weights.master, offset).data, bytes);
  if (!error) widen(o, count, wide);
  return error;
}

static err put_rows(const attentive_scorer *a, int64_t count, double *wide) {
  ops *o = a->weights.o;
  for (int64_t i = 0; i < count && o->master == OPS_F32; i++) {
    float value = (float)wide[i];
    memcpy((char *)wide + (size_t)i * sizeof value, &value, sizeof value);
  }
  err error = o->call->upload(o, a->positions.data, wide, (size_t)count * ops_size_of(o->master));
  return error ? error : o->call->synchronize(o);
}

/* Positions of the scored size from the average's own, or from the model's fixed ones. */
static err resize_positions(const clip_model *m) {
  const attentive_scorer *a = &m->scorer;
  int64_t width = a->config.image.width, rows = position_rows(&a->config, m->config.patches);
  int64_t scored = position_rows(&a->config, a->config.patches);
  double *whole = mem_zeroed((size_t)(rows * width), sizeof *whole);
  double *resized = mem_zeroed((size_t)(scored * width), sizeof *resized);
  err error = whole && resized ? NULL : mem_error((size_t)(rows * width) * 8, "positions");
  if (!error && a->front.positions >= 0)
    error = fetch_rows(a, a->front.positions, rows * width, whole);
  else if (!error)
    image_sincos_positions((int64_t)(sqrt((double)rows) + 0.5), width, whole);
  if (!error)
    error = positions_resize_wide(whole, rows, rows > m->config.patches, width, scored, resized);
  if (!error) error = put_rows(a, scored * width, resized);
  free(whole);
  free(resized);
  return error;
}

err clip_average_refresh(clip_model *m) {
  const attentive_scorer *a = &m->scorer;
  ops *o = m->o;
  err error = NULL;
  if (a->weights.working.data != a->weights.master.data)
    error = o->call->cast(o, a->params.total, a->weights.master, a->weights.working);
  return error || !a->positions.data ? error : resize_positions(m);
}

err clip_average_begin(clip_model *m) {
  const param_table *own = &m->scorer.params;
  ops_buffer from = m->weights.master, to = m->scorer.weights.master;
  const ops_table *call = m->o->call;
  err error = call->cast(m->o, own->decayed, from, to);
  if (!error)
    error = call->cast(m->o, own->total - own->decayed, ops_at(from, m->params.decayed),
                       ops_at(to, own->decayed));
  return error ? error : clip_average_refresh(m);
}

err clip_average_update(clip_model *m, double momentum) {
  const param_table *own = &m->scorer.params;
  ops_buffer from = m->weights.master, to = m->scorer.weights.master;
  const ops_table *call = m->o->call;
  err error = call->average(m->o, own->decayed, from, to, momentum);
  if (!error)
    error = call->average(m->o, own->total - own->decayed, ops_at(from, m->params.decayed),
                          ops_at(to, own->decayed), momentum);
  return error ? error : clip_average_refresh(m);
}

static err score_batch(clip_model *m, const clip_activations *activations, int64_t count) {
  const attentive_scorer *a = &m->scorer;
  image_front front = a->front;
  if (a->positions.data) front.positions = -1; /* fixed ones are used instead */
  const image_source source = {
      &front,    &a->config, &activations->front,
      a->images, a->index,   a->positions.data ? a->positions : m->fixed_positions};
  tower_pass pass = {.t = &a->tower, .w = &a->weights, .a = &activations->image};
  err error = m->o->call->fill(m->o, count * a->config.patches, a->scores, 0);
  while (!error && tower_next(&pass, count)) {
    error = image_front_forward(&source, &pass);
    if (!error)
      error = tower_attend(&pass, queries_of(&a->config), a->config.has_class_token,
                           ops_at(a->scores, pass.first * a->config.patches));
  }
  return error;
}

err clip_score_patches(clip_model *m, int64_t count, const uint8_t *images, double *scores) {
  const attentive_scorer *a = &m->scorer;
  ops *o = m->o;
  clip_activations activations;
  size_t pixels = (size_t)(a->config.image_size * a->config.image_size * 3);
  int64_t patches = a->config.patches;
  err error = NULL;
  clip_cut_scoring(m, &activations);
  for (int64_t at = 0; at < count && !error; at += a->batch) {
    int64_t n = count - at < a->batch ? count - at : a->batch;
    double *to = scores + at * patches;
    error = o->call->upload(o, a->images.data, images + (size_t)at * pixels, (size_t)n * pixels);
    if (!error) error = score_batch(m, &activations, n);
    if (!error)
      error =
          o->call->download(o, to, a->scores.data, (size_t)(n * patches) * ops_size_of(o->master));
    if (!error) widen(o, n * patches, to);
  }
  return error;
}
