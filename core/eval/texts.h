/* Embeddings of an evaluation set's captions and classes. Internal to core/eval/. */
#ifndef FLIP_EVAL_TEXTS_H
#define FLIP_EVAL_TEXTS_H

#include "eval/eval.h"
#include "eval/set.h"

/* Texts of the same tokens get the embedding of the first of them, to the bit: rounding depends on
 * a text's position in a batch on some processors, and must decide between neither classes nor
 * captions. ids [count, length], embeddings [count, width]. */
err texts_share_embeddings(const int32_t *ids, const int32_t *id_counts, int64_t count,
                           int64_t length, int64_t width, float *embeddings) ERR_MUST_CHECK;

/* Embeddings [count, width] of every text of the set of that name, shared as above; NULL is an
 * error of this rank. ERR_NUMERIC, on all of them, where they are not finite. */
err texts_embed(const char *name, clip_model *model, const eval_how *how, int64_t count,
                const int32_t *ids, const int32_t *id_counts, float *embeddings) ERR_MUST_CHECK;

/* [classes, width]: the normalised mean of each class's prompts, or what how->prompts has of them;
 * NULL is an error of this rank. */
err texts_embed_classes(const eval_set *set, clip_model *model, const eval_how *how,
                        float *classes) ERR_MUST_CHECK;

#endif
