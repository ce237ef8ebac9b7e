/* The whole model: image tower, text tower, projections, temperature and the contrastive loss.
 *
 * A training step on a batch that fits:
 *   clip_forward, clip_loss, clip_backward.
 * A larger batch (exact gradient cache, as in GradCache, Gao et al. 2021): clip_forward without
 * keeping activations on every micro-batch, clip_loss, then forward (keeping) and backward on each
 * again. The gradient is that of the whole batch. */
#ifndef FLIP_MODEL_CLIP_H
#define FLIP_MODEL_CLIP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/text.h"
#include "comm/comm.h"
#include "config/settings.h"
#include "model/params.h"
#include "model/tower.h"
#include "ops/ops.h"

/* The architecture, derived from the settings. */
typedef struct {
  int64_t image_size, patch, patches; /* patches: of a whole image */
  uint64_t seed;                      /* of dropout */
  double image_dropout, text_dropout;
  bool normalizes, learns_scale, has_padding_mask;
  int loss_direction; /* LOSS_* */
  bool has_class_token, has_learned_positions, has_pre_norm, has_patch_bias;
  float mean[3], deviation[3];
  int64_t text_length, vocabulary;
  bool has_text_places; /* training texts have positions of their own (clip_inputs.places) */
  int text_pool;        /* TEXT_POOL_* */
  tower_shape image, text;
  double temperature, logit_scale_max;
  int64_t classes;  /* 0: contrastive; else a classifier of images: no text tower, no scale, and
                     * features that are logits */
  double drop_path; /* of the image tower's last block (tower.h) */
  double reconstruction_weight; /* 0: no decoder (reconstruction.h) */
  tower_shape reconstruction;   /* its projection gives a patch's pixels */
  bool delays_scales;           /* of operands in 8 bits: delayed scaling (ops_scales) */
  int64_t scored_size; /* attentive masking: side of the images that the average tower scores
                        * (attentive.h); 0: there is none */
} clip_config;

/* vocabulary: entries of the tokenizer. */
void clip_config_from(const settings *s, int64_t vocabulary, clip_config *config);

/* The sizes that memory is planned for. */
typedef struct {
  int64_t batch, micro_batch; /* contrastive batch; samples whose activations are kept */
  int ranks;                  /* the whole batch is this many times `batch`; 0: as 1 */
  int64_t train_patches;      /* patches of an image that are encoded in training */
  int64_t train_words;        /* tokens of a text that are encoded in training */
  int64_t eval_batch;         /* images encoded at once in evaluation; on a CPU texts, too */
  int64_t eval_patches;
} clip_limits;

/* Targets of a classifier's batch of `count` samples (of this rank): sample i's target is
 * (1 - smoothing) times [shares[i] of labels[i] and 1 - shares[i] of labels[count - 1 - i]], the
 * rest spread evenly over the classes (label smoothing, and mixup or CutMix of a batch with its
 * reverse). */
typedef struct {
  int64_t count;
  const int32_t *labels; /* in [0, classes) */
  const double *shares;  /* [count], the same of both of a pair */
  double smoothing;
} clip_targets;

/* Inputs of `count` samples, on the host. */
typedef struct {
  int64_t count;
  const uint8_t *images;    /* [count, size, size, 3] */
  const int32_t *index;     /* [count, train_patches]: keep-lists (mask.h) */
  const int32_t *ids;       /* [count, train_words] */
  const int32_t *places;    /* [count, train_words]: the tokens' positions, with has_text_places;
                             * NULL: their ranks */
  const int32_t *id_counts; /* [count]: tokens before the padding */
  int64_t first_sample;     /* number of the first sample in the run; seeds dropout's noise */
  const int64_t *numbers;   /* [count] of samples that are not consecutive; NULL: they are */
} clip_inputs;

typedef struct clip_model clip_model;

/* The blocks of memory that a model allocates, by lifetime. The optimizer's two moments belong to
 * the trainer. */
