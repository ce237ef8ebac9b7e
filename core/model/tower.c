#include "model/tower.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* The tensors of a block in the order in which they are declared and resolved. */
typedef struct {
  const char *name;
  size_t field; /* offset in tower_block */
} block_tensor;

#define BLOCK_TENSOR(name, field)                                                                  \
  { name, offsetof(tower_block, field) }
static const block_tensor block_tensors[] = {
    BLOCK_TENSOR("norm1.weight", norm1_gamma), BLOCK_TENSOR("norm1.bias", norm1_beta),
    BLOCK_TENSOR("qkv.weight", qkv),           BLOCK_TENSOR("qkv.bias", qkv_bias),
    BLOCK_TENSOR("out.weight", out),           BLOCK_TENSOR("out.bias", out_bias),
    BLOCK_TENSOR("norm2.weight", norm2_gamma), BLOCK_TENSOR("norm2.bias", norm2_beta),
    BLOCK_TENSOR("fc1.weight", fc1),           BLOCK_TENSOR("fc1.bias", fc1_bias),
    BLOCK_TENSOR("fc2.weight", fc2),           BLOCK_TENSOR("fc2.bias", fc2_bias)};
enum { BLOCK_TENSORS = sizeof block_tensors / sizeof *block_tensors };

static void declare_block(const tower_shape *s, const char *prefix, int64_t layer,
                          param_table *table) {
  const struct {
    int64_t rows, columns;
    bool is_decayed;
    param_rule rule;
  } kinds[BLOCK_TENSORS] = {
      {0, s->width, false, PARAM_ONE},
      {0, s->width, false, PARAM_ZERO},
      {3 * s->width, s->width, true, PARAM_ATTENTION},
      {0, 3 * s->width, false, PARAM_ZERO},
      {s->width, s->width, true, PARAM_XAVIER},
      {0, s->width, false, PARAM_ZERO},
      {0, s->width, false, PARAM_ONE},
      {0, s->width, false, PARAM_ZERO},
      {s->hidden, s->width, true, PARAM_XAVIER},
      {0, s->hidden, false, PARAM_ZERO},
      {s->width, s->hidden, true, PARAM_XAVIER},
      {0, s->width, false, PARAM_ZERO},
  };
  for (size_t i = 0; i < BLOCK_TENSORS; i++) {
    char name[PARAM_NAME_SIZE];
    snprintf(name, sizeof name, "%s.blocks.%d.%s", prefix, (int)layer, block_tensors[i].name);
    param_table_add(table, name, kinds[i].rows, kinds[i].columns, kinds[i].is_decayed,
                    kinds[i].rule, 0);
  }
}

err tower_declare(tower *t, const tower_shape *shape, const char *prefix, param_table *table) {
  char name[PARAM_NAME_SIZE];
  t->shape = *shape;
  t->first_param = table->count;
  t->blocks = mem_zeroed((size_t)shape->layers, sizeof *t->blocks);
  if (!t->blocks) return mem_error(sizeof *t->blocks, "a tower");
  for (int64_t layer = 0; layer < shape->layers; layer++)
    declare_block(shape, prefix, layer, table);
  snprintf(name, sizeof name, "%s.norm.weight", prefix);
  param_table_add(table, name, 0, shape->width, false, PARAM_ONE, 0);
  snprintf(name, sizeof name, "%s.norm.bias", prefix);
  param_table_add(table, name, 0, shape->width, false, PARAM_ZERO, 0);
  snprintf(name, sizeof name, "%s.projection.weight", prefix);
  param_table_add(table, name, shape->embed, shape->width, true, PARAM_XAVIER, 0);
  return NULL;
}

void tower_resolve(tower *t, const param_table *table) {
  const param *at = table->items + t->first_param;
  for (int64_t layer = 0; layer < t->shape.layers; layer++)
    for (size_t i = 0; i < BLOCK_TENSORS; i++, at++) {
      char *block = (char *)&t->blocks[layer];
      memcpy(block + block_tensors[i].field, &at->offset, sizeof at->offset);
    }
  t->norm_gamma = at[0].offset;
  t->norm_beta = at[1].offset;
  t->projection = at[2].offset;
}

void tower_free(tower *t) {
  free(t->blocks);
  *t = (tower){0};
}

