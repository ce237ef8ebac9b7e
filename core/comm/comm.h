/* Ranks: the processes that train one model together, and what they exchange.
 *
 * Every call is collective: all ranks make the same calls, with the same counts, in the same order.
 * Results are the same bits on every rank, and from run to run for a fixed number of ranks: sums
 * are made in the order of the ranks. One interface, several implementations: none (a NULL comm,
 * one rank), MPI (comm/mpi.c, a plugin) or TCP (comm/tcp.c) for buffers in host memory, NCCL
 * (comm/nccl.c, a plugin) for those of GPUs, and the threads of tests/support/comm_threads.c.
 *
 * Buffers belong to the backend that the comm was opened for, and calls take their place among its
 * ops: they see what was called before (in the same branch of ops, where there are branches), and
 * what is called after sees them. sum_slices and
 * gather_slices may be less prompt: they run in parallel with what is called after them, and only
 * what is called after join sees their results. Until then their range must be left alone. Among
 * themselves they keep their order. */
#ifndef FLIP_COMM_COMM_H
#define FLIP_COMM_COMM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "ops/ops.h"

typedef struct comm comm;

/* Part `rank` of a range of elements that is divided among the ranks. */
typedef struct {
  int64_t first, count;
} comm_slice;

typedef struct {
  /* all [size, count] = own [count] of every rank, in the order of ranks. Any type. */
  err (*gather)(comm *c, int64_t count, ops_buffer own, ops_buffer all);
  /* x [total] of master type becomes the sum over ranks, in place: on every rank its own slice
   * (comm_slice_of), the other slices are left undefined. The values travel in type `wire`: that of
   * x, or bf16, to which every rank's values, the owner's too, are rounded (to nearest, ties to
   * even) before they are added. Added by the owner of the slice in the order of ranks, in master
   * type or better: a sum depends neither on where its range begins nor on who owns it. */
  err (*sum_slices)(comm *c, int64_t total, ops_buffer x, ops_type wire);
  /* Every rank's own slice of x [total] to all ranks, in place. Any type. */
  err (*gather_slices)(comm *c, int64_t total, ops_buffer x);
  /* What is called from here on sees the results of all sum_slices and gather_slices. NULL: they
   * are complete when they return. Does not wait on the host where the backend's ops do not. */
  err (*join)(comm *c);
  /* Bytes of host memory from rank 0 to the others. */
  err (*broadcast)(comm *c, void *bytes, size_t count);
  /* Bytes of host memory from every rank to every rank: all [size][count]. */
  err (*gather_bytes)(comm *c, const void *own, size_t count, void *all);
  /* From any thread, and at any time: an error of what is under way, which no call has returned
   * yet; NULL when there is none. NULL in the table: calls return their errors. */
  err (*check)(comm *c);
  /* From any thread, just before the process ends because another rank is lost: stops what is under
   * way. NULL in the table: nothing is. */
  void (*abandon)(comm *c);
  void (*destroy)(comm *c);
} comm_table;

struct comm {
  const comm_table *call;
  int rank, size;
  char library[128];   /* "Open MPI 4.1.4" */
  double seconds;      /* time this rank has spent in calls, including waiting for others; NaN: not
                        * measured, where calls on buffers run on the device */
  int64_t bytes_moved; /* sent by this rank to others */
  bool can_record;     /* its calls on buffers may be captured by ops_table.record */
  comm *host;          /* brings its messages in host memory (comm_attach); NULL: it does itself */
  void *state;
};

/* A NULL comm is one rank alone. */
static inline int comm_size(const comm *c) {
  return c ? c->size : 1;
}
static inline int comm_rank(const comm *c) {
  return c ? c->rank : 0;
}

/* Slices are of equal length, a multiple of COMM_SLICE_UNIT elements, but for the last ones. */
enum { COMM_SLICE_UNIT = 1024 };
comm_slice comm_slice_of(int64_t total, int size, int rank);

/* A range of elements cut into buckets of at most `most` elements (COMM_SLICE_UNIT at least), from
 * its end to its beginning; but what lies from `border` on, which is completed piecemeal, comes
 * first and is cut apart. All begin at multiples of COMM_SLICE_UNIT. Returns how many there are;
 * buckets: NULL, or room for so many. */
size_t comm_cut(int64_t total, int64_t border, int64_t most, comm_slice *buckets);
/* Elements of all these buckets' slices of one rank; of rank 0: the most that a rank has. */
int64_t comm_own_elements(int64_t total, int64_t border, int64_t most, int size, int rank);

/* NULL when no rank failed. Else an error on every rank: its own, or that of the first that failed.
 */
err comm_agree(comm *c, err own) ERR_MUST_CHECK;

/* As the table's; nothing where calls are complete when they return. */
err comm_join(comm *c) ERR_MUST_CHECK;

/* x [total] of master type becomes the sum over ranks, the whole of it on every rank; joined. */
err comm_sum(comm *c, int64_t total, ops_buffer x) ERR_MUST_CHECK;

#endif