typedef enum {
  CLIP_PARAMETERS,
  CLIP_GRADIENTS,
  CLIP_WORKING,     /* a copy of the parameters in compute type, if that differs */
  CLIP_NARROW,      /* dense layers in 8 bits: their weights, in both layouts for training, and the
                     * scales of all operands */
  CLIP_ACTIVATIONS, /* of training; between its forward and backward passes nothing else runs, so
                     * evaluation and passes that keep none use the same memory */
  CLIP_LOSS,
  CLIP_RECONSTRUCTION, /* the decoder's activations */
  CLIP_AVERAGE,        /* attentive masking: the average tower's weights, its inputs and scores */
  CLIP_INPUTS,
  CLIP_BLOCKS
} clip_block;

typedef struct {
  size_t bytes[CLIP_BLOCKS]; /* as allocated; 0: not allocated */
} clip_memory;
size_t clip_memory_total(const clip_memory *m);

/* The properties of a backend that memory depends on; as in struct ops. */
typedef struct {
  ops_type compute, master;
  int64_t chunk_bytes;
  bool is_narrow;
} clip_types;

/* Declares the model's tensors in a table, with offsets, without allocating them. */
err clip_declare(const clip_config *config, param_table *table) ERR_MUST_CHECK;
/* table: of clip_declare. */
void clip_plan(const clip_config *config, const clip_limits *limits, const clip_types *types,
               const param_table *table, bool for_training, clip_memory *memory);

/* for_training false: only what evaluation needs. The model uses `o` but does not own it. */
err clip_create(ops *o, const clip_config *config, const clip_limits *limits, bool for_training,
                clip_model **model) ERR_MUST_CHECK;
void clip_destroy(clip_model *model);

/* Bytes of the model's memory, as planned. */
size_t clip_planned_bytes(const clip_model *model);
const clip_config *clip_get_config(const clip_model *model);
const param_table *clip_params(const clip_model *model);
const tower_weights *clip_weights(const clip_model *model);

/* Fresh weights from a seed (docs/method.md). */
err clip_initialise(clip_model *model, uint64_t seed) ERR_MUST_CHECK;
/* One tensor in master precision, host memory [param_elements] of float or, in the double
 * reference, double. Call clip_refresh after the last clip_set. */
err clip_get(const clip_model *model, const param *p, void *values) ERR_MUST_CHECK;
err clip_set(clip_model *model, const param *p, const void *values) ERR_MUST_CHECK;
/* Updates the working copy from the master weights, and what is derived from that. */
err clip_refresh(clip_model *model) ERR_MUST_CHECK;
/* Rounds the dense layers' weights to 8 bits, for all products until they change again; does
 * nothing without 8 bits. Call after the working copy was written directly. */
err clip_round_weights(clip_model *model) ERR_MUST_CHECK;

/* With 8 bits requested: a line for each tower of a training step whose dense layers are computed
 * in the compute type all the same, and why. */
void clip_explain_narrow(const clip_model *model, strbuf *lines);

/* Delayed scaling. Without it these do nothing. The factors of a step follow from the maxima of
 * earlier steps on all ranks; those of a run's first step, and all in evaluation, from current
 * maxima of this rank. Collective; call after the last backward pass of a step: */
err clip_advance_scales(clip_model *model) ERR_MUST_CHECK;
/* How many values of the last step, on all ranks, were beyond the largest number of their format,
 * which they became; NaN without delayed scaling. Waits for pending work. */
err clip_read_saturated(const clip_model *model, double *values) ERR_MUST_CHECK;
/* State between steps, fp32 [operands, columns]; data NULL without delayed scaling. After writing
 * it call clip_take_scales. */
ops_buffer clip_scale_state(const clip_model *model, int64_t *operands, int64_t *columns);
void clip_take_scales(clip_model *model);
/* Numbers that a rank sends the others for it in a step. */
int64_t clip_scale_floats(const clip_config *config);

err clip_clear_gradients(clip_model *model) ERR_MUST_CHECK;
/* The same for a step: clears only the gradients to which the backward pass adds. Those of dense
 * layers' weights, nearly all parameters, are overwritten by the next clip_backward, which must be
 * the first of the step. */
