/* One tower: transformer blocks, final norm, pooling and projection, forward and backward.
 *
 * Pre-LayerNorm blocks: x += attention(norm1(x)); x += mlp(norm2(x)), and a last norm. Post-norm
 * (BERT): the last norm comes before the first block instead, and a block is x = norm1(x +
 * attention(x)); x = norm2(x + mlp(x)). Both are one chain of 2 layers + 1 norms over running sums;
 * they differ in which weights a norm has, and in whether the residual branches off before or after
 * it. The image and the text tower differ in how their tokens are made (front.h).
 *
 * Everything runs over chunks of whole samples, small enough for a chunk's activations to stay in
 * the cache (ops.chunk_bytes). A forward for training keeps what backward needs, for all samples;
 * one for evaluation, or for the gradient cache's first pass, reuses one chunk's memory. */
#ifndef FLIP_MODEL_TOWER_H
#define FLIP_MODEL_TOWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "model/params.h"
#include "ops/cut.h"
#include "ops/ops.h"

/* What the backward pass recomputes in every block: nothing; the outputs of the layer norms (2 of
 * 16 widths per token); these and the activation's output (6 of 16). Where the gradients give these
 * outputs again (ops.chunk_bytes), they are never kept. */
typedef enum { TOWER_KEEP_ALL, TOWER_RECOMPUTE_NORMS, TOWER_RECOMPUTE_ACTIVATIONS } tower_recompute;

typedef struct {
  int64_t width, layers, heads, hidden, embed;
  double norm_eps;
  ops_activation activation;
  bool is_causal;
  ops_pooling pooling;
  bool is_post_norm;
  bool is_classifier; /* `embed` classes by a head with bias (head.weight, head.bias), not a
                       * projection */
  int64_t recompute;  /* the first `recompute` blocks keep only their input for backward */
  tower_recompute recompute_level; /* of the other blocks */
} tower_shape;

/* Offsets of one block's tensors in the flat array. */
typedef struct {
  int64_t norm1_gamma, norm1_beta, qkv, qkv_bias, out, out_bias;
  int64_t norm2_gamma, norm2_beta, fc1, fc1_bias, fc2, fc2_bias;
} tower_block;

typedef struct {
  tower_shape shape;
  tower_block *blocks;
  int64_t norm_gamma, norm_beta, projection, projection_bias; /* bias -1: none */
  size_t first_param; /* index in the table of the tower's first tensor, */
} tower;

/* The three flat arrays of a model, and the backend whose memory they are in. */
typedef struct {
  ops *o;
  ops_buffer master, gradients, working; /* working: compute type; the master itself if equal */
  /* The dense layers' weights in 8 bits, at the same offsets; turned: [in, out], for backward; and
   * OPS_SCALE_FLOATS per tensor of the table. Absent if dense layers are not computed in 8 bits. */
  ops_buffer narrow, narrow_turned, narrow_scales;
} tower_weights;

/* Dropout of the embeddings and of what attention and MLP add, and where its noise comes from
 * (ops_dropout). Sites first_site … first_site + 2 layers are used. path_rate: of whole samples in
 * what the last block's attention and MLP add (drop path, Huang et al. 2016), falling linearly to 0
 * in the first block; from sites TOWER_PATH_SITE further on. */
#define TOWER_PATH_SITE ((uint64_t)1 << 20)
typedef struct {
  double rate, path_rate;
  uint64_t seed, first_site;
  ops_buffer numbers; /* [batch, 2] i32 */
} tower_noise;

/* Sizes for laying out activations: up to `batch` samples of `tokens` tokens, `chunk` at once. */
typedef struct {
  int64_t batch, tokens, chunk;
  bool is_kept;       /* for backward: one set a layer; else one chunk's, shared by all layers */
  bool gives_outputs; /* ops.chunk_bytes: the gradients of norms and activations do */
  ops_type compute, master;
  bool is_narrow;        /* dense layers are computed in 8 bits; chunk is then batch */
  int64_t lone_elements; /* then: the most of an operand of a dense layer outside the blocks, other
                          * than the projection */
} tower_extent;

