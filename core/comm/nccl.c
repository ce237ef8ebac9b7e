/* Ranks by NCCL, for buffers in a GPU's memory: a plugin (lib/libflip_nccl.so), so that the same
 * flip runs where NCCL is not installed.
 *
 * All NCCL calls use a separate high-priority stream, so that sums overlap with the backend's ops.
 * It waits for the ops that were called before a call (begin), and ops called after `join` wait for
 * it; both waits are events, so that a captured step includes the stream.
 *
 * Sums are sends and receives of slices and a kernel that adds them in rank order
 * (cuda/rank_sums.cu): as many bytes as ncclReduceScatter moves, and the bits that comm.h
 * guarantees, which NCCL does not: its order of summation depends on the topology and the chosen
 * algorithm. If the run need not be deterministic, fp32 sums of equal slices use
 * ncclReduceScatter. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "comm/nccl.h"
#include "comm/open.h"
#include "cuda/kernels.h"

enum { ROOM = 8 << 20, ROOM_UNIT = 64 }; /* elements of all slices that are summed at once */

static ncclDataType_t type_of(ops_type type) {
  switch (type) {
  case OPS_F32:
    return ncclFloat32;
  case OPS_F64:
    return ncclFloat64;
  case OPS_BF16:
    return ncclBfloat16;
  case OPS_I32:
    return ncclInt32;
  default:
    return ncclUint8;
  }
}

/* ---- order ---- */

/* Work submitted to the stream after this sees all ops called so far, of both branches. */
static err begin(nccl_state *n) {
  err error = NULL;
  if (!n->link) return err_new(ERR_IO, "NCCL: the connection of the ranks has ended");
  for (int is_other = 0; is_other < 2 && !error; is_other++) {
    cudaStream_t ops_stream = n->o->call->queue(n->o, is_other);
    if (!ops_stream) continue;
    error = nccl_cuda(cudaEventRecord(n->before, ops_stream), "an event");
    if (!error) error = nccl_cuda(cudaStreamWaitEvent(n->stream, n->before, 0), "waiting for ops");
  }
  n->is_pending = n->is_pending || !error;
  return error;
}

static err join(comm *c) {
  nccl_state *n = c->state;
  if (!n->is_pending) return NULL;
  err error = nccl_cuda(cudaEventRecord(n->after, n->stream), "an event");
  for (int is_other = 0; is_other < 2 && !error; is_other++) {
    cudaStream_t ops_stream = n->o->call->queue(n->o, is_other);
    if (ops_stream)
      error = nccl_cuda(cudaStreamWaitEvent(ops_stream, n->after, 0), "waiting for communication");
  }
  n->is_pending = n->is_pending && error;
  return error;
}

static void note(comm *c, int64_t elements, ops_type type) {
  c->bytes_moved += elements * (int64_t)ops_size_of(type);
}

/* A call in a group of a non-blocking communicator may be under way; the group's end tells. */
static bool goes_on(ncclResult_t code) {
  return code == ncclSuccess || code == ncclInProgress;
}

static err begin_group(nccl_state *n, const char *what) {
  nccl_lock(n);
  ncclResult_t code = ncclGroupStart();
  return code ? nccl_done(n, code, what) : NULL;
}

/* Ends the group even if a call in it failed. */
static err end_group(nccl_state *n, ncclResult_t inside, const char *what) {
  ncclResult_t code = ncclGroupEnd();
  return nccl_done(n, goes_on(inside) ? code : inside, what);
}

/* ---- buffers ---- */

static err gather(comm *c, int64_t count, ops_buffer own, ops_buffer all) {
  nccl_state *n = c->state;
  err error = NULL;
  if (count == 0) return NULL;
  TRY(begin(n));
  nccl_lock(n);
  TRY(nccl_done(
      n, ncclAllGather(own.data, all.data, (size_t)count, type_of(own.type), n->link, n->stream),
      "gathering"));
  TRY(join(c));
  note(c, count * (c->size - 1), own.type);
cleanup:
  return error;
}

static bool are_slices_equal(int64_t total, int size) {
  return comm_slice_of(total, size, 0).count * size == total;
}

/* The last slices may be shorter, and ncclAllGather supports only equal ones. */
static err gather_unequal(nccl_state *n, int64_t total, ops_buffer x) {
  ncclResult_t code = ncclSuccess;
  err error = begin_group(n, "gathering slices");
  if (error) return error;
  for (int r = 0; r < n->size && goes_on(code); r++) {
    comm_slice s = comm_slice_of(total, n->size, r);
    void *at = ops_at(x, s.first).data;
    if (s.count > 0)
      code = ncclBroadcast(at, at, (size_t)s.count, type_of(x.type), r, n->link, n->stream);
  }
  return end_group(n, code, "gathering slices");
}

