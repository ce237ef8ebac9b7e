#include "select/image_hash.h"

#include <stdlib.h>

#include "base/mem.h"

enum { WIDE = IMAGE_HASH_WIDE, HIGH = IMAGE_HASH_HIGH, BITS = 64, BUCKETS = 1 << 16 };
enum { MOST_DIFFERENCE = 4 }; /* grey levels on average: JPEG at quality 50 causes about one */

err image_hash(const image *picture, picture_hash *hash) {
  const image_resizing how = {.box = {0, 0, picture->width, picture->height},
                              .width = WIDE,
                              .height = HIGH,
                              .columns = WIDE,
                              .rows = HIGH};
  err error = image_resize(picture, &how, hash->small);
  hash->bits = 0;
  for (int y = 0; y < HIGH && !error; y++)
    for (int x = 0; x + 1 < WIDE; x++) {
      const uint8_t *a = hash->small + 3 * (y * WIDE + x), *b = a + 3;
      int left = 299 * a[0] + 587 * a[1] + 114 * a[2]; /* luma, in thousandths */
      int right = 299 * b[0] + 587 * b[1] + 114 * b[2];
      hash->bits = hash->bits << 1 | (right > left);
    }
  return error;
}

bool image_hash_is_near(const picture_hash *a, const picture_hash *b, int distance) {
  int difference = 0;
  if (__builtin_popcountll(a->bits ^ b->bits) > distance) return false;
  for (size_t i = 0; i < sizeof a->small; i++) difference += abs(a->small[i] - b->small[i]);
  return difference <= MOST_DIFFERENCE * (int)sizeof a->small;
}

typedef struct {
  picture_hash hash;
  int64_t number;
  int64_t next[IMAGE_HASH_FARTHEST + 1]; /* by band: the entry before it in the bucket, -1: none */
} entry;

/* Two hashes within d bits agree in at least one of d + 1 bands: only those with an equal band are
 * compared. */
struct hash_index {
  int distance, bands;
  entry *entries;
  int64_t count, capacity;
  int64_t *heads; /* [bands, BUCKETS] */
};

err hash_index_create(int distance, hash_index **out) {
  hash_index *h = mem_zeroed(1, sizeof *h);
  if (!h) return mem_error(sizeof *h, "an index of hashes");
  h->distance = distance;
  h->bands = distance + 1;
  size_t heads = (size_t)h->bands * BUCKETS;
  h->heads = mem_zeroed(heads, sizeof *h->heads);
  if (!h->heads) {
    free(h);
    return mem_error(heads * sizeof *h->heads, "an index of hashes");
  }
  for (size_t i = 0; i < heads; i++) h->heads[i] = -1;
  *out = h;
  return NULL;
}

void hash_index_destroy(hash_index *h) {
  if (!h) return;
  free(h->entries);
  free(h->heads);
  free(h);
}

static int64_t *head_of(const hash_index *h, uint64_t hash, int band) {
  int first = band * BITS / h->bands, end = (band + 1) * BITS / h->bands;
  uint64_t part = hash >> first;
  if (end - first < BITS) part &= ((uint64_t)1 << (end - first)) - 1;
  part = (part ^ part >> 32) * 0x9E3779B97F4A7C15u; /* wide bands share buckets */
  return &h->heads[(size_t)band * BUCKETS + (size_t)(part >> 48)];
}

err hash_index_meet(hash_index *h, const picture_hash *hash, int64_t number, int64_t *met) {
  *met = -1;
  for (int band = 0; band < h->bands; band++)
    for (int64_t at = *head_of(h, hash->bits, band); at >= 0; at = h->entries[at].next[band])
      if (image_hash_is_near(&h->entries[at].hash, hash, h->distance) &&
          (*met < 0 || h->entries[at].number < *met))
        *met = h->entries[at].number;
  if (*met >= 0) return NULL;
  if (h->count == h->capacity) {
    int64_t capacity = h->capacity ? 2 * h->capacity : 1024;
    entry *entries = mem_resize(h->entries, (size_t)capacity, sizeof *entries);
    if (!entries) return mem_error((size_t)capacity * sizeof *entries, "an index of hashes");
    h->entries = entries;
    h->capacity = capacity;
  }
  entry *fresh = &h->entries[h->count];
  *fresh = (entry){.hash = *hash, .number = number};
  for (int band = 0; band < h->bands; band++) {
    int64_t *head = head_of(h, hash->bits, band);
    fresh->next[band] = *head;
    *head = h->count;
  }
  h->count++;
  return NULL;
}