int64_t tower_chunk(const tower_shape *shape, int64_t tokens, int64_t batch, ops_type compute,
                    int64_t chunk_bytes) {
  if (chunk_bytes <= 0) return batch;
  int64_t sample_bytes = tokens * shape->width * (int64_t)ops_size_of(compute);
  int64_t chunk = chunk_bytes / sample_bytes;
  if (chunk < 1) chunk = 1;
  if (chunk >= batch) return batch;
  int64_t pieces = (batch + chunk - 1) / chunk; /* equal pieces: fewer shapes, no short last one */
  return (batch + pieces - 1) / pieces;
}

static void cut(ops_buffer *buffer, ops_type type, int64_t elements, void *base, size_t *at) {
  *buffer = (ops_buffer){base ? (char *)base + *at : NULL, type};
  *at += mem_rounded((size_t)elements * ops_size_of(type));
}

size_t tower_lay_out(tower_activations *a, const tower_shape *s, int64_t batch, int64_t tokens,
                     bool is_kept, int64_t chunk, ops_type compute, ops_type master, void *base) {
  size_t at = 0;
  int64_t chunk_rows = chunk * tokens, rows = is_kept ? batch * tokens : chunk_rows;
  int64_t recompute = !is_kept ? 0 : s->recompute < s->layers ? s->recompute : s->layers;
  int64_t kept_rows = is_kept ? (s->layers - recompute) * rows : rows; /* of all layers */
  *a = (tower_activations){.batch = batch,
                           .tokens = tokens,
                           .chunk = chunk,
                           .is_kept = is_kept,
                           .layer_rows = is_kept ? rows : 0,
                           .recompute = recompute,
                           .shared_row = kept_rows};
  if (recompute) kept_rows += chunk_rows;
  a->are_norms_shared = is_kept && s->thrift >= TOWER_RECOMPUTE_NORMS;
  a->is_hidden_shared = is_kept && s->thrift >= TOWER_RECOMPUTE_ACTIVATIONS;
  int64_t norm_rows = a->are_norms_shared ? chunk_rows : kept_rows;
  int64_t hidden_rows = a->is_hidden_shared ? chunk_rows : kept_rows;
  cut(&a->x, compute, (is_kept ? s->layers + 1 : 1) * rows * s->width, base, &at);
  cut(&a->norm1, compute, norm_rows * s->width, base, &at);
  cut(&a->qkv, compute, kept_rows * 3 * s->width, base, &at);
  cut(&a->attended, compute, kept_rows * s->width, base, &at);
  cut(&a->middle, compute, kept_rows * s->width, base, &at);
  cut(&a->norm2, compute, norm_rows * s->width, base, &at);
  cut(&a->pre, compute, kept_rows * s->hidden, base, &at);
  cut(&a->hidden, compute, hidden_rows * s->hidden, base, &at);
  cut(&a->last, compute, chunk_rows * s->width, base, &at);
  ops_buffer *statistics[] = {&a->mean1, &a->rstd1, &a->mean2, &a->rstd2};
  for (size_t i = 0; i < 4; i++) cut(statistics[i], master, kept_rows, base, &at);
  cut(&a->mean_last, master, rows, base, &at);
  cut(&a->rstd_last, master, rows, base, &at);
  cut(&a->lse, master, kept_rows * s->heads, base, &at);
  cut(&a->pooled, compute, batch * s->width, base, &at);
  cut(&a->features, compute, batch * s->embed, base, &at);
  cut(&a->delta, compute, chunk_rows * s->width, base, &at);
  if (is_kept) {
    cut(&a->dx, compute, chunk_rows * s->width, base, &at);
    cut(&a->dnorm, compute, chunk_rows * s->width, base, &at);
    cut(&a->dhidden, compute, chunk_rows * s->hidden, base, &at);
    cut(&a->dqkv, compute, chunk_rows * 3 * s->width, base, &at);
  }
  return at;
}

/* The rows of samples from `first` on in layer `layer` of a buffer with `width` columns. */
static ops_buffer rows_of(const tower_activations *a, ops_buffer buffer, int64_t layer,
                          int64_t first, int64_t width) {
  int64_t row = 0;
  if (a->is_kept && layer < a->recompute)
    row = a->shared_row;
  else if (a->is_kept)
    row = (layer - a->recompute) * a->layer_rows + first * a->tokens;
  return ops_at(buffer, row * width);
}

