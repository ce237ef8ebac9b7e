#include "model/tower_parts.h"

/* The rows of the pass's samples in layer `layer` of a buffer with `width` columns. */
static ops_buffer rows_of(const tower_pass *p, ops_buffer buffer, int64_t layer, int64_t width) {
  const tower_activations *a = p->a;
  int64_t row = 0;
  if (a->is_kept && layer < a->recompute)
    row = a->shared_row;
  else if (a->is_kept)
    row = (layer - a->recompute) * a->layer_rows + p->first * a->tokens;
  return ops_at(buffer, row * width);
}

ops_buffer tower_stream(const tower_pass *p, int64_t layer) {
  const tower_activations *a = p->a;
  int64_t row = a->is_kept ? layer * a->layer_rows + p->first * a->tokens : 0;
  return ops_at(a->x, row * p->t->shape.width);
}

ops_buffer tower_input(const tower_pass *p) {
  return tower_stream(p, 0);
}

bool tower_next(tower_pass *p, int64_t samples) {
  p->first += p->count;
  p->count = samples - p->first < p->a->chunk ? samples - p->first : p->a->chunk;
  return p->count > 0;
}

tower_place tower_place_of(const tower_pass *p, int64_t layer) {
  const tower_activations *a = p->a;
  const tower_shape *s = &p->t->shape;
  return (tower_place){
      .norm1 = a->are_norms_shared ? a->norm1 : rows_of(p, a->norm1, layer, s->width),
      .mean1 = rows_of(p, a->mean1, layer, 1),
      .rstd1 = rows_of(p, a->rstd1, layer, 1),
      .qkv = rows_of(p, a->qkv, layer, 3 * s->width),
      .attended = rows_of(p, a->attended, layer, s->width),
      .lse = rows_of(p, a->lse, layer, s->heads),
      .middle = rows_of(p, a->middle, layer, s->width),
      .norm2 = a->are_norms_shared ? a->norm2 : rows_of(p, a->norm2, layer, s->width),
      .mean2 = rows_of(p, a->mean2, layer, 1),
      .rstd2 = rows_of(p, a->rstd2, layer, 1),
      .pre = rows_of(p, a->pre, layer, s->hidden),
      .hidden = a->is_hidden_shared ? a->hidden : rows_of(p, a->hidden, layer, s->hidden),
      .norm1_turned =
          a->is_norm8_shared ? a->norm1_turned : rows_of(p, a->norm1_turned, layer, s->width),
      .attended_turned = rows_of(p, a->attended_turned, layer, s->width),
      .norm2_turned =
          a->is_norm8_shared ? a->norm2_turned : rows_of(p, a->norm2_turned, layer, s->width),
      .hidden_turned =
          a->is_hidden8_shared ? a->hidden_turned : rows_of(p, a->hidden_turned, layer, s->hidden)};
}

/* The final norm: its statistics are kept for every sample, its output is one chunk's. */
static tower_norm last_norm(const tower_pass *p) {
  const tower_activations *a = p->a;
  int64_t row = a->is_kept ? p->first * a->tokens : 0;
  return (tower_norm){.x = tower_stream(p, p->t->shape.layers),
                      .y = a->last,
                      .mean = ops_at(a->mean_last, row),
                      .rstd = ops_at(a->rstd_last, row)};
}

tower_norm tower_norm_before(const tower_pass *p, int64_t layer) {
  const tower *t = p->t;
  bool is_post = t->shape.is_post_norm;
  tower_norm n;
  if (layer == t->shape.layers) {
    n = last_norm(p);
  } else {
    tower_place at = tower_place_of(p, layer);
    const tower_dense qkv = tower_qkv(t, layer);
    n = (tower_norm){
        .x = tower_stream(p, layer), .y = at.norm1, .mean = at.mean1, .rstd = at.rstd1};
    /* BERT drops some of the embeddings after their norm */
    if (layer > 0 || !is_post || !tower_drops(p, TOWER_EMBEDDINGS_SITE))
      n.y_maximum = tower_input_maximum(p, &qkv, tower_rows(p));
    n.y8 = tower_norm_output(p, &qkv, tower_rows(p), at.norm1_turned);
  }
  if (layer == (is_post ? 0 : t->shape.layers)) {
    n.gamma = t->norm_gamma;
    n.beta = t->norm_beta;
  } else {
    const tower_block *b = &t->blocks[is_post ? layer - 1 : layer];
    n.gamma = is_post ? b->norm2_gamma : b->norm1_gamma;
    n.beta = is_post ? b->norm2_beta : b->norm1_beta;
  }
  return n;
}

tower_norm tower_norm_between(const tower_pass *p, int64_t layer) {
  bool is_post = p->t->shape.is_post_norm;
  const tower_block *b = &p->t->blocks[layer];
  const tower_place at = tower_place_of(p, layer);
  const tower_dense fc1 = tower_fc1(p->t, layer);
  return (tower_norm){.gamma = is_post ? b->norm1_gamma : b->norm2_gamma,
                      .beta = is_post ? b->norm1_beta : b->norm2_beta,
                      .x = at.middle,
                      .y = at.norm2,
                      .mean = at.mean2,
                      .rstd = at.rstd2,
                      .y_maximum = tower_input_maximum(p, &fc1, tower_rows(p)),
                      .y8 = tower_norm_output(p, &fc1, tower_rows(p), at.norm2_turned)};
}

