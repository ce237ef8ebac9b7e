/* A data set: the samples of a list of shards, by row. Reading is safe from many threads. */
#ifndef FLIP_DATA_DATASET_H
#define FLIP_DATA_DATASET_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

typedef struct dataset dataset;

/* Opens and indexes the shards that the patterns name (shard_expand). A sample without an image or
 * without a caption is left out, counted and named in the warnings. */
err dataset_open(char *const *patterns, size_t count, dataset **out) ERR_MUST_CHECK;
void dataset_close(dataset *d);

int64_t dataset_count(const dataset *d);
/* Hash of the shards' names and bytes (of names and sizes alone beyond 4 GiB). */
const char *dataset_fingerprint(const dataset *d);
/* What was wrong at opening, one line each; "" when nothing. left_out: samples left out. */
const char *dataset_warnings(const dataset *d, int64_t *left_out);

/* One sample. image points into the data set; caption and json are NUL-terminated copies that
 * dataset_sample_free releases; json is NULL when there is none. */
typedef struct {
  const char *shard, *key;
  const void *image;
  size_t image_bytes;
  char *caption, *json;
} dataset_sample;

err dataset_read(const dataset *d, int64_t row, dataset_sample *sample) ERR_MUST_CHECK;
void dataset_sample_free(dataset_sample *sample);

#endif
