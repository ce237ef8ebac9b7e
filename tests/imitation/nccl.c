/* NCCL's calls, for one communicator, blocking or not. Everything else is rejected. A non-blocking
 * communicator returns ncclInProgress and does the work when its state is queried: work submitted
 * to the stream before that precedes it. */
#include "imitation/nccl_link.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/bf16.h"
#include "imitation/imitation.h"
#include "imitation/queue.h"

enum { MOST_OPS = 64, POLLS = 2 };
static const double operation_seconds = 2e-5;
static const char work_name[] = "an operation of NCCL";

typedef enum { ALL_GATHER, ALL_REDUCE, REDUCE_SCATTER, BROADCAST, SEND, RECEIVE } op_kind;
static const char *const names[] = {"ncclAllGather", "ncclAllReduce", "ncclReduceScatter",
                                    "ncclBroadcast", "ncclSend",      "ncclRecv"};

typedef struct {
  op_kind kind;
  const void *from;
  void *to;
  size_t count;
  ncclDataType_t type;
  int root_or_op; /* a root, a peer, an operator */
  bool is_captured;
} operation;

/* What a group submits to a stream. */
typedef struct {
  struct ncclComm *comm;
  int count;
  operation ops[MOST_OPS];
} batch;

typedef enum { JOINING, READY, LAUNCHING, LEAVING, LEFT } comm_stage;

struct ncclComm {
  nccl_link link;
  comm_stage stage;
  bool is_blocking;
  bool is_connected[RECEIVE + 1]; /* for operations of that kind: one was made outside a capture */
  int polls;
  batch next;
  cudaStream_t stream;
  atomic_flag is_busy;
  char bus[32];
  struct ncclComm *next_aborted;
};

static struct {
  int depth;
  struct ncclComm *comm;
  ncclResult_t failure;
} group;

static char last_error[256];
static int live_comms;
static struct ncclComm *aborted; /* kept: its kernels may still be on a stream */

static ncclResult_t refuse(ncclResult_t code, const char *call, const char *why) {
  snprintf(last_error, sizeof last_error, "%s : %s", call, why);
  imitation_misuse("%s: %s", call, why);
  return code;
}

size_t nccl_live_objects(void) {
  return (size_t)live_comms;
}

/* ---- running ---- */

static size_t size_of(ncclDataType_t type) {
  static const size_t sizes[ncclNumTypes] = {1, 1, 4, 4, 8, 8, 2, 4, 8, 2, 1, 1};
  return sizes[type];
}

static void add_up(ncclDataType_t type, size_t count, void *sum, const void *other) {
  for (size_t i = 0; i < count; i++) {
    if (type == ncclFloat32)
      ((float *)sum)[i] += ((const float *)other)[i];
    else if (type == ncclFloat64)
      ((double *)sum)[i] += ((const double *)other)[i];
    else
      ((uint16_t *)sum)[i] = bf16_of_float(bf16_to_float(((uint16_t *)sum)[i]) +
                                           bf16_to_float(((const uint16_t *)other)[i]));
  }
}

typedef struct {
  link_transfer list[MOST_OPS * 16];
  int count;
  char *copies[MOST_OPS]; /* of what is added up: [size, count] */
} transfers;

static void add_transfer(transfers *t, const operation *o, bool is_send, int peer, const void *at,
                         size_t bytes) {
  bool has_peer = o->kind == SEND || o->kind == RECEIVE;
  link_transfer *next = &t->list[t->count++];
  memset(next, 0, sizeof *next);
  next->is_send = is_send;
  next->peer = peer;
  next->at = (char *)(uintptr_t)at;
  next->left = bytes;
  next->meaning.kind = has_peer ? (int32_t)SEND : (int32_t)o->kind;
  next->meaning.type = (int32_t)o->type;
  next->meaning.root_or_op = has_peer ? 0 : o->root_or_op;
  next->meaning.is_captured = o->is_captured;
  next->meaning.count = (int64_t)o->count;
}

/* Into `copies`: every rank's values of this rank's result. */
static void plan_sum(transfers *t, int which, const operation *o, const nccl_link *l) {
  size_t bytes = o->count * size_of(o->type);
  bool is_scatter = o->kind == REDUCE_SCATTER;
  char *copies = malloc((size_t)l->size * bytes);
  if (!copies) abort();
  t->copies[which] = copies;
  for (int r = 0; r < l->size; r++) {
    const char *from = (const char *)o->from + (is_scatter ? (size_t)r * bytes : 0);
    if (r == l->rank) {
      memcpy(copies + (size_t)r * bytes, from, bytes);
      continue;
    }
    add_transfer(t, o, true, r, from, bytes);
    add_transfer(t, o, false, r, copies + (size_t)r * bytes, bytes);
  }
}

