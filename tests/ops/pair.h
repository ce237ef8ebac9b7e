/* Twin buffers: one in the reference backend (double), one in the backend under test, filled with
 * the same values, so that an op can be run on both and its outputs compared. */
#ifndef FLIP_TEST_PAIR_H
#define FLIP_TEST_PAIR_H

#include "ops/ops.h"

typedef struct {
  ops_buffer reference, tested;
  int64_t count;
} pair;

/* The backend under test; main sets it. */
extern ops *pair_reference, *pair_tested;

/* Random normal values, already rounded to the tested type, so that inputs are equal bit for bit.
 * is_master: of master type; else of compute type. */
pair pair_random(int64_t count, bool is_master, double scale);
/* Zeros for sums that are added to; poison (NaN) for outputs that must be overwritten. */
pair pair_zeros(int64_t count, bool is_master);
pair pair_poison(int64_t count, bool is_master);
/* Poison of the compute type that takes no number from the sequence of random buffers. */
pair pair_poison_again(int64_t count);
pair pair_values(int64_t count, bool is_master, const double *values);
pair pair_integers(int64_t count, const int32_t *values);
pair pair_bytes(int64_t count);
void pair_free(pair *p);
/* One tested element. */
double pair_read(const pair *p, int64_t i);

/* |tested - reference| / |reference| in the Euclidean norm; NaN when any element is not finite. */
double pair_difference(const pair *p);
/* Fails the test when the difference is not below `bound`, naming `what`. */
void pair_check(const pair *p, double bound, const char *what);
/* The tested backend's values of both are the same. */
void pair_check_same(const pair *a, const pair *b);

/* Restarts the random values alone: a setup of cmocka's. */
int pair_from_the_start(void **state);
/* Restarts the random values, and returns a digest of all tested buffers that were compared
 * since the last time. */
uint64_t pair_restart(void);

/* Bounds for outputs after one op of n-term sums: rounding of the compute type, with room for the
 * sum's own rounding in fp32. */
double pair_bound(void);

#endif
