/* Parameters, FLOPs and planned memory of a run, from its settings, without building a model.
 *
 * FLOPs as in docs/method.md: 2 x multiply-adds of matrix products only; per block and sample
 * 24 n w² + 4 n² w for n tokens of width w (MLP ratio 4); backward = 2 x forward; the contrastive
 * logits are counted separately. */
#ifndef FLIP_MODEL_COUNT_H
#define FLIP_MODEL_COUNT_H

#include <stdint.h>

#include "base/err.h"
#include "config/settings.h"
#include "model/clip.h"

typedef struct {
  int64_t patches, encoded_patches, image_tokens, text_tokens;
  int64_t parameters_image, parameters_text, parameters_head, parameters_total;
  int64_t parameters_reconstruction; /* the decoder's, of the total */
  int64_t gradient_elements;         /* the total as laid out, with padding between tensors */
  int64_t gradient_border; /* the elements before this one are under weight decay (comm_cut) */
  int64_t scale_floats;    /* that a rank sends the others with delayed scaling; 0: none */
  int64_t reconstruction_errors; /* sums computed by the decoder's chunks of a batch; 0: none */
  /* forward FLOPs of one sample, by part */
  double image_embed, image_dense, image_attention, image_projection;
  double text_dense, text_attention, text_projection;
  double forward_image, forward_text;
  double forward_image_unmasked; /* the image tower on all patches */
  double
      forward_reconstruction; /* the decoder with its input and output layers; only in training */
  double forward_scoring; /* attentive masking: the average tower on the scored image; 0: none */
  double train_sample;    /* 3 x (image + text + reconstruction) + scoring */
  double recomputed;      /* of it, computed once more in the backward pass: image.recompute,
                           * text.recompute */
  double logits_batch;    /* contrastive products of one batch, both passes */
  clip_memory memory;     /* for training, as planned */
  uint64_t optimizer_bytes, planned_bytes;
} model_counts;

/* Of the published vocabularies: for counting when none is available, and what other libraries
 * have. */
enum { BERT_VOCABULARY = 30522, CLIP_VOCABULARY = 49408 };
/* Entries of the published vocabulary of the settings' tokenizer. */
int64_t model_published_vocabulary(const settings *s);
/* What the step computes in. On a CPU precision: auto is taken to be bf16 where the processor has
 * products in bf16; the trainer measures which is faster. */
ops_type model_compute_type(const settings *s, bool is_on_cpu);

/* vocabulary: entries of the tokenizer.
 * compute: OPS_F32 or OPS_BF16; chunk_bytes: the backend's (0: none). */
/* The same with explicit limits, for one of several ranks. */
err model_count_of(const settings *s, int64_t vocabulary, const clip_limits *limits,
                   ops_type compute, int64_t chunk_bytes, model_counts *c) ERR_MUST_CHECK;
err model_count(const settings *s, int64_t vocabulary, ops_type compute, int64_t chunk_bytes,
                model_counts *counts) ERR_MUST_CHECK;

/* The sizes that memory is planned for under these settings. */
clip_limits model_limits(const settings *s);

/* What a rank takes of the host's memory beside the plan, whatever computes: the batches that are
 * read ahead, and the copy that the first rank writes a checkpoint from. s: with the batch of one
 * rank. */
typedef struct {
  uint64_t batches, checkpoint;
} model_host_bytes;
model_host_bytes model_beside_plan(const settings *s, const model_counts *c);

#endif