static void plan(transfers *t, int which, const operation *o, const nccl_link *l) {
  size_t bytes = o->count * size_of(o->type);
  char *own = (char *)o->to + (size_t)l->rank * bytes;
  if (o->kind == ALL_REDUCE || o->kind == REDUCE_SCATTER) {
    plan_sum(t, which, o, l);
    return;
  }
  if (o->kind == SEND || o->kind == RECEIVE) {
    bool is_send = o->kind == SEND;
    add_transfer(t, o, is_send, o->root_or_op, is_send ? o->from : o->to, bytes);
    return;
  }
  bool is_root = o->kind == ALL_GATHER || o->root_or_op == l->rank;
  if (o->kind == ALL_GATHER && own != o->from) memmove(own, o->from, bytes);
  if (o->kind == BROADCAST && is_root && o->to != o->from) memmove(o->to, o->from, bytes);
  for (int r = 0; r < l->size; r++) {
    if (r == l->rank) continue;
    if (is_root) add_transfer(t, o, true, r, o->from, bytes);
    if (o->kind == ALL_GATHER)
      add_transfer(t, o, false, r, (char *)o->to + (size_t)r * bytes, bytes);
    if (o->kind == BROADCAST && r == o->root_or_op) add_transfer(t, o, false, r, o->to, bytes);
  }
}

/* As a ring adds: from the next rank on, rounded at every step. Not the order of ranks. */
static void finish_sum(const operation *o, const nccl_link *l, char *copies) {
  size_t bytes = o->count * size_of(o->type);
  int first = o->kind == ALL_REDUCE ? 1 % l->size : (l->rank + 1) % l->size;
  for (int i = 1; i < l->size; i++)
    add_up(o->type, o->count, copies + (size_t)first * bytes,
           copies + (size_t)((first + i) % l->size) * bytes);
  memcpy(o->to, copies + (size_t)first * bytes, bytes);
}

static cudaError_t run_batch(const void *data) {
  const batch *b = data;
  nccl_link *l = &b->comm->link;
  transfers *t = calloc(1, sizeof *t);
  if (!t) abort();
  for (int i = 0; i < b->count; i++) plan(t, i, &b->ops[i], l);
  bool is_done = link_run(l, t->list, t->count);
  for (int i = 0; i < b->count; i++) {
    if (is_done && t->copies[i]) finish_sum(&b->ops[i], l, t->copies[i]);
    free(t->copies[i]);
  }
  free(t);
  /* an aborted kernel ends; one that met another operation would have hung */
  return is_done || atomic_load(&l->is_aborted) ? cudaSuccess : cudaErrorLaunchTimeout;
}

/* ---- entering ---- */

/* NCCL allows only one thread at a time to use a communicator. */
static bool take(struct ncclComm *comm, const char *call) {
  if (!comm) return false;
  if (atomic_flag_test_and_set(&comm->is_busy)) {
    imitation_misuse("%s: two threads use a communicator at once", call);
    return false;
  }
  return true;
}

static void give(struct ncclComm *comm) {
  atomic_flag_clear(&comm->is_busy);
}

static ncclResult_t launch(struct ncclComm *comm) {
  cudaError_t code =
      stream_give(comm->stream, work_name, operation_seconds, run_batch, &comm->next,
                  offsetof(batch, ops) + (size_t)comm->next.count * sizeof(operation));
  comm->next.count = 0;
  comm->stage = READY;
  return code ? ncclUnhandledCudaError : ncclSuccess;
}

/* Advances by one step; ncclInProgress until complete. */
static ncclResult_t proceed(struct ncclComm *comm) {
  ncclResult_t failure = (ncclResult_t)atomic_load(&comm->link.failure);
  if (failure) return failure;
  if (comm->stage == READY || comm->stage == LEFT) return ncclSuccess;
  if (++comm->polls < POLLS) return ncclInProgress;
  if (comm->stage == LAUNCHING) return launch(comm);
  if (comm->stage == LEAVING) {
    if (!link_has_everyone_left(&comm->link)) return ncclInProgress;
    comm->stage = LEFT;
    return ncclSuccess;
  }
  if (!link_is_complete(&comm->link)) return ncclInProgress;
  int other = link_duplicate(&comm->link);
  if (other >= 0) {
    snprintf(last_error, sizeof last_error,
             "Duplicate GPU detected : rank %d and rank %d both on CUDA device %s", comm->link.rank,
             other, comm->bus);
    atomic_store(&comm->link.failure, ncclInvalidUsage);
    return ncclInvalidUsage;
  }
  comm->stage = READY;
  return ncclSuccess;
}

