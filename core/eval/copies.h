/* Images that occur several times in a set for retrieval. Internal to core/eval/. */
#ifndef FLIP_EVAL_COPIES_H
#define FLIP_EVAL_COPIES_H

#include "eval/set.h"

/* Rows of one file are one image: the texts of all of them, at most `most`, belong to the first of
 * its rows that can be read, and its other rows take no part in retrieval. names [rows]: the path
 * of each row's file, NULL for a row that is an image of its own. repeats_texts: each row of an
 * image has all of its texts, so those of the first row are enough. */
err copies_join(eval_set *set, char *const *names, bool repeats_texts, int64_t most) ERR_MUST_CHECK;

/* The digests of `count` images of `size` bytes each. */
void copies_hash(const uint8_t *pixels, int64_t count, int64_t size, char (*digests)[HASH_SIZE]);
/* Images [count, width] of the same pixels get the embedding of the first of them, to the bit, as
 * texts of the same tokens do (texts.h). */
err copies_share_embeddings(const char (*digests)[HASH_SIZE], int64_t count, int64_t width,
                            float *images) ERR_MUST_CHECK;

/* Warns, once per set, of images with exactly the embedding of another one: where retrieval means
 * the one, the other is counted as a wrong match. images [count, width]. */
err copies_warn(eval_set *set, const float *images, int64_t count, int64_t width) ERR_MUST_CHECK;

#endif
