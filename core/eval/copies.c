#include "eval/copies.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

typedef struct {
  const char *name;
  int64_t row;
} named;

static int by_name(const void *a, const void *b) {
  const named *x = a, *y = b;
  int order = strcmp(x->name, y->name);
  return order ? order : (x->row > y->row) - (x->row < y->row);
}

/* image_of [rows]: the first row of the same file; *copies: how many rows are not that one. */
static err find_files(const eval_set *set, char *const *names, int32_t *image_of, int64_t *copies) {
  named *all = mem_zeroed((size_t)set->rows, sizeof *all);
  int64_t count = 0;
  if (!all) return mem_error((size_t)set->rows * sizeof *all, "image names");
  for (int64_t row = 0; row < set->rows; row++) {
    image_of[row] = (int32_t)row;
    if (names[row]) all[count++] = (named){names[row], row};
  }
  qsort(all, (size_t)count, sizeof *all, by_name);
  for (int64_t i = 1; i < count; i++) {
    if (strcmp(all[i].name, all[i - 1].name) != 0) continue;
    image_of[all[i].row] = image_of[all[i - 1].row];
    (*copies)++;
  }
  free(all);
  return NULL;
}

/* The texts in the order of their images; first [rows + 1]: zeros, space for their places. */
static err order_texts(eval_set *set, const int32_t *image_of, bool repeats_texts, int64_t most,
                       int64_t *first) {
  const size_t texts = (size_t)set->text_count, length = (size_t)set->text_length;
  int32_t *ids = mem_zeroed(texts * length, sizeof *ids);
  int32_t *counts = mem_zeroed(texts, sizeof *counts), *owners = mem_zeroed(texts, sizeof *owners);
  bool *is_kept = mem_zeroed(texts, sizeof *is_kept);
  err error = NULL;
  if (!ids || !counts || !owners || !is_kept) {
    error = mem_error(texts * length * sizeof *ids, "captions");
    free(ids), free(counts), free(owners), free(is_kept);
    return error;
  }
  int64_t *taken = first + 1; /* texts of each image */
  for (size_t t = 0; t < texts; t++) {
    int32_t owner = image_of[set->owners[t]];
    is_kept[t] = taken[owner] < most && (!repeats_texts || owner == set->owners[t]);
    taken[owner] += is_kept[t];
  }
  for (int64_t row = 0; row < set->rows; row++) {
    set->lacks_text[row] = !taken[row];
    first[row + 1] += first[row];
  }
  set->text_count = first[set->rows];
  for (size_t t = 0; t < texts; t++) {
    if (!is_kept[t]) continue;
    int32_t owner = image_of[set->owners[t]];
    size_t at = (size_t)first[owner]++;
    owners[at] = owner;
    counts[at] = set->id_counts[t];
    memcpy(ids + at * length, set->ids + t * length, length * sizeof *ids);
  }
  free(set->ids), free(set->id_counts), free(set->owners), free(is_kept);
  set->ids = ids;
  set->id_counts = counts;
  set->owners = owners;
  set->text_capacity = (int64_t)texts;
  return NULL;
}

err copies_join(eval_set *set, char *const *names, bool repeats_texts, int64_t most) {
  size_t rows = (size_t)set->rows;
  int64_t copies = 0;
  int32_t *image_of = mem_zeroed(rows, sizeof *image_of);
  int64_t *first = mem_zeroed(rows + 1, sizeof *first);
  err error = image_of && first
                  ? NULL
                  : mem_error(rows * (sizeof *image_of + sizeof *first), "image names");
  if (!error) error = find_files(set, names, image_of, &copies);
  if (!error && copies) error = order_texts(set, image_of, repeats_texts, most, first);
  free(image_of);
  free(first);
  return error;
}

void copies_hash(const uint8_t *pixels, int64_t count, int64_t size, char (*digests)[HASH_SIZE]) {
#pragma omp parallel for schedule(static)
  for (int64_t i = 0; i < count; i++) hash_bytes(pixels + i * size, (size_t)size, digests[i]);
}

err copies_share_embeddings(const char (*digests)[HASH_SIZE], int64_t count, int64_t width,
                            float *images) {
  named *all = mem_zeroed((size_t)count, sizeof *all);
  if (!all) return mem_error((size_t)count * sizeof *all, "image embeddings");
  for (int64_t i = 0; i < count; i++) all[i] = (named){digests[i], i};
  qsort(all, (size_t)count, sizeof *all, by_name);
  for (int64_t i = 1; i < count; i++)
    if (strcmp(all[i].name, all[i - 1].name) == 0)
      memcpy(images + all[i].row * width, images + all[i - 1].row * width,
             (size_t)width * sizeof *images);
  free(all);
  return NULL;
}

typedef struct {
  char digest[HASH_SIZE]; /* of an embedding's bits */
} hashed;

static int by_digest(const void *a, const void *b) {
  return strcmp(((const hashed *)a)->digest, ((const hashed *)b)->digest);
}

err copies_warn(eval_set *set, const float *images, int64_t count, int64_t width) {
  if (set->has_told_copies) return NULL;
  hashed *all = mem_zeroed((size_t)count, sizeof *all);
  if (!all) return mem_error((size_t)count * sizeof *all, "image embeddings");
  for (int64_t i = 0; i < count; i++)
    hash_bytes(images + i * width, (size_t)width * sizeof *images, all[i].digest);
  qsort(all, (size_t)count, sizeof *all, by_digest);
  int64_t copies = 0;
  for (int64_t i = 1; i < count; i++) copies += strcmp(all[i].digest, all[i - 1].digest) == 0;
  free(all);
  set->has_told_copies = copies > 0;
  if (copies)
    eval_set_warn(set,
                  "%s: %ld of %ld images %s exactly the embedding of another one, which counts as "
                  "a wrong match in retrieval; several captions of an image belong in one sample "
                  "(captions: lines, or the name of a JSON list)",
                  set->name, (long)copies, (long)count, text_plural(copies, "has", "have"));
  return NULL;
}
