#include "model/tower_parts.h"

err tower_dense_gradient(const tower_pass *p, const tower_dense *d, int64_t rows, ops_buffer dy,
                         ops_buffer x, ops_gemm into) {
  const tower_weights *w = p->w;
  ops_gemm dweight = {.m = d->out,
                      .n = d->in,
                      .k = rows,
                      .transpose_a = true,
                      .accumulate = tower_accumulates(p),
                      .may_narrow = true,
                      .a = dy,
                      .b = x,
                      .c = ops_at(w->gradients, d->weight),
                      .a_sums = d->bias < 0 ? (ops_buffer){0} : ops_at(w->gradients, d->bias)};
  into.m = rows;
  into.n = d->in;
  into.k = d->out;
  into.may_narrow = true;
  into.a = dy;
  into.b = ops_at(w->working, d->weight);
  err error = w->o->call->gemm(w->o, &dweight);
  return error ? error : w->o->call->gemm(w->o, &into);
}

/* The buffer to which another op's gradient, which reads d's output or computes its gradient, also
 * adds d's bias gradient, if the backend supports that (`which`: OPS_SUMS_…); d's own gradient then
 * omits it. Otherwise absent. */
static ops_buffer take_bias_sums(const tower_pass *p, unsigned which, tower_dense *d) {
  ops_buffer sums = {0};
  if (d->bias < 0 || !(p->w->o->call->sums & which)) return sums;
  sums = ops_at(p->w->gradients, d->bias);
  d->bias = -1;
  return sums;
}

/* For the dense layer whose output was added to the sum before a norm: the norm's gradient writes
 * the gradient of that output, unless dropout is applied there. */
static ops_buffer take_norm_sums(const tower_pass *p, int64_t site, tower_dense *d) {
  return tower_drops(p, site) ? (ops_buffer){0} : take_bias_sums(p, OPS_SUMS_NORM, d);
}

/* The same for the layer before the norm of block `layer`: fc2 of the previous block. */
static ops_buffer sums_before(const tower_pass *p, int64_t layer) {
  if (layer == 0) return (ops_buffer){0};
  tower_dense fc2 = tower_fc2(p->t, layer - 1);
  return take_norm_sums(p, tower_mlp_site(layer - 1), &fc2);
}

/* The same for the norm between block `layer`'s attention and MLP. */
static ops_buffer sums_between(const tower_pass *p, int64_t layer) {
  tower_dense out = tower_out(p->t, layer);
  return take_norm_sums(p, tower_attention_site(layer), &out);
}

/* From a->dnorm to a->dx, which also provides dresidual, if there is one; dx_sums: of dx. */
static err norm_gradient(const tower_pass *p, const tower_norm *n, ops_buffer dresidual,
                         ops_buffer dx_sums) {
  const tower_weights *w = p->w;
  ops_layer_norm_gradient op = {.rows = tower_rows(p),
                                .width = p->t->shape.width,
                                .dy = p->a->dnorm,
                                .x = n->x,
                                .gamma = ops_at(w->master, n->gamma),
                                .mean = n->mean,
                                .rstd = n->rstd,
                                .dresidual = dresidual,
                                .dx = p->a->dx,
                                .dgamma = ops_at(w->gradients, n->gamma),
                                .dbeta = ops_at(w->gradients, n->beta),
                                .dx_sums = dx_sums};
  return w->o->call->layer_norm_gradient(w->o, &op);
}

/* Recomputes the norm before block `layer`. */
static err recompute_norm1(const tower_pass *p, int64_t layer) {
  tower_norm n = tower_norm_before(p, layer);
  err error = tower_normalize(p, &n);
  bool is_dropped = layer == 0 && p->t->shape.is_post_norm;
  return error || !is_dropped ? error : tower_drop(p, TOWER_EMBEDDINGS_SITE, n.y, n.y);
}

/* Recomputes the buffers that the blocks share, from the sums and the activation's input, which are
 * kept. */
static err recompute_shared(const tower_pass *p, int64_t layer) {
  err error = NULL;
  const tower_shape *s = &p->t->shape;
  if (p->a->are_norms_shared) {
    tower_norm between = tower_norm_between(p, layer);
    TRY(recompute_norm1(p, layer));
    TRY(tower_normalize(p, &between));
  }
  if (p->a->is_hidden_shared) {
    const tower_place at = tower_place_of(p, layer);
    const ops_activate again = {s->activation, tower_rows(p) * s->hidden, at.pre, at.hidden};
    TRY(p->w->o->call->activate(p->w->o, &again));
  }
cleanup:
  return error;
}

/* Recomputes what block `layer` did not keep, from its input. */
static err recompute_block(const tower_pass *p, int64_t layer) {
  err error = recompute_norm1(p, layer);
  return error ? error : tower_block_inner(p, layer);
}

/* Through a norm and the residual around it. a->dnorm: the gradient of its output, from the branch;
 * a->dx: of the sum after the branch on entry, of the norm's input on return. A residual taken
 * after the norm (post-norm) joins the branch first. is_embedded: the embeddings' dropout follows
 * this norm. */
static err join_residual(const tower_pass *p, const tower_norm *n, bool is_embedded,
                         ops_buffer dx_sums) {
  const tower_activations *a = p->a;
  if (!p->t->shape.is_post_norm) return norm_gradient(p, n, a->dx, dx_sums);
  ops_dropout sum = {.samples = p->count,
                     .elements = a->tokens * p->t->shape.width,
                     .x = a->dnorm,
                     .residual = a->dx,
                     .y = a->dnorm};
  err error = p->w->o->call->dropout(p->w->o, &sum);
  if (!error && is_embedded) error = tower_drop(p, TOWER_EMBEDDINGS_SITE, a->dnorm, a->dnorm);
  return error ? error : norm_gradient(p, n, (ops_buffer){0}, dx_sums);
}

