/* A random order without a table: permutations that are computed at any place. */
#ifndef FLIP_READ_PERMUTE_H
#define FLIP_READ_PERMUTE_H

#include <stdint.h>

/* What stands at `place` of permutation number `round` of [0, count) under this seed. A Feistel
 * network over the smallest even number of bits that holds count, walked until it lands inside. */
int64_t permute(uint64_t seed, int64_t round, int64_t count, int64_t place);

/* The row that stands at `place` of the `places` that `rows` rows have in an epoch: with as many
 * places the row itself; else it goes on through the rows from epoch to epoch, anew each time
 * round. */
int64_t permute_weighted(uint64_t seed, int64_t epoch, int64_t rows, int64_t places, int64_t place);

#endif
