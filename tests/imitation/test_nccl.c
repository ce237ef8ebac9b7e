/* What NCCL refuses, its imitation refuses: mistakes planted here, each of which GPUs would answer
 * with an error, wrong numbers or a hang. Ranks are processes of this one. */
#include "support/test.h"

#include <nccl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "imitation/imitation.h"

enum { COUNT = 1000, RANKS = 2 };

typedef struct {
  ncclComm_t comm;
  cudaStream_t stream;
  float *a, *b; /* [RANKS * COUNT] of device memory */
  int rank;
} member;

static ncclResult_t wait_for(ncclComm_t comm, ncclResult_t code) {
  while (code == ncclInProgress)
    if (ncclCommGetAsyncError(comm, &code) != ncclSuccess) return ncclInternalError;
  return code;
}
#define DONE(m, call) assert_int_equal(wait_for((m)->comm, call), ncclSuccess)

static ncclResult_t join(member *m, ncclUniqueId id, int rank, int size) {
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  *m = (member){.rank = rank};
  assert_int_equal(cudaSetDevice(rank), cudaSuccess);
  assert_int_equal(cudaStreamCreateWithFlags(&m->stream, cudaStreamNonBlocking), cudaSuccess);
  assert_int_equal(cudaMalloc((void **)&m->a, RANKS * COUNT * sizeof *m->a), cudaSuccess);
  assert_int_equal(cudaMalloc((void **)&m->b, RANKS * COUNT * sizeof *m->b), cudaSuccess);
  ncclResult_t code = ncclCommInitRankConfig(&m->comm, size, id, rank, &config);
  assert_int_equal(code, ncclInProgress);
  return wait_for(m->comm, code);
}

static void leave(member *m) {
  DONE(m, ncclCommFinalize(m->comm));
  assert_int_equal(ncclCommDestroy(m->comm), ncclSuccess);
  assert_int_equal(cudaFree(m->a), cudaSuccess);
  assert_int_equal(cudaFree(m->b), cudaSuccess);
  assert_int_equal(cudaStreamDestroy(m->stream), cudaSuccess);
  assert_int_equal(nccl_live_objects(), 0);
}

static void put(const member *m, float *at, int64_t count, float value) {
  float *values = malloc((size_t)count * sizeof *values);
  for (int64_t i = 0; i < count; i++) values[i] = value;
  assert_int_equal(cudaMemcpyAsync(at, values, (size_t)count * sizeof *values,
                                   cudaMemcpyHostToDevice, m->stream),
                   cudaSuccess);
  free(values);
}

static float get(const member *m, const float *at) {
  float value;
  assert_int_equal(cudaMemcpyAsync(&value, at, sizeof value, cudaMemcpyDeviceToHost, m->stream),
                   cudaSuccess);
  return value;
}

/* Runs that many ranks, each in a separate process; those after the first must end with 0. */
static void as_ranks(void (*run)(member *m)) {
  ncclUniqueId id;
  member m;
  pid_t others[RANKS];
  int status;
  assert_int_equal(ncclGetUniqueId(&id), ncclSuccess);
  for (int rank = 1; rank < RANKS; rank++) {
    others[rank] = fork();
    if (others[rank] == 0) {
      /* a failed assertion in a child would run the other tests there */
      alarm(100);
      assert_int_equal(join(&m, id, rank, RANKS), ncclSuccess);
      run(&m);
      _exit(imitation_misuses() ? 3 : 0);
    }
  }
  assert_int_equal(join(&m, id, 0, RANKS), ncclSuccess);
  run(&m);
  for (int rank = 1; rank < RANKS; rank++) {
    waitpid(others[rank], &status, 0);
    assert_true(WIFEXITED(status));
    assert_true(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 3);
  }
}

static void exchange(member *m) {
  put(m, m->a, RANKS * COUNT, (float)(m->rank + 1));
  DONE(m, ncclAllGather(m->a, m->b, COUNT, ncclFloat32, m->comm, m->stream));
  assert_true(get(m, m->b) == 1 && get(m, m->b + COUNT) == 2);
  DONE(m, ncclAllReduce(m->a, m->b, COUNT, ncclFloat32, ncclSum, m->comm, m->stream));
  assert_true(get(m, m->b + COUNT - 1) == 3);
  DONE(m, ncclReduceScatter(m->a, m->a + m->rank * COUNT, COUNT, ncclFloat32, ncclSum, m->comm,
                            m->stream));
  assert_true(get(m, m->a + m->rank * COUNT) == 3);
  put(m, m->a, COUNT, (float)(10 * m->rank));
  DONE(m, ncclBroadcast(m->a, m->a, COUNT, ncclFloat32, 1, m->comm, m->stream));
  assert_true(get(m, m->a) == 10);
  put(m, m->a, COUNT, (float)(m->rank + 5));
  assert_int_equal(ncclGroupStart(), ncclSuccess);
  assert_int_equal(ncclSend(m->a, COUNT, ncclFloat32, 1 - m->rank, m->comm, m->stream),
                   ncclSuccess);
  assert_int_equal(ncclRecv(m->b, COUNT, ncclFloat32, 1 - m->rank, m->comm, m->stream),
                   ncclSuccess);
  DONE(m, ncclGroupEnd());
  assert_true(get(m, m->b) == (float)(6 - m->rank));
  assert_int_equal(imitation_misuses(), 0);
  leave(m);
}