ops_layer_norm tower_norm_op(const tower_pass *p, const tower_norm *n) {
  const bool is_narrow = n->y8.scale.data != NULL;
  return (ops_layer_norm){.rows = tower_rows(p),
                          .width = p->t->shape.width,
                          .eps = p->t->shape.norm_eps,
                          .x = n->x,
                          .gamma = ops_at(p->w->master, n->gamma),
                          .beta = ops_at(p->w->master, n->beta),
                          .y = is_narrow ? (ops_buffer){0} : n->y,
                          .mean = n->mean,
                          .rstd = n->rstd,
                          .y_maximum = is_narrow ? (ops_buffer){0} : n->y_maximum,
                          .narrow = n->y8};
}

err tower_normalize(const tower_pass *p, const tower_norm *n) {
  ops_layer_norm op = tower_norm_op(p, n);
  return p->w->o->call->layer_norm(p->w->o, &op);
}

ops_gemm tower_dense_op(const tower_pass *p, const tower_dense *d, int64_t rows, ops_buffer x,
                        ops_buffer y) {
  return (ops_gemm){.m = rows,
                    .n = d->out,
                    .k = d->in,
                    .transpose_b = true,
                    .a = x,
                    .b = ops_at(p->w->working, d->weight),
                    .c = y,
                    .bias = d->bias < 0 ? (ops_buffer){0} : ops_at(p->w->master, d->bias),
                    .bias_copy = d->bias < 0 ? (ops_buffer){0} : ops_at(p->w->working, d->bias)};
}

/* Places of the dense weights among a block's tensors (tower.c). */
enum { QKV_TENSOR = 2, OUT_TENSOR = 4, FC1_TENSOR = 8, FC2_TENSOR = 10 };

static size_t tensor_of(const tower *t, int64_t layer, size_t place) {
  return t->first_param + (size_t)layer * BLOCK_TENSORS + place;
}

tower_dense tower_qkv(const tower *t, int64_t layer) {
  const tower_block *b = &t->blocks[layer];
  return (tower_dense){t->shape.width,
                       3 * t->shape.width,
                       b->qkv,
                       b->qkv_bias,
                       tensor_of(t, layer, QKV_TENSOR),
                       TOWER_BLOCK_DENSE * layer};
}

tower_dense tower_out(const tower *t, int64_t layer) {
  const tower_block *b = &t->blocks[layer];
  return (tower_dense){t->shape.width,
                       t->shape.width,
                       b->out,
                       b->out_bias,
                       tensor_of(t, layer, OUT_TENSOR),
                       TOWER_BLOCK_DENSE * layer + 1};
}

tower_dense tower_fc1(const tower *t, int64_t layer) {
  const tower_block *b = &t->blocks[layer];
  return (tower_dense){t->shape.width,
                       t->shape.hidden,
                       b->fc1,
                       b->fc1_bias,
                       tensor_of(t, layer, FC1_TENSOR),
                       TOWER_BLOCK_DENSE * layer + 2};
}

tower_dense tower_fc2(const tower *t, int64_t layer) {
  const tower_block *b = &t->blocks[layer];
  return (tower_dense){t->shape.hidden,
                       t->shape.width,
                       b->fc2,
                       b->fc2_bias,
                       tensor_of(t, layer, FC2_TENSOR),
                       TOWER_BLOCK_DENSE * layer + 3};
}

tower_dense tower_projection(const tower *t) {
  return (tower_dense){
      t->shape.width,     t->shape.embed,           t->projection,
      t->projection_bias, tower_norm_tensor(t) + 2, TOWER_BLOCK_DENSE * t->shape.layers};
}

int64_t tower_other_slot(const tower *t) {
  return TOWER_BLOCK_DENSE * t->shape.layers + 1;
}

ops_attention tower_attention(const tower_pass *p, const tower_place *at) {
  const tower_shape *s = &p->t->shape;
  return (ops_attention){.batch = p->count,
                         .tokens = p->a->tokens,
                         .heads = s->heads,
                         .head_width = s->width / s->heads,
                         .is_causal = s->is_causal,
                         .key_counts = ops_at(p->a->key_counts, p->first),
                         .qkv = at->qkv,
                         .out = at->attended,
                         .lse = at->lse};
}

ops_pool tower_pooling(const tower_pass *p) {
  const tower_shape *s = &p->t->shape;
  return (ops_pool){.batch = p->count,
                    .tokens = p->a->tokens,
                    .width = s->width,
                    .pooling = s->pooling,
                    .x = p->a->last,
                    .index = ops_at(p->pool_index, p->first),
                    .pooled = ops_at(p->a->pooled, p->first * s->width)};
}

/* Of drop path at a site: linear over the blocks, as timm's. */
static double path_rate(const tower_pass *p, int64_t site) {
  int64_t layer = (site - 1) / 2, last = p->t->shape.layers - 1;
  if (site == TOWER_EMBEDDINGS_SITE || last < 1) return 0;
  return p->a->noise.path_rate * (double)layer / (double)last;
}

bool tower_drops(const tower_pass *p, int64_t site) {
  return p->a->noise.rate > 0 || path_rate(p, site) > 0;
}

err tower_drop(const tower_pass *p, int64_t site, ops_buffer x, ops_buffer y) {
  const tower_noise *noise = &p->a->noise;
  const double path = path_rate(p, site);
  ops_dropout d = {.samples = p->count,
                   .elements = p->a->tokens * p->t->shape.width,
                   .rate = noise->rate,
                   .seed = noise->seed,
                   .site = noise->first_site + (uint64_t)site,
                   .numbers = ops_at(noise->numbers, 2 * p->first),
                   .x = x,
                   .y = y};
  err error = noise->rate > 0 ? p->w->o->call->dropout(p->w->o, &d) : NULL;
  if (error || path == 0) return error;
  if (noise->rate > 0) d.x = y;
  d.rate = path;
  d.is_whole = true;
  d.site += TOWER_PATH_SITE;
  return p->w->o->call->dropout(p->w->o, &d);
}
