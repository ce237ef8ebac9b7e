/* The paths that a pattern of shards stands for. */
#ifndef FLIP_READ_SHARD_EXPAND_H
#define FLIP_READ_SHARD_EXPAND_H

#include <stddef.h>

#include "base/err.h"

/* Expands {00000..00012} ranges (zero-padded), {a,b} choices, globs and @FILE, a list of these, in
 * order; the paths of one glob are sorted. A pattern that matches nothing is an error. Free with
 * fs_free_names. */
err shard_expand(char *const *patterns, size_t count, char ***paths,
                 size_t *path_count) ERR_MUST_CHECK;

#endif
