#include "model/front.h"

#include <math.h>

static int64_t offset_of(const param_table *table, const char *name) {
  const param *p = param_table_find(table, name);
  return p ? p->offset : -1;
}

void image_front_declare(const clip_config *c, param_table *table) {
  int64_t width = c->image.width;
  param_table_add(table, "image.patch.weight", width, 3 * c->patch * c->patch, true, PARAM_XAVIER,
                  0);
  if (c->has_patch_bias) param_table_add(table, "image.patch.bias", 0, width, false, PARAM_ZERO, 0);
  if (c->has_class_token)
    param_table_add(table, "image.class_token", 0, width, true, PARAM_NORMAL, 0.02);
  if (c->has_learned_positions)
    param_table_add(table, "image.positions", c->patches + c->has_class_token, width, false,
                    PARAM_NORMAL, 0.02);
  if (c->has_pre_norm) {
    param_table_add(table, "image.pre_norm.weight", 0, width, false, PARAM_ONE, 0);
    param_table_add(table, "image.pre_norm.bias", 0, width, false, PARAM_ZERO, 0);
  }
}

void image_front_resolve(image_front *f, const param_table *table) {
  f->patch = offset_of(table, "image.patch.weight");
  f->patch_bias = offset_of(table, "image.patch.bias");
  f->class_token = offset_of(table, "image.class_token");
  f->positions = offset_of(table, "image.positions");
  f->pre_gamma = offset_of(table, "image.pre_norm.weight");
  f->pre_beta = offset_of(table, "image.pre_norm.bias");
}

void text_front_declare(const clip_config *c, param_table *table) {
  param_table_add(table, "text.words", c->vocabulary, c->text.width, true, PARAM_NORMAL, 0.02);
  param_table_add(table, "text.positions", c->text_length, c->text.width, false, PARAM_NORMAL,
                  0.02);
}

void text_front_resolve(text_front *f, const param_table *table) {
  f->words = offset_of(table, "text.words");
  f->positions = offset_of(table, "text.positions");
}

void image_front_lay_out(image_front_activations *a, const clip_config *c, const tower_extent *e,
                         ops_block *block) {
  int64_t encoded = e->tokens - c->has_class_token, count = e->is_kept ? e->batch : e->chunk;
  *a = (image_front_activations){.encoded = encoded, .is_kept = e->is_kept};
  a->patches = ops_cut(block, e->compute, count * encoded * 3 * c->patch * c->patch);
  if (!c->has_pre_norm) return;
  a->raw = ops_cut(block, e->compute, count * e->tokens * c->image.width);
  a->mean = ops_cut(block, e->master, count * e->tokens);
  a->rstd = ops_cut(block, e->master, count * e->tokens);
}

void image_sincos_positions(int64_t grid, int64_t width, double *positions) {
  int64_t quarter = width / 4;
  for (int64_t patch = 0; patch < grid * grid; patch++) {
    double place[2] = {(double)(patch % grid), (double)(patch / grid)};
    double *row = positions + patch * width;
    for (int64_t half = 0; half < 2; half++)
      for (int64_t i = 0; i < quarter; i++) {
        double angle = place[half] * pow(10000.0, -(double)i / (double)quarter);
        row[half * 2 * quarter + i] = sin(angle);
        row[half * 2 * quarter + quarter + i] = cos(angle);
      }
  }
}

static ops_buffer kept_rows(const image_source *in, const tower_pass *p, ops_buffer buffer,
                            int64_t elements_a_sample) {
  return ops_at(buffer, in->a->is_kept ? p->first * elements_a_sample : 0);
}

/* [count * encoded, 3 patch²] */
static ops_buffer patches_of(const image_source *in, const tower_pass *p) {
  const clip_config *c = in->config;
  return kept_rows(in, p, in->a->patches, in->a->encoded * 3 * c->patch * c->patch);
}

static ops_patches gathering(const image_source *in, const tower_pass *p) {
  const clip_config *c = in->config;
  ops_patches gather = {.batch = p->count,
                        .size = c->image_size,
                        .patch = c->patch,
                        .keep = in->a->encoded,
                        .images = ops_at(in->images, p->first * c->image_size * c->image_size * 3),
                        .index = ops_at(in->index, p->first * in->a->encoded),
                        .patches = patches_of(in, p)};
  for (int i = 0; i < 3; i++) {
    gather.mean[i] = c->mean[i];
    gather.deviation[i] = c->deviation[i];
  }
  return gather;
}

static ops_assemble assembly(const image_source *in, const tower_pass *p) {
  const clip_config *c = in->config;
  const image_front *f = in->front;
  return (ops_assemble){.batch = p->count,
                        .keep = in->a->encoded,
                        .width = c->image.width,
                        .class_has_position = c->has_learned_positions && c->has_class_token,
                        .index = ops_at(in->index, p->first * in->a->encoded),
                        .class_token = f->class_token < 0 ? (ops_buffer){0}
                                                          : ops_at(p->w->master, f->class_token)};
}

