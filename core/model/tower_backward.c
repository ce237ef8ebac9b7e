#include "model/tower_parts.h"

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

/* The maximum of the same gradient, and whether the norm's gradient writes it. */
static ops_buffer norm_maximum(const tower_pass *p, int64_t site, const tower_dense *d) {
  return tower_drops(p, site) ? (ops_buffer){0} : tower_output_maximum(p, d, tower_rows(p));
}

/* What the gradient of a norm writes besides dx: about dx, and whether the norm's output again. */
typedef struct {
  ops_buffer sums, maximum;
  bool gives_output;
} norm_extras;

static norm_extras extras_for(const tower_pass *p, int64_t site, tower_dense d) {
  norm_extras extras = {.maximum = norm_maximum(p, site, &d)};
  extras.sums = take_norm_sums(p, site, &d);
  return extras;
}

/* For the layer before the norm of block `layer`: fc2 of the previous block. */
static norm_extras extras_before(const tower_pass *p, int64_t layer) {
  if (layer == 0) return (norm_extras){0};
  return extras_for(p, tower_mlp_site(layer - 1), tower_fc2(p->t, layer - 1));
}

/* For the norm between block `layer`'s attention and MLP. */
static norm_extras extras_between(const tower_pass *p, int64_t layer) {
  return extras_for(p, tower_attention_site(layer), tower_out(p->t, layer));
}

/* From a->dnorm to a->dx, which also provides dresidual, if there is one. */
static err norm_gradient(const tower_pass *p, const tower_norm *n, ops_buffer dresidual,
                         norm_extras extras) {
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
                                .dx_sums = extras.sums,
                                .dx_maximum = extras.maximum};
  if (extras.gives_output) {
    op.y = n->y;
    op.beta = ops_at(w->master, n->beta);
  }
  return w->o->call->layer_norm_gradient(w->o, &op);
}

/* Recomputes the norm n before block `layer`. */
static err recompute_norm1(const tower_pass *p, int64_t layer, const tower_norm *n) {
  err error = tower_normalize(p, n);
  bool is_dropped = layer == 0 && p->t->shape.is_post_norm;
  return error || !is_dropped ? error : tower_drop(p, TOWER_EMBEDDINGS_SITE, n->y, n->y);
}

/* Recomputes both norms' outputs, and rounds them if their 8-bit form is shared too. */
static err recompute_norms(const tower_pass *p, int64_t layer) {
  const int64_t rows = tower_rows(p);
  const tower_place at = tower_place_of(p, layer);
  tower_norm before = tower_norm_before(p, layer), between = tower_norm_between(p, layer);
  const tower_dense qkv = tower_qkv(p->t, layer), fc1 = tower_fc1(p->t, layer);
  bool is_read = !tower_narrows(p, &qkv, rows) || !tower_narrows(p, &fc1, rows);
  err error = NULL;
  if (!is_read && !p->a->is_norm8_shared) return NULL;    /* the 8-bit form is kept */
  before.y8.values = between.y8.values = (ops_buffer){0}; /* only `turned` is read */
  TRY(recompute_norm1(p, layer, &before));
  TRY(tower_normalize(p, &between));
  TRY(tower_round_norm(p, &qkv, &before, at.norm1_turned, true));
  TRY(tower_round_norm(p, &fc1, &between, at.norm2_turned, true));
cleanup:
  return error;
}

/* The same of the activation's output. */
static err recompute_hidden(const tower_pass *p, int64_t layer) {
  const int64_t rows = tower_rows(p);
  const tower_shape *s = &p->t->shape;
  const tower_place at = tower_place_of(p, layer);
  const tower_dense fc2 = tower_fc2(p->t, layer);
  const ops_activate again = {s->activation, rows * s->hidden, at.pre, at.hidden};
  const tower_rounding rounding = {
      .x = at.pre, .turned = at.hidden_turned, .is_activated = true, .for_backward = true};
  if (!tower_narrows(p, &fc2, rows)) return p->w->o->call->activate(p->w->o, &again);
  return p->a->is_hidden8_shared ? tower_round(p, &fc2, rows, rounding) : NULL;
}

