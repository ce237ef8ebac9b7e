/* Every collective of the MPI plugin, on any number of ranks, against expected values. Run by
 * mpirun (a_batch_trains_over_ranks.sh); not a cmocka program, since each rank is a process. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comm/open.h"

static int failures;

static void expect(bool is_right, const comm *c, const char *what, int64_t i) {
  if (is_right) return;
  failures++;
  fprintf(stderr, "rank %d of %d: %s at %lld\n", c->rank, c->size, what, (long long)i);
}

static void must(err error) {
  if (!error) return;
  fprintf(stderr, "%s\n", err_message(error));
  exit(1);
}

/* Differs from rank to rank, and so that the order of a float sum shows. */
static double value(int rank, int64_t i) {
  return (rank % 2 ? 1e-3 : 1e4) * sin((double)(i + 1) * (rank + 1));
}

static void check_sum(comm *c, int64_t total) {
  float *x = malloc((size_t)(total + 1) * sizeof *x);
  for (int64_t i = 0; i < total; i++) x[i] = (float)value(c->rank, i);
  must(comm_sum(c, total, (ops_buffer){x, OPS_F32}));
  for (int64_t i = 0; i < total; i++) {
    double sum = 0;
    for (int r = 0; r < c->size; r++) sum += (double)(float)value(r, i);
    expect(x[i] == (float)sum, c, "sum", i);
  }
  free(x);
}

/* To 8 significant bits by arithmetic alone. */
static double rounded(float value) {
  int exponent;
  double fraction = frexp((double)value, &exponent);
  return ldexp(nearbyint(ldexp(fraction, 8)), exponent - 8);
}

static void check_rounded_sum(comm *c, int64_t total) {
  float *x = malloc((size_t)(total + 1) * sizeof *x);
  for (int64_t i = 0; i < total; i++) x[i] = (float)value(c->rank, i);
  int64_t before = c->bytes_moved;
  must(c->call->sum_slices(c, total, (ops_buffer){x, OPS_F32}, OPS_BF16));
  must(comm_join(c));
  comm_slice own = comm_slice_of(total, c->size, c->rank);
  for (int64_t i = own.first; i < own.first + own.count; i++) {
    double sum = 0;
    for (int r = 0; r < c->size; r++) sum += rounded((float)value(r, i));
    expect(x[i] == (float)sum, c, "sum in bf16", i);
  }
  expect(c->bytes_moved - before == 2 * (total - own.count), c, "bytes of a sum in bf16", total);
  free(x);
}

static void check_gather(comm *c, int64_t count, ops_type type) {
  size_t bytes = (size_t)count * ops_size_of(type);
  unsigned char *own = malloc(bytes), *all = malloc(bytes * (size_t)c->size);
  memset(own, c->rank + 1, bytes);
  must(c->call->gather(c, count, (ops_buffer){own, type}, (ops_buffer){all, type}));
  for (size_t i = 0; i < bytes * (size_t)c->size; i++)
    expect(all[i] == i / bytes + 1, c, "gather", (int64_t)i);
  free(own);
  free(all);
}

int main(void) {
  comm *c;
  must(comm_open(&c));
  if (!c) {
    fprintf(stderr, "started alone\n");
    return 1;
  }
  /* shorter than a slice unit, odd, and longer than a block on every rank */
  const int64_t totals[] = {1, 1023, 1024, 1025, 5000, 262144, 1200007};
  for (size_t i = 0; i < sizeof totals / sizeof *totals; i++) {
    check_sum(c, totals[i]);
    check_rounded_sum(c, totals[i]);
  }
  check_gather(c, 1, OPS_F32);
  check_gather(c, 777, OPS_BF16);
  check_gather(c, 3, OPS_F64);
  char word[8] = "others";
  if (c->rank == 0) memcpy(word, "rank 0", 7);
  must(c->call->broadcast(c, word, sizeof word));
  expect(strcmp(word, "rank 0") == 0, c, "broadcast", 0);
  int ranks[64];
  must(c->call->gather_bytes(c, &c->rank, sizeof c->rank, ranks));
  for (int r = 0; r < c->size; r++) expect(ranks[r] == r, c, "gather_bytes", r);
  expect(c->seconds > 0 && c->bytes_moved > 0, c, "counts", 0);
  if (c->rank == 0) printf("%d ranks, %s\n", c->size, c->library);
  comm_close(c);
  return failures != 0;
}