/* The same of what backward may have to compute again. */
static ops_buffer norm1_of(const tower *t, const tower_activations *a, int64_t layer,
                           int64_t first) {
  return a->are_norms_shared ? a->norm1 : rows_of(a, a->norm1, layer, first, t->shape.width);
}

static ops_buffer norm2_of(const tower *t, const tower_activations *a, int64_t layer,
                           int64_t first) {
  return a->are_norms_shared ? a->norm2 : rows_of(a, a->norm2, layer, first, t->shape.width);
}

static ops_buffer hidden_of(const tower *t, const tower_activations *a, int64_t layer,
                            int64_t first) {
  return a->is_hidden_shared ? a->hidden : rows_of(a, a->hidden, layer, first, t->shape.hidden);
}

/* What enters block `layer`; layer `layers`: what leaves the last one. Kept for every layer. */
static ops_buffer input_of(const tower *t, const tower_activations *a, int64_t layer,
                           int64_t first) {
  int64_t row = a->is_kept ? layer * a->layer_rows + first * a->tokens : 0;
  return ops_at(a->x, row * t->shape.width);
}

ops_buffer tower_input(const tower *t, const tower_activations *a, int64_t first) {
  return input_of(t, a, 0, first);
}

/* Statistics of the final norm, which are kept for every sample. */
static ops_buffer last_rows(const tower_activations *a, ops_buffer buffer, int64_t first) {
  return ops_at(buffer, a->is_kept ? first * a->tokens : 0);
}

/* y = x weightᵀ + bias: one dense layer. */
static ops_gemm dense(const tower_weights *w, int64_t rows, int64_t in, int64_t out, ops_buffer x,
                      int64_t weight, int64_t bias, ops_buffer y) {
  return (ops_gemm){.m = rows,
                    .n = out,
                    .k = in,
                    .transpose_b = true,
                    .may_narrow = true,
                    .a = x,
                    .b = ops_at(w->working, weight),
                    .c = y,
                    .bias = bias < 0 ? (ops_buffer){0} : ops_at(w->master, bias)};
}

static ops_layer_norm norm(const tower *t, const tower_weights *w, int64_t rows, ops_buffer x,
                           int64_t gamma, int64_t beta, ops_buffer y, ops_buffer mean,
                           ops_buffer rstd) {
  return (ops_layer_norm){.rows = rows,
                          .width = t->shape.width,
                          .eps = t->shape.norm_eps,
                          .x = x,
                          .gamma = ops_at(w->master, gamma),
                          .beta = ops_at(w->master, beta),
                          .y = y,
                          .mean = mean,
                          .rstd = rstd};
}

static ops_attention attention(const tower *t, const tower_activations *a, int64_t layer,
                               int64_t first, int64_t count) {
  const tower_shape *s = &t->shape;
  return (ops_attention){.batch = count,
                         .tokens = a->tokens,
                         .heads = s->heads,
                         .head_width = s->width / s->heads,
                         .is_causal = s->is_causal,
                         .key_counts = ops_at(a->key_counts, first),
                         .qkv = rows_of(a, a->qkv, layer, first, 3 * s->width),
                         .out = rows_of(a, a->attended, layer, first, s->width),
                         .lse = rows_of(a, a->lse, layer, first, s->heads)};
}

/* The weights of the norm that stands in front of block `layer`; layer `layers`: the last one. */
static void norm_before(const tower *t, int64_t layer, int64_t *gamma, int64_t *beta) {
  bool is_post = t->shape.is_post_norm;
  if (layer == (is_post ? 0 : t->shape.layers)) {
    *gamma = t->norm_gamma;
    *beta = t->norm_beta;
  } else {
    const tower_block *b = &t->blocks[is_post ? layer - 1 : layer];
    *gamma = is_post ? b->norm2_gamma : b->norm1_gamma;
    *beta = is_post ? b->norm2_beta : b->norm1_beta;
  }
}

/* The same of the norm between attention and MLP. */
static void norm_between(const tower *t, int64_t layer, int64_t *gamma, int64_t *beta) {
  const tower_block *b = &t->blocks[layer];
  *gamma = t->shape.is_post_norm ? b->norm1_gamma : b->norm2_gamma;
  *beta = t->shape.is_post_norm ? b->norm1_beta : b->norm2_beta;
}