static ncclResult_t start_stage(struct ncclComm *comm, comm_stage stage) {
  comm->stage = stage;
  comm->polls = 0;
  if (!comm->is_blocking) return ncclInProgress;
  ncclResult_t code = ncclInProgress;
  while (code == ncclInProgress && !atomic_load(&comm->link.is_aborted)) {
    code = proceed(comm);
    if (code == ncclInProgress) usleep(20);
  }
  return code;
}

/* ---- communicators ---- */

ncclResult_t ncclGetVersion(int *version) {
  int major = NCCL_MAJOR, minor = NCCL_MINOR;
  imitation_version("FLIP_IMITATION_NCCL_VERSION", &major, &minor);
  *version = NCCL_VERSION(major, minor, NCCL_PATCH);
  return ncclSuccess;
}

const char *ncclGetErrorString(ncclResult_t result) {
  static const char *const texts[] = {"no error",
                                      "unhandled cuda error",
                                      "unhandled system error",
                                      "internal error",
                                      "invalid argument",
                                      "invalid usage",
                                      "remote process exited or there was a network error",
                                      "NCCL operation in progress"};
  return result < ncclNumResults ? texts[result] : "unknown result code";
}

const char *ncclGetLastError(ncclComm_t comm) {
  (void)comm;
  return last_error;
}

ncclResult_t ncclGetUniqueId(ncclUniqueId *id) {
  uint64_t random = 0;
  if (imitation_enter_or_fail("ncclGetUniqueId")) return ncclSystemError;
  if (!id) return refuse(ncclInvalidArgument, "ncclGetUniqueId", "the id is NULL");
  if (getrandom(&random, sizeof random, 0) < 0) return ncclSystemError;
  memset(id, 0, sizeof *id);
  snprintf(id->internal, sizeof id->internal, "flip-nccl-%016llx", (unsigned long long)random);
  return ncclSuccess;
}

ncclResult_t ncclCommInitRankConfig(ncclComm_t *comm, int nranks, ncclUniqueId id, int rank,
                                    ncclConfig_t *config) {
  const char *const call = "ncclCommInitRankConfig";
  int device = 0;
  bool must_fail = imitation_enter_or_fail(call);
  if (!comm || nranks < 1 || rank < 0 || rank >= nranks)
    return refuse(ncclInvalidArgument, call, "no such rank, or the communicator is NULL");
  if (config && (config->magic != 0xcafebeef || config->size != sizeof *config))
    return refuse(ncclInvalidArgument, call,
                  "the configuration was not made by NCCL_CONFIG_INITIALIZER");
  if (strncmp(id.internal, "flip-nccl-", 10) != 0)
    return refuse(ncclInvalidArgument, call, "the id is not of ncclGetUniqueId");
  *comm = NULL;
  if (stream_refuse_in_capture(call)) return ncclUnhandledCudaError;
  const char *registers = getenv("NCCL_GRAPH_REGISTER"); /* NCCL reads it once, after this call */
  if (registers && strcmp(registers, "0") == 0) imitation_enter("recordings register no buffers");
  struct ncclComm *c = calloc(1, sizeof *c);
  if (!c) abort();
  (void)cudaGetDevice(&device);
  (void)cudaDeviceGetPCIBusId(c->bus, sizeof c->bus, device);
  c->is_blocking = !config || config->blocking != 0; /* undefined: it blocks */
  if (must_fail || !link_open(&c->link, id.internal, nranks, rank, c->bus)) {
    free(c);
    return ncclSystemError;
  }
  live_comms++;
  if (nranks > 1) stream_has_peers();
  *comm = c;
  return start_stage(c, JOINING);
}

ncclResult_t ncclCommInitRank(ncclComm_t *comm, int nranks, ncclUniqueId id, int rank) {
  return ncclCommInitRankConfig(comm, nranks, id, rank, NULL);
}

/* From any thread; made to fail only in the first. */
ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t *state) {
  const char *const call = "ncclCommGetAsyncError";
  bool must_fail = imitation_enter_from_any_thread(call);
  if (!state || !take(comm, call)) return ncclInvalidArgument;
  if (must_fail) atomic_store(&comm->link.failure, ncclRemoteError);
  *state = proceed(comm);
  give(comm);
  return ncclSuccess;
}

ncclResult_t ncclCommAbort(ncclComm_t comm) {
  (void)imitation_enter_from_any_thread("ncclCommAbort");
  if (!comm) return ncclSuccess;
  atomic_store(&comm->link.is_aborted, true);
  comm->next_aborted = aborted;
  aborted = comm;
  live_comms--;
  /* NCCL would return when the graph is destroyed, which may never be */
  if (stream_graphs_hold(work_name))
    for (;;) pause();
  return ncclSuccess;
}

