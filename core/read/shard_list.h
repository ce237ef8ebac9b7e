/* The shards of a data set by name, without an index, as the streaming order needs them. For each:
 * its size, its first and last bytes and, if a file next to it states it, its number of samples. */
#ifndef FLIP_READ_SHARD_LIST_H
#define FLIP_READ_SHARD_LIST_H

#include "base/hash.h"
#include "read/stream.h"

typedef struct shard_list shard_list;

/* Sources of tar shards and pipes; others are an error. Fingerprint: up to most_hashed_bytes in
 * total the same as in the exact order, over names and all bytes; beyond, names, sizes and the
 * first and last 4 KiB of each shard. For a pipe only its command. */
err shard_list_open(char *const *names, size_t count, bool allows_pipes, uint64_t most_hashed_bytes,
                    shard_list **out) ERR_MUST_CHECK;
void shard_list_close(shard_list *l);

const char *shard_list_fingerprint(const shard_list *l);
/* From img2dataset's SHARD_stats.json or webdataset's sizes.json next to the shards: total samples,
 * and samples per epoch, weighted by source. 0 when a shard has neither; *uncounted is then the
 * first such shard. */
int64_t shard_list_samples(const shard_list *l, const char **uncounted);
int64_t shard_list_epoch(const shard_list *l);
/* For stream_open; `l` must outlive the stream. */
stream_shards shard_list_shards(const shard_list *l);

#endif