static void ranks_exchange_what_they_should(void **state) {
  (void)state;
  as_ranks(exchange);
}

/* What is put on the stream while a call is in progress is ahead of it. */
static void hurry(member *m) {
  put(m, m->a, COUNT, 1);
  ncclResult_t code = ncclAllReduce(m->a, m->a, COUNT, ncclFloat32, ncclSum, m->comm, m->stream);
  assert_int_equal(code, ncclInProgress);
  assert_true(get(m, m->a) == 1);
  DONE(m, code);
  assert_true(get(m, m->a) == 2);
  leave(m);
}

static void a_call_in_progress_is_not_on_the_stream_yet(void **state) {
  (void)state;
  as_ranks(hurry);
}

/* Rank 1 calls something else, or with another count: told, and not a hang. */
static void differ(member *m) {
  size_t count = m->rank ? COUNT : COUNT - 1;
  int before = imitation_misuses();
  ncclResult_t state;
  DONE(m, ncclAllReduce(m->a, m->b, count, ncclFloat32, ncclSum, m->comm, m->stream));
  assert_true(cudaStreamSynchronize(m->stream) != cudaSuccess);
  assert_true(imitation_misuses() > before);
  assert_int_equal(ncclCommGetAsyncError(m->comm, &state), ncclSuccess);
  assert_true(state == ncclInvalidUsage);
  assert_int_equal(ncclCommAbort(m->comm), ncclSuccess);
}