/* The gradient of what a branch added to the sum whose gradient is a->dx. */
static err branch_gradient(const tower_pass *p, int64_t site, ops_buffer *dy) {
  const tower_activations *a = p->a;
  *dy = tower_drops(p, site) ? a->delta : a->dx; /* delta is free during backward */
  return tower_drop(p, site, a->dx, a->delta);
}

/* a->dx holds the gradient of the sum after the MLP on entry, of the block's input sum on return.
 */
static err mlp_backward(const tower_pass *p, int64_t layer) {
  err error = NULL;
  const tower_activations *a = p->a;
  const tower_place at = tower_place_of(p, layer);
  const tower_norm between = tower_norm_between(p, layer);
  tower_dense fc1 = tower_fc1(p->t, layer), fc2 = tower_fc2(p->t, layer);
  ops_buffer dy;
  ops_gemm dpre = {.c = a->dhidden,
                   .epilogue = OPS_EPILOGUE_ACTIVATION_GRADIENT,
                   .activation = p->t->shape.activation,
                   .pre = at.pre};
  (void)take_norm_sums(p, tower_mlp_site(layer), &fc2); /* with a->dx, in the norm's gradient */
  dpre.c_sums = take_bias_sums(p, OPS_SUMS_ACTIVATION, &fc1);
  TRY(branch_gradient(p, tower_mlp_site(layer), &dy));
  TRY(tower_dense_gradient(p, &fc2, tower_rows(p), dy, at.hidden, dpre));
  TRY(tower_dense_gradient(p, &fc1, tower_rows(p), a->dhidden, at.norm2,
                           (ops_gemm){.c = a->dnorm}));
  TRY(join_residual(p, &between, false, sums_between(p, layer)));
cleanup:
  return error;
}

static err attention_backward(const tower_pass *p, int64_t layer) {
  err error = NULL;
  const tower_activations *a = p->a;
  const tower_place at = tower_place_of(p, layer);
  const tower_norm before = tower_norm_before(p, layer);
  tower_dense out = tower_out(p->t, layer);
  tower_dense qkv = tower_qkv(p->t, layer);
  ops_buffer dy;
  (void)take_norm_sums(p, tower_attention_site(layer), &out);
  TRY(branch_gradient(p, tower_attention_site(layer), &dy));
  TRY(tower_dense_gradient(p, &out, tower_rows(p), dy, at.attended, (ops_gemm){.c = a->dnorm}));
  ops_attention attend = tower_attention(p, &at);
  attend.dout = a->dnorm;
  attend.dqkv = a->dqkv;
  attend.dqkv_sums = take_bias_sums(p, OPS_SUMS_ATTENTION, &qkv);
  TRY(p->w->o->call->attention_gradient(p->w->o, &attend));
  TRY(tower_dense_gradient(p, &qkv, tower_rows(p), a->dqkv, at.norm1, (ops_gemm){.c = a->dnorm}));
  TRY(join_residual(p, &before, layer == 0, sums_before(p, layer)));
cleanup:
  return error;
}

err tower_backward_tokens(const tower_pass *p) {
  err error = NULL;
  const tower_activations *a = p->a;
  const tower_shape *s = &p->t->shape;
  const tower_norm last = tower_norm_before(p, s->layers);
  TRY(norm_gradient(p, &last, (ops_buffer){0}, sums_before(p, s->layers)));
  for (int64_t layer = s->layers - 1; layer >= 0; layer--) {
    TRY(layer < a->recompute ? recompute_block(p, layer) : recompute_shared(p, layer));
    TRY(mlp_backward(p, layer));
    TRY(attention_backward(p, layer));
    TRY(param_complete(p->watch, p->t->first_param + (size_t)layer * BLOCK_TENSORS, BLOCK_TENSORS));
  }
  TRY(param_complete(p->watch, tower_norm_tensor(p->t), 2));
  if (!s->is_post_norm) TRY(tower_drop(p, TOWER_EMBEDDINGS_SITE, a->dx, a->dx));
cleanup:
  return error;
}

/* a->dnorm += the gradient from another loss. */
static err add_to_last(const tower_pass *p) {
  ops_dropout sum = {.samples = p->count,
                     .elements = p->a->tokens * p->t->shape.width,
                     .x = p->a->dnorm,
                     .residual = p->dlast,
                     .y = p->a->dnorm};
  return p->dlast.data ? p->w->o->call->dropout(p->w->o, &sum) : NULL;
}

err tower_backward(const tower_pass *p, ops_buffer dfeatures) {
  err error = NULL;
  const tower_activations *a = p->a;
  const tower_dense projection = tower_projection(p->t);
  ops_pool pool = tower_pooling(p);
  /* delta is free during backward and holds dpooled: count <= rows */
  TRY(tower_dense_gradient(p, &projection, p->count,
                           ops_at(dfeatures, p->first * p->t->shape.embed), pool.pooled,
                           (ops_gemm){.c = a->delta}));
  TRY(param_complete(p->watch, tower_norm_tensor(p->t) + 2, p->t->shape.is_classifier ? 2 : 1));
  pool.dpooled = a->delta;
  pool.dx = a->dnorm;
  TRY(p->w->o->call->pool_gradient(p->w->o, &pool));
  TRY(add_to_last(p));
  TRY(tower_backward_tokens(p));
cleanup:
  return error;
}
