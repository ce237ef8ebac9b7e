/* A random order without a table: permutations that can be evaluated at any position. */
#ifndef FLIP_READ_PERMUTE_H
#define FLIP_READ_PERMUTE_H

#include <stdint.h>

/* The element at `place` of permutation number `round` of [0, count) under this seed. A Feistel
 * network over the smallest even number of bits that holds count, walked until it lands inside. */
int64_t permute(uint64_t seed, int64_t round, int64_t count, int64_t place);

/* The row at `place` of the `places` that `rows` rows have in an epoch. With as many places as
 * rows, the row itself; else it continues through the rows from epoch to epoch, with a new
 * permutation each pass. */
int64_t permute_weighted(uint64_t seed, int64_t epoch, int64_t rows, int64_t places, int64_t place);

#endif