/* y = dropout(x), nothing at rate 0. Site 0 is the embeddings', then two a block. */
static err drop(const tower *t, const tower_weights *w, const tower_activations *a, int64_t first,
                int64_t count, int64_t site, ops_buffer x, ops_buffer y) {
  if (a->noise.rate == 0) return NULL;
  ops_dropout d = {.samples = count,
                   .elements = a->tokens * t->shape.width,
                   .rate = a->noise.rate,
                   .seed = a->noise.seed,
                   .site = a->noise.first_site + (uint64_t)site,
                   .numbers = ops_at(a->noise.numbers, 2 * first),
                   .x = x,
                   .y = y};
  return w->o->call->dropout(w->o, &d);
}

/* One block, from norm1 (already there) to the hidden layer of the MLP. */
static err block_inner(const tower *t, const tower_weights *w, const tower_activations *a,
                       int64_t layer, int64_t first, int64_t count) {
  const tower_shape *s = &t->shape;
  const tower_block *b = &t->blocks[layer];
  const ops_table *call = w->o->call;
  int64_t rows = count * a->tokens, width = s->width;
  ops_buffer norm2 = norm2_of(t, a, layer, first);
  ops_buffer hidden = hidden_of(t, a, layer, first);

  ops_gemm qkv = dense(w, rows, width, 3 * width, norm1_of(t, a, layer, first), b->qkv, b->qkv_bias,
                       rows_of(a, a->qkv, layer, first, 3 * width));
  ops_attention attend = attention(t, a, layer, first, count);
  ops_gemm out = dense(w, rows, width, width, attend.out, b->out, b->out_bias, a->delta);
  int64_t gamma, beta;
  norm_between(t, layer, &gamma, &beta);
  ops_buffer stream = s->is_post_norm ? norm1_of(t, a, layer, first) : input_of(t, a, layer, first);
  ops_layer_norm second =
      norm(t, w, rows, stream, gamma, beta, norm2, rows_of(a, a->mean2, layer, first, 1),
           rows_of(a, a->rstd2, layer, first, 1));
  second.residual = a->delta;
  second.sum = rows_of(a, a->middle, layer, first, width);
  ops_gemm fc1 = dense(w, rows, width, s->hidden, norm2, b->fc1, b->fc1_bias, hidden);
  fc1.epilogue = OPS_EPILOGUE_ACTIVATION;
  fc1.activation = s->activation;
  fc1.pre = rows_of(a, a->pre, layer, first, s->hidden);

  err error = call->gemm(w->o, &qkv);
  if (!error) error = call->attention(w->o, &attend);
  if (!error) error = call->gemm(w->o, &out);
  if (!error) error = drop(t, w, a, first, count, 1 + 2 * layer, a->delta, a->delta);
  if (!error) error = call->layer_norm(w->o, &second);
  return error ? error : call->gemm(w->o, &fc1);
}

/* The same, and the residual after the MLP, left in a->delta. */
static err block_forward(const tower *t, const tower_weights *w, const tower_activations *a,
                         int64_t layer, int64_t first, int64_t count) {
  const tower_shape *s = &t->shape;
  const tower_block *b = &t->blocks[layer];
  ops_gemm fc2 = dense(w, count * a->tokens, s->hidden, s->width, hidden_of(t, a, layer, first),
                       b->fc2, b->fc2_bias, a->delta);
  err error = block_inner(t, w, a, layer, first, count);
  if (!error) error = w->o->call->gemm(w->o, &fc2);
  return error ? error : drop(t, w, a, first, count, 2 + 2 * layer, a->delta, a->delta);
}

/* The norm in front of block `layer`, or the last one; with its statistics' place. */
static ops_layer_norm norm_of(const tower *t, const tower_weights *w, const tower_activations *a,
                              int64_t layer, int64_t first, int64_t rows) {
  int64_t gamma, beta;
  norm_before(t, layer, &gamma, &beta);
  ops_buffer x = input_of(t, a, layer, first);
  if (layer == t->shape.layers)
    return norm(t, w, rows, x, gamma, beta, a->last, last_rows(a, a->mean_last, first),
                last_rows(a, a->rstd_last, first));
  return norm(t, w, rows, x, gamma, beta, norm1_of(t, a, layer, first),
              rows_of(a, a->mean1, layer, first, 1), rows_of(a, a->rstd1, layer, first, 1));
}

