/* The towers' fronts: images to tokens and words to tokens. Used by clip.c, and for its fixed
 * positions by convert/save.c. */
#ifndef FLIP_MODEL_FRONT_H
#define FLIP_MODEL_FRONT_H

#include "model/clip.h"

/* Offsets of the fronts' tensors; -1 where the architecture has none. */
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

/* What the image front needs beside the tower's activations. */
typedef struct {
  int64_t encoded; /* patches of an image that are encoded */
  bool is_kept;
  bool wants_pixels;     /* backward leaves the patches' gradient in their place */
  ops_buffer patches;    /* [samples * encoded, 3 patch²]: all samples if kept, else a chunk */
  ops_buffer raw;        /* [samples * tokens, width] in front of the pre-norm; absent without */
  ops_buffer mean, rstd; /* of the pre-norm */
} image_front_activations;

size_t image_front_lay_out(image_front_activations *a, const clip_config *c, int64_t samples,
                           int64_t encoded, bool is_kept, int64_t chunk, ops_type compute,
                           ops_type master, void *base);

/* 2-D sine-cosine positions, [patches, width] double: the first half of the width encodes the
 * column, the second the row, each sines then cosines at frequencies 10000^(-i / (width/4)) (MAE,
 * FLIP released code). */
void image_sincos_positions(int64_t grid, int64_t width, double *positions);

/* Samples [first, first + count) from device images and index to the tower's input. fixed: the
 * sine-cosine table on the device, used when positions are not learned. */
err image_front_forward(const image_front *f, const clip_config *c, const tower *t,
                        const tower_weights *w, const tower_activations *a,
                        const image_front_activations *fa, ops_buffer images, ops_buffer index,
                        ops_buffer fixed, int64_t first, int64_t count) ERR_MUST_CHECK;
/* From a->dx; uses a->dnorm as scratch. */
err image_front_backward(const image_front *f, const clip_config *c, const tower_weights *w,
                         const tower_activations *a, const image_front_activations *fa,
                         ops_buffer index, int64_t first, int64_t count) ERR_MUST_CHECK;

err text_front_forward(const text_front *f, const clip_config *c, const tower *t,
                       const tower_weights *w, const tower_activations *a, ops_buffer ids,
                       int64_t first, int64_t count) ERR_MUST_CHECK;
err text_front_backward(const text_front *f, const clip_config *c, const tower_weights *w,
                        const tower_activations *a, ops_buffer ids, int64_t first,
                        int64_t count) ERR_MUST_CHECK;

#endif