static err gather_slices(comm *c, int64_t total, ops_buffer x) {
  nccl_state *n = c->state;
  comm_slice mine = comm_slice_of(total, c->size, c->rank);
  err error = NULL;
  if (total == 0) return NULL;
  TRY(begin(n));
  if (are_slices_equal(total, c->size)) {
    nccl_lock(n);
    TRY(nccl_done(n,
                  ncclAllGather(ops_at(x, mine.first).data, x.data, (size_t)mine.count,
                                type_of(x.type), n->link, n->stream),
                  "gathering slices"));
  } else {
    TRY(gather_unequal(n, total, x));
  }
  note(c, mine.count * (c->size - 1), x.type);
cleanup:
  return error;
}

/* ---- sums ---- */

static int64_t part_of(const nccl_state *n, comm_slice s, int64_t at) {
  int64_t left = s.count - at;
  return left <= 0 ? 0 : left < n->room ? left : n->room;
}

/* The elements sent to rank r: [at, at + room) of its slice. */
static ops_buffer sent_to(const nccl_state *n, int64_t total, int64_t at, ops_buffer x,
                          ops_type wire, int r) {
  if (wire == OPS_BF16) return ops_at((ops_buffer){n->rounded, OPS_BF16}, r * n->room);
  return ops_at(x, comm_slice_of(total, n->size, r).first + at);
}

static err round_parts(nccl_state *n, int64_t total, int64_t at, ops_buffer x) {
  err error = NULL;
  for (int r = 0; r < n->size && !error; r++) {
    comm_slice s = comm_slice_of(total, n->size, r);
    error = nccl_cuda(kernel_cast(part_of(n, s, at), ops_at(x, s.first + at),
                                  sent_to(n, total, at, x, OPS_BF16, r), n->stream),
                      "rounding");
  }
  return error;
}

static err exchange(nccl_state *n, int64_t total, int64_t at, ops_buffer x, ops_type wire) {
  int64_t own = part_of(n, comm_slice_of(total, n->size, n->rank), at);
  ops_buffer received = {n->received, wire};
  ncclResult_t code = ncclSuccess;
  if (n->size == 1) return NULL;
  err error = begin_group(n, "summing");
  if (error) return error;
  for (int r = 0; r < n->size && goes_on(code); r++) {
    int64_t count = part_of(n, comm_slice_of(total, n->size, r), at);
    if (r == n->rank) continue;
    if (count > 0)
      code = ncclSend(sent_to(n, total, at, x, wire, r).data, (size_t)count, type_of(wire), r,
                      n->link, n->stream);
    if (goes_on(code) && own > 0)
      code = ncclRecv(ops_at(received, r * n->room).data, (size_t)own, type_of(wire), r, n->link,
                      n->stream);
  }
  return end_group(n, code, "summing");
}

/* Elements [at, at + room) of every slice, each to its owner, who adds them. */
static err sum_block(nccl_state *n, int64_t total, int64_t at, ops_buffer x, ops_type wire) {
  comm_slice mine = comm_slice_of(total, n->size, n->rank);
  err error = NULL;
  if (wire == OPS_BF16) TRY(round_parts(n, total, at, x));
  TRY(exchange(n, total, at, x, wire));
  TRY(nccl_cuda(kernel_rank_sums(part_of(n, mine, at), n->size, n->rank, n->room,
                                 (ops_buffer){n->received, wire},
                                 sent_to(n, total, at, x, wire, n->rank),
                                 ops_at(x, mine.first + at), n->stream),
                "adding the ranks' parts"));
cleanup:
  return error;
}

static err sum_slices(comm *c, int64_t total, ops_buffer x, ops_type wire) {
  nccl_state *n = c->state;
  comm_slice mine = comm_slice_of(total, c->size, c->rank);
  int64_t longest = comm_slice_of(total, c->size, 0).count;
  err error = NULL;
  if (x.type != OPS_F32 || (wire != OPS_F32 && wire != OPS_BF16))
    return err_new(ERR_INTERNAL, "NCCL: only sums of fp32, sent as fp32 or bf16, are supported");
  if (total == 0) return NULL;
  TRY(begin(n));
  if (!n->is_deterministic && wire == OPS_F32 && are_slices_equal(total, c->size)) {
    nccl_lock(n);
    TRY(nccl_done(n,
                  ncclReduceScatter(x.data, ops_at(x, mine.first).data, (size_t)mine.count,
                                    ncclFloat32, ncclSum, n->link, n->stream),
                  "summing"));
  } else {
    for (int64_t at = 0; at < longest; at += n->room) TRY(sum_block(n, total, at, x, wire));
  }
  note(c, total - mine.count, wire);
cleanup:
  return error;
}

/* ---- messages in host memory, and the end ---- */

/* Reports a failure on the stream instead of waiting for other ranks, which may wait on their GPUs
 * for this one: they do not know of it. */
