/* Reconstruction in addition to the contrastive loss (FLIP, Table 1f), as in MAE (He et al. 2021):
 * a small decoder gets the image tower's tokens at their positions, one learned mask token at all
 * others, and predicts the normalised pixels of the patches that the tower did not encode. The mean
 * squared error over those, times reconstruction.weight, is added to the loss.
 *
 * It does not depend on the contrastive loss, so it runs forward and backward at once, during the
 * image tower's backward pass: none of it is kept, and a gradient cache's first pass skips it. An
 * image tower's chunk is decoded in smaller chunks, so that memory is that of one of them. For
 * clip*.c only. */
#ifndef FLIP_MODEL_RECONSTRUCTION_H
#define FLIP_MODEL_RECONSTRUCTION_H

#include "model/clip.h"

/* The decoder's tensors: `decoder.projection` predicts the pixels. */
typedef struct {
  tower decoder;
  int64_t embed, embed_bias, mask_token, prediction_bias; /* offsets */
  size_t embed_tensor;                                    /* the embedding's index in the table */
} reconstruction_head;

/* Does nothing without reconstruction. */
err reconstruction_declare(reconstruction_head *head, const clip_config *c,
                           param_table *table) ERR_MUST_CHECK;
void reconstruction_resolve(reconstruction_head *head, const param_table *table);

/* What is decoded in a training step. tokens 0: nothing, also when no patches are dropped. */
typedef struct {
  int64_t samples, image_chunk,
      chunk;               /* of a micro-batch; of the image tower's; of the decoder's */
  int64_t encoded;         /* tokens per image from the image tower, including its class token */
  int64_t tokens;          /* of the decoder: all patches of an image, and the class token */
  int64_t dropped, pixels; /* patches to predict per image; values in each */
  int64_t parts;           /* decoder chunks per micro-batch: each stores the sum of its errors */
} reconstruction_extent;
reconstruction_extent reconstruction_extent_of(const clip_config *c, const clip_limits *l,
                                               const clip_types *types);

typedef struct {
  reconstruction_extent extent;
  tower_activations decoder;
  ops_buffer table;         /* [1 + chunk * encoded, width] master: the mask token, then the encoded
                             * tokens */
  ops_buffer table_compute; /* the same in compute type; the same memory if the types are equal */
  ops_buffer wide;          /* [chunk * tokens, width] master: the decoder's last tokens */
  ops_buffer picked;        /* [chunk * dropped, width]: those of the dropped patches */
  ops_buffer predictions;   /* [chunk * dropped, pixels] */
  ops_buffer row_errors;    /* [chunk * dropped] master */
  ops_buffer positions;     /* [tokens, width] master: sine-cosine, zeros for the class token */
  ops_buffer zeros;         /* [dropped, width] master */
  ops_buffer one, one_master; /* [1] */
  ops_buffer errors;          /* [parts of the whole batch] master: sums of squared differences */
  int64_t error_count;
  ops_buffer dlast; /* [image_chunk * encoded, width of the image tower] */
} reconstruction_buffers;

void reconstruction_lay_out(reconstruction_buffers *b, const clip_config *c, const clip_limits *l,
                            const clip_types *types, ops_block *block);
/* Fills in the constant parts. */
err reconstruction_fill(const reconstruction_buffers *b, const clip_config *c,
                        ops *o) ERR_MUST_CHECK;

/* The source row of each token, for one micro-batch. */
typedef struct {
  ops_buffer rows;    /* [samples, tokens] i32: of `table` */
  ops_buffer wanted;  /* [samples, dropped] i32: rows of `wide` */
  ops_buffer dropped; /* [samples, dropped] i32: patches */
  int32_t *host;      /* what these are copied from; owned */
} reconstruction_lists;

/* The device's part; then the host's, freed by the caller. */
void reconstruction_lists_lay_out(reconstruction_lists *lists, const reconstruction_extent *e,
                                  ops_block *block);
err reconstruction_lists_allocate(reconstruction_lists *lists,
                                  const reconstruction_extent *e) ERR_MUST_CHECK;
/* From the keep-lists of `count` samples; as input_set_images. */
err reconstruction_lists_copy(reconstruction_lists *lists, ops *o, const reconstruction_extent *e,
                              bool has_class_token, const int32_t *index,
                              int64_t count) ERR_MUST_CHECK;

/* One chunk of the image tower, before its backward pass. */
typedef struct {
  const clip_config *config;
  const reconstruction_head *head;
  const reconstruction_buffers *b;
  const reconstruction_lists *lists;
  ops_buffer images;       /* of the micro-batch */
  const tower_pass *image; /* the chunk */
  int64_t batch;           /* contrastive batch, over which the loss is averaged */
  int64_t first_part;      /* of this micro-batch, in b->errors */
} reconstruction_pass;

/* Adds to the gradients of the decoder's weights, stores the errors in b->errors and the gradient
 * of the image tower's tokens in b->dlast. */
err reconstruction_run(const reconstruction_pass *p) ERR_MUST_CHECK;

#endif
