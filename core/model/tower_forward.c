#include "model/tower_parts.h"

/* n->x = stream + the branch's output (a->delta), and its norm. */
static err add_and_normalize(const tower_pass *p, const tower_norm *n, ops_buffer stream) {
  ops_layer_norm op = tower_norm_op(p, n);
  op.sum = n->x;
  op.x = stream;
  op.residual = p->a->delta;
  return p->w->o->call->layer_norm(p->w->o, &op);
}

static err project_qkv(const tower_pass *p, int64_t layer) {
  const tower_place at = tower_place_of(p, layer);
  const tower_dense to_qkv = tower_qkv(p->t, layer);
  const tower_norm before = tower_norm_before(p, layer);
  ops_gemm qkv = tower_dense_op(p, &to_qkv, tower_rows(p), at.norm1, at.qkv);
  err error = tower_round_norm(p, &to_qkv, &before, at.norm1_turned, false);
  return error ? error : tower_multiply(p, &to_qkv, &qkv);
}

/* From norm2 to the hidden layer. In 8 bits the activation is computed while its result is rounded,
 * and not stored in 16 bits. */
static err mlp_inner(const tower_pass *p, int64_t layer, bool is_activated) {
  const tower_place at = tower_place_of(p, layer);
  const tower_dense to_hidden = tower_fc1(p->t, layer), from_hidden = tower_fc2(p->t, layer);
  const int64_t rows = tower_rows(p);
  const bool is_narrow = tower_narrows(p, &from_hidden, rows);
  const tower_norm between = tower_norm_between(p, layer);
  const tower_rounding hidden = {.x = at.pre, .turned = at.hidden_turned, .is_activated = true};
  const bool has_epilogue = is_activated && !is_narrow;
  ops_gemm fc1 = tower_dense_op(p, &to_hidden, rows, at.norm2, has_epilogue ? at.hidden : at.pre);
  if (has_epilogue) {
    fc1.epilogue = OPS_EPILOGUE_ACTIVATION;
    fc1.activation = p->t->shape.activation;
    fc1.pre = at.pre;
  }
  err error = tower_round_norm(p, &to_hidden, &between, at.norm2_turned, false);
  if (!error) error = tower_multiply(p, &to_hidden, &fc1);
  return error || !is_activated ? error : tower_round(p, &from_hidden, rows, hidden);
}

err tower_block_inner(const tower_pass *p, int64_t layer, bool is_activated) {
  err error = NULL;
  const tower_shape *s = &p->t->shape;
  ops *o = p->w->o;
  const tower_place at = tower_place_of(p, layer);
  const tower_dense to_out = tower_out(p->t, layer);
  ops_attention attend = tower_attention(p, &at);
  attend.out_maximum = tower_input_maximum(p, &to_out, tower_rows(p));
  const tower_rounding attended = {.x = at.attended,
                                   .turned = at.attended_turned,
                                   .has_maximum = attend.out_maximum.data != NULL};
  ops_gemm out = tower_dense_op(p, &to_out, tower_rows(p), at.attended, p->a->delta);
  tower_norm between = tower_norm_between(p, layer);

  TRY(project_qkv(p, layer));
  TRY(o->call->attention(o, &attend));
  TRY(tower_round(p, &to_out, tower_rows(p), attended));
  TRY(tower_multiply(p, &to_out, &out));
  TRY(tower_drop(p, tower_attention_site(layer), p->a->delta, p->a->delta));
  TRY(add_and_normalize(p, &between, s->is_post_norm ? at.norm1 : tower_stream(p, layer)));
  TRY(mlp_inner(p, layer, is_activated));
cleanup:
  return error;
}

/* The same with the residual after the MLP, stored in a->delta. */
static err block_forward(const tower_pass *p, int64_t layer) {
  const tower_place at = tower_place_of(p, layer);
  const tower_dense layer2 = tower_fc2(p->t, layer);
  ops_gemm fc2 = tower_dense_op(p, &layer2, tower_rows(p), at.hidden, p->a->delta);
  err error = tower_block_inner(p, layer, true);
  if (!error) error = tower_multiply(p, &layer2, &fc2);
  return error ? error : tower_drop(p, tower_mlp_site(layer), p->a->delta, p->a->delta);
}

/* The norm after block `layer`; the block's output is added first. */
static err norm_after(const tower_pass *p, int64_t layer) {
  const tower_place at = tower_place_of(p, layer);
  tower_norm n = tower_norm_before(p, layer + 1);
  return add_and_normalize(p, &n, p->t->shape.is_post_norm ? at.norm2 : at.middle);
}

/* The first norm, with the embeddings' dropout: after the norm in BERT; before it in ViT,
 * whose dropped embeddings are kept as the first block's input. */
static err norm_first(const tower_pass *p) {
  bool is_post = p->t->shape.is_post_norm;
  tower_norm n = tower_norm_before(p, 0);
  err error = is_post ? NULL : tower_drop(p, TOWER_EMBEDDINGS_SITE, n.x, n.x);
  if (!error) error = tower_normalize(p, &n);
  return error || !is_post ? error : tower_drop(p, TOWER_EMBEDDINGS_SITE, n.y, n.y);
}

err tower_forward_tokens(const tower_pass *p) {
  err error = norm_first(p);
  for (int64_t layer = 0; layer < p->t->shape.layers && !error; layer++) {
    error = block_forward(p, layer);
    if (!error) error = norm_after(p, layer);
  }
  return error;
}

err tower_last_tokens(const tower_pass *p) {
  tower_norm last = tower_norm_before(p, p->t->shape.layers);
  return tower_normalize(p, &last);
}

err tower_forward(const tower_pass *p) {
  err error = NULL;
  const tower_shape *s = &p->t->shape;
  ops *o = p->w->o;
  TRY(tower_begin_forward(p));
  TRY(tower_forward_tokens(p));
  ops_pool pool = tower_pooling(p);
  TRY(o->call->pool(o, &pool));
  const tower_dense projection = tower_projection(p->t);
  ops_gemm project = tower_dense_op(p, &projection, p->count, pool.pooled,
                                    ops_at(p->a->features, p->first * s->embed));
  TRY(tower_round_and_multiply(p, &projection, &project));
cleanup:
  return error;
}

err tower_attend(const tower_pass *p, int64_t queries, int64_t first, ops_buffer scores) {
  const tower_shape *s = &p->t->shape;
  ops *o = p->w->o;
  err error = norm_first(p);
  for (int64_t layer = 0; layer < s->layers && !error; layer++) {
    bool is_last = layer + 1 == s->layers;
    const tower_place at = tower_place_of(p, layer);
    const ops_attended attended = {.batch = p->count,
                                   .tokens = p->a->tokens,
                                   .heads = s->heads,
                                   .head_width = s->width / s->heads,
                                   .queries = queries,
                                   .first = first,
                                   .weight = 1 / (double)(s->layers * s->heads * queries),
                                   .qkv = at.qkv,
                                   .scores = scores};
    error = is_last ? project_qkv(p, layer) : block_forward(p, layer);
    if (!error) error = o->call->attended(o, &attended);
    if (!error && !is_last) error = norm_after(p, layer);
  }
  return error;
}
