/* NCCL's communicator: creation, waiting, abort, end. */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/machine.h"
#include "base/mem.h"
#include "comm/nccl.h"
#include "comm/watch.h"

/* Timeouts in seconds: for connecting ranks, which NCCL also does in the first calls; for the end.
 */
enum { CONNECT_SECONDS = 300, FINALIZE_SECONDS = 10, ABORT_SECONDS = 2, POLL_MICROSECONDS = 50 };

err nccl_cuda(int code, const char *what) {
  if (code == cudaSuccess) return NULL;
  return err_new(ERR_UNSUPPORTED, "CUDA: %s: %s", what, cudaGetErrorString((cudaError_t)code));
}

/* The state of the communicator: of the pending call, or of background work. */
static ncclResult_t state_of(nccl_state *n) {
  ncclResult_t state = ncclSuccess;
  pthread_mutex_lock(&n->lock);
  ncclResult_t code = n->link ? ncclCommGetAsyncError(n->link, &state) : ncclInvalidUsage;
  pthread_mutex_unlock(&n->lock);
  return code ? code : state;
}

static ncclResult_t wait_for(nccl_state *n, ncclResult_t code, double seconds) {
  double deadline = clock_seconds() + seconds;
  while (code == ncclInProgress && n->link && clock_seconds() < deadline) {
    usleep(POLL_MICROSECONDS);
    code = state_of(n);
  }
  return code;
}

typedef struct {
  ncclComm_t link;
  atomic_bool is_done;
} nccl_abort;

static void *abort_link(void *given) {
  nccl_abort *a = given;
  (void)ncclCommAbort(a->link);
  atomic_store(&a->is_done, true);
  return NULL;
}

/* NCCL's abort waits for recordings that contain its calls to be freed, perhaps by this very
 * thread, and for other ranks: it has ABORT_SECONDS, and goes on by itself. What it uses is never
 * freed then: the process is about to end. */
void nccl_abandon(nccl_state *n) {
  pthread_t thread;
  pthread_mutex_lock(&n->lock);
  ncclComm_t link = n->link;
  n->link = NULL;
  pthread_mutex_unlock(&n->lock);
  nccl_abort *a = link ? mem_zeroed(1, sizeof *a) : NULL;
  if (!a) return;
  a->link = link;
  if (pthread_create(&thread, NULL, abort_link, a) != 0) {
    free(a);
    return;
  }
  (void)pthread_detach(thread);
  double deadline = clock_seconds() + ABORT_SECONDS;
  while (!atomic_load(&a->is_done) && clock_seconds() < deadline) usleep(POLL_MICROSECONDS);
  if (atomic_load(&a->is_done)) free(a);
}

/* If another rank is lost, the watch names it and ends this process: gives it time to do so. */
static err failed(nccl_state *n, ncclResult_t code, const char *what) {
  const char *text = n->link ? ncclGetLastError(n->link) : "";
  char last[400];
  bool is_remote = code == ncclRemoteError || code == ncclSystemError;
  snprintf(last, sizeof last, "%.*s", (int)strcspn(text ? text : "", "\n"), text ? text : "");
  if (is_remote && n->size > 1) sleep(WATCH_SILENCE + 1);
  err error = code == ncclInProgress
                  ? err_new(ERR_IO,
                            "NCCL: %s: timed out after %d seconds: the ranks' machines must reach "
                            "each other (NCCL_SOCKET_IFNAME selects the network; NCCL_DEBUG=INFO "
                            "logs the attempts), and start within that time of each other",
                            what, CONNECT_SECONDS)
                  : err_new(ERR_IO, "NCCL: %s: %s%s%s", what, ncclGetErrorString(code),
                            *last ? ": " : "", last);
  nccl_abandon(n);
  return error;
}

void nccl_lock(nccl_state *n) {
  pthread_mutex_lock(&n->lock);
}

err nccl_done(nccl_state *n, ncclResult_t code, const char *what) {
  pthread_mutex_unlock(&n->lock);
  code = wait_for(n, code, CONNECT_SECONDS);
  return code == ncclSuccess ? NULL : failed(n, code, what);
}

/* The lock is held while a call of this process is pending, which reports its own errors. */
err nccl_check(nccl_state *n) {
  ncclResult_t state = ncclSuccess, code = ncclSuccess;
  if (pthread_mutex_trylock(&n->lock) != 0) return NULL;
  if (n->link) code = ncclCommGetAsyncError(n->link, &state);
  pthread_mutex_unlock(&n->lock);
  if (!code) code = state;
  if (code == ncclSuccess || code == ncclInProgress) return NULL;
  return err_new(ERR_IO, "NCCL: %s", ncclGetErrorString(code));
}