static ncclResult_t check_end(struct ncclComm *comm, const char *call) {
  if (stream_graphs_hold(work_name))
    return refuse(ncclInvalidUsage, call,
                  "a graph still contains calls of the communicator: NCCL would wait forever");
  return comm->stage == JOINING || comm->stage == LAUNCHING
             ? refuse(ncclInvalidArgument, call, "the previous operation is not complete")
             : ncclSuccess;
}

/* Waits for what is on its stream, and for all ranks. */
ncclResult_t ncclCommFinalize(ncclComm_t comm) {
  const char *const call = "ncclCommFinalize";
  bool must_fail = imitation_enter_or_fail(call);
  if (!take(comm, call)) return ncclInvalidArgument;
  ncclResult_t code = check_end(comm, call);
  if (!code && (comm->stage == LEAVING || comm->stage == LEFT))
    code = refuse(ncclInvalidArgument, call, "it was called before");
  if (!code && must_fail) code = ncclInternalError;
  if (!code) {
    (void)stream_run_all();
    link_leave(&comm->link);
    code = start_stage(comm, LEAVING);
  }
  give(comm);
  return code;
}

ncclResult_t ncclCommDestroy(ncclComm_t comm) {
  const char *const call = "ncclCommDestroy";
  imitation_enter(call);
  if (!comm) return ncclSuccess;
  if (!take(comm, call)) return ncclInvalidArgument;
  ncclResult_t code = check_end(comm, call);
  if (!code && comm->stage == LEAVING)
    code = refuse(ncclInvalidUsage, call, "ncclCommFinalize is not complete");
  if (code) {
    give(comm);
    return code;
  }
  (void)stream_run_all();
  live_comms--;
  link_close(&comm->link);
  free(comm);
  return ncclSuccess;
}

/* ---- operations ---- */

ncclResult_t ncclGroupStart(void) {
  imitation_enter("ncclGroupStart");
  if (group.depth++ == 0) group.comm = NULL;
  return ncclSuccess;
}

static ncclResult_t end_group(void) {
  struct ncclComm *comm = group.comm;
  ncclResult_t failure = group.failure;
  if (--group.depth > 0) return ncclSuccess;
  group.failure = ncclSuccess;
  group.comm = NULL;
  if (!comm) return failure;
  if (failure) {
    comm->next.count = 0;
    return failure;
  }
  return comm->link.size == 1 ? launch(comm) : start_stage(comm, LAUNCHING);
}

ncclResult_t ncclGroupEnd(void) {
  bool must_fail = imitation_enter_or_fail("ncclGroupEnd");
  if (group.depth == 0) return refuse(ncclInvalidUsage, "ncclGroupEnd", "no group was started");
  if (must_fail) group.failure = ncclUnhandledCudaError;
  return end_group();
}

static ncclResult_t check_memory(const struct ncclComm *comm, const operation *o) {
  size_t bytes = o->count * size_of(o->type), all = bytes * (size_t)comm->link.size;
  bool reads = o->kind != RECEIVE && (o->kind != BROADCAST || o->root_or_op == comm->link.rank);
  size_t read = o->kind == REDUCE_SCATTER ? all : bytes;
  size_t written = o->kind == ALL_GATHER ? all : bytes;
  if (o->count == 0) return ncclSuccess;
  if (reads && !memory_is_device(o->from, read))
    return refuse(ncclInvalidArgument, names[o->kind],
                  "it reads from memory that is not device memory");
  if (o->kind != SEND && !memory_is_device(o->to, written))
    return refuse(ncclInvalidArgument, names[o->kind],
                  "it writes to memory that is not device memory");
  const char *from = o->from, *to = o->to;
  bool is_in_place = o->kind == ALL_GATHER       ? from == to + (size_t)comm->link.rank * bytes
                     : o->kind == REDUCE_SCATTER ? to == from + (size_t)comm->link.rank * bytes
                                                 : from == to;
  if (o->kind <= BROADCAST && reads && !is_in_place && from < to + written && to < from + read)
    return refuse(ncclInvalidArgument, names[o->kind], "the buffers overlap but are not in place");
  return ncclSuccess;
}