err image_front_forward(const image_source *in, const tower_pass *p) {
  const clip_config *c = in->config;
  const image_front *f = in->front;
  const tower_weights *w = p->w;
  const ops_table *call = w->o->call;
  int64_t width = c->image.width;
  ops_patches gather = gathering(in, p);
  ops_gemm embed = {.m = p->count * in->a->encoded,
                    .n = width,
                    .k = 3 * c->patch * c->patch,
                    .transpose_b = true,
                    .a = gather.patches,
                    .b = ops_at(w->working, f->patch),
                    .c = p->a->delta,
                    .bias = c->has_patch_bias ? ops_at(w->master, f->patch_bias) : (ops_buffer){0}};
  ops_assemble assemble = assembly(in, p);
  assemble.patches = p->a->delta;
  assemble.positions = f->positions < 0 ? in->fixed : ops_at(w->master, f->positions);
  assemble.tokens =
      c->has_pre_norm ? kept_rows(in, p, in->a->raw, p->a->tokens * width) : tower_input(p);
  err error = call->patches(w->o, &gather);
  if (!error) error = call->gemm(w->o, &embed);
  if (!error) error = call->assemble(w->o, &assemble);
  if (error || !c->has_pre_norm) return error;
  ops_layer_norm norm = {.rows = p->count * p->a->tokens,
                         .width = width,
                         .eps = c->image.norm_eps,
                         .x = assemble.tokens,
                         .gamma = ops_at(w->master, f->pre_gamma),
                         .beta = ops_at(w->master, f->pre_beta),
                         .y = tower_input(p),
                         .mean = kept_rows(in, p, in->a->mean, p->a->tokens),
                         .rstd = kept_rows(in, p, in->a->rstd, p->a->tokens)};
  return call->layer_norm(w->o, &norm);
}

/* From a->dx to a->dnorm. */
static err pre_norm_gradient(const image_source *in, const tower_pass *p) {
  const image_front *f = in->front;
  int64_t width = in->config->image.width;
  ops_layer_norm_gradient norm = {.rows = p->count * p->a->tokens,
                                  .width = width,
                                  .dy = p->a->dx,
                                  .x = kept_rows(in, p, in->a->raw, p->a->tokens * width),
                                  .gamma = ops_at(p->w->master, f->pre_gamma),
                                  .mean = kept_rows(in, p, in->a->mean, p->a->tokens),
                                  .rstd = kept_rows(in, p, in->a->rstd, p->a->tokens),
                                  .dx = p->a->dnorm,
                                  .dgamma = ops_at(p->w->gradients, f->pre_gamma),
                                  .dbeta = ops_at(p->w->gradients, f->pre_beta)};
  return p->w->o->call->layer_norm_gradient(p->w->o, &norm);
}

err image_front_backward(const image_source *in, const tower_pass *p) {
  err error = NULL;
  const clip_config *c = in->config;
  const image_front *f = in->front;
  const tower_weights *w = p->w;
  const ops_table *call = w->o->call;
  ops_buffer dtokens = p->a->dx, dpatches = p->a->dnorm;
  if (c->has_pre_norm) {
    TRY(pre_norm_gradient(in, p));
    dtokens = p->a->dnorm;
    dpatches = p->a->dx;
  }
  ops_assemble assemble = assembly(in, p);
  assemble.dtokens = dtokens;
  assemble.dpatches = dpatches;
  if (f->class_token >= 0) assemble.dclass_token = ops_at(w->gradients, f->class_token);
  if (f->positions >= 0) assemble.dpositions = ops_at(w->gradients, f->positions);
  TRY(call->assemble_gradient(w->o, &assemble));
  ops_gemm dweight = {.m = c->image.width,
                      .n = 3 * c->patch * c->patch,
                      .k = p->count * in->a->encoded,
                      .transpose_a = true,
                      .accumulate = !p->writes || p->first > 0,
                      .a = dpatches,
                      .b = patches_of(in, p),
                      .c = ops_at(w->gradients, f->patch),
                      .a_sums = c->has_patch_bias ? ops_at(w->gradients, f->patch_bias)
                                                  : (ops_buffer){0}};
  TRY(call->gemm(w->o, &dweight));
  if (in->a->wants_pixels) {
    ops_gemm pixels = {.m = dweight.k,
                       .n = dweight.n,
                       .k = dweight.m,
                       .a = dpatches,
                       .b = ops_at(w->working, f->patch),
                       .c = dweight.b};
    TRY(call->gemm(w->o, &pixels));
  }
cleanup:
  return error;
}

/* A text's tokens, at most c->text_length, take the first positions if they have no others. */
static ops_embed embedding(const clip_config *c, text_words words, const tower_pass *p) {
  int64_t length = p->a->tokens;
  ops_buffer places = words.places.data ? ops_at(words.places, p->first * length) : words.places;
  return (ops_embed){.batch = p->count,
                     .length = length,
                     .width = c->text.width,
                     .vocabulary = c->vocabulary,
                     .ids = ops_at(words.ids, p->first * length),
                     .places = places};
}

err text_front_forward(const text_front *f, const clip_config *c, text_words words,
                       const tower_pass *p) {
  ops_embed e = embedding(c, words, p);
  e.table = ops_at(p->w->master, f->words);
  e.positions = ops_at(p->w->master, f->positions);
  e.tokens = tower_input(p);
  return p->w->o->call->embed(p->w->o, &e);
}

err text_front_backward(const text_front *f, const clip_config *c, text_words words,
                        const tower_pass *p) {
  ops_embed e = embedding(c, words, p);
  e.dtokens = p->a->dx;
  e.dtable = ops_at(p->w->gradients, f->words);
  e.dpositions = ops_at(p->w->gradients, f->positions);
  return p->w->o->call->embed_gradient(p->w->o, &e);
}
