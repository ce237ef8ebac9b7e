/* The building blocks of a tower's passes: a block's buffers, norms, dense layers, attention and
 * dropout. Only for tower_forward.c, tower_backward.c, tower_narrow.c and
 * reconstruction_pass.c. */
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
  ops_buffer norm1_turned, attended_turned, norm2_turned, hidden_turned;
} tower_place;
tower_place tower_place_of(const tower_pass *p, int64_t layer);

/* A norm of the chain: its weights' offsets, and its input and output. */
typedef struct {
  int64_t gamma, beta;
  ops_buffer x, y, mean, rstd;
  ops_buffer y_maximum; /* where the norm writes it, for the dense layer that reads y */
  ops_narrow y8;        /* where it writes y in 8 bits instead; its scale absent: nowhere */
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
  size_t tensor; /* the weight's index in the table */
  int64_t slot;  /* of its operands in a->scales: a block's layers, then TOWER_LONE others */
} tower_dense;
enum { TOWER_BLOCK_DENSE = 4, TOWER_LONE_DENSE = 2 };
ops_gemm tower_dense_op(const tower_pass *p, const tower_dense *d, int64_t rows, ops_buffer x,
                        ops_buffer y);
tower_dense tower_qkv(const tower *t, int64_t layer);
tower_dense tower_out(const tower *t, int64_t layer);
tower_dense tower_fc1(const tower *t, int64_t layer);
tower_dense tower_fc2(const tower *t, int64_t layer);
tower_dense tower_projection(const tower *t);
/* Slot of the dense layer outside the blocks that is not the projection. */
int64_t tower_other_slot(const tower *t);

/* tower_narrow.c: dense layers in 8 bits. Every operand is rounded once, for all of its products;
 * without 8 bits, or with sizes that they do not have, the functions do nothing more than the
 * 16-bit product. */
bool tower_narrows(const tower_pass *p, const tower_dense *d, int64_t rows);
/* Where an op writes the maximum of d's input, or of the gradient of its output; absent: it does
 * not. */
ops_buffer tower_input_maximum(const tower_pass *p, const tower_dense *d, int64_t rows);
ops_buffer tower_output_maximum(const tower_pass *p, const tower_dense *d, int64_t rows);
/* Whether the gradient of d's output passes through the activation while it is rounded. */
bool tower_rounds_through(const tower_pass *p, const tower_dense *d, int64_t rows);
/* Where attention's gradient writes the gradient of qkv's output in 8 bits. Its scale is absent if
 * it does not. */
ops_narrow tower_attention_gradient_output(const tower_pass *p, const tower_dense *qkv,
                                           int64_t rows);
/* Where the norm before d writes d's input in 8 bits: to a->x8, and to `turned`, if present. Its
 * scale is absent if the norm does not. */
ops_narrow tower_norm_output(const tower_pass *p, const tower_dense *d, int64_t rows,
                             ops_buffer turned);
/* Rounds d's input, x, or with is_activated its activation: to a->x8 for the product, unless
 * for_backward, and to `turned`, if present, for the weight's gradient. */
typedef struct {
  ops_buffer x, turned;
  bool is_activated, has_maximum, for_backward;
} tower_rounding;
err tower_round(const tower_pass *p, const tower_dense *d, int64_t rows,
                tower_rounding of) ERR_MUST_CHECK;
/* The same of a norm's output, unless the norm has rounded it. */
err tower_round_norm(const tower_pass *p, const tower_dense *d, const tower_norm *norm,
                     ops_buffer turned, bool for_backward) ERR_MUST_CHECK;
/* The product of the input that was rounded last. */
err tower_multiply(const tower_pass *p, const tower_dense *d, ops_gemm *op) ERR_MUST_CHECK;
/* Both, for a layer outside the blocks. */
err tower_round_and_multiply(const tower_pass *p, const tower_dense *d,
                             ops_gemm *op) ERR_MUST_CHECK;

/* dx = dy weight, dweight (+)= dyᵀ x, dbias += sums of dy: the gradient of one dense layer. */
typedef struct {
  tower_dense d;
  int64_t rows;
  ops_buffer dy, x;
  bool has_maximum;     /* of dy */
  bool is_rounded;      /* dy is there in 8 bits, and only so */
  ops_buffer turned;    /* x in 8 bits; absent: it is rounded again */
  ops_buffer pre, sums; /* of a dy that is still to pass through the activation (ops_rounding) */
} tower_dense_pass;
/* `into` names dx and may carry an epilogue for it. dweight is computed first, so that dx may take
 * the place of x. */
err tower_dense_gradient(const tower_pass *p, const tower_dense_pass *of,
                         ops_gemm into) ERR_MUST_CHECK;
/* One after the other, in 16 or 32 bits: for an x that is there only after dx. */
err tower_input_gradient(const tower_pass *p, const tower_dense_pass *of,
                         ops_gemm into) ERR_MUST_CHECK;
err tower_weight_gradient(const tower_pass *p, const tower_dense_pass *of) ERR_MUST_CHECK;

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

/* tower_forward.c: one block, from norm1 (already there) to the hidden layer of the MLP, in 8 bits
 * also rounded; only to the input of its activation if not is_activated. */
err tower_block_inner(const tower_pass *p, int64_t layer, bool is_activated) ERR_MUST_CHECK;

#endif
