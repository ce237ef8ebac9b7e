/* Shared by the files of the NCCL plugin. Only for core/comm/nccl*.c. */
#ifndef FLIP_COMM_NCCL_H
#define FLIP_COMM_NCCL_H

/* Before NCCL 2.24 its header has bf16 only where this is defined, as C++ has it from cuda_bf16.h.
 */
#ifndef __CUDA_BF16_TYPES_EXIST__
#define __CUDA_BF16_TYPES_EXIST__ 1
#endif
#include <nccl.h>
#include <pthread.h>

#include "comm/comm.h"

typedef struct {
  ops *o;
  ncclComm_t link; /* NULL: not made, or aborted */
  int rank, size;
  bool is_deterministic;
  cudaStream_t stream;
  cudaEvent_t before, after; /* recorded on the backend's stream, and on `stream` */
  bool is_pending;           /* the stream has work that the backend's ops have not waited for */
  void *received;            /* [size, room] of master or wire type */
  void *rounded;             /* [size, room] bf16: sent, if that is the wire type */
  int64_t room;              /* elements of a slice that are summed at once */
  pthread_mutex_t lock;      /* of `link`: the watch looks at it too (nccl_check) */
} nccl_state;

/* nccl_call.c: the communicator is non-blocking, since a blocking call could not be aborted when
 * another rank is lost; these functions wait for calls that NCCL reports as in progress. */

/* Before calls of NCCL: keeps the watch away from `link`. */
void nccl_lock(nccl_state *n);
/* After them; unlocks: waits, and returns NULL for success; else NCCL's error message, and the
 * communicator is aborted. */
err nccl_done(nccl_state *n, ncclResult_t code, const char *what) ERR_MUST_CHECK;
err nccl_cuda(int code, const char *what) ERR_MUST_CHECK;

/* Collective: checks that every rank has a different GPU, and creates the communicator. */
err nccl_connect(comm *host, nccl_state *n) ERR_MUST_CHECK;
/* Finalizes it, or aborts it if that takes too long. */
void nccl_disconnect(nccl_state *n);
/* comm_table.check and .abandon */
err nccl_check(nccl_state *n);
void nccl_abandon(nccl_state *n);

#endif
