/* Writing WebDataset shards as img2dataset lays them out: KEY.jpg, KEY.txt, KEY.json. The bytes
 * depend on the samples alone (no times, owners or machine), and a shard appears complete or not at
 * all. */
#ifndef FLIP_READ_SHARD_WRITER_H
#define FLIP_READ_SHARD_WRITER_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

typedef struct shard_writer shard_writer;

/* Shards PREFIX-00000.tar, PREFIX-00001.tar, … of at most `samples` samples. */
err shard_writer_open(const char *prefix, int64_t samples, shard_writer **out) ERR_MUST_CHECK;

/* extension: "jpg", "png" or "webp". */
err shard_writer_add(shard_writer *w, const char *key, const char *extension, const void *image,
                     size_t image_bytes, const char *caption, const char *json) ERR_MUST_CHECK;

/* Closes the last shard. */
err shard_writer_finish(shard_writer *w, int64_t *shards) ERR_MUST_CHECK;
/* Removes shards of the prefix from number `first` on, whichever of them are there. */
err shard_writer_remove_from(const char *prefix, int64_t first) ERR_MUST_CHECK;
/* The number of a file START-00012.tar; -1: it is no shard of `start`. */
int64_t shard_writer_number(const char *name, const char *start);
/* After finish, or to abort: the unfinished shard is removed. */
void shard_writer_close(shard_writer *w);

#endif
