/* The streaming order: shards in random order, their samples shuffled within a bounded buffer.
 *
 * The samples of an epoch, shard after shard in the epoch's order, are divided into blocks of
 * `buffer` samples, and each block is shuffled by a computed permutation. So the order depends only
 * on (seed, shards, buffer), a position in it is six numbers, and memory holds only the index of
 * the current block's shards and of those opened ahead: nothing grows with the number of
 * samples. */
#ifndef FLIP_READ_STREAM_H
#define FLIP_READ_STREAM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/text.h"
#include "read/shard_sample.h"

/* A position in the order. {0} is the start. */
typedef struct {
  int64_t epoch;
  int64_t shard, sample; /* start of the block: index of the shard in the epoch's order, and sample
                          * of the shard */
  int64_t before;        /* samples of the epoch before the block */
  int64_t left_out;      /* samples skipped in the epoch's shards before that shard */
  int64_t place;         /* in the shuffled block */
} stream_position;

enum { STREAM_POSITION_SIZE = 160 };
/* As text, "epoch=0 shard=3 …", and back: an ERR_INPUT for other text. */
void stream_position_write(const stream_position *p, char text[STREAM_POSITION_SIZE]);
err stream_position_read(const char *text, stream_position *p) ERR_MUST_CHECK;

/* An open shard. */
typedef struct {
  shard tar;
  const shard_reading *reading;
  int64_t number, count, left_out; /* samples kept, and skipped */
  strbuf lines;                    /* problems and skipped samples, one line each */
  atomic_bool *is_bad;             /* [count] samples found undecodable while it is open */
} stream_shard;

/* Source of the shards. */
typedef struct {
  const void *context;
  int64_t places;   /* shards of an epoch */
  int64_t expected; /* samples per epoch by the counts next to the shards; 0: not known */
  /* The index of the shard at a position of an epoch. */
  int64_t (*at)(const void *context, uint64_t seed, bool is_shuffled, int64_t epoch, int64_t place);
  /* Opens it: sets tar, reading, count, left_out and lines. Called from many threads. Nobody needs
   * it any more once `stop` (may be NULL) asks to stop. */
  err (*open)(const void *context, int64_t number, const command_stop *stop, stream_shard *out);
} stream_shards;

typedef struct {
  stream_shards shards;
  uint64_t seed;
  bool is_shuffled; /* false: shards and samples in stored order */
  int64_t buffer;   /* samples per block */
  int openers;      /* threads that open shards ahead, one shard each at a time */
} stream_config;

typedef struct stream stream;
typedef struct stream_block stream_block;

/* Consecutive positions of one block. Holds the block until stream_release. */
typedef struct {
  stream_block *block;
  int64_t first, count;
  stream_position after; /* the position after them */
} stream_run;

err stream_open(const stream_config *config, const stream_position *from,
                stream **out) ERR_MUST_CHECK;
/* Call after stream_stop, when no run is held. */
void stream_close(stream *s);
/* Wakes callers of stream_take, which then fail, and ends commands whose output is a shard: for
 * closing from another thread. */
void stream_stop(stream *s);

/* The next `most` samples at most, in order; waits for their shards. One caller at a time. */
err stream_take(stream *s, int64_t most, stream_run *run) ERR_MUST_CHECK;
void stream_release(stream *s, stream_run *run);

/* The candidate samples for a position: its own and, if that cannot be decoded, the next of the
 * block (wrapping around), then some drawn from the block, then those of the shards that follow the
 * block in the epoch's order (wrapping around, too), each in an order drawn for the position. So
 * neighbours that are all bad are replaced by different samples. The choice depends only on the
 * data. */
typedef struct {
  stream *s;
  const stream_run *run;
  int64_t place, tried;
  stream_shard *shard; /* the result of the last step */
  int64_t index;
  struct spare *spare; /* a following shard, held */
  int64_t spares, spare_tried;
} stream_walk;

stream_walk stream_walk_start(stream *s, const stream_run *run, int64_t place);
/* Returns walk->shard and walk->index; *is_there false when all of the epoch was tried. */
err stream_walk_next(stream_walk *walk, bool *is_there) ERR_MUST_CHECK;
/* Is the last result another sample than the position's own? */
bool stream_walk_has_moved(const stream_walk *walk);
void stream_walk_end(stream_walk *walk);

/* Appends problems of the shards that the order has reached since the last call, one line each, and
 * returns their number; appends the contents of finished epochs to remarks. */
size_t stream_take_lines(stream *s, strbuf *lines, strbuf *remarks);
/* Number of shards currently open, including those opened ahead. */
int64_t stream_open_shards(stream *s);

void stream_shard_close(stream_shard *one);

#endif