/* The norm behind block `layer` - 1, with what that block adds summed up first. */
static err norm_after(const tower *t, const tower_weights *w, const tower_activations *a,
                      int64_t layer, int64_t first, int64_t rows) {
  ops_layer_norm n = norm_of(t, w, a, layer, first, rows);
  n.sum = n.x;
  n.x = t->shape.is_post_norm ? norm2_of(t, a, layer - 1, first)
                              : rows_of(a, a->middle, layer - 1, first, t->shape.width);
  n.residual = a->delta;
  return w->o->call->layer_norm(w->o, &n);
}

/* The first norm, with the embeddings' dropout: behind the norm in BERT; in front of it in ViT,
 * whose dropped embeddings are kept as the first block's input. */
static err norm_first(const tower *t, const tower_weights *w, const tower_activations *a,
                      int64_t first, int64_t count) {
  bool is_post = t->shape.is_post_norm;
  ops_layer_norm n = norm_of(t, w, a, 0, first, count * a->tokens);
  err error = is_post ? NULL : drop(t, w, a, first, count, 0, n.x, n.x);
  if (!error) error = w->o->call->layer_norm(w->o, &n);
  return error || !is_post ? error : drop(t, w, a, first, count, 0, n.y, n.y);
}

static ops_pool pooling(const tower *t, const tower_activations *a, int64_t first, int64_t count,
                        ops_buffer index) {
  return (ops_pool){.batch = count,
                    .tokens = a->tokens,
                    .width = t->shape.width,
                    .pooling = t->shape.pooling,
                    .x = a->last,
                    .index = ops_at(index, first),
                    .pooled = ops_at(a->pooled, first * t->shape.width)};
}

err tower_forward(const tower *t, const tower_weights *w, const tower_activations *a, int64_t first,
                  int64_t count, ops_buffer pool_index) {
  err error = NULL;
  int64_t rows = count * a->tokens;
  TRY(norm_first(t, w, a, first, count));
  for (int64_t layer = 0; layer < t->shape.layers; layer++) {
    TRY(block_forward(t, w, a, layer, first, count));
    TRY(norm_after(t, w, a, layer + 1, first, rows));
  }
  ops_pool pool = pooling(t, a, first, count, pool_index);
  TRY(w->o->call->pool(w->o, &pool));
  ops_gemm project = dense(w, count, t->shape.width, t->shape.embed, pool.pooled, t->projection, -1,
                           ops_at(a->features, first * t->shape.embed));
  TRY(w->o->call->gemm(w->o, &project));
cleanup:
  return error;
}

/* dx = dy weight, dweight += dyᵀ x, dbias += sums of dy: the gradient of one dense layer.
 * `into` may carry an epilogue for dx. */
static err dense_gradient(const tower_weights *w, int64_t rows, int64_t in, int64_t out,
                          ops_buffer dy, ops_buffer x, int64_t weight, int64_t bias,
                          ops_gemm into) {
  ops_gemm dweight = {.m = out,
                      .n = in,
                      .k = rows,
                      .transpose_a = true,
                      .accumulate = true,
                      .may_narrow = true,
                      .a = dy,
                      .b = x,
                      .c = ops_at(w->gradients, weight),
                      .a_sums = bias < 0 ? (ops_buffer){0} : ops_at(w->gradients, bias)};
  into.m = rows;
  into.n = in;
  into.k = out;
  into.may_narrow = true;
  into.a = dy;
  into.b = ops_at(w->working, weight);
  err error = w->o->call->gemm(w->o, &dweight);
  return error ? error : w->o->call->gemm(w->o, &into);
}

static err norm_gradient(const tower *t, const tower_weights *w, int64_t rows, ops_buffer dy,
                         ops_buffer x, int64_t gamma, int64_t beta, ops_buffer mean,
                         ops_buffer rstd, ops_buffer dresidual, ops_buffer dx) {
  ops_layer_norm_gradient n = {.rows = rows,
                               .width = t->shape.width,
                               .dy = dy,
                               .x = x,
                               .gamma = ops_at(w->master, gamma),
                               .mean = mean,
                               .rstd = rstd,
                               .dresidual = dresidual,
                               .dx = dx,
                               .dgamma = ops_at(w->gradients, gamma),
                               .dbeta = ops_at(w->gradients, beta)};
  return w->o->call->layer_norm_gradient(w->o, &n);
}

