/* A perceptual hash: nearly equal for copies of a picture at another size or quality. */
#ifndef FLIP_SELECT_IMAGE_HASH_H
#define FLIP_SELECT_IMAGE_HASH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "image/image.h"

enum { IMAGE_HASH_WIDE = 9, IMAGE_HASH_HIGH = 8, IMAGE_HASH_FARTHEST = 7 };

/* bits: dHash, computed from the picture at 9 x 8 in grey: one bit for each of 64 neighbour pairs,
 * set if brightness increases to the right. small: those 9 x 8 pixels; drawings on a plain
 * background have few distinguishing bits, so their colours must agree as well. */
typedef struct {
  uint64_t bits;
  uint8_t small[IMAGE_HASH_HIGH * IMAGE_HASH_WIDE * 3];
} picture_hash;

err image_hash(const image *picture, picture_hash *hash) ERR_MUST_CHECK;
/* True within `distance` bits, if the small pictures differ by at most 4 grey levels on average. */
bool image_hash_is_near(const picture_hash *a, const picture_hash *b, int distance);

/* Index of hashes for near-duplicate look-up, at a distance of [0, IMAGE_HASH_FARTHEST]. */
typedef struct hash_index hash_index;
err hash_index_create(int distance, hash_index **out) ERR_MUST_CHECK;
void hash_index_destroy(hash_index *h);
/* The number of the first hash close to this one, or -1; in the latter case `hash` is added as
 * `number`. */
err hash_index_meet(hash_index *h, const picture_hash *hash, int64_t number,
                    int64_t *met) ERR_MUST_CHECK;

#endif
