/* Ranks: the processes that train one model together, and their collective operations.
 *
 * Every call is collective: all ranks make the same calls, with the same counts, in the same order.
 * Results are the same bits on every rank, and from run to run for a fixed number of ranks: sums
 * are computed in rank order. One interface, several implementations: none (a NULL comm,
 * one rank), MPI (comm/mpi.c, a plugin) or TCP (comm/tcp.c) for buffers in host memory, NCCL
 * (comm/nccl.c, a plugin) for those of GPUs, and the threads of tests/support/comm_threads.c.
 *
 * Buffers belong to the backend that the comm was opened for, and calls are ordered with its ops:
 * they see the results of earlier ops (in the same branch, if there are branches), and later ops
 * see theirs. sum_slices and gather_slices may be asynchronous: they run in parallel with the
 * following ops, and only ops called after join see their results. Until then their range must not
 * be accessed. Their order among themselves is kept. */
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
   * (comm_slice_of), the other slices are left undefined. The values are sent in type `wire`: that
   * of x, or bf16, to which every rank's values, the owner's too, are rounded (to nearest, ties to
   * even) before they are added. Added by the owner of the slice in rank order, in master type or
   * better: a sum depends neither on where its range begins nor on which rank owns it. */
  err (*sum_slices)(comm *c, int64_t total, ops_buffer x, ops_type wire);
  /* Every rank's own slice of x [total] to all ranks, in place. Any type. */
  err (*gather_slices)(comm *c, int64_t total, ops_buffer x);
  /* Ops called after this see the results of all sum_slices and gather_slices. NULL: they are
   * complete when they return. Does not block the host if the backend's ops do not. */
  err (*join)(comm *c);
  /* Bytes of host memory from rank 0 to the others. */
  err (*broadcast)(comm *c, void *bytes, size_t count);
  /* Bytes of host memory from every rank to every rank: all [size][count]. */
  err (*gather_bytes)(comm *c, const void *own, size_t count, void *all);
  /* From any thread, at any time: an error of pending work that no call has returned yet; NULL if
   * there is none. NULL in the table: calls return their errors. */
  err (*check)(comm *c);
  /* From any thread, just before the process ends because another rank is lost: aborts pending
   * work. NULL in the table: there is none. */
  void (*abandon)(comm *c);
  void (*destroy)(comm *c);
} comm_table;

struct comm {
  const comm_table *call;
  int rank, size;
  char library[128];   /* "Open MPI 4.1.4" */
  double seconds;      /* time this rank has spent in calls, including waiting for others; NaN: not
                        * measured, because calls on buffers run on the device */
  int64_t bytes_moved; /* sent by this rank to others */
  bool can_record;     /* its calls on buffers may be captured by ops_table.record */
  bool is_watched;     /* a lost rank ends this process (watch.h) */
  comm *host;          /* transports its messages in host memory (comm_attach); NULL: itself */
  void *state;
};

/* A NULL comm is a run of one rank. */
static inline int comm_size(const comm *c) {
  return c ? c->size : 1;
}
static inline int comm_rank(const comm *c) {
  return c ? c->rank : 0;
}

/* Slices have equal length, a multiple of COMM_SLICE_UNIT elements, except for the last ones. */
enum { COMM_SLICE_UNIT = 1024 };
comm_slice comm_slice_of(int64_t total, int size, int rank);

/* Divides a range of elements into buckets of at most `most` elements (at least COMM_SLICE_UNIT),
 * from its end to its beginning; the part from `border` on, which is completed piecemeal, comes
 * first and is divided separately. All begin at multiples of COMM_SLICE_UNIT. Returns the number of
 * buckets; `buckets`: NULL, or space for that many. */
size_t comm_cut(int64_t total, int64_t border, int64_t most, comm_slice *buckets);
/* Elements of all these buckets' slices of one rank; rank 0 has the most. */
int64_t comm_own_elements(int64_t total, int64_t border, int64_t most, int size, int rank);

/* NULL when no rank failed. Else an error on every rank: its own, or that of the first that failed.
 * ERR_LOST: the ranks could not exchange that, and others may not know; with the message of this
 * rank's own error, if it has one. */
err comm_agree(comm *c, err own) ERR_MUST_CHECK;

/* As in the table; does nothing if calls are complete when they return. */
err comm_join(comm *c) ERR_MUST_CHECK;

/* x [total] of master type becomes the sum over ranks, all of it on every rank; joined. */
err comm_sum(comm *c, int64_t total, ops_buffer x) ERR_MUST_CHECK;

#endif
