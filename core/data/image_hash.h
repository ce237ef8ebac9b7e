/* A perceptual hash: equal or nearly so for copies of a picture at another size or quality. */
#ifndef FLIP_DATA_IMAGE_HASH_H
#define FLIP_DATA_IMAGE_HASH_H

#include <stdint.h>

#include "base/err.h"
#include "data/image.h"

/* dHash: the picture at 9 x 8 in grey; a bit for each of 64 neighbours, set where it grows brighter
 * to the right. A picture of one colour hashes to 0. */
err image_hash(const image *picture, uint64_t *hash) ERR_MUST_CHECK;

/* Hashes met so far, to be asked for one within `distance` bits: [0, IMAGE_HASH_FARTHEST]. */
enum { IMAGE_HASH_FARTHEST = 7 };
typedef struct hash_index hash_index;
err hash_index_create(int distance, hash_index **out) ERR_MUST_CHECK;
void hash_index_destroy(hash_index *h);
/* The number given with the first hash near this one, or -1; then nothing is added. Else `hash` is
 * added as `number` and -1 is given. */
err hash_index_meet(hash_index *h, uint64_t hash, int64_t number, int64_t *met) ERR_MUST_CHECK;

#endif