/* The norm in front of block `layer`, once more. */
static err recompute_norm1(const tower *t, const tower_weights *w, const tower_activations *a,
                           int64_t layer, int64_t first, int64_t count) {
  ops_layer_norm n = norm_of(t, w, a, layer, first, count * a->tokens);
  err error = w->o->call->layer_norm(w->o, &n);
  bool is_dropped = layer == 0 && t->shape.is_post_norm;
  return error || !is_dropped ? error : drop(t, w, a, first, count, 0, n.y, n.y);
}

/* What the block shares with the others: computed again from the sums and from the activation's
 * input, which it keeps. */
static err recompute_shared(const tower *t, const tower_weights *w, const tower_activations *a,
                            int64_t layer, int64_t first, int64_t count) {
  err error = NULL;
  const tower_shape *s = &t->shape;
  int64_t rows = count * a->tokens, gamma, beta;
  if (a->are_norms_shared) {
    norm_between(t, layer, &gamma, &beta);
    ops_layer_norm second =
        norm(t, w, rows, rows_of(a, a->middle, layer, first, s->width), gamma, beta,
             norm2_of(t, a, layer, first), rows_of(a, a->mean2, layer, first, 1),
             rows_of(a, a->rstd2, layer, first, 1));
    TRY(recompute_norm1(t, w, a, layer, first, count));
    TRY(w->o->call->layer_norm(w->o, &second));
  }
  if (a->is_hidden_shared) {
    const ops_activate again = {s->activation, rows * s->hidden,
                                rows_of(a, a->pre, layer, first, s->hidden),
                                hidden_of(t, a, layer, first)};
    TRY(w->o->call->activate(w->o, &again));
  }
cleanup:
  return error;
}

/* Computes again what block `layer` did not keep, from its input. */
static err recompute_block(const tower *t, const tower_weights *w, const tower_activations *a,
                           int64_t layer, int64_t first, int64_t count) {
  err error = recompute_norm1(t, w, a, layer, first, count);
  return error ? error : block_inner(t, w, a, layer, first, count);
}

/* Through a norm and the residual around it. a->dnorm: the gradient
 * of its output, from the branch; a->dx: of the sum behind the branch on entry, of the norm's input
 * on return. A residual that leaves behind the norm (post-norm) joins the branch first. site 0: the
 * embeddings' dropout lies behind this norm; else -1. */
static err join_residual(const tower *t, const tower_weights *w, const tower_activations *a,
                         int64_t first, int64_t count, int64_t site, ops_buffer x, int64_t gamma,
                         int64_t beta, ops_buffer mean, ops_buffer rstd) {
  int64_t rows = count * a->tokens;
  if (!t->shape.is_post_norm)
    return norm_gradient(t, w, rows, a->dnorm, x, gamma, beta, mean, rstd, a->dx, a->dx);
  ops_dropout sum = {.samples = count,
                     .elements = a->tokens * t->shape.width,
                     .x = a->dnorm,
                     .residual = a->dx,
                     .y = a->dnorm};
  err error = w->o->call->dropout(w->o, &sum);
  if (!error && site >= 0) error = drop(t, w, a, first, count, site, a->dnorm, a->dnorm);
  if (error) return error;
  return norm_gradient(t, w, rows, a->dnorm, x, gamma, beta, mean, rstd, (ops_buffer){0}, a->dx);
}

/* The gradient of what a branch added to the sum whose gradient is a->dx. */
static err branch_gradient(const tower *t, const tower_weights *w, const tower_activations *a,
                           int64_t first, int64_t count, int64_t site, ops_buffer *dy) {
  *dy = a->noise.rate > 0 ? a->delta : a->dx; /* delta is free during backward */
  return drop(t, w, a, first, count, site, a->dx, a->delta);
}

/* a->dx holds the gradient of the sum behind the MLP on entry, of the block's input sum on return.
 */