/* The machine and GPU of a rank. Containers on several machines may all have one host name, and
 * their GPUs the same bus ids. */
typedef struct {
  char host[64], boot[40], bus[32];
} seat;

static err take_seat(seat *out) {
  int device = 0;
  *out = (seat){{0}, {0}, {0}};
  (void)gethostname(out->host, sizeof out->host - 1);
  machine_boot("", out->boot, sizeof out->boot);
  err error = nccl_cuda(cudaGetDevice(&device), "querying the device");
  if (!error)
    error = nccl_cuda(cudaDeviceGetPCIBusId(out->bus, sizeof out->bus, device),
                      "querying the device's bus id");
  return error;
}

/* NCCL rejects two ranks on one GPU too, but with a generic message. *are_apart: the ranks are on
 * more than one machine. */
static err check_seats(comm *host, const seat *mine, bool *are_apart) {
  seat *all = mem_zeroed((size_t)host->size, sizeof *all);
  err error =
      comm_agree(host, all ? NULL : mem_error((size_t)host->size * sizeof *all, "communication"));
  if (!error) error = host->call->gather_bytes(host, mine, sizeof *mine, all);
  for (int a = 0; a < host->size && !error; a++)
    for (int b = 0; b < a && !error; b++)
      if (memcmp(&all[a], &all[b], sizeof *all) == 0)
        error = err_new(ERR_UNSUPPORTED,
                        "ranks %d and %d have the same GPU (host %s, %s): NCCL supports one rank "
                        "per GPU; start as many ranks on each machine as it has GPUs (docs/gpu.md)",
                        b, a, all[a].host, all[a].bus);
  *are_apart = false;
  for (int r = 1; r < host->size && !error; r++)
    *are_apart |= strcmp(all[r].host, all[0].host) != 0 || strcmp(all[r].boot, all[0].boot) != 0;
  free(all);
  return error;
}

/* Up to 2.32 a recorded step over a network may stop for ever, without an error: where small and
 * large gatherings alternate, as ours do, NCCL erases what tells a transfer to begin (NVIDIA/nccl,
 * issue 2389). It happens only with buffers that NCCL registers because the calls are recorded. */
static void register_no_buffers(void) {
  int version = 0;
  (void)ncclGetVersion(&version);
  if (version < NCCL_VERSION(2, 33, 0)) (void)setenv("NCCL_GRAPH_REGISTER", "0", 0);
}

/* Broadcasts rank 0's id; a failure on rank 0 is an error on all ranks. */
static err share_id(comm *host, ncclUniqueId *id) {
  struct {
    ncclUniqueId id;
    int failure;
  } both = {.failure = ncclSuccess};
  if (host->rank == 0) both.failure = (int)ncclGetUniqueId(&both.id);
  err error = host->call->broadcast(host, &both, sizeof both);
  if (error) return error;
  *id = both.id;
  if (both.failure == ncclSuccess) return NULL;
  return err_new(ERR_IO,
                 "NCCL: rank 0 cannot create an id: %s (NCCL_SOCKET_IFNAME selects the network)",
                 ncclGetErrorString((ncclResult_t)both.failure));
}

err nccl_connect(comm *host, nccl_state *n) {
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  ncclUniqueId id;
  seat mine;
  config.blocking = 0;
  bool are_apart = false;
  err error = comm_agree(host, take_seat(&mine));
  if (!error) error = check_seats(host, &mine, &are_apart);
  if (!error && are_apart) register_no_buffers();
  if (!error) error = share_id(host, &id);
  if (error) return error;
  nccl_lock(n);
  ncclResult_t code = ncclCommInitRankConfig(&n->link, n->size, id, n->rank, &config);
  return nccl_done(n, code, "connecting the ranks");
}

/* Recordings that contain calls of the communicator must have been freed: NCCL would wait for
 * that. */
void nccl_disconnect(nccl_state *n) {
  if (!n->link) return;
  nccl_lock(n);
  ncclResult_t code = ncclCommFinalize(n->link);
  pthread_mutex_unlock(&n->lock);
  code = wait_for(n, code, FINALIZE_SECONDS);
  if (code != ncclSuccess) {
    nccl_abandon(n);
    return;
  }
  pthread_mutex_lock(&n->lock);
  ncclComm_t link = n->link;
  n->link = NULL;
  pthread_mutex_unlock(&n->lock);
  (void)ncclCommDestroy(link);
}
