/* What the files of the NCCL plugin share. Not for use outside core/comm/nccl*.c. */
#ifndef FLIP_COMM_NCCL_H
#define FLIP_COMM_NCCL_H

#include <nccl.h>
#include <pthread.h>

#include "comm/comm.h"

typedef struct {
  ops *o;
  ncclComm_t link; /* NULL: not made, or aborted */
  int rank, size;
  bool is_deterministic;
  cudaStream_t stream;
  cudaEvent_t before, after; /* of the backend's ops, of what is on the stream */
  bool is_pending;           /* the stream has work that the backend's ops have not waited for */
  void *received;            /* [size, room] of master or wire type */
  void *rounded;             /* [size, room] bf16: sent, where that is the wire type */
  int64_t room;              /* elements of a slice that are summed at once */
  pthread_mutex_t lock;      /* of `link`: the watch looks at it too (nccl_check) */
} nccl_state;

/* nccl_call.c: every call that is returned by NCCL as in progress is waited for, since the
 * communicator does not block: a call that blocked could not be ended when another rank is lost. */

/* Before calls of NCCL: keeps the watch away from `link`. */
void nccl_lock(nccl_state *n);
/* After them, unlocked: NULL for success, when it has come; else what failed, in NCCL's words, and
 * the communicator is aborted. */
err nccl_done(nccl_state *n, ncclResult_t code, const char *what) ERR_MUST_CHECK;
err nccl_cuda(int code, const char *what) ERR_MUST_CHECK;

/* Collective: finds that every rank has a GPU of its own, and makes the communicator. */
err nccl_connect(comm *host, nccl_state *n) ERR_MUST_CHECK;
/* Ends it in order, or aborts it where that takes too long. */
void nccl_disconnect(nccl_state *n);
/* comm_table.check and .abandon */
err nccl_check(nccl_state *n);
void nccl_abandon(nccl_state *n);

#endif