/* Recomputes the buffers that the blocks share, from the sums and the activation's input, which are
 * kept. */
static err recompute_shared(const tower_pass *p, int64_t layer) {
  if (p->a->gives_outputs) return NULL; /* the gradients do that */
  err error = p->a->are_norms_shared ? recompute_norms(p, layer) : NULL;
  return error || !p->a->is_hidden_shared ? error : recompute_hidden(p, layer);
}

/* Recomputes what block `layer` did not keep, from its input, but for what its gradients give. */
static err recompute_block(const tower_pass *p, int64_t layer) {
  const tower_norm before = tower_norm_before(p, layer);
  err error = recompute_norm1(p, layer, &before);
  return error ? error : tower_block_inner(p, layer, !p->a->gives_outputs);
}

/* Through a norm and the residual around it. a->dnorm: the gradient of its output, from the branch;
 * a->dx: of the sum after the branch on entry, of the norm's input on return. A residual taken
 * after the norm (post-norm) joins the branch first. is_embedded: the embeddings' dropout follows
 * this norm. */
static err join_residual(const tower_pass *p, const tower_norm *n, bool is_embedded,
                         norm_extras extras) {
  const tower_activations *a = p->a;
  if (!p->t->shape.is_post_norm) return norm_gradient(p, n, a->dx, extras);
  ops_dropout sum = {.samples = p->count,
                     .elements = a->tokens * p->t->shape.width,
                     .x = a->dnorm,
                     .residual = a->dx,
                     .y = a->dnorm};
  err error = p->w->o->call->dropout(p->w->o, &sum);
  if (!error && is_embedded) error = tower_drop(p, TOWER_EMBEDDINGS_SITE, a->dnorm, a->dnorm);
  return error ? error : norm_gradient(p, n, (ops_buffer){0}, extras);
}

/* Through the dense layer `d`, whose dy is there, and block `layer`'s norm n, whose output d reads,
 * and the residual around it. */
static err through_norm(const tower_pass *p, int64_t layer, const tower_dense_pass *d,
                        const tower_norm *n, bool is_embedded, norm_extras extras) {
  err error = NULL;
  const tower_activations *a = p->a;
  extras.gives_output = a->gives_outputs && layer >= a->recompute;
  if (!extras.gives_output) {
    TRY(tower_dense_gradient(p, d, (ops_gemm){.c = a->dnorm}));
    TRY(join_residual(p, n, is_embedded, extras));
    goto cleanup;
  }
  TRY(tower_input_gradient(p, d, (ops_gemm){.c = a->dnorm}));
  TRY(join_residual(p, n, is_embedded, extras));
  if (is_embedded && p->t->shape.is_post_norm)
    TRY(tower_drop(p, TOWER_EMBEDDINGS_SITE, n->y, n->y));
  TRY(tower_weight_gradient(p, d));
cleanup:
  return error;
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
  const int64_t rows = tower_rows(p);
  tower_dense_pass fc1 = {.d = tower_fc1(p->t, layer),
                          .rows = rows,
                          .dy = a->dhidden,
                          .x = at.norm2,
                          .turned = at.norm2_turned};
  tower_dense_pass fc2 = {
      .d = tower_fc2(p->t, layer), rows, .x = at.hidden, .turned = at.hidden_turned};
  ops_gemm dpre = {.c = a->dhidden,
                   .epilogue = OPS_EPILOGUE_ACTIVATION_GRADIENT,
                   .activation = p->t->shape.activation,
                   .pre = at.pre};
  fc2.has_maximum = norm_maximum(p, tower_mlp_site(layer), &fc2.d).data != NULL;
  (void)take_norm_sums(p, tower_mlp_site(layer), &fc2.d); /* with a->dx, in the norm's gradient */
  dpre.c_sums = take_bias_sums(p, OPS_SUMS_ACTIVATION, &fc1.d);
  if (tower_rounds_through(p, &fc1.d, rows)) {
    fc1.pre = at.pre;
    fc1.sums = dpre.c_sums;
    dpre = (ops_gemm){.c = a->dhidden};
  } else {
    dpre.c_maximum = tower_output_maximum(p, &fc1.d, rows);
    fc1.has_maximum = dpre.c_maximum.data != NULL;
  }
  TRY(branch_gradient(p, tower_mlp_site(layer), &fc2.dy));
  if (a->gives_outputs) {
    dpre.activated = at.hidden;
    TRY(tower_input_gradient(p, &fc2, dpre));
    TRY(tower_weight_gradient(p, &fc2));
  } else {
    TRY(tower_dense_gradient(p, &fc2, dpre));
  }
  TRY(through_norm(p, layer, &fc1, &between, false, extras_between(p, layer)));
cleanup:
  return error;
}