static void counts_that_differ_between_ranks_are_caught(void **state) {
  (void)state;
  pid_t child = fork(); /* its device is broken afterwards */
  int status;
  if (child == 0) {
    alarm(100);
    as_ranks(differ);
    _exit(0);
  }
  waitpid(child, &status, 0);
  assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

#define REFUSED(call, code)                                                                        \
  do {                                                                                             \
    int before_ = imitation_misuses();                                                             \
    assert_int_equal(call, code);                                                                  \
    assert_int_equal(imitation_misuses(), before_ + 1);                                            \
  } while (0)

static void wrong_arguments_are_refused(void **state) {
  (void)state;
  ncclUniqueId id, none = {{0}};
  ncclConfig_t raw = {0};
  member m;
  float host[COUNT];
  ncclComm_t comm;
  assert_int_equal(ncclGetUniqueId(&id), ncclSuccess);
  REFUSED(ncclCommInitRankConfig(&comm, 1, id, 0, &raw), ncclInvalidArgument);
  REFUSED(ncclCommInitRank(&comm, 2, id, 2), ncclInvalidArgument);
  REFUSED(ncclCommInitRank(&comm, 1, none, 0), ncclInvalidArgument);
  assert_int_equal(join(&m, id, 0, 1), ncclSuccess);
  REFUSED(ncclAllGather(host, m.b, COUNT, ncclFloat32, m.comm, m.stream), ncclInvalidArgument);
  REFUSED(ncclAllGather(m.a, m.b, 3 * COUNT, ncclFloat32, m.comm, m.stream), ncclInvalidArgument);
  REFUSED(ncclAllGather(m.a, m.a + 1, COUNT, ncclFloat32, m.comm, m.stream), ncclInvalidArgument);
  REFUSED(ncclAllGather(m.a, m.b, COUNT, ncclNumTypes, m.comm, m.stream), ncclInvalidArgument);
  REFUSED(ncclBroadcast(m.a, m.b, COUNT, ncclFloat32, 1, m.comm, m.stream), ncclInvalidArgument);
  REFUSED(ncclAllReduce(m.a, m.b, COUNT, ncclFloat32, ncclMax, m.comm, m.stream),
          ncclInvalidArgument);
  REFUSED(ncclGroupEnd(), ncclInvalidUsage);
  leave(&m);
}

static void a_graph_that_outlives_its_communicator_is_caught(void **state) {
  (void)state;
  ncclUniqueId id;
  member m;
  cudaGraph_t graph;
  cudaGraphExec_t runnable;
  assert_int_equal(ncclGetUniqueId(&id), ncclSuccess);
  assert_int_equal(join(&m, id, 0, 1), ncclSuccess);
  assert_int_equal(cudaStreamBeginCapture(m.stream, cudaStreamCaptureModeThreadLocal), cudaSuccess);
  DONE(&m, ncclAllGather(m.a, m.b, COUNT, ncclFloat32, m.comm, m.stream));
  assert_int_equal(cudaStreamEndCapture(m.stream, &graph), cudaSuccess);
  assert_int_equal(cudaGraphInstantiate(&runnable, graph, 0), cudaSuccess);
  assert_int_equal(cudaGraphDestroy(graph), cudaSuccess);
  put(&m, m.a, COUNT, 7);
  put(&m, m.b, COUNT, 0);
  assert_int_equal(cudaGraphLaunch(runnable, m.stream), cudaSuccess);
  assert_true(get(&m, m.b) == 7);
  REFUSED(ncclCommFinalize(m.comm), ncclInvalidUsage);
  assert_int_equal(cudaGraphExecDestroy(runnable), cudaSuccess);
  leave(&m);
}

/* The connections of a kind of operation are made when it is first used, which a capture forbids.
 */
static void capture_first(member *m) {
  cudaGraph_t graph;
  cudaGraphExec_t runnable;
  put(m, m->a, RANKS * COUNT, (float)(m->rank + 1));
  put(m, m->b, RANKS * COUNT, 0);
  DONE(m, ncclAllGather(m->a, m->b, COUNT, ncclFloat32, m->comm, m->stream));
  assert_int_equal(cudaStreamBeginCapture(m->stream, cudaStreamCaptureModeThreadLocal),
                   cudaSuccess);
  REFUSED(ncclBroadcast(m->a, m->b, COUNT, ncclFloat32, 1, m->comm, m->stream), ncclInvalidUsage);
  REFUSED(ncclReduceScatter(m->a, m->b, COUNT, ncclFloat32, ncclSum, m->comm, m->stream),
          ncclInvalidUsage);
  REFUSED(ncclSend(m->a, COUNT, ncclFloat32, 1 - m->rank, m->comm, m->stream), ncclInvalidUsage);
  DONE(m, ncclAllGather(m->a, m->b, COUNT, ncclFloat32, m->comm, m->stream));
  assert_int_equal(cudaStreamEndCapture(m->stream, &graph), cudaSuccess);
  assert_int_equal(cudaGraphInstantiate(&runnable, graph, 0), cudaSuccess);
  assert_int_equal(cudaGraphDestroy(graph), cudaSuccess);
  assert_int_equal(cudaGraphLaunch(runnable, m->stream), cudaSuccess);
  assert_true(get(m, m->b + COUNT) == 2);
  assert_int_equal(cudaGraphExecDestroy(runnable), cudaSuccess);
  leave(m);
}

static void a_kind_of_operation_that_is_first_used_in_a_capture_is_caught(void **state) {
  (void)state;
  as_ranks(capture_first);
}

static void an_aborted_communicator_takes_no_calls(void **state) {
  (void)state;
  ncclUniqueId id;
  member m;
  assert_int_equal(ncclGetUniqueId(&id), ncclSuccess);
  assert_int_equal(join(&m, id, 0, 1), ncclSuccess);
  assert_int_equal(ncclCommAbort(m.comm), ncclSuccess);
  REFUSED(ncclAllGather(m.a, m.b, COUNT, ncclFloat32, m.comm, m.stream), ncclInvalidUsage);
  assert_int_equal(cudaFree(m.a), cudaSuccess);
  assert_int_equal(cudaFree(m.b), cudaSuccess);
  assert_int_equal(cudaStreamDestroy(m.stream), cudaSuccess);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(ranks_exchange_what_they_should),
      cmocka_unit_test(a_call_in_progress_is_not_on_the_stream_yet),
      cmocka_unit_test(counts_that_differ_between_ranks_are_caught),
      cmocka_unit_test(wrong_arguments_are_refused),
      cmocka_unit_test(a_graph_that_outlives_its_communicator_is_caught),
      cmocka_unit_test(a_kind_of_operation_that_is_first_used_in_a_capture_is_caught),
      cmocka_unit_test(an_aborted_communicator_takes_no_calls),
  };
  setenv("FLIP_IMITATION_DEVICES", "4", 1);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
