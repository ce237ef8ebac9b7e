/* Resizes the patch embedding to another patch size, to tune or evaluate a model with smaller or
 * larger patches than it was trained with (FLIP's L/14, tuned from L/16). */
#ifndef FLIP_MODEL_PATCH_RESIZE_H
#define FLIP_MODEL_PATCH_RESIZE_H

#include <stdint.h>

#include "base/err.h"

/* from [width, from_columns] to [width, columns], each row the kernels of 3 channels in (channel,
 * y, x) order: FlexiViT's PI-resize (Beyer et al. 2023). With B the bicubic resize of a patch
 * (positions.h), the new kernels are pinv(B^T) times the old: applied to a resized patch they give
 * the same products as the old ones on the patch, exactly if patches grow and with the least mean
 * squared error if they shrink. As timm's resample_patch_embed. An error if either is not 3
 * squares.
 */
err patch_resize(const float *from, int64_t width, int64_t from_columns, int64_t columns,
                 float *to) ERR_MUST_CHECK;

#endif