typedef struct {
  int64_t batch, tokens, chunk; /* of the extent */
  bool is_kept;
  int64_t layer_rows; /* rows between one layer's buffers and the next's; 0 when not kept */
  int64_t recompute;  /* layers below this one share a chunk's buffers, after those of the others */
  int64_t shared_row; /* where that is */
  bool are_norms_shared; /* norm1 and norm2 are one chunk's, of the most recently computed layer */
  bool is_hidden_shared; /* and so is hidden */
  bool gives_outputs;    /* both are, and written again by the backward pass with the gradients */
  ops_buffer x, norm1, qkv, attended, middle, norm2, pre, hidden, last;
  ops_buffer mean1, rstd1, mean2, rstd2, mean_last, rstd_last, lse;
  ops_buffer pooled;     /* [batch, width] */
  ops_buffer features;   /* [batch, embed], before normalisation */
  ops_buffer delta;      /* [chunk rows, width] scratch */
  ops_buffer key_counts; /* [batch] i32: tokens that are attended to; absent: all. The caller's */
  tower_noise noise;     /* the caller's; none when laid out */
  /* backward scratch of one chunk */
  ops_buffer dx, dnorm, dhidden, dqkv;
  /* Of dense layers in 8 bits (OPS_U8), absent otherwise: what backward reads of the inputs of the
   * blocks' dense layers, turned, in place of norm1, norm2 and hidden, which are then one chunk's;
   * and scratch: the operands of the current product. */
  bool is_narrow;
  bool is_norm8_shared, is_hidden8_shared; /* as are_norms_shared, is_hidden_shared */
  ops_buffer norm1_turned, attended_turned, norm2_turned, hidden_turned;
  ops_buffer x8, x8_turned, dy8, dy8_turned;
  ops_buffer scales; /* [tower_scales(shape), OPS_SCALE_FLOATS]; the caller's, and so is */
  bool is_delayed;   /* delayed scaling: the factors are already in `scales` */
} tower_activations;

/* Operands that are rounded to 8 bits in a pass: the inputs of the dense layers, then the gradients
 * of their outputs. */
int64_t tower_scales(const tower_shape *shape);

/* Declares the tower's tensors under `prefix` ("image", "text"); then, once the table is laid
 * out, looks up their offsets. */
err tower_declare(tower *t, const tower_shape *shape, const char *prefix,
                  param_table *table) ERR_MUST_CHECK;
void tower_resolve(tower *t, const param_table *table);
void tower_free(tower *t);
/* Tensors of the table that the tower has, from t->first_param on. */
size_t tower_tensors(const tower *t);

/* Samples in a chunk for this backend. */
int64_t tower_chunk(const tower_shape *shape, int64_t tokens, int64_t batch, ops_type compute,
                    int64_t chunk_bytes);

void tower_lay_out(tower_activations *a, const tower_shape *shape, const tower_extent *extent,
                   ops_block *block);

/* A tower at work on samples [first, first + count) of some activations, one chunk at most. */
typedef struct {
  const tower *t;
  const tower_weights *w;
  const tower_activations *a;
  ops_buffer pool_index; /* [batch] i32: the token that is pooled; absent: the first */
  ops_buffer dlast; /* [chunk rows, width], or absent: what another loss adds to the gradient of
                     * the tokens behind the last norm */
  const param_watch *watch; /* of the backward of the last samples; NULL: none */
  bool writes; /* the first chunk's gradients of the dense layers' weights overwrite, those of the
                * other chunks are added; otherwise all are added */
  int64_t first, count;
} tower_pass;

/* Call before the first op of a forward and of a backward pass: clears the maxima of the operands
 * that it rounds to 8 bits. */
err tower_begin_forward(const tower_pass *p) ERR_MUST_CHECK;
err tower_begin_backward(const tower_pass *p) ERR_MUST_CHECK;

/* Advances to the next chunk of `samples` samples; false when there is none. A pass starts before
 * the first chunk, with first and count 0. */
bool tower_next(tower_pass *p, int64_t samples);

/* The chunk's part of the tower's input tokens, filled by the front before tower_forward. */
ops_buffer tower_input(const tower_pass *p);

/* From tower_input to pooled and features. */
err tower_forward(const tower_pass *p) ERR_MUST_CHECK;

/* Adds to scores [count, tokens - first] master, of the chunk's samples, the attention that the
 * first `queries` tokens pay to those from `first` on: the mean over blocks, heads and queries
 * (ops_attended). Of the last block only queries, keys and values are computed. */
err tower_attend(const tower_pass *p, int64_t queries, int64_t first,
                 ops_buffer scores) ERR_MUST_CHECK;

/* The same in two parts, for a tower whose tokens are used individually. Forward to a->last, the
 * tokens after the last norm; backward from their gradient in a->dnorm to a->dx. */
err tower_forward_tokens(const tower_pass *p) ERR_MUST_CHECK;
err tower_backward_tokens(const tower_pass *p) ERR_MUST_CHECK;
/* Recomputes a->last of the chunk from what is kept for backward. */
err tower_last_tokens(const tower_pass *p) ERR_MUST_CHECK;

/* From dfeatures [batch, embed] back to the gradient of the input tokens, left in a->dx. */
err tower_backward(const tower_pass *p, ops_buffer dfeatures) ERR_MUST_CHECK;

#endif