static err attention_backward(const tower_pass *p, int64_t layer) {
  err error = NULL;
  const tower_activations *a = p->a;
  const tower_place at = tower_place_of(p, layer);
  const tower_norm before = tower_norm_before(p, layer);
  const int64_t rows = tower_rows(p);
  tower_dense_pass out = {
      .d = tower_out(p->t, layer), rows, .x = at.attended, .turned = at.attended_turned};
  tower_dense_pass qkv = {.d = tower_qkv(p->t, layer),
                          .rows = rows,
                          .dy = a->dqkv,
                          .x = at.norm1,
                          .turned = at.norm1_turned};
  out.has_maximum = norm_maximum(p, tower_attention_site(layer), &out.d).data != NULL;
  (void)take_norm_sums(p, tower_attention_site(layer), &out.d);
  TRY(branch_gradient(p, tower_attention_site(layer), &out.dy));
  TRY(tower_dense_gradient(p, &out, (ops_gemm){.c = a->dnorm}));
  ops_attention attend = tower_attention(p, &at);
  attend.dout = a->dnorm;
  attend.dqkv = a->dqkv;
  attend.dqkv_sums = take_bias_sums(p, OPS_SUMS_ATTENTION, &qkv.d);
  attend.dqkv_narrow = tower_attention_gradient_output(p, &qkv.d, rows);
  qkv.is_rounded = attend.dqkv_narrow.scale.data != NULL;
  if (!qkv.is_rounded) attend.dqkv_maximum = tower_output_maximum(p, &qkv.d, rows);
  qkv.has_maximum = attend.dqkv_maximum.data != NULL;
  TRY(p->w->o->call->attention_gradient(p->w->o, &attend));
  TRY(through_norm(p, layer, &qkv, &before, layer == 0, extras_before(p, layer)));
cleanup:
  return error;
}

err tower_backward_tokens(const tower_pass *p) {
  err error = NULL;
  const tower_activations *a = p->a;
  const tower_shape *s = &p->t->shape;
  const tower_norm last = tower_norm_before(p, s->layers);
  TRY(norm_gradient(p, &last, (ops_buffer){0}, extras_before(p, s->layers)));
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
  ops_pool pool = tower_pooling(p);
  const tower_dense_pass projection = {.d = tower_projection(p->t),
                                       .rows = p->count,
                                       .dy = ops_at(dfeatures, p->first * p->t->shape.embed),
                                       .x = pool.pooled};
  TRY(tower_begin_backward(p));
  /* delta is free during backward and holds dpooled: count <= rows */
  TRY(tower_dense_gradient(p, &projection, (ops_gemm){.c = a->delta}));
  TRY(param_complete(p->watch, tower_norm_tensor(p->t) + 2, p->t->shape.is_classifier ? 2 : 1));
  pool.dpooled = a->delta;
  pool.dx = a->dnorm;
  TRY(p->w->o->call->pool_gradient(p->w->o, &pool));
  TRY(add_to_last(p));
  TRY(tower_backward_tokens(p));
cleanup:
  return error;
}
