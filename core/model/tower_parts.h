/* The building blocks of a tower's passes: a block's buffers, norms, dense layers, attention and
 * dropout. Only for tower_forward.c, tower_backward.c and reconstruction_pass.c. */
#ifndef FLIP_MODEL_TOWER_PARTS_H
#define FLIP_MODEL_TOWER_PARTS_H

#include "model/tower.h"

/* Tensors in the table: per block; after the blocks, the last norm's two and the projection. */
enum { BLOCK_TENSORS = 12, TOWER_OTHER_TENSORS = 3 };
static inline size_t tower_norm_tensor(const tower *t) {
  return t->first_param + (size_t)t->shape.layers * BLOCK_TENSORS;
}

/* Whether gradients of dense weights are added to the existing values. */
static inline bool tower_accumulates(const tower_pass *p) {
  return !p->writes || p->first > 0;
}

static inline int64_t tower_rows(const tower_pass *p) {
  return p->count * p->a->tokens;
}

/* The input of block `layer`; layer `layers`: the output of the last one. Kept for every layer. */
ops_buffer tower_stream(const tower_pass *p, int64_t layer);

/* One block's other buffers, from the pass's first sample on. */
typedef struct {
  ops_buffer norm1, mean1, rstd1, qkv, attended, lse;
  ops_buffer middle, norm2, mean2, rstd2, pre, hidden;
} tower_place;
tower_place tower_place_of(const tower_pass *p, int64_t layer);

/* A norm of the chain: its weights' offsets, and its input and output. */
typedef struct {
  int64_t gamma, beta;
  ops_buffer x, y, mean, rstd;
} tower_norm;
/* The norm before block `layer` (layer `layers`: the last one), and the one between its attention
 * and its MLP. */
tower_norm tower_norm_before(const tower_pass *p, int64_t layer);
tower_norm tower_norm_between(const tower_pass *p, int64_t layer);
ops_layer_norm tower_norm_op(const tower_pass *p, const tower_norm *n);
err tower_normalize(const tower_pass *p, const tower_norm *n) ERR_MUST_CHECK;

/* y = x weightᵀ + bias, from `in` to `out` columns: offsets; bias -1: none. */
typedef struct {
  int64_t in, out, weight, bias;
} tower_dense;
ops_gemm tower_dense_op(const tower_pass *p, const tower_dense *d, int64_t rows, ops_buffer x,
                        ops_buffer y);
tower_dense tower_qkv(const tower *t, int64_t layer);
tower_dense tower_out(const tower *t, int64_t layer);
tower_dense tower_fc1(const tower *t, int64_t layer);
tower_dense tower_fc2(const tower *t, int64_t layer);
tower_dense tower_projection(const tower *t);

/* dx = dy weight, dweight (+)= dyᵀ x, dbias += sums of dy: the gradient of one dense layer.
 * `into` names dx and may carry an epilogue for it. */
err tower_dense_gradient(const tower_pass *p, const tower_dense *d, int64_t rows, ops_buffer dy,
                         ops_buffer x, ops_gemm into) ERR_MUST_CHECK;

ops_attention tower_attention(const tower_pass *p, const tower_place *at);
ops_pool tower_pooling(const tower_pass *p);

/* y = dropout(x), then drop path; nothing at rate 0. Site 0 is the embeddings', then two a block:
 * of what attention adds, and of what the MLP adds. */
err tower_drop(const tower_pass *p, int64_t site, ops_buffer x, ops_buffer y) ERR_MUST_CHECK;
bool tower_drops(const tower_pass *p, int64_t site); /* whether its rate is above 0 */
enum { TOWER_EMBEDDINGS_SITE = 0 };
static inline int64_t tower_attention_site(int64_t layer) {
  return 1 + 2 * layer;
}
static inline int64_t tower_mlp_site(int64_t layer) {
  return 2 + 2 * layer;
}

/* tower_forward.c: one block, from norm1 (already there) to the hidden layer of the MLP. */
err tower_block_inner(const tower_pass *p, int64_t layer) ERR_MUST_CHECK;

#endif