static err mlp_backward(const tower *t, const tower_weights *w, const tower_activations *a,
                        int64_t layer, int64_t first, int64_t count) {
  err error = NULL;
  const tower_shape *s = &t->shape;
  const tower_block *b = &t->blocks[layer];
  int64_t rows = count * a->tokens, width = s->width, gamma, beta;
  ops_buffer dy;
  ops_gemm dpre = {.c = a->dhidden,
                   .epilogue = OPS_EPILOGUE_ACTIVATION_GRADIENT,
                   .activation = s->activation,
                   .pre = rows_of(a, a->pre, layer, first, s->hidden)};
  TRY(branch_gradient(t, w, a, first, count, 2 + 2 * layer, &dy));
  TRY(dense_gradient(w, rows, s->hidden, width, dy, hidden_of(t, a, layer, first), b->fc2,
                     b->fc2_bias, dpre));
  TRY(dense_gradient(w, rows, width, s->hidden, a->dhidden, norm2_of(t, a, layer, first), b->fc1,
                     b->fc1_bias, (ops_gemm){.c = a->dnorm}));
  norm_between(t, layer, &gamma, &beta);
  TRY(join_residual(t, w, a, first, count, -1, rows_of(a, a->middle, layer, first, width), gamma,
                    beta, rows_of(a, a->mean2, layer, first, 1),
                    rows_of(a, a->rstd2, layer, first, 1)));
cleanup:
  return error;
}

static err block_backward(const tower *t, const tower_weights *w, const tower_activations *a,
                          int64_t layer, int64_t first, int64_t count) {
  err error = NULL;
  const tower_shape *s = &t->shape;
  const tower_block *b = &t->blocks[layer];
  int64_t rows = count * a->tokens, width = s->width, gamma, beta;
  ops_buffer dy;
  TRY(mlp_backward(t, w, a, layer, first, count));
  TRY(branch_gradient(t, w, a, first, count, 1 + 2 * layer, &dy));
  TRY(dense_gradient(w, rows, width, width, dy, rows_of(a, a->attended, layer, first, width),
                     b->out, b->out_bias, (ops_gemm){.c = a->dnorm}));
  ops_attention attend = attention(t, a, layer, first, count);
  attend.dout = a->dnorm;
  attend.dqkv = a->dqkv;
  TRY(w->o->call->attention_gradient(w->o, &attend));
  TRY(dense_gradient(w, rows, width, 3 * width, a->dqkv, norm1_of(t, a, layer, first), b->qkv,
                     b->qkv_bias, (ops_gemm){.c = a->dnorm}));
  norm_before(t, layer, &gamma, &beta);
  TRY(join_residual(t, w, a, first, count, layer == 0 ? 0 : -1, input_of(t, a, layer, first), gamma,
                    beta, rows_of(a, a->mean1, layer, first, 1),
                    rows_of(a, a->rstd1, layer, first, 1)));
cleanup:
  return error;
}

err tower_backward(const tower *t, const tower_weights *w, const tower_activations *a,
                   int64_t first, int64_t count, ops_buffer pool_index, ops_buffer dfeatures) {
  err error = NULL;
  const tower_shape *s = &t->shape;
  int64_t rows = count * a->tokens, gamma, beta;
  ops_pool pool = pooling(t, a, first, count, pool_index);
  /* delta is free during backward and holds dpooled: count <= rows */
  TRY(dense_gradient(w, count, s->width, s->embed, ops_at(dfeatures, first * s->embed), pool.pooled,
                     t->projection, -1, (ops_gemm){.c = a->delta}));
  pool.dpooled = a->delta;
  pool.dx = a->dnorm;
  TRY(w->o->call->pool_gradient(w->o, &pool));
  norm_before(t, s->layers, &gamma, &beta);
  TRY(norm_gradient(t, w, rows, a->dnorm, input_of(t, a, s->layers, first), gamma, beta,
                    last_rows(a, a->mean_last, first), last_rows(a, a->rstd_last, first),
                    (ops_buffer){0}, a->dx));
  for (int64_t layer = s->layers - 1; layer >= 0; layer--) {
    TRY(layer < a->recompute ? recompute_block(t, w, a, layer, first, count)
                             : recompute_shared(t, w, a, layer, first, count));
    TRY(block_backward(t, w, a, layer, first, count));
  }
  if (!s->is_post_norm) TRY(drop(t, w, a, first, count, 0, a->dx, a->dx));
cleanup:
  return error;
}
