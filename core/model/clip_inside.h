/* What a model is made of. For clip.c and pixels.c alone. */
#ifndef FLIP_MODEL_CLIP_INSIDE_H
#define FLIP_MODEL_CLIP_INSIDE_H

#include "model/clip.h"
#include "model/front.h"
#include "model/inputs.h"
#include "model/loss.h"

/* Activations of both towers for one use: training (kept), or passing through. */
typedef struct {
  tower_activations image, text;
  image_front_activations front;
} clip_activations;

/* Two sets of inputs for training, so that one is filled while the other is computed on, and one
 * for evaluation, which may come between. */
enum { TRAIN_SETS = 2, EVAL_SET = 2, SETS = 3 };
/* Sites of dropout's noise: more blocks than this lies between no tower has. */
enum { IMAGE_SITE = 0, TEXT_SITE = 1 << 16 };

struct clip_model {
  ops *o;
  clip_config config;
  clip_limits limits;
  param_table params;
  tower_weights weights;
  tower image, text;
  image_front image_in;
  text_front text_in;
  int64_t scale_log;                      /* offset */
  double scale_log_least, scale_log_most; /* bounds of its value */
  bool is_trainable;
  clip_activations kept;
  loss_buffers loss;
  input_set sets[SETS];
  int current, staged;        /* training sets: computed on; filled last */
  ops_buffer fixed_positions; /* sine-cosine; absent when learned */
  void *blocks[7];            /* device memory, by the fields of clip_memory */
  clip_profile *profile;      /* NULL: not measured */
};

/* The image tower on all of `in`, chunk by chunk. */
err clip_run_images(clip_model *m, const clip_activations *a, const input_set *in) ERR_MUST_CHECK;

#endif
