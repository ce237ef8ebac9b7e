/* The views of an image that are encoded in evaluation: all of its patches, a subset, or all of
 * them in several complementary subsets whose embeddings are averaged (FLIP, Table 1d). */
#ifndef FLIP_EVAL_VIEWS_H
#define FLIP_EVAL_VIEWS_H

#include "eval/eval.h"
#include "model/clip.h"

typedef struct {
  int64_t patches, keep, count; /* of an image, of a view, views an image */
  eval_how how;
} eval_views;

/* Complementary views require a mask that divides the patches evenly: patches / keep is an integer
 * above one. */
err views_plan(const clip_config *config, const eval_how *how, eval_views *views) ERR_MUST_CHECK;
/* index [count, images, keep]: for view v and image first + i the patches at [v, i], ascending.
 * View 0 is the one that a single masked view uses (mask_draw); the others divide the rest in an
 * order drawn from (seed, image). Each patch is in exactly one view. */
err views_draw(const eval_views *views, int64_t first, int64_t images,
               int32_t *index) ERR_MUST_CHECK;
/* Adds `count` rows of [count, width] into row [width]: their mean, normalised if is_unit. */
void views_join(const float *rows, int64_t count, int64_t stride, int64_t width, bool is_unit,
                float *row);
/* Embeddings [images, embed] of images [first, first + images), from pixels. */
err views_embed(const eval_views *views, clip_model *model, int64_t first, int64_t images,
                const uint8_t *pixels, float *embeddings) ERR_MUST_CHECK;
/* The same by clip_queue_images, if all patches are encoded; else done when it returns. */
err views_queue(const eval_views *views, clip_model *model, int64_t first, int64_t images,
                const uint8_t *pixels, float *embeddings) ERR_MUST_CHECK;

#endif
