#include "data/dataset.h"

#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/hash.h"
#include "base/mem.h"
#include "data/shard.h"

enum { NAMED_WARNINGS = 20 };
static const size_t most_hashed_bytes = (size_t)4 << 30;

typedef struct {
  uint32_t shard, sample;
} place;

struct dataset {
  shard *shards;
  size_t shard_count;
  place *rows;
  int64_t count, left_out;
  char fingerprint[HASH_SIZE];
  strbuf warnings;
};

static err collect_rows(dataset *d) {
  size_t total = 0;
  for (size_t i = 0; i < d->shard_count; i++) total += d->shards[i].count;
  d->rows = mem_zeroed(total, sizeof *d->rows);
  if (!d->rows) return mem_error(total * sizeof *d->rows, "a data set's index");
  for (size_t i = 0; i < d->shard_count; i++)
    for (size_t j = 0; j < d->shards[i].count; j++) {
      const shard_sample *sample = &d->shards[i].samples[j];
      if (sample->image.data && sample->caption.data) {
        d->rows[d->count++] = (place){(uint32_t)i, (uint32_t)j};
      } else if (++d->left_out <= NAMED_WARNINGS) {
        strbuf_format(&d->warnings, "%s: sample %s has no %s\n", d->shards[i].path, sample->key,
                      sample->image.data ? "caption (.txt)" : "image");
      }
    }
  if (d->left_out > NAMED_WARNINGS)
    strbuf_format(&d->warnings, "… and %ld more samples without image or caption\n",
                  (long)(d->left_out - NAMED_WARNINGS));
  return NULL;
}

static err take_fingerprint(dataset *d) {
  size_t total = 0;
  hash_state *state = hash_begin();
  if (!state) return mem_error(0, "a fingerprint");
  for (size_t i = 0; i < d->shard_count; i++) total += d->shards[i].size;
  for (size_t i = 0; i < d->shard_count; i++) {
    const shard *s = &d->shards[i];
    hash_add(state, fs_name(s->path), strlen(fs_name(s->path)) + 1);
    hash_add(state, &s->size, sizeof s->size);
    if (total <= most_hashed_bytes && s->size) hash_add(state, s->map, s->size);
  }
  hash_finish(state, d->fingerprint);
  return NULL;
}

err dataset_open(char *const *patterns, size_t count, dataset **out) {
  char **paths = NULL;
  size_t path_count = 0;
  dataset *d = mem_zeroed(1, sizeof *d);
  if (!d) return mem_error(sizeof *d, "a data set");
  err error = shard_expand(patterns, count, &paths, &path_count);
  if (error) goto cleanup;
  d->shards = mem_zeroed(path_count, sizeof *d->shards);
  if (!d->shards) {
    error = mem_error(path_count * sizeof *d->shards, "a data set");
    goto cleanup;
  }
  for (size_t i = 0; i < path_count; i++) {
    TRY(shard_open(paths[i], &d->shards[i], &d->warnings));
    d->shard_count++;
  }
  TRY(collect_rows(d));
  TRY(take_fingerprint(d));
cleanup:
  fs_free_names(paths, path_count);
  if (error)
    dataset_close(d);
  else
    *out = d;
  return error;
}

void dataset_close(dataset *d) {
  if (!d) return;
  for (size_t i = 0; i < d->shard_count; i++) shard_close(&d->shards[i]);
  free(d->shards);
  free(d->rows);
  strbuf_free(&d->warnings);
  free(d);
}

int64_t dataset_count(const dataset *d) {
  return d->count;
}

const char *dataset_fingerprint(const dataset *d) {
  return d->fingerprint;
}

const char *dataset_warnings(const dataset *d, int64_t *left_out) {
  if (left_out) *left_out = d->left_out;
  return strbuf_string(&d->warnings);
}

static char *copy_bytes(shard_bytes bytes) {
  char *copy = mem_zeroed(bytes.size + 1, 1);
  if (copy) memcpy(copy, bytes.data, bytes.size);
  return copy;
}

err dataset_read(const dataset *d, int64_t row, dataset_sample *out) {
  if (row < 0 || row >= d->count) return err_new(ERR_INTERNAL, "row %ld of a data set", (long)row);
  const shard *s = &d->shards[d->rows[row].shard];
  const shard_sample *sample = &s->samples[d->rows[row].sample];
  *out = (dataset_sample){.shard = s->path,
                          .key = sample->key,
                          .image = sample->image.data,
                          .image_bytes = sample->image.size,
                          .caption = copy_bytes(sample->caption),
                          .json = sample->json.data ? copy_bytes(sample->json) : NULL};
  if (out->caption && (out->json || !sample->json.data)) return NULL;
  dataset_sample_free(out);
  return mem_error(sample->caption.size + sample->json.size, "a sample");
}

void dataset_sample_free(dataset_sample *sample) {
  free(sample->caption);
  free(sample->json);
  *sample = (dataset_sample){0};
}
