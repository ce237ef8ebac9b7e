/* A batch's inputs in the backend's memory. Only for clip_*.c. */
#ifndef FLIP_MODEL_INPUTS_H
#define FLIP_MODEL_INPUTS_H

#include "model/clip.h"

typedef struct {
  ops_buffer images, index, ids, pool_index;
  ops_buffer places;     /* of the ids' shape: their positions; used if has_places */
  ops_buffer key_counts; /* [samples] i32: tokens before the padding */
  ops_buffer numbers;    /* [samples, 2] i32: the samples' numbers, low and high word */
  int32_t *pooled; /* [4 samples], host: what the last three are copied from; the caller frees */
  int64_t count;   /* samples present */
  bool is_whole;   /* index lists every patch of every image, in order */
  bool has_places;
} input_set;

/* For up to `samples` images of `patches` encoded patches, and up to `texts` texts. */
void input_set_lay_out(input_set *set, const clip_config *c, int64_t samples, int64_t texts,
                       int64_t patches, ops_block *block);

/* Copies with ops.upload_ahead: the host's arrays must not change until ops.join. index NULL: as
 * before. */
err input_set_images(input_set *set, ops *o, const clip_config *c, const uint8_t *images,
                     const int32_t *index, int64_t count, int64_t patches) ERR_MUST_CHECK;
/* The samples' numbers; NULL: from first_sample on. Nothing without dropout. */
err input_set_numbers(input_set *set, ops *o, const clip_config *c, int64_t first_sample,
                      const int64_t *given, int64_t count) ERR_MUST_CHECK;
/* ids [count, length] */
err input_set_texts(input_set *set, ops *o, const clip_config *c, const int32_t *ids,
                    const int32_t *id_counts, int64_t count, int64_t length) ERR_MUST_CHECK;
/* Their positions, after input_set_texts; NULL: their ranks, as without this call. */
err input_set_places(input_set *set, ops *o, const int32_t *places, int64_t length) ERR_MUST_CHECK;

/* The text token of each sample that is pooled; absent: the first. */
ops_buffer input_set_pool_index(const input_set *set, const clip_config *c);
/* The positions of the tokens; absent: their ranks. */
ops_buffer input_set_token_places(const input_set *set);
/* Tokens of each text that are attended to; absent: all. */
ops_buffer input_set_key_counts(const input_set *set, const clip_config *c);

#endif
