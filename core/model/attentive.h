/* Attentive masking (A-CLIP, Yang et al. 2023): a moving average of the image tower's weights
 * scores the patches of whole images by the attention that they receive, and the patches with the
 * largest scores are kept (mask.h).
 *
 * The score of a patch is the mean over all blocks and heads of the attention paid to it: by the
 * class token if the tower pools it, as in A-CLIP; by every token if the tower pools their mean, so
 * that the queries have the same weights as in the embedding. The average tower may see smaller
 * images than the trained one; its positions are then resized (positions.h). Nothing here has a
 * gradient: the keep-lists are inputs. Used by clip*.c; the calls are in clip.h. */
#ifndef FLIP_MODEL_ATTENTIVE_H
#define FLIP_MODEL_ATTENTIVE_H

#include "model/clip.h"
#include "model/front.h"

typedef struct {
  clip_config config; /* with the scored images' size */
  int64_t batch;      /* images scored at once */
  param_table params; /* tensors "image.*" of the model, in their order */
  image_front front;
  tower tower;
  tower_weights weights; /* the average; no gradients */
  ops_buffer images, index, scores;
  ops_buffer positions; /* of the scored size; absent if that is the model's */
} attentive_scorer;

/* Elements of the average of a model with these tensors. */
int64_t attentive_elements(const param_table *model);
/* Sets only the buffers. */
void attentive_lay_out(attentive_scorer *a, const clip_config *c, const clip_limits *l,
                       const clip_types *types, int64_t elements, ops_block *block);
/* Tokens of a scored image. */
int64_t attentive_tokens(const clip_config *c);
/* Forward FLOPs of scoring one image. */
double attentive_flops(const clip_config *c);

/* Creates the rest of a scorer after attentive_lay_out, for a model of this shape and with these
 * tensors. On failure attentive_close still works. */
err attentive_open(attentive_scorer *a, ops *o, const clip_config *whole,
                   const param_table *model) ERR_MUST_CHECK;
void attentive_close(attentive_scorer *a);

#endif
