/* safetensors files: a JSON header and raw little-endian tensors. The format is that of
 * huggingface/safetensors: 8 bytes of header length, the header, then the data without gaps.
 *
 * The reader validates everything: a header with wrong sizes, overlaps, gaps or an unknown type is
 * rejected with a one-sentence error.
 *
 * Checksums (hash.h) are in the metadata: `flip.checksum/NAME` of a tensor's bytes, and first of all
 * `flip.checksum` of the header, in which it counts as zeros. Files without them are read, too. */
#ifndef FLIP_TRAIN_SAFETENSORS_H
#define FLIP_TRAIN_SAFETENSORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum { SAFETENSORS_RANK = 8, SAFETENSORS_NAME = 256 };

typedef struct {
  char name[SAFETENSORS_NAME];
  char type[8]; /* "F32", "BF16", "F16", "F64", "I64", … */
  int rank;
  int64_t shape[SAFETENSORS_RANK];
  const void *data;
  size_t bytes;
} safetensor;

typedef struct {
  const char *key, *value;
} safetensors_pair;

typedef struct safetensors_file safetensors_file;

/* Maps a file and compares its header with its checksum. Entries point into it and are valid until
 * safetensors_close. */
err safetensors_open(const char *path, safetensors_file **file) ERR_MUST_CHECK;
void safetensors_close(safetensors_file *file);
size_t safetensors_count(const safetensors_file *file);
const safetensor *safetensors_at(const safetensors_file *file, size_t i);
const safetensor *safetensors_find(const safetensors_file *file, const char *name);
/* A value of `__metadata__`, or NULL. */
const char *safetensors_metadata(const safetensors_file *file, const char *key);

/* Compares a tensor of the file with its checksum, if it has one: an error where they differ. */
err safetensors_check(const safetensors_file *file, const safetensor *tensor) ERR_MUST_CHECK;

/* Writes atomically (temporary file, fsync, rename); `data` of each entry must not change
 * meanwhile. bytes_written may be NULL. */
err safetensors_write(const char *path, const safetensor *tensors, size_t count,
                      const safetensors_pair *metadata, size_t pairs, bool has_checksums,
                      size_t *bytes_written) ERR_MUST_CHECK;

#endif