err clip_begin_gradients(clip_model *model) ERR_MUST_CHECK;
/* Sets the callback of clip_backward (param_watch); NULL: none. It must outlive its use. */
void clip_set_watch(clip_model *model, const param_watch *watch);
/* Inputs are copied while the model computes: clip_stage starts copying a batch into the set of
 * inputs that is not in use (the host's arrays must not change until clip_take_staged), and
 * clip_take_staged makes it the current one. The next batch may be staged while a step runs that
 * was started after the last clip_take_staged. */
err clip_stage(clip_model *model, const clip_inputs *inputs) ERR_MUST_CHECK;
err clip_take_staged(clip_model *model) ERR_MUST_CHECK;
/* 0 or 1: the current set. A captured step is only valid for its set. */
int clip_current_set(const clip_model *model);
/* Encodes the current inputs as samples [first, first + count) of the contrastive batch. */
err clip_encode(clip_model *model, int64_t first, bool is_kept) ERR_MUST_CHECK;
/* All three in one call. */
err clip_forward(clip_model *model, const clip_inputs *inputs, int64_t first,
                 bool is_kept) ERR_MUST_CHECK;
/* Distributes the batch over limits.ranks ranks (model/loss_shared.c); NULL: one process. The
 * parameters' gradients are then those of this rank's samples in the whole batch's loss: their sum
 * over ranks is the gradient. */
void clip_set_ranks(clip_model *model, comm *ranks);
/* Symmetric InfoNCE over the first `batch` samples; also computes the features' gradients. `loss`
 * may be NULL: clip_read_loss returns it later, after waiting for pending work. */
err clip_loss(clip_model *model, int64_t batch, double *loss) ERR_MUST_CHECK;
err clip_read_loss(const clip_model *model, double *loss) ERR_MUST_CHECK;
/* A classifier's cross-entropy of the encoded samples [first, first + count) of the batch; also
 * computes the logits' gradients. Computed on the host in double with every backend. The loss, for
 * clip_read_loss, is the mean over the batch, accumulated from the call with first 0 on. If the
 * batch is distributed over ranks, each has only its own part until clip_share_class_loss. */
err clip_class_loss(clip_model *model, int64_t first, int64_t count,
                    const clip_targets *targets) ERR_MUST_CHECK;
/* Sums a classifier's loss over ranks, after the last clip_class_loss of a step; collective. */
err clip_share_class_loss(clip_model *model) ERR_MUST_CHECK;
/* The mean squared error of the pixels of dropped patches over the batch, without its weight, after
 * clip_backward has processed the batch; NaN if nothing is reconstructed. If the batch is
 * distributed over ranks, each has only its own part until the collective call
 * clip_share_reconstruction sums them. */
err clip_share_reconstruction(clip_model *model) ERR_MUST_CHECK;
err clip_read_reconstruction(const clip_model *model, double *loss) ERR_MUST_CHECK;
/* Copies one number of master type to the host, after waiting for pending work. */
err clip_read_number(const clip_model *model, ops_buffer buffer, double *value) ERR_MUST_CHECK;
/* Adds to the parameters' gradients; the kept activations are of samples [first, …). */
err clip_backward(clip_model *model, int64_t first, int64_t count) ERR_MUST_CHECK;

/* Time of a step by part, in seconds, accumulated from one clear to the next. */
typedef struct {
  double image_forward, image_backward, text_forward, text_backward, loss;
  double reconstruction; /* forward and backward of the decoder; not in image_backward */
} clip_profile;

/* Measures into `profile` from now on (NULL: stop), waiting for the device at every part's end: a
 * little slower than an unmeasured step. */
void clip_set_profile(clip_model *model, clip_profile *profile);

/* The scale that the loss uses, exp(logit_scale), a learned one clipped to [1, logit_scale_max]
 * (NaN: a classifier has none); waits for pending work. */
