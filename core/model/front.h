/* Inputs of the towers: images to tokens and words to tokens. Used by clip_*.c, and for its fixed
 * positions by convert/save.c. */
#ifndef FLIP_MODEL_FRONT_H
#define FLIP_MODEL_FRONT_H

#include "model/clip.h"

/* Offsets of the tensors; -1 where the architecture has none. */
typedef struct {
  int64_t patch, patch_bias, class_token, positions, pre_gamma, pre_beta;
} image_front;

typedef struct {
  int64_t words, positions;
} text_front;

void image_front_declare(const clip_config *c, param_table *table);
void image_front_resolve(image_front *f, const param_table *table);
void text_front_declare(const clip_config *c, param_table *table);
void text_front_resolve(text_front *f, const param_table *table);

/* What the image input needs in addition to the tower's activations. */
typedef struct {
  int64_t encoded; /* patches of an image that are encoded */
  bool is_kept;
  bool wants_pixels;     /* backward stores the patches' gradient in its place */
  ops_buffer patches;    /* [samples * encoded, 3 patch²]: all samples if kept, else a chunk */
  ops_buffer raw;        /* [samples * tokens, width] before the pre-norm; absent without */
  ops_buffer mean, rstd; /* of the pre-norm */
} image_front_activations;

void image_front_lay_out(image_front_activations *a, const clip_config *c,
                         const tower_extent *extent, ops_block *block);

/* 2-D sine-cosine positions, [patches, width] double: the first half of the width encodes the
 * column, the second the row, each sines then cosines at frequencies 10000^(-i / (width/4)) (MAE,
 * FLIP released code). */
void image_sincos_positions(int64_t grid, int64_t width, double *positions);

/* What the image input works with; each buffer begins with the first sample. */
typedef struct {
  const image_front *front;
  const clip_config *config;
  const image_front_activations *a;
  ops_buffer images, index; /* on the device */
  ops_buffer fixed;         /* the sine-cosine table, used when positions are not learned */
} image_source;

/* From the samples of the pass to the tower's input. */
err image_front_forward(const image_source *in, const tower_pass *p) ERR_MUST_CHECK;
/* From a->dx of the tower's activations; uses a->dnorm as scratch. */
err image_front_backward(const image_source *in, const tower_pass *p) ERR_MUST_CHECK;

/* The same for texts. [batch, tokens] on the device; places, the tokens' positions, may be absent:
 * their ranks. */
typedef struct {
  ops_buffer ids, places;
} text_words;
err text_front_forward(const text_front *f, const clip_config *c, text_words words,
                       const tower_pass *p) ERR_MUST_CHECK;
err text_front_backward(const text_front *f, const clip_config *c, text_words words,
                        const tower_pass *p) ERR_MUST_CHECK;

#endif
