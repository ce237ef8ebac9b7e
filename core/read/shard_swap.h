/* Shards that take the place of earlier ones in their folder only when all are written: until then
 * they are in OUT/unfinished, so that an interrupted command changes nothing there. */
#ifndef FLIP_READ_SHARD_SWAP_H
#define FLIP_READ_SHARD_SWAP_H

#include "read/shard_writer.h"

enum { SHARD_SWAP_PREFIXES = 2 };

typedef struct {
  const char *out;                           /* the folder */
  const char *prefixes[SHARD_SWAP_PREFIXES]; /* of the shards: "train", "heldout"; NULL: none */
  /* The command, which records what it wrote in OUT/.PREFIX.shards: other shards of these prefixes
   * are refused, not replaced. NULL: all of them are replaced. */
  const char *maker;
  /* "" or "-train": separates commands that write into one folder at the same time. */
  const char *suffix;
} shard_swap_plan;

typedef struct {
  shard_swap_plan plan;
  int64_t recorded[SHARD_SWAP_PREFIXES]; /* shards of the maker that are there */
  int lock;                              /* two commands would remove each other's shards */
  char *unfinished;                      /* NULL: not (yet) ours to remove */
} shard_swap;

/* Locks OUT, which is created if missing, and removes what an interrupted command left. End with
 * shard_swap_close, also after an error. */
err shard_swap_open(const shard_swap_plan *plan, shard_swap *s) ERR_MUST_CHECK;
/* Shards of prefix `which`, in the folder of unfinished ones. */
err shard_swap_writer(const shard_swap *s, int which, int64_t samples,
                      shard_writer **out) ERR_MUST_CHECK;
/* Replaces the shards in OUT by the finished ones, shards[i] of prefix i. They are removed first: a
 * process that is killed here leaves too few, never those of two sets. */
err shard_swap_replace(shard_swap *s, const int64_t *shards) ERR_MUST_CHECK;
void shard_swap_close(shard_swap *s);

#endif