err clip_logit_scale(const clip_model *model, double *scale) ERR_MUST_CHECK;
/* The same for a value of the parameter stored elsewhere, [1] master. */
err clip_logit_scale_of(const clip_model *model, ops_buffer value, double *scale) ERR_MUST_CHECK;
/* The parameter's offset in the flat array. */
int64_t clip_logit_scale_offset(const clip_model *model);

/* The number of images and of texts that are encoded at once. */
int64_t clip_eval_batch(const clip_model *model);
int64_t clip_text_batch(const clip_model *model);
/* Unit-length embeddings, stored on the host; any count. index [count, eval_patches] or NULL: every
 * patch in order. embeddings [count, embed] float. */
err clip_embed_images(clip_model *model, int64_t count, const uint8_t *images, const int32_t *index,
                      float *embeddings) ERR_MUST_CHECK;
err clip_embed_texts(clip_model *model, int64_t count, const int32_t *ids, const int32_t *id_counts,
                     float *embeddings) ERR_MUST_CHECK;

/* The same while the caller prepares the next inputs: on a device, clip_queue_images and
 * clip_queue_texts return when a batch has been launched, and up to clip_queue_depth batches (each
 * call has at least one) are under way; 0: the calls return when all is done. The arrays of a call,
 * host memory pinned if possible (ops.pin), must neither change nor be freed, and its embeddings
 * are not there, before as many further batches were queued or clip_queue_finish was called, which
 * waits for all and returns `error` if there is one. After an error it must be called, too. Between
 * the first call and clip_queue_finish the model must not be used otherwise. */
int clip_queue_depth(const clip_model *model);
err clip_queue_images(clip_model *model, int64_t count, const uint8_t *images, const int32_t *index,
                      float *embeddings) ERR_MUST_CHECK;
err clip_queue_texts(clip_model *model, int64_t count, const int32_t *ids, const int32_t *id_counts,
                     float *embeddings) ERR_MUST_CHECK;
err clip_queue_finish(clip_model *model, err error) ERR_MUST_CHECK;

/* With is_wanted, images' embeddings are, from the next call on, what the projection reads: the
 * pooled output of the image tower, not normalised, [count, image.width] instead of [count, embed].
 * Call only when no batch is queued. */
void clip_take_encoder_output(clip_model *model, bool is_wanted);
bool clip_takes_encoder_output(const clip_model *model);
/* Floats of an image's embedding. */
int64_t clip_image_features(const clip_model *model);

/* Attentive masking: a moving average of the image tower scores patches (attentive.h). The
 * following calls need a model for training whose config has a scored_size. */
bool clip_is_attentive(const clip_model *model);
/* The average's tensors, named as the image tower's, with their offsets, in master precision; NULL:
 * there is no average. */
const param_table *clip_average_params(const clip_model *model);
ops_buffer clip_average(const clip_model *model);
/* The average becomes a copy of the weights; average = momentum * average + (1 - momentum) *
 * weights. The weights must be settled (optimizer.h). */
err clip_average_begin(clip_model *model) ERR_MUST_CHECK;
err clip_average_update(clip_model *model, double momentum) ERR_MUST_CHECK;
/* Call after writing the average directly. */
err clip_average_refresh(clip_model *model) ERR_MUST_CHECK;
/* The number of patches of a scored image; scores [count, that number] of images [count,
 * scored_size, scored_size, 3]. An image's scores sum to at most 1. */
int64_t clip_scored_patches(const clip_model *model);
err clip_score_patches(clip_model *model, int64_t count, const uint8_t *images,
                       double *scores) ERR_MUST_CHECK;

/* Similarity of `count` images (at most limits.micro_batch) to one text, and its gradient with
 * respect to the pixels: *score is the mean of the images' unit embeddings' products with text
 * [embed], dpixels [count, size, size, 3] its gradient with respect to pixels in [0, 1]. The
 * model must have been created for training, in fp32: its activations are used, and its gradients
 * added to. All patches are encoded: limits.train_patches must be those of a whole
 * image. */
err clip_pixel_gradient(clip_model *model, int64_t count, const uint8_t *images, const float *text,
                        double *score, float *dpixels) ERR_MUST_CHECK;

#endif
