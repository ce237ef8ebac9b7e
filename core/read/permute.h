/* Random permutations without a table, which can be evaluated at any position. */
#ifndef FLIP_READ_PERMUTE_H
#define FLIP_READ_PERMUTE_H

#include <stdbool.h>
#include <stdint.h>

/* The element at `place` of permutation number `round` of [0, count) under this seed. A Feistel
 * network over the smallest even number of bits that can hold count, with cycle walking. Below five
 * bits its halves are too small for a uniform choice (docs/data.md). */
int64_t permute(uint64_t seed, int64_t round, int64_t count, int64_t place);

/* The row at `place` of an epoch with `places` positions over `rows` rows. With as many positions
 * as rows, the position itself; else it continues through the rows from epoch to epoch, with
 * a new permutation each pass, or in stored order. */
int64_t permute_weighted(uint64_t seed, bool is_shuffled, int64_t epoch, int64_t rows,
                         int64_t places, int64_t place);

/* The position, of `count`, that replaces sample `number` at try `attempt` in [0, count): a
 * permutation for each sample, so that samples whose neighbours cannot be decoded either are not
 * all replaced by the same one. */
int64_t permute_spare(uint64_t seed, uint64_t number, int64_t count, int64_t attempt);

#endif