static err look_at_stream(const comm *c) {
  nccl_state *n = c->state;
  cudaError_t code = cudaStreamQuery(n->stream);
  if (code == cudaSuccess) return NULL;
  (void)cudaGetLastError(); /* "not ready" is kept as the last error, which the next call would
                               return */
  if (code == cudaErrorNotReady) return NULL;
  return err_new(ERR_LOST, "CUDA: communication: %s", cudaGetErrorString(code));
}

static err broadcast(comm *c, void *bytes, size_t count) {
  err error = look_at_stream(c);
  return error ? error : c->host->call->broadcast(c->host, bytes, count);
}

static err gather_bytes(comm *c, const void *own, size_t count, void *all) {
  err error = look_at_stream(c);
  return error ? error : c->host->call->gather_bytes(c->host, own, count, all);
}

static err check(comm *c) {
  return nccl_check(c->state);
}

static void abandon(comm *c) {
  nccl_abandon(c->state);
}

static void destroy(comm *c) {
  nccl_state *n = c->state;
  if (n->stream) (void)cudaStreamSynchronize(n->stream);
  nccl_disconnect(n);
  if (n->received) n->o->call->release(n->o, n->received);
  if (n->rounded) n->o->call->release(n->o, n->rounded);
  if (n->after) (void)cudaEventDestroy(n->after);
  if (n->before) (void)cudaEventDestroy(n->before);
  if (n->stream) (void)cudaStreamDestroy(n->stream);
  pthread_mutex_destroy(&n->lock);
  free(n);
  free(c);
}

static const comm_table table = {.gather = gather,
                                 .sum_slices = sum_slices,
                                 .gather_slices = gather_slices,
                                 .join = join,
                                 .broadcast = broadcast,
                                 .gather_bytes = gather_bytes,
                                 .check = check,
                                 .abandon = abandon,
                                 .destroy = destroy};

/* NCCL 2.18 tells nobody of a broken network: the ranks would wait for ever. */
static err look_at_library(comm *c) {
  int version = 0;
  (void)ncclGetVersion(&version);
  const int major = version / 10000, minor = version % 10000 / 100, patch = version % 100;
  snprintf(c->library, sizeof c->library, "NCCL %d.%d.%d, started by %.80s", major, minor, patch,
           c->host->library);
  if (version >= NCCL_VERSION(2, 19, 0)) return NULL;
  return err_new(ERR_UNSUPPORTED,
                 "NCCL %d.%d.%d does not report network errors: install 2.19 or later (libnccl2 of "
                 "NVIDIA's repository)",
                 major, minor, patch);
}

/* Allocates all memory now, none in a step. */
static err equip(nccl_state *n) {
  int least = 0, greatest = 0;
  size_t elements;
  err error = NULL;
  n->room = ROOM / n->size / ROOM_UNIT * ROOM_UNIT;
  if (n->room < ROOM_UNIT) n->room = ROOM_UNIT;
  elements = (size_t)n->room * (size_t)n->size;
  TRY(nccl_cuda(cudaDeviceGetStreamPriorityRange(&least, &greatest), "querying stream priorities"));
  TRY(nccl_cuda(cudaStreamCreateWithPriority(&n->stream, cudaStreamNonBlocking, greatest),
                "a stream"));
  TRY(nccl_cuda(cudaEventCreateWithFlags(&n->before, cudaEventDisableTiming), "an event"));
  TRY(nccl_cuda(cudaEventCreateWithFlags(&n->after, cudaEventDisableTiming), "an event"));
  TRY(n->o->call->allocate(n->o, elements * sizeof(float), "communication", &n->received));
  TRY(n->o->call->allocate(n->o, elements * sizeof(uint16_t), "communication", &n->rounded));
cleanup:
  return error;
}

/* *out: NULL when out of memory; else also if equipping it fails, for destroy. */
static err make(comm *host, ops *o, bool is_deterministic, comm **out) {
  comm *c = mem_zeroed(1, sizeof *c);
  nccl_state *n = mem_zeroed(1, sizeof *n);
  if (!c || !n) {
    free(c);
    free(n);
    return mem_error(sizeof *n, "communication");
  }
  *n = (nccl_state){
      .o = o, .rank = host->rank, .size = host->size, .is_deterministic = is_deterministic};
  *c = (comm){.call = &table,
              .rank = host->rank,
              .size = host->size,
              .seconds = (double)NAN,
              .can_record = true,
              .host = host,
              .state = n};
  pthread_mutex_init(&n->lock, NULL);
  *out = c;
  err error = look_at_library(c);
  return error ? error : equip(n);
}

static err attach(comm *host, ops *o, bool is_deterministic, comm **out) {
  comm *c = NULL;
  err error = comm_agree(host, make(host, o, is_deterministic, &c));
  if (!error) error = nccl_connect(host, c->state);
  if (error && c) destroy(c);
  if (!error) *out = c;
  return error;
}

__attribute__((visibility("default")))
const comm_plugin flip_comm_plugin = {.version = COMM_PLUGIN_VERSION, .attach = attach};
