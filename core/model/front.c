#include "model/front.h"

#include <math.h>

#include "base/mem.h"

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

static void cut(ops_buffer *buffer, ops_type type, int64_t elements, void *base, size_t *at) {
  *buffer = (ops_buffer){base ? (char *)base + *at : NULL, type};
  *at += mem_rounded((size_t)elements * ops_size_of(type));
}

size_t image_front_lay_out(image_front_activations *a, const clip_config *c, int64_t samples,
                           int64_t encoded, bool is_kept, int64_t chunk, ops_type compute,
                           ops_type master, void *base) {
  size_t at = 0;
  int64_t count = is_kept ? samples : chunk, rows = count * (encoded + c->has_class_token);
  *a = (image_front_activations){.encoded = encoded, .is_kept = is_kept};
  cut(&a->patches, compute, count * encoded * 3 * c->patch * c->patch, base, &at);
  if (c->has_pre_norm) {
    cut(&a->raw, compute, rows * c->image.width, base, &at);
    cut(&a->mean, master, rows, base, &at);
    cut(&a->rstd, master, rows, base, &at);
  }
  return at;
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

static ops_buffer kept_rows(const image_front_activations *fa, ops_buffer buffer, int64_t first,
                            int64_t elements_a_sample) {
  return ops_at(buffer, fa->is_kept ? first * elements_a_sample : 0);
}

static ops_assemble assembly(const image_front *f, const clip_config *c, const tower_weights *w,
                             const image_front_activations *fa, ops_buffer index, int64_t first,
                             int64_t count) {
  return (ops_assemble){.batch = count,
                        .keep = fa->encoded,
                        .width = c->image.width,
                        .class_has_position = c->has_learned_positions && c->has_class_token,
                        .index = ops_at(index, first * fa->encoded),
                        .class_token = f->class_token < 0 ? (ops_buffer){0}
                                                          : ops_at(w->master, f->class_token)};
}

err image_front_forward(const image_front *f, const clip_config *c, const tower *t,
                        const tower_weights *w, const tower_activations *a,
                        const image_front_activations *fa, ops_buffer images, ops_buffer index,
                        ops_buffer fixed, int64_t first, int64_t count) {
  const ops_table *call = w->o->call;
  int64_t width = c->image.width, length = 3 * c->patch * c->patch;
  ops_patches gather = {.batch = count,
                        .size = c->image_size,
                        .patch = c->patch,
                        .keep = fa->encoded,
                        .images = ops_at(images, first * c->image_size * c->image_size * 3),
                        .index = ops_at(index, first * fa->encoded),
                        .patches = kept_rows(fa, fa->patches, first, fa->encoded * length)};
  for (int i = 0; i < 3; i++) {
    gather.mean[i] = c->mean[i];
    gather.deviation[i] = c->deviation[i];
  }
  ops_gemm embed = {.m = count * fa->encoded,
                    .n = width,
                    .k = length,
                    .transpose_b = true,
                    .a = gather.patches,
                    .b = ops_at(w->working, f->patch),
                    .c = a->delta,
                    .bias = c->has_patch_bias ? ops_at(w->master, f->patch_bias) : (ops_buffer){0}};
  ops_buffer input = tower_input(t, a, first);
  ops_assemble assemble = assembly(f, c, w, fa, index, first, count);
  assemble.patches = a->delta;
  assemble.positions = f->positions < 0 ? fixed : ops_at(w->master, f->positions);
  assemble.tokens = c->has_pre_norm ? kept_rows(fa, fa->raw, first, a->tokens * width) : input;
  err error = call->patches(w->o, &gather);
  if (!error) error = call->gemm(w->o, &embed);
  if (!error) error = call->assemble(w->o, &assemble);
  if (error || !c->has_pre_norm) return error;
  ops_layer_norm norm = {.rows = count * a->tokens,
                         .width = width,
                         .eps = c->image.norm_eps,
                         .x = assemble.tokens,
                         .gamma = ops_at(w->master, f->pre_gamma),
                         .beta = ops_at(w->master, f->pre_beta),
                         .y = input,
                         .mean = kept_rows(fa, fa->mean, first, a->tokens),
                         .rstd = kept_rows(fa, fa->rstd, first, a->tokens)};
  return call->layer_norm(w->o, &norm);
}

err image_front_backward(const image_front *f, const clip_config *c, const tower_weights *w,
                         const tower_activations *a, const image_front_activations *fa,
                         ops_buffer index, int64_t first, int64_t count) {
  err error = NULL;
  const ops_table *call = w->o->call;
  int64_t width = c->image.width, length = 3 * c->patch * c->patch;
  ops_buffer dtokens = a->dx, dpatches = a->dnorm;
  if (c->has_pre_norm) {
    dtokens = a->dnorm;
    dpatches = a->dx;
    ops_layer_norm_gradient norm = {.rows = count * a->tokens,
                                    .width = width,
                                    .dy = a->dx,
                                    .x = kept_rows(fa, fa->raw, first, a->tokens * width),
                                    .gamma = ops_at(w->master, f->pre_gamma),
                                    .mean = kept_rows(fa, fa->mean, first, a->tokens),
                                    .rstd = kept_rows(fa, fa->rstd, first, a->tokens),
                                    .dx = dtokens,
                                    .dgamma = ops_at(w->gradients, f->pre_gamma),
                                    .dbeta = ops_at(w->gradients, f->pre_beta)};
    TRY(call->layer_norm_gradient(w->o, &norm));
  }
  ops_assemble assemble = assembly(f, c, w, fa, index, first, count);
  assemble.dtokens = dtokens;
  assemble.dpatches = dpatches;
  if (f->class_token >= 0) assemble.dclass_token = ops_at(w->gradients, f->class_token);
  if (f->positions >= 0) assemble.dpositions = ops_at(w->gradients, f->positions);
  TRY(call->assemble_gradient(w->o, &assemble));
  ops_gemm dweight = {.m = width,
                      .n = length,
                      .k = count * fa->encoded,
                      .transpose_a = true,
                      .accumulate = true,
                      .a = dpatches,
                      .b = kept_rows(fa, fa->patches, first, fa->encoded * length),
                      .c = ops_at(w->gradients, f->patch),
                      .a_sums = c->has_patch_bias ? ops_at(w->gradients, f->patch_bias)
                                                  : (ops_buffer){0}};
  TRY(call->gemm(w->o, &dweight));
  if (fa->wants_pixels) {
    ops_gemm pixels = {.m = dweight.k,
                       .n = length,
                       .k = width,
                       .a = dpatches,
                       .b = ops_at(w->working, f->patch),
                       .c = dweight.b};
    TRY(call->gemm(w->o, &pixels));
  }
cleanup:
  return error;
}

/* length: tokens of a text, at most c->text_length; they take the first positions. */
static ops_embed embedding(const clip_config *c, ops_buffer ids, int64_t length, int64_t first,
                           int64_t count) {
  return (ops_embed){.batch = count,
                     .length = length,
                     .width = c->text.width,
                     .vocabulary = c->vocabulary,
                     .ids = ops_at(ids, first * length)};
}

err text_front_forward(const text_front *f, const clip_config *c, const tower *t,
                       const tower_weights *w, const tower_activations *a, ops_buffer ids,
                       int64_t first, int64_t count) {
  ops_embed e = embedding(c, ids, a->tokens, first, count);
  e.table = ops_at(w->master, f->words);
  e.positions = ops_at(w->master, f->positions);
  e.tokens = tower_input(t, a, first);
  return w->o->call->embed(w->o, &e);
}

err text_front_backward(const text_front *f, const clip_config *c, const tower_weights *w,
                        const tower_activations *a, ops_buffer ids, int64_t first, int64_t count) {
  ops_embed e = embedding(c, ids, a->tokens, first, count);
  e.dtokens = a->dx;
  e.dtable = ops_at(w->gradients, f->words);
  e.dpositions = ops_at(w->gradients, f->positions);
  return w->o->call->embed_gradient(w->o, &e);
}
