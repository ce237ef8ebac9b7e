/* The internals of a model. Only for clip*.c and pixels.c. */
#ifndef FLIP_MODEL_CLIP_INSIDE_H
#define FLIP_MODEL_CLIP_INSIDE_H

#include "model/attentive.h"
#include "model/clip.h"
#include "model/front.h"
#include "model/inputs.h"
#include "model/loss.h"
#include "model/reconstruction.h"

/* Activations of both towers for one use: training (kept), or forward only. */
typedef struct {
  tower_activations image, text;
  image_front_activations front;
} clip_activations;

/* Two sets of inputs for training, so that one is filled while the other is in use, and two for
 * evaluation, which may run in between (on a CPU, where batches are not queued, one). */
enum { TRAIN_SETS = 2, EVAL_SET = TRAIN_SETS, EVAL_SETS = 2, SETS = TRAIN_SETS + EVAL_SETS };
/* Sites of dropout's noise: their distance exceeds the number of blocks of any tower. */
enum { IMAGE_SITE = 0, TEXT_SITE = 1 << 16 };

/* The operands of passes in 8 bits: scales of the activations of one use (tower_scales). */
typedef enum { CLIP_TRAINING, CLIP_EVALUATION, CLIP_USES } clip_use;
typedef struct {
  ops_buffer image, text, decoder;
  ops_buffer all, history; /* of these; history only for delayed scaling */
  ops_buffer gathered;     /* `all` of every rank, then; absent with one rank */
  int64_t operands;
} clip_scales;

/* Batches being embedded (clip_embed.c). */
enum { QUEUED_IMAGES, QUEUED_TEXTS, QUEUED_TOWERS };
typedef struct {
  int64_t rows;      /* of a batch that is computed, whose embeddings are not there yet; 0: none */
  float *embeddings; /* where they go */
  int64_t width;     /* of a row */
  void *host;        /* they are copied to [most rows, widest] compute, pinned */
  bool is_unit;      /* its rows are to be of unit length */
  void *recordings[QUEUED_TOWERS]; /* of a forward pass on this set of inputs, */
  int64_t recorded[QUEUED_TOWERS]; /* on so many rows */
} embed_place;

typedef struct {
  embed_place places[EVAL_SETS]; /* of each set of inputs */
  int next;                      /* the set that the next batch takes */
  int64_t rows[QUEUED_TOWERS];   /* of the last batch that was not replayed; */
  int runs[QUEUED_TOWERS];       /* so many in succession had as many */
  int32_t *whole;                /* [eval_batch, eval_patches] every patch in order */
  bool takes_output;             /* of images: clip_take_encoder_output */
} embed_queue;

struct clip_model {
  ops *o;
  clip_config config;
  clip_limits limits;
  param_table params;
  tower_weights weights;
  tower image, text;
  image_front image_in;
  text_front text_in;
  reconstruction_head reconstruction;
  int64_t scale_log;                      /* offset */
  size_t scale_param;                     /* its index; the decoder's tensors come after it */
  double scale_log_least, scale_log_most; /* bounds of its value */
  bool is_trainable;
  clip_activations kept;
  loss_buffers loss;
  double class_loss;  /* of a classifier: the batch's so far */
  int64_t loss_batch; /* of the last clip_loss, over all ranks */
  reconstruction_buffers decoding;
  reconstruction_lists lists[TRAIN_SETS];
  attentive_scorer scorer; /* weights.o NULL: there is none */
  input_set sets[SETS];
  embed_queue embedding;
  int current, staged;        /* training sets: computed on; filled last */
  ops_buffer fixed_positions; /* sine-cosine; undefined when learned */
  void *blocks[CLIP_BLOCKS];  /* device memory */
  clip_scales scales[CLIP_USES];
  ops_buffer saturated;       /* [1], of delayed scaling */
  bool has_history;           /* of delayed scaling: at least one step has ended */
  ops_rounding *weights_list; /* of clip_round_weights; NULL: no 8 bits */
  size_t weights_count;
  clip_profile *profile;    /* NULL: not measured */
  const param_watch *watch; /* NULL: none */
  bool has_cleared;         /* all gradients were cleared once: the padding between them is 0 */
  bool writes;              /* the next clip_backward is the first of its step */
};

/* clip_embed.c: `count` values of compute type as floats. */
void clip_widen(const ops *o, const void *from, int64_t count, float *to);
/* The queue's memory is allocated when first used. */
void embed_queue_free(clip_model *m);

/* clip_config.c: clip_declare, keeping the towers, which are resolved later. */
err clip_declare_towers(const clip_config *c, param_table *table, tower *image, tower *text,
                        reconstruction_head *head) ERR_MUST_CHECK;

/* clip_plan.c: texts that are encoded at once in evaluation. */
int64_t clip_plan_texts(const clip_config *c, const clip_limits *l, const clip_types *types);

/* Divide the model's blocks into buffers. With is_kept, activations hold what backward
 * reads; otherwise, and in evaluation, only what one forward pass needs.
 * All use the same memory: dividing it for one use ends the others. */
void clip_cut_training(const clip_model *m, bool is_kept, clip_activations *a);
void clip_cut_evaluation(const clip_model *m, clip_activations *a);
/* For scoring patches: only those of images. */
void clip_cut_scoring(const clip_model *m, clip_activations *a);
void clip_cut_average(clip_model *m);
void clip_cut_loss(clip_model *m);
void clip_cut_decoding(clip_model *m);
/* fixed_positions is the address of the sine-cosine positions. */
void clip_cut_inputs(clip_model *m);

/* clip_narrow.c: dense layers in 8 bits. Bytes of CLIP_NARROW; divides it; lists the weights. */
size_t clip_narrow_bytes(const clip_config *c, const param_table *table, const clip_limits *l,
                         bool for_training);
void clip_cut_narrow(clip_model *m);
err clip_list_weights(clip_model *m) ERR_MUST_CHECK;
err clip_clear_scales(clip_model *m) ERR_MUST_CHECK;
/* Whether the current step's factors come from earlier steps. */
bool clip_is_delayed(const clip_model *m);
void clip_point_scales(const clip_model *m, clip_use use, clip_activations *a);

/* clip_train.c: runs a tower forward on all of `in`, chunk by chunk, and backward to the gradients
 * of its weights for `count` samples, whose features' gradients begin at dfeatures; with
 * reconstruction, also that of the images' dropped patches. first: in the contrastive batch. */
err clip_run_images(clip_model *m, const clip_activations *a, const input_set *in) ERR_MUST_CHECK;
err clip_run_texts(clip_model *m, const clip_activations *a, const input_set *in) ERR_MUST_CHECK;
err clip_images_backward(clip_model *m, const clip_activations *a, const input_set *in,
                         int64_t first, int64_t count, ops_buffer dfeatures) ERR_MUST_CHECK;

#endif