static ncclResult_t check(const struct ncclComm *comm, const operation *o) {
  const char *call = names[o->kind];
  bool is_sum = o->kind == ALL_REDUCE || o->kind == REDUCE_SCATTER;
  if (atomic_load(&comm->link.is_aborted))
    return refuse(ncclInvalidUsage, call, "the communicator was aborted");
  if (comm->stage != READY)
    return refuse(ncclInvalidArgument, call,
                  "Attempt to use communicator before the previous operation returned ncclSuccess");
  if (o->type >= ncclNumTypes) return refuse(ncclInvalidArgument, call, "no such type");
  if (is_sum && (o->root_or_op != ncclSum ||
                 (o->type != ncclFloat32 && o->type != ncclFloat64 && o->type != ncclBfloat16)))
    return refuse(ncclInvalidArgument, call, "an operator or a type that is not imitated");
  if (!is_sum && o->kind != ALL_GATHER && (o->root_or_op < 0 || o->root_or_op >= comm->link.size))
    return refuse(ncclInvalidArgument, call, "no such rank");
  bool is_pair = o->kind == SEND || o->kind == RECEIVE;
  if (is_pair && o->root_or_op == comm->link.rank)
    return refuse(ncclInvalidUsage, call, "to or from itself (not imitated)");
  if (o->is_captured && comm->link.size > 1 && !comm->is_connected[o->kind])
    return refuse(ncclInvalidUsage, call,
                  "captured before any other of its kind: NCCL from 2.22 on would make the "
                  "connections in the capture");
  return check_memory(comm, o);
}

static ncclResult_t add(struct ncclComm *comm, const operation *o, cudaStream_t stream) {
  const char *call = names[o->kind];
  if (group.comm && group.comm != comm)
    return refuse(ncclInvalidUsage, call, "a group of several communicators (not imitated)");
  if (comm->next.count == MOST_OPS)
    return refuse(ncclInternalError, call, "too many calls in a group (not imitated)");
  if (comm->next.count > 0 && comm->stream != stream)
    return refuse(ncclInvalidUsage, call, "a group on several streams (not imitated)");
  group.comm = comm;
  comm->stream = stream;
  comm->is_connected[o->kind] = comm->is_connected[o->kind] || !o->is_captured;
  comm->next.comm = comm;
  comm->next.ops[comm->next.count++] = *o;
  return ncclSuccess;
}

static ncclResult_t enqueue(ncclComm_t comm, operation o, cudaStream_t stream) {
  const char *call = names[o.kind];
  bool must_fail = imitation_enter_or_fail(call);
  if (!take(comm, call)) return refuse(ncclInvalidArgument, call, "no communicator");
  o.is_captured = stream_is_capturing(stream);
  ncclResult_t code = check(comm, &o);
  if (!stream_exists(stream)) code = refuse(ncclInvalidArgument, call, "no such stream");
  if (!code && must_fail) code = ncclInternalError;
  group.depth++;
  if (!code && o.count > 0) code = add(comm, &o, stream);
  if (code && group.depth > 1) group.failure = code;
  if (code && group.depth == 1) {
    group.depth = 0;
  } else {
    ncclResult_t ended = end_group();
    if (!code) code = ended;
  }
  give(comm);
  return code;
}

ncclResult_t ncclAllGather(const void *from, void *to, size_t count, ncclDataType_t type,
                           ncclComm_t comm, cudaStream_t stream) {
  return enqueue(comm, (operation){ALL_GATHER, from, to, count, type, 0, false}, stream);
}

ncclResult_t ncclAllReduce(const void *from, void *to, size_t count, ncclDataType_t type,
                           ncclRedOp_t op, ncclComm_t comm, cudaStream_t stream) {
  return enqueue(comm, (operation){ALL_REDUCE, from, to, count, type, (int)op, false}, stream);
}

ncclResult_t ncclReduceScatter(const void *from, void *to, size_t count, ncclDataType_t type,
                               ncclRedOp_t op, ncclComm_t comm, cudaStream_t stream) {
  return enqueue(comm, (operation){REDUCE_SCATTER, from, to, count, type, (int)op, false}, stream);
}

ncclResult_t ncclBroadcast(const void *from, void *to, size_t count, ncclDataType_t type, int root,
                           ncclComm_t comm, cudaStream_t stream) {
  return enqueue(comm, (operation){BROADCAST, from, to, count, type, root, false}, stream);
}

ncclResult_t ncclSend(const void *from, size_t count, ncclDataType_t type, int peer,
                      ncclComm_t comm, cudaStream_t stream) {
  return enqueue(comm, (operation){SEND, from, NULL, count, type, peer, false}, stream);
}

ncclResult_t ncclRecv(void *to, size_t count, ncclDataType_t type, int peer, ncclComm_t comm,
                      cudaStream_t stream) {
  return enqueue(comm, (operation){RECEIVE, NULL, to, count, type, peer, false}, stream);
}
